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


def leads_of(signal_mv: np.ndarray = TRUTH_MV, names=LEADS) -> dict[str, np.ndarray]:
    """Named rows, in the order of names."""
    return {name: signal_mv[LEADS.index(name)] for name in names}


def committed(name: str) -> bytes:
    """A file of tests/data/ecg."""
    return (DATA / name).read_bytes()


def changed(content: bytes, place: int | bytes, new: bytes) -> bytes:
    """Content that is overwritten from a position on, or with every occurrence of a text replaced."""
    if isinstance(place, int):
        return content[:place] + new + content[place + len(new) :]
    assert place in content
    return content.replace(place, new)


def zipped(files: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    """What numpy.save writes."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays) -> bytes:
    """An archive of arrays."""
    return zipped({f"{name}.npy": npy(array) for name, array in arrays.items()})


def table(names=LEADS, rows: int = 1000, delimiter: str = ",", before: str = "", unit: str = " (mV)") -> bytes:
    """A CSV file of the first rows of the truth."""
    stream = io.StringIO()
    values = np.stack(list(leads_of(names=names).values()), axis=1)[:rows]
    header = before + delimiter.join(f"{name}{unit}" for name in names)
    np.savetxt(stream, values, "%.3f", delimiter, header=header, comments="")
    return stream.getvalue().encode()


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


def changed_dicom(change, **writing) -> bytes:
    """The cart's ECG with something changed."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_ecg()))
    change(dataset)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, **writing)
    return stream.getvalue()


def read(files: dict[str, bytes] | bytes, **arguments) -> Recording:
    """What is read from an upload of several files, or of one."""
    return read_uploaded({"file": files} if isinstance(files, bytes) else files, **arguments)


def refused(files: dict[str, bytes] | bytes, message: str, **arguments) -> None:
    """The upload is refused with a message that matches."""
    with pytest.raises(RecordingError, match=message):
        read(files, **arguments)


def assert_is_truth(recording: Recording, tolerance_mv: float, samples: int = 5000, step: int = 1) -> None:
    """All twelve leads are the truth's, to the rounding of the format."""
    assert recording.signal.dtype == np.float32
    assert recording.present.all()
    assert recording.sampling_rate == RATE / step
    np.testing.assert_allclose(recording.signal, TRUTH_MV[:, :samples:step], atol=tolerance_mv)
