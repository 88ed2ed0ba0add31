"""The binary tasks from training to report, on generated data."""

import json
import shutil

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, confusion_matrix, roc_auc_score

import threshold_search
from config import BINARY_RECIPES, BINARY_TASKS, CHECKPOINT_NAMES
from dataset import PTBXLDataset
from ecg.quality import SEVERITIES
from eval_binary import main
from evaluation.predictions import predict_recordings
from files import sha256
from inference.decisions import load_decisions, task_probabilities
from models.checkpoint import load_checkpoint
from training.cli import train_command
from training.transfer import start_from

QUICK = ["--epochs", "2", "--quiet", "--threads", "1"]


@pytest.fixture(scope="module")
def binary(trained, demo_data, tmp_path_factory):
    """--out after both binary tasks were trained, tuned and evaluated on folds 9 and 10."""
    out = tmp_path_factory.mktemp("binary")
    shutil.copy(trained[0] / "multilabel_best.pth", out)
    shared = ["--data", str(demo_data), "--out", str(out)]
    for task in BINARY_TASKS:
        assert train_command(BINARY_RECIPES, "", [*shared, "--task", task, *QUICK]) == 0
        assert threshold_search.main([*shared, "--task", task]) == 0
        assert main([*shared, "--task", task]) == 0
        assert main([*shared, "--task", task, "--split", "test"]) == 0
    return out


@pytest.fixture
def own_out(binary, tmp_path):
    """A directory of its own with the multi-label network and that of MI against NORM."""
    for name in ("mi_best.pth", "multilabel_best.pth"):
        shutil.copy(binary / name, tmp_path)
    return tmp_path


@pytest.fixture
def shared(demo_data, tmp_path):
    return ["--data", str(demo_data), "--out", str(tmp_path)]


@pytest.fixture(params=BINARY_TASKS)
def task(request):
    return request.param


def metrics(out, task, split="val"):
    return json.loads((out / f"{task}_metrics_{split}.json").read_text())


def test_every_file_of_the_contract_is_there(binary):
    for task in BINARY_TASKS:
        for split in ("val", "test"):
            assert (binary / f"{task}_metrics_{split}.json").is_file()
            assert (binary / "predictions" / f"hmt_ecgnet_{task}_{split}.npz").is_file()
            for figure in ("roc", "pr", "reliability", "confusion"):
                assert (binary / "figures" / f"{task}_{figure}_{split}.png").read_bytes()[:4] == b"\x89PNG"


def test_checkpoint_and_thresholds_say_where_they_come_from(binary, task):
    digests = {"binary": sha256(binary / CHECKPOINT_NAMES[task]), "multilabel": sha256(binary / "multilabel_best.pth")}
    checkpoint = load_checkpoint(binary / CHECKPOINT_NAMES[task])
    assert checkpoint.task == task and len(checkpoint.classes) == 1
    assert checkpoint.training["init_sha256"] == digests["multilabel"]
    content = json.loads((binary / f"{task}_thresholds.json").read_text())
    assert set(content["auroc_by_score"]) == {"binary", "multilabel"}
    better = content["score_choice"]["binary_minus_multilabel_auroc"]["ci95"][0] > 0
    assert content["score"] == ("binary" if better else "multilabel")
    assert content["checkpoint_sha256"] == digests[content["score"]]


def test_metrics_equal_scikit_learns(binary, task):
    content = metrics(binary, task)
    with np.load(binary / "predictions" / f"hmt_ecgnet_{task}_val.npz", allow_pickle=False) as arrays:
        targets, scores, positive = (arrays[key][:, 0] for key in ("targets", "probabilities", "positive"))
    macro = content["macro"]
    assert macro["auroc"]["value"] == pytest.approx(roc_auc_score(targets, scores), abs=1e-5)
    assert macro["auprc"]["value"] == pytest.approx(average_precision_score(targets, scores), abs=1e-5)
    assert macro["accuracy"]["value"] == pytest.approx(accuracy_score(targets, positive), abs=1e-5)
    (tn, fp), (fn, tp) = confusion_matrix(targets, positive)
    counts = {"true_positive": tp, "false_positive": fp, "false_negative": fn, "true_negative": tn}
    assert content["confusion"] == counts
    assert {"f1", "sensitivity", "specificity", "ppv", "npv", "brier", "ece"} <= set(macro)


def test_both_networks_are_reported_and_the_chosen_one_is_the_headline(binary, task):
    content = metrics(binary, task)
    assert set(content["by_score"]) == {"binary", "multilabel"}
    chosen = content["by_score"][content["score"]]
    assert chosen["auroc"] == content["macro"]["auroc"] and chosen["f1"] == content["macro"]["f1"]
    assert chosen["checkpoint_sha256"] == content["checkpoint_sha256"]
    assert "f1" not in metrics(binary, task, "test")["by_score"]["binary"]  # no thresholds were kept for both


def test_infarction_is_also_evaluated_against_everything(binary, demo_data):
    everything = metrics(binary, "mi_vs_norm")["mi_against_everything"]
    checkpoint = load_checkpoint(binary / "mi_best.pth")
    recordings = PTBXLDataset(demo_data, "val", "multilabel", checkpoint.input_scale)
    assert everything["n"] == len(recordings)
    assert everything["positives"] == recordings.targets[:, 1].sum()
    scores = predict_recordings(binary / "mi_best.pth", checkpoint, recordings).probabilities[:, 0]
    expected = roc_auc_score(recordings.targets[:, 1], scores)
    assert everything["figures"]["binary, MI against NORM"]["auroc"]["value"] == pytest.approx(expected, abs=1e-5)
    assert "mi_against_everything" not in metrics(binary, "norm_vs_abnormal")


def test_training_starts_from_the_multilabel_networks_own_score(trained, task):
    path = trained[0] / "multilabel_best.pth"
    _, network, input_scale = start_from(path, BINARY_RECIPES[task])
    assert input_scale == load_checkpoint(path).input_scale
    multilabel = load_checkpoint(path).network()
    signals = torch.randn(5, 12, 1000)
    with torch.inference_mode():
        expected = task_probabilities(multilabel.outputs, multilabel(signals).numpy(), task)
        started = network.eval()(signals).numpy()[:, :1]
    np.testing.assert_allclose(started, expected, atol=1e-5)


def test_training_starts_from_random_weights_only_if_asked_to(shared, tmp_path, capsys):
    assert train_command(BINARY_RECIPES, "", [*shared, *QUICK]) == 1
    assert "--init none" in capsys.readouterr().err
    assert train_command(BINARY_RECIPES, "", [*shared, *QUICK, "--init", "none"]) == 0
    assert "fold-9 AUROC" in (printed := capsys.readouterr().out) and "macro" not in printed
    assert load_checkpoint(tmp_path / "mi_best.pth").training["init_sha256"] == ""


def test_a_binary_network_is_no_start_for_another(binary, shared, capsys):
    assert train_command(BINARY_RECIPES, "", [*shared, *QUICK, "--init", str(binary / "mi_best.pth")]) == 1
    assert "--init takes a multi-label network" in capsys.readouterr().err


def test_a_binary_network_alone_is_evaluated_alone(own_out, shared, capsys):
    (own_out / "multilabel_best.pth").unlink()
    assert threshold_search.main([*shared, "--task", "mi_vs_norm"]) == 0
    assert "only the binary network is evaluated" in capsys.readouterr().out
    assert json.loads((own_out / "mi_vs_norm_thresholds.json").read_text())["score"] == "binary"
    assert main(shared) == 0
    assert set(metrics(own_out, "mi_vs_norm")["by_score"]) == {"binary"}


@pytest.mark.parametrize("score", ["binary", "multilabel"])
def test_score_and_sensitivity_floor_can_be_asked_for(own_out, shared, score):
    floor = ["--criterion", "sensitivity", "--sensitivity-floor", "0.95"]
    assert threshold_search.main([*shared, "--task", "mi_vs_norm", "--score", score, *floor]) == 0
    assert main(shared) == 0
    assert metrics(own_out, "mi_vs_norm")["score"] == score
    digests = {"binary": sha256(own_out / "mi_best.pth"), "multilabel": sha256(own_out / "multilabel_best.pth")}
    decisions = load_decisions(own_out / "mi_vs_norm_thresholds.json", "mi_vs_norm", digests)
    with np.load(own_out / "predictions" / "hmt_ecgnet_mi_vs_norm_val.npz", allow_pickle=False) as arrays:
        found = decisions.decide(decisions.calibrate(arrays["probabilities"].astype(float)))
        assert found[arrays["targets"] > 0].mean() >= 0.95


def test_certain_verdicts_and_the_rest_make_up_everything(binary, task):
    content = metrics(binary, task)
    coverage, margin = content["coverage"], content["coverage"]["margin_alone"]
    for verdicts in (coverage, margin):
        shares = verdicts["verdict_certain"]["share"] + verdicts["verdict_uncertain"]["share"]
        assert shares == pytest.approx(1, abs=1e-3)
    assert coverage["verdict_certain"]["share"] <= margin["verdict_certain"]["share"]
    assert coverage["curve"][0]["f1"] == pytest.approx(content["macro"]["f1"]["value"], abs=1e-3)
    with np.load(binary / "predictions" / f"hmt_ecgnet_{task}_val.npz", allow_pickle=False) as arrays:
        severity = arrays["quality"][arrays["labelled"]]
    assert coverage["quality"] == {name: (severity == name).sum() for name in SEVERITIES}
