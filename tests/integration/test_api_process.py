"""The server as a process: loading, damaged files, unfinished requests, signals, load and workers that die."""

import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import requests
import wfdb
from fastapi.testclient import TestClient

from api import create_app
from config import LEADS
from inference.diagnoser import Diagnoser
from serving.settings import Settings
from tests.support.manifests import edit_json
from tests.support.server import assert_problem, client_with, is_loading
from tools.benchmark.calls import bad_calls, good_calls
from tools.benchmark_api import parts_ms, run_load
from tools.server_process import ready_server, responds, started_server, unfinished_bodies, worker_processes

# --------------------------------------------------------------------------- loading


@pytest.mark.parametrize(
    ("name", "damage", "word"),
    [
        ("multilabel_best.onnx", lambda path: path.write_bytes(b"damaged"), "multilabel_best.onnx"),
        ("examples/normal.dat", lambda path: shutil.copy(path.with_name("left_hypertrophy.dat"), path), "self-test"),
        (
            "manifest.json",
            lambda path: edit_json(path, lambda m: m.update(self_test={"an unknown class": 0.5})),
            "export_onnx.py",
        ),
        ("manifest.json", lambda path: shutil.rmtree(path.parent), "manifest.json"),
    ],
)
def test_damaged_artifacts_are_never_served(own_artifacts, ecg, name, damage, word):
    damage(own_artifacts / name)
    with client_with(own_artifacts) as client:
        assert client.get("/health").status_code == 200
        for response in (client.get("/ready"), client.get("/model"), client.post("/predict", json=ecg)):
            assert_problem(response, 503, "not ready", word)


def test_health_and_readiness_are_there_while_the_networks_are_loaded(artifacts, ecg, monkeypatch):
    go, load = threading.Event(), Diagnoser.load

    def slow_load(directory, **arguments):
        assert go.wait(30)
        return load(directory, **arguments)

    monkeypatch.setattr(Diagnoser, "load", slow_load)
    with TestClient(create_app(Settings(artifacts=artifacts))) as client:
        assert client.get("/health").status_code == 200
        for response in (client.get("/ready"), client.get("/model"), client.post("/predict", json=ecg)):
            assert_problem(response, 503, "still being loaded")
        go.set()
        while is_loading(client.app):
            time.sleep(0.01)
        assert client.get("/ready").json() == {"status": "ready"}
        assert client.post("/predict", json=ecg).status_code == 200


def test_a_server_that_is_still_loading_ends_when_told_to(tmp_path):
    os.mkfifo(tmp_path / "manifest.json")  # reading it waits for ever
    with started_server(tmp_path) as server:
        server.wait_until(lambda: responds(f"{server.url}/health"), "the port did not open")
        assert "still being loaded" in requests.get(f"{server.url}/ready", timeout=10).text
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.printed()


# --------------------------------------------------------------------------- the end


@pytest.fixture
def slow_upload(tmp_path):
    """Five minutes of a WFDB record in a format that passes through a temporary folder."""
    signal_mv = np.random.default_rng(0).normal(0, 0.3, (150_000, 12))
    wfdb.wrsamp(
        "record",
        fs=500,
        units=["mV"] * 12,
        sig_name=list(LEADS),
        p_signal=signal_mv,
        fmt=["24"] * 12,
        write_dir=tmp_path,
    )
    return [("files", (f"record{end}", (tmp_path / f"record{end}").read_bytes())) for end in (".hea", ".dat")]


@pytest.mark.parametrize("workers", [1, 2])
def test_told_to_end_it_answers_what_has_arrived_and_waits_for_nothing_else(
    artifacts, slow_upload, tmp_path, monkeypatch, workers
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with ready_server(artifacts, workers, time_limit_s="600") as server, ThreadPoolExecutor(10) as threads:
        with unfinished_bodies(server.url, 3) as connections:
            sent = [threads.submit(requests.post, f"{server.url}/predict/file", files=slow_upload) for _ in range(10)]

            def reading() -> bool:
                """One recording is being read, and so many are done that all others have arrived."""
                return sum(one.done() for one in sent) >= 4 and any(temporary.glob("ecg-[!m]*"))

            server.wait_until(reading, "no recording was being read", every_s=0.001)
            server.process.terminate()
            assert server.process.wait(120) == 0
            for connection in connections:
                assert b"".join(iter(partial(connection.recv, 65536), b"")).startswith(b"HTTP/1.1 503 ")
        statuses = {response.result().status_code for response in sent}
    assert 200 in statuses and statuses <= {200, 503}, "those that had not arrived are to be sent again"
    assert [path for path in temporary.iterdir() if path.is_dir()] == []


# --------------------------------------------------------------------------- unfinished requests and load


def test_unfinished_bodies_keep_nobody_out(artifacts, ecg):
    with ready_server(artifacts, time_limit_s="60") as server:
        for count in (60, 500):
            with unfinished_bodies(server.url, count):
                response = requests.post(f"{server.url}/predict", json=ecg, timeout=10)
                assert response.status_code == 200, f"{count} unfinished bodies: {response.text}"


def test_a_slow_sender_gets_408_and_is_disconnected(artifacts):
    with ready_server(artifacts, time_limit_s="1") as server, unfinished_bodies(server.url, 1) as (connection,):
        received = b"".join(iter(partial(connection.recv, 65536), b""))
    assert received.startswith(b"HTTP/1.1 408 ") and b"send it again" in received


def test_under_load_and_after_a_worker_died_every_response_is_right(artifacts):
    calls = good_calls(artifacts)[:3] + bad_calls()
    with ready_server(artifacts, workers=2, waiting="8", hanging_s="10") as server:
        pid = server.process.pid
        workers = worker_processes(pid)
        assert len(workers) == 2
        killer = threading.Timer(2, partial(os.kill, workers[0], signal.SIGKILL))
        killer.start()
        load = run_load(server.url, calls, clients=32, seconds=6)
        server.wait_until(lambda: len(set(worker_processes(pid)) - {workers[0]}) == 2, "the worker was not replaced")
        metrics = requests.get(f"{server.url}/metrics", timeout=10).text
    assert load.unexpected == {} and load.mismatched == 0 and load.no_retry_after == 0
    assert max(load.statuses) < 500 and load.statuses[200] > 10 and load.statuses[422] > 10
    assert load.lost <= 32, "one connection a client, at most"
    assert "ecg_recordings_total" in metrics


def test_the_breakdown_of_the_time_names_every_part(artifacts):
    parts = parts_ms(artifacts, repetitions=2)
    assert {"read JSON", "read WFDB", "read NPY", "resample", "quality", "network multilabel"} <= set(parts)
    assert all(0 < part["best"] <= part["p50"] for part in parts.values())
