"""PTB-XL 1.0.3 from PhysioNet or from the release's zip, every file verified against ``SHA256SUMS.txt``.

A file appears under its own name only once its bytes are on disk and their hash is right;
until then it is ``<name>.part``. Whenever the process dies, the same call carries on:
what was verified is remembered in ``.download-state.json`` by size and modification time,
anything else found on disk is hashed again and replaced if it differs.

``dataset.py download`` is the command line.

Source: Wagner et al., PTB-XL, a large publicly available electrocardiography dataset (1.0.3),
PhysioNet 2022, https://doi.org/10.13026/kfzx-aw45.
"""

import csv
import json
import os
import random
import re
import shutil
import stat
import struct
import threading
import time
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import LifoQueue, SimpleQueue
from typing import Literal
from urllib.parse import quote

import requests
from filelock import FileLock, Timeout
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
from tqdm import tqdm
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from files import sha256

PHYSIONET_URL = "https://physionet.org/files/ptb-xl/1.0.3/"
CHECKSUMS = "SHA256SUMS.txt"
DATABASE = "ptbxl_database.csv"
METADATA = (DATABASE, "scp_statements.csv", "LICENSE.txt")
AT_100, AT_500 = {"records100/": "filename_lr"}, {"records500/": "filename_hr"}
RATES = {"100": AT_100, "500": AT_500, "both": AT_100 | AT_500}  # folder: its column in the database
SUFFIXES = (".hea", ".dat")
Rate = Literal["100", "500", "both"]

STATE_NAME = ".download-state.json"
LOCK_NAME = ".download.lock"
STATE_EVERY_S = 5.0
AGAIN = "Run the same command again: it resumes."

MAX_CONNECTIONS = 32
TIMEOUT_S = (15, 30)  # to connect, between two bytes
ATTEMPTS = 8
BACKOFF_S = 1.0  # doubles with each failure
MAX_BACKOFF_S = 30.0
MAX_RETRY_AFTER_S = 300.0
RETRIED_STATUS = {408, 425, 429}  # and every 5xx
# An outage fails file after file: give up on the run instead of trying each of 44,000 in turn.
MAX_FAILED_FILES = 20
# urllib3 drops an unfinished chunk when the connection breaks; records have 24,000 bytes.
CHUNK_BYTES = 8192
MAX_FILE_BYTES = 64 << 20  # the release's largest file, SHA256SUMS.txt, has about 9 MB
BLOCK_BYTES = 4096
# 12 leads of 10 s in 16 bits, as SHA256SUMS.txt gives no sizes.
SIGNAL_BYTES = {"_lr.dat": 24_000, "_hr.dat": 120_000}
TABLE_BYTES = 8 << 20
SPARE_BYTES = 100 << 20


class DownloadError(Exception):
    """What went wrong, where, and what to do about it, in words for the user."""


class DownloadInterrupted(DownloadError):
    """Ctrl-C: what was complete is kept, the same call resumes."""


class _Failed(Exception):
    """One file cannot be had; the others may."""


class _TryAgain(Exception):
    """This attempt failed; another may not."""


class _Stopped(Exception):
    """Another thread ended the run."""


def fetch_release(
    dest: Path, rate: Rate, base_url: str = PHYSIONET_URL, connections: int = 8, progress: bool = True
) -> None:
    """Download the metadata and the recordings of one rate (or both) into ``dest``.

    Files already there and intact are not fetched again, altered ones are. Proxies come from the
    environment (``HTTPS_PROXY``, ``NO_PROXY``, ...).

    Raises:
        DownloadError: bad arguments, no space, another download into ``dest``, a server that keeps failing
            or delivers other bytes than the release's list says; ``DownloadInterrupted`` on Ctrl-C.
            Whatever ``dest`` then holds under its own name is verified, and the same call resumes.
    """
    if not 1 <= connections <= MAX_CONNECTIONS:
        raise DownloadError(f"{connections} connections: between 1 and {MAX_CONNECTIONS} are allowed")
    stop = threading.Event()
    with _exclusive(dest), closing(_Server(base_url, connections, stop)) as server:
        _complete(dest, rate, server, connections, progress, stop)


def extract_release(archive: Path, dest: Path, rate: Rate, progress: bool = True) -> None:
    """Take the same files from the release's zip instead of the network.

    Raises:
        DownloadError: as ``fetch_release``, and for an archive that is damaged, incomplete or holds links,
            duplicate names or paths that leave its folder.
    """
    stop = threading.Event()
    with _exclusive(dest), _open_archive(archive) as opened:
        # Four threads, because most of the time goes into waiting for the disk to confirm each file.
        _complete(dest, rate, _Archive(archive, opened, stop), 4, progress, stop)


def parse_checksums(text: bytes) -> dict[str, str]:
    """SHA-256 (lower-case hexadecimal) by path, from the lines ``<sha256> <path>`` of a ``SHA256SUMS.txt``.

    Raises:
        DownloadError: no such list, a path that is not plainly inside the release's folder, or one listed twice.
    """
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise DownloadError(f"{CHECKSUMS} is not a text file; was it altered on the way?") from None
    sums: dict[str, str] = {}
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\r")
        if not line:
            continue
        match = re.fullmatch(r"([0-9a-fA-F]{64}) {1,2}\*?(.+)", line)
        if match is None:
            raise DownloadError(
                f"{CHECKSUMS}, line {number} is not '<sha256> <path>' but {line[:60]!r}. "
                "Does a login page or a proxy answer in the server's place?"
            )
        digest, path = match.groups()
        _refuse_name(path, names, f"{CHECKSUMS}, line {number}")
        sums[path] = digest.lower()
    return sums


def _refuse_name(path: str, names: set[str], where: str) -> None:
    """Refuse a path that could be written outside the destination, or over another one, on any system."""
    parts = path.split("/")
    inside = all(part and part == part.strip() and not part.endswith(".") for part in parts)
    if not inside or not path.isprintable() or re.search(r"[\\:]", path) or path.lower().endswith(".part"):
        raise DownloadError(f"{where}: unsafe path {path!r}. This is not the release; get it from {PHYSIONET_URL}")
    # Two names that differ in case only are one file on macOS and Windows.
    if path.casefold() in names:
        raise DownloadError(f"{where}: {path!r} is there twice. This is not the release; get it from {PHYSIONET_URL}")
    names.add(path.casefold())


@contextmanager
def _exclusive(dest: Path) -> Iterator[None]:
    """``dest``, made if needed and locked against a second download; failures in words."""
    try:
        dest.mkdir(parents=True, exist_ok=True)
        with FileLock(dest / LOCK_NAME, timeout=0):
            yield
    except Timeout:
        raise DownloadError(
            f"another download is writing to {dest}: wait until it ends, or choose another destination"
        ) from None
    except KeyboardInterrupt:
        raise DownloadInterrupted(f"interrupted; what is complete stays in {dest}. {AGAIN}") from None
    except OSError as error:
        raise DownloadError(
            f"cannot write to {dest}: {error}. Check its permissions and free space. {AGAIN}"
        ) from error


def _complete(
    dest: Path, rate: Rate, source: "_Server | _Archive", workers: int, progress: bool, stop: threading.Event
) -> None:
    """Bring ``dest`` to exactly the files of one rate."""
    if rate not in RATES:
        raise DownloadError(f"rate {rate!r} is none of {', '.join(RATES)}")
    sums = _fetch_checksums(dest, source)
    wanted = {path: digest for path, digest in sums.items() if path in METADATA or path.startswith(tuple(RATES[rate]))}
    if DATABASE not in wanted:
        raise DownloadError(
            f"{CHECKSUMS} of {source.place} does not list {DATABASE}: this is not PTB-XL, or half of it"
        )
    verified = _Verified(dest)
    missing = [path for path, digest in wanted.items() if not verified.holds(path, digest)]
    _check_space(dest, missing, source)
    tables = [path for path in missing if path in METADATA]
    recordings = [path for path in missing if path not in METADATA]
    with tqdm(total=len(wanted), initial=len(wanted) - len(missing), unit=" files", disable=not progress) as bar:
        team = _Team(dest, source, wanted, verified, bar, workers, stop)
        team.collect(tables)
        _check_listed(dest / DATABASE, wanted, rate)
        team.collect(recordings)


def _fetch_checksums(dest: Path, source: "_Server | _Archive") -> dict[str, str]:
    """The release's list, always from the source: a list on disk may be damaged and nothing vouches for it."""
    part = _part(dest / CHECKSUMS)
    part.unlink(missing_ok=True)
    try:
        source.deliver(CHECKSUMS, None, part)
        sums = parse_checksums(part.read_bytes())
        _publish(part, dest / CHECKSUMS)
    except _Failed as error:
        raise DownloadError(f"{CHECKSUMS} of {source.place} {error}. {source.remedy}") from None
    finally:
        part.unlink(missing_ok=True)
    return sums


def _check_listed(database: Path, wanted: dict[str, str], rate: Rate) -> None:
    """Refuse a list that was cut short: every recording of the (verified) database must be in it."""
    try:
        with database.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            names = [
                f"{row.get(column)}{suffix}" for row in rows for column in RATES[rate].values() for suffix in SUFFIXES
            ]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DownloadError(f"{database} is what the release lists, but not a table: {error}") from None
    unlisted = [name for name in names if name not in wanted]
    if unlisted:
        raise DownloadError(
            f"{CHECKSUMS} lacks {len(unlisted)} of the {len(names)} recording files that {DATABASE} names, "
            f"the first: {unlisted[0]}. The list is incomplete; run the same command again"
        )


def _check_space(dest: Path, missing: list[str], source: "_Server | _Archive") -> None:
    blocks = sum(-(-source.disk_bytes(path) // BLOCK_BYTES) for path in missing if not (dest / path).exists())
    needed, free = blocks * BLOCK_BYTES + SPARE_BYTES, shutil.disk_usage(dest).free
    if blocks and needed > free:
        raise DownloadError(
            f"{dest} has {free / 1e9:.2f} GB free and the missing files need {needed / 1e9:.2f} GB: "
            "make room, or choose another destination or one rate only"
        )


class _Verified:
    """Which files had the right hash, and the size and modification time they had then."""

    def __init__(self, dest: Path):
        self._dest, self._file, self._saved = dest, dest / STATE_NAME, time.monotonic()
        try:
            entries = json.loads(self._file.read_bytes())
        except (FileNotFoundError, ValueError):
            entries = {}
        self._entries = entries if isinstance(entries, dict) else {}

    def holds(self, path: str, digest: str) -> bool:
        entry = self._entries.get(path)
        try:
            return entry is not None and entry == [digest, *_fingerprint(self._dest / path)]
        except FileNotFoundError:
            return False

    def add(self, path: str, digest: str, fingerprint: tuple[int, int]) -> None:
        self._entries[path] = [digest, *fingerprint]
        if time.monotonic() - self._saved > STATE_EVERY_S:
            self.save()

    def save(self) -> None:
        part = _part(self._file)
        part.write_text(json.dumps(self._entries), encoding="utf-8")
        _publish(part, self._file)
        self._saved = time.monotonic()


@dataclass
class _Team:
    """Threads that fetch files, and the one place where their results arrive."""

    dest: Path
    source: "_Server | _Archive"
    wanted: dict[str, str]
    verified: "_Verified"
    bar: tqdm
    workers: int
    stop: threading.Event
    received: int = 0

    def collect(self, paths: list[str]) -> None:
        """Bring these files to ``dest``; DownloadError when some cannot be had, after trying the others."""
        pending, results = deque(paths), SimpleQueue()
        # Daemons, so that a thread that waits for a silent server cannot hold up Ctrl-C.
        threads = [
            threading.Thread(target=self._work, args=(pending, results), daemon=True)
            for _ in range(min(self.workers, len(paths)))
        ]
        try:
            for thread in threads:
                thread.start()
            self._gather(results, len(paths))
        except BaseException:
            self.stop.set()
            raise
        finally:
            self.verified.save()
            deadline = time.monotonic() + 1
            for thread in threads:
                if thread.is_alive():  # or Ctrl-C came before its start
                    thread.join(max(0.0, deadline - time.monotonic()))

    def _gather(self, results: SimpleQueue, expected: int) -> None:
        failures: dict[str, _Failed] = {}
        while expected and len(failures) < MAX_FAILED_FILES:
            path, outcome = results.get()
            expected -= 1
            if isinstance(outcome, _Failed):
                failures[path] = outcome
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                self._record(path, *outcome)
        if failures:
            raise DownloadError(self._report(failures))

    def _record(self, path: str, fingerprint: tuple[int, int], received: int) -> None:
        self.verified.add(path, self.wanted[path], fingerprint)
        self.received += received
        elapsed = self.bar.format_dict["elapsed"] or 1
        self.bar.set_postfix_str(f"{self.received / elapsed / 1e6:.2f} MB/s", refresh=False)
        self.bar.update()

    def _report(self, failures: dict[str, _Failed]) -> str:
        more = "at least " if len(failures) == MAX_FAILED_FILES else ""
        reasons = "\n".join(f"  {path} {reason}" for path, reason in sorted(failures.items()))
        return (
            f"{more}{len(failures)} of {len(self.wanted)} files could not be had from {self.source.place}:\n{reasons}\n"
            f"The verified ones stay in {self.dest}. {self.source.remedy}"
        )

    def _work(self, pending: deque[str], results: SimpleQueue) -> None:
        with suppress(IndexError):  # of popleft: all is taken
            while not self.stop.is_set():
                path = pending.popleft()
                try:
                    results.put((path, self._obtain(path)))
                except Exception as error:
                    results.put((path, error))

    def _obtain(self, path: str) -> tuple[tuple[int, int], int]:
        """Put one file in place; its fingerprint and the number of bytes received for it."""
        target, digest = self.dest / path, self.wanted[path]
        if target.exists():
            # Taken before hashing: a change in between must not count as verified.
            fingerprint = _fingerprint(target)
            if sha256(target) == digest:
                return fingerprint, 0
            # Now, not when the replacement has come: it may not come, and nobody shall use an altered file.
            target.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        part, received = _part(target), 0
        if not part.exists() or sha256(part) != digest:
            received = self.source.deliver(path, digest, part)
        fingerprint = _fingerprint(part)
        _publish(part, target)
        return fingerprint, received


class _Server:
    """Files below a URL, with retries and the resumption of partial files."""

    remedy = f"Check the address, the connection and the proxy. {AGAIN}"

    def __init__(self, base_url: str, connections: int, stop: threading.Event):
        self.place = base_url.rstrip("/") + "/"
        self._stop = stop
        self._not_before = 0.0
        # Sessions are not thread-safe and keep a connection each: who has one has it alone, the warmest first.
        self._sessions: LifoQueue[requests.Session] = LifoQueue()
        for _ in range(connections):
            session = requests.Session()
            # A compressed answer could not be resumed by byte offset.
            session.headers["Accept-Encoding"] = "identity"
            self._sessions.put(session)

    def close(self) -> None:
        while not self._sessions.empty():
            self._sessions.get().close()

    def disk_bytes(self, path: str) -> int:
        if path in METADATA:
            return TABLE_BYTES
        return SIGNAL_BYTES.get(path[-len("_lr.dat") :], BLOCK_BYTES)

    def deliver(self, path: str, digest: str | None, part: Path) -> int:
        failures = furthest = 0
        while True:
            try:
                return self._receive(path, digest, part)
            except (InvalidSchema, InvalidURL, MissingSchema) as error:
                raise _Failed(f"has no usable address: {error}") from None
            except (_TryAgain, requests.RequestException, HTTPError) as error:
                reason = str(error) if isinstance(error, _TryAgain) else f"broke off: {error}"
            # A connection that breaks again and again but brings something each time is worth keeping.
            size = _size(part)
            failures = 1 if size > furthest else failures + 1
            furthest = max(furthest, size)
            if failures == ATTEMPTS:
                raise _Failed(f"{reason} ({ATTEMPTS} attempts)")
            self._wait(min(MAX_BACKOFF_S, BACKOFF_S * 2 ** (failures - 1)) * random.uniform(0.5, 1.5))

    def _receive(self, path: str, digest: str | None, part: Path) -> int:
        """One request, for what ``part`` still lacks."""
        self._wait(self._not_before - time.monotonic())
        have = _size(part)
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._answer(self.place + quote(path), headers) as response:
            self._refuse_status(response)
            resumed = response.status_code == 206
            if response.status_code == 416 or (resumed and not _continues(response, have)):
                part.unlink(missing_ok=True)
                raise _TryAgain("could not be resumed")
            received = _write_part(response.iter_content(CHUNK_BYTES), part, "ab" if resumed else "wb", self._stop)
        _refuse_digest(part, digest)
        return received

    def _refuse_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (200, 206, 416):
            return
        if status not in RETRIED_STATUS and status < 500:
            raise _Failed(f"was answered {status} {response.reason}")
        self._postpone(response)
        raise _TryAgain(f"was answered {status} {response.reason}")

    def _postpone(self, response: requests.Response) -> None:
        """Hold back the requests of all threads for as long as the server asks."""
        try:
            seconds = Retry().get_retry_after(response.raw) or 0.0
        except (InvalidHeader, ValueError, OverflowError):
            return
        if seconds > MAX_RETRY_AFTER_S:
            raise DownloadError(f"{self.place} asks to come back in {seconds / 60:.0f} minutes. {AGAIN}")
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(max(0.0, seconds)):
            raise _Stopped

    @contextmanager
    def _answer(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        session = self._sessions.get()
        try:
            with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                yield response
        finally:
            self._sessions.put(session)


class _Archive:
    """Files of the release's zip."""

    remedy = "Get the archive again, or download without it: that keeps what is verified."

    def __init__(self, path: Path, opened: zipfile.ZipFile, stop: threading.Event):
        self.place = str(path)
        self._opened, self._stop = opened, stop
        names: set[str] = set()
        members: dict[str, zipfile.ZipInfo] = {}
        for info in opened.infolist():
            _refuse_member(info, names, path)
            if not info.is_dir():
                members[info.filename] = info
        self._folder = _release_folder(members, path)
        self._members = members

    def disk_bytes(self, path: str) -> int:
        info = self._members.get(self._folder + path)
        return info.file_size if info else 0

    def deliver(self, path: str, digest: str | None, part: Path) -> int:
        info = self._members.get(self._folder + path)
        if info is None:
            raise _Failed("is not in the archive")
        try:
            with self._opened.open(info) as member:
                received = _write_part(iter(lambda: member.read(CHUNK_BYTES), b""), part, "wb", self._stop)
            _refuse_digest(part, digest)
        except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, RuntimeError, NotImplementedError) as error:
            part.unlink(missing_ok=True)
            raise _Failed(f"cannot be unpacked: {error}") from None
        except _TryAgain as error:
            raise _Failed(str(error)) from None
        return received


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error}") from None
    except (zipfile.BadZipFile, struct.error, ValueError, OverflowError, NotImplementedError, EOFError) as error:
        raise DownloadError(
            f"{path} is not a complete zip file ({error}). Was its download cut short? Fetch it again"
        ) from None


def _refuse_member(info: zipfile.ZipInfo, names: set[str], archive: Path) -> None:
    # orig_filename: zipfile cuts the other at a NUL, and on Windows turns backslashes.
    _refuse_name(info.orig_filename.removesuffix("/"), names, str(archive))
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DownloadError(f"{archive}: {info.filename!r} is a link or a device. Get the release from {PHYSIONET_URL}")


def _release_folder(members: Iterable[str], archive: Path) -> str:
    folders = [name.removesuffix(CHECKSUMS) for name in members if re.fullmatch(f"([^/]+/)?{CHECKSUMS}", name)]
    if len(folders) != 1:
        raise DownloadError(
            f"{archive} holds {len(folders)} files {CHECKSUMS}, at the top or one folder down, instead of one: "
            f"it is not the release's zip from {PHYSIONET_URL}"
        )
    return folders[0]


def _write_part(chunks: Iterable[bytes], part: Path, mode: Literal["ab", "wb"], stop: threading.Event) -> int:
    received = 0
    with part.open(mode) as file:
        for chunk in chunks:
            if stop.is_set():
                raise _Stopped
            file.write(chunk)
            received += len(chunk)
            if file.tell() > MAX_FILE_BYTES:
                break
    if part.stat().st_size > MAX_FILE_BYTES:
        part.unlink()
        raise _Failed(f"is larger than {MAX_FILE_BYTES >> 20} MB, which no file of the release is")
    return received


def _refuse_digest(part: Path, digest: str | None) -> None:
    if digest is not None and sha256(part) != digest:
        part.unlink()
        raise _TryAgain(f"has another SHA-256 than {CHECKSUMS} says")


def _continues(response: requests.Response, have: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fingerprint(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _publish(part: Path, target: Path) -> None:
    """Give a finished file its name; bytes first, so that not even a power cut leaves the name on an empty file."""
    with part.open("r+b") as file:
        os.fsync(file.fileno())
    part.replace(target)
