"""EDF and EDF+: the European Data Format (Kemp et al. 1992, 2003), read by edflib through pyedflib.

The header is fixed columns of text. They are checked against the file's length before edflib opens it, and what has no
bearing on the signals but would make edflib refuse the file (names, dates, EDF+ marks, the sign of micro) is blanked.
edflib turns counts into the unit that the header declares for each signal; `ecg.leads.millivolts` turns that into mV.
"""

import tempfile
from pathlib import Path

import numpy as np
import pyedflib

from ecg.readers.channels import MAX_SIGNALS, Channels, check_extent, lead_channels
from ecg.readers.library_errors import TEMPORARY_PREFIX, header_number, library_errors_refused
from ecg.recording import RecordingError

FIXED_BYTES = 256
SIGNAL_BYTES = 256
BYTES_PER_SAMPLE = 2
# where each signal's columns start, in bytes of header a signal, and how wide they are
LABEL, UNIT, SAMPLES = (0, 16), (96, 8), (216, 8)

_PRINTABLE = bytes(byte if 32 <= byte < 127 else 32 for byte in range(256))
_NOBODY = b"0       " + b" " * 160 + b"01.01.8500.00.00"  # version, patient, recording, date, time


def is_edf(content: bytes) -> bool:
    """Whether the bytes start with EDF's version field."""
    return content.startswith(b"0       ") and len(content) >= FIXED_BYTES


def read(content: bytes) -> Channels:
    """The signals of an EDF or EDF+C file that are named like leads, in their physical units.

    Raises RecordingError if the header contradicts the file, the leads' rates differ, or the recording is interrupted.
    """
    if content[192:197] == b"EDF+D":
        raise RecordingError("an interrupted recording (EDF+D) is not read; export a continuous part of it")
    records = header_number(_text(content, 236, 8), int, "the number of data records")
    seconds = header_number(_text(content, 244, 8), float, "the duration of a data record")
    count = header_number(_text(content, 252, 4), int, "the number of signals")
    if not 1 <= count <= MAX_SIGNALS:
        raise RecordingError(f"{count} signals; 1 to {MAX_SIGNALS} are read")
    if records < 1 or not seconds > 0:
        raise RecordingError("the header gives no number or duration of data records; the recording was not finished")
    header = FIXED_BYTES + count * SIGNAL_BYTES
    samples = [header_number(field, int, "a number of samples") for field in _fields(content, SAMPLES, count)]
    needed = header + records * sum(samples) * BYTES_PER_SAMPLE
    if min(samples) < 1 or needed > len(content):
        raise RecordingError(f"the file is cut short: its header describes {needed} bytes, it holds {len(content)}")
    labels, units = _fields(content, LABEL, count), _fields(content, UNIT, count)
    chosen, notes = lead_channels([label.removeprefix("EDF Annotations") for label in labels])
    leads = list(chosen.values())
    if len({samples[i] for i in leads}) > 1:
        raise RecordingError("the leads have different sampling rates; export them at one rate")
    rate = samples[leads[0]] / seconds
    check_extent(len(leads), records * samples[leads[0]], rate)
    plain = _NOBODY + content[184:192] + b" " * 44 + content[236:header].translate(_PRINTABLE) + content[header:]
    return Channels(
        names=list(chosen),
        values=_physical(plain, leads),
        units=[units[i] for i in leads],
        sampling_rate=rate,
        notes=notes,
    )


def _text(content: bytes, start: int, width: int) -> str:
    return content[start : start + width].decode("latin-1").strip()


def _fields(content: bytes, column: tuple[int, int], count: int) -> list[str]:
    """One column of the signals' headers."""
    offset, width = column
    starts = range(FIXED_BYTES + offset * count, FIXED_BYTES + (offset + width) * count, width)
    return [_text(content, start, width) for start in starts]


def _physical(content: bytes, signals: list[int]) -> list[np.ndarray]:
    """The signals of these numbers in their declared units."""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX) as folder:
        path = Path(folder, "recording.edf")
        path.write_bytes(content)
        with (
            library_errors_refused("pyedflib"),
            pyedflib.EdfReader(str(path), annotations_mode=pyedflib.DO_NOT_READ_ANNOTATIONS) as file,
        ):
            return [file.readSignal(i) for i in signals]
