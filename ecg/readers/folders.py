"""Which files of a folder are recordings, and what belongs to each.

    recordings, skipped = find_recordings(["recordings/", "ecg.edf"])

A folder also holds licences, checksums and tables. Text without leads and content of no known format is passed over,
unless the file is called like a recording: then it may be a damaged one, and reading it will say so.
"""

import csv
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from ecg.leads import lead_name
from ecg.readers import apple_health, dicom, edf, numpy_arrays, vendor_formats, wfdb_records
from ecg.readers.formats import companions
from ecg.recording import RecordingError

SIGNAL_SUFFIXES = (".dat", ".mat", ".flac")  # belong to the header of the same name, or to one that names them
RECORDING_SUFFIXES = (".hea", *SIGNAL_SUFFIXES, ".edf", ".bdf", ".dcm", ".npy", ".npz", ".scp", ".zip")
TEXT_SUFFIXES = (".csv", ".tsv", ".xml")  # formats of recordings and of much else
HEAD_BYTES = 16_384
MAX_JSON_BYTES = 10_000_000
UNIT_BEHIND_NAME = re.compile(r"[\s_]*[(\[].*|[\s_/]+[numµμ]?v$", re.IGNORECASE)
ARRAY_OF_MANY = re.compile(rb"'shape': \((\d+, *){2}\d+")
RECOGNISERS = (
    wfdb_records.is_header,
    edf.is_edf,
    dicom.is_dicom,
    vendor_formats.parser_of,
    numpy_arrays.is_npy,
    apple_health.is_export,
)


def find_recordings(inputs: Iterable[str | Path]) -> tuple[list[Path], dict[Path, str]]:
    """Every recording named or found below a folder, and what was passed over there, with the reason.

    A WFDB record counts as its header. A recording that is reached by several paths is there once, by the first of
    them. A file that is named is always a recording; hidden files of a folder are ignored.
    Raises FileNotFoundError.
    """
    found, skipped, headers_by_signal = {}, {}, cache(_headers_by_signal)
    for path in map(Path, inputs):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        for file in _visible_below(path) if path.is_dir() else [path]:
            recording = _header_of(file, headers_by_signal)
            reason = why_no_recording(recording) if path.is_dir() else None
            (skipped if reason else found).setdefault(resolved(recording), (recording, reason))
    return [path for path, _ in found.values()], {path: why for key, (path, why) in skipped.items() if key not in found}


def stream_recordings(inputs: Iterable[str | Path]) -> Iterator[tuple[Path, str | None]]:
    """As `find_recordings`, one after another: each file with why it is passed over, None for a recording.

    Only one folder is in memory at a time, so a recording that is reached by two links is there twice. A folder inside
    another that is given too counts once.
    Raises FileNotFoundError.
    """
    given = {}
    for path in map(Path, inputs):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        given.setdefault(resolved(path), path)
    for place, path in given.items():
        if any(parent in given for parent in place.parents):
            continue
        if path.is_dir():
            yield from _stream_folder(path)
        else:
            yield with_header(path), None


def _stream_folder(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """The files below a folder in the order of their paths."""
    headers_by_signal, seen = cache(_headers_by_signal), set()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield folder, f"the folder cannot be read: {error.strerror}"
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _stream_folder(path)
        elif entry.is_file(follow_symlinks=False) or _may_be_file(path):
            recording = _header_of(path, headers_by_signal)
            if recording not in seen:
                seen.add(recording)
                yield recording, why_no_recording(recording)


def with_header(path: Path) -> Path:
    """The header of a file that is named: itself, unless it is the signal file of a WFDB record."""
    return _header_of(path, _headers_by_signal)


def why_no_recording(path: Path) -> str | None:
    """Why a file of a folder is no recording; None if it is one, or may be a damaged one."""
    suffix = path.suffix.lower()
    if suffix in RECORDING_SUFFIXES and suffix != ".npy":
        return None
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
            if head.lstrip().startswith(b"{"):  # what tells a recording from other JSON may stand below its samples
                head += file.read(MAX_JSON_BYTES)
    except OSError:
        return None  # reading the recording says why
    if numpy_arrays.is_npy(head) and ARRAY_OF_MANY.search(head):  # such as a cache of signals
        return "an array of more than two dimensions"
    if suffix in RECORDING_SUFFIXES:
        return None
    if any(recognises(head) for recognises in RECOGNISERS):
        return None
    damaged = suffix in TEXT_SUFFIXES
    if not head.strip():
        return None if damaged else "empty"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head.decode("utf-16", "ignore").encode()
    if b"\0" in head:
        return None if damaged else "of no known format"
    text = head.decode("utf-8-sig", "replace").strip()
    if text.startswith("<"):
        return "XML or HTML, but no ECG"
    if suffix == ".json":
        return "JSON"
    return None if _may_hold_leads(text) else "text without leads"


def _may_hold_leads(text: str) -> bool:
    """Whether the head of a text names leads in its first row, or has a second row of nothing but numbers."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")][:2]
    if not lines:
        return False
    delimiter = max(",;\t", key=lines[0].count)
    header, *below = csv.reader(lines, delimiter=delimiter)
    leads = sum(lead_name(UNIT_BEHIND_NAME.sub("", cell)) is not None for cell in header)
    values = below[0] if below else []
    numeric = bool(values) and all(_is_number(value) for value in values)
    return leads >= 2 or (numeric and (leads == 1 or len(values) >= 2))


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().replace(",", ".") or "nan")
    except ValueError:
        return False
    return True


def files_of(recording: Path) -> list[Path]:
    """The files of one recording: itself, and beside a WFDB header the signal files that it names."""
    try:
        with open(recording, "rb") as file:
            named = companions(file.read(wfdb_records.MAX_HEADER_BYTES + 1))
    except (RecordingError, OSError):
        return [recording]
    return [recording, *(recording.with_name(name) for name in named)]


def version_of(recording: Path) -> str:
    """Size in bytes and time of modification in ns of each file of a recording: another text once one was replaced."""
    return " ".join(_size_and_time(file) for file in files_of(recording))


def _size_and_time(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}@{status.st_mtime_ns}"


def resolved(path: Path | str) -> Path:
    """The absolute path without links; of a loop of links, itself."""
    return Path(os.path.realpath(path))


def _visible_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if _may_be_file(path) and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _may_be_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True  # such as a link to nowhere: reading it says so


def _header_of(file: Path, headers_by_signal: Callable[[Path], dict[str, Path]]) -> Path:
    """The header that a WFDB signal file belongs to; any other file itself."""
    if file.suffix.lower() not in SIGNAL_SUFFIXES:
        return file
    header = file.with_suffix(".hea")
    return header if header.is_file() else headers_by_signal(file.parent).get(file.name, file)


def _headers_by_signal(folder: Path) -> dict[str, Path]:
    """The names of the signal files that headers in a folder name, and the header of each."""
    return {file.name: header for header in sorted(folder.glob("*.hea")) for file in files_of(header)[1:]}
