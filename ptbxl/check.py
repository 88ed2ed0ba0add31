"""Is the data set whole, and if not, what still works?"""

import numpy as np

from config import SUPERCLASSES, SYNTHETIC_NOTICE, TEST_FOLD, TRAIN_FOLDS, VALIDATION_FOLD
from ptbxl.cache import SignalCache
from ptbxl.index import Index

# PTB-XL 1.0.3: records, NORM, MI, STTC, CD, HYP, no superclass
RELEASE_COUNTS = {
    TRAIN_FOLDS: (17418, 7596, 4379, 4186, 3907, 2119, 334),
    (VALIDATION_FOLD,): (2183, 955, 540, 528, 495, 268, 37),
    (TEST_FOLD,): (2198, 963, 550, 521, 496, 262, 40),
}
CONSEQUENCES = {
    TRAIN_FOLDS: "training cannot run; thresholds and evaluation of a shipped checkpoint can",
    (VALIDATION_FOLD,): "training, thresholds and `--split val` cannot run; `--split test` can",
    (TEST_FOLD,): "`--split test` cannot run; training, thresholds and `--split val` can",
}
MAX_LISTED = 20


def check_dataset(index: Index, cache: SignalCache) -> tuple[str, bool]:
    """A readable report on the data set and whether it is whole."""
    table, problems = _fold_table(index, cache)
    folds = index.table.groupby("patient_id")["strat_fold"].nunique()
    crossing = folds[folds > 1].index.tolist()
    if crossing:
        problems.append(f"{len(crossing)} patients are in more than one fold (leakage), e.g. {crossing[:5]}")
    at_500 = sum((index.directory / f"{name}.dat").is_file() for name in index.table["filename_hr"])
    lines = [
        f"Data set in {index.directory}",
        *([SYNTHETIC_NOTICE] if index.is_synthetic else []),
        f"{len(index.table)} recordings of {index.table['patient_id'].nunique()} patients",
        "",
        *table,
        "",
        f"patients in more than one fold: {len(crossing)}",
        f"recordings also at 500 Hz: {at_500} (nothing in training or evaluation needs them)",
        *list_unreadable(cache),
        "",
    ]
    if problems:
        lines += ["NOT WHOLE:", *(f"  - {problem}" for problem in problems)]
    else:
        lines.append("Whole: every listed recording is there and matches its checksums.")
    return "\n".join(lines), not problems


def list_unreadable(cache: SignalCache) -> list[str]:
    """A line for each of the first recordings that could not be read."""
    lines = [f"  ecg_id {ecg_id}: {reason}" for ecg_id, reason in list(cache.unreadable.items())[:MAX_LISTED]]
    further = len(cache.unreadable) - len(lines)
    return [*lines, f"  and {further} more"] if further else lines


def _fold_table(index: Index, cache: SignalCache) -> tuple[list[str], list[str]]:
    """Counts of records and labels by folds, and what is wrong with them; beside the release's where it is PTB-XL."""
    lines = [_row("folds", ("records", *SUPERCLASSES, "none"), "unreadable")]
    problems = []
    for folds, expected in RELEASE_COUNTS.items():
        name = f"{folds[0]}-{folds[-1]}" if len(folds) > 1 else str(folds[0])
        counts, unreadable = _counts(index, cache, folds)
        lines.append(_row(name, counts, unreadable))
        if index.is_ptbxl:
            lines.append(_row("release 1.0.3", expected))
        absent = sorted(set(folds) - set(index.folds))
        if absent:
            problems.append(f"fold {', '.join(map(str, absent))} is missing: {CONSEQUENCES[folds]}")
        elif index.is_ptbxl and counts != expected:
            problems.append(f"folds {name} differ from release 1.0.3 in records or labels")
        if unreadable:
            problems.append(f"folds {name}: {unreadable} recordings are missing or unreadable: {CONSEQUENCES[folds]}")
    return lines, problems


def _row(name: str, counts: tuple, unreadable: int | str = "") -> str:
    records, *labels = counts
    return f"{name:>14} {records:>8} {' '.join(f'{count:>6}' for count in labels)}  {unreadable:>10}".rstrip()


def _counts(index: Index, cache: SignalCache, folds: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Records, each superclass, no superclass; and how many are unreadable."""
    in_folds = np.isin(index.folds, folds)
    labels = index.superclasses[in_folds]
    counts = (len(labels), *(int(n) for n in labels.sum(0)), int((~labels.any(1)).sum()))
    return counts, sum(ecg_id in cache.unreadable for ecg_id in index.table.index[in_folds])
