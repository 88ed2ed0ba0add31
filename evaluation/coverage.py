"""Selective classification: what is gained by leaving the least certain recordings undecided."""

import numpy as np
from sklearn.metrics import f1_score

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def coverage_metrics(positive: np.ndarray, certainty: np.ndarray, targets: np.ndarray) -> dict:
    """What is gained by calling the least certain recordings uncertain.

    positive, targets: ``(n, classes)``; certainty ``(n,)``, under 1 if the verdict is uncertain. Returns
    the figures of the verdict itself and of the curve, macro F1 and share of ECGs right in every class.
    """
    certain = certainty >= 1
    order = np.argsort(-certainty, kind="stable")
    curve = [_metrics_of_covered(positive, targets, order[: round(share * len(order))]) for share in COVERAGES]
    return {
        "verdict_certain": {
            "share": round(float(certain.mean()), 4),
            **_metrics_of_covered(positive, targets, certain),
        },
        "verdict_uncertain": {
            "share": round(float((~certain).mean()), 4),
            **_metrics_of_covered(positive, targets, ~certain),
        },
        "curve": [{"coverage": share, **row} for share, row in zip(COVERAGES, curve, strict=True)],
    }


def _metrics_of_covered(positive: np.ndarray, targets: np.ndarray, chosen: np.ndarray) -> dict:
    if not len(positive[chosen]):
        return {"f1": None, "exact_match": None}
    decided, truth = positive[chosen], targets[chosen] > 0
    scores = f1_score(truth, decided, average=None, zero_division=0) if truth.shape[1] > 1 else f1_score(truth, decided)
    return {
        "f1": round(float(np.mean(scores)), 4),
        "exact_match": round(float((decided == truth).all(1).mean()), 4),
    }
