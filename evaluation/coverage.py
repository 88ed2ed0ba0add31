"""Selective classification: what is gained by calling recordings uncertain."""

import numpy as np
from sklearn.metrics import f1_score
from tqdm import tqdm

from config import SUPERCLASSES
from dataset import PTBXLDataset
from ecg.quality import SEVERITIES, assess
from inference.findings import implied_superclasses
from inference.verdict import POOR_QUALITY, reach_verdicts

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def quality_severities(recordings: PTBXLDataset) -> np.ndarray:
    """Severity of each recording's quality flags, text ``(n,)`` of `ecg.quality.SEVERITIES`; about 3 ms each."""
    numbers = tqdm(range(len(recordings)), desc="quality", unit="ECG", leave=False)
    return np.array([assess(recordings.recording(number)).severity for number in numbers])


def verdict_of_network(
    positive: np.ndarray, certainty: np.ndarray, severity: np.ndarray, asserted: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Classes bool ``(n, classes)`` and uncertainty bool ``(n,)`` by the rule of the product; arguments as below.

    asserted: statements, bool ``(n, 71)``, see `inference.findings.assert_statements`; None for a network without them.

    Of one network alone: what another network or the rhythm adds is counted by `evaluation.verdicts`.
    """
    if positive.shape[1] != len(SUPERCLASSES):
        return positive, (certainty < 1) | np.isin(severity, POOR_QUALITY)
    implied = None if asserted is None else implied_superclasses(asserted)
    verdicts = reach_verdicts(positive, certainty < 1, {}, severity, np.zeros(len(positive), bool), implied)
    return verdicts.classes, verdicts.uncertain


def coverage_metrics(
    positive: np.ndarray,
    certainty: np.ndarray,
    severity: np.ndarray,
    targets: np.ndarray,
    asserted: np.ndarray | None = None,
) -> dict:
    """Macro F1 and share of recordings right in every class, of certain and of uncertain verdicts.

    positive, targets: ``(n, classes)``. certainty: ``(n,)``, see `evaluation.predictions`. severity: ``(n,)``.
    ``verdict_*`` follow `verdict_of_network`. Under ``margin_alone`` and in the curve the classes are those above their
    thresholds, and poor quality makes nothing uncertain. The curve ranks recordings by certainty.
    """
    order = np.argsort(-certainty, kind="stable")
    return {
        "quality": {name: int((severity == name).sum()) for name in SEVERITIES},
        **_verdict_metrics(targets, *verdict_of_network(positive, certainty, severity, asserted)),
        "margin_alone": _verdict_metrics(targets, positive, certainty < 1),
        "curve": [
            {"coverage": share, **decided_metrics(positive, targets, order[: round(share * len(order))])}
            for share in COVERAGES
        ],
    }


def _verdict_metrics(targets: np.ndarray, positive: np.ndarray, uncertain: np.ndarray) -> dict:
    return {
        name: {"share": round(float(chosen.mean()), 4), **decided_metrics(positive, targets, chosen)}
        for name, chosen in (("verdict_certain", ~uncertain), ("verdict_uncertain", uncertain))
    }


def decided_metrics(positive: np.ndarray, targets: np.ndarray, chosen: np.ndarray) -> dict:
    """F1 (macro over several classes) and share of recordings right in every class, of the chosen recordings.

    positive, targets: ``(n, classes)``. chosen: ``(n,)`` bool, or numbers of recordings. None without any.
    """
    if not len(positive[chosen]):
        return {"f1": None, "exact_match": None}
    decided, truth = positive[chosen], targets[chosen] > 0
    average = "macro" if truth.shape[1] > 1 else "binary"
    return {
        "f1": round(float(f1_score(truth, decided, average=average, zero_division=0)), 4),
        "exact_match": round(float((decided == truth).all(1).mean()), 4),
    }
