"""WFDB records: a text header and the signal files it names, as PhysioNet and its Challenges keep them.

Format: https://wfdb.io/spec/header-files.html, https://wfdb.io/spec/signal-files.html. A header is untrusted text that
names files and sizes, so it is checked first, with wfdb's own patterns; wfdb then sees only a header that agrees with
the files beside it. MATLAB v4 files of the Challenges are format 16 behind a 24-byte preamble.
"""

import math
import re
import tempfile
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np

from ecg.readers.channels import MAX_SIGNALS, Channels, check_extent
from ecg.readers.library_errors import TEMPORARY_PREFIX, header_number, library_errors_refused
from ecg.readers.wfdb_header import RECORD_LINE, SIGNAL_LINE, split_header
from ecg.recording import RecordingError, Subject, printable

MAX_HEADER_BYTES = 65536
BYTES_PER_SAMPLE = {"16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5}
INVALID_16 = -32768  # stands for a missing sample
FLAC_FORMATS = ("508", "516", "524")

_RECORD_LINE = re.compile(r"[-\w]+(/\d+)?[ \t]+\d+([ \t/].*)?")
_SIGNAL_LINE = re.compile(r"\S+[ \t]+\d+(x\d+)?(:\d+)?(\+\d+)?([ \t].*)?")
# "# Age: 56" of PhysioNet's Challenges, "# age: 56" and "# <age>: 56 <sex>: F" of its databases
_AGE = re.compile(r"#.*\bage>?\s*:\s*(\d{1,3}(?:\.\d+)?)\b", re.IGNORECASE | re.ASCII)
_SEX = re.compile(r"#.*\b(?:sex|gender)>?\s*:\s*(female|male|f|m)\b", re.IGNORECASE)
_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_OLDEST, _OVER_89 = 120, 300  # years; PTB-XL's code, which a Challenge took over
_PLAIN_NAME = re.compile(r"\w[-\w]*(\.\w+)?", re.ASCII)


def is_header(content: bytes) -> bool:
    """Whether the bytes are a WFDB header: a record line, then a signal or segment line."""
    if len(content) > MAX_HEADER_BYTES or b"\0" in content:
        return False
    lines = _lines(content)[0][:2]
    return len(lines) == 2 and bool(_RECORD_LINE.fullmatch(lines[0]) and _SIGNAL_LINE.fullmatch(lines[1]))


def signal_files(content: bytes) -> list[str]:
    """The names of the signal files of a header, plain names in its own folder only."""
    _, signals = _parsed(_lines(content)[0])
    return list(dict.fromkeys(signal["file_name"] for signal in signals))


def read(header_name: str, files: dict[str, bytes], verify_checksums: bool = False) -> Channels:
    """The signals of the record that the header ``files[header_name]`` describes, NaN where a sample is missing.

    verify_checksums: refuse samples that do not add up to the header's checksums. Few programs but those of PhysioNet
        write them, so this is for PTB-XL's own files.
    Raises RecordingError if the header is unsafe, asks for files that are not among ``files``, or claims other sizes.
    """
    lines, comments = _lines(files[header_name])
    record, signals = _parsed(lines)
    samples = header_number(record["sig_len"], int, "the number of samples")
    sampling_rate = header_number(record["fs"], float, "the sampling rate")
    check_extent(len(signals), samples, sampling_rate)
    names = list(dict.fromkeys(signal["file_name"] for signal in signals))
    for name in names:
        if name not in files:
            raise RecordingError(
                f"{printable(header_name)} needs {printable(name)}, which is not there; give both, or one zip of them"
            )
        _check_size(name, [signal for signal in signals if signal["file_name"] == name], samples, len(files[name]))
    if all(signal["fmt"] == "16" for signal in signals):
        counts, values = _format_16(signals, samples, files)
    else:
        counts, values = _by_wfdb(lines, names, signals, files)
    if values.shape != (samples, len(signals)):
        raise RecordingError(f"the signal files hold {len(values)} samples, {printable(header_name)} says {samples}")
    if verify_checksums:
        _verify_checksums(signals, counts)
    return Channels(
        names=[signal["sig_name"] for signal in signals],
        values=list(values.T),
        units=[signal["units"] or "mV" for signal in signals],  # the default of the format
        sampling_rate=sampling_rate,
        subject=_subject(comments, record["base_date"]),
    )


def _format_16(signals: list[dict[str, str]], samples: int, files: dict[str, bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Counts and physical values ``(samples, signals)`` of 16-bit files: what wfdb gives, at a tenth of its time.

    It is the format of PTB-XL and of the Challenges, and wfdb's header tables would take longer than a network does.
    """
    counts = np.empty((samples, len(signals)), np.int16)
    for name in {signal["file_name"] for signal in signals}:
        columns = [column for column, signal in enumerate(signals) if signal["file_name"] == name]
        offset = int(signals[columns[0]]["byte_offset"] or 0)
        counts[:, columns] = np.frombuffer(files[name], "<i2", samples * len(columns), offset).reshape(samples, -1)
    gain = np.array([float(signal["adc_gain"]) for signal in signals])
    baseline = np.array(
        [header_number(signal["baseline"] or signal["adc_zero"] or 0, float, "a baseline") for signal in signals]
    )
    with np.errstate(over="ignore"):
        return counts, np.where(counts == INVALID_16, np.nan, (counts - baseline) / gain)


def _verify_checksums(signals: list[dict[str, str]], counts: np.ndarray) -> None:
    """Compare the 16-bit sums of each signal's counts with the header's."""
    sums = counts.sum(axis=0, dtype=np.int64) & 0xFFFF
    for signal, total in zip(signals, sums, strict=True):
        if header_number(signal["checksum"], int, "a checksum") & 0xFFFF != total:
            raise RecordingError("samples do not match the header's checksums, the file was altered or cut")


def _by_wfdb(
    lines: tuple[str, ...], names: list[str], signals: list[dict[str, str]], files: dict[str, bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """Counts and physical values ``(samples, signals)`` of signal files in any other format."""
    import wfdb  # takes long to import, and brings pandas with it

    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX) as folder:
        # under names of our own, so that no signal file can take the place of the checked header
        header = ["record " + lines[0].split(maxsplit=1)[1]]
        for signal, line in zip(signals, lines[1:], strict=True):
            header.append(f"{names.index(signal['file_name'])}.dat" + line.removeprefix(signal["file_name"]))
        Path(folder, "record.hea").write_text("\n".join(header) + "\n", encoding="ascii")
        for number, name in enumerate(names):
            Path(folder, f"{number}.dat").write_bytes(files[name])
        with library_errors_refused("wfdb"):
            record = wfdb.rdrecord(str(Path(folder, "record")), physical=False)
            return record.d_signal, record.dac()


def _subject(comments: tuple[str, ...], base_date: str) -> Subject:
    """Age and sex from the comments, the date from the record line; what cannot be understood is left out."""
    ages = [float(match[1]) for match in map(_AGE.match, comments) if match]
    sexes = [match[1][0].lower() for match in map(_SEX.match, comments) if match]
    return Subject(
        age=next((age for age in ages if age <= _OLDEST or age == _OVER_89), None),
        sex={"f": "female", "m": "male"}[sexes[0]] if sexes else "",
        recorded=_date(base_date),
    )


def _date(text: str) -> date | None:
    match = _DAY.fullmatch(text)
    try:
        return date(int(match[3]), int(match[2]), int(match[1])) if match else None
    except ValueError:  # such as the 31st of February
        return None


@lru_cache(maxsize=16)  # a header is looked at to recognise it, for the files it names, and to read it
def _lines(content: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines of a header but for comments, and those each with its #, in ASCII as wfdb will see them."""
    lines, comments = split_header(_text(content))
    return tuple(lines), tuple(comments)


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\u00b5", "u").replace("\u03bc", "u").encode("ascii", "replace").decode("ascii")


@lru_cache(maxsize=16)
def _parsed(lines: tuple[str, ...]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The record line's and the signal lines' fields, as far as they are safe and usable."""
    match = RECORD_LINE.match(lines[0])
    if not match:
        raise RecordingError(f"the first line of the header cannot be understood: {printable(lines[0])}")
    record = match.groupdict()
    if record["n_seg"]:
        raise RecordingError("records of several segments are not read; give one segment with its own header")
    if not record["fs"] or not record["sig_len"]:
        raise RecordingError(
            "the header does not give the sampling rate and the number of samples; complete its first line"
        )
    count = int(record["n_sig"][:9])
    if not 1 <= count <= MAX_SIGNALS or len(lines) != 1 + count:
        raise RecordingError(
            f"the header declares {count} signals and describes {len(lines) - 1}; 1 to {MAX_SIGNALS} are read"
        )
    return record, [_signal(line) for line in lines[1:]]


def _signal(line: str) -> dict[str, str]:
    name = line.split()[0]
    if not _PLAIN_NAME.fullmatch(name):
        raise RecordingError(
            f"the header names the file {printable(name)}; only plain names of files beside it are read"
        )
    match = SIGNAL_LINE.match(line)
    if not match or match["file_name"] != name:
        raise RecordingError(f"a signal line of the header cannot be understood: {printable(line)}")
    signal = match.groupdict()
    if signal["fmt"] not in BYTES_PER_SAMPLE and signal["fmt"] not in FLAC_FORMATS:
        raise RecordingError(
            f"signal format {printable(signal['fmt'])} is not read; "
            f"formats {', '.join((*BYTES_PER_SAMPLE, *FLAC_FORMATS))} are: convert with xform"
        )
    if signal["samps_per_frame"] not in ("", "1") or signal["skew"] not in ("", "0"):
        raise RecordingError("signals with several samples a frame or a skew are not read: convert with xform")
    if not 0 < header_number(signal["adc_gain"] or 0, float, "a gain") < math.inf:
        raise RecordingError(
            f"signal {printable(signal['sig_name'])} has no gain above zero, so its amplitude is unknown; "
            "complete the header with the ADC units per mV"
        )
    return signal


def _check_size(name: str, signals: list[dict[str, str]], samples: int, size: int) -> None:
    """Refuse a signal file shorter than its header claims, before memory is taken for it."""
    formats = {(signal["fmt"], header_number(signal["byte_offset"] or 0, int, "a byte offset")) for signal in signals}
    if len(formats) > 1:
        raise RecordingError(f"{printable(name)}: all signals of one file must have one format and offset")
    ((code, offset),) = formats
    if code in FLAC_FORMATS:
        return
    needed = offset + math.ceil(len(signals) * samples * BYTES_PER_SAMPLE[code])
    if size < needed:
        raise RecordingError(
            f"{printable(name)} is cut short: it holds {size} bytes of the {needed} that its header describes"
        )
