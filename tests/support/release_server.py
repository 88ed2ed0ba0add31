"""A small release in the layout of PTB-XL and a server for it that can misbehave."""

import hashlib
import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path

import pytest

from ptbxl import download
from ptbxl.download import CHECKSUMS, LOCK_NAME, fetch_release

RECORDS = 6
SIGNAL = "records100/00000/00002_lr.dat"  # the file most faults are about
TABLES = {"ptbxl_database.csv", "scp_statements.csv", "LICENSE.txt"}
ZIP_FOLDER = "ptb-xl-a-large-publicly-available-electrocardiography-dataset-1.0.3/"


def checksum_list(files: dict[str, bytes]) -> bytes:
    return b"".join(f"{hashlib.sha256(data).hexdigest()} {path}\n".encode() for path, data in sorted(files.items()))


@pytest.fixture(scope="session")
def release() -> dict[str, bytes]:
    """A release of PTB-XL's layout with random signals, its checksum list included."""
    generator = random.Random(0)
    files = {name: name.encode() for name in ("LICENSE.txt", "RECORDS", "example_physionet.py", "scp_statements.csv")}
    rows = ["ecg_id,filename_lr,filename_hr"]
    for number in range(1, RECORDS + 1):
        names = [f"records{rate}/00000/{number:05}_{kind}" for rate, kind in ((100, "lr"), (500, "hr"))]
        rows.append(",".join([str(number), *names]))
        for name, size in zip(names, (24_000, 30_000), strict=True):
            files |= {f"{name}.hea": f"{name} 12".encode(), f"{name}.dat": generator.randbytes(size)}
    files["ptbxl_database.csv"] = "\n".join(rows).encode()
    return files | {CHECKSUMS: checksum_list(files)}


def wanted(release: dict[str, bytes], rate: str) -> dict[str, bytes]:
    folders = ("records100/", "records500/") if rate == "both" else (f"records{rate}/",)
    return {path: data for path, data in release.items() if path in TABLES | {CHECKSUMS} or path.startswith(folders)}


def contents(dest: Path) -> dict[str, bytes]:
    """Every file below ``dest`` but the lock: half a file or a temporary one shows here."""
    files = (path for path in dest.rglob("*") if path.is_file() and path.name != LOCK_NAME)
    return {path.relative_to(dest).as_posix(): path.read_bytes() for path in files}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = self.path.removeprefix("http://physionet.invalid").removeprefix("/release/")
        with self.server.guard:
            self.server.requests[path] += 1
            fault = next(self.server.faults.get(path, repeat(None)), None)
        if path not in self.server.files:
            self.answer(404)
        elif fault:
            fault(self, self.server.files[path])
        else:
            self.answer(200, self.server.files[path])

    def answer(self, status: int, body: bytes = b"", **headers: str):
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Serves ``files`` below /release/; ``faults`` are iterators of what answers a path's next requests instead."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.url = files, f"http://127.0.0.1:{self.server_port}/release/"
        self.guard, self.requests, self.accepted, self.faults = threading.Lock(), Counter(), 0, {}
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def process_request(self, request, client_address):
        self.accepted += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def server(release):
    server = Server(dict(release))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The waits before repeated requests, which tests do not sit out."""
    waits = []
    monkeypatch.setattr(download, "MAX_FILE_BYTES", 100_000)
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return waits


def fetch(dest: Path, server: Server, rate: str = "100", connections: int = 4) -> None:
    fetch_release(dest, rate, server.url, connections, progress=False)


def drop(handler: Handler, data: bytes):
    """The whole length promised, two thirds of it sent, the connection cut."""
    handler.answer(200, data[: len(data) * 2 // 3], Content_Length=str(len(data)))
    handler.close_connection = True


def hang_up(handler: Handler, data: bytes):
    handler.close_connection = True


def truncate(handler: Handler, data: bytes):
    handler.answer(200, data[: len(data) // 2])


def wrong_bytes(handler: Handler, data: bytes):
    handler.answer(200, bytes(len(data)))


def endless(handler: Handler, data: bytes):
    """More than any file has: the client hangs up before the end, or the test never ends."""
    handler.answer(200, Content_Length=str(1 << 40))
    with suppress(OSError):
        while True:
            handler.wfile.write(bytes(1 << 20))
    handler.close_connection = True


def status(code: int, **headers: str):
    return lambda handler, data: handler.answer(code, b"busy", **headers)


class Stall:
    """A fault: no answer until released."""

    def __init__(self):
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __call__(self, handler: Handler, data: bytes):
        self.asked.set()
        self.go_on.wait(timeout=300)
        handler.answer(200, data)
