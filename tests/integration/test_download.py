"""The download against a server that misbehaves, and processes that are stopped."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from itertools import repeat

import pooch
import pytest

from config import PROJECT
from ptbxl import download
from ptbxl.download import CHECKSUMS, DownloadError, fetch_release, parse_checksums
from tests.support.release_server import (
    RECORDS,
    SIGNAL,
    TABLES,
    Handler,
    Stall,
    contents,
    drop,
    endless,
    fetch,
    hang_up,
    status,
    truncate,
    wanted,
    wrong_bytes,
)

pytestmark = pytest.mark.usefixtures("waits")
DIGEST = "0123456789abcdef" * 4


# --------------------------------------------------------------------------- the list

UNSAFE_PATHS = ["..", "../a", "a/../b", "a/..", "./a", "a/.", "/etc/passwd", "a//b", "a/", "a ", "a /b", "a./b", "a."]
UNSAFE_PATHS += ["C:/a", "a\\b", "..\\a", "\\\\host\\a", "a\0b", "a\tb"]


def test_a_list_is_read_whatever_its_spacing_and_case():
    text = f"{DIGEST}  a/b_1\r\n\n{DIGEST.upper()} *RECORDS\n{DIGEST} records100/-Z\n"
    assert parse_checksums(text.encode()) == dict.fromkeys(["a/b_1", "RECORDS", "records100/-Z"], DIGEST)


@pytest.mark.parametrize(
    "line",
    [
        "<html>Please log in</html>",
        f"{DIGEST[:-1]}  short",
        f"{DIGEST}\tpath",
        f"{DIGEST}  ",
        f"{DIGEST} *GOOD",  # there already: one file on macOS and Windows
        "\udcff\udcfe",
        *(f"{DIGEST}  {path}" for path in UNSAFE_PATHS),
    ],
)
def test_a_list_with_another_line_or_an_unsafe_path_is_refused(line):
    with pytest.raises(DownloadError, match=f"{CHECKSUMS}, line 2"):
        parse_checksums(f"{DIGEST}  good\n{line}\n".encode("utf-8", "surrogateescape"))


def test_a_list_cut_at_a_line_or_leading_outside_is_noticed(tmp_path, server, release):
    lost = f"records100/00000/{RECORDS:05}_lr.hea"
    lines = release[CHECKSUMS].splitlines(keepends=True)
    for text, message in (
        (b"".join(line for line in lines if lost.encode() not in line), f"lacks 1 of the 12 .* {lost}"),
        (b"".join(lines[:3]), r"does not list ptbxl_database\.csv"),
        (release[CHECKSUMS] + f"{DIGEST}  records100/../../escaped\n".encode(), "unsafe path"),
    ):
        server.files[CHECKSUMS] = text
        with pytest.raises(DownloadError, match=message):
            fetch(tmp_path, server)
    assert not (tmp_path.parent / "escaped").exists()


# --------------------------------------------------------------------------- the download


@pytest.mark.parametrize("rate", ["100", "500", "both"])
def test_a_rate_brings_its_files_and_no_others_over_kept_connections(tmp_path, server, release, rate):
    dest = tmp_path / "new" / "dest"
    fetch(dest, server, rate)
    assert contents(dest) == wanted(release, rate)
    assert server.requests == Counter([*wanted(release, rate)])  # each once
    assert server.accepted <= 4
    (tmp_path / "usual").touch()
    assert {path.stat().st_mode for path in dest.rglob("*.dat")} == {(tmp_path / "usual").stat().st_mode}


def test_requests_are_as_many_at_a_time_as_there_are_connections(tmp_path, server, release):
    together = threading.Barrier(3)

    def wait_for_two_others(handler: Handler, data: bytes):
        together.wait(timeout=20)
        handler.answer(200, data)

    for number in (1, 2, 3):
        server.faults[f"records500/00000/{number:05}_hr.dat"] = iter([wait_for_two_others])
    fetch(tmp_path, server, "both", connections=3)
    assert contents(tmp_path) == wanted(release, "both")
    assert server.accepted == 3


def test_the_next_run_fetches_what_is_missing_altered_or_new_alone(tmp_path, server, release):
    fetch(tmp_path, server)
    altered = "records100/00000/00003_lr.dat"
    times = os.stat(tmp_path / altered)
    (tmp_path / altered).write_bytes(bytes(times.st_size))
    os.utime(tmp_path / altered, ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / SIGNAL).unlink()
    (tmp_path / CHECKSUMS).write_bytes(b"damaged")
    stray = tmp_path / "records100" / "00000" / "tmpabcd_123"
    stray.write_bytes(b"of a process that was killed")
    server.requests.clear()
    fetch(tmp_path, server, "both")
    assert contents(tmp_path) == wanted(release, "both")
    new = wanted(release, "500").keys() - TABLES
    assert server.requests == Counter([*new, altered, SIGNAL])


def test_passing_faults_change_nothing(tmp_path, server, release):
    faults = {
        CHECKSUMS: [drop, hang_up, status(503)],
        SIGNAL: [drop, hang_up, truncate, wrong_bytes],
        "records100/00000/00003_lr.dat": [status(429, Retry_After="0"), status(429)],
        "ptbxl_database.csv": [
            status(429, Retry_After="soon"),
            status(503, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
        ],
        "LICENSE.txt": [status(502), status(504), status(408)],
    }
    server.faults = {path: iter(answers) for path, answers in faults.items()}
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    repeated = Counter({path: len(answers) for path, answers in faults.items()})
    assert server.requests == Counter([*wanted(release, "100")]) + repeated


@pytest.mark.parametrize(
    ("fault", "message", "requests"),
    [
        (wrong_bytes, "has another SHA-256 than", download.FETCHES),
        (drop, "broke off", download.FETCHES),
        (hang_up, "cannot be fetched", download.REQUESTS),
        (status(503), "was answered 503 Service Unavailable", download.REQUESTS),
        (endless, "is larger than", 1),
        (status(404), "was answered 404 Not Found", 1),
        (status(403), "was answered 403 Forbidden", 1),
    ],
)
def test_a_file_that_cannot_be_had_is_named_and_the_others_kept(tmp_path, server, release, fault, message, requests):
    fetch(tmp_path, server)
    (tmp_path / SIGNAL).write_bytes(b"altered")
    (tmp_path / "LICENSE.txt").unlink()
    server.faults[SIGNAL] = repeat(fault)
    server.requests.clear()
    with pytest.raises(DownloadError, match=rf"(?s)1 of 15 files.*{SIGNAL} {message}.*same command again"):
        fetch(tmp_path, server)
    assert server.requests == Counter([CHECKSUMS, "LICENSE.txt"]) + Counter({SIGNAL: requests})
    assert contents(tmp_path) == {path: data for path, data in wanted(release, "100").items() if path != SIGNAL}


def test_an_outage_ends_the_run_before_every_file_was_tried(tmp_path, monkeypatch, server):
    @contextmanager
    def slow_temporary_file(path=None):
        with temporary_file(path) as name:
            threading.Event().wait(0.2)  # the run ends while a thread stands between its temporary file and its request
            yield name

    temporary_file = pooch.core.temporary_file
    monkeypatch.setattr(pooch.core, "temporary_file", slow_temporary_file)
    monkeypatch.setattr(download, "MAX_FAILED_FILES", 3)
    server.faults = {path: repeat(status(500)) for path in server.files if path.startswith("records")}
    with pytest.raises(DownloadError, match="at least 3 of 27 files"):
        fetch(tmp_path, server, "both", connections=1)
    assert len(server.requests) < 15
    assert contents(tmp_path).keys() <= TABLES | {CHECKSUMS}


def test_waits_grow_are_bounded_and_follow_retry_after_up_to_minutes(tmp_path, server, release, waits):
    server.faults = {CHECKSUMS: iter([status(429, Retry_After="7")]), SIGNAL: repeat(status(500))}
    with pytest.raises(DownloadError, match="500"):
        fetch(tmp_path, server)
    assert waits[0] == 7
    for wait, least in zip(waits[1:], (2, 4, 8, 16, 30), strict=True):
        assert least <= wait <= min(30, least + 1)
    server.faults[SIGNAL] = repeat(status(429, Retry_After="3600"))
    server.requests.clear()
    with pytest.raises(DownloadError, match="60 minutes"):
        fetch(tmp_path, server)
    assert server.requests[SIGNAL] == 1
    assert contents(tmp_path).items() <= release.items()


def test_the_environment_s_proxy_is_used(tmp_path, monkeypatch, server, release):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    fetch_release(tmp_path, "100", "http://physionet.invalid/release", connections=2, progress=False)
    assert contents(tmp_path) == wanted(release, "100")


def test_wrong_arguments_are_explained(tmp_path, server):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "occupied" / SIGNAL).mkdir(parents=True)
    for changed, message in (
        ({"base_url": f"{server.url}1.0.9/"}, "(?s)404.*Check the address"),
        ({"base_url": "physionet"}, "No scheme supplied"),
        ({"connections": 0}, "between 1 and 32"),
        ({"connections": 33}, "between 1 and 32"),
        ({"dest": tmp_path / "file"}, "cannot write to"),
        ({"dest": tmp_path / "occupied"}, "cannot write to"),
    ):
        arguments = {"dest": tmp_path / "dest", "rate": "100", "base_url": server.url, "progress": False}
        with pytest.raises(DownloadError, match=message):
            fetch_release(**arguments | changed)
    assert (tmp_path / "file").read_text() == "mine"


def test_space_is_checked_for_what_is_missing(tmp_path, monkeypatch, server, release):
    usage = shutil.disk_usage(tmp_path)
    # Six recordings at 100 Hz: 6 blocks of signal and one of header each, 172,032 bytes, and three tables.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=download.SPARE_BYTES + 172_031))
    with pytest.raises(DownloadError, match="GB free"):
        fetch(tmp_path, server)
    assert server.requests == Counter([CHECKSUMS])
    for path in TABLES | {SIGNAL}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(release[path])
    fetch(tmp_path, server)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")


# --------------------------------------------------------------------------- processes


def test_ctrl_c_stops_at_once_keeps_what_is_complete_and_the_lock_keeps_others_out(tmp_path, server, release):
    stalls = [Stall(), Stall()]
    server.faults = {SIGNAL: repeat(stalls[0]), "records100/00000/00003_lr.dat": repeat(stalls[1])}
    arguments = ["download", "--dest", str(tmp_path), "--url", server.url, "--connections", "4"]
    # a shell that runs the tests in the background lets them, and what they start, ignore SIGINT
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    patient = "from ptbxl import download; download.TIMEOUT_S = (15, 600)"
    script = f"{listen}; {patient}; from ptbxl.cli import main; raise SystemExit(main({arguments!r}))"
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True)
    for stall in stalls:
        assert stall.asked.wait(timeout=300)
    with pytest.raises(DownloadError, match="another download"):
        fetch(tmp_path, server)
    process.send_signal(signal.SIGINT)
    # Shorter than the read timeout: only a process that does not wait for the silent server ends in time.
    _, message = process.communicate(timeout=250)
    assert process.returncode == 2
    assert "interrupted" in message and "same command again" in message and "Traceback" not in message
    kept = contents(tmp_path)
    assert kept.items() <= release.items() and CHECKSUMS in kept

    for stall in stalls:
        stall.go_on.set()
    server.requests.clear()
    fetch(tmp_path, server)
    assert contents(tmp_path) == wanted(release, "100")
    assert not server.requests.keys() & (kept.keys() - {CHECKSUMS})
