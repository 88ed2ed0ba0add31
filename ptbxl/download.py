"""PTB-XL 1.0.3 from PhysioNet or from the release's zip, every file verified against ``SHA256SUMS.txt``.

pooch writes each file beside its place and moves it there once its hash is right. Whenever the process
ends, the same call carries on: it hashes what is there (seconds for the 100 Hz files) and fetches the rest.

``dataset.py download`` is the command line.

Source: Wagner et al., PTB-XL, a large publicly available electrocardiography dataset (1.0.3),
PhysioNet 2022, https://doi.org/10.13026/kfzx-aw45.
"""

import csv
import os
import re
import shutil
import stat
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pooch
import requests
from filelock import FileLock, Timeout
from requests.adapters import HTTPAdapter
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

LOCK_NAME = ".download.lock"
AGAIN = "Run the same command again: it resumes."
NOT_THE_RELEASE = f"This is not the release; get it from {PHYSIONET_URL}"
MAX_CONNECTIONS = 32
TIMEOUT_S = (15, 30)  # to connect, between two bytes
REQUESTS = 7  # until there is a response
FETCHES = 4  # of a file that breaks off or has the wrong hash
BACKOFF_S = 1.0  # doubles with each request
MAX_RETRY_AFTER_S = 300.0
# An outage fails file after file: give up on the run instead of trying each of 44,000 in turn.
MAX_FAILED_FILES = 20
CHUNK_BYTES = 1 << 16
MAX_FILE_BYTES = 64 << 20  # the release's largest file, SHA256SUMS.txt, has about 9 MB
# On disk, in blocks of 4 KiB, because SHA256SUMS.txt gives no sizes: 12 leads of 10 s in 16 bits.
SIGNAL_BYTES, HEADER_BYTES = {"_lr.dat": 24_576, "_hr.dat": 122_880}, 4096
SPARE_BYTES = 128 << 20  # the tables, and room to go on working
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OverflowError, RuntimeError, ValueError)

pooch.get_logger().setLevel("WARNING")  # it announces every file, which tears the progress bar


class DownloadError(Exception):
    """What went wrong, where, and what to do about it, in plain language for the user."""


class _Failed(Exception):
    """One file cannot be had; the others may."""


def fetch_release(
    dest: Path, rate: str, base_url: str = PHYSIONET_URL, connections: int = 8, progress: bool = True
) -> None:
    """Download the metadata and the recordings of one of ``RATES`` into ``dest``.

    Files already there and intact are not fetched again, altered ones are. Proxies come from the
    environment (``HTTPS_PROXY``, ``NO_PROXY``, ...).

    Raises:
        DownloadError: bad arguments, no space, another download into ``dest``, Ctrl-C, a server that keeps
            failing or delivers other bytes than the release's list says.
            Whatever recordings and tables ``dest`` then holds are verified, and the same call resumes.
    """
    if not 1 <= connections <= MAX_CONNECTIONS:
        raise DownloadError(f"{connections} connections: between 1 and {MAX_CONNECTIONS} are allowed")
    remedy = f"Check the address, the connection and the proxy. {AGAIN}"
    with _exclusive(dest), _make_session(connections) as session:
        store = pooch.create(path=dest.absolute(), base_url=base_url, retry_if_failed=FETCHES - 1)
        run = _Run(store=store, read=partial(_read_response, session), workers=connections, remedy=remedy)
        _complete(run, rate, progress)


def extract_release(archive: Path, dest: Path, rate: str, progress: bool = True) -> None:
    """Take the same files from the release's zip instead of the network.

    Raises:
        DownloadError: as ``fetch_release``, and for an archive that is damaged, incomplete or holds links,
            duplicate names or paths that leave its folder.
    """
    remedy = "Get the archive again, or download without it: that keeps what is verified."
    with _exclusive(dest), _open_archive(archive) as opened:
        store = pooch.create(path=dest.absolute(), base_url=f"{archive}/{_find_release(opened)}")
        # four, because most of the time goes into waiting for the disk to confirm each file
        _complete(_Run(store=store, read=partial(_read_member, opened), workers=4, remedy=remedy), rate, progress)


def parse_checksums(text: bytes) -> dict[str, str]:
    """SHA-256 (lower-case hexadecimal) by path, from the lines ``<sha256> <path>`` of a ``SHA256SUMS.txt``.

    Raises:
        DownloadError: no such list, a path that is not plainly inside the release's folder, or one listed twice.
    """
    sums: dict[str, str] = {}
    names: set[str] = set()
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
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
    inside = all(part and part == part.strip() and not part.endswith(".") for part in path.split("/"))
    if not inside or not path.isprintable() or re.search(r"[\\:]", path):
        raise DownloadError(f"{where}: unsafe path {path!r}. {NOT_THE_RELEASE}")
    # Two names that differ in case only are one file on macOS and Windows.
    if path.casefold() in names:
        raise DownloadError(f"{where}: {path!r} is there twice. {NOT_THE_RELEASE}")
    names.add(path.casefold())


@contextmanager
def _exclusive(dest: Path) -> Iterator[None]:
    """``dest``, made if needed and locked against a second download; failures in plain language."""
    try:
        dest.mkdir(parents=True, exist_ok=True)
        with FileLock(dest / LOCK_NAME, timeout=0):
            yield
    except Timeout:
        raise DownloadError(
            f"another download is writing to {dest}: wait until it ends, or choose another destination"
        ) from None
    except KeyboardInterrupt:
        raise DownloadError(f"interrupted; what is complete stays in {dest}. {AGAIN}") from None
    except OSError as error:
        raise DownloadError(f"cannot write to {dest}: {error}. Check permissions and free space. {AGAIN}") from error


@dataclass
class _Run:
    """Threads that let pooch fetch files, and what they share."""

    store: pooch.Pooch
    read: Callable[[str], Iterator[bytes]]  # one file, by its URL or its path in the archive
    workers: int
    remedy: str
    stop: threading.Event = field(default_factory=threading.Event)
    active: set[str] = field(default_factory=set)  # the paths that threads are at work on
    unfinished: list[str] = field(default_factory=list)  # every temporary file there was

    def collect(self, registry: dict[str, str | None], progress: bool) -> None:
        """Bring files to disk, verified by their digests; DownloadError when some cannot be had."""
        self.store.registry = registry
        failures, received_bytes = [], 0
        # Not ThreadPoolExecutor: its threads hold up the interpreter's exit for as long as a server is silent.
        with (
            ThreadPool(self.workers) as pool,
            tqdm(total=len(registry), unit=" files", disable=not progress) as bar,
        ):
            try:
                for received, failure in pool.imap_unordered(self._obtain, registry):
                    received_bytes += received
                    speed = received_bytes / 1e6 / (bar.format_dict["elapsed"] or 1)
                    bar.set_postfix_str(f"{speed:.2f} MB/s", refresh=False)
                    bar.update()
                    failures += [failure] if failure else []
                    if len(failures) == MAX_FAILED_FILES:
                        break
                if failures:
                    many = "at least " if len(failures) == MAX_FAILED_FILES else ""
                    raise DownloadError(
                        f"{many}{len(failures)} of {len(registry)} files could not be had from "
                        + "\n  ".join([f"{self.store.base_url}:", *sorted(failures)])
                        + f"\nThe verified ones stay in {self.store.abspath}. {self.remedy}"
                    )
            except BaseException:
                self._abandon()
                raise

    def _obtain(self, path: str) -> tuple[int, str]:
        """Put one file in place: the bytes received for it, and why it cannot be had (empty: it is there)."""
        self.active.add(path)  # before looking at stop: whoever sets it can wait for those at work
        try:
            return (0, f"{path} was given up") if self.stop.is_set() else self._fetch(path)
        finally:
            self.active.discard(path)

    def _fetch(self, path: str) -> tuple[int, str]:
        target = self.store.abspath / path
        if target.exists():
            if sha256(target) == self.store.registry[path]:
                return 0, ""
            # Now, not when the replacement has come: it may not come, and nobody shall use an altered file.
            target.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)  # pooch's own check for it is a race
        try:
            self.store.fetch(path, downloader=self._write)
            return target.stat().st_size, ""
        except _Failed as error:
            return 0, f"{path} {error}"
        except (requests.RequestException, HTTPError) as error:
            return 0, f"{path} broke off: {error} ({FETCHES} attempts)"
        except ValueError:
            return 0, f"{path} has another SHA-256 than {CHECKSUMS} says"

    def _write(self, url: str, output_file: str, _: pooch.Pooch) -> None:
        """pooch's downloader: one file into ``output_file``, on disk before pooch gives it its name."""
        self.unfinished.append(output_file)
        os.remove(output_file)  # pooch made it readable by its owner only
        with open(output_file, "xb") as file:
            for chunk in chain([b""], self.read(url)):  # nothing at first: once stopped, no request goes out
                if self.stop.is_set():
                    raise _Failed("was given up")
                file.write(chunk)
                if file.tell() > MAX_FILE_BYTES:
                    raise _Failed(f"is larger than {MAX_FILE_BYTES >> 20} MB, which no file of the release is")
            file.flush()
            os.fsync(file.fileno())

    def _abandon(self) -> None:
        """Let no thread begin another file, and leave nothing of those that wait for a silent server."""
        self.stop.set()
        deadline = time.monotonic() + 1
        while self.active and time.monotonic() < deadline:
            time.sleep(0.01)
        for unfinished in self.unfinished:
            with suppress(OSError):  # done already, or on Windows still open
                os.remove(unfinished)


def _complete(run: _Run, rate: str, progress: bool) -> None:
    """Bring the destination to exactly the files of one rate."""
    dest = run.store.abspath
    for stray in dest.glob("records*/*/tmp????????"):  # pooch's, of a process that was killed
        stray.unlink()
    # always from the source: a list on disk may be damaged, and nothing vouches for it
    run.collect({CHECKSUMS: None}, progress=False)
    sums = parse_checksums((dest / CHECKSUMS).read_bytes())
    wanted = {path: digest for path, digest in sums.items() if path in METADATA or path.startswith(tuple(RATES[rate]))}
    if DATABASE not in wanted:
        raise DownloadError(f"{run.store.base_url}{CHECKSUMS} does not list {DATABASE}. {NOT_THE_RELEASE}")
    _check_space(dest, [path for path in wanted if not (dest / path).exists()])
    run.collect(wanted, progress)
    _check_listed(dest / DATABASE, wanted, rate)


def _check_space(dest: Path, missing: list[str]) -> None:
    needed = sum(SIGNAL_BYTES.get(path[-len("_lr.dat") :], HEADER_BYTES) for path in missing) + SPARE_BYTES
    free = shutil.disk_usage(dest).free
    if missing and needed > free:
        raise DownloadError(
            f"{dest} has {free / 1e9:.2f} GB free and the missing files need {needed / 1e9:.2f} GB: "
            "make room, or choose another destination or one rate only"
        )


def _check_listed(database: Path, wanted: dict[str, str], rate: str) -> None:
    """Refuse a list that was cut short: every recording of the (verified) database must be in it."""
    rows = csv.DictReader(database.read_text(encoding="utf-8", errors="replace").splitlines())
    columns = RATES[rate].values()
    names = [f"{row.get(column)}{suffix}" for row in rows for column in columns for suffix in (".hea", ".dat")]
    unlisted = [name for name in names if name not in wanted]
    if unlisted:
        raise DownloadError(
            f"{CHECKSUMS} lacks {len(unlisted)} of the {len(names)} recording files that {database} names, "
            f"the first: {unlisted[0]}. The list is incomplete. {AGAIN}"
        )


class _BoundedRetry(Retry):
    """urllib3's retries, but a server that asks for more than a few minutes ends the run."""

    def parse_retry_after(self, retry_after: str) -> float:
        try:
            seconds = super().parse_retry_after(retry_after)
        except (InvalidHeader, ValueError, OverflowError):
            return 0.0
        if seconds > MAX_RETRY_AFTER_S:
            raise DownloadError(f"the server asks to come back in {seconds / 60:.0f} minutes. {AGAIN}")
        return seconds


def _make_session(connections: int) -> requests.Session:
    """One session for all threads; its pool keeps a connection for each."""
    retries = _BoundedRetry(
        total=REQUESTS - 1,
        status_forcelist={408, 425, 429, *range(500, 600)},
        backoff_factor=BACKOFF_S,
        backoff_jitter=BACKOFF_S,
        backoff_max=30,
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries, pool_maxsize=connections, pool_block=True))
    session.headers["Accept-Encoding"] = "identity"
    return session


def _read_response(session: requests.Session, url: str) -> Iterator[bytes]:
    try:
        response = session.get(url, stream=True, timeout=TIMEOUT_S)
    except (requests.RequestException, HTTPError, ValueError) as error:
        raise _Failed(f"cannot be fetched: {error}") from None  # not pooch's to retry: the session did
    with response:
        if response.status_code != 200:
            raise _Failed(f"was answered {response.status_code} {response.reason}")
        yield from response.iter_content(CHUNK_BYTES)


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error}") from None
    except ZIP_ERRORS as error:
        raise DownloadError(f"{path} is not a complete zip file ({error}). Fetch it again") from None


def _find_release(opened: zipfile.ZipFile) -> str:
    """The release's folder in the archive; nothing is taken from an archive that holds anything unsafe."""
    names: set[str] = set()
    for info in opened.infolist():
        # orig_filename: zipfile cuts the other at a NUL, and on Windows turns backslashes.
        _refuse_name(info.orig_filename.removesuffix("/"), names, str(opened.filename))
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DownloadError(f"{opened.filename}: {info.filename!r} is a link or a device. {NOT_THE_RELEASE}")
    lists = [name for name in opened.namelist() if re.fullmatch(f"([^/]+/)?{CHECKSUMS}", name)]
    if len(lists) != 1:
        raise DownloadError(
            f"{opened.filename} holds {len(lists)} files {CHECKSUMS}, at the top or one folder down, instead of one. "
            + NOT_THE_RELEASE
        )
    return lists[0].removesuffix(CHECKSUMS)


def _read_member(opened: zipfile.ZipFile, url: str) -> Iterator[bytes]:
    try:
        info = opened.getinfo(url.removeprefix(f"{opened.filename}/"))
    except KeyError:
        raise _Failed("is not in the archive") from None
    # Whatever size is declared, zipfile bounds what deflate gives at a time, but not bzip2 and LZMA.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _Failed("cannot be unpacked: the release's files are deflated")
    try:
        with opened.open(info) as member:
            while chunk := member.read(CHUNK_BYTES):
                yield chunk
    except ZIP_ERRORS as error:
        raise _Failed(f"cannot be unpacked: {error}") from None
