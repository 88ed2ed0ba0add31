"""The shipped files belong together. That the documents quote them is checked by `make report-check`."""

import json

import numpy as np
import pytest

from config import ANYLEAD_CHECKPOINT, ANYLEAD_RECIPE, BINARY_TASKS, CHECKPOINT_NAMES, DEFAULT_OUT, MULTILABEL_RECIPE
from ecg.electrode_swaps import WIRING
from ecg.lead_order import CHEST_REVERSED, INVERTED
from ecg.quality import LEAD_CHECKS, RECORD_CHECKS
from ecg.time_scale import TOO_HIGH, TOO_LOW
from evaluation.metrics import macro_auroc_and_auprc
from files import sha256
from inference.decisions import load_decisions
from inference.diagnoser import Diagnoser
from inference.lead_sets import load_lead_sets
from models import ARCHITECTURES, count_parameters
from models.checkpoint import load_checkpoint
from tools.draw_architecture import shipped_stages

PREDICTIONS = DEFAULT_OUT / "predictions"
DIGESTS = {score: sha256(DEFAULT_OUT / name) for score, name in CHECKPOINT_NAMES.items()}


def read(name: str) -> dict:
    return json.loads((DEFAULT_OUT / name).read_text(encoding="utf-8"))


def check_predictions(row: dict, name: str) -> None:
    """The predictions of a network are of the checkpoint that a metrics file names, and give its metrics."""
    with np.load(PREDICTIONS / f"{name}_multilabel_val.npz", allow_pickle=False) as arrays:
        assert str(arrays["checkpoint_sha256"]) == row["checkpoint_sha256"]
        labelled = arrays["labelled"]
        auroc, auprc = macro_auroc_and_auprc(arrays["probabilities"][labelled], arrays["targets"][labelled])
    assert labelled.sum() == 2_146
    assert (row["auroc"]["value"], row["auprc"]["value"]) == pytest.approx((auroc, auprc), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "budget"),
    [("multilabel_best.pth", 340_000), ("multilabel_tiny.pth", 90_000), (ANYLEAD_CHECKPOINT, 350_000)],
)
def test_shipped_networks_keep_their_budget_and_were_trained_on_real_data(name, budget):
    checkpoint = load_checkpoint(DEFAULT_OUT / name)
    parameters = count_parameters(checkpoint.network())
    assert parameters <= budget
    assert not checkpoint.synthetic and set(checkpoint.data_sha256) == set(range(1, 10))
    assert checkpoint.training["statement_weight"] == MULTILABEL_RECIPE.statement_weight
    if name == CHECKPOINT_NAMES["multilabel"]:  # the drawing is of the recipe's network
        assert parameters == sum(stage.parameters for stage in shipped_stages())


def test_thresholds_metrics_lead_sets_and_predictions_belong_to_the_checkpoint():
    metrics, lead_sets = read("multilabel_metrics_val.json"), read("lead_sets_val.json")
    assert metrics["checkpoint_sha256"] == lead_sets["multilabel_sha256"] == DIGESTS["multilabel"]
    assert metrics["thresholds_sha256"] == sha256(DEFAULT_OUT / "multilabel_thresholds.json")
    load_decisions(DEFAULT_OUT / "multilabel_thresholds.json", "multilabel", DIGESTS)
    check_predictions({**metrics["macro"], "checkpoint_sha256": DIGESTS["multilabel"]}, "hmt_ecgnet")
    assert lead_sets["data_sha256"] == metrics["data_sha256"]
    assert lead_sets["zeroed"]["12"]["auroc"]["value"] == pytest.approx(metrics["macro"]["auroc"]["value"], abs=1e-4)
    anylead = sha256(DEFAULT_OUT / ANYLEAD_CHECKPOINT)
    assert lead_sets["checkpoint_sha256"] == anylead
    load_lead_sets(DEFAULT_OUT / "anylead_thresholds.json", anylead)


def test_stored_verdicts_are_of_the_files_in_use():
    """Otherwise the page cannot list the ECGs that are uncertain or read differently from their labels."""
    files = Diagnoser.load(DEFAULT_OUT).files
    assert read("verdict_val.json")["files"] == files
    with np.load(PREDICTIONS / "verdicts_val.npz", allow_pickle=False) as stored:
        assert json.loads(str(stored["files"])) == files


def test_every_exported_file_is_listed():
    variants = {row["file"] for row in read("variants.json")["variants"]}
    assert {path.name for path in DEFAULT_OUT.glob("*.onnx")} <= {*variants, *read("manifest.json")["files"]}


@pytest.mark.parametrize("task", BINARY_TASKS)
def test_binary_files_belong_together(task):
    checkpoint = load_checkpoint(DEFAULT_OUT / CHECKPOINT_NAMES[task])
    assert checkpoint.task == task and not checkpoint.synthetic
    shipped = {"binary": DIGESTS[task], "multilabel": DIGESTS["multilabel"]}
    metrics = read(f"{task}_metrics_val.json")
    assert metrics["checkpoint_sha256"] == shipped[metrics["score"]]
    assert {score: row["checkpoint_sha256"] for score, row in metrics["by_score"].items()} == shipped
    load_decisions(DEFAULT_OUT / f"{task}_thresholds.json", task, shipped)


def test_the_comparison_is_of_files_that_are_here():
    networks = read("comparison_val.json")["networks"]
    shipped = {sha256(path) for path in DEFAULT_OUT.glob("*.pth")}
    for row in networks:
        check_predictions(row, row["name"])
        assert row["checkpoint_sha256"] in shipped or "_seed" in row["name"]
    assert {row["model"] for row in networks} == set(ARCHITECTURES) - {ANYLEAD_RECIPE.model}


def test_the_error_analysis_is_of_predictions_that_are_here():
    content = read("analysis/errors.json")
    assert content["checkpoints"]["hmt_ecgnet"] == DIGESTS["multilabel"]
    for name, digest in content["checkpoints"].items():
        with np.load(PREDICTIONS / f"{name}_multilabel_val.npz", allow_pickle=False) as arrays:
            assert str(arrays["checkpoint_sha256"]) == digest


def test_quality_limits_and_weights_are_those_that_were_measured():
    content = read("quality.json")
    assert content["limits"] == {name: check.limit for name, check in (LEAD_CHECKS | RECORD_CHECKS).items()}
    assert np.array_equal(content["wiring"], WIRING)
    shipped = {"orientation": [INVERTED, CHEST_REVERSED], "too_low": TOO_LOW, "too_high": TOO_HIGH}
    for name, weights in shipped.items():
        assert np.array(content["mistakes"]["weights"][name]) == pytest.approx(np.array(weights), abs=0.05), name


def test_no_artifact_is_of_synthetic_data():
    assert not [path.name for path in DEFAULT_OUT.glob("*.json") if read(path.name).get("synthetic") is True]
