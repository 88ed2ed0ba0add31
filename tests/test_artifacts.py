"""The shipped files belong together, hold their promises, and the documents quote them."""

import json

import numpy as np
import pytest

import report
from calibration import load_decisions
from config import PROJECT
from dataset import open_cache
from files import sha256
from models import count_parameters
from training.checkpoint import load_checkpoint
from training.metrics import macro_auroc_and_auprc

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


def test_the_figures_are_of_this_very_data(metrics, real):
    fold_sha256 = open_cache(real).fold_sha256
    assert metrics["data_sha256"]["9"] == fold_sha256[9]
    checkpoint = load_checkpoint(ARTIFACTS / "multilabel_best.pth")
    assert checkpoint.data_sha256 == {fold: fold_sha256[fold] for fold in range(1, 10)}


@pytest.mark.parametrize("document", report.DOCUMENTS)
def test_documents_quote_the_files_they_claim_to(document):
    text = (PROJECT / document).read_text(encoding="utf-8")
    assert report.filled_in(text) == text, "run python report.py"


def test_no_artifact_is_of_synthetic_data():
    for path in ARTIFACTS.glob("*.json"):
        assert json.loads(path.read_text()).get("synthetic", False) is False, path.name
