"""Calibration and thresholds of statements and subclasses: how they are fitted, kept in a file and read again."""

import json
from dataclasses import replace

import numpy as np
import pytest

from config import BINARY_TASKS, SUPERCLASSES, Outputs
from ecg.statements import CODES, SUBCLASSES
from inference.calibration import PARTS, cross_fit_findings, fit_decisions, fit_findings, patient_parts
from inference.decisions import (
    FINDING_NAMES,
    FindingDecisions,
    ThresholdsError,
    load_decisions,
    multilabel_score,
    save_decisions,
    task_probabilities,
)

N = 600
NETWORK = {"multilabel": "0" * 64}


@pytest.fixture(scope="module")
def arrays():
    """Scores and labels of all statements, and patients; the second statement is never made, the third always."""
    rng = np.random.default_rng(0)
    made = rng.random((N, len(CODES))) < 0.2
    made[:, 1], made[:, 2] = False, True
    scores = 1 / (1 + np.exp(-(rng.normal(size=made.shape) + 2 * made - 3)))
    return scores, made, rng.integers(0, 450, N)


@pytest.fixture(scope="module")
def fitted(arrays):
    scores, made, _ = arrays
    return fit_findings(CODES, scores, made, np.arange(len(CODES)) % 2 == 0)


def test_findings_are_calibrated_and_decided_one_by_one(arrays, fitted):
    scores, made, _ = arrays
    calibrated = fitted.calibrate(scores)
    both = np.setdiff1d(np.arange(len(CODES)), [1, 2])
    np.testing.assert_allclose(calibrated[:, both].mean(0), made[:, both].mean(0), atol=0.01)
    assert all(np.array_equal(np.argsort(calibrated[:, k]), np.argsort(scores[:, k])) for k in both)
    for k in both[:5]:
        reached = f1(fitted.above(calibrated)[:, k], made[:, k])
        assert reached >= max(f1(calibrated[:, k] >= t, made[:, k]) for t in calibrated[::7, k]) - 1e-12


def f1(decided, truth):
    return 2 * (decided & truth).sum() / (decided.sum() + truth.sum())


def test_what_was_never_or_always_made_stays_as_it_is(arrays, fitted):
    scores = arrays[0]
    np.testing.assert_allclose(fitted.calibrate(scores)[:, [1, 2]], scores[:, [1, 2]], atol=1e-5)
    assert fitted.thresholds[[1, 2]].tolist() == [0.5, 0.5]


def test_cross_fitted_findings_never_see_their_own_part(arrays):
    scores, made, patients = arrays
    names, scores, made = CODES[:6], scores[:, :6], made[:, :6]
    calibrated, above = cross_fit_findings(names, scores, made, patients)
    parts = patient_parts(patients)
    for part in range(PARTS):
        held_out = parts == part
        lied_about = np.where(held_out[:, None], ~made, made)
        again, above_again = cross_fit_findings(names, scores, lied_about, patients)
        np.testing.assert_array_equal(again[held_out], calibrated[held_out])
        np.testing.assert_array_equal(above_again[held_out], above[held_out])
        assert not np.allclose(again[~held_out], calibrated[~held_out])
    assert all(len(set(parts[patients == patient])) == 1 for patient in np.unique(patients))


# -- Files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(arrays, fitted, tmp_path):
    """A thresholds file with statements and subclasses, and what was written."""
    scores, made, patients = arrays
    superclasses = fit_decisions(scores[:, 3:8], made[:, 3:8].astype(float), patients, "multilabel")
    subclasses = fit_findings(SUBCLASSES, scores[:, :23], made[:, :23], np.ones(23, bool))
    decisions = replace(superclasses, statements=fitted, subclasses=subclasses)
    path = tmp_path / "multilabel_thresholds.json"
    save_decisions(path, decisions, NETWORK["multilabel"], 9, {"n": N})
    return path, decisions


def test_statements_and_subclasses_survive_the_file(saved, arrays):
    path, decisions = saved
    loaded = load_decisions(path, "multilabel", NETWORK)
    for level, names in FINDING_NAMES.items():
        before, after = getattr(decisions, level), getattr(loaded, level)
        scores = arrays[0][:, : len(names)]
        np.testing.assert_array_equal(before.calibrate(scores), after.calibrate(scores))
        np.testing.assert_array_equal(before.thresholds, after.thresholds)
        np.testing.assert_array_equal(before.validated, after.validated)
        assert after.names == names
    assert json.loads(path.read_text())["statements"]["AFIB"].keys() == {"threshold", "validated", "calibrator"}


def test_a_file_of_an_earlier_version_has_no_statements(saved):
    path, _ = saved
    content = json.loads(path.read_text())
    for level in FINDING_NAMES:
        del content[level]
    path.write_text(json.dumps(content))
    loaded = load_decisions(path, "multilabel", NETWORK)
    assert loaded.statements is None and loaded.subclasses is None and loaded.classes == SUPERCLASSES


ALTERED = {
    "a name": lambda findings: findings.update({"XYZ": findings.pop("AFIB")}),
    "one missing": lambda findings: findings.pop("AFIB"),
    "one more": lambda findings: findings.update({"XYZ": findings["AFIB"]}),
    "another order": lambda findings: findings.update({"AFIB": findings.pop("AFIB")}),
    "no threshold": lambda findings: findings["AFIB"].pop("threshold"),
    "no calibrator": lambda findings: findings["AFIB"].pop("calibrator"),
    "an empty calibrator": lambda findings: findings["AFIB"].update(calibrator={}),
    "a text": lambda findings: findings["AFIB"].update(threshold="high"),
}


@pytest.mark.parametrize("alteration", ALTERED)
def test_an_altered_file_is_refused(saved, alteration):
    path, _ = saved
    content = json.loads(path.read_text())
    ALTERED[alteration](content["statements"])
    path.write_text(json.dumps(content))
    with pytest.raises(ThresholdsError, match="is not a thresholds file"):
        load_decisions(path, "multilabel", NETWORK)


# -- Binary tasks -----------------------------------------------------------------------------------------------------


def test_a_networks_own_binary_output_answers_its_task():
    outputs = Outputs(classes=SUPERCLASSES, statements=CODES[:3], binary_tasks=BINARY_TASKS)
    probabilities = np.random.default_rng(0).uniform(0.01, 0.99, (4, 10))
    assert np.array_equal(task_probabilities(outputs, probabilities, "multilabel"), probabilities[:, :5])
    for number, task in enumerate(BINARY_TASKS):
        assert np.array_equal(task_probabilities(outputs, probabilities, task), probabilities[:, [8 + number]])
    without = Outputs(classes=SUPERCLASSES)
    for task in BINARY_TASKS:
        expected = multilabel_score(probabilities[:, :5], task)
        assert np.array_equal(task_probabilities(without, probabilities[:, :5], task), expected)
    binary = Outputs(classes=("MI",), statements=CODES[:3])
    assert np.array_equal(task_probabilities(binary, probabilities[:, :4], "mi_vs_norm"), probabilities[:, :1])


def test_at_the_threshold_is_above_it():
    identity = {"kind": "identity", "a": 1.0, "b": 1.0, "c": 0.0}
    decisions = FindingDecisions(
        names=("AFIB",), calibrators=(identity,), thresholds=np.array([0.5]), validated=np.array([False])
    )
    assert decisions.above(np.array([[0.5], [0.4999]])).tolist() == [[True], [False]]
