"""Quality checks beside PTB-XL's own annotations of noise, and the limits they choose."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from config import LEADS, MICROVOLTS_PER_MILLIVOLT, SAMPLING_RATE, TRAIN_FOLDS, VALIDATION_FOLD
from ecg.quality import LEAD_CHECKS, RECORD_CHECKS, Quality
from ecg.recording import Recording
from ptbxl.cache import SignalCache
from ptbxl.index import DatasetError, Index

CHECKS = LEAD_CHECKS | RECORD_CHECKS
ANNOTATIONS = ["baseline_drift", "static_noise", "burst_noise", "electrodes_problems"]
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


def readable(index: Index, cache: SignalCache) -> pd.DataFrame:
    """Table of the readable recordings of folds 1-9, ``row`` is theirs in the cache; DatasetError without PTB-XL."""
    wanted = [*TRAIN_FOLDS, VALIDATION_FOLD]
    annotated = index.table[ANNOTATIONS].notna().any(axis=None)
    if index.is_synthetic or not annotated or not set(wanted) <= set(index.folds):
        raise DatasetError(
            "folds 1-9 of PTB-XL with its annotations of noise are needed: `python dataset.py download` fetches them"
        )
    table = index.table.assign(row=np.arange(len(index.table)))
    return table[np.isin(index.folds, wanted) & ~table.index.isin(cache.unreadable)]


def cached_recordings(cache: SignalCache, table: pd.DataFrame, what: str) -> Iterator[Recording]:
    """The table's recordings at 100 Hz, with a progress bar."""
    for row in tqdm(table["row"], desc=what, unit="ECG"):
        signal = cache.signals[row].astype(np.float32) / MICROVOLTS_PER_MILLIVOLT
        yield Recording(signal=signal, sampling_rate=SAMPLING_RATE, present=np.ones(len(LEADS), bool))


def annotations(table: pd.DataFrame) -> pd.DataFrame:
    """Whether each column of annotations says anything at all, and any of the four on noise."""
    noted = table[[*ANNOTATIONS, "pacemaker"]].notna()
    return noted.assign(**{"any of the four": noted[ANNOTATIONS].any(axis=1)})


def worst(result: Quality, name: str) -> float:
    """The value of a check in its worst lead, the higher the worse; NaN without one."""
    values = result.measured.get(name, np.array([result.record.get(name, np.nan)]))
    return np.fmax.reduce(-values if CHECKS[name].low else values)


def auroc(scores: pd.Series, positive: pd.Series, negative: pd.Series) -> float:
    """AUROC of the scores that are not NaN, of the recordings in either group."""
    member = (positive | negative) & scores.notna()
    return float(roc_auc_score(positive[member], scores[member]))


def against_annotations(table: pd.DataFrame, results: list[Quality]) -> dict:
    """Limits and detection of the annotations, of every recording of folds 1-9."""
    noted, validation = annotations(table), table["strat_fold"] == VALIDATION_FOLD
    clean = ~noted["any of the four"]
    scores = pd.DataFrame([[worst(result, name) for name in CHECKS] for result in results], table.index, CHECKS)
    raised = [{flag.name for flag in result.flags} for result in results]
    flagged = pd.DataFrame([[name in found for name in CHECKS] for found in raised], table.index, CHECKS)
    flagged["any"] = [result.severity in ("caution", "unusable") for result in results]  # notes left out
    flagged["unusable"] = [not result.usable for result in results]
    groups = {
        "fold_9_not_annotated": validation & clean,
        "fold_9_annotated": validation & ~clean,
        "electrodes_problems": noted["electrodes_problems"],
    }
    return {
        "chosen_limits": chosen_limits(scores[~validation & clean]),
        "validated": validated(noted, validation, scores, flagged),
        "all_aurocs_fold_9": {
            name: {note: auroc(scores[name], noted[note] & validation, validation & clean) for note in ANNOTATIONS}
            for name in CHECKS
            if name not in ("mains", "leads lost", "units too small")
        },
        "right_lead": [right_lead(table, results, name, column) for name, column in VALIDATED[:3]],
        "flag_rates": {name: flagged[member].mean().to_dict() for name, member in groups.items()},
    }


def validated(noted: pd.DataFrame, validation: pd.Series, scores: pd.DataFrame, flagged: pd.DataFrame) -> list[dict]:
    """One row for each of `VALIDATED`: AUROC, false alarms and sensitivity of the shipped limit."""
    rows = []
    for name, annotation in VALIDATED:
        row = {"check": name, "annotation": annotation, "limit": CHECKS[name].limit, "unit": CHECKS[name].unit}
        negative = ~noted["pacemaker" if annotation == "pacemaker" else "any of the four"]
        for split, member in (("folds_1_8", ~validation), ("fold_9", validation)):
            positive = noted[annotation] & member
            row[split] = {
                "annotated": int(positive.sum()),
                "auroc": auroc(scores[name], positive, negative & member),
                "sensitivity": flagged.loc[positive, name].mean(),
                "false_alarms": flagged.loc[negative & member, name].mean(),
            }
        rows.append(row)
    return rows


def chosen_limits(scores: pd.DataFrame) -> dict[str, float]:
    """Limits that the false alarms of these recordings would choose, unrounded."""
    shares = dict.fromkeys(GRADED, FALSE_ALARMS) | {"electrodes swapped": SWAP_FALSE_ALARMS}
    return {name: scores[name].quantile(1 - share) for name, share in shares.items()}  # too much is the fault in all


def right_lead(table: pd.DataFrame, results: list[Quality], name: str, column: str) -> dict:
    """Of recordings whose annotation names one lead only: how often that lead has the worst value of the twelve."""
    names = {lead.upper(): number for number, lead in enumerate(LEADS)}
    texts = table[column].fillna("").str.upper().str.replace(r"[\s,?]+", " ", regex=True).str.strip()
    hits = [
        int(np.argmax(results[row].measured[name])) == names[text] for row, text in enumerate(texts) if text in names
    ]
    return {"check": name, "annotation": column, "n": len(hits), "share": float(np.mean(hits))}
