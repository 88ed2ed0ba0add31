"""The binary tasks from training to report, on generated data."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, confusion_matrix, roc_auc_score

import threshold_search
from config import BINARY_RECIPES, BINARY_TASKS
from dataset import PTBXLDataset
from ecg.quality import SEVERITIES
from eval_binary import main
from evaluation.predictions import predict_recordings
from evaluation.results import confusion
from files import sha256
from inference.decisions import load_decisions, multilabel_score
from models import create_model
from models.checkpoint import load_checkpoint
from training.cli import train_command
from training.transfer import start_from

QUICK = ["--epochs", "2", "--quiet", "--threads", "1"]


def out_with(multilabel, directory):
    directory.mkdir()
    (directory / "multilabel_best.pth").write_bytes((multilabel / "multilabel_best.pth").read_bytes())
    return directory


@pytest.fixture(scope="module")
def binary(trained, demo_data, tmp_path_factory):
    """--out after both binary tasks were trained, tuned and evaluated on folds 9 and 10."""
    out = out_with(trained[0], tmp_path_factory.mktemp("binary") / "out")
    shared = ["--data", str(demo_data), "--out", str(out)]
    for task in BINARY_TASKS:
        assert train_command(BINARY_RECIPES, "", [*shared, "--task", task, *QUICK]) == 0
        assert threshold_search.main([*shared, "--task", task]) == 0
        assert main([*shared, "--task", task]) == 0
        assert main([*shared, "--task", task, "--split", "test"]) == 0
    return out


@pytest.fixture(params=BINARY_TASKS)
def task(request):
    return request.param


def metrics(out, task, split="val"):
    return json.loads((out / f"{task}_metrics_{split}.json").read_text())


def test_every_file_of_the_contract_is_there(binary):
    assert {"mi_best.pth", "abnormal_best.pth"} <= {path.name for path in binary.iterdir()}
    for task in BINARY_TASKS:
        for split in ("val", "test"):
            assert (binary / f"{task}_metrics_{split}.json").is_file()
            assert (binary / "predictions" / f"hmt_ecgnet_{task}_{split}.npz").is_file()
            for figure in ("roc", "pr", "reliability", "confusion"):
                assert (binary / "figures" / f"{task}_{figure}_{split}.png").read_bytes()[:4] == b"\x89PNG"


def test_the_checkpoint_remembers_what_it_started_from(binary, task):
    name = {"mi_vs_norm": "mi_best.pth", "norm_vs_abnormal": "abnormal_best.pth"}[task]
    checkpoint = load_checkpoint(binary / name)
    assert checkpoint.task == task and len(checkpoint.classes) == 1
    assert checkpoint.training["init_sha256"] == sha256(binary / "multilabel_best.pth")


def test_the_thresholds_say_why_they_name_a_score(binary, task):
    content = json.loads((binary / f"{task}_thresholds.json").read_text())
    assert set(content["auroc_by_score"]) == {"binary", "multilabel"}
    better = content["score_choice"]["binary_minus_multilabel_auroc"]["ci95"][0] > 0
    assert content["score"] == ("binary" if better else "multilabel")
    checkpoint = {"multilabel": "multilabel_best.pth", "binary": load_name(task)}[content["score"]]
    assert content["checkpoint_sha256"] == sha256(binary / checkpoint)


def load_name(task):
    return {"mi_vs_norm": "mi_best.pth", "norm_vs_abnormal": "abnormal_best.pth"}[task]


def test_metrics_equal_scikit_learns(binary, task):
    content = metrics(binary, task)
    with np.load(binary / "predictions" / f"hmt_ecgnet_{task}_val.npz", allow_pickle=False) as arrays:
        targets, scores, positive = (arrays[key][:, 0] for key in ("targets", "probabilities", "positive"))
    macro = content["macro"]
    assert macro["auroc"]["value"] == pytest.approx(roc_auc_score(targets, scores), abs=1e-5)
    assert macro["auprc"]["value"] == pytest.approx(average_precision_score(targets, scores), abs=1e-5)
    assert macro["accuracy"]["value"] == pytest.approx(accuracy_score(targets, positive), abs=1e-5)
    (tn, fp), (fn, tp) = confusion_matrix(targets, positive)
    assert content["confusion"] == {
        "true_positive": tp,
        "false_positive": fp,
        "false_negative": fn,
        "true_negative": tn,
    }
    for key in ("f1", "sensitivity", "specificity", "ppv", "npv", "brier", "ece"):
        assert key in macro


def test_both_networks_are_reported_and_the_chosen_one_is_the_headline(binary, task):
    content = metrics(binary, task)
    assert set(content["by_score"]) == {"binary", "multilabel"}
    chosen = content["by_score"][content["score"]]
    assert chosen["auroc"] == content["macro"]["auroc"] and chosen["f1"] == content["macro"]["f1"]
    assert chosen["checkpoint_sha256"] == content["checkpoint_sha256"]
    assert "f1" not in metrics(binary, task, "test")["by_score"]["binary"]  # no thresholds were kept for both


def test_infarction_is_also_evaluated_against_everything(binary, demo_data):
    everything = metrics(binary, "mi_vs_norm")["mi_against_everything"]
    recordings = PTBXLDataset(demo_data, "val")
    assert everything["n"] == len(recordings)
    assert everything["positives"] == recordings.targets[:, 1].sum()
    assert "never saw" in everything["limit"]
    checkpoint = load_checkpoint(binary / "mi_best.pth")
    recordings = PTBXLDataset(demo_data, "val", "multilabel", checkpoint.input_scale)
    scores = predict_recordings(binary / "mi_best.pth", checkpoint, recordings).probabilities[:, 0]
    expected = roc_auc_score(recordings.targets[:, 1], scores)
    assert everything["figures"]["binary, MI against NORM"]["auroc"]["value"] == pytest.approx(expected, abs=1e-5)
    assert "mi_against_everything" not in metrics(binary, "norm_vs_abnormal")


def test_training_starts_from_the_multilabel_networks_own_score(trained, task):
    path = trained[0] / "multilabel_best.pth"
    _, network, input_scale = start_from(path, BINARY_RECIPES[task])
    assert input_scale == load_checkpoint(path).input_scale
    multilabel = load_checkpoint(path).network()
    signals = torch.randn(5, 12, 250)
    with torch.inference_mode():
        probabilities = torch.sigmoid(multilabel(signals)).double().numpy()
        started = torch.sigmoid(network.eval()(signals)).numpy()
    np.testing.assert_allclose(started, multilabel_score(probabilities, task), atol=1e-4)


def test_the_first_and_the_second_way_to_start_differ(trained, demo_data, tmp_path):
    shared = ["--data", str(demo_data), "--out", str(tmp_path), "--epochs", "1", "--quiet", "--threads", "1"]
    assert train_command(BINARY_RECIPES, "", [*shared, "--init", "none"]) == 0
    assert load_checkpoint(tmp_path / "mi_best.pth").training["init_sha256"] == ""


def test_without_a_network_to_start_from_the_way_out_is_named(demo_data, tmp_path, trained, capsys):
    shared = ["--data", str(demo_data), "--out", str(tmp_path), *QUICK]
    assert train_command(BINARY_RECIPES, "", shared) == 1
    assert "--init none" in capsys.readouterr().err
    network = create_model("hmt_ecgnet", classes=1)
    assert network(torch.zeros(1, 12, 250)).shape == (1, 1)


def test_a_binary_network_is_no_start_for_another(binary, demo_data, tmp_path, capsys):
    shared = ["--data", str(demo_data), "--out", str(tmp_path), *QUICK]
    assert train_command(BINARY_RECIPES, "", [*shared, "--init", str(binary / "mi_best.pth")]) == 1
    assert "--init takes a multi-label network" in capsys.readouterr().err


def test_a_binary_network_alone_is_evaluated_alone(binary, demo_data, tmp_path, capsys):
    (tmp_path / "mi_best.pth").write_bytes((binary / "mi_best.pth").read_bytes())
    shared = ["--data", str(demo_data), "--out", str(tmp_path)]
    assert threshold_search.main([*shared, "--task", "mi_vs_norm"]) == 0
    assert "only the binary network is evaluated" in capsys.readouterr().out
    assert json.loads((tmp_path / "mi_vs_norm_thresholds.json").read_text())["score"] == "binary"
    assert main(shared) == 0
    assert set(metrics(tmp_path, "mi_vs_norm")["by_score"]) == {"binary"}


def test_a_sensitivity_floor_is_kept_where_it_was_fitted(binary, demo_data, tmp_path):
    for name in ("mi_best.pth", "multilabel_best.pth"):
        (tmp_path / name).write_bytes((binary / name).read_bytes())
    shared = ["--data", str(demo_data), "--out", str(tmp_path)]
    floor = ["--criterion", "sensitivity", "--sensitivity-floor", "0.95"]
    assert threshold_search.main([*shared, "--task", "mi_vs_norm", *floor]) == 0
    assert main(shared) == 0
    digests = {"binary": sha256(tmp_path / "mi_best.pth"), "multilabel": sha256(tmp_path / "multilabel_best.pth")}
    decisions = load_decisions(tmp_path / "mi_vs_norm_thresholds.json", "mi_vs_norm", digests)
    with np.load(tmp_path / "predictions" / "hmt_ecgnet_mi_vs_norm_val.npz", allow_pickle=False) as arrays:
        found = decisions.decide(decisions.calibrate(arrays["probabilities"].astype(float)))
        assert found[arrays["targets"] > 0].mean() >= 0.95


def test_the_score_can_be_forced(binary, demo_data, tmp_path):
    for name in ("mi_best.pth", "multilabel_best.pth"):
        (tmp_path / name).write_bytes((binary / name).read_bytes())
    shared = ["--data", str(demo_data), "--out", str(tmp_path)]
    for score in ("binary", "multilabel"):
        assert threshold_search.main([*shared, "--task", "mi_vs_norm", "--score", score]) == 0
        assert main(shared) == 0
        assert metrics(tmp_path, "mi_vs_norm")["score"] == score


def test_confusion_counts_every_recording_once():
    positive, targets = np.array([True, True, False, False, False]), np.array([1, 0, 1, 0, 0])
    assert confusion(positive, targets) == {
        "true_positive": 1,
        "false_positive": 1,
        "false_negative": 1,
        "true_negative": 2,
    }


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
