"""PTB-XL's recordings, read from their WFDB files."""

from pathlib import Path

import numpy as np
import wfdb

from config import LEADS, MICROVOLTS_PER_MILLIVOLT, SAMPLING_RATE
from ecg.recording import Recording
from ptbxl.index import DatasetError, Index


def record_path(index: Index, ecg_id: int, sampling_rate: int) -> Path:
    """Path of a record without extension; the release has 100 and 500 Hz."""
    column = {100: "filename_lr", 500: "filename_hr"}[sampling_rate]
    return index.directory / index.table.at[ecg_id, column]


def read_microvolts(path: Path) -> tuple[np.ndarray, float]:
    """One WFDB record as int16 ``(12, samples)`` in µV, leads in our order, and its rate in Hz.

    Raises DatasetError if it is missing, unreadable, or its samples do not match the header's checksums.
    """
    try:
        record = wfdb.rdrecord(str(path), physical=False)
    except Exception as error:  # wfdb's parser raises whatever a broken file provokes
        raise DatasetError(f"{path.name}: {type(error).__name__}: {error}") from error
    if record.checksum != record.calc_checksum():
        raise DatasetError(f"{path.name}: samples do not match the header's checksums, the file was altered or cut")
    order = {name.upper(): number for number, name in enumerate(record.sig_name)}
    missing = [lead for lead in LEADS if lead.upper() not in order]
    if missing:
        raise DatasetError(f"{path.name}: no lead {', '.join(missing)}")
    if set(record.units) != {"mV"}:
        raise DatasetError(f"{path.name}: units are {sorted(set(record.units))}, PTB-XL's are mV")
    columns = [order[lead.upper()] for lead in LEADS]
    gain, baseline = np.array(record.adc_gain)[columns], np.array(record.baseline)[columns]
    signal = record.d_signal[:, columns]
    microvolts = np.round((signal - baseline) * (MICROVOLTS_PER_MILLIVOLT / gain))
    return np.ascontiguousarray(np.clip(microvolts, -32768, 32767).T.astype(np.int16)), float(record.fs)


def read_recording(index: Index, ecg_id: int, sampling_rate: int = SAMPLING_RATE) -> Recording:
    """One recording of the data set from its files, at 100 or 500 Hz."""
    microvolts, rate = read_microvolts(record_path(index, ecg_id, sampling_rate))
    signal = microvolts.astype(np.float32) / MICROVOLTS_PER_MILLIVOLT
    return Recording(signal, rate, np.ones(len(LEADS), bool))
