"""One ECG in every format that is read, and the two things that may come of a file.

`TRUTH` is a generated ECG in µV; other software wrote it in its own formats (tests/data/ecg/README.md).
"""

import io
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pyedflib
import pytest
import wfdb
from pydicom.data import get_testdata_file

from config import LEADS
from ecg.readers import read_uploaded
from ecg.recording import Recording, RecordingError

DATA = Path(__file__).parents[1] / "data" / "ecg"
TRUTH = np.load(DATA / "truth.npz")["signal"]  # int16 (12, 5000) in µV at 500 Hz
TRUTH_MV = TRUTH / 1000
RATE = 500
LIMITS_16 = {"min": -32768, "max": 32767}
STORED_LEADS = [lead for lead in LEADS if lead in ("I", "II") or lead.startswith("V")]


def leads_of(signal_mv: np.ndarray = TRUTH_MV, names=LEADS) -> dict[str, np.ndarray]:
    """Named rows, in the order of names."""
    return {name: signal_mv[LEADS.index(name)] for name in names}


def upload(name: str) -> dict[str, bytes]:
    """A committed file as an upload."""
    return {name: (DATA / name).read_bytes()}


def zipped(files: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> dict[str, bytes]:
    """An upload of one archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return {"upload.zip": stream.getvalue()}


def npy(array: np.ndarray) -> bytes:
    """What numpy.save writes."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays) -> dict[str, bytes]:
    """An upload of what numpy.savez_compressed writes."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return {"signal.npz": stream.getvalue()}


def table(names=LEADS, rows: int = 1000, delimiter: str = ",", before: str = "", unit: str = " (mV)") -> bytes:
    """A CSV file of the first rows of the truth."""
    header = delimiter.join(f"{name}{unit}" for name in names)
    lines = (
        delimiter.join(f"{value:.3f}" for value in row) for row in TRUTH_MV[[LEADS.index(n) for n in names], :rows].T
    )
    return "\n".join([before + header, *lines, ""]).encode()


@cache
def wfdb_record(code: str = "16", names=LEADS, samples: int = 5000, gain: float = 1000) -> dict[str, bytes]:
    """A record of the truth as wfdb writes it."""
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "truth",
            fs=RATE,
            units=["mV"] * len(names),
            sig_name=list(names),
            p_signal=np.stack(list(leads_of(names=names).values()), axis=1)[:samples],
            fmt=[code] * len(names),
            adc_gain=[gain] * len(names),
            baseline=[0] * len(names),
            write_dir=folder,
        )
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@cache
def dicom_ecg() -> bytes:
    """A Mortara cart's 12-lead ECG out of pydicom's test data."""
    return Path(get_testdata_file("waveform_ecg.dcm")).read_bytes()


def edf(
    path: Path, signals: dict[str, np.ndarray], unit: str = "uV", rates: dict[str, int] | None = None, **options
) -> bytes:
    """An EDF file as edflib writes it; one µV a step."""
    with pyedflib.EdfWriter(str(path), len(signals), **options) as writer:
        limits = {f"{kind}_{end}": value for kind in ("physical", "digital") for end, value in LIMITS_16.items()}
        writer.setSignalHeaders(
            [
                {"label": label, "dimension": unit, "sample_frequency": (rates or {}).get(label, RATE)} | limits
                for label in signals
            ]
        )
        writer.writeSamples([np.ascontiguousarray(values, float) for values in signals.values()])
    return path.read_bytes()


def assert_is_truth(recording: Recording, tolerance_mv: float, step: int = 1) -> None:
    """All twelve leads are the truth's, to the rounding of the format."""
    assert recording.signal.dtype == np.float32
    assert recording.present.all()
    assert recording.sampling_rate == RATE / step
    np.testing.assert_allclose(recording.signal, TRUTH_MV[:, ::step], atol=tolerance_mv)


def refused(files: dict[str, bytes], message: str, **arguments) -> None:
    """The upload is refused with a message that matches."""
    with pytest.raises(RecordingError, match=message):
        read_uploaded(files, **arguments)


def changed_dicom(change) -> dict[str, bytes]:
    """The cart's ECG with something changed."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_ecg()))
    change(dataset)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return {"x.dcm": stream.getvalue()}
