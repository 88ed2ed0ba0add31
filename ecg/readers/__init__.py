"""Recordings from files.

`read_recording` reads files on disk, `read_uploaded` bytes in memory. `formats` tells what they are; each module beside
it reads one family of formats; `channels` puts what they found into the order and the unit of a `Recording`.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ecg.readers.channels import assemble
from ecg.readers.formats import companions, read_channels
from ecg.recording import Recording, RecordingError, printable

MAX_UPLOAD_BYTES = 20_000_000
MAX_FILE_BYTES = 60_000_000  # on disk: half an hour at 1,000 Hz, twelve leads of 16 bits, is 43 MB


def read_recording(
    files: str | os.PathLike | Sequence[str | os.PathLike],
    sampling_rate: float | None = None,
    units: str | None = None,
) -> Recording:
    """Read one recording from disk, in any of the formats of docs/formats.md.

    files: a path, or several that belong together (.hea and .dat). For a single WFDB header, the signal files it names
        are taken from its own folder.
    sampling_rate (Hz), units (uV, mV, V or nV): for CSV and NPY files that do not say; a file that says otherwise is
        refused.
    Raises RecordingError.
    """
    paths = [Path(file) for file in ([files] if isinstance(files, str | os.PathLike) else files)]
    contents = _read_files(paths)
    if len(paths) == 1:
        missing = companions(contents[paths[0].name])
        contents |= _read_files([paths[0].with_name(name) for name in missing])
    return _read(contents, sampling_rate, units, MAX_FILE_BYTES)


def read_uploaded(
    files: Mapping[str, bytes], sampling_rate: float | None = None, units: str | None = None
) -> Recording:
    """Read one recording from the files of an upload, given as ``{file name: content}``.

    A format is recognised by content; names only tell the files of one WFDB record apart. One zip archive may stand for
    the files. Nothing but these bytes is read, and nothing is written outside a private temporary folder.
    sampling_rate, units: as in `read_recording`.
    Raises RecordingError.
    """
    return _read(files, sampling_rate, units, MAX_UPLOAD_BYTES)


def _read(files: Mapping[str, bytes], sampling_rate: float | None, units: str | None, most: int) -> Recording:
    if sum(len(content) for content in files.values()) > most:
        raise RecordingError(f"the recording is too large; at most {most / 1e6:.0f} MB are read")
    return assemble(read_channels(files, sampling_rate, units))


def _read_files(paths: Sequence[Path]) -> dict[str, bytes]:
    contents, left = {}, MAX_FILE_BYTES + 1  # one byte more, so that too much is seen to be
    for path in paths:
        if path.name in contents:
            raise RecordingError(f"two files are called {printable(path.name)}; give the files of one recording")
        try:
            contents[path.name] = _read_file(path, left)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise RecordingError(f"{printable(path)} cannot be read: {error}") from error
        left -= len(contents[path.name])
    return contents


def _read_file(path: Path, most: int) -> bytes:
    """The first ``most`` bytes of a file, without taking memory for more than it has."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(min(most, size + 1))
        return content if len(content) <= size else content + file.read(most - len(content))  # it grows, or is no file
