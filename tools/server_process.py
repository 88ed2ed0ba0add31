"""A real server process, started and ended, and connections that never finish their requests."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from config import PROJECT

STARTUP_S = 300  # of a busy machine


@dataclass(frozen=True)
class RunningServer:
    """A server process; log: the descriptor of the file it prints to."""

    url: str
    process: subprocess.Popen
    log: int

    def printed(self) -> str:
        return os.pread(self.log, os.fstat(self.log).st_size, 0).decode()

    def wait_until(self, condition: Callable[[], bool], complaint: str, every_s: float = 0.2) -> None:
        """Raises TimeoutError with the complaint, RuntimeError if the server has ended."""
        deadline = time.monotonic() + STARTUP_S
        while not condition():
            if self.process.poll() is not None:
                raise RuntimeError(f"the server has ended: {self.printed()[-2000:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(complaint)
            time.sleep(every_s)


@contextmanager
def started_server(
    artifacts: Path,
    workers: int = 1,
    python: Path | str = sys.executable,
    project: Path = PROJECT,
    **settings: str,
) -> Iterator[RunningServer]:
    """``python api.py`` on a free port, which may not be open yet; ends it.

    python: of the environment to run it in. project: the folder of api.py. settings: HMT_... without the prefix.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HMT_ARTIFACTS": str(artifacts), "OMP_NUM_THREADS": "1"}
    environment |= {f"HMT_{name.upper()}": value for name, value in settings.items()}
    command = [str(python), str(project / "api.py"), "--port", str(port), "--workers", str(workers)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env=environment, cwd=project, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield RunningServer(url=f"http://127.0.0.1:{port}", process=process, log=log.fileno())
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def ready_server(artifacts: Path, workers: int = 1, **settings: str) -> Iterator[RunningServer]:
    """As `started_server`, once each of its workers is ready."""
    with started_server(artifacts, workers, **settings) as server:
        server.wait_until(
            lambda: server.printed().count('"message": "ready"') >= workers and responds(f"{server.url}/ready"),
            f"the server is not ready after {STARTUP_S} s",
        )
        yield server


def responds(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def worker_processes(pid: int) -> list[int]:
    """The processes that serve: the children of a server of several workers that run api.py, else itself."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()] or [pid]


def resident_mb(pids: Sequence[int]) -> float:
    """Resident memory of processes together, in MB (Linux)."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def unfinished_bodies(url: str, count: int, path: str = "/predict") -> Iterator[list[socket.socket]]:
    """Connections that have sent the headers of a request and the first byte of its body, and send no more."""
    host, port = url.removeprefix("http://").split(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{{"
    with ExitStack() as connections:
        opened = [
            connections.enter_context(socket.create_connection((host, int(port)), timeout=60)) for _ in range(count)
        ]
        for connection in opened:
            connection.sendall(head.encode())
        yield opened
