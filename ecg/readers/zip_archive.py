"""The zip guard: one archive as the files in it, within limits, in memory."""

import io
import stat
import zipfile
from pathlib import PurePosixPath

from ecg.readers.library_errors import library_errors_refused
from ecg.recording import RecordingError, printable

MAX_MEMBERS = 100
MAX_RATIO = 100  # unpacked to packed
MAX_UNPACKED_BYTES = 60_000_000
CHUNK_BYTES = 65536


def is_zip(content: bytes) -> bool:
    """Whether the bytes start like a zip archive, empty ones included."""
    return content[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def unpack(content: bytes) -> dict[str, bytes]:
    """The files of an archive by base name; folders, hidden files and macOS resource forks are left out.

    Raises RecordingError for links, paths that lead out, encryption, unusual compression and zip bombs.
    """
    # counted before zipfile makes an object of each entry
    if content.count(b"PK\x01\x02") > MAX_MEMBERS:
        raise RecordingError(f"the archive holds more than {MAX_MEMBERS} files; pack one recording")
    with library_errors_refused("zipfile"):
        archive = zipfile.ZipFile(io.BytesIO(content))
    files, left = {}, MAX_UNPACKED_BYTES
    for member in archive.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        _check(member, path)
        if member.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts:
            continue
        if path.name in files:
            raise RecordingError(f"the archive holds two files called {printable(path.name)}; pack one recording")
        unpacked = _unpack_member(archive, member, left)
        if is_zip(unpacked):
            raise RecordingError("the archive holds another archive; pack the files themselves")
        files[path.name] = unpacked
        left -= len(unpacked)
    return files


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    """The bytes of one member, at most ``limit``.

    They are read in small pieces because the size in the archive's directory is only what the sender declares: asked
    for a whole member, zipfile unpacks all there is before it cuts the result to that size.
    """
    unpacked = io.BytesIO()
    with library_errors_refused("zipfile"), archive.open(member) as file:
        while piece := file.read(CHUNK_BYTES):
            unpacked.write(piece)
            if unpacked.tell() > limit:
                raise RecordingError(f"the archive unpacks to more than {MAX_UNPACKED_BYTES / 1e6:.0f} MB")
    return unpacked.getvalue()


def _check(member: zipfile.ZipInfo, path: PurePosixPath) -> None:
    name = printable(member.filename)
    if path.is_absolute() or ".." in path.parts or ":" in member.filename:
        raise RecordingError(f"the archive holds a path that leads out of it: {name}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise RecordingError(f"the archive holds a link or special file: {name}; pack the file itself")
    if member.flag_bits & 1:
        raise RecordingError(f"{name} is encrypted; pack it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RecordingError(f"{name} is packed in an unusual way; use plain zip compression")
    if member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise RecordingError(f"{name} unpacks to more than {MAX_RATIO} times its size; no ECG does")
