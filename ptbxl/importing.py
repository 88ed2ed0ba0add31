"""A user's own recordings and labels, brought into PTB-XL's layout: docs/own_data.md."""

import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from config import LEADS, SAMPLING_RATE, SUPERCLASSES
from ecg.preprocessing import FULL_DURATION_S, resample
from ecg.readers import read_recording
from ecg.recording import RecordingError
from ecg.synthetic.writer import write_record
from ptbxl.index import DatasetError

FOLDS = 10


def import_recordings(labels: Path, destination: Path, seed: int = 0) -> dict[str, str]:
    """Write a data set in PTB-XL's layout from a table of files and labels; returns file to reason for those left out.

    labels: CSV with ``file`` (a recording of any format in docs/formats.md, relative to the CSV), ``patient_id`` (any
        text, kept as ``patient``), and ``NORM``, ``MI``, ``STTC``, ``CD``, ``HYP`` with 0 and 1; optional
        ``strat_fold``. Further columns are kept.
    destination: must not hold anything. seed: of the folds, where the table has none.
    Of each recording the first 10 s are taken, at 100 Hz.
    Raises DatasetError if the table cannot be used or no recording can be read; nothing is written then.
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DatasetError(f"{destination} is not empty: name another directory")
    table = _read_labels(labels)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}-") as scratch:
        new = Path(scratch) / "new"
        failed = _write_records(table, labels.parent, new)
        table = table[~table["file"].isin(failed)]
        if table.empty:
            raise DatasetError(f"none of the recordings can be read, the first: {next(iter(failed.values()))}")
        if "strat_fold" not in table:
            table = table.assign(strat_fold=_draw_folds(table, seed))
        table.to_csv(new / "ptbxl_database.csv", index=False, lineterminator="\n")
        shutil.copytree(new, destination, dirs_exist_ok=True, copy_function=os.replace)
    return failed


def _read_labels(path: Path) -> pd.DataFrame:
    """The table with ecg_id, a number for each patient, and the path each record will have. Raises DatasetError."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as a table: {error}") from error
    missing = [name for name in ("file", "patient_id", *SUPERCLASSES) if name not in table]
    if missing:
        raise DatasetError(f"{path} has no column {', '.join(missing)}")
    for name in ("file", "patient_id"):
        if table[name].isna().any():
            raise DatasetError(f"{name} is empty in line {table.index[table[name].isna()][0] + 2} of {path}")
    for name in SUPERCLASSES:
        if not table[name].isin([0, 1]).all():
            line = table.index[~table[name].isin([0, 1])][0]
            raise DatasetError(f"{name} in line {line + 2} of {path} is {table.at[line, name]} instead of 0 or 1")
    if table["file"].duplicated().any():
        raise DatasetError(f"{table.loc[table['file'].duplicated(), 'file'].iloc[0]} is in {path} more than once")
    table.insert(0, "ecg_id", np.arange(1, len(table) + 1))
    return table.assign(
        patient=table["patient_id"],
        patient_id=pd.factorize(table["patient_id"])[0] + 1,
        filename_lr=[f"records100/{n // 1000 * 1000:05d}/{n:05d}_lr" for n in table["ecg_id"]],
    )


def _write_records(table: pd.DataFrame, folder: Path, destination: Path) -> dict[str, str]:
    """Write the records that can be read; file to reason for the others."""
    failed = {}
    for row in tqdm(table.itertuples(), total=len(table), desc="reading ECGs", unit="ECG"):
        try:
            write_record(destination / row.filename_lr, _first_seconds(folder / row.file), SAMPLING_RATE, "imported")
        except (RecordingError, OSError) as error:
            failed[row.file] = str(error)
    return failed


def _first_seconds(path: Path) -> np.ndarray:
    """The first 10 s of a recording in mV, ``(12, 1000)``. Raises RecordingError for fewer seconds or leads."""
    recording = read_recording(path)
    if not recording.present.all():
        missing = [lead for lead, there in zip(LEADS, recording.present, strict=True) if not there]
        raise RecordingError(f"lead {', '.join(missing)} is missing")
    signal = resample(recording.signal, recording.sampling_rate, SAMPLING_RATE)
    samples = round(FULL_DURATION_S * SAMPLING_RATE)
    if signal.shape[1] < samples or not np.isfinite(signal).all():
        raise RecordingError(f"it lasts {recording.duration:.1f} s without gaps, but {FULL_DURATION_S:g} s are needed")
    return signal[:, :samples]


def _draw_folds(table: pd.DataFrame, seed: int) -> np.ndarray:
    """Folds 1 to 10 with about equal shares of every combination of labels, each patient in one."""
    if table["patient_id"].nunique() < FOLDS:
        raise DatasetError(f"ten folds need recordings of at least {FOLDS} patients")
    combinations = table[list(SUPERCLASSES)].astype(str).agg("".join, axis=1)
    common = combinations.map(combinations.value_counts()) >= FOLDS
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    folds = np.empty(len(table), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the rare combinations together are fewer than the folds
        splits = splitter.split(table, combinations.where(common, "rare"), table["patient_id"])
        for fold, (_, held_out) in enumerate(splits, start=1):
            folds[held_out] = fold
    return folds
