"""The server as a process: loading, damaged files, unfinished requests, signals, load and workers that die."""

import json
import os
import shutil
import signal
import threading
import time
from functools import partial

import numpy as np
import onnx
import pytest
import requests
from fastapi.testclient import TestClient

from api import create_app
from files import sha256
from inference.diagnoser import Diagnoser
from serving.settings import Settings
from tests.support.server import assert_problem, client_with, is_loading, write_json
from tools.benchmark_api import bad_calls, good_calls, parts_ms, run_load
from tools.server_process import ready_server, responds, started_server, unfinished_bodies, worker_processes

# --------------------------------------------------------------------------- damaged files


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def another_network(path):
    """The same architecture with other weights, and a manifest that vouches for it."""
    network = onnx.load(path)
    largest = max(network.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.raw_data = largest.raw_data[::-1][: len(largest.raw_data)]
    largest.raw_data = np.random.default_rng(0).normal(size=len(largest.raw_data) // 4).astype("<f4").tobytes()
    onnx.save(network, path)
    edit_manifest(path.parent, lambda manifest: manifest["files"].update({path.name: sha256(path)}))


def edit_manifest(directory, edit):
    manifest = json.loads((directory / "manifest.json").read_text())
    edit(manifest)
    write_json(directory / "manifest.json", manifest)


DAMAGE = {
    "corrupted network": (lambda d: flip(d / "multilabel_best.onnx"), "multilabel_best.onnx"),
    "truncated network": (lambda d: truncate(d / "multilabel_best.onnx"), "multilabel_best.onnx"),
    "swapped network": (lambda d: another_network(d / "multilabel_best.onnx"), "self-test"),
    "corrupted thresholds": (lambda d: flip(d / "multilabel_thresholds.json"), "multilabel_thresholds.json"),
    "swapped thresholds": (
        lambda d: shutil.copy(d / "mi_vs_norm_thresholds.json", d / "norm_vs_abnormal_thresholds.json"),
        "norm_vs_abnormal",
    ),
    "swapped test ECG": (
        lambda d: [shutil.copy(d / f"examples/left_hypertrophy.{x}", d / f"examples/normal.{x}") for x in ("dat",)],
        "self-test",
    ),
    "no network": (lambda d: (d / "multilabel_best.onnx").unlink(), "multilabel_best.onnx"),
    "no manifest": (lambda d: (d / "manifest.json").unlink(), "manifest.json"),
    "no self-test": (lambda d: edit_manifest(d, lambda m: m.update(self_test=None)), "self-test"),
    "damaged self-test": (lambda d: edit_manifest(d, lambda m: m.update(self_test="x")), "export_onnx.py"),
    "nothing at all": (shutil.rmtree, "manifest.json"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_artifact_is_never_served(own_artifacts, ecg, damage):
    break_it, word = DAMAGE[damage]
    break_it(own_artifacts)
    with client_with(own_artifacts) as client:
        assert client.get("/health").status_code == 200
        for response in (client.get("/ready"), client.get("/model"), client.post("/predict", json=ecg)):
            assert_problem(response, 503, "not ready", word)


# --------------------------------------------------------------------------- loading


def test_health_and_readiness_are_there_while_the_networks_are_loaded(artifacts, ecg, monkeypatch):
    go, load = threading.Event(), Diagnoser.load

    def slow_load(directory):
        assert go.wait(30)
        return load(directory)

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
        assert server.process.wait(30) in (0, -signal.SIGTERM)
        assert "Traceback" not in server.printed()


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
    with ready_server(artifacts, workers=2, waiting="8") as server:
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
