"""The shipped files belong together, hold their promises, and the documents quote them."""

import json

import numpy as np
import pytest

from config import MULTILABEL_RECIPE, PROJECT
from evaluation.metrics import macro_auroc_and_auprc
from files import sha256
from inference.decisions import load_decisions
from models import ARCHITECTURES, count_parameters
from models.checkpoint import load_checkpoint
from ptbxl.cache import open_cache
from tools import draw_architecture
from tools.draw_architecture import ARCHITECTURE, as_text, drawn_from, shipped_stages
from tools.update_docs import DOCUMENTS, filled_in, main

ARTIFACTS = PROJECT / "artifacts"


@pytest.fixture(scope="module")
def metrics():
    return json.loads((ARTIFACTS / "multilabel_metrics_val.json").read_text())


def test_the_shipped_network_keeps_its_budget_and_was_trained_on_real_data():
    checkpoint = load_checkpoint(ARTIFACTS / "multilabel_best.pth")
    assert count_parameters(checkpoint.network()) <= 340_000
    assert not checkpoint.synthetic
    assert set(checkpoint.data_sha256) == set(range(1, 10))


def test_thresholds_and_metrics_belong_to_the_checkpoint(metrics):
    digest = sha256(ARTIFACTS / "multilabel_best.pth")
    assert metrics["checkpoint_sha256"] == digest
    assert metrics["thresholds_sha256"] == sha256(ARTIFACTS / "multilabel_thresholds.json")
    load_decisions(ARTIFACTS / "multilabel_thresholds.json", "multilabel", {"multilabel": digest})


def test_the_shipped_predictions_give_the_shipped_figures(metrics):
    with np.load(ARTIFACTS / "predictions" / "hmt_ecgnet_multilabel_val.npz", allow_pickle=False) as arrays:
        labelled = arrays["labelled"]
        auroc, auprc = macro_auroc_and_auprc(arrays["probabilities"][labelled], arrays["targets"][labelled])
    assert labelled.sum() == 2_146 == metrics["n"]
    assert metrics["macro"]["auroc"]["value"] == pytest.approx(auroc, abs=1e-4)
    assert metrics["macro"]["auprc"]["value"] == pytest.approx(auprc, abs=1e-4)
    assert auroc >= 0.935 and auprc >= 0.83


def test_figures_of_fewer_leads_are_of_the_shipped_weights(metrics):
    content = json.loads((ARTIFACTS / "lead_sets_val.json").read_text())
    assert content["checkpoint_sha256"] == metrics["checkpoint_sha256"]
    assert content["data_sha256"] == metrics["data_sha256"]
    twelve = content["lead_sets"]["twelve leads"]["auroc"]["value"]
    assert twelve == pytest.approx(metrics["macro"]["auroc"]["value"], abs=1e-4)


def test_the_tiny_sibling_ships_and_is_tiny():
    checkpoint = load_checkpoint(ARTIFACTS / "multilabel_tiny.pth")
    assert count_parameters(checkpoint.network()) <= 80_000
    assert not checkpoint.synthetic and checkpoint.training["auxiliary_weight"] == MULTILABEL_RECIPE.auxiliary_weight


def test_the_figures_are_of_this_very_data(metrics, real):
    fold_sha256 = open_cache(real).fold_sha256
    assert metrics["data_sha256"]["9"] == fold_sha256[9]
    checkpoint = load_checkpoint(ARTIFACTS / "multilabel_best.pth")
    assert checkpoint.data_sha256 == {fold: fold_sha256[fold] for fold in range(1, 10)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_quote_the_files_they_claim_to(document):
    text = (PROJECT / document).read_text(encoding="utf-8")
    assert filled_in(text) == text, "run python -m tools.update_docs"


def test_the_drawing_shows_the_network_that_ships():
    assert drawn_from(ARCHITECTURE) == as_text(shipped_stages()), "run python -m tools.update_docs"
    total = sum(stage.parameters for stage in shipped_stages())
    assert total == count_parameters(load_checkpoint(ARTIFACTS / "multilabel_best.pth").network())


def test_a_stale_drawing_is_noticed_and_renewed(monkeypatch, tmp_path):
    monkeypatch.setattr(draw_architecture, "ARCHITECTURE", tmp_path / "architecture.png")
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0


@pytest.mark.parametrize(("task", "name"), [("mi_vs_norm", "mi_best.pth"), ("norm_vs_abnormal", "abnormal_best.pth")])
def test_binary_files_belong_together(task, name):
    checkpoint = load_checkpoint(ARTIFACTS / name)
    assert checkpoint.task == task and not checkpoint.synthetic
    content = json.loads((ARTIFACTS / f"{task}_metrics_val.json").read_text())
    shipped = {"binary": sha256(ARTIFACTS / name), "multilabel": sha256(ARTIFACTS / "multilabel_best.pth")}
    assert content["checkpoint_sha256"] == shipped[content["score"]]
    assert {score: row["checkpoint_sha256"] for score, row in content["by_score"].items()} == shipped
    load_decisions(ARTIFACTS / f"{task}_thresholds.json", task, shipped)


def test_the_binary_figures_are_what_was_asked_for():
    mi = json.loads((ARTIFACTS / "mi_vs_norm_metrics_val.json").read_text())["macro"]
    abnormal = json.loads((ARTIFACTS / "norm_vs_abnormal_metrics_val.json").read_text())["macro"]
    assert mi["auroc"]["value"] >= 0.982 and mi["accuracy"]["value"] >= 0.935 and mi["f1"]["value"] >= 0.905
    assert abnormal["auroc"]["value"] >= 0.954


def test_the_comparison_is_of_files_that_are_here():
    content = json.loads((ARTIFACTS / "comparison_val.json").read_text())
    shipped = {sha256(path): path.name for path in ARTIFACTS.glob("*.pth")}
    for row in content["networks"]:
        predictions = ARTIFACTS / "predictions" / f"{row['name']}_multilabel_val.npz"
        with np.load(predictions, allow_pickle=False) as arrays:
            assert str(arrays["checkpoint_sha256"]) == row["checkpoint_sha256"]
            labelled = arrays["labelled"]
            auroc, _ = macro_auroc_and_auprc(arrays["probabilities"][labelled], arrays["targets"][labelled])
        assert row["auroc"]["value"] == pytest.approx(auroc, abs=1e-4)
        if "_seed" not in row["name"]:
            assert row["checkpoint_sha256"] in shipped
    assert {row["model"] for row in content["networks"]} == set(ARCHITECTURES)


def test_the_error_analysis_is_of_the_shipped_predictions():
    content = json.loads((ARTIFACTS / "analysis" / "errors.json").read_text())
    assert content["checkpoints"]["hmt_ecgnet"] == sha256(ARTIFACTS / "multilabel_best.pth")
    assert len(content["seed_errors"]["networks"]) == 5
    for name, digest in content["checkpoints"].items():
        with np.load(ARTIFACTS / "predictions" / f"{name}_multilabel_val.npz", allow_pickle=False) as arrays:
            assert str(arrays["checkpoint_sha256"]) == digest


def test_no_artifact_is_of_synthetic_data():
    for path in ARTIFACTS.glob("*.json"):
        assert json.loads(path.read_text()).get("synthetic", False) is not True, path.name
