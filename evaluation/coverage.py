"""Selective classification: what is gained by calling recordings uncertain."""

import numpy as np
from sklearn.metrics import f1_score
from tqdm import tqdm

from dataset import PTBXLDataset
from ecg.quality import SEVERITIES, assess
from inference.verdict import POOR_QUALITY

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def quality_severities(recordings: PTBXLDataset) -> np.ndarray:
    """Severity of each recording's quality flags, text ``(n,)`` of `ecg.quality.SEVERITIES`; about 3 ms each."""
    numbers = tqdm(range(len(recordings)), desc="quality", unit="ECG", leave=False)
    return np.array([assess(recordings.recording(number)).severity for number in numbers])


def product_uncertain(certainty: np.ndarray, severity: np.ndarray) -> np.ndarray:
    """Which verdicts the product calls uncertain, bool ``(n,)``; arguments as in `coverage_metrics`."""
    return (certainty < 1) | np.isin(severity, POOR_QUALITY)


def coverage_metrics(positive: np.ndarray, certainty: np.ndarray, severity: np.ndarray, targets: np.ndarray) -> dict:
    """Macro F1 and share of recordings right in every class, of certain and of uncertain verdicts.

    positive, targets: ``(n, classes)``. certainty: ``(n,)``, see `evaluation.predictions`. severity: ``(n,)``.
    ``verdict_*`` follow the product, where poor quality makes a verdict uncertain too; under ``margin_alone`` it
    does not. The curve ranks recordings by certainty, whatever their quality.
    """
    order = np.argsort(-certainty, kind="stable")
    return {
        "quality": {name: int((severity == name).sum()) for name in SEVERITIES},
        **_verdict_metrics(positive, targets, product_uncertain(certainty, severity)),
        "margin_alone": _verdict_metrics(positive, targets, certainty < 1),
        "curve": [
            {"coverage": share, **_metrics_of_covered(positive, targets, order[: round(share * len(order))])}
            for share in COVERAGES
        ],
    }


def _verdict_metrics(positive: np.ndarray, targets: np.ndarray, uncertain: np.ndarray) -> dict:
    return {
        name: {"share": round(float(chosen.mean()), 4), **_metrics_of_covered(positive, targets, chosen)}
        for name, chosen in (("verdict_certain", ~uncertain), ("verdict_uncertain", uncertain))
    }


def _metrics_of_covered(positive: np.ndarray, targets: np.ndarray, chosen: np.ndarray) -> dict:
    if not len(positive[chosen]):
        return {"f1": None, "exact_match": None}
    decided, truth = positive[chosen], targets[chosen] > 0
    average = "macro" if truth.shape[1] > 1 else "binary"
    return {
        "f1": round(float(f1_score(truth, decided, average=average, zero_division=0)), 4),
        "exact_match": round(float((decided == truth).all(1).mean()), 4),
    }
