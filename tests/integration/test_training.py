"""Training from the command line to the checkpoint, on generated data."""

import math
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from config import BINARY_RECIPES, BINARY_TASKS, MULTILABEL_RECIPE, PROJECT, SUPERCLASSES, TINY
from dataset import PTBXLDataset
from ecg.lead_sets import presence
from ecg.statements import CODES, columns_of_group
from evaluation.metrics import macro_auroc_and_auprc
from evaluation.predictions import predict_split
from files import sha256
from models import ARCHITECTURES, create_model
from models.checkpoint import CheckpointError, load_checkpoint, load_plain, save_atomically, save_checkpoint
from models.plain_cnn import PlainCNN
from ptbxl.index import read_index
from tests.support.networks import ALL, checkpoint_of, narrow_network
from training import loop
from training.cli import train_command
from training.loop import VALIDATED_SETS, best_epoch, stopped_improving, validate
from training.objective import make_objective, statement_weights
from training.promotion import checkpoint_name, next_command, promote
from training.schedule import make_average, make_optimizer, make_schedule
from training.transfer import start_from

FAST = ["--epochs", "3", "--quiet", "--threads", "1", "--deterministic"]


def train(*arguments):
    return train_command({"multilabel": MULTILABEL_RECIPE}, "", [str(argument) for argument in arguments])


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def uninterrupted(demo_data, tmp_path_factory):
    """--out of a finished run of three epochs."""
    out = tmp_path_factory.mktemp("uninterrupted")
    assert train("--data", demo_data, "--out", out, "--name", "run", *FAST) == 0
    return out


@pytest.mark.parametrize(("seed", "expected"), [(0, True), (1, False)])
def test_a_run_repeats_exactly_and_another_seed_does_not(uninterrupted, demo_data, tmp_path, seed, expected):
    assert train("--data", demo_data, "--out", tmp_path, "--name", "run", "--seed", seed, *FAST) == 0
    networks = [load_plain(out / "runs" / "run" / "last.pth")["network"] for out in (uninterrupted, tmp_path)]
    assert same(*networks) is expected


@pytest.mark.parametrize("epochs_before_kill", [0, 2])
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
    best = [load_checkpoint(out / "multilabel_best.pth") for out in (uninterrupted, tmp_path)]
    assert same(best[0].weights, best[1].weights)
    last = [load_plain(out / "runs" / "run" / "last.pth") for out in (uninterrupted, tmp_path)]
    assert same(last[0]["network"], last[1]["network"]) and same(last[0]["average"], last[1]["average"])
    for name in ("loss", "learning_rate"):
        assert [row[name] for row in last[0]["history"]] == [row[name] for row in last[1]["history"]]


def epochs_done(log):
    return len(log.read_text().splitlines()) - 1 if log.is_file() else 0


def test_ctrl_c_leaves_a_usable_run(demo_data, tmp_path, monkeypatch, capsys):
    calls = []

    def interrupt_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validate(*arguments)

    monkeypatch.setattr(loop, "validate", interrupt_the_second)
    arguments = ["--data", demo_data, "--out", tmp_path, "--name", "run", *FAST]
    assert train(*arguments) == 130
    assert "--resume" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "runs" / "run" / "best.pth").epoch == 1
    monkeypatch.undo()
    assert train(*arguments, "--resume") == 0
    assert epochs_done(tmp_path / "runs" / "run" / "log.csv") == 3


@pytest.fixture
def finished(uninterrupted, tmp_path):
    """A copy of the finished run that the test may damage."""
    return shutil.copytree(uninterrupted, tmp_path / "finished")


def test_a_finished_run_is_not_overwritten_unasked(finished, demo_data, capsys):
    last = finished / "runs" / "run" / "last.pth"
    before = last.read_bytes()
    arguments = ["--data", demo_data, "--out", finished, "--name", "run", *FAST]
    assert train(*arguments) == 1
    assert "--restart" in capsys.readouterr().err
    assert train(*arguments, "--resume", "--noise", "0.3") == 1
    assert "another noise" in capsys.readouterr().err
    assert last.read_bytes() == before


@pytest.mark.parametrize("fold", [1, 9])
def test_a_run_is_not_resumed_with_other_data(finished, own_data, capsys, fold):
    table = pd.read_csv(own_data / "ptbxl_database.csv")
    table.loc[table.index[table["strat_fold"] == fold][0], "scp_codes"] = "{'LVH': 100.0}"
    table.to_csv(own_data / "ptbxl_database.csv", index=False)
    before = (finished / "multilabel_best.pth").read_bytes()
    assert train("--data", own_data, "--out", finished, "--name", "run", "--resume", *FAST) == 1
    error = capsys.readouterr().err
    assert f"another data of fold {fold}:" in error and "--data" in error
    assert (finished / "multilabel_best.pth").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"input_scale": 0.5}, "another input scale"),
        ({"input_scale": None, "data_sha256": None}, "of an earlier version"),
    ],
)
def test_a_run_of_another_scale_or_of_unknown_data_is_not_resumed(finished, demo_data, capsys, change, sentence):
    last = finished / "runs" / "run" / "last.pth"
    content = load_plain(last) | change
    save_atomically(last, {name: value for name, value in content.items() if value is not None})
    assert train("--data", demo_data, "--out", finished, "--name", "run", "--resume", *FAST) == 1
    assert sentence in capsys.readouterr().err


def test_a_run_logs_its_progress_and_its_checkpoint_says_where_it_came_from(uninterrupted, tmp_path):
    log = pd.read_csv(uninterrupted / "runs" / "run" / "log.csv")
    assert list(log["epoch"]) == [1, 2, 3] and log["loss"].is_monotonic_decreasing
    assert (log[["records_per_s", "learning_rate", "peak_memory_mb"]] > 0).all(axis=None)
    assert (uninterrupted / "runs" / "run" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    checkpoint = load_checkpoint(uninterrupted / "multilabel_best.pth")
    assert checkpoint.metrics["val_score"] == pytest.approx(log["val_score"].max())
    np.testing.assert_allclose(log["val_score"], (log["val_auroc"] + log["val_statements_auroc"]) / 2)
    assert checkpoint.synthetic and checkpoint.task == "multilabel" and 0 < checkpoint.input_scale < 2
    assert set(checkpoint.data_sha256) == set(range(1, 10))
    assert {"processor", "instruction_set", "threads"} <= set(checkpoint.machine)
    assert checkpoint.training["statement_weight"] == MULTILABEL_RECIPE.statement_weight > 0
    assert (checkpoint.statements, checkpoint.binary_tasks, checkpoint.branch) == (CODES, BINARY_TASKS, True)
    assert 0 < log["val_statements_auroc"].max() <= 1
    save_checkpoint(tmp_path / "copy.pth", checkpoint)
    copy = load_checkpoint(tmp_path / "copy.pth")
    assert same(checkpoint.weights, copy.weights)
    assert copy.training == checkpoint.training and copy.data_sha256 == checkpoint.data_sha256


# --------------------------------------------------------------------------- where the best checkpoint goes


@pytest.fixture
def shipped(finished, monkeypatch):
    """The finished run in the project's artifacts/, beside a shipped checkpoint."""
    directory = finished.rename(finished.parent / "artifacts")
    (directory / "multilabel_best.pth").write_bytes(b"shipped")
    monkeypatch.setattr("training.cli.DEFAULT_OUT", directory)
    monkeypatch.setattr("training.promotion.DEFAULT_OUT", directory)
    monkeypatch.chdir(directory.parent)
    (directory.parent / "link").symlink_to(directory, target_is_directory=True)
    return directory / "multilabel_best.pth"


@pytest.mark.parametrize(
    "out", [None, "artifacts", "./artifacts", "artifacts/", "artifacts/../artifacts", "link", "link/", "ABSOLUTE"]
)
def test_a_shipped_checkpoint_is_kept_without_promote_however_out_is_spelt(shipped, demo_data, capsys, out):
    spelt = [] if out is None else ["--out", str(shipped.parent) if out == "ABSOLUTE" else out]
    arguments = ["--data", demo_data, *spelt, "--name", "run", "--resume", *FAST]
    assert train(*arguments) == 0
    printed = capsys.readouterr().out
    assert shipped.read_bytes() == b"shipped" and "--promote" in printed
    words = shlex.split(printed.splitlines()[-1])
    checkpoint, out = words[words.index("--checkpoint") + 1], words[words.index("--out") + 1]
    assert load_checkpoint(checkpoint).epoch >= 1 and load_checkpoint(f"{out}/best.pth").epoch >= 1
    assert train(*arguments, "--promote") == 0
    assert load_checkpoint(shipped).epoch >= 1


@pytest.mark.parametrize(
    ("task", "model", "name"),
    [
        ("multilabel", TINY, "multilabel_tiny.pth"),
        ("multilabel", "resnet1d", "resnet_baseline.pth"),
        ("multilabel", "plain_cnn", "plain_cnn_baseline.pth"),
        ("mi_vs_norm", "hmt_ecgnet", "mi_best.pth"),
        ("norm_vs_abnormal", "hmt_ecgnet", "abnormal_best.pth"),
    ],
)
def test_every_kind_of_shipped_checkpoint_is_kept_and_other_directories_are_not(shipped, tmp_path, task, model, name):
    config = replace({"multilabel": MULTILABEL_RECIPE, **BINARY_RECIPES}[task], model=model)
    assert checkpoint_name(config) == name
    run, kept, out = shipped.parent / "runs" / "run", shipped.with_name(name), tmp_path / "elsewhere"
    kept.write_bytes(b"shipped")
    out.mkdir()
    (out / name).write_bytes(b"mine")
    assert promote(config, run, shipped.parent, replace_shipped=False) is None
    assert kept.read_bytes() == b"shipped"
    assert promote(config, run, out, replace_shipped=False) == out / name
    assert promote(config, run, shipped.parent, replace_shipped=True) == kept
    assert load_checkpoint(out / name).epoch == load_checkpoint(kept).epoch >= 1


def test_a_kept_binary_network_is_still_compared_with_the_multilabel_one(shipped):
    run = shipped.parent / "runs" / "a run"
    words = shlex.split(next_command(BINARY_RECIPES["mi_vs_norm"], run, shipped.parent, None, None))
    assert words[words.index("--multilabel") + 1] == str(shipped)
    assert words[words.index("--checkpoint") + 1] == str(run / "best.pth")


def test_the_baseline_goes_through_the_same_loop(demo_data, tmp_path):
    arguments = ["--data", demo_data, "--out", tmp_path, "--model", "resnet1d", "--epochs", "1", "--loss", "asymmetric"]
    assert train(*arguments, "--quiet", "--threads", "1") == 0
    checkpoint = load_checkpoint(tmp_path / "resnet_baseline.pth")
    assert checkpoint.model == "resnet1d" and checkpoint.training["loss"] == "asymmetric"
    assert not (tmp_path / "multilabel_best.pth").exists()


# --------------------------------------------------------------------------- what can go wrong


def test_a_diverging_run_stops_with_advice(demo_data, tmp_path, capsys):
    assert train("--data", demo_data, "--out", tmp_path, "--learning-rate", "1e38", "--quiet") == 1
    assert "--learning-rate" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_without_data_leaves_no_folder(tmp_path):
    assert train("--data", tmp_path / "absent", "--out", tmp_path / "out") == 1
    assert not list(tmp_path.iterdir())


def test_ctrl_c_before_the_first_epoch_is_done_leaves_nothing_and_says_so(demo_data, tmp_path, monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "validate", interrupt)
    assert train("--data", demo_data, "--out", tmp_path, *FAST) == 130
    assert "nothing was saved" in capsys.readouterr().out and not list(tmp_path.iterdir())


def test_training_on_a_part_takes_whole_patients_drawn_by_the_seed(demo_data, tmp_path, capsys):
    everything = PTBXLDataset(demo_data, "train", input_scale=0.2)
    part, same_seed, other = (everything.of_random_patients(40, seed) for seed in (0, 0, 1))
    assert 40 <= len(part) < 50 and np.array_equal(part.ecg_ids, same_seed.ecg_ids)
    assert set(part.ecg_ids) != set(other.ecg_ids)
    left_out = np.isin(everything.ecg_ids, part.ecg_ids, invert=True)
    assert not set(part.patient_ids) & set(everything.patient_ids[left_out])
    assert len(everything.of_random_patients(10_000, 0)) == len(everything)
    arguments = ["--data", demo_data, "--out", tmp_path, *FAST]
    assert train(*arguments, "--records", 40) == 0
    assert f"{len(part)} recordings to train on" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "multilabel_best.pth").training["records"] == 40
    (run,) = (tmp_path / "runs").iterdir()
    assert train(*arguments, "--records", 50, "--name", run.name, "--resume") == 1
    assert "another records" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (lambda classes: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3000, classes)), "self.head"),
        (lambda: PlainCNN(), "classes"),
        (lambda classes: PlainCNN(classes + 1), "(2, 79) for two recordings instead of (2, 78)"),
    ],
    ids=["no head", "no classes", "other classes"],
)
def test_an_architecture_that_does_not_fit_is_refused_with_a_sentence(
    demo_data, tmp_path, monkeypatch, capsys, network, sentence
):
    monkeypatch.setitem(ARCHITECTURES, "mine", network)
    assert train("--data", demo_data, "--out", tmp_path, "--model", "mine", *FAST) == 1
    assert "error: the network 'mine'" in (printed := capsys.readouterr().err) and sentence in printed
    assert not list(tmp_path.iterdir())


def test_an_architecture_that_is_listed_trains(demo_data, tmp_path, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "mine", lambda classes: PlainCNN(classes))
    assert train("--data", demo_data, "--out", tmp_path, "--model", "mine", *FAST) == 0
    assert load_checkpoint(tmp_path / "mine_baseline.pth").model == "mine"


@pytest.mark.parametrize(
    ("flag", "value"),
    [("epochs", 0), ("batch-size", 0), ("window-s", 20), ("warm-up", 1), ("noise", -1), ("stride-s", 0)],
)
def test_a_value_that_cannot_be_trained_with_is_refused(tmp_path, capsys, flag, value):
    with pytest.raises(SystemExit):
        train("--out", tmp_path, f"--{flag}", value)
    assert f"{flag.replace('-', '_')} is {value}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("missing", "sentence"), [("HYP", "left out of its AUROC: HYP"), ("all", "there is no AUROC")])
def test_classes_without_positives_in_fold_9_do_not_cost_the_run(own_data, tmp_path, capsys, missing, sentence):
    index, table = read_index(own_data), pd.read_csv(own_data / "ptbxl_database.csv")
    rows = index.folds == 9
    if missing == "HYP":
        rows &= index.superclasses[:, 4] > 0
    table.loc[rows, "scp_codes"] = "{'NORM': 100.0}"
    table.to_csv(own_data / "ptbxl_database.csv", index=False)
    assert train("--data", own_data, "--out", tmp_path, "--name", "run", "--patience", "1", *FAST) == 0
    assert sentence in capsys.readouterr().out
    checkpoint = load_checkpoint(tmp_path / "multilabel_best.pth")
    assert math.isnan(checkpoint.metrics["val_auroc"]) is (missing == "all")
    assert missing == "HYP" or checkpoint.epoch == 3


@pytest.mark.parametrize(
    ("scores", "best", "stopped"),
    [
        ([0.8, 0.9, 0.89, 0.88], 1, True),
        ([0.8, 0.9, 0.89], 1, False),
        ([0.8, 0.9, 0.7, 0.9], 3, False),
        ([math.nan] * 4, 3, False),
    ],
)
def test_the_best_epoch_is_the_last_of_the_highest_and_patience_counts_from_it(scores, best, stopped):
    history = [{"val_score": score} for score in scores]
    assert best_epoch(history) == best and stopped_improving(history, 2) is stopped
    assert not stopped_improving([], 1)


# --------------------------------------------------------------------------- schedule and moving average


@pytest.mark.parametrize("warm_up", [0.0, 0.15])
def test_the_learning_rate_follows_the_closed_form(warm_up):
    config, steps = replace(MULTILABEL_RECIPE, warm_up=warm_up), 100
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule = make_schedule(optimizer, config, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    x = np.arange(steps) / steps
    falling = 0.5 + 0.5 * np.cos(np.pi * (x - warm_up) / (1 - warm_up))
    rising = 0.04 + 0.96 * (0.5 - 0.5 * np.cos(np.pi * x / warm_up)) if warm_up else falling
    np.testing.assert_allclose(rates, config.learning_rate * np.where(x < warm_up, rising, falling), rtol=1e-12)


def test_the_average_of_weights_and_batch_statistics_follows_the_closed_form():
    torch.manual_seed(0)
    network = create_model("hmt_ecgnet").train()
    average = make_average(network, decay=0.3)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(5):
        network(torch.randn(16, 12, 250) * 3 + 1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1
        average.update_parameters(network)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * value for name, value in network.state_dict().items()}
    assert not average.module.training
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name])
    assert (average.module.stem[1].running_mean != network.stem[1].running_mean).any()


def test_only_matrices_are_decayed():
    network = create_model("hmt_ecgnet")
    decayed, spared = make_optimizer(network, replace(MULTILABEL_RECIPE, weight_decay=0.1)).param_groups
    assert decayed["weight_decay"] == 0.1 and spared["weight_decay"] == 0
    assert all(p.ndim > 1 for p in decayed["params"]) and all(p.ndim == 1 for p in spared["params"])


# --------------------------------------------------------------------------- checkpoint files


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def without_head(content):
    weights = {name: value for name, value in content["weights"].items() if not name.startswith("trunk.head")}
    return {**content, "weights": weights}


DAMAGE = {
    "of another project": (lambda content: {"state_dict": content["weights"]}, "it lacks classes"),
    "a list": (lambda content: [1], "it holds a list"),
    "a state to resume from": (lambda content: {"network": {}, "optimizer": {}}, "best.pth"),
    "a later version's": (lambda content: {**content, "colour": 1}, "it also holds colour"),
    "an unknown architecture": (lambda content: {**content, "model": "transformer"}, "'transformer', not one of"),
    "an unknown task": (lambda content: {**content, "task": "beats"}, "its task is 'beats'"),
    "other classes": (lambda content: {**content, "classes": ["MI"]}, "its classes are MI"),
    "another lead order": (lambda content: {**content, "leads": content["leads"][::-1]}, "its leads are V6"),
    "no head": (without_head, "its weights lack the last layer, trunk.head.weight, trunk.head.bias"),
    "wrong sizes": (
        lambda content: {**content, "model_arguments": {"classes": 78, "heart_channels": 8}},
        "its weights do not fit its architecture, hmt_ecgnet",
    ),
    "unknown arguments": (lambda content: {**content, "model_arguments": {"depth": 3}}, "do not fit its architecture"),
    "unknown statements": (lambda content: {**content, "statements": ["XYZ"]}, "its statements hold XYZ"),
    "fewer statements": (lambda content: {**content, "statements": ["AFIB"]}, "do not fit its architecture"),
    "no branch": (lambda content: {**content, "branch": False}, "do not fit its architecture"),
    "a wrong type": (lambda content: {**content, "leads": 5}, "wrong type"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_not_our_checkpoint_is_refused_in_one_sentence(uninterrupted, tmp_path, kind):
    damage, sentence = DAMAGE[kind]
    path = tmp_path / "bad.pth"
    save_atomically(path, damage(load_plain(uninterrupted / "multilabel_best.pth")))
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(path)
    message = str(refused.value)
    assert message.startswith(f"{path} is not a checkpoint of this project: ") and sentence in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path, whole: path.write_bytes(whole[:5000]), "bad.pth cannot be read"),
        (lambda path, whole: path.write_text("101"), "bad.pth is not a checkpoint: "),
        (lambda path, whole: path.write_bytes(b""), "bad.pth is not a checkpoint: "),
        (lambda path, whole: torch.save({"weights": Malicious()}, path), "more than weights and plain values"),
        (lambda path, whole: None, "train_multilabel.py"),
    ],
    ids=["truncated", "text", "empty", "code", "missing"],
)
def test_a_damaged_file_is_refused_and_never_executed(uninterrupted, tmp_path, write, sentence):
    write(tmp_path / "bad.pth", (uninterrupted / "multilabel_best.pth").read_bytes())
    with pytest.raises(CheckpointError, match=sentence) as refused:
        load_checkpoint(tmp_path / "bad.pth")
    assert "\n" not in str(refused.value)


def test_settings_of_earlier_checkpoints_are_found_by_their_present_names(uninterrupted, tmp_path):
    content = load_plain(uninterrupted / "multilabel_best.pth")
    for earlier in ("statements", "auxiliary_weight"):
        save_atomically(tmp_path / "earlier.pth", {**content, "training": {earlier: 2.0, "epochs": 7}})
        assert load_checkpoint(tmp_path / "earlier.pth").training == {"statement_weight": 2.0, "epochs": 7}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.pth"
    save_atomically(path, {"a": 1})
    with pytest.raises(AttributeError):
        save_atomically(path, {"a": lambda: 1})
    assert load_plain(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.pth"]


# --------------------------------------------------------------------------- statements and branch


def test_statements_binary_tasks_and_branch_can_be_left_out(demo_data, tmp_path):
    out = ["--data", demo_data, "--out", tmp_path, "--epochs", "1", "--quiet", "--threads", "1"]
    assert train(*out, "--statement-weight", 0, "--binary-weight", 0, "--no-branch") == 0
    checkpoint = load_checkpoint(tmp_path / "multilabel_best.pth")
    assert (checkpoint.outputs.lengths, checkpoint.branch) == ((5, 0, 0), False)
    assert {name.split(".")[0] for name in checkpoint.weights} == {"trunk"}
    assert checkpoint.network()(torch.zeros(1, 12, 1000)).shape == (1, len(SUPERCLASSES))


@pytest.mark.parametrize("weight", [20.0, 0.0])
@pytest.mark.parametrize("task", BINARY_TASKS)
def test_a_binary_network_starts_where_the_multilabel_one_is(uninterrupted, demo_data, task, weight):
    path = uninterrupted / "multilabel_best.pth"
    config, binary, input_scale = start_from(path, replace(BINARY_RECIPES[task], statement_weight=weight))
    multilabel = load_checkpoint(path).network()
    assert config.branch and input_scale == load_checkpoint(path).input_scale
    assert binary.outputs.lengths == (1, 71 if weight else 0, 0)
    signals = torch.from_numpy(PTBXLDataset(demo_data, "val", task, input_scale).signals([0, 1, 2]))
    with torch.inference_mode():
        statistics = multilabel.statistics(signals)
        ours, theirs = (one.eval().window_logits(signals[:, :, :250], statistics) for one in (binary, multilabel))
    norm, mi = theirs[:, SUPERCLASSES.index("NORM")], theirs[:, SUPERCLASSES.index("MI")]
    torch.testing.assert_close(ours[:, 0], mi - norm if task == "mi_vs_norm" else -norm, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours[:, 1:], theirs[:, 5:76] if weight else theirs[:, :0], atol=1e-4, rtol=1e-4)


def test_a_binary_network_is_trained_from_one_without_statements_and_branch(demo_data, tmp_path):
    save_checkpoint(tmp_path / "multilabel_best.pth", checkpoint_of(narrow_network()))
    arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--task", "mi_vs_norm", "--epochs", "1", "--quiet"]
    assert train_command(BINARY_RECIPES, "", arguments) == 0
    checkpoint = load_checkpoint(tmp_path / "mi_best.pth")
    assert (checkpoint.outputs.lengths, checkpoint.branch) == ((1, 0, 0), False)


@pytest.fixture(scope="module")
def objective(demo_data):
    """The losses of a narrow network on the generated data, and the training recordings."""
    train_split = PTBXLDataset(demo_data, "train")
    return make_objective(narrow_network(ALL, branch=True), train_split, MULTILABEL_RECIPE), train_split


def test_a_binary_output_learns_nothing_from_recordings_outside_its_task(objective):
    made, split = objective
    superclasses = split.superclasses > 0
    norm, mi = superclasses[:, 0], superclasses[:, 1]
    outside = np.flatnonzero(norm == mi)[:8]
    assert len(outside) and not made.binary_mask[outside, 0].any()
    assert made.binary_mask[np.flatnonzero(norm != mi), 0].all()
    gradient = head_gradient(made, split, outside)
    assert not gradient[5 + 71].any() and gradient[:76].any(axis=1).all()
    labelled = np.flatnonzero(superclasses.any(1))[:8]
    assert head_gradient(made, split, labelled)[5 + 72].any()


def head_gradient(made, split, batch):
    made.network.zero_grad()
    signals = torch.from_numpy(split.signals(batch)[:, :, :250])
    made.loss(signals, torch.from_numpy(split.targets[batch]), batch, False, torch.Generator()).backward()
    return made.network.trunk.head.weight.grad.numpy().copy()


def test_the_branch_sees_whole_recordings_while_the_trunk_sees_crops(objective):
    made, split = objective
    signals = torch.from_numpy(split.signals([3, 30]))
    torch.testing.assert_close(made.statistics[[3, 30]], made.network.statistics(signals))
    assert (made.statistics[3] - made.network.statistics(signals[:1, :, :300])[0]).abs().max() > 0.1


def test_statements_are_learnt_whatever_their_likelihood(objective):
    made, split = objective
    column = split.statement_table.index.get_loc("SR")
    there = ~np.isnan(split.statements[:, column])
    assert there.any() and np.array_equal(made.statements[:, CODES.index("SR")].numpy() > 0, there)


def test_a_recording_without_any_statement_of_form_counts_less_for_those_of_form_alone(objective):
    made, _ = objective
    rows = np.flatnonzero(~made.statements[:, columns_of_group("form")].bool().any(1).numpy())
    others = np.flatnonzero(made.statements[:, columns_of_group("form")].bool().any(1).numpy())
    assert len(rows) and len(others)
    trust = made.trust(torch.from_numpy(rows[:2]))
    alone = [k for k in columns_of_group("form") if k not in columns_of_group("diagnostic")]
    rest = [k for k in range(len(CODES)) if k not in alone]
    assert (trust[:, alone] == MULTILABEL_RECIPE.form_unlabelled).all() and (trust[:, rest] == 1).all()
    assert (made.trust(torch.from_numpy(others[:2])) == 1).all()


@pytest.mark.parametrize("balance", [0.0, 0.2, 0.5])
def test_the_weights_of_statements_keep_the_weight_of_the_whole(balance):
    made = torch.zeros(1000, 4)
    made[:400, 0] = made[:40, 1] = made[:10, 2] = 1
    config = replace(MULTILABEL_RECIPE, statement_balance=balance, statement_weight=7.0)
    weights = statement_weights(made, config)
    share = torch.tensor([0.4, 0.04, 0.01, 0.005])  # one that was never made counts as one of five recordings
    entropy = -(share * share.log() + (1 - share) * (1 - share).log())
    assert (weights * entropy).sum() / entropy.sum() == pytest.approx(7, rel=1e-4)
    ratio = (share[2] * (1 - share[2]) / (share[0] * (1 - share[0]))) ** -balance
    assert weights[2] / weights[0] == pytest.approx(ratio.item(), rel=1e-4)


# -- Any leads --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def any_leads(uninterrupted, demo_data, tmp_path_factory):
    """--out of an any-leads run of two epochs with the network of the uninterrupted run for its teacher."""
    out = tmp_path_factory.mktemp("any_leads")
    teacher = ["--teacher", uninterrupted / "multilabel_best.pth", "--teacher-weight", "0.5"]
    assert train("--leads", "any", "--data", demo_data, "--out", out, *teacher, *FAST, "--epochs", "2") == 0
    return out


def test_any_leads_are_trained_by_a_recipe_of_their_own(any_leads, uninterrupted, demo_data):
    checkpoint = load_checkpoint(any_leads / "anylead_best.pth")
    assert checkpoint.model == "hmt_ecgnet_anylead" and checkpoint.training["leads"] == "any"
    assert checkpoint.training["teacher_sha256"] == sha256(uninterrupted / "multilabel_best.pth")
    log = pd.read_csv(any_leads / "runs" / "multilabel_hmt_ecgnet_anylead_seed0" / "log.csv")
    sets = [f"val_auroc_{name}" for name in VALIDATED_SETS]
    np.testing.assert_allclose(log["val_auroc"], log[sets].mean(axis=1))
    network, split = checkpoint.network(), PTBXLDataset(demo_data, "val", "multilabel", checkpoint.input_scale)
    predicted = predict_split(network, split, np.arange(len(split)), presence("I", split.ecg_ids))
    seen = macro_auroc_and_auprc(predicted[split.labelled, :5], split.targets[split.labelled])[0]
    assert seen == pytest.approx(log["val_auroc_I"][checkpoint.epoch - 1], abs=1e-6)


def test_a_killed_any_leads_run_goes_on_as_if_it_had_not_been(
    any_leads, uninterrupted, demo_data, tmp_path, monkeypatch
):
    def stop_after_the_first(*arguments):
        raise KeyboardInterrupt

    arguments = ["--leads", "any", "--data", demo_data, "--out", tmp_path, *FAST, "--epochs", "2"]
    arguments += ["--teacher", uninterrupted / "multilabel_best.pth", "--teacher-weight", "0.5"]
    monkeypatch.setattr(loop, "print_epoch", stop_after_the_first)
    assert train(*[argument for argument in arguments if argument != "--quiet"]) == 130
    monkeypatch.undo()
    assert train(*arguments, "--resume") == 0
    networks = [
        load_plain(out / "runs" / "multilabel_hmt_ecgnet_anylead_seed0" / "last.pth")["network"]
        for out in (any_leads, tmp_path)
    ]
    assert same(*networks)


def test_the_teacher_takes_the_place_of_labels_as_far_as_its_weight_says(demo_data):
    split = PTBXLDataset(demo_data, "train").first(8)
    teacher = narrow_network(ALL, branch=True)
    objective = make_objective(narrow_network(ALL), split, replace(MULTILABEL_RECIPE, teacher_weight=0.25), teacher)
    signals, labels = torch.from_numpy(split.signals(np.arange(8))[:, :, :250]), torch.zeros(8, len(ALL))
    statistics = objective.statistics.new_zeros(8, 41)
    with torch.no_grad():
        answers = teacher.window_logits(signals, statistics).sigmoid()
    torch.testing.assert_close(objective.taught(labels, signals, statistics), 0.25 * answers)
    assert torch.equal(replace(objective, teacher=None).taught(labels, signals, statistics), labels)


def test_a_teacher_that_cannot_teach_is_refused(uninterrupted, demo_data, tmp_path, capsys):
    common = ["--leads", "any", "--data", demo_data, "--out", tmp_path, *FAST, "--teacher-weight", "0.5"]
    assert train(*common) == 1
    assert "no checkpoint at" in capsys.readouterr().err
    teacher = ["--teacher", uninterrupted / "multilabel_best.pth"]
    assert train(*common, *teacher, "--statement-weight", "0") == 1
    assert "other outputs" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
