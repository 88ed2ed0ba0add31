"""Fit calibration and decision thresholds, which `inference.decisions` applies.

Temperature, Platt and beta calibration are one family, ``logit q = a log p - b log(1 - p) + c`` with
a, b >= 0 (Kull et al. 2017): a = b, c = 0 is a temperature (Guo et al. 2017), a = b is Platt's sigmoid
(1999). Isotonic regression is piecewise linear here (Zadrozny and Elkan 2002).
"""

from dataclasses import replace

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from config import TASK_CLASSES
from inference.decisions import SMALLEST, Decisions, FindingDecisions, apply_calibrator, log_odds_parts

KINDS = ("identity", "temperature", "platt", "beta", "isotonic")
PARTS = 5  # of fold 9, by patient, for choosing a calibrator and for cross-fitting
COVERAGE = 0.8  # share of fold 9 that the margin leaves certain
NOT_FITTED = 0.5  # threshold of a class without both outcomes; its probabilities stay uncalibrated
WEAK_PENALTY = 1e3  # C of scikit-learn: keeps coefficients finite where a class is separable, changes nothing else


def fit_calibrator(kind: str, probabilities: np.ndarray, targets: np.ndarray) -> dict:
    """Fit one class: probabilities and targets ``(n,)`` to a JSON-ready calibrator.

    Without both outcomes among the targets there is nothing to fit, and the probabilities stay as they are.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown calibrator {kind!r}: one of {', '.join(KINDS)}")
    if kind == "identity" or len(np.unique(targets)) < 2:
        return {"kind": "identity", "a": 1.0, "b": 1.0, "c": 0.0}
    if kind == "isotonic":
        curve = IsotonicRegression().fit(np.asarray(probabilities, np.float64), targets)
        return {"kind": kind, "x": curve.X_thresholds_.tolist(), "y": curve.y_thresholds_.tolist()}
    positive, negative = log_odds_parts(probabilities)
    ones = np.ones_like(positive)
    if kind == "temperature":
        (slope,) = _fit_logistic([positive + negative], targets, slopes=1)
        return {"kind": kind, "a": slope, "b": slope, "c": 0.0}
    if kind == "platt":
        slope, offset = _fit_logistic([positive + negative, ones], targets, slopes=1)
        return {"kind": kind, "a": slope, "b": slope, "c": offset}
    a, b, c = _fit_logistic([positive, negative, ones], targets, slopes=2)
    return {"kind": kind, "a": a, "b": b, "c": c}


def _fit_logistic(features: list[np.ndarray], targets: np.ndarray, slopes: int) -> list[float]:
    """Maximum likelihood coefficients, of which the first ``slopes`` are at or above 0.

    A slope that would be negative is fixed at 0 and the others are fitted again (Kull et al. 2017), so that the
    calibrator is monotone.
    """
    free = list(range(len(features)))
    while free:
        model = LogisticRegression(C=WEAK_PENALTY, fit_intercept=False, solver="newton-cholesky", tol=1e-8)
        model.fit(np.stack([features[k] for k in free], axis=1), targets)
        fitted = dict(zip(free, map(float, model.coef_[0]), strict=True))
        negative = [k for k in free if k < slopes and fitted[k] < 0]
        if not negative:
            return [fitted.get(k, 0.0) for k in range(len(features))]
        free.remove(min(negative, key=fitted.get))
    return [0.0] * len(features)


def choose_threshold(
    probabilities: np.ndarray, targets: np.ndarray, criterion: str = "f1", sensitivity_floor: float = 0.95
) -> float:
    """The decision threshold of one class; positive means probability >= threshold.

    criterion: "f1", "youden" (sensitivity + specificity - 1) or "sensitivity" (the highest
    threshold that keeps sensitivity at or above the floor). Raises ValueError without both outcomes.
    """
    targets = np.asarray(targets) > 0
    if not targets.any() or targets.all():
        raise ValueError("a threshold needs both positive and negative recordings")
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    tp = np.cumsum(targets[order])[ends]
    fp = ends + 1 - tp
    sensitivity, specificity = tp / targets.sum(), 1 - fp / (~targets).sum()
    if criterion == "f1":
        best = int(np.argmax(2 * tp / (tp + fp + targets.sum())))
    elif criterion == "youden":
        best = int(np.argmax(sensitivity + specificity))
    elif criterion == "sensitivity":
        best = int(np.argmax(sensitivity >= sensitivity_floor))
    else:
        raise ValueError(f"unknown criterion {criterion!r}: f1, youden or sensitivity")
    lowest_positive = ranked[ends[best]]
    highest_negative = ranked[ends[best + 1]] if best + 1 < len(ends) else 0.0
    return float((lowest_positive + highest_negative) / 2)


def fit_decisions(
    probabilities: np.ndarray,
    targets: np.ndarray,
    patient_ids: np.ndarray,
    task: str,
    criterion: str = "f1",
    sensitivity_floor: float = 0.95,
    score: str = "multilabel",
    losses: dict[str, float] | None = None,
    not_assessable: tuple[str, ...] = (),
) -> Decisions:
    """Choose the calibrator by cross-validation inside the given recordings, then fit it and the thresholds.

    probabilities, targets: ``(n, classes)``; patient_ids ``(n,)``: a patient is never on both
    sides of a split. One kind of calibrator serves all classes: the one of least held-out log loss.
    The margin leaves ``COVERAGE`` of these recordings certain. A class of which the recordings hold only positives or
    only negatives keeps its uncalibrated probability, with 0.5 for its threshold.
    score, not_assessable: see `Decisions`. losses: `calibration_losses` of these same recordings, where the caller has
    them already.
    """
    columns = range(targets.shape[1])
    losses = losses or calibration_losses(probabilities, targets, patient_ids)
    kind = min(losses, key=losses.get)
    calibrators = tuple(fit_calibrator(kind, probabilities[:, k], targets[:, k]) for k in columns)
    fittable = has_both_outcomes(targets)
    thresholds = tuple(
        choose_threshold(
            apply_calibrator(calibrators[k], probabilities[:, k]), targets[:, k], criterion, sensitivity_floor
        )
        if fittable[k]
        else NOT_FITTED
        for k in columns
    )
    decisions = Decisions(
        task=task,
        score=score,
        classes=TASK_CLASSES[task],
        criterion=criterion,
        sensitivity_floor=sensitivity_floor,
        calibrators=calibrators,
        thresholds=thresholds,
        margin=SMALLEST,
        not_assessable=not_assessable,
    )
    if not decisions.assessable.any():
        return decisions
    margin = float(np.quantile(decisions.clearance(decisions.calibrate(probabilities)), 1 - COVERAGE))
    return replace(decisions, margin=max(margin, SMALLEST))


def fit_findings(
    names: tuple[str, ...], probabilities: np.ndarray, targets: np.ndarray, validated: np.ndarray
) -> FindingDecisions:
    """Calibration by Platt's sigmoid and thresholds of most F1 for statements or subclasses; arrays ``(n, names)``.

    Without both outcomes there is nothing to fit: the probability stays as it is, 0.5 is the threshold.
    """
    calibrators, thresholds = [], []
    for k, both in enumerate(has_both_outcomes(targets)):
        calibrators.append(fit_calibrator("platt" if both else "identity", probabilities[:, k], targets[:, k]))
        calibrated = apply_calibrator(calibrators[-1], probabilities[:, k])
        thresholds.append(choose_threshold(calibrated, targets[:, k]) if both else NOT_FITTED)
    return FindingDecisions(
        names=names, calibrators=tuple(calibrators), thresholds=np.array(thresholds), validated=validated
    )


def cross_fit_findings(
    names: tuple[str, ...], probabilities: np.ndarray, targets: np.ndarray, patient_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities and which are above their threshold ``(n, names)``, by fits that never saw them."""
    calibrated, above = np.empty_like(probabilities), np.empty(probabilities.shape, bool)
    parts, validated = patient_parts(patient_ids), np.ones(len(names), bool)
    for part in range(PARTS):
        held_out, rest = parts == part, parts != part
        fitted = fit_findings(names, probabilities[rest], targets[rest], validated)
        calibrated[held_out] = fitted.calibrate(probabilities[held_out])
        above[held_out] = fitted.above(calibrated[held_out])
    return calibrated, above


def has_both_outcomes(targets: np.ndarray) -> np.ndarray:
    """Which classes have positives and negatives, without which nothing can be fitted; targets ``(n, classes)``."""
    return (targets > 0).any(0) & ~(targets > 0).all(0)


def calibration_losses(probabilities: np.ndarray, targets: np.ndarray, patient_ids: np.ndarray) -> dict[str, float]:
    """Held-out log loss of each kind of calibrator, mean over classes."""
    parts = patient_parts(patient_ids)
    losses = dict.fromkeys(KINDS, 0.0)
    for kind in KINDS:
        for part in range(PARTS):
            held_out, rest = parts == part, parts != part
            for k in range(targets.shape[1]):
                calibrator = fit_calibrator(kind, probabilities[rest, k], targets[rest, k])
                q = np.clip(apply_calibrator(calibrator, probabilities[held_out, k]), 1e-4, 1 - 1e-4)
                t = targets[held_out, k]
                losses[kind] -= float((t * np.log(q) + (1 - t) * np.log1p(-q)).sum()) / targets.size
    return losses


def cross_fit(
    probabilities: np.ndarray, targets: np.ndarray, patient_ids: np.ndarray, task: str, **choices
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrate and decide each recording by a fit that never saw it.

    Returns calibrated probabilities and decisions ``(n, classes)``, and ``(n,)`` how far each recording
    is from being uncertain: its clearance over the margin, under 1 if uncertain.
    Five parts by patient; the whole of `fit_decisions` is repeated on four and applied to the fifth.
    """
    calibrated, positive = np.empty_like(probabilities), np.empty(probabilities.shape, bool)
    certainty = np.empty(len(probabilities))
    parts = patient_parts(patient_ids)
    for part in range(PARTS):
        held_out, rest = parts == part, parts != part
        decisions = fit_decisions(probabilities[rest], targets[rest], patient_ids[rest], task, **choices)
        calibrated[held_out] = decisions.calibrate(probabilities[held_out])
        positive[held_out] = decisions.decide(calibrated[held_out])
        certainty[held_out] = decisions.clearance(calibrated[held_out]) / decisions.margin
    return calibrated, positive, certainty


def patient_parts(patient_ids: np.ndarray, seed: int = 0) -> np.ndarray:
    """A part 0-4 for each recording, all of a patient's in one; patients are assigned in random order."""
    patients, number = np.unique(patient_ids, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(patients)) % PARTS)[number]
