"""Quality checks beside PTB-XL's own annotations of noise, and the limits they choose."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from config import LEADS, MICROVOLTS_PER_MILLIVOLT, SAMPLING_RATE, TRAIN_FOLDS, VALIDATION_FOLD
from ecg.quality import LEAD_CHECKS, RECORD_CHECKS, Quality
from ecg.recording import Recording
from ptbxl.cache import SignalCache
from ptbxl.index import DatasetError, Index

ANNOTATIONS = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
VALIDATED = (  # check, the annotation it should find
    ("wander", "baseline_drift"),
    ("muscle noise", "static_noise"),
    ("bursts", "burst_noise"),
    ("low signal-to-noise", "any of the four"),
    ("detached", "electrodes_problems"),
    ("wander", "electrodes_problems"),
    ("paced?", "pacemaker"),
)
GRADED = ("wander", "muscle noise", "bursts", "paced?")  # limits by false alarms, not by nature
FALSE_ALARMS = 0.01  # of each graded flag, in recordings of folds 1-8 without annotation
SWAP_FALSE_ALARMS = 0.015  # of all ten swaps together


@dataclass(frozen=True, eq=False)
class Recordings:
    """All readable recordings of folds 1-9 at 100 Hz. rows: their rows in ``microvolts``, in the order of ``table``."""

    table: pd.DataFrame
    microvolts: np.ndarray
    rows: np.ndarray

    @property
    def folds(self) -> np.ndarray:
        return self.table["strat_fold"].to_numpy()

    def each(self, numbers: np.ndarray, what: str) -> Iterator[Recording]:
        """Recordings by number, with a progress bar."""
        for number in tqdm(numbers, desc=what, unit="ECG"):
            signal = self.microvolts[self.rows[number]].astype(np.float32) / MICROVOLTS_PER_MILLIVOLT
            yield Recording(signal=signal, sampling_rate=SAMPLING_RATE, present=np.ones(len(LEADS), bool))


def readable(index: Index, cache: SignalCache) -> Recordings:
    """Folds 1-9 of the real PTB-XL; DatasetError without them."""
    present = set(index.folds)
    if index.is_synthetic or not {*TRAIN_FOLDS, VALIDATION_FOLD} <= present:
        raise DatasetError("folds 1-9 of the real PTB-XL are needed: `python dataset.py download` fetches them")
    wanted = np.isin(index.folds, (*TRAIN_FOLDS, VALIDATION_FOLD)) & ~np.isin(index.table.index, list(cache.unreadable))
    return Recordings(table=index.table[wanted], microvolts=cache.signals, rows=np.flatnonzero(wanted))


def worst(result: Quality, name: str) -> float:
    """The value of a check in its worst lead, the higher the worse; NaN without one."""
    if name in RECORD_CHECKS:
        value, check = result.record.get(name, np.nan), RECORD_CHECKS[name]
    else:
        check, values = LEAD_CHECKS[name], result.measured[name]
        value = np.nan if np.isnan(values).all() else (np.nanmin if check.low else np.nanmax)(values)
    return -value if check.low else value


def auroc(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float | None:
    """AUROC of the finite scores; None where one of the groups is empty."""
    finite = np.isfinite(scores)
    positive, negative = positive & finite, negative & finite
    if not positive.any() or not negative.any():
        return None
    return float(roc_auc_score(positive[positive | negative], scores[positive | negative]))


def annotations(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Annotation to bool ``(n,)``: the column says anything at all."""
    found = {name: table[name].notna().to_numpy() for name in (*ANNOTATIONS, "pacemaker")}
    found["any of the four"] = np.any([found[name] for name in ANNOTATIONS], axis=0)
    return found


def against_annotations(results: list[Quality], folds: np.ndarray, noted: dict[str, np.ndarray]) -> list[dict]:
    """One row for each of `VALIDATED`: AUROC, false alarms and sensitivity of the shipped limit."""
    rows = []
    for name, annotation in VALIDATED:
        check = LEAD_CHECKS.get(name) or RECORD_CHECKS[name]
        scores = np.array([worst(result, name) for result in results])
        flagged = np.array([any(flag.name == name for flag in result.flags) for result in results])
        negative = ~noted["pacemaker"] if annotation == "pacemaker" else ~noted["any of the four"]
        row = {"check": name, "annotation": annotation, "limit": check.limit, "unit": check.unit}
        for split, member in (("folds_1_8", np.isin(folds, TRAIN_FOLDS)), ("fold_9", folds == VALIDATION_FOLD)):
            positive = noted[annotation] & member
            row[split] = {
                "annotated": int(positive.sum()),
                "not_annotated": int((negative & member).sum()),
                "auroc": auroc(scores, positive, negative & member),
                "sensitivity": float(flagged[positive].mean()) if positive.any() else None,
                "false_alarms": float(flagged[negative & member].mean()),
            }
        rows.append(row)
    return rows


def all_aurocs(results: list[Quality], member: np.ndarray, noted: dict[str, np.ndarray]) -> dict[str, dict]:
    """AUROC of every check for every annotation, against recordings with none of the four."""
    names = [name for name in (*LEAD_CHECKS, *RECORD_CHECKS) if name not in ("mains", "leads lost", "units too small")]
    scores = {name: np.array([worst(result, name) for result in results]) for name in names}
    clean = member & ~noted["any of the four"]
    return {
        name: {note: auroc(values, noted[note] & member, clean) for note in ANNOTATIONS}
        for name, values in scores.items()
    }


def chosen_limits(results: list[Quality], clean: np.ndarray) -> dict[str, float]:
    """Limits that the false alarms of the given recordings would choose, unrounded."""
    limits = {}
    for name, share in [(name, FALSE_ALARMS) for name in GRADED] + [("electrodes swapped", SWAP_FALSE_ALARMS)]:
        check = LEAD_CHECKS.get(name) or RECORD_CHECKS[name]
        scores = np.array([worst(result, name) for result in results])[clean]
        limits[name] = float(np.nanquantile(scores, 1 - share)) * (-1 if check.low else 1)
    return limits


def flag_rates(results: list[Quality], member: np.ndarray) -> dict[str, float]:
    """Share of recordings with each flag, with any (notes left out), and unusable."""
    chosen = [result for result, inside in zip(results, member, strict=True) if inside]
    rates = {
        name: float(np.mean([any(flag.name == name for flag in result.flags) for result in chosen]))
        for name in (*LEAD_CHECKS, *RECORD_CHECKS)
    }
    rates["any"] = float(np.mean([result.severity in ("caution", "unusable") for result in chosen]))
    rates["unusable"] = float(np.mean([not result.usable for result in chosen]))
    return rates


def right_lead(table: pd.DataFrame, results: list[Quality], name: str, column: str) -> dict:
    """Of recordings whose annotation names one lead only: how often that lead has the worst value of the twelve."""
    names = {lead.upper(): number for number, lead in enumerate(LEADS)}
    texts = table[column].fillna("").str.upper().str.replace(r"[\s,?]+", " ", regex=True).str.strip()
    hits = [
        int(np.argmax(results[row].measured[name])) == names[text] for row, text in enumerate(texts) if text in names
    ]
    return {"check": name, "annotation": column, "n": len(hits), "share": float(np.mean(hits)) if hits else None}
