"""What the tests of the server share: a network of random weights, clients in this process, checks of a response."""

import asyncio
import json
import shutil
import time
from contextlib import asynccontextmanager, contextmanager

import httpx2
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from api import create_app
from config import DEFAULT_OUT, LEADS, MULTILABEL_RECIPE, SUPERCLASSES, TASK_CLASSES
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise
from export_onnx import export_all
from files import sha256
from inference.decisions import Decisions, save_decisions
from models import create_model
from models.checkpoint import Checkpoint, save_checkpoint
from serving.settings import Settings
from tests.support.built_once import built_once

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    """A network of random weights with everything the server reads; binary tasks are left to it."""
    return built_once(tmp_path_factory, "random_network", write_random_network)[0]


def write_random_network(directory):
    torch.manual_seed(3)
    arguments = {"classes": len(SUPERCLASSES)}
    checkpoint = Checkpoint(
        task="multilabel", classes=SUPERCLASSES, model="hmt_ecgnet", model_arguments=arguments,
        weights=create_model("hmt_ecgnet", **arguments).state_dict(), input_scale=0.25,
        window_s=MULTILABEL_RECIPE.window_s, stride_s=MULTILABEL_RECIPE.stride_s,
        training={}, seed=0, epoch=1, metrics={},
        data_sha256={}, synthetic=True, revision="unknown", machine={},
    )  # fmt: skip
    save_checkpoint(directory / "multilabel_best.pth", checkpoint)
    digest = sha256(directory / "multilabel_best.pth")
    for task, classes in TASK_CLASSES.items():
        calibrators = ({"kind": "identity", "a": 1.0, "b": 1.0, "c": 0.0},) * len(classes)
        thresholds = (0.5, 0.45, 0.55, 0.5, 0.4)[: len(classes)]
        decisions = Decisions(
            task=task, score="multilabel", classes=classes, criterion="f1", sensitivity_floor=0.0,
            calibrators=calibrators, thresholds=thresholds, margin=0.1,
        )  # fmt: skip
        save_decisions(directory / f"{task}_thresholds.json", decisions, digest, 9, {})
    shutil.copytree(DEFAULT_OUT / "examples", directory / "examples")
    metrics = {"fold": 9, "n": 1, "macro": {"auroc": {"value": 0.5, "ci95": [0.4, 0.6]}}}
    write_json(directory / "multilabel_metrics_val.json", {**metrics, "checkpoint_sha256": digest})
    write_json(directory / "multilabel_metrics_test.json", {**metrics, "checkpoint_sha256": "another"})
    export_all(directory)


@pytest.fixture
def own_artifacts(artifacts, tmp_path):
    """A copy that the test may damage."""
    return shutil.copytree(artifacts, tmp_path / "artifacts")


@pytest.fixture(scope="module")
def client(artifacts):
    with client_with(artifacts) as client:
        yield client


@pytest.fixture(scope="session")
def ecg():
    """The body of a request: a generated ECG of 10 s at 100 Hz."""
    recording = synthesise(example_cases()["MI"], 100, np.random.default_rng(1))[0]
    leads = dict(zip(LEADS, recording.signal.round(4).tolist(), strict=True))
    return {"sampling_rate": recording.sampling_rate, "units": "mV", "leads": leads}


@contextmanager
def client_with(artifacts, **settings):
    """A client of a server that has loaded its networks, or failed to."""
    with TestClient(create_app(Settings(artifacts=artifacts, **settings))) as client:
        while is_loading(client.app):
            time.sleep(0.01)
        yield client


@asynccontextmanager
async def async_client_with(artifacts, **settings):
    """As `client_with`, for several requests at a time."""
    app = create_app(Settings(artifacts=artifacts, **settings))
    transport = httpx2.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://test") as c:
        while is_loading(app):
            await asyncio.sleep(0.01)
        yield app.state.server, c


def is_loading(app):
    return app.state.server.diagnoser is None and "still being loaded" in app.state.server.unready


def write_json(path, content):
    path.write_text(json.dumps(content))


def with_lead(ecg, samples, lead="V2"):
    return {**ecg, "leads": {**ecg["leads"], lead: samples}}


def prediction_of(response):
    """A prediction without what differs from request to request."""
    assert response.status_code == 200, response.text
    return {name: value for name, value in response.json().items() if name != "request_id"}


def assert_problem(response, status, *words):
    """An RFC 9457 problem that names what is wrong."""
    content = response.json()
    assert response.status_code == content["status"] == status, content
    assert response.headers["content-type"] == "application/problem+json"
    assert content["request_id"] == response.headers["x-request-id"]
    assert content["title"] and content["type"] == "about:blank"
    for word in words:
        assert word in content["detail"], content["detail"]
    if status == 429:
        assert int(response.headers["retry-after"]) >= 1
