"""The server: what it answers, what it refuses and how, and that it stays up."""

import asyncio
import json
import os
import platform
import shutil
import signal
import sys
import threading
from functools import partial

import httpx2
import numpy as np
import onnx
import pytest
import schemathesis
import torch
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from api import create_app, main
from config import DEFAULT_OUT, LEADS, MULTILABEL, RESEARCH_ONLY, SAMPLING_RATE, SUPERCLASSES, TASK_CLASSES
from ecg.readers import read_recording as read_file
from ecg.readers.channels import from_leads
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise
from export_onnx import export_all
from files import sha256
from inference.decisions import Decisions, save_decisions
from inference.diagnoser import Diagnoser
from models import create_model
from models.checkpoint import Checkpoint, save_checkpoint
from ptbxl.records import read_recording
from serving.memory import keep_freed_memory
from serving.settings import Settings, read_settings
from tools import benchmark_api

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    """A network of random weights with everything the server reads; binary tasks are left to it."""
    directory = tmp_path_factory.mktemp("artifacts")
    torch.manual_seed(3)
    network = create_model("hmt_ecgnet", classes=len(SUPERCLASSES))
    checkpoint = Checkpoint(
        "multilabel", SUPERCLASSES, "hmt_ecgnet", {"classes": len(SUPERCLASSES)}, network.state_dict(), 0.25,
        MULTILABEL.window_s, MULTILABEL.stride_s, {}, 0, 1, {}, {}, True, "unknown", {},
    )  # fmt: skip
    save_checkpoint(directory / "multilabel_best.pth", checkpoint)
    digest = sha256(directory / "multilabel_best.pth")
    for task, classes in TASK_CLASSES.items():
        calibrators = ({"kind": "identity", "a": 1.0, "b": 1.0, "c": 0.0},) * len(classes)
        decisions = Decisions(
            task, "multilabel", classes, "f1", 0.0, calibrators, (0.5, 0.45, 0.55, 0.5, 0.4)[: len(classes)], 0.1
        )
        save_decisions(directory / f"{task}_thresholds.json", decisions, digest, 9, {})
    shutil.copytree(DEFAULT_OUT / "examples", directory / "examples")
    metrics = {"fold": 9, "n": 1, "macro": {"auroc": {"value": 0.5, "ci95": [0.4, 0.6]}}}
    write_json(directory / "multilabel_metrics_val.json", {**metrics, "checkpoint_sha256": digest})
    write_json(directory / "multilabel_metrics_test.json", {**metrics, "checkpoint_sha256": "another"})
    export_all(directory)
    return directory


@pytest.fixture
def own_artifacts(artifacts, tmp_path):
    """A copy that the test may damage."""
    return shutil.copytree(artifacts, tmp_path / "artifacts")


@pytest.fixture(scope="module")
def client(artifacts):
    with TestClient(create_app(Settings(artifacts=artifacts))) as client:
        yield client


def client_with(artifacts, **settings):
    return TestClient(create_app(Settings(artifacts=artifacts, **settings)))


def write_json(path, content):
    path.write_text(json.dumps(content))


def request_of(recording, units="mV", factor=1.0):
    leads = dict(zip(LEADS, (recording.signal * factor).round(4).tolist(), strict=True))
    return {"sampling_rate": recording.sampling_rate, "units": units, "leads": leads}


@pytest.fixture(scope="module")
def ecg():
    return request_of(synthesise(example_cases()["MI"], 100, np.random.default_rng(1))[0])


def essence(response):
    assert response.status_code == 200, response.text
    return benchmark_api.essence(response.json())


def assert_problem(response, status, *words):
    """An RFC 9457 problem that names what is wrong."""
    content = response.json()
    assert response.status_code == content["status"] == status, content
    assert response.headers["content-type"] == "application/problem+json"
    assert content["request_id"] == response.headers["x-request-id"]
    assert content["title"] and content["type"] == "about:blank"
    for word in words:
        assert word in content["detail"], content["detail"]


# --------------------------------------------------------------------------- answers


def test_an_answer_is_the_diagnosers_own(client, artifacts, ecg):
    answer = client.post("/predict", json=ecg).json()
    expected = Diagnoser.load(artifacts).diagnose(from_leads(ecg["leads"], 100, "mV"))
    assert answer["probabilities"] == expected.probabilities
    assert answer["thresholds"] == expected.thresholds
    assert answer["predicted_classes"] == list(expected.predicted_classes)
    for task in ("mi_vs_norm", "norm_vs_abnormal"):
        assert answer[task] == vars(getattr(expected, task))
    assert answer["uncertain"] == bool(answer["uncertain_because"]) == expected.uncertain
    assert answer["quality"]["severity"] == expected.quality.severity
    assert answer["model"] == expected.model
    assert answer["intervals"] is None and answer["disclaimer"] == RESEARCH_ONLY


def test_units_and_order_and_derived_leads_change_no_answer(client, ecg):
    expected = essence(client.post("/predict", json=ecg))["probabilities"]
    microvolts = {name: [1000 * value for value in samples] for name, samples in ecg["leads"].items()}
    reversed_leads = dict(reversed(microvolts.items()))
    for lead in ("III", "aVR", "aVL", "aVF"):
        del reversed_leads[lead]
    answer = essence(client.post("/predict", json={**ecg, "units": "uV", "leads": reversed_leads}))
    assert answer["probabilities"] == pytest.approx(expected, abs=2e-3)  # the leads sent were rounded
    assert any("derived" in warning for warning in answer["warnings"])


@pytest.mark.parametrize("names", [("normal.hea", "normal.dat"), ("left_hypertrophy.dat", "left_hypertrophy.hea")])
def test_a_wfdb_upload_is_read_like_the_file(client, artifacts, names):
    answer = client.post(
        "/predict/file", files=[("files", (n, (artifacts / "examples" / n).read_bytes())) for n in names]
    )
    header = next(name for name in names if name.endswith(".hea"))
    expected = Diagnoser.load(artifacts).diagnose(read_file(artifacts / "examples" / header))
    assert answer.json()["probabilities"] == expected.probabilities


def test_a_file_that_does_not_say_takes_rate_and_units_from_the_query(client, ecg):
    rows = zip(*ecg["leads"].values(), strict=True)
    table = "\n".join([",".join(LEADS), *(",".join(map(str, row)) for row in rows)]).encode()
    upload = {"files": ("ecg.csv", table)}
    answer = client.post("/predict/file?sampling_rate=100&units=mV", files=upload)
    assert essence(answer)["probabilities"] == essence(client.post("/predict", json=ecg))["probabilities"]
    assert_problem(client.post("/predict/file", files=upload), 422, "rate")


def test_a_real_ecg_is_answered(client, real):
    recording = read_recording(real, int(real.table.index[0]), SAMPLING_RATE)
    assert essence(client.post("/predict", json=request_of(recording)))["quality"]["heart_rate"] > 30


def test_intervals_come_when_asked_for(client, ecg):
    found = client.post("/predict?intervals=true", json=ecg).json()["intervals"]
    values = {name: value for name, value in found.items() if name != "reasons"}
    assert 40 < values["heart_rate"] < 150
    assert {name for name, value in values.items() if value is None} == set(found["reasons"])


def test_a_batch_has_one_answer_or_one_problem_each_in_order(client, ecg):
    short = {**ecg, "leads": {name: samples[:300] for name, samples in ecg["leads"].items()}}
    louder = {**ecg, "leads": {name: [2 * value for value in samples] for name, samples in ecg["leads"].items()}}
    given = [ecg, short, {"nonsense": 1}, 7, louder, None]
    results = client.post("/predict/batch", json={"recordings": given}).json()["results"]
    assert [result.get("status", 200) for result in results] == [200, 422, 422, 422, 200, 422]
    for recording, result in zip(given[::4], results[::4], strict=True):
        assert benchmark_api.essence(result) == essence(client.post("/predict", json=recording))
    assert "5 s are needed" in results[1]["detail"] and "nonsense" in results[2]["detail"]


def test_a_batch_may_be_empty_but_not_endless(client, artifacts, ecg):
    assert client.post("/predict/batch", json={"recordings": []}).json() == {"results": []}
    with client_with(artifacts, max_batch=2) as small:
        assert_problem(small.post("/predict/batch", json={"recordings": [ecg] * 3}), 413, "at most 2")


def test_the_model_tells_what_it_is(client, artifacts):
    facts = client.get("/model").json()
    assert list(facts["classes"]) == list(SUPERCLASSES)
    assert facts["thresholds"]["multilabel"]["MI"] == 0.45
    assert facts["input"]["leads"] == list(LEADS)
    assert facts["files"]["multilabel_best.onnx"] == sha256(artifacts / "multilabel_best.onnx")
    assert facts["networks"]["multilabel"]["trained_on_synthetic_data"]
    assert list(facts["metrics"]) == ["multilabel_val"], "figures of another checkpoint are none of this one's"


# --------------------------------------------------------------------------- refusals


def with_lead(ecg, samples, lead="V2"):
    return {**ecg, "leads": {**ecg["leads"], lead: samples}}


BAD_SAMPLES = {
    "a string": ([*range(999), "1.0"], "V2"),
    "a boolean": ([*range(999), True], "V2"),
    "nested": ([[0.1] * 1000], "V2"),
    "an object": ({"0": 1}, "V2"),
    "ragged": ([0.1] * 999, "equally many"),
    "empty": ([], "equally many"),
    "huge": ([0.1] * 999 + [1e300], "V2"),
    "beyond any unit": ([0.1] * 999 + [2e9], "beyond"),
    "a long gap": ([0.1] * 900 + [None] * 100, "V2"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_bad_samples_are_refused_with_a_sentence(client, ecg, case):
    samples, word = BAD_SAMPLES[case]
    assert_problem(client.post("/predict", json=with_lead(ecg, samples)), 422, word)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "0x10", "1,", ""])
def test_what_is_no_json_number_is_refused(client, ecg, literal):
    body = json.dumps(with_lead(ecg, ["here"])).replace('"here"', literal) if literal else "{"
    assert_problem(client.post("/predict", content=body, headers=JSON), 422)


BAD_BODIES = {
    "nothing": b"",
    "no object": b"[1, 2]",
    "no UTF-8": b'{"units": "\xff"}',
    "half a surrogate": b'{"sampling_rate": 100, "units": "mV", "leads": {"\\ud800": [1]}}',
    "deep": b"[" * 200_000,
    "deep inside": b'{"sampling_rate": 100, "units": "mV", "leads": {"I": ' + b"[" * 200_000,
    "deep aside": b'{"x": ' + b'{"x": ' * 200_000,
    "no leads": b'{"sampling_rate": 100, "units": "mV", "leads": {}}',
    "no rate": b'{"units": "mV", "leads": {"I": [1]}}',
    "a rate of zero": b'{"sampling_rate": 0, "units": "mV", "leads": {"I": [1]}}',
    "a rate in words": b'{"sampling_rate": "100", "units": "mV", "leads": {"I": [1]}}',
    "no unit": b'{"sampling_rate": 100, "units": "adu", "leads": {"I": [1]}}',
    "no lead of ours": b'{"sampling_rate": 100, "units": "mV", "leads": {"EEG": [1]}}',
    "a field too many": b'{"sampling_rate": 100, "units": "mV", "leads": {"I": [1]}, "patient": "Doe"}',
}


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_bodies_are_refused_with_a_sentence(client, case, path):
    assert_problem(client.post(path, content=BAD_BODIES[case], headers=JSON), 422)


def test_missing_leads_are_named(client, ecg):
    leads = {name: samples for name, samples in ecg["leads"].items() if name != "V4"}
    assert_problem(client.post("/predict", json={**ecg, "leads": leads}), 422, "V4 is missing")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/predict", {}),
        ("/predict", {"Content-Type": "text/csv"}),
        ("/predict", {**JSON, "Content-Encoding": "gzip"}),
        ("/predict/batch", {"Content-Type": "multipart/form-data; boundary=x"}),
        ("/predict/file", JSON),
    ],
)
def test_another_content_type_is_415(client, path, headers):
    assert_problem(client.post(path, content=b"{}", headers=headers), 415, "send")


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"recording": ("a.npy", b"x")}, "recording"),
        ([("files", ("a.dat", b"x")), ("files", ("a.dat", b"y"))], "two files"),
        ({"files": ("ecg.dat", b"\x00" * 100)}, "ecg.dat"),
        ({"files": ("../../etc/passwd", b"root:x:0")}, "header row"),
        ({"files": ("ecg.edf", b"")}, "ecg.edf"),
    ],
)
def test_bad_uploads_get_the_readers_message(client, files, word):
    assert_problem(client.post("/predict/file", files=files), 422, word)


@pytest.mark.parametrize("body", [b"", b"--x--\r\n", b"--x\r\nno headers", b"garbage"])
def test_a_broken_multipart_body_is_refused(client, body):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(client.post("/predict/file", content=body, headers=headers), 422)


def test_other_paths_methods_and_parameters(client, ecg):
    assert_problem(client.get("/nowhere"), 404, "/docs")
    response = client.get("/predict")
    assert_problem(response, 405)
    assert response.headers["allow"] == "POST"
    assert_problem(client.post("/predict?intervals=perhaps", json=ecg), 422, "intervals")
    assert_problem(client.post("/predict/file?sampling_rate=-1", files={"files": b"x"}), 422, "sampling_rate")


def streamed(artifacts, pieces, **settings):
    """The response to a body sent piece by piece, its length undeclared."""

    async def run():
        app = create_app(Settings(artifacts=artifacts, **settings))
        client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")
        async with app.router.lifespan_context(app), client:
            return await client.post("/predict", content=pieces, headers=JSON)

    return asyncio.run(run())


def test_too_large_a_body_is_413(artifacts):
    with client_with(artifacts, max_body_bytes=10_000) as client:
        assert_problem(client.post("/predict", content=b" " * 10_001, headers=JSON), 413, "10,000 bytes")
        assert_problem(client.post("/predict/file", files={"files": ("a", b" " * 20_000)}), 413)
        assert_problem(client.post("/predict", content=b" " * 9_999, headers=JSON), 422)


def test_too_large_a_body_is_413_before_it_has_ended(artifacts):
    read = []

    async def endless():
        while True:
            read.append(1000)
            yield b" " * 1000

    assert_problem(streamed(artifacts, endless(), max_body_bytes=10_000), 413, "10,000 bytes")
    assert sum(read) <= 12_000


def test_too_long_a_recording_is_413(artifacts, ecg):
    long = {**ecg, "leads": {name: samples * 2 for name, samples in ecg["leads"].items()}}
    with client_with(artifacts, max_duration_s=15) as client:
        assert_problem(client.post("/predict", json=long), 413, "20 s", "15 s")
        batch = client.post("/predict/batch", json={"recordings": [long, ecg]}).json()["results"]
        assert batch[0]["status"] == 413 and "probabilities" in batch[1]


@settings(max_examples=40)
@given(
    samples=st.lists(st.one_of(st.none(), st.floats(-5, 5), st.integers(), st.just(1e308)), min_size=1, max_size=4),
    length=st.integers(490, 1100),
    rate=st.one_of(st.floats(50, 60_000), st.integers(100, 1000)),
    intervals=st.booleans(),
)
def test_no_numbers_bring_it_down(client, samples, length, rate, intervals):
    one = (samples * length)[:length]
    leads = {lead: one if lead != "V6" else [0.5] * length for lead in LEADS}
    body = {"sampling_rate": rate, "units": "mV", "leads": leads}
    response = client.post(f"/predict?intervals={intervals}", json=body)
    if response.status_code != 200:
        assert_problem(response, 422)
    else:
        assert all(0 <= p <= 1 for p in response.json()["probabilities"].values())


# --------------------------------------------------------------------------- overload, time, keys


class Slow:
    """A diagnoser that answers when told to."""

    def __init__(self, diagnoser):
        self.diagnoser, self.go, self.begun = diagnoser, threading.Event(), threading.Semaphore(0)

    def diagnose(self, recording):
        self.begun.release()
        assert self.go.wait(30)
        return self.diagnoser.diagnose(recording)


async def posted_at_once(app, ecg, count, when_begun):
    """Responses to several requests that are all under way before the first may be answered."""
    slow = app.state.server.diagnoser
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        tasks = [asyncio.create_task(client.post("/predict", json=ecg)) for _ in range(count)]
        await asyncio.to_thread(slow.begun.acquire)
        health = await client.get("/health")
        await when_begun(tasks)
        slow.go.set()
        return health, await asyncio.gather(*tasks)


def overloaded(artifacts, ecg, count, when_begun, **settings):
    app = create_app(Settings(artifacts=artifacts, concurrency=1, **settings))

    async def run():
        async with app.router.lifespan_context(app):
            app.state.server.diagnoser = Slow(app.state.server.diagnoser)
            return await posted_at_once(app, ecg, count, when_begun)

    return app, *asyncio.run(run())


def test_one_is_answered_some_wait_and_the_rest_get_429_at_once(artifacts, ecg):
    async def until_refused(tasks):
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        while sum(task.done() for task in tasks) < 3:
            await asyncio.sleep(0.01)

    app, health, responses = overloaded(artifacts, ecg, 6, until_refused, waiting=2)
    assert health.status_code == 200, "a busy server is still up"
    assert sorted(response.status_code for response in responses) == [200] * 3 + [429] * 3
    for response in responses:
        if response.status_code == 429:
            assert_problem(response, 429, "try again")
            assert int(response.headers["retry-after"]) >= 1
    assert app.state.server.admitted == 0


def test_who_waited_too_long_gets_429_and_who_takes_too_long_413(artifacts, ecg):
    async def until_all_timed_out(tasks):
        await asyncio.wait(tasks)

    app, _, responses = overloaded(artifacts, ecg, 3, until_all_timed_out, time_limit_s=0.3)
    assert sorted(response.status_code for response in responses) == [413, 429, 429]
    assert app.state.server.admitted == 0


def test_a_body_that_never_comes_is_408(artifacts):
    async def trickle():
        yield b"{"
        await asyncio.sleep(60)

    assert_problem(streamed(artifacts, trickle(), time_limit_s=0.3), 408, "send it again")


def test_an_unforeseen_error_is_a_problem_without_the_ecg(artifacts, ecg, capsys):
    def fail(recording):
        raise RuntimeError(f"patient data: {recording.signal[0, 0]}")

    with client_with(artifacts) as client:
        client.app.state.server.diagnoser = type("Broken", (), {"diagnose": staticmethod(fail)})
        assert_problem(client.post("/predict", json=ecg), 500, "request_id")
    logged = capsys.readouterr().out
    assert "RuntimeError" in logged and "test_api.py" in logged and "patient data" not in logged


def test_the_api_key_guards_answers_and_nothing_else(artifacts, ecg):
    with client_with(artifacts, api_key=SecretStr("sésame")) as client:
        for path in ("/predict", "/predict/file", "/predict/batch"):
            assert_problem(client.post(path, json=ecg), 401, "X-API-Key")
        assert_problem(client.get("/model", headers={"X-API-Key": "sesame"}), 401)
        assert client.get("/model", headers={"X-API-Key": "sésame".encode()}).status_code == 200
        assert {client.get(path).status_code for path in ("/health", "/ready", "/metrics", "/docs")} == {200}


def test_other_sites_may_ask_only_where_they_are_listed(client, artifacts):
    preflight = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.get("/health", headers=preflight).headers
    with client_with(artifacts, cors_origins=["https://example.org"]) as open_client:
        allowed = open_client.options("/predict", headers=preflight)
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        other = open_client.get("/health", headers={"Origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers


# --------------------------------------------------------------------------- traces


@pytest.mark.parametrize("given", ["abc-123", "", "x" * 65, "a b", 'a"b'])
def test_a_request_id_is_kept_if_it_is_a_plain_word(client, ecg, given):
    response = client.post("/predict", json=ecg, headers={"X-Request-ID": given})
    returned = response.headers["x-request-id"]
    assert returned == response.json()["request_id"]
    assert (returned == given) == (given == "abc-123") and returned


def test_logs_are_json_lines_without_anything_of_the_patient(artifacts, ecg, capsys):
    with client_with(artifacts) as client:
        client.post("/predict", json=with_lead(ecg, ["Jane Doe"]), headers={"X-Request-ID": "r1"})
        client.post("/predict/file?units=JaneDoe", files={"files": ("JaneDoe.edf", b"Jane Doe")})
        client.get("/JaneDoe")
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/predict", 422), ("/predict/file", 422), ("unknown", 404),
    ]  # fmt: skip
    assert requests[0]["request_id"] == "r1" and requests[0]["milliseconds"] > 0
    assert "Jane" not in printed


def test_metrics_count_requests_recordings_and_classes(artifacts, ecg):
    with client_with(artifacts) as client:
        predicted = client.post("/predict", json=ecg).json()["predicted_classes"]
        client.post("/predict", json=with_lead(ecg, []))
        text = client.get("/metrics").text
    assert 'ecg_recordings_total{outcome="answered"} 1.0' in text
    assert 'ecg_recordings_total{outcome="refused"} 1.0' in text
    assert "ecg_diagnosis_seconds_count 1.0" in text
    for name in SUPERCLASSES:
        assert f'ecg_predicted_classes_total{{superclass="{name}"}} {float(name in predicted)}' in text
    assert 'http_requests_total{handler="/predict",method="POST",status="2xx"} 1.0' in text


# --------------------------------------------------------------------------- readiness


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


def test_not_ready_until_loaded(artifacts):
    before = TestClient(create_app(Settings(artifacts=artifacts)))
    assert_problem(before.get("/ready"), 503, "still being loaded")
    with before as client:
        assert client.get("/ready").json() == {"status": "ready"}


def test_settings_come_from_the_environment_and_mistakes_are_explained(monkeypatch, capsys):

    monkeypatch.setenv("HMT_WORKERS", "3")
    monkeypatch.setenv("HMT_CORS_ORIGINS", '["https://example.org"]')
    assert (read_settings().workers, read_settings().cors_origins) == (3, ["https://example.org"])
    monkeypatch.setenv("HMT_WORKERS", "many")
    with pytest.raises(SystemExit, match="workers"):
        read_settings()
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0 and "8000" in capsys.readouterr().out


# --------------------------------------------------------------------------- the OpenAPI document


def test_the_examples_work_when_pasted(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/predict", "/predict/batch"):
        example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        answer = client.post(path, json=example).json()
        assert "probabilities" in (answer if path == "/predict" else answer["results"][0])


PATHS = (
    ("POST", "/predict"), ("POST", "/predict/file"), ("POST", "/predict/batch"),
    ("GET", "/model"), ("GET", "/health"), ("GET", "/ready"),
)  # fmt: skip


@pytest.fixture(scope="module")
def document(artifacts):
    app = create_app(Settings(artifacts=artifacts, api_key=SecretStr("open sesame")))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def test_the_document_asks_for_a_key_only_where_one_is_needed(client, document):
    security = document.raw_schema["paths"]["/predict"]["post"]["security"]
    assert security == [{"APIKeyHeader": []}]
    assert "security" not in client.get("/openapi.json").text


def test_the_document_describes_every_path(document):
    operations = {result.ok().label for result in document.get_all_operations()}
    assert operations == {" ".join(path) for path in PATHS}


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [(*path, GenerationMode.POSITIVE) for path in PATHS]
    + [(*path, GenerationMode.NEGATIVE) for path in PATHS if path[0] == "POST"],  # the others take nothing
)
def test_the_server_does_what_its_document_says(document, method, path, mode):
    # well-formed numbers need not be an ECG, and a batch answers each of its recordings for itself
    left_out = [positive_data_acceptance] + [negative_data_rejection] * (path == "/predict/batch")

    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    def agrees(case):
        case.call_and_validate(headers={"X-API-Key": "open sesame"}, excluded_checks=left_out)

    agrees()


# --------------------------------------------------------------------------- under load


def test_under_load_and_after_a_worker_died_every_answer_is_right(artifacts):
    calls = benchmark_api.good_calls(artifacts)[:3] + benchmark_api.bad_calls()
    with benchmark_api.running_server(artifacts, workers=2, waiting="8") as (url, pid):
        workers = benchmark_api.worker_processes(pid)
        assert len(workers) == 2
        killer = threading.Timer(2, partial(os.kill, workers[0], signal.SIGKILL))
        killer.start()
        load = benchmark_api.hammer(url, calls, clients=32, seconds=6)
        benchmark_api.wait_until(
            lambda: len(set(benchmark_api.worker_processes(pid)) - {workers[0]}) == 2, "the worker was not replaced"
        )
        text = httpx2.get(f"{url}/metrics").text
    assert load.unexpected == {} and load.wrong == 0 and load.no_retry_after == 0
    assert max(load.statuses) < 500 and load.statuses[200] > 10 and load.statuses[422] > 10
    assert load.lost <= 32, "one connection a client, at most"
    assert "ecg_recordings_total" in text


def test_the_breakdown_of_the_time_names_every_part(artifacts):
    parts = benchmark_api.parts_ms(artifacts, repetitions=2)
    assert {"read JSON", "read WFDB", "read NPY", "resample", "quality", "network multilabel"} <= set(parts)
    assert all(0 < part["best"] <= part["p50"] for part in parts.values())


def test_keeping_freed_memory_is_accepted_or_declined():
    assert keep_freed_memory() in (True, False)
    if sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc":
        assert keep_freed_memory()
