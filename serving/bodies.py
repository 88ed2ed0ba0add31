"""A request's body: of which type and encoding, read piece by piece within a limit of bytes, in memory only."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ecg.readers.channels import MAX_SIGNALS
from ecg.recording import printable
from serving.admission import hold_bytes
from serving.problems import Problem
from serving.settings import Settings

PIECE_BYTES = 256 * 1024  # of a compressed body, decompressed at a time
GZIP = ("gzip", "x-gzip")
GZIP_START = b"\x1f\x8b"
JSON_ECG_BYTES = 436_000  # 12 leads of 5,000 samples in mV, three decimals
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(eq=False)
class BodyCount:
    """Bytes of one request's body. received: as sent. held: in memory, decompressed."""

    received: int = 0
    held: int = 0


@dataclass(frozen=True)
class BodyLimit:
    """The most bytes that are read of a body, counted after decompression too. advice: what to do about more."""

    max_bytes: int
    advice: str

    def problem(self) -> Problem:
        read = f"at most {self.max_bytes:,} bytes are read, after decompression"
        return Problem(413, f"the request is too large; {read}: {self.advice}")


def recording_limit(settings: Settings) -> BodyLimit:
    """Of a request with one recording."""
    advice = "send one recording, and only the part that matters of a long one"
    return BodyLimit(max_bytes=settings.max_body_bytes, advice=advice)


def batch_limit(settings: Settings) -> BodyLimit:
    """Of a request with several recordings."""
    fitting = min(settings.max_batch, settings.max_batch_bytes // JSON_ECG_BYTES)
    advice = (
        f"about {fitting} ten-second ECGs at 500 Hz in JSON with three decimals ({JSON_ECG_BYTES / 1e6:.2f} MB each) "
        "fit in one request, send the rest in another"
    )
    return BodyLimit(max_bytes=settings.max_batch_bytes, advice=advice)


def require_type(request: Request, expected: str) -> None:
    """Raise Problem 415 for another content type, or an encoding that is not read."""
    given = request.headers.get("content-type", "")
    if given.split(";")[0].strip().lower() != expected:
        raise Problem(415, f"send {expected}, not {printable(given) or 'a body without Content-Type'}")
    encoding = content_encoding(request)
    if encoding not in ("identity", *GZIP):
        detail = f"send the body uncompressed or with Content-Encoding: gzip; {printable(encoding)} is not read"
        raise Problem(415, detail, {"Accept-Encoding": "gzip, identity"})


def content_encoding(request: Request) -> str:
    return ", ".join(request.headers.getlist("content-encoding")).strip().lower() or "identity"


async def whole_body(request: Request, limit: BodyLimit) -> bytearray:
    """The decompressed body. Raises Problem."""
    body = bytearray()
    async for piece in body_pieces(request, limit):
        body += piece
    return body


async def uploaded_files(request: Request, limit: BodyLimit, recordings: int) -> dict[str, bytes]:
    """The files of a multipart body that holds so many recordings at most. Raises Problem."""
    files_at_most = recordings * (MAX_SIGNALS + 1)
    pieces = body_pieces(request, limit)
    parser = MultiPartParser(request.headers, pieces, max_files=files_at_most, max_fields=MAX_SIGNALS)
    parser.spool_max_size = limit.max_bytes  # never to disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(422, f"the multipart body cannot be read: {error.message}") from error
    files = {}
    for name, part in form.multi_items():
        if name != "files" or not isinstance(part, UploadFile):
            raise Problem(422, f"send each file in a part named files, with its file name; found {printable(name)!r}")
        if part.filename in files:
            raise Problem(422, f"two files are called {printable(part.filename)}; give each a name of its own")
        files[part.filename] = part.file.read()
        part.file.close()
    if not files:
        raise Problem(422, "there is no file; send each in a part named files, as curl -F files=@ecg.edf does")
    return files


async def body_pieces(request: Request, limit: BodyLimit) -> AsyncIterator[bytes]:
    """The body, decompressed, while it arrives.

    Raises Problem: 413 as soon as it is too large, 422 if it is empty or plainly not what its headers say, 429 if all
    bodies in memory together are too many.
    """
    server, count = request.app.state.server, request.scope["body_count"]
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit.max_bytes:
        raise limit.problem()
    unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS) if content_encoding(request) in GZIP else None
    start = b""
    async for chunk in request.stream():
        count.received += len(chunk)
        if count.received > limit.max_bytes:
            raise limit.problem()
        for piece in unpacked(chunk, unpack) if unpack else [chunk]:
            count.held += len(piece)
            hold_bytes(server, len(piece))
            if count.held > limit.max_bytes:
                raise limit.problem()
            if len(start) < 4:
                start += piece[: 4 - len(start)]
                refuse_start(start, compressed=unpack is not None)
            yield piece
            if unpack:
                await asyncio.sleep(0)  # a little compressed data may be much work: let other requests go on
    if not count.received:
        raise Problem(422, "the body is empty: send the recording in it, see /docs")
    if unpack and not unpack.eof:
        raise Problem(422, "the gzip body ends before its end: send it whole")


def unpacked(chunk: bytes, unpack) -> Iterator[bytes]:
    """What one more chunk of a gzip stream decompresses to, in pieces of limited size. Raises Problem."""
    try:
        while not unpack.eof:
            piece = unpack.decompress(chunk, PIECE_BYTES)
            chunk = unpack.unconsumed_tail
            yield piece
            if not chunk and len(piece) < PIECE_BYTES:
                return
    except zlib.error:
        detail = "Content-Encoding says gzip, but the body is not: compress it with gzip, or leave the header out"
        raise Problem(422, detail) from None
    if unpack.unused_data or chunk:
        raise Problem(422, "there are bytes after the end of the gzip body: send one gzip stream and nothing else")


def refuse_start(start: bytes, compressed: bool) -> None:
    """Raise Problem 422 if a body starts like compressed data or with a byte order mark."""
    if start.startswith(GZIP_START):
        advice = "compress it once" if compressed else "send the header Content-Encoding: gzip with it"
        raise Problem(422, f"the body is {'gzip within gzip' if compressed else 'compressed with gzip'}: {advice}")
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            raise Problem(422, f"the body starts with the byte order mark of {encoding}: send UTF-8 without one")
