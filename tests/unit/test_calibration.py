import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from config import DEFAULT_OUT, TASK_CLASSES
from inference.calibration import KINDS, choose_threshold, cross_fit, fit_calibrator, fit_decisions, patient_parts
from inference.decisions import ThresholdsError, apply_calibrator, load_decisions, multilabel_score, save_decisions


def overconfident(n=3000, seed=0):
    """Probabilities pushed away from 0.5, with labels drawn from the true ones."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 1.5, n)
    targets = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    return 1 / (1 + np.exp(-(2 * logit + 0.7))), targets, 1 / (1 + np.exp(-logit))


@pytest.mark.parametrize("kind", ["platt", "beta", "isotonic"])
def test_calibrators_recover_the_true_probabilities(kind):
    p, targets, truth = overconfident()
    calibrated = apply_calibrator(fit_calibrator(kind, p, targets), p)
    assert np.abs(calibrated - truth).mean() < 0.4 * np.abs(p - truth).mean()


def test_numpy_applies_what_scikit_learn_fitted():
    p, targets, _ = overconfident(500)
    p = np.round(p, 2).clip(0.01, 0.99)  # with ties
    logit = np.log(p / (1 - p))[:, None]
    platt = LogisticRegression(C=1e6).fit(logit, targets).predict_proba(logit)[:, 1]
    np.testing.assert_allclose(apply_calibrator(fit_calibrator("platt", p, targets), p), platt, atol=1e-4)
    isotonic = IsotonicRegression().fit(p, targets).predict(p)
    np.testing.assert_allclose(apply_calibrator(fit_calibrator("isotonic", p, targets), p), isotonic, atol=1e-9)


@pytest.mark.parametrize("kind", ["temperature", "platt", "beta"])
def test_scores_that_rank_the_wrong_way_round_get_no_negative_slope(kind):
    p, targets, _ = overconfident()
    calibrator = fit_calibrator(kind, 1 - p, targets)
    assert calibrator["a"] == calibrator["b"] == 0
    if kind != "temperature":  # which has no offset to express how frequent the class is
        assert apply_calibrator(calibrator, p) == pytest.approx(targets.mean(), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_with_one_outcome_keeps_its_probabilities(kind):
    p, targets, _ = overconfident(50)
    calibrator = fit_calibrator(kind, p, np.zeros_like(targets))
    np.testing.assert_allclose(apply_calibrator(calibrator, p), p, atol=1e-5)


@pytest.mark.parametrize("task", TASK_CLASSES)
def test_fitting_again_on_fold_9_gives_the_shipped_calibration_and_thresholds(task):
    path = DEFAULT_OUT / f"{task}_thresholds.json"
    content = json.loads(path.read_text())
    shipped = load_decisions(path, task, {content["score"]: content["checkpoint_sha256"]})
    with np.load(DEFAULT_OUT / "predictions" / f"hmt_ecgnet_{task}_val.npz", allow_pickle=False) as arrays:
        p = arrays["probabilities"].astype(float).reshape(len(arrays["ecg_id"]), -1)
        targets, patients = arrays["targets"].reshape(p.shape), arrays["patient_id"]
    fitted = fit_decisions(p, targets, patients, task, score=content["score"])
    np.testing.assert_allclose(fitted.calibrate(p), shipped.calibrate(p), atol=1e-3)
    np.testing.assert_allclose(fitted.thresholds, shipped.thresholds, atol=1e-3)
    assert fitted.margin == pytest.approx(shipped.margin, abs=1e-3)


@given(st.sampled_from(KINDS), st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=8, max_size=60))
def test_every_calibrator_is_monotone_and_stays_between_0_and_1(kind, rows):
    p, targets = (np.array(column, float) for column in zip(*rows, strict=True))
    q = apply_calibrator(fit_calibrator(kind, p, targets), np.linspace(0, 1, 101))
    assert (np.diff(q) >= -1e-9).all()
    assert ((q >= 0) & (q <= 1)).all()


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=4, max_size=50))
def test_the_f1_threshold_is_the_best_there_is(rows):
    p, targets = np.array([row[0] / 20 for row in rows]), np.array([row[1] for row in rows])
    if targets.all() or not targets.any():
        with pytest.raises(ValueError, match="both"):
            choose_threshold(p, targets)
        return
    reached = f1_score(targets, p >= choose_threshold(p, targets))
    assert reached == pytest.approx(max(f1_score(targets, p >= cut) for cut in np.unique(p)))


@given(st.floats(0.5, 1), st.integers(0, 5))
def test_the_sensitivity_floor_is_kept_at_the_highest_threshold(floor, seed):
    p, targets, _ = overconfident(200, seed)
    threshold = choose_threshold(p, targets, "sensitivity", floor)
    positives = np.sort(p[targets > 0])
    assert (positives >= threshold).mean() >= floor
    higher = positives[positives > threshold]
    assert len(higher) == 0 or (positives > higher[0]).mean() < floor


def test_youden_is_the_best_sum():
    p, targets, _ = overconfident(300)

    def youden(cut):
        return (p[targets > 0] >= cut).mean() + (p[targets == 0] < cut).mean()

    assert youden(choose_threshold(p, targets, "youden")) == pytest.approx(max(youden(cut) for cut in p))


def two_classes(n=1500):
    columns = [overconfident(n, seed) for seed in (0, 1)]
    probabilities, targets = (np.stack([column[k] for column in columns], 1) for k in (0, 1))
    return np.hstack([probabilities] * 3)[:, :5], np.hstack([targets] * 3)[:, :5], np.arange(n) // 2


def test_a_patient_is_never_on_both_sides_and_parts_are_even():
    patients = np.random.default_rng(0).integers(0, 300, 900)
    parts = patient_parts(patients)
    assert all(len(set(parts[patients == patient])) == 1 for patient in np.unique(patients))
    assert np.bincount(parts).min() > 120


def test_cross_fitting_never_looks_at_the_part_it_predicts():
    p, targets, patients = two_classes()
    before = cross_fit(p, targets, patients, "multilabel")
    part = patient_parts(patients) == 2
    lied = targets.copy()
    lied[part] = 1 - lied[part]
    after = cross_fit(p, lied, patients, "multilabel")
    assert all(np.array_equal(first[part], second[part]) for first, second in zip(before, after, strict=True))
    assert not np.array_equal(before[0][~part], after[0][~part])


def test_a_class_with_one_outcome_is_decided_at_half_by_its_own_probability():
    p, targets, patients = two_classes()
    targets[:, 4] = 0
    decisions = fit_decisions(p, targets, patients, "multilabel")
    np.testing.assert_allclose(decisions.calibrate(p)[:, 4], p[:, 4], atol=1e-5)
    assert decisions.thresholds[4] == 0.5 and decisions.thresholds[0] != 0.5


def test_a_class_with_a_single_positive_can_be_cross_fitted():
    p, targets, patients = two_classes()
    targets[:, 4] = np.arange(len(targets)) == 7
    calibrated, positive, certainty = cross_fit(p, targets, patients, "multilabel")
    part = patient_parts(patients) == patient_parts(patients)[7]
    assert np.array_equal(positive[part, 4], p[part, 4] >= 0.5)
    assert np.isfinite(calibrated).all() and np.isfinite(certainty).all()


def test_the_fifth_nearest_to_a_threshold_is_uncertain(saved):
    decisions = saved[1]
    calibrated = decisions.calibrate(two_classes()[0])
    uncertain = decisions.uncertain(calibrated)
    assert uncertain.mean() == pytest.approx(0.2, abs=0.01)
    clearance = decisions.clearance(calibrated)
    assert clearance[uncertain].max() <= clearance[~uncertain].min()
    assert decisions.uncertain(np.array([decisions.thresholds])).all()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path, decisions = tmp_path_factory.mktemp("saved") / "multilabel.json", fit_decisions(*two_classes(), "multilabel")
    save_decisions(path, decisions, "abc", 9, {"n": 1})
    return path, decisions


def test_a_saved_file_decides_as_the_fit_did(saved):
    path, decisions = saved
    p = two_classes()[0]
    loaded = load_decisions(path, "multilabel", {"multilabel": "abc"})
    assert np.array_equal(loaded.decide(loaded.calibrate(p)), decisions.decide(decisions.calibrate(p)))
    assert set(json.loads(path.read_text())["thresholds"]) == {"NORM", "MI", "STTC", "CD", "HYP"}


def test_thresholds_of_another_checkpoint_task_or_fold_are_refused(saved, tmp_path):
    path, decisions = saved
    with pytest.raises(ThresholdsError, match="another checkpoint"):
        load_decisions(path, "multilabel", {"multilabel": "def"})
    with pytest.raises(ThresholdsError, match="not for mi_vs_norm"):
        load_decisions(path, "mi_vs_norm", {"multilabel": "abc"})
    with pytest.raises(ThresholdsError, match="score of the multilabel network, whose checkpoint is not there"):
        load_decisions(path, "multilabel", {"binary": "abc"})
    save_decisions(tmp_path / "fold_10.json", decisions, "abc", 10, {})
    with pytest.raises(ThresholdsError, match="only fold 9"):
        load_decisions(tmp_path / "fold_10.json", "multilabel", {"multilabel": "abc"})


@pytest.mark.parametrize("damage", [None, "", "{", "[]", "null", '{"task": "multilabel"}'])
def test_a_missing_or_damaged_file_is_refused_with_a_reason(tmp_path, damage):
    path = tmp_path / "multilabel_thresholds.json"
    if damage is not None:
        path.write_text(damage)
    with pytest.raises(ThresholdsError, match="no thresholds" if damage is None else "not a thresholds file"):
        load_decisions(path, "multilabel", {"multilabel": "abc"})


@given(arrays(float, (7, 5), elements=st.floats(1e-5, 1 - 1e-5)))
def test_the_multilabel_score_of_a_binary_task_is_the_difference_of_its_logits(p):
    mi = multilabel_score(p, "mi_vs_norm")
    norm_logit, mi_logit = (np.log(p[:, k] / (1 - p[:, k])) for k in (0, 1))
    np.testing.assert_allclose(np.log(mi[:, 0] / (1 - mi[:, 0])), mi_logit - norm_logit, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(multilabel_score(p, "norm_vs_abnormal")[:, 0], 1 - p[:, 0])
    assert mi.shape == (7, 1)
