"""The HTTP server: ECGs in, diagnoses out.

    python api.py                              # http://127.0.0.1:8000, try it at /docs
    uvicorn api:app --workers 4
    curl -F files=@ecg.hea -F files=@ecg.dat http://127.0.0.1:8000/predict/file
    curl -H 'Content-Type: application/json' --data @artifacts/examples/anterior_infarction.json \\
        http://127.0.0.1:8000/predict

Settings come from environment variables, HMT_ARTIFACTS, HMT_API_KEY and so on: see `Settings` and docs/api.md.
Every error is an RFC 9457 problem that says what to do. Reading, networks and quality run in a few threads; whoever
finds them busy and the queue full gets 429 at once. Logs are one JSON line a request and hold nothing of the ECG.
"""

import argparse
import asyncio
import json
import logging
import logging.config
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import APIKeyHeader
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from config import DEFAULT_OUT, LEADS, RESEARCH_ONLY, SAMPLING_RATE, SUPERCLASS_NAMES, SUPERCLASSES
from ecg.preprocessing import FULL_DURATION_S, MINIMUM_DURATION_S
from ecg.quality import MINIMUM_RATE, intervals
from ecg.recording import (
    MAX_SAMPLING_RATE,
    MAX_SIGNALS,
    MAX_UPLOAD_BYTES,
    Recording,
    RecordingError,
    read_uploaded,
    shown,
)
from inference import MANIFEST, Diagnoser, InferenceError, self_test_recording
from serving.envelope import ANSWERS, LOGGING, Envelope, Problem, problem
from serving.memory import keep_freed_memory
from serving.messages import (
    BATCH_DECODER,
    BatchOut,
    IntervalsOut,
    ModelOut,
    Prediction,
    Status,
    decode,
    recording_from_json,
    request_bodies,
)

MULTIPART_OVERHEAD = 100_000  # bytes, of boundaries and part headers
RETRY_AFTER_S = 1
HANGING_S = 60  # a worker that says nothing for so long is replaced; one that died is at once

log = logging.getLogger("ecg_api")


# --------------------------------------------------------------------------- settings and state


class Settings(BaseSettings):
    """Read from the environment, each with the prefix HMT_."""

    model_config = SettingsConfigDict(env_prefix="HMT_")

    artifacts: Path = Field(DEFAULT_OUT, description="directory of the networks")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    workers: int = Field(1, ge=1, description="processes; two or more replace one that dies")
    api_key: SecretStr = Field(SecretStr(""), description="asked for in X-API-Key; empty: none is")
    cors_origins: list[str] = Field([], description='JSON, as ["https://example.org"]; empty: no other site')
    max_body_bytes: int = Field(MAX_UPLOAD_BYTES + MULTIPART_OVERHEAD, ge=1)
    max_duration_s: float = Field(300, ge=FULL_DURATION_S, description="of one recording")
    max_batch: int = Field(64, ge=1, description="recordings in one request")
    concurrency: int = Field(2, ge=1, description="recordings diagnosed at a time, by each process")
    waiting: int = Field(32, ge=0, description="requests that may wait, in each process, before 429")
    time_limit_s: float = Field(30, gt=0, description="for sending a request, and again for answering it")


class Metrics:
    """What /metrics shows beside the requests."""

    def __init__(self, registry: CollectorRegistry):
        self.recordings = Counter("ecg_recordings", "Recordings by what became of them", ["outcome"], registry=registry)
        self.predicted = Counter(
            "ecg_predicted_classes", "How often each superclass was predicted", ["superclass"], registry=registry
        )
        self.seconds = Histogram(
            "ecg_diagnosis_seconds",
            "Reading, networks and quality of one recording",
            registry=registry,
            buckets=(0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
        )
        for superclass in SUPERCLASSES:
            self.predicted.labels(superclass)


@dataclass(eq=False)
class Server:
    """What all requests of a process share. unready: why there is no diagnoser."""

    settings: Settings
    metrics: Metrics
    threads: ThreadPoolExecutor | None = None
    diagnoser: Diagnoser | None = None
    facts: dict | None = None
    unready: str = "the networks are still being loaded"
    admitted: int = 0


def load(server: Server) -> None:
    """Load, verify, self-test and warm up the networks; whatever fails becomes the reason in /ready."""
    directory = server.settings.artifacts
    keep_freed_memory()
    try:
        diagnoser = Diagnoser.load(directory)
        example = self_test_recording(directory)
        diagnoser.diagnose(example)
        intervals(example)  # its libraries take seconds to import
        server.facts = facts_of(diagnoser, server.settings)
        server.diagnoser, server.unready = diagnoser, ""
    except InferenceError as error:
        server.unready = str(error)
    except Exception as error:  # a server that says why it cannot serve is worth more than one that is gone
        server.unready = f"the networks cannot be loaded: {type(error).__name__}: {error}; run python export_onnx.py"
    log.log(logging.ERROR if server.unready else logging.INFO, server.unready or "ready")


async def uploaded_files(request: Request) -> dict[str, bytes]:
    """The files of a multipart body, in memory: an ECG is never written to disk here. Raises Problem."""
    parser = MultiPartParser(request.headers, request.stream(), max_files=MAX_SIGNALS + 1, max_fields=MAX_SIGNALS)
    parser.spool_max_size = request.app.state.server.settings.max_body_bytes
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(422, f"the multipart body cannot be read: {error.message}") from error
    files = {}
    for name, part in form.multi_items():
        if name != "files" or not isinstance(part, UploadFile):
            raise Problem(422, f"send each file in a part named files, with its file name; found {shown(name)!r}")
        if part.filename in files:
            raise Problem(422, f"two files are called {shown(part.filename)}; give the files of one recording")
        files[part.filename] = part.file.read()
    if not files:
        raise Problem(422, "there is no file; send each in a part named files, as curl -F files=@ecg.edf does")
    return files


def facts_of(diagnoser: Diagnoser, settings: Settings) -> dict:
    """What /model answers."""
    manifest = json.loads((settings.artifacts / MANIFEST).read_text(encoding="utf-8"))
    return ModelOut(
        classes=SUPERCLASS_NAMES,
        thresholds={
            task: dict(zip(decisions.classes, decisions.thresholds, strict=True))
            for task, decisions in diagnoser.decisions.items()
        },
        input={
            "leads": list(LEADS),
            "units": ["uV", "mV", "V", "nV"],
            "sampling_rate_hz": [MINIMUM_RATE, MAX_SAMPLING_RATE],
            "duration_s": [MINIMUM_DURATION_S, settings.max_duration_s],
            "best_duration_s": FULL_DURATION_S,
            "resampled_to_hz": SAMPLING_RATE,
            "max_body_bytes": settings.max_body_bytes,
            "max_batch": settings.max_batch,
        },
        networks={
            task: {
                "model": network.model,
                "checkpoint_sha256": network.checkpoint_sha256,
                "window_s": network.window_s,
                "stride_s": network.stride_s,
                "trained_on_synthetic_data": network.synthetic,
            }
            for task, network in diagnoser.networks.items()
        },
        files=manifest["files"],
        metrics=stored_metrics(diagnoser, settings.artifacts),
    ).model_dump()


def stored_metrics(diagnoser: Diagnoser, artifacts: Path) -> dict[str, dict]:
    """The figures measured on the very checkpoints being served, as ``{"multilabel_val": {...}}``."""
    checkpoints = {network.checkpoint_sha256 for network in diagnoser.networks.values()}
    found = {}
    for path in sorted(artifacts.glob("*_metrics_*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["checkpoint_sha256"] in checkpoints:
                wanted = ("fold", "n", "synthetic", "decisions", "intervals", "date", "macro", "macro_all")
                found[path.stem.replace("_metrics", "")] = {name: content[name] for name in wanted if name in content}
        except (ValueError, KeyError, TypeError, OSError) as error:
            log.warning(f"{path.name} is left out of /model, it cannot be read: {type(error).__name__}")
    return found


# --------------------------------------------------------------------------- one recording


def predict_one(server: Server, read: Callable[[], Recording], with_intervals: bool, request_id: str) -> Prediction:
    """Read and diagnose, in one of the threads. Raises Problem or RecordingError."""
    began = time.perf_counter()
    try:
        recording = read()
        if recording.duration > server.settings.max_duration_s:
            raise Problem(
                413,
                f"the recording lasts {recording.duration:.0f} s; at most {server.settings.max_duration_s:g} s are "
                f"read here: cut out the part that matters, {FULL_DURATION_S:g} s are enough",
            )
        answer = Prediction.model_validate(server.diagnoser.diagnose(recording))
        if with_intervals:
            answer.intervals = IntervalsOut.model_validate(intervals(recording))
    except (Problem, RecordingError):
        server.metrics.recordings.labels("refused").inc()
        raise
    answer.request_id = request_id
    server.metrics.recordings.labels("answered").inc()
    for name in answer.predicted_classes:
        server.metrics.predicted.labels(name).inc()
    server.metrics.seconds.observe(time.perf_counter() - began)
    return answer


@asynccontextmanager
async def admission(server: Server):
    """A place among those being answered or waiting. Raises Problem 429 if all are taken."""
    if server.admitted >= server.settings.concurrency + server.settings.waiting:
        raise busy()
    server.admitted += 1
    try:
        yield
    finally:
        server.admitted -= 1


def busy() -> Problem:
    return Problem(
        429, f"too many requests at a time; try again in {RETRY_AFTER_S} s", {"Retry-After": str(RETRY_AFTER_S)}
    )


async def received(server: Server, read_body: Callable[[], Awaitable]):
    """A request's body, if it arrives in time. Raises Problem 408 otherwise."""
    try:
        return await asyncio.wait_for(read_body(), server.settings.time_limit_s)
    except TimeoutError:
        raise Problem(
            408, f"the request did not arrive within {server.settings.time_limit_s:g} s: send it again"
        ) from None


async def computed(server: Server, deadline: float, function: Callable, *arguments):
    """Run a function in one of the threads. Raises Problem if there is no result at the deadline (monotonic s).

    A function that has begun cannot be stopped: it keeps its thread, and no more are started in its place.
    """
    job = server.threads.submit(function, *arguments)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(job), max(0, deadline - time.monotonic()))
    except TimeoutError:
        if job.cancel():
            raise busy() from None
        raise Problem(
            413, f"this takes longer than {server.settings.time_limit_s:g} s: send shorter or fewer recordings"
        ) from None


# --------------------------------------------------------------------------- the paths

PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="the server's HMT_API_KEY")


def problems(*statuses: int) -> dict[int, dict]:
    return {status: {"description": HTTPStatus(status).phrase, "content": PROBLEM_CONTENT} for status in statuses}


POST_PROBLEMS = problems(401, 408, 413, 415, 422, 429, 503)
router, guarded = APIRouter(), APIRouter()  # guarded: by the API key, where there is one


async def authorised(request: Request, key: Annotated[str | None, Depends(API_KEY)]) -> None:
    expected = request.app.state.server.settings.api_key.get_secret_value()
    # headers arrive decoded as latin-1, whatever their bytes are
    if not secrets.compare_digest((key or "").encode("latin-1"), expected.encode()):
        raise Problem(401, "send the API key in the header X-API-Key", {"WWW-Authenticate": "X-API-Key"})


async def ready_server(request: Request) -> Server:
    server = request.app.state.server
    if server.diagnoser is None:
        raise Problem(503, f"not ready: {server.unready}")
    return server


def require_type(request: Request, expected: str) -> None:
    given = request.headers.get("content-type", "")
    if given.split(";")[0].strip().lower() != expected:
        raise Problem(415, f"send {expected}, not {shown(given) or 'a body without Content-Type'}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "send the body uncompressed, without Content-Encoding")


Ready = Annotated[Server, Depends(ready_server)]
WithIntervals = Annotated[bool, Query(alias="intervals", description="heart rate, PR, QRS, QT, QTc and axes as well")]


async def one_answer(
    request: Request,
    server: Server,
    read_body: Callable[[], Awaitable],
    reader: Callable[..., Recording],
    with_intervals: bool,
) -> Response:
    """The response to one recording: reader makes it of the body, in one of the threads."""

    def answer(content) -> str:
        read = partial(reader, content)
        return predict_one(server, read, with_intervals, request.state.request_id).model_dump_json()

    async with admission(server):
        content = await received(server, read_body)
        began = time.monotonic()
        text = await computed(server, began + server.settings.time_limit_s, answer, content)
    return Response(text, headers=timing(began), media_type="application/json")


def timing(began: float) -> dict[str, str]:
    """How long the answer took once the request was there, queueing included (W3C Server Timing)."""
    return {"Server-Timing": f"answer;dur={1000 * (time.monotonic() - began):.2f}"}


@guarded.post("/predict", response_model=Prediction, responses=POST_PROBLEMS)
async def predict(request: Request, server: Ready, with_intervals: WithIntervals = False) -> Response:
    """Diagnose one ECG given as numbers."""
    require_type(request, "application/json")
    return await one_answer(request, server, request.body, recording_from_json, with_intervals)


@guarded.post("/predict/file", response_model=Prediction, responses=POST_PROBLEMS)
async def predict_file(
    request: Request,
    server: Ready,
    with_intervals: WithIntervals = False,
    sampling_rate: Annotated[
        float | None, Query(ge=MINIMUM_RATE, le=MAX_SAMPLING_RATE, description="Hz, for files that do not say")
    ] = None,
    units: Annotated[str | None, Query(description="uV, mV, V or nV, for files that do not say")] = None,
) -> Response:
    """Diagnose one ECG given as a file, or as several that belong together (.hea and .dat).

    WFDB, CSV or TSV, NPY or NPZ, EDF, DICOM, HL7 aECG, GE MUSE XML, SCP-ECG, or one zip of them.
    """
    require_type(request, "multipart/form-data")
    read = partial(read_uploaded, sampling_rate=sampling_rate, units=units)
    return await one_answer(request, server, partial(uploaded_files, request), read, with_intervals)


@guarded.post("/predict/batch", response_model=BatchOut, responses=POST_PROBLEMS)
async def predict_batch(request: Request, server: Ready, with_intervals: WithIntervals = False) -> Response:
    """Diagnose several ECGs given as numbers: one answer or one problem for each, in order."""
    require_type(request, "application/json")
    request_id, limit = request.state.request_id, server.settings.max_batch
    async with admission(server):
        body = await received(server, request.body)
        began = time.monotonic()
        deadline = began + server.settings.time_limit_s
        given = (await computed(server, deadline, decode, BATCH_DECODER, body)).recordings
        if len(given) > limit:
            raise Problem(413, f"{len(given)} recordings; at most {limit} in one request: send the rest in another")
        results = []
        for raw in given:
            read = partial(recording_from_json, raw)
            try:
                results.append(await computed(server, deadline, predict_one, server, read, with_intervals, request_id))
            except RecordingError as error:
                results.append(problem(422, str(error), request_id))
            except Problem as error:
                results.append(problem(error.status, error.detail, request_id))
        text = BatchOut(results=results).model_dump_json()
    return Response(text, headers=timing(began), media_type="application/json")


@guarded.get("/model", response_model=ModelOut, responses=problems(401, 503))
async def model(server: Ready) -> dict:
    """What is being served: classes, thresholds, what goes in, checksums, and how well it did."""
    return server.facts


@router.get("/health", response_model=Status)
async def health() -> dict:
    """The process is up."""
    return {"status": "up"}


@router.get("/ready", response_model=Status, responses=problems(503))
async def ready(server: Ready) -> dict:
    """The networks are loaded and gave the known answer to a stored ECG; 503 with the reason otherwise."""
    return {"status": "ready"}


# --------------------------------------------------------------------------- the application


@asynccontextmanager
async def lifespan(app: FastAPI):
    logging.config.dictConfig(LOGGING)
    server = app.state.server
    server.threads = ThreadPoolExecutor(server.settings.concurrency, thread_name_prefix="diagnose")
    await asyncio.wrap_future(server.threads.submit(load, server))
    yield
    server.threads.shutdown(wait=False, cancel_futures=True)


def create_app(settings: Settings) -> FastAPI:
    """The application; the networks are loaded when it starts up."""
    app = FastAPI(
        title="HMT-ECGNet", version="1", description=f"Diagnoses 12-lead ECGs. {RESEARCH_ONLY}", lifespan=lifespan
    )
    registry = CollectorRegistry()
    app.state.server = Server(settings, Metrics(registry))
    app.include_router(router)
    app.include_router(guarded, dependencies=[Depends(authorised)] if settings.api_key.get_secret_value() else [])
    for error, handler in ANSWERS.items():
        app.add_exception_handler(error, handler)
    Instrumentator(registry=registry).instrument(app).expose(app, include_in_schema=False)
    app.add_middleware(Envelope, max_body_bytes=settings.max_body_bytes)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Server-Timing"],
        )

    generated = app.openapi

    def openapi() -> dict:
        if app.openapi_schema is None:
            document = generated()
            for path, body in request_bodies(settings.max_batch).items():
                document["paths"][path]["post"]["requestBody"] = body
        return app.openapi_schema

    app.openapi = openapi
    return app


def read_settings() -> Settings:
    """From the environment; ends the program with a sentence if a value is wrong."""
    try:
        return Settings()
    except (ValidationError, SettingsError) as error:
        raise SystemExit(f"error: a setting HMT_... in the environment is wrong: {error}") from error


app = create_app(read_settings())


def main(argv: list[str] | None = None) -> int:
    settings = app.state.server.settings
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default=settings.host, help="(default: %(default)s)")
    parser.add_argument("--port", type=int, default=settings.port, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=settings.workers, help="processes (default: %(default)s)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="ecg-metrics-") as metrics:
        if arguments.workers > 1:  # the workers add up what /metrics shows
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", metrics)
        application = "api:app" if arguments.workers > 1 else app
        uvicorn.run(
            application,
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
            timeout_worker_healthcheck=HANGING_S,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
