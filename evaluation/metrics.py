"""AUROC, average precision, F1, Brier score and related metrics, for many weightings of the recordings at once.

Every metric here takes sample weights ``(draws, n)``: one row of ones gives the metric, a row of
how often each recording's patient was drawn gives one bootstrap replicate. So a thousand
replicates cost one sort. AUROC and average precision equal scikit-learn's (tested), ties included.
"""

import numpy as np

CALIBRATION_BINS = 15


def auroc_and_auprc(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area under the ROC curve and average precision for each row of weights.

    scores, targets: ``(n,)``; weights: ``(draws, n)``. Returns two arrays ``(draws,)``, NaN where
    a row has only one of the two classes.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # last of each run of equal scores
    positive = targets[order] > 0
    weights = weights[:, order]
    true_positives = np.cumsum(weights * positive, axis=1)[:, ends]
    false_positives = np.cumsum(weights * ~positive, axis=1)[:, ends]
    zero = np.zeros((len(weights), 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = true_positives / true_positives[:, -1:]
        fallout = false_positives / false_positives[:, -1:]
        precision = true_positives / np.maximum(true_positives + false_positives, 1e-12)
    auroc = np.trapezoid(np.hstack([zero, recall]), np.hstack([zero, fallout]), axis=1)
    auprc = (np.diff(np.hstack([zero, recall]), axis=1) * precision).sum(1)
    return auroc, np.where(np.isnan(auroc), np.nan, auprc)


def macro_auroc_and_auprc(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Mean of AUROC and average precision over the classes that have both positives and negatives; NaN if none has.

    scores and targets ``(n, classes)``.
    """
    once = np.ones((1, len(scores)))
    both = np.flatnonzero((targets > 0).any(0) & ~(targets > 0).all(0))
    if not len(both):
        return float("nan"), float("nan")
    pairs = [auroc_and_auprc(scores[:, k], targets[:, k], once) for k in both]
    return float(np.mean([pair[0] for pair in pairs])), float(np.mean([pair[1] for pair in pairs]))


def decision_metrics(positive: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """F1, sensitivity, specificity, PPV, NPV and accuracy of yes/no decisions.

    positive, targets: ``(n,)``; weights ``(draws, n)``; each metric ``(draws,)``.
    A metric whose denominator is empty is NaN, but F1 is 0 as in scikit-learn.
    """
    truth = targets > 0
    tp, fp = weights @ (positive & truth), weights @ (positive & ~truth)
    fn, tn = weights @ (~positive & truth), weights @ (~positive & ~truth)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "f1": 2 * tp / np.maximum(2 * tp + fp + fn, 1e-12),
            "sensitivity": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "ppv": tp / (tp + fp),
            "npv": tn / (tn + fn),
            "accuracy": (tp + tn) / (tp + fp + fn + tn),
        }


def brier(probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared error of probabilities ``(n,)`` for each row of weights."""
    return weights @ (probabilities - targets) ** 2 / weights.sum(1)


def expected_calibration_error(probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean gap between probability and frequency over 15 equal-width bins (Naeini et al. 2015)."""
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.zeros((len(probabilities), CALIBRATION_BINS))
    gaps[np.arange(len(bins)), bins] = probabilities - targets
    return np.abs(weights @ gaps).sum(1) / weights.sum(1)


def class_metrics(
    probabilities: np.ndarray,
    calibrated: np.ndarray,
    positive: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
) -> dict[str, np.ndarray]:
    """All metrics of one class, ``(draws,)`` each.

    probabilities, calibrated, positive, targets: ``(n,)``. AUROC, AUPRC and F1 at 0.5 come from the
    uncalibrated probabilities, the decisions and calibration errors from the calibrated ones.
    """
    auroc, auprc = auroc_and_auprc(probabilities, targets, weights)
    return {
        "auroc": auroc,
        "auprc": auprc,
        **decision_metrics(positive, targets, weights),
        "f1_at_half": decision_metrics(probabilities >= 0.5, targets, weights)["f1"],
        "brier": brier(calibrated, targets, weights),
        "ece": expected_calibration_error(calibrated, targets, weights),
        "brier_uncalibrated": brier(probabilities, targets, weights),
        "ece_uncalibrated": expected_calibration_error(probabilities, targets, weights),
    }


def mean_of_finite(metrics: list[np.ndarray]) -> np.ndarray:
    """Mean over classes of a metric ``(draws,)`` each; a class is left out of draws where it is NaN."""
    stacked = np.stack(metrics)
    defined = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(defined, stacked, 0.0).sum(0) / defined.sum(0)


def all_metrics(
    probabilities: np.ndarray,
    calibrated: np.ndarray,
    positive: np.ndarray,
    targets: np.ndarray,
    classes: tuple[str, ...],
    weights: np.ndarray,
) -> dict[str, dict[str, np.ndarray]]:
    """Metrics ``(draws,)`` of every class and, under "macro", their mean over classes; arrays ``(n, classes)``.

    Macro is over the classes that have positives and negatives, and in each draw over those where the metric exists
    (all of them, if none has both). With more than one class, macro also has exact_match and hamming_loss over whole
    label sets.
    """
    by_class = {
        name: class_metrics(probabilities[:, k], calibrated[:, k], positive[:, k], targets[:, k], weights)
        for k, name in enumerate(classes)
    }
    both = (targets > 0).any(0) & ~(targets > 0).all(0)
    present = [name for name, kept in zip(classes, both, strict=True) if kept] or classes
    macro = {key: mean_of_finite([by_class[name][key] for name in present]) for key in by_class[classes[0]]}
    if len(classes) > 1:
        wrong = positive != (targets > 0)
        macro["exact_match"] = weights @ ~wrong.any(1) / weights.sum(1)
        macro["hamming_loss"] = weights @ wrong.mean(1) / weights.sum(1)
    return {"macro": macro, **by_class}
