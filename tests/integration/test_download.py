"""The download against a server that misbehaves, archives that attack, and kills at any moment."""

import hashlib
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from collections import Counter, deque
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptbxl import download
from ptbxl.download import (
    CHECKSUMS,
    LOCK_NAME,
    STATE_NAME,
    DownloadError,
    extract_release,
    fetch_release,
    parse_checksums,
)

RECORDS = 6
SIGNAL = "records100/00000/00002_lr.dat"  # the file most faults are about
TABLES = {"ptbxl_database.csv", "scp_statements.csv", "LICENSE.txt"}
ZIP_FOLDER = "ptb-xl-a-large-publicly-available-electrocardiography-dataset-1.0.3/"
PROJECT = Path(download.__file__).parents[1]


# --------------------------------------------------------------------------- a release and its server


def generated_release(records: int) -> dict[str, bytes]:
    """A release of PTB-XL's layout with random signals, its checksum list included."""
    generator = random.Random(records)
    files = {name: name.encode() for name in ("LICENSE.txt", "RECORDS", "example_physionet.py", "scp_statements.csv")}
    rows = ["ecg_id,filename_lr,filename_hr"]
    for number in range(1, records + 1):
        names = [f"records{rate}/00000/{number:05}_{kind}" for rate, kind in ((100, "lr"), (500, "hr"))]
        rows.append(",".join([str(number), *names]))
        for name, size in zip(names, (24_000, 30_000), strict=True):
            files[f"{name}.hea"] = f"{name} 12".encode()
            files[f"{name}.dat"] = generator.randbytes(size)
    files["ptbxl_database.csv"] = "\n".join(rows).encode()
    return files | {CHECKSUMS: checksum_list(files)}


def checksum_list(files: dict[str, bytes]) -> bytes:
    return b"".join(f"{hashlib.sha256(data).hexdigest()} {path}\n".encode() for path, data in sorted(files.items()))


@pytest.fixture(scope="session")
def release() -> dict[str, bytes]:
    return generated_release(RECORDS)


def wanted(release: dict[str, bytes], rate: str) -> dict[str, bytes]:
    folders = ("records100/", "records500/") if rate == "both" else (f"records{rate}/",)
    return {path: data for path, data in release.items() if path in TABLES | {CHECKSUMS} or path.startswith(folders)}


def contents(dest: Path) -> dict[str, bytes]:
    """Every file below ``dest`` but the two of the downloader's own."""
    files = (path for path in dest.rglob("*") if not path.is_dir())
    found = {path.relative_to(dest).as_posix(): path.read_bytes() for path in files}
    return {path: data for path, data in found.items() if path not in (LOCK_NAME, STATE_NAME)}


def assert_only_true_files(dest: Path, release: dict[str, bytes]) -> None:
    """Whatever has a final name has the release's bytes."""
    finished = {path: data for path, data in contents(dest).items() if not path.endswith(".part")}
    assert finished == {path: release.get(path) for path in finished}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        with self.server.guard:
            self.server.open_sockets.add(self.connection)
            self.server.accepted += 1
            self.server.most_open = max(self.server.most_open, len(self.server.open_sockets))

    def finish(self):
        with self.server.guard:
            self.server.open_sockets.discard(self.connection)
        super().finish()

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = urlsplit(self.path).path.removeprefix("/release/")
        with self.server.guard:
            self.server.requests.append((path, self.headers["Range"]))
            self.server.urls.append(self.path)
            faults = self.server.faults.get(path)
            fault = faults.popleft() if faults else self.server.always.get(path)
        if path not in self.server.files:
            return self.answer(404)
        return fault(self, self.server.files[path]) if fault else self.serve(self.server.files[path])

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def serve(self, data: bytes):
        if self.headers["Range"] is None:
            return self.answer(200, data)
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(data):
            return self.answer(416, headers={"Content-Range": f"bytes */{len(data)}"})
        return self.answer(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})


class Server(ThreadingHTTPServer):
    """Serves ``files`` below /release/; ``faults`` answer a path's next requests, ``always`` all of them."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], port: int = 0):
        super().__init__(("127.0.0.1", port), Handler)
        self.files = files
        self.url = f"http://127.0.0.1:{self.server_port}/release/"
        self.guard = threading.Lock()
        self.requests, self.urls = [], []
        self.faults, self.always = {}, {}
        self.open_sockets, self.accepted, self.most_open = set(), 0, 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def counts(self) -> Counter:
        return Counter(path for path, _ in self.requests)

    def kill(self) -> None:
        self.shutdown()
        self.server_close()
        with self.guard:
            for connection in self.open_sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server(release):
    server = Server(dict(release))
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def fetch(dest: Path, server: Server, rate: str = "100", connections: int = 4) -> None:
    fetch_release(dest, rate, server.url, connections, progress=False)


# --------------------------------------------------------------------------- faults


def drop(handler: Handler, data: bytes):
    """The whole length promised, two thirds of it sent, the connection cut."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) * 2 // 3])
    handler.close_connection = True


def hang_up(handler: Handler, data: bytes):
    handler.close_connection = True


def truncate(handler: Handler, data: bytes):
    handler.answer(200, data[: len(data) // 2])


def wrong_bytes(handler: Handler, data: bytes):
    handler.answer(200, bytes(len(data)))


def ignore_range(handler: Handler, data: bytes):
    handler.answer(200, data)


def other_range(handler: Handler, data: bytes):
    handler.answer(206, data[100:], {"Content-Range": f"bytes 100-{len(data) - 1}/{len(data)}"})


def unsatisfiable(handler: Handler, data: bytes):
    handler.answer(416)


def status(code: int, **headers: str):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, data: handler.answer(code, b"busy", fields)


# --------------------------------------------------------------------------- the list

DIGEST = "0123456789abcdef" * 4
plain_names = st.text("abcXYZ019_-", min_size=1, max_size=8)
plain_paths = st.lists(plain_names, min_size=1, max_size=4).map("/".join)
separators = st.sampled_from([" ", "  ", " *"])
bad_parts = st.sampled_from(["..", ".", "", "C:", "a\\b", "..\\", "a\0b", "a\tb", "a ", "a."])


@given(st.lists(st.tuples(plain_paths, st.binary(max_size=3), separators), unique_by=lambda entry: entry[0].casefold()))
def test_list_is_read_back_whatever_its_spacing_and_case(entries):
    sums = {path: hashlib.sha256(data).hexdigest() for path, data, _ in entries}
    lines = [f"{sums[path]}{separator}{path}" for path, _, separator in entries]
    assert parse_checksums("\n".join(lines).encode()) == sums
    upper = [f"{sums[path].upper()}{separator}{path}\r\n" for path, _, separator in entries]
    assert parse_checksums("".join(upper).encode()) == sums


@given(plain_paths, bad_parts, plain_paths, separators)
def test_list_with_an_unsafe_path_is_refused(before, bad, after, separator):
    for path in (f"{before}/{bad}/{after}", f"{bad}/{after}", f"{before}/{bad}"):
        with pytest.raises(DownloadError, match="line 2"):
            parse_checksums(f"{DIGEST}  good\n{DIGEST}{separator}{path}\n".encode())


@given(st.binary() | st.text().map(lambda text: f"{DIGEST}  {text}".encode(errors="replace")))
def test_no_list_whatever_leads_outside(text):
    try:
        paths = parse_checksums(text)
    except DownloadError:
        return
    for path in paths:
        assert Path(os.path.normpath(Path("/dest", path))) == Path("/dest", path) != Path("/dest")


@pytest.mark.parametrize(
    "text",
    [
        b"<html>Please log in</html>\n",
        f"{DIGEST[:-1]}  short\n".encode(),
        f"{DIGEST}\tpath\n".encode(),
        f"{DIGEST}  \n".encode(),
        f"{DIGEST}   a\n".encode(),
        f"{DIGEST}  /etc/passwd\n".encode(),
        f"{DIGEST}  a/b.part\n".encode(),
        f"{DIGEST}  a\n{DIGEST}  a\n".encode(),
        f"{DIGEST}  a\n{DIGEST}  A\n".encode(),
        b"\xff\xfe",
    ],
)
def test_other_lists_are_refused(text):
    with pytest.raises(DownloadError, match=CHECKSUMS):
        parse_checksums(text)


# --------------------------------------------------------------------------- the download


@pytest.mark.parametrize("rate", ["100", "500", "both"])
def test_a_rate_brings_its_files_and_no_others(tmp_path, server, release, rate):
    fetch(tmp_path / "new" / "dest", server, rate)
    assert contents(tmp_path / "new" / "dest") == wanted(release, rate)
    assert server.counts() == Counter([*wanted(release, rate)])  # each once


def test_a_second_rate_adds_to_the_first(tmp_path, server, release):
    fetch(tmp_path, server, "100")
    fetch(tmp_path, server, "both")
    assert contents(tmp_path) == wanted(release, "both")
    assert server.counts() == Counter([*wanted(release, "both")]) + Counter([CHECKSUMS])


@pytest.mark.parametrize("path", [SIGNAL, "ptbxl_database.csv", CHECKSUMS])
@pytest.mark.parametrize(
    "faults",
    [
        [drop],
        [drop, ignore_range],
        [drop, unsatisfiable],
        [drop, other_range],
        [hang_up, status(500)],
        [status(429, Retry_After="0"), status(429)],
        [status(429, Retry_After="soon"), status(503, Retry_After=formatdate(0, usegmt=True))],
        [status(500), status(502), status(504), status(408)],
    ],
    ids=lambda faults: "-".join(fault.__name__.strip("<>") for fault in faults),
)
def test_passing_faults_change_nothing(tmp_path, server, release, path, faults):
    server.faults[path] = deque(faults)
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    assert server.counts() == Counter([*wanted(release, "100")]) + Counter({path: len(set(faults) - {ignore_range})})


@pytest.mark.parametrize("path", [SIGNAL, "ptbxl_database.csv"])
@pytest.mark.parametrize("fault", [truncate, wrong_bytes])
def test_a_damaged_answer_is_fetched_again(tmp_path, server, release, path, fault):
    server.faults[path] = deque([fault])
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    assert server.requests.count((path, None)) == 2


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path, server, release):
    server.faults[SIGNAL] = deque([drop])
    fetch(tmp_path, server)
    (resumed,) = [asked for path, asked in server.requests if path == SIGNAL and asked]
    start = int(resumed.removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= len(release[SIGNAL]) * 2 // 3
    assert contents(tmp_path) == wanted(release, "100")


@pytest.mark.parametrize("cut", ["begun", "whole", "too long", "other bytes", "empty"])
def test_a_part_left_behind_is_used_if_it_is_good(tmp_path, server, release, cut):
    data = release[SIGNAL]
    left, asked = {
        "begun": (data[:9000], ["bytes=9000-"]),
        "whole": (data, []),
        "too long": (data + b"more", [f"bytes={len(data) + 4}-", None]),
        "other bytes": (bytes(9000), ["bytes=9000-", None]),
        "empty": (b"", [None]),
    }[cut]
    part = tmp_path / f"{SIGNAL}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    fetch(tmp_path, server)
    assert [header for path, header in server.requests if path == SIGNAL] == asked
    assert contents(tmp_path) == wanted(release, "100")


def test_a_file_that_stays_wrong_is_named_and_never_shown(tmp_path, server, release):
    server.always[SIGNAL] = wrong_bytes
    with pytest.raises(DownloadError, match=rf"(?s)1 of 15 files.*{SIGNAL} has another SHA-256.*same command again"):
        fetch(tmp_path, server)
    assert server.counts()[SIGNAL] == download.ATTEMPTS
    complete = wanted(release, "100")
    assert contents(tmp_path) == {path: data for path, data in complete.items() if path != SIGNAL}

    server.always.clear()
    server.requests.clear()
    fetch(tmp_path, server)
    assert contents(tmp_path) == complete
    assert server.counts() == Counter([CHECKSUMS, SIGNAL])


def test_an_altered_file_is_gone_even_if_no_other_can_be_had(tmp_path, server, release):
    fetch(tmp_path, server)
    (tmp_path / SIGNAL).write_bytes(bytes(len(release[SIGNAL])))
    server.always[SIGNAL] = status(500)
    with pytest.raises(DownloadError, match=SIGNAL):
        fetch(tmp_path, server)
    assert SIGNAL not in contents(tmp_path)


def test_what_is_not_there_is_asked_for_once(tmp_path, server, release):
    del server.files[SIGNAL]
    with pytest.raises(DownloadError, match=f"{SIGNAL} was answered 404"):
        fetch(tmp_path, server)
    assert server.counts()[SIGNAL] == 1
    assert_only_true_files(tmp_path, release)


def test_a_wrong_address_is_explained(tmp_path, server):
    with pytest.raises(DownloadError, match="404.*Check the address"):
        fetch_release(tmp_path, "100", f"{server.url}1.0.9/", progress=False)
    with pytest.raises(DownloadError, match="no usable address"):
        fetch_release(tmp_path, "100", "physionet", progress=False)


def test_an_outage_ends_the_run_before_every_file_was_tried(tmp_path, monkeypatch, server):
    monkeypatch.setattr(download, "MAX_FAILED_FILES", 2)
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    for path in server.files:
        if path.startswith("records"):
            server.always[path] = status(500)
    with pytest.raises(DownloadError, match="at least 2 of"):
        fetch(tmp_path, server, connections=1)
    tried = [path for path in server.counts() if path.startswith("records")]
    assert len(tried) < 2 * RECORDS


def test_a_link_that_keeps_breaking_but_brings_something_is_kept(tmp_path, monkeypatch, server, release):
    monkeypatch.setattr(download, "ATTEMPTS", 2)

    def trickle(handler: Handler, data: bytes):
        start = int((handler.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        handler.wfile.write(data[start : start + 8192])
        handler.close_connection = True

    server.always[SIGNAL] = trickle
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    assert server.counts()[SIGNAL] == 3  # of 24,000 bytes


def test_retry_after_holds_back_the_next_request(tmp_path, monkeypatch, server, release):
    waits = []
    monkeypatch.setattr(download._Server, "_wait", lambda self, seconds: waits.append(seconds))
    server.faults[CHECKSUMS] = deque([status(429, Retry_After="7")])
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    assert 6 < max(waits) <= 7


def test_backoff_grows_and_is_bounded(tmp_path, monkeypatch, server):
    waits = []
    monkeypatch.setattr(download._Server, "_wait", lambda self, seconds: waits.append(seconds))
    monkeypatch.setattr(download, "BACKOFF_S", 2.0)
    monkeypatch.setattr(download, "MAX_BACKOFF_S", 20.0)
    server.always[CHECKSUMS] = status(500)
    with pytest.raises(DownloadError, match="500"):
        fetch(tmp_path, server)
    pauses = [seconds for seconds in waits if seconds > 0]
    assert len(pauses) == download.ATTEMPTS - 1
    for pause, middle in zip(pauses, (2, 4, 8, 16, 20, 20, 20), strict=True):
        assert middle / 2 <= pause <= middle * 1.5


def test_a_server_that_asks_for_an_hour_is_left_alone(tmp_path, server, release):
    server.always[SIGNAL] = status(429, Retry_After="3600")
    with pytest.raises(DownloadError, match="60 minutes"):
        fetch(tmp_path, server)
    assert server.counts()[SIGNAL] == 1
    assert_only_true_files(tmp_path, release)


def test_an_endless_file_is_cut(tmp_path, monkeypatch, server):
    monkeypatch.setattr(download, "MAX_FILE_BYTES", 50_000)
    delivered = []

    def pour(handler: Handler, data: bytes):
        handler.answer(200, bytes(30_000_000))
        delivered.append("all of it")

    server.always[SIGNAL] = pour
    with pytest.raises(DownloadError, match=f"{SIGNAL} is larger"):
        fetch(tmp_path, server)
    assert not delivered
    assert SIGNAL not in contents(tmp_path) and f"{SIGNAL}.part" not in contents(tmp_path)


def test_connections_are_parallel_bounded_and_kept_alive(tmp_path, server, release):
    together = threading.Barrier(3)

    def wait_for_two_others(handler: Handler, data: bytes):
        together.wait(timeout=20)
        handler.serve(data)

    for number in (1, 2, 3):
        server.faults[f"records500/00000/{number:05}_hr.dat"] = deque([wait_for_two_others])
    fetch(tmp_path, server, "both", connections=3)
    assert contents(tmp_path) == wanted(release, "both")
    assert server.most_open == server.accepted == 3


@pytest.mark.parametrize("connections", [0, -1, 33])
def test_an_impolite_number_of_connections_is_refused(tmp_path, server, connections):
    with pytest.raises(DownloadError, match="between 1 and 32"):
        fetch(tmp_path, server, connections=connections)
    assert not server.requests


def test_an_unknown_rate_is_refused(tmp_path, server):
    with pytest.raises(DownloadError, match="'250'"):
        fetch(tmp_path, server, "250")


def test_the_environment_s_proxy_is_used(tmp_path, monkeypatch, server, release):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    fetch_release(tmp_path, "100", "http://physionet.invalid/release", connections=2, progress=False)
    assert contents(tmp_path) == wanted(release, "100")
    assert all(url.startswith("http://physionet.invalid/release/") for url in server.urls)


def test_a_server_killed_and_restarted_in_time_goes_unnoticed(tmp_path, monkeypatch, server, release):
    monkeypatch.setattr(download, "BACKOFF_S", 0.05)
    successors = []

    def restart():
        server.kill()
        successors.append(Server(server.files, server.server_port))

    def die(handler: Handler, data: bytes):
        threading.Thread(target=restart).start()
        drop(handler, data)

    server.faults[SIGNAL] = deque([die])
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    (successor,) = successors
    successor.kill()
    assert successor.counts()[SIGNAL] == 1


def test_a_server_that_stays_away_is_reported_and_its_return_resumes(tmp_path, monkeypatch, server, release):
    monkeypatch.setattr(download, "MAX_FAILED_FILES", 3)

    def die(handler: Handler, data: bytes):
        server.kill()

    server.faults[SIGNAL] = deque([die])
    with pytest.raises(DownloadError, match="same command again"):
        fetch(tmp_path, server, connections=2)
    assert_only_true_files(tmp_path, release)
    done = set(contents(tmp_path))
    assert TABLES < done

    successor = Server(server.files, server.server_port)
    fetch(tmp_path, successor)
    successor.kill()
    assert contents(tmp_path) == wanted(release, "100")
    assert not set(successor.counts()) & (done - {CHECKSUMS})


def test_bytes_reach_the_disk_before_a_file_gets_its_name(tmp_path, monkeypatch, server, release):
    steps, replace = [], Path.replace

    def note_replace(part: Path, target: Path):
        steps.append(("named", target.stat().st_ino if target.exists() else None, part.stat().st_ino))
        return replace(part, target)

    monkeypatch.setattr(os, "fsync", lambda descriptor: steps.append(("synced", None, os.fstat(descriptor).st_ino)))
    monkeypatch.setattr(Path, "replace", note_replace)
    fetch(tmp_path, server, connections=1)
    assert len(steps) >= 2 * len(wanted(release, "100"))
    for (first, _, synced), (second, _, named) in zip(steps[::2], steps[1::2], strict=True):
        assert (first, second, synced) == ("synced", "named", named)


# --------------------------------------------------------------------------- what is on disk already


def test_a_complete_set_is_neither_fetched_nor_hashed_again(tmp_path, monkeypatch, server, release):
    fetch(tmp_path, server)
    server.requests.clear()
    hashed = []
    monkeypatch.setattr(download, "sha256", lambda path: hashed.append(path))
    fetch(tmp_path, server)
    assert server.counts() == Counter([CHECKSUMS])
    assert hashed == []


@pytest.mark.parametrize("path", [SIGNAL, "scp_statements.csv"])
@pytest.mark.parametrize("alter", ["flip", "truncate", "append", "delete"])
def test_a_file_altered_later_is_fetched_again_alone(tmp_path, server, release, path, alter):
    fetch(tmp_path, server)
    server.requests.clear()
    target = tmp_path / path
    data, modified = release[path], target.stat().st_mtime_ns
    target.unlink()
    if alter != "delete":
        altered = {"flip": bytes([data[0] ^ 1]) + data[1:], "truncate": data[:-1], "append": data + b"\n"}[alter]
        target.write_bytes(altered)
        os.utime(target, ns=(0, modified + (1 if alter == "flip" else 0)))
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    assert server.counts() == Counter([CHECKSUMS, path])


@pytest.mark.parametrize("state", [None, b"", b"\xff\x00", b"[1]", b'{"LICENSE.txt": 3}', b'{"LICENSE.txt": ["x", 1]'])
def test_without_its_memory_it_hashes_and_fetches_nothing(tmp_path, server, release, state):
    fetch(tmp_path, server)
    server.requests.clear()
    if state is None:
        (tmp_path / STATE_NAME).unlink()
    else:
        (tmp_path / STATE_NAME).write_bytes(state)
    os.utime(tmp_path / SIGNAL)
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    assert server.counts() == Counter([CHECKSUMS])


def test_a_new_release_replaces_what_changed(tmp_path, server, release):
    fetch(tmp_path, server)
    server.requests.clear()
    changed = {path: data for path, data in release.items() if path != CHECKSUMS} | {SIGNAL: b"better"}
    server.files = changed | {CHECKSUMS: checksum_list(changed)}
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(server.files, "100")
    assert server.counts() == Counter([CHECKSUMS, SIGNAL])


def test_a_list_cut_at_a_line_is_noticed(tmp_path, server, release):
    lines = release[CHECKSUMS].splitlines(keepends=True)
    lost = f"records100/00000/{RECORDS:05}_lr.hea"
    server.files[CHECKSUMS] = b"".join(line for line in lines if lost.encode() not in line)
    with pytest.raises(DownloadError, match=f"lacks 1 of the 12 .* {lost}"):
        fetch(tmp_path, server)
    server.files[CHECKSUMS] = b"".join(lines[:3])
    with pytest.raises(DownloadError, match=r"does not list ptbxl_database\.csv"):
        fetch(tmp_path, server)


def test_a_list_that_leads_outside_is_refused_before_any_file(tmp_path, server):
    server.files[CHECKSUMS] += f"{DIGEST}  records100/../../escaped\n".encode()
    with pytest.raises(DownloadError, match="unsafe path"):
        fetch(tmp_path / "dest", server)
    assert contents(tmp_path / "dest") == {}
    assert server.counts() == Counter([CHECKSUMS])


def test_space_is_checked_for_what_is_missing(tmp_path, monkeypatch, server, release):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=download.SPARE_BYTES + 150_000))
    with pytest.raises(DownloadError, match="GB free"):
        fetch(tmp_path, server)
    assert server.counts() == Counter([CHECKSUMS])
    # Six recordings at 100 Hz: 6 blocks of signal and one of header each, 172,032 bytes.
    for path in TABLES | {SIGNAL}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(release[path])
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    fetch(tmp_path, server)


def test_a_destination_that_is_a_file_is_refused(tmp_path, server):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DownloadError, match="cannot write to"):
        fetch(tmp_path / "file", server)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_in_a_file_s_place_is_refused(tmp_path, server):
    (tmp_path / SIGNAL).mkdir(parents=True)
    with pytest.raises(DownloadError, match="cannot write to"):
        fetch(tmp_path, server)


def test_a_second_download_into_the_same_place_is_refused(tmp_path, server, release):
    asked, go_on = threading.Event(), threading.Event()

    def stall(handler: Handler, data: bytes):
        asked.set()
        go_on.wait(timeout=20)
        handler.serve(data)

    server.faults[SIGNAL] = deque([stall])
    first = threading.Thread(target=fetch, args=(tmp_path, server))
    first.start()
    assert asked.wait(timeout=20)
    with pytest.raises(DownloadError, match="another download"):
        fetch(tmp_path, server)
    fetch(tmp_path.with_name("elsewhere"), server)
    go_on.set()
    first.join()
    assert contents(tmp_path) == wanted(release, "100")


# --------------------------------------------------------------------------- the zip


def zipped(path: Path, files: dict[str, bytes], folder: str = ZIP_FOLDER) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(folder + name, data)
    return path


def extract(archive: Path, dest: Path, rate: str = "100") -> None:
    extract_release(archive, dest, rate, progress=False)


@pytest.mark.parametrize(("rate", "folder"), [("100", ZIP_FOLDER), ("500", ""), ("both", "any/")])
def test_a_zip_gives_what_the_server_gives(tmp_path, release, rate, folder):
    extract(zipped(tmp_path / "release.zip", release, folder), tmp_path / "dest", rate)
    assert contents(tmp_path / "dest") == wanted(release, rate)


def test_a_zip_replaces_only_what_is_altered_or_missing(tmp_path, release):
    archive, dest = zipped(tmp_path / "release.zip", release), tmp_path / "dest"
    extract(archive, dest)
    inodes = {path: (dest / path).stat().st_ino for path in wanted(release, "100")}
    (dest / SIGNAL).write_bytes(b"altered")
    (dest / "LICENSE.txt").unlink()
    extract(archive, dest)
    assert contents(dest) == wanted(release, "100")
    for path in inodes.keys() - {SIGNAL, "LICENSE.txt", CHECKSUMS}:
        assert (dest / path).stat().st_ino == inodes[path]


def test_the_server_completes_what_a_damaged_zip_began(tmp_path, release, server):
    archive = zipped(tmp_path / "release.zip", release | {SIGNAL: b"altered"})
    with pytest.raises(DownloadError, match=rf"(?s){SIGNAL} has another SHA-256.*Get the archive again"):
        extract(archive, tmp_path / "dest")
    fetch(tmp_path / "dest", server)
    assert contents(tmp_path / "dest") == wanted(release, "100")
    assert server.counts() == Counter([CHECKSUMS, SIGNAL])


@pytest.mark.parametrize(
    "name",
    [
        "../escaped",
        ZIP_FOLDER + "../../escaped",
        ZIP_FOLDER + "records100/../../../escaped",
        "/escaped",
        "C:/escaped",
        "C:escaped",
        "..\\escaped",
        "\\\\host\\escaped",
        ZIP_FOLDER + "./LICENSE.txt",
        ZIP_FOLDER + "/LICENSE.txt",
        ZIP_FOLDER + "license.TXT",
        ZIP_FOLDER + SIGNAL + ".part",
        ZIP_FOLDER + "a\nb",
    ],
)
def test_a_zip_with_an_unsafe_or_double_name_is_refused_whole(tmp_path, release, name):
    archive = zipped(tmp_path / "release.zip", release)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(name, b"escaped")
    with pytest.raises(DownloadError, match="unsafe path|there twice"):
        extract(archive, tmp_path / "a" / "b")
    assert contents(tmp_path) == {"release.zip": archive.read_bytes(), f"a/b/{LOCK_NAME}": b""}


def test_a_zip_with_a_name_that_hides_its_end_is_refused(tmp_path, release):
    archive = zipped(tmp_path / "release.zip", release | {"shown#hidden": b""})
    archive.write_bytes(archive.read_bytes().replace(b"shown#hidden", b"shown\0hidden"))
    with pytest.raises(DownloadError, match="unsafe path"):
        extract(archive, tmp_path / "dest")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_the_same_name_twice_is_refused(tmp_path, release):
    archive = zipped(tmp_path / "release.zip", release)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(ZIP_FOLDER + SIGNAL, b"other")
    with pytest.raises(DownloadError, match="there twice"):
        extract(archive, tmp_path / "dest")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_zip_with_a_link_or_a_device_is_refused_whole(tmp_path, release, kind):
    files = {path: data for path, data in release.items() if path != "scp_statements.csv"}
    archive = zipped(tmp_path / "release.zip", files)
    link = zipfile.ZipInfo(ZIP_FOLDER + "scp_statements.csv")
    link.create_system, link.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="link or a device"):
        extract(archive, tmp_path / "dest")
    assert contents(tmp_path / "dest") == {}


@pytest.mark.parametrize("kept", [0, 1, 1000, 0.5, 0.99, -1])
def test_a_truncated_zip_is_refused(tmp_path, release, kept):
    data = zipped(tmp_path / "release.zip", release).read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(DownloadError, match="not a complete zip"):
        extract(tmp_path / "cut.zip", tmp_path / "dest")
    assert contents(tmp_path / "dest") == {}


def test_no_zip_at_all_is_refused(tmp_path):
    with pytest.raises(DownloadError, match=r"cannot read .*nowhere\.zip"):
        extract(tmp_path / "nowhere.zip", tmp_path / "dest")


@pytest.mark.parametrize("seed", range(12))
def test_a_zip_with_flipped_bytes_gives_true_files_or_a_refusal(tmp_path, release, seed):
    generator = random.Random(seed)
    data = bytearray(zipped(tmp_path / "release.zip", release).read_bytes())
    # Half of the damage in the files, half in the directory at the end, which is far smaller.
    directory = data.index(b"PK\x01\x02")
    begin, end = (0, directory) if seed % 2 else (directory, len(data))
    for _ in range(20):
        data[generator.randrange(begin, end)] ^= generator.randrange(1, 256)
    (tmp_path / "damaged.zip").write_bytes(data)
    with pytest.raises(DownloadError):
        extract(tmp_path / "damaged.zip", tmp_path / "dest", "both")
    assert_only_true_files(tmp_path / "dest", release)
    extract(tmp_path / "release.zip", tmp_path / "dest", "both")
    assert contents(tmp_path / "dest") == wanted(release, "both")


def test_a_zip_without_a_file_it_lists_is_refused(tmp_path, release):
    archive = zipped(tmp_path / "release.zip", {path: data for path, data in release.items() if path != SIGNAL})
    with pytest.raises(DownloadError, match=f"{SIGNAL} is not in the archive"):
        extract(archive, tmp_path / "dest")


@pytest.mark.parametrize("names", [[], [CHECKSUMS, "folder/" + CHECKSUMS], ["a/b/" + CHECKSUMS]])
def test_a_zip_without_exactly_one_list_is_refused(tmp_path, release, names):
    archive = zipped(tmp_path / "release.zip", {"LICENSE.txt": b""} | dict.fromkeys(names, b""), "")
    with pytest.raises(DownloadError, match="instead of one"):
        extract(archive, tmp_path / "dest")


def test_a_bomb_is_cut_at_the_largest_size_a_file_has(tmp_path, monkeypatch, release):
    monkeypatch.setattr(download, "MAX_FILE_BYTES", 100_000)
    files = {path: data for path, data in release.items() if path != CHECKSUMS} | {SIGNAL: bytes(5_000_000)}
    archive = zipped(tmp_path / "bomb.zip", files | {CHECKSUMS: checksum_list(files)})
    with pytest.raises(DownloadError, match=f"{SIGNAL} is larger"):
        extract(archive, tmp_path / "dest")
    assert SIGNAL not in contents(tmp_path / "dest") and f"{SIGNAL}.part" not in contents(tmp_path / "dest")


def test_a_bomb_that_declares_less_than_it_holds_brings_no_more(tmp_path, release):
    bomb = bytes(5_000_000)
    files = {path: data for path, data in release.items() if path != CHECKSUMS} | {SIGNAL: bomb}
    archive = zipped(tmp_path / "bomb.zip", files | {CHECKSUMS: checksum_list(files)})
    size = len(bomb).to_bytes(4, "little")
    assert size in archive.read_bytes()
    archive.write_bytes(archive.read_bytes().replace(size, (24_000).to_bytes(4, "little")))
    with pytest.raises(DownloadError, match=SIGNAL):
        extract(archive, tmp_path / "dest")
    assert SIGNAL not in contents(tmp_path / "dest")


def test_a_zip_larger_than_the_disk_is_refused_by_its_declared_sizes(tmp_path, monkeypatch, release):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=download.SPARE_BYTES + 150_000))
    with pytest.raises(DownloadError, match="GB free"):
        extract(zipped(tmp_path / "release.zip", release), tmp_path / "dest")


# --------------------------------------------------------------------------- killed and interrupted


KILLER = """
import itertools, os, signal, sys, threading, time
moments = itertools.count(1)
def die():
    time.sleep({delay})
    os.kill(os.getpid(), signal.SIGKILL)
def watch(event, arguments):
    if event in ("open", "os.rename", "os.remove", "socket.connect") and next(moments) == {moment}:
        threading.Thread(target=die).start() if {delay} else die()
"""


def started(call: str, before: str = "") -> subprocess.Popen:
    """A process that runs one call of the module, errors to standard error as the command line prints them."""
    script = (
        f"{before}\nimport sys, download\nfrom pathlib import Path\n"
        "download.BACKOFF_S, download.STATE_EVERY_S = 0.001, 0.0\n"
        f"{'sys.addaudithook(watch)' if before else ''}\n"
        f"try:\n    download.{call}\nexcept download.DownloadError as error:\n    sys.exit(str(error))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "NO_PROXY": "127.0.0.1"}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True)


@contextmanager
def sources(tmp_path: Path, files: dict[str, bytes]):
    """The call for each way to get the files into ``dest``, from a server that fails now and then and from a zip."""
    server = Server(files)
    for number, path in enumerate(sorted(files)):
        server.faults[path] = deque([[drop], [wrong_bytes], [status(500)], []][number % 4])
    dest = f"Path({str(tmp_path / 'dest')!r})"
    archive = zipped(tmp_path / "release.zip", files)
    yield {
        "server": f"fetch_release({dest}, 'both', {server.url!r}, 4, False)",
        "zip": f"extract_release(Path({str(archive)!r}), {dest}, 'both', False)",
    }
    server.kill()


@pytest.mark.parametrize(("source", "seed"), [("server", 1), ("server", 2), ("zip", 3)])
def test_killed_at_random_moments_the_result_is_exact(tmp_path, source, seed):
    generator, files, dest = random.Random(seed), generated_release(20), tmp_path / "dest"
    with sources(tmp_path, files) as calls:
        for _ in range(4):
            # At a file operation, between any two steps, or a little later, in the middle of one.
            delay = generator.choice([0, generator.random() * 0.01])
            process = started(calls[source], KILLER.format(moment=generator.randrange(1, 120), delay=delay))
            process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL
            assert_only_true_files(dest, files)
        last = started(calls[source])
        assert last.communicate(timeout=60) == (None, "")
        assert last.returncode == 0
    assert contents(dest) == wanted(files, "both")


def test_ctrl_c_stops_at_once_and_says_how_to_resume(tmp_path, server, release):
    asked, go_on = threading.Event(), threading.Event()

    def stall(handler: Handler, data: bytes):
        asked.set()
        go_on.wait(timeout=60)

    server.always[SIGNAL] = stall
    process = started(f"fetch_release(Path({str(tmp_path)!r}), '100', {server.url!r}, 4, False)")
    assert asked.wait(timeout=20)
    process.send_signal(signal.SIGINT)
    # Shorter than the read timeout: only a process that does not wait for the silent server ends in time.
    _, message = process.communicate(timeout=download.TIMEOUT_S[1] - 5)
    go_on.set()
    assert process.returncode == 1
    assert "interrupted" in message and "same command again" in message and "Traceback" not in message
    assert_only_true_files(tmp_path, release)

    server.always.clear()
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
