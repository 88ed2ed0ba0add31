"""Which format a file is in, by its content, and its channels."""

import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from ecg.readers import (
    apple_health,
    csv_tables,
    dicom,
    edf,
    numpy_arrays,
    vendor_formats,
    wfdb_records,
    zip_archive,
)
from ecg.readers.channels import Channels, declared_or_given, lead_channels
from ecg.recording import RecordingError, printable

FORMATS = (
    "WFDB, CSV or TSV, NPY or NPZ, EDF or EDF+, DICOM, HL7 aECG, SCP-ECG, GE MUSE XML, Philips Sierra XML, "
    "Mortara ELI XML, Kardia JSON and Apple Health's CSV"
)
_SELF_DESCRIBING = (
    (edf.is_edf, edf.read),
    (dicom.is_dicom, dicom.read),
    (vendor_formats.parser_of, vendor_formats.read),
    (apple_health.is_export, apple_health.read),
)
_LIKE_JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\{\s*"|\[\s*[\[{"\d-])')
_BARE = ((numpy_arrays.is_npy, numpy_arrays.read_npy), (csv_tables.is_text, csv_tables.read_text))


def companions(content: bytes) -> list[str]:
    """The signal files that a WFDB header names; none for any other content. Raises RecordingError."""
    return wfdb_records.signal_files(content) if wfdb_records.is_header(content) else []


def split_recordings(files: Mapping[str, bytes]) -> list[dict[str, bytes]]:
    """The files of an upload, recording by recording: each WFDB header with those it names, any other file alone.

    files: ``{file name: content}``; a header's signal files lie in its own folder. Reading says what is wrong with one.
    """
    paths = {name: PurePosixPath(name.replace("\\", "/")) for name in files}
    by_path = {path: name for name, path in paths.items()}
    recordings = {}
    for name, content in files.items():
        try:
            signals = [by_path.get(paths[name].parent / signal) for signal in companions(content)]
        except RecordingError:
            signals = []
        recordings[name] = [name, *(signal for signal in signals if signal not in (None, name))]
    taken = {signal for members in recordings.values() for signal in members[1:]}
    return [{name: files[name] for name in members} for first, members in recordings.items() if first not in taken]


def read_channels(files: Mapping[str, bytes], sampling_rate: float | None, units: str | None) -> Channels:
    """The channels of the one recording in ``{file name: content}``.

    sampling_rate (Hz), units: for formats that may lack them.
    Raises RecordingError, whatever the bytes are.
    """
    files = _by_base_name(files)
    if len(files) == 1:
        (content,) = files.values()
        if zip_archive.is_zip(content):
            files = zip_archive.unpack(content)
            if numpy_arrays.is_npz(files):
                return numpy_arrays.read_npz(files, sampling_rate, units)
    headers = [name for name, content in files.items() if wfdb_records.is_header(content)]
    if len(headers) == 1:
        return _agreeing(wfdb_records.read(headers[0], files), sampling_rate, units)
    if len(files) != 1:
        found = ", ".join(printable(name) for name in list(files)[:12]) or "none"
        raise RecordingError(
            f"one recording at a time: a single file, or one .hea with its signal files; found {found}"
        )
    ((name, content),) = files.items()
    for recognises, read in _SELF_DESCRIBING:
        if recognises(content):
            return _agreeing(read(content), sampling_rate, units)
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise RecordingError(f"{printable(name)} is XML, but neither HL7 aECG, GE MUSE, Philips Sierra nor Mortara ELI")
    if _LIKE_JSON.match(content):
        raise RecordingError(f"{printable(name)} is {_what_json(content)}")
    for recognises, read in _BARE:
        if recognises(content):
            return read(content, sampling_rate, units)
    raise RecordingError(
        f"{printable(name)} is in no format known here ({FORMATS}); "
        "the signal file of a WFDB record needs its .hea beside it"
    )


def _what_json(content: bytes) -> str:
    """Why JSON is refused, as the end of a sentence."""
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        return f"JSON that is cut short or damaged ({error}); of JSON, files of Kardia are read; others: {FORMATS}"
    return f"JSON, which the server reads as the body of a request; files are read in these formats: {FORMATS}"


def _by_base_name(files: Mapping[str, bytes]) -> dict[str, bytes]:
    named = {PurePosixPath(name.replace("\\", "/")).name: bytes(content) for name, content in files.items()}
    if len(named) != len(files):
        raise RecordingError("two of the files have the same name; give the files of one recording")
    return named


def _agreeing(channels: Channels, sampling_rate: float | None, units: str | None) -> Channels:
    """The channels, unless the caller's idea of rate or units is another than the file's."""
    declared_or_given("sampling rate", channels.sampling_rate, sampling_rate)
    for lead, index in lead_channels(channels.names)[0].items():
        declared_or_given(f"unit of {lead}", channels.units[index], units)
    return channels
