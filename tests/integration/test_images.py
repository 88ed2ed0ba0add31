"""The files of each image are enough: server and page run from them alone, and the health checks work."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from config import DEFAULT_OUT, PROJECT
from tests.support import images
from tools.server_process import STARTUP_S, responds, started_server

AS_A_READER = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("app.py", default_timeout=300).run()
print(len(page.exception), [one.value for one in page.error])
"""


def is_healthy(dockerfile, **environment) -> bool:
    """Whether the image's health check succeeds."""
    python, *arguments = images.health_check(dockerfile)
    assert python == "python"
    command = [sys.executable, *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True).returncode == 0


def test_the_server_is_healthy_with_the_files_of_its_image(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    dockerfile = PROJECT / "Dockerfile"
    app = images.copy_as_image(dockerfile, tmp_path / "app")
    assert not list(app.rglob("*.pth")), "the server runs by ONNX Runtime"
    before = {path for path in app.rglob("*") if path.is_file()}
    with started_server(app / "artifacts", project=app) as server:
        port = server.url.rpartition(":")[2]
        server.wait_until(lambda: responds(f"{server.url}/ready"), "not ready")
        assert is_healthy(dockerfile, HMT_PORT=port)
    assert not is_healthy(dockerfile, HMT_PORT=port), "the server has ended"
    assert {path for path in app.rglob("*") if path.is_file()} == before, "the root file system is read-only"


def test_a_server_without_networks_is_not_healthy(tmp_path):
    with started_server(tmp_path) as server:
        server.wait_until(lambda: "manifest.json" in server.printed(), "no reason was logged")
        server.wait_until(lambda: responds(f"{server.url}/health"), "the port did not open")
        assert not is_healthy(PROJECT / "Dockerfile", HMT_PORT=server.url.rpartition(":")[2])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return images.copy_as_image(PROJECT / "Dockerfile.page", tmp_path_factory.mktemp("page"))


def test_the_page_shows_an_ecg_with_the_files_of_its_image(page):
    assert (page / "artifacts" / "multilabel_best.pth").read_bytes() == (
        DEFAULT_OUT / "multilabel_best.pth"
    ).read_bytes(), "explanations need the checkpoint"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", AS_A_READER], cwd=page, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "0 []"


def test_the_pages_health_check_works(page):
    dockerfile = PROJECT / "Dockerfile.page"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    of_image = {name: value for name, value in images.environment(dockerfile).items() if name.startswith("STREAMLIT")}
    environment = {**os.environ, **of_image, "STREAMLIT_SERVER_PORT": port, "STREAMLIT_SERVER_ADDRESS": "127.0.0.1"}
    assert not is_healthy(dockerfile, STREAMLIT_SERVER_PORT=port)
    command = [sys.executable, "-m", *json.loads(images.arguments_of(dockerfile, "CMD"))]
    with subprocess.Popen(command, cwd=page, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + STARTUP_S
            while not is_healthy(dockerfile, STREAMLIT_SERVER_PORT=port):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.5)
        finally:
            process.terminate()
