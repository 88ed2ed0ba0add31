"""The server's limits: bytes, time, requests received and diagnosed at a time."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from serving.settings import Settings
from tests.support.server import JSON, assert_problem, async_client_with, client_with

MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="ecg.dat"\r\n\r\n'


def streamed(artifacts, pieces, **settings):
    """The response to a body sent piece by piece, its length undeclared."""

    async def run():
        async with async_client_with(artifacts, **settings) as (server, client):
            response = await client.post("/predict", content=pieces, headers=JSON)
            assert len(server.arriving) == server.held_bytes == server.diagnosing == 0
            return response

    return asyncio.run(run())


async def ends_never(first):
    yield first
    await asyncio.sleep(60)


# --------------------------------------------------------------------------- bytes and time


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


def test_too_long_a_recording_or_batch_is_413(artifacts, ecg):
    long = {**ecg, "leads": {name: samples * 2 for name, samples in ecg["leads"].items()}}
    with client_with(artifacts, max_duration_s=15, max_batch=2) as client:
        assert client.post("/predict/batch", json={"recordings": []}).json() == {"results": []}
        assert_problem(client.post("/predict/batch", json={"recordings": [ecg] * 3}), 413, "at most 2")
        assert_problem(client.post("/predict", json=long), 413, "20 s", "15 s")
        batch = client.post("/predict/batch", json={"recordings": [long, ecg]}).json()["results"]
        assert batch[0]["status"] == 413 and "probabilities" in batch[1]


def test_a_body_that_never_ends_is_408_and_the_connection_is_closed(artifacts):
    response = streamed(artifacts, ends_never(b"{"), time_limit_s=0.3)
    assert_problem(response, 408, "send it again")
    assert response.headers["connection"] == "close"


# --------------------------------------------------------------------------- receiving


@asynccontextmanager
async def unfinished(server, client, count, path, first, headers):
    """Requests of which the server has only the first bytes."""
    tasks = [asyncio.create_task(client.post(path, content=ends_never(first), headers=headers)) for _ in range(count)]
    while server.held_bytes < count * len(first) and not any(task.done() for task in tasks):
        await asyncio.sleep(0.01)
    assert server.diagnosing == 0
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("path", "first", "headers"),
    [("/predict", b"{", JSON), ("/predict/file", PART, MULTIPART)],
    ids=["json", "multipart"],
)
@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"concurrency": 1, "waiting": 0}, 200),  # unfinished bodies take no place in the diagnosis queue
        ({"receiving": 5}, 200),
        ({"receiving": 4}, 429),
        ({"max_body_bytes": 300_000, "max_held_bytes": 300_000}, 429),  # the ECG alone has about 240,000
    ],
)
def test_unfinished_bodies_keep_others_out_only_at_their_own_limits(
    artifacts, ecg, path, first, headers, limits, status
):
    async def run():
        async with async_client_with(artifacts, **limits) as (server, client):
            async with unfinished(server, client, 4, path, first + b"0" * 40_000, headers):
                during = await client.post("/predict", json=ecg)
            assert len(server.arriving) == server.held_bytes == 0
            return during, await client.post("/predict", json=ecg)

    during, after = asyncio.run(run())
    assert (during.status_code, after.status_code) == (status, 200)
    if status == 429:
        assert_problem(during, 429, "try again")


def test_the_bytes_held_may_not_be_fewer_than_one_body():
    with pytest.raises(ValueError, match="max_held_bytes"):
        Settings(max_held_bytes=999, max_body_bytes=1000)


# --------------------------------------------------------------------------- diagnosing


class Slow:
    """A diagnoser that waits until told to go on."""

    def __init__(self, diagnoser):
        self.diagnoser, self.go, self.begun = diagnoser, threading.Event(), threading.Semaphore(0)

    def diagnose(self, recording):
        self.begun.release()
        assert self.go.wait(30)
        return self.diagnoser.diagnose(recording)


def sent_at_once(artifacts, ecg, count, done, **settings):
    """Responses to requests of which ``done`` are complete before the first may be diagnosed."""

    async def run():
        async with async_client_with(artifacts, concurrency=1, **settings) as (server, client):
            server.diagnoser = slow = Slow(server.diagnoser)
            tasks = [asyncio.create_task(client.post("/predict", json=ecg)) for _ in range(count)]
            await asyncio.to_thread(slow.begun.acquire)
            assert (await client.get("/health")).status_code == 200, "a busy server is still up"
            while sum(task.done() for task in tasks) < done:
                await asyncio.sleep(0.01)
            slow.go.set()
            responses = await asyncio.gather(*tasks)
            assert len(server.arriving) == server.held_bytes == server.diagnosing == 0
            return responses

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("count", "done", "settings", "statuses"),
    [
        (6, 3, {"waiting": 2}, [200] * 3 + [429] * 3),
        (3, 3, {"time_limit_s": 0.3}, [413, 429, 429]),  # too long in diagnosis, too long in the queue
    ],
)
def test_requests_beyond_the_queue_or_the_time_limit_are_rejected(artifacts, ecg, count, done, settings, statuses):
    responses = sent_at_once(artifacts, ecg, count, done, **settings)
    assert sorted(response.status_code for response in responses) == statuses
    for response in responses:
        if response.status_code == 429:
            assert_problem(response, 429, "try again")
