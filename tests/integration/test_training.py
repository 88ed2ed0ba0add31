"""Training from the command line to the checkpoint, on generated data."""

import math
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from config import BINARY_TASKS, MULTILABEL_RECIPE, PROJECT
from dataset import PTBXLDataset
from ecg.lead_sets import presence
from ecg.statements import CODES
from evaluation.metrics import macro_auroc_and_auprc
from evaluation.predictions import predict_split
from files import sha256
from models import ARCHITECTURES
from models.checkpoint import load_checkpoint, load_plain, save_atomically, save_checkpoint
from models.plain_cnn import PlainCNN
from ptbxl.index import read_index
from tests.support.networks import ALL, narrow_network
from tests.support.training import FAST, same, train
from training import loop
from training.loop import VALIDATED_SETS, validate
from training.objective import make_objective


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


# --------------------------------------------------------------------------- any leads


def test_a_checkpoint_answers_as_well_as_it_did_in_training(uninterrupted, demo_data):
    """What is stored is what was validated: nothing of a network that the moving average must not touch."""
    checkpoint = load_checkpoint(uninterrupted / "multilabel_best.pth")
    split = PTBXLDataset(demo_data, "val", "multilabel", checkpoint.input_scale)
    predicted = predict_split(checkpoint.network(), split, np.arange(len(split)))
    seen = macro_auroc_and_auprc(predicted[split.labelled, :5], split.targets[split.labelled])[0]
    assert seen == pytest.approx(checkpoint.metrics["val_auroc"], abs=1e-6)


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
