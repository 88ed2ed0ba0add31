import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from evaluation.bootstrap import metrics_with_intervals, patient_weights
from evaluation.metrics import (
    auroc_and_auprc,
    brier,
    decision_metrics,
    expected_calibration_error,
    macro_auroc_and_auprc,
)

CLASSES = ("A", "B")


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=4, max_size=60))
def test_areas_equal_scikit_learns_with_ties_and_weights(rows):
    scores, targets, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    heavy = weights > 0
    auroc, auprc = auroc_and_auprc(scores, targets, weights[None])
    if len(set(targets[heavy])) < 2:
        assert np.isnan(auroc[0])
        return
    assert auroc[0] == pytest.approx(reference.roc_auc_score(targets, scores, sample_weight=weights))
    assert auprc[0] == pytest.approx(
        reference.average_precision_score(targets[heavy], scores[heavy], sample_weight=weights[heavy])
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_decisions_equal_scikit_learns(rows):
    positive, targets = (np.array(column) for column in zip(*rows, strict=True))
    got = {key: value[0] for key, value in decision_metrics(positive, targets, np.ones((1, len(rows)))).items()}
    assert got["f1"] == pytest.approx(reference.f1_score(targets, positive, zero_division=0))
    assert got["accuracy"] == pytest.approx(reference.accuracy_score(targets, positive))
    if targets.any():
        assert got["sensitivity"] == pytest.approx(reference.recall_score(targets, positive))
    if positive.any():
        assert got["ppv"] == pytest.approx(reference.precision_score(targets, positive))
    if not targets.all():
        assert got["specificity"] == pytest.approx(reference.recall_score(~targets, ~positive))


def test_brier_and_calibration_error_on_known_cases():
    once = np.ones((1, 4))
    p, t = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 1, 1, 1])
    assert brier(p, t, once)[0] == pytest.approx((0.01 + 0.81 + 0.01 + 0.01) / 4)
    assert expected_calibration_error(p, t, once)[0] == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([0, 1]), np.ones((1, 2)))[0] == 0


def test_a_patients_recordings_are_drawn_together():
    patients = np.array([7, 3, 7, 5, 3, 7])
    weights = patient_weights(patients, draws=200)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    assert len(np.unique(weights[:, 0])) > 2


def simulated(n=600, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 0.9, (n, 2))
    return p, (rng.random((n, 2)) < p).astype(float), rng.integers(0, n // 2, n)


def test_intervals_hold_their_metric_and_macro_is_the_mean():
    p, t, patients = simulated()
    metrics = metrics_with_intervals(p, p, p >= 0.5, t, CLASSES, patients, draws=300)
    for group in metrics.values():
        for key, metric in group.items():
            low, high = metric["ci95"]
            assert low <= metric["value"] <= high, key
    for key in ("auroc", "f1", "ece"):
        mean = np.mean([metrics[name][key]["value"] for name in CLASSES])
        assert metrics["macro"][key]["value"] == pytest.approx(mean, abs=2e-5)
    assert metrics["macro"]["exact_match"]["value"] == pytest.approx(((p >= 0.5) == t).all(1).mean(), abs=1e-5)
    assert metrics["macro"]["hamming_loss"]["value"] == pytest.approx(((p >= 0.5) != t).mean(), abs=1e-5)


@pytest.mark.parametrize("outcome", [0, 1])
def test_a_class_without_both_outcomes_is_left_out_of_the_macro_averages(outcome):
    p, t, patients = simulated()
    t[:, 1] = outcome
    metrics = metrics_with_intervals(p, p, p >= 0.5, t, CLASSES, patients, draws=50)
    assert metrics["B"]["auroc"]["value"] is None
    for key in ("auroc", "auprc", "f1", "sensitivity", "specificity"):
        assert metrics["macro"][key] == metrics["A"][key]


def test_a_class_is_left_out_of_the_draws_that_miss_its_only_positive():
    p, t, _ = simulated()
    t[:, 1] = np.arange(len(t)) == 0
    macro = metrics_with_intervals(p, p, p >= 0.5, t, CLASSES, np.arange(len(t)), draws=200)["macro"]["auroc"]
    low, high = macro["ci95"]
    assert low < macro["value"] < high


def test_the_interval_widens_when_patients_repeat():
    p, t, _ = simulated(400)
    twice = [np.repeat(array, 2, axis=0) for array in (p, t)]
    honest = np.repeat(np.arange(400), 2)
    pretended = np.arange(800)

    def width(patients):
        low, high = metrics_with_intervals(twice[0], twice[0], twice[0] >= 0.5, twice[1], CLASSES, patients, 400)[
            "macro"
        ]["auroc"]["ci95"]
        return high - low

    assert width(honest) > 1.2 * width(pretended)


def test_macro_areas_equal_scikit_learns():
    p, t, _ = simulated()
    auroc, auprc = macro_auroc_and_auprc(p, t)
    assert auroc == pytest.approx(reference.roc_auc_score(t, p, average="macro"))
    assert auprc == pytest.approx(reference.average_precision_score(t, p, average="macro"))
