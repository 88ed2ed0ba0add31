"""What the tests of the server share: what it serves, clients in this process, checks of a response."""

import asyncio
import json
import shutil
import time
from contextlib import asynccontextmanager, contextmanager

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from api import create_app
from config import LEADS
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise
from files import sha256
from serving.settings import Settings

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def artifacts(served, tmp_path_factory):
    """Networks and everything else the server reads, with metrics of their checkpoint and of another."""
    directory = shutil.copytree(served, tmp_path_factory.mktemp("server") / "artifacts")
    for split, checkpoint in (("val", sha256(directory / "multilabel_best.pth")), ("test", "another")):
        metrics = {"fold": 9, "n": 1, "macro": {"auroc": {"value": 0.5, "ci95": [0.4, 0.6]}}}
        content = {**metrics, "checkpoint_sha256": checkpoint}
        (directory / f"multilabel_metrics_{split}.json").write_text(json.dumps(content))
    return directory


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
