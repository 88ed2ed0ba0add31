"""PTB-XL's recordings, read from their WFDB files by the project's one WFDB reader."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from config import LEADS, MICROVOLTS_PER_MILLIVOLT, SAMPLING_RATE
from ecg.readers import wfdb_records
from ecg.readers.channels import assemble
from ecg.recording import Recording, RecordingError
from ptbxl.index import DatasetError, Index


def record_path(index: Index, ecg_id: int, sampling_rate: int) -> Path:
    """Path of a record without extension; the release has 100 and 500 Hz, a user's own data set perhaps no 500 Hz.

    There need not be a file: without a 500-Hz one the path leads nowhere.
    """
    column = {100: "filename_lr", 500: "filename_hr"}[sampling_rate]
    return index.directory / index.table.at[ecg_id, column]


def read_record(path: Path) -> Recording:
    """One WFDB record, its path given without extension, verified by the header's checksums.

    The signal is in whole µV, as in the signal cache. Missing samples (-32768 in the file) are filled as in any file:
    gaps of up to 0.2 s are interpolated.
    Raises DatasetError if the record is missing or unreadable, has longer gaps, lacks a lead, or does not add up.
    """
    header = path.with_name(f"{path.name}.hea")
    try:
        files = {header.name: header.read_bytes()}
        if not wfdb_records.is_header(files[header.name]):
            raise RecordingError(f"{header.name} is not the header of a WFDB record")
        for name in wfdb_records.signal_files(files[header.name]):
            files[name] = path.with_name(name).read_bytes()
        recording = assemble(wfdb_records.read(header.name, files, verify_checksums=True))
    except (OSError, RecordingError) as error:
        raise DatasetError(f"{path.name}: {error}") from error
    if not recording.present.all():
        missing = [lead for lead, there in zip(LEADS, recording.present, strict=True) if not there]
        raise DatasetError(f"{path.name}: no lead {', '.join(missing)}")
    return replace(recording, signal=to_microvolts(recording.signal).astype(np.float32) / MICROVOLTS_PER_MILLIVOLT)


def to_microvolts(signal: np.ndarray) -> np.ndarray:
    """A signal in mV as int16 µV."""
    return np.clip(np.round(signal * MICROVOLTS_PER_MILLIVOLT), -32768, 32767).astype(np.int16)


def read_recording(index: Index, ecg_id: int, sampling_rate: int = SAMPLING_RATE) -> Recording:
    """One recording of the data set from its files, at 100 or 500 Hz. Raises DatasetError as `read_record`."""
    if sampling_rate == 500 and not index.table.at[ecg_id, "filename_hr"]:
        raise DatasetError(f"the table names no 500-Hz file of ecg_id {ecg_id}")
    return read_record(record_path(index, ecg_id, sampling_rate))
