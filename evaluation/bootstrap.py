"""95 % intervals and paired differences, bootstrapped by patient."""

import numpy as np

from evaluation.metrics import all_metrics, auroc_and_auprc

BOOTSTRAP_DRAWS = 1000


def patient_weights(patient_ids: np.ndarray, draws: int = BOOTSTRAP_DRAWS, seed: int = 0) -> np.ndarray:
    """How often each recording counts in each bootstrap replicate: ``(draws, n)``, patients drawn with replacement."""
    patients, number = np.unique(patient_ids, return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=draws)
    return counts[:, number].astype(np.float64)


def metrics_with_intervals(
    probabilities: np.ndarray,
    calibrated: np.ndarray,
    positive: np.ndarray,
    targets: np.ndarray,
    classes: tuple[str, ...],
    patient_ids: np.ndarray,
    draws: int = BOOTSTRAP_DRAWS,
) -> dict[str, dict[str, dict]]:
    """`all_figures` as ``{"value": ..., "ci95": [low, high]}``, the interval from resampled patients."""
    arrays = (probabilities, calibrated, positive, targets, classes)
    values = all_metrics(*arrays, np.ones((1, len(targets))))
    resampled = all_metrics(*arrays, patient_weights(patient_ids, draws))
    return {
        name: {
            key: {"value": _plain(value[0]), "ci95": _interval(key, value[0], resampled[name][key])}
            for key, value in figures.items()
        }
        for name, figures in values.items()
    }


def ranking_with_intervals(scores: np.ndarray, targets: np.ndarray, patient_ids: np.ndarray) -> dict[str, dict]:
    """AUROC and AUPRC of scores ``(n,)`` with their bootstrap intervals, as in `with_intervals`."""
    weights = np.concatenate([np.ones((1, len(scores))), patient_weights(patient_ids)])
    auroc, auprc = auroc_and_auprc(scores, targets, weights)
    return {"auroc": point_and_interval(auroc), "auprc": point_and_interval(auprc)}


def point_and_interval(figure: np.ndarray, key: str = "") -> dict:
    """A figure and its replicates ``(1 + draws,)`` as value and 95 % interval; key "ece" centres, see `_interval`."""
    return {"value": _plain(figure[0]), "ci95": _interval(key, figure[0], figure[1:])}


def paired_difference(ours: np.ndarray, theirs: np.ndarray) -> dict:
    """Difference of one figure between two networks judged on the same recordings.

    ours, theirs: ``(1 + draws,)``, the figure itself and then its bootstrap replicates, drawn with the
    same patients for both. The two-sided p-value is the share of replicates on the far side of zero,
    twice the smaller (Efron and Tibshirani 1993, with one replicate added so that it is never 0).
    """
    difference = ours - theirs
    draws = difference[1:][np.isfinite(difference[1:])]
    beyond = min((draws <= 0).sum(), (draws >= 0).sum())
    return {
        "value": _plain(difference[0]),
        "ci95": [_plain(end) for end in np.percentile(draws, [2.5, 97.5])],
        "p": round(float(min(1.0, 2 * (beyond + 1) / (len(draws) + 1))), 4),
    }


def _interval(key: str, value: float, draws: np.ndarray) -> list[float | None]:
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return [None, None]
    if key.startswith("ece"):
        # a binned error can only grow with the noise of resampling, so its draws are moved back to centre on the figure
        draws = np.maximum(draws - draws.mean() + value, 0)
    return [_plain(end) for end in np.percentile(draws, [2.5, 97.5])]


def _plain(value: float) -> float | None:
    """JSON has no NaN: a figure that cannot be computed is null."""
    return round(float(value), 5) if np.isfinite(value) else None
