"""95 % intervals, paired differences and equivalence, bootstrapped by patient."""

import numpy as np

from evaluation.metrics import all_metrics, auroc_and_auprc

BOOTSTRAP_DRAWS = 1000


def patient_weights(patient_ids: np.ndarray, draws: int = BOOTSTRAP_DRAWS, seed: int = 0) -> np.ndarray:
    """How often each recording counts in each bootstrap replicate: ``(draws, n)``, patients drawn with replacement."""
    patients, number = np.unique(patient_ids, return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=draws)
    return counts[:, number].astype(np.float64)


def value_and_replicate_weights(patient_ids: np.ndarray, draws: int = BOOTSTRAP_DRAWS) -> np.ndarray:
    """Weights ``(1 + draws, n)`` that give a metric itself in row 0 and its bootstrap replicates after it."""
    return np.concatenate([np.ones((1, len(patient_ids))), patient_weights(patient_ids, draws)])


def metrics_with_intervals(
    probabilities: np.ndarray,
    calibrated: np.ndarray,
    positive: np.ndarray,
    targets: np.ndarray,
    classes: tuple[str, ...],
    patient_ids: np.ndarray,
    draws: int = BOOTSTRAP_DRAWS,
) -> dict[str, dict[str, dict]]:
    """`all_metrics` as ``{"value": ..., "ci95": [low, high]}``, the interval from resampled patients."""
    weights = value_and_replicate_weights(patient_ids, draws)
    by_class = all_metrics(probabilities, calibrated, positive, targets, classes, weights)
    return {
        name: {key: point_and_interval(metric, key) for key, metric in metrics.items()}
        for name, metrics in by_class.items()
    }


def ranking_with_intervals(scores: np.ndarray, targets: np.ndarray, patient_ids: np.ndarray) -> dict[str, dict]:
    """AUROC and AUPRC of scores ``(n,)`` with their bootstrap intervals, as in `metrics_with_intervals`."""
    auroc, auprc = auroc_and_auprc(scores, targets, value_and_replicate_weights(patient_ids))
    return {"auroc": point_and_interval(auroc), "auprc": point_and_interval(auprc)}


def point_and_interval(metric: np.ndarray, key: str = "") -> dict:
    """A metric and its replicates ``(1 + draws,)`` as value and 95 % interval.

    key: the metric's name. A binned calibration error ("ece...") can only grow with the noise of resampling, so its
    replicates are moved back to centre on the value.
    """
    value, draws = metric[0], metric[1:][np.isfinite(metric[1:])]
    if key.startswith("ece") and len(draws):
        draws = np.maximum(draws - draws.mean() + value, 0)
    return {"value": _plain(value), "ci95": _percentiles(draws, 2.5, 97.5) if len(draws) else [None, None]}


def paired_difference(ours: np.ndarray, theirs: np.ndarray) -> dict:
    """Difference of one metric between two networks on the same recordings.

    ours, theirs: ``(1 + draws,)``, the metric itself and then its bootstrap replicates, drawn with the
    same patients for both. The two-sided p-value is the share of replicates on the far side of zero,
    twice the smaller (Efron and Tibshirani 1993, with one replicate added so that it is never 0).
    """
    difference, draws = _difference(ours, theirs)
    if not len(draws):  # neither network has this metric on these recordings
        return {"value": _plain(difference), "ci95": [None, None], "p": None}
    beyond = min((draws <= 0).sum(), (draws >= 0).sum())
    return {
        "value": _plain(difference),
        "ci95": _percentiles(draws, 2.5, 97.5),
        "p": round(float(min(1.0, 2 * (beyond + 1) / (len(draws) + 1))), 4),
    }


def equivalence(ours: np.ndarray, theirs: np.ndarray, margin: float) -> dict:
    """Whether two networks are equivalent in a metric; arrays as in `paired_difference`, margin in the metric's unit.

    Two one-sided tests at 5 % (Schuirmann 1987): equivalent if the 90 % interval of the difference lies within
    ± margin. A difference that is merely not significant shows nothing of the kind.
    """
    _, draws = _difference(ours, theirs)
    low, high = _percentiles(draws, 5, 95)
    return {"margin": margin, "ci90": [low, high], "equivalent": -margin < low and high < margin}


def _difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, np.ndarray]:
    difference = ours - theirs
    return difference[0], difference[1:][np.isfinite(difference[1:])]


def _percentiles(draws: np.ndarray, low: float, high: float) -> list[float | None]:
    return [_plain(end) for end in np.percentile(draws, [low, high])]


def _plain(value: float) -> float | None:
    """JSON has no NaN: a metric that cannot be computed is null."""
    return round(float(value), 5) if np.isfinite(value) else None
