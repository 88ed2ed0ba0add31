import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from config import MULTILABEL, PROJECT
from models import ARCHITECTURES, create_model
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, load_plain, save_atomically, save_checkpoint
from training import loop
from training.cli import train_command
from training.loop import stopped_improving, validate
from training.objective import AuxiliaryHead, statement_targets
from training.schedule import learning_rate, make_optimizer, paired_values, update_average

FAST = ["--epochs", "3", "--quiet", "--threads", "1", "--deterministic"]


def weights(path):
    return load_checkpoint(path).weights


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def uninterrupted(demo_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    assert (
        train_command(
            {"multilabel": MULTILABEL}, "", ["--data", str(demo_data), "--out", str(out), "--name", "run", *FAST]
        )
        == 0
    )
    return out


def test_a_run_repeats_exactly_and_another_seed_does_not(uninterrupted, demo_data, tmp_path):
    for name, seed, expected in (("again", "0", True), ("other", "1", False)):
        arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--name", name, "--seed", seed, *FAST]
        assert train_command({"multilabel": MULTILABEL}, "", arguments) == 0
        last = load_plain(tmp_path / "runs" / name / "last.pth")["network"]
        assert same(load_plain(uninterrupted / "runs" / "run" / "last.pth")["network"], last) is expected


@pytest.mark.parametrize("epochs_before_kill", [0, 1, 2])
def test_a_killed_run_resumes_to_the_same_weights(uninterrupted, demo_data, tmp_path, epochs_before_kill):
    command = [sys.executable, "train_multilabel.py", "--data", str(demo_data), "--out", str(tmp_path)]
    command += ["--name", "run", "--resume", *FAST]
    log = tmp_path / "runs" / "run" / "log.csv"
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and epochs_done(log) < epochs_before_kill:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert epochs_done(log) < 3
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    assert same(weights(uninterrupted / "multilabel_best.pth"), weights(tmp_path / "multilabel_best.pth"))
    final = [load_plain(out / "runs" / "run" / "last.pth") for out in (uninterrupted, tmp_path)]
    assert same(final[0]["network"], final[1]["network"]) and same(final[0]["average"], final[1]["average"])
    assert [row["loss"] for row in final[0]["history"]] == [row["loss"] for row in final[1]["history"]]


def epochs_done(log):
    return len(log.read_text().splitlines()) - 1 if log.is_file() else 0


def test_ctrl_c_leaves_a_usable_run(demo_data, tmp_path, monkeypatch, capsys):
    measure = validate
    calls = []

    def interrupt_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(loop, "validate", interrupt_the_second)
    arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--name", "run", *FAST]
    assert train_command({"multilabel": MULTILABEL}, "", arguments) == 130
    assert "--resume" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "runs" / "run" / "best.pth").epoch == 1
    monkeypatch.undo()
    assert train_command({"multilabel": MULTILABEL}, "", [*arguments, "--resume"]) == 0
    assert epochs_done(tmp_path / "runs" / "run" / "log.csv") == 3


def test_a_finished_run_is_not_overwritten_unasked(uninterrupted, demo_data, capsys):
    arguments = ["--data", str(demo_data), "--out", str(uninterrupted), "--name", "run", *FAST]
    before = (uninterrupted / "runs" / "run" / "last.pth").read_bytes()
    assert train_command({"multilabel": MULTILABEL}, "", arguments) == 1
    assert "--restart" in capsys.readouterr().err
    assert train_command({"multilabel": MULTILABEL}, "", [*arguments, "--resume", "--noise", "0.3"]) == 1
    assert "another noise" in capsys.readouterr().err
    assert (uninterrupted / "runs" / "run" / "last.pth").read_bytes() == before


def test_the_log_records_speed_memory_and_progress(uninterrupted):
    with (uninterrupted / "runs" / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert float(rows[-1]["records_per_s"]) > 0
    assert 100 < float(rows[-1]["peak_memory_mb"]) < 2_500
    assert (uninterrupted / "runs" / "run" / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_a_checkpoint_says_where_it_came_from(uninterrupted):
    checkpoint = load_checkpoint(uninterrupted / "multilabel_best.pth")
    assert checkpoint.synthetic and checkpoint.task == "multilabel"
    assert set(checkpoint.data_sha256) == set(range(1, 10))
    assert checkpoint.training["learning_rate"] == MULTILABEL.learning_rate
    assert 0 < checkpoint.input_scale < 2
    assert {"processor", "instruction_set", "threads"} <= set(checkpoint.machine)
    with (uninterrupted / "runs" / "run" / "log.csv").open() as file:
        best = max(float(row["val_auroc"]) for row in csv.DictReader(file))
    assert checkpoint.metrics["val_auroc"] == pytest.approx(best)


def test_a_shipped_checkpoint_is_kept_without_promote(demo_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("training.cli.DEFAULT_OUT", tmp_path)
    shipped = tmp_path / "multilabel_best.pth"
    shipped.write_bytes(b"shipped")
    arguments = ["--data", str(demo_data), "--name", "run", "--epochs", "1", "--quiet", "--threads", "1"]
    assert train_command({"multilabel": MULTILABEL}, "", arguments) == 0
    printed = capsys.readouterr().out
    assert shipped.read_bytes() == b"shipped"
    assert str(tmp_path / "runs" / "run" / "best.pth") in printed.splitlines()[-1]
    assert train_command({"multilabel": MULTILABEL}, "", [*arguments, "--restart", "--promote"]) == 0
    assert load_checkpoint(shipped).epoch == 1


def test_the_baseline_goes_through_the_same_loop(demo_data, tmp_path):
    arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--model", "resnet1d", "--epochs", "1"]
    assert train_command({"multilabel": MULTILABEL}, "", [*arguments, "--quiet", "--threads", "1"]) == 0
    assert load_checkpoint(tmp_path / "resnet_baseline.pth").model == "resnet1d"
    assert not (tmp_path / "multilabel_best.pth").exists()


def test_a_diverging_run_stops_with_advice(demo_data, tmp_path, capsys):
    arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--learning-rate", "1e38", "--quiet"]
    assert train_command({"multilabel": MULTILABEL}, "", arguments) == 1
    assert "--learning-rate" in capsys.readouterr().err


def test_the_learning_rate_rises_and_falls():
    rates = [learning_rate(MULTILABEL, progress) for progress in np.linspace(0, 1, 101)[:-1]]
    assert max(rates) == pytest.approx(MULTILABEL.learning_rate, rel=1e-2)
    peak = int(np.argmax(rates))
    assert peak == pytest.approx(100 * MULTILABEL.warm_up, abs=1)
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.01 * MULTILABEL.learning_rate


def test_early_stopping_counts_epochs_since_the_best():
    history = [{"val_auroc": score} for score in (0.8, 0.9, 0.89, 0.88)]
    assert not stopped_improving(history, 3)
    assert stopped_improving(history, 2)
    assert not stopped_improving([], 1)


def test_the_average_carries_weights_and_batch_statistics():
    slow, fast = create_model("hmt_ecgnet"), create_model("hmt_ecgnet")
    fast.train()(torch.randn(16, 12, 250) * 3 + 1)
    before = {name: value.clone() for name, value in slow.state_dict().items()}
    update_average(*paired_values(slow, fast), 0.9)
    for name, value in slow.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * fast.state_dict()[name])
    assert (slow.stem[1].running_mean != before["stem.1.running_mean"]).any()


def test_only_matrices_are_decayed():
    network = create_model("hmt_ecgnet")
    decayed, spared = make_optimizer(network, replace(MULTILABEL, weight_decay=0.1)).param_groups
    assert decayed["weight_decay"] == 0.1 and spared["weight_decay"] == 0
    assert all(p.ndim > 1 for p in decayed["params"]) and all(p.ndim == 1 for p in spared["params"])


# --------------------------------------------------------------------------- checkpoint files


def test_a_checkpoint_survives_the_disk(uninterrupted, tmp_path):
    checkpoint = load_checkpoint(uninterrupted / "multilabel_best.pth")
    save_checkpoint(tmp_path / "copy.pth", checkpoint)
    copy = load_checkpoint(tmp_path / "copy.pth")
    assert same(checkpoint.weights, copy.weights)
    assert copy.training == checkpoint.training and copy.data_sha256 == checkpoint.data_sha256


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize("kind", ["truncated", "text", "code", "other", "leads", "weights"])
def test_what_is_not_a_checkpoint_is_refused_and_never_executed(uninterrupted, tmp_path, kind):
    path, whole = tmp_path / "bad.pth", uninterrupted / "multilabel_best.pth"
    content = load_plain(whole)
    if kind == "truncated":
        path.write_bytes(whole.read_bytes()[:5000])
    elif kind == "text":
        path.write_text("hello")
    elif kind == "code":
        torch.save({"weights": Malicious()}, path)
    elif kind == "other":
        torch.save({"a": 1}, path)
    elif kind == "leads":
        save_atomically(path, {**content, "leads": content["leads"][::-1]})
    else:
        save_atomically(path, {**content, "weights": {}})
    with pytest.raises(CheckpointError, match="bad.pth"):
        load_checkpoint(path)


def test_a_missing_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="train_multilabel.py"):
        load_checkpoint(tmp_path / "absent.pth")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.pth"
    save_atomically(path, {"a": 1})
    with pytest.raises(AttributeError):
        save_atomically(path, {"a": lambda: 1})
    assert load_plain(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.pth"]


def test_the_description_of_a_checkpoint_is_complete():
    assert {
        "weights",
        "model",
        "model_arguments",
        "classes",
        "sampling_rate",
        "input_scale",
        "training",
        "seed",
    } <= set(Checkpoint.__dataclass_fields__)


def test_the_auxiliary_head_learns_statements_and_does_not_ship(demo_data, tmp_path):
    arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--name", "run", *FAST]
    assert train_command({"multilabel": MULTILABEL}, "", [*arguments, "--statements", "3"]) == 0
    checkpoint = load_checkpoint(tmp_path / "multilabel_best.pth")
    assert checkpoint.training["statements"] == 3
    assert checkpoint.weights.keys() == create_model("hmt_ecgnet").state_dict().keys()


@pytest.mark.parametrize("model", sorted(ARCHITECTURES))
def test_the_auxiliary_head_sees_what_the_networks_head_sees(model):
    network = create_model(model)
    auxiliary = AuxiliaryHead(network, 7)
    logits = network(torch.randn(4, 12, 250))
    others = auxiliary()
    assert others.shape == (4, 7)
    others.sum().backward()
    shared = [p.grad for name, p in network.named_parameters() if not name.startswith("head")]
    assert all(gradient is not None for gradient in shared) and logits.shape == (4, 5)


def test_statements_count_whatever_their_likelihood_and_rare_ones_are_left_out():
    statements = np.full((40, 3), np.nan)
    statements[:20, 0], statements[:19, 1], statements[20:, 2] = 0.0, 100.0, 50.0
    targets = statement_targets(statements)
    assert targets.shape == (40, 2)
    assert targets[:20].tolist() == [[1.0, 0.0]] * 20 and targets[20:].tolist() == [[0.0, 1.0]] * 20
