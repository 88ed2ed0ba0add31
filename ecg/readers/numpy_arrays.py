"""NPY and NPZ: bare arrays of numbers, whose sampling rate and units the file or the caller must give.

NPZ: ``signal`` as ``(leads, samples)`` or ``(samples, leads)``, and where known ``sampling_rate`` (Hz), ``leads``
(names) and ``units``. NPY: the signal alone. Twelve unnamed leads are taken to be in standard order, with a note.
Nothing is unpickled.
"""

import io
import math

import numpy as np

from config import LEADS
from ecg.readers.channels import MAX_SIGNALS, Channels, check_extent, declared_or_given
from ecg.readers.library_errors import library_errors_refused
from ecg.recording import RecordingError, printable


def is_npy(content: bytes) -> bool:
    """Whether the bytes start like a NumPy array file."""
    return content.startswith(b"\x93NUMPY")


def read_npy(content: bytes, sampling_rate: float | None, units: str | None) -> Channels:
    """Twelve leads in standard order from a bare array. Raises RecordingError unless rate and units are given."""
    return _channels({"signal": _array(content)}, sampling_rate, units)


def is_npz(files: dict[str, bytes]) -> bool:
    """Whether the files of an archive are those of an NPZ file."""
    return "signal.npy" in files and all(is_npy(content) for content in files.values())


def read_npz(files: dict[str, bytes], sampling_rate: float | None, units: str | None) -> Channels:
    """The signal of an unpacked NPZ file. Raises RecordingError if rate or units are neither there nor given."""
    arrays = {name.removesuffix(".npy"): _array(content) for name, content in files.items()}
    return _channels(arrays, sampling_rate, units)


def _array(content: bytes) -> np.ndarray:
    """An array of numbers or text from a NumPy file; its header is checked against the bytes, nothing is unpickled."""
    stream = io.BytesIO(content)
    with library_errors_refused("numpy"):
        version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise RecordingError("an array file of an unknown version; save it with numpy.save")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with library_errors_refused("numpy"):
        shape, fortran, dtype = read_header(stream)
    if dtype.kind not in "fiuU" or dtype.itemsize == 0:
        raise RecordingError(f"an array of {printable(dtype)} is not read; save plain numbers, such as float32")
    count = math.prod(shape)
    if min(shape, default=1) < 1 or count * dtype.itemsize != len(content) - stream.tell():
        raise RecordingError(
            f"the array file claims the shape {printable(shape)} and holds {len(content) - stream.tell()} bytes"
        )
    return np.frombuffer(content, dtype, count, stream.tell()).reshape(shape, order="F" if fortran else "C")


def _channels(arrays: dict[str, np.ndarray], sampling_rate: float | None, units: str | None) -> Channels:
    """The rows of ``arrays["signal"]``, with what the other arrays say about them."""
    signal, leads = arrays["signal"], _texts(arrays.get("leads"), "leads")
    if signal.ndim != 2 or signal.dtype.kind not in "fiu":
        raise RecordingError(f"the signal must be numbers of shape (leads, samples), not {signal.dtype} {signal.shape}")
    count = len(leads or LEADS)
    if signal.shape[0] == signal.shape[1] or count not in signal.shape:
        raise RecordingError(f"a signal of shape {signal.shape} does not show which side the {count} leads are on")
    rows = signal if signal.shape[0] == count else signal.T
    rate = declared_or_given("sampling rate", _rate(arrays), sampling_rate, "as sampling_rate=, in Hz")
    check_extent(count, rows.shape[1], rate)
    return Channels(
        names=leads or LEADS,
        values=[row.astype(np.float64) for row in rows],
        units=_units(arrays, count, units),
        sampling_rate=rate,
        notes=() if leads else (f"the leads are not named and were taken to be {', '.join(LEADS)}",),
    )


def _rate(arrays: dict[str, np.ndarray]) -> float | None:
    rate = arrays.get("sampling_rate")
    if rate is None:
        return None
    if rate.size != 1 or rate.dtype.kind not in "iuf":
        raise RecordingError("sampling_rate in the NPZ file must be one number, in Hz")
    return rate.item()


def _units(arrays: dict[str, np.ndarray], count: int, given: str | None) -> list[str]:
    """The unit of each lead."""
    declared = _texts(arrays.get("units"), "units") or [None]
    if len(declared) not in (1, count):
        raise RecordingError(f"{len(declared)} units for {count} leads; give one, or one a lead")
    each = declared * count if len(declared) == 1 else declared
    return [declared_or_given("unit", unit, given, "as units=, such as mV") for unit in each]


def _texts(array: np.ndarray | None, what: str) -> list[str] | None:
    if array is None:
        return None
    if array.dtype.kind != "U" or array.size > MAX_SIGNALS:
        raise RecordingError(f"{what} in the NPZ file must be text, one entry a lead")
    with library_errors_refused("numpy"):  # code points that are no characters
        return [str(text) for text in array.ravel()]
