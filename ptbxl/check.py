"""Is the data set whole, and if not, what still works?"""

import numpy as np

from config import SUPERCLASSES, SYNTHETIC_NOTICE, TEST_FOLD, TRAIN_FOLDS
from ptbxl.cache import SignalCache
from ptbxl.index import Index

# PTB-XL 1.0.3: records, NORM, MI, STTC, CD, HYP, no superclass
RELEASE_COUNTS = {
    TRAIN_FOLDS: (17418, 7596, 4379, 4186, 3907, 2119, 334),
    (9,): (2183, 955, 540, 528, 495, 268, 37),
    (TEST_FOLD,): (2198, 963, 550, 521, 496, 262, 40),
}


def check_dataset(index: Index, cache: SignalCache) -> tuple[str, bool]:
    """A readable report on the data set and whether it is whole."""
    lines, problems = [f"Data set in {index.directory}"], []
    if index.is_synthetic:
        lines.append(SYNTHETIC_NOTICE)
    lines.append(f"{len(index.table)} recordings of {index.table['patient_id'].nunique()} patients")
    lines.append("")
    lines.append(
        f"{'folds':>14} {'records':>8} " + " ".join(f"{name:>6}" for name in (*SUPERCLASSES, "none")) + "  unreadable"
    )
    for folds, expected in RELEASE_COUNTS.items():
        name = f"{folds[0]}-{folds[-1]}" if len(folds) > 1 else str(folds[0])
        counts, unreadable = _counts(index, cache, folds)
        lines.append(f"{name:>14} {counts[0]:>8} " + " ".join(f"{n:>6}" for n in counts[1:]) + f"  {unreadable:>10}")
        absent = sorted(set(folds) - set(index.folds))
        if not index.is_synthetic:
            lines.append(f"{'release 1.0.3':>14} {expected[0]:>8} " + " ".join(f"{n:>6}" for n in expected[1:]))
        if absent:
            problems.append(f"fold {', '.join(map(str, absent))} is missing: {_consequence(folds)}")
        elif not index.is_synthetic and counts != expected:
            problems.append(f"folds {name} differ from release 1.0.3 in records or labels")
        if unreadable:
            problems.append(f"folds {name}: {unreadable} recordings are missing or unreadable: {_consequence(folds)}")
    patient_folds = index.table.groupby("patient_id")["strat_fold"].nunique()
    crossing = patient_folds[patient_folds > 1].index.tolist()
    if crossing:
        problems.append(f"{len(crossing)} patients are in more than one fold (leakage), e.g. {crossing[:5]}")
    lines.append("")
    lines.append(f"patients in more than one fold: {len(crossing)}")
    at_500 = sum((index.directory / f"{name}.dat").is_file() for name in index.table["filename_hr"])
    lines.append(f"recordings also at 500 Hz: {at_500} (nothing in training or evaluation needs them)")
    for ecg_id, reason in list(cache.unreadable.items())[:20]:
        lines.append(f"  ecg_id {ecg_id}: {reason}")
    if len(cache.unreadable) > 20:
        lines.append(f"  and {len(cache.unreadable) - 20} more")
    lines.append("")
    if problems:
        lines.append("NOT WHOLE:")
        lines += [f"  - {problem}" for problem in problems]
    else:
        lines.append("Whole: every listed recording is there and matches its checksums.")
    return "\n".join(lines), not problems


def _counts(index: Index, cache: SignalCache, folds: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    in_folds = np.isin(index.folds, folds)
    labels = index.superclasses[in_folds]
    counts = (len(labels), *(int(n) for n in labels.sum(0)), int((~labels.any(1)).sum()))
    return counts, sum(ecg_id in cache.unreadable for ecg_id in index.table.index[in_folds])


def _consequence(folds: tuple[int, ...]) -> str:
    if folds == TRAIN_FOLDS:
        return "training cannot run; thresholds and evaluation of a shipped checkpoint can"
    if folds == (TEST_FOLD,):
        return "`--split test` cannot run; training, thresholds and `--split val` can"
    return "training, thresholds and `--split val` cannot run; `--split test` can"
