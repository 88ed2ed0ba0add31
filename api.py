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
import re
import secrets
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import APIKeyHeader
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from starlette.datastructures import MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from config import DEFAULT_OUT, LEADS, RESEARCH_ONLY, SAMPLING_RATE, SUPERCLASS_NAMES, SUPERCLASSES
from ecg.preprocessing import FULL_DURATION_S, MINIMUM_DURATION_S
from ecg.quality import MINIMUM_RATE, intervals
from ecg.recording import (
    MAX_AMPLITUDE_MV,
    MAX_SAMPLING_RATE,
    MAX_SIGNALS,
    MAX_UPLOAD_BYTES,
    Recording,
    RecordingError,
    from_leads,
    millivolts,
    read_uploaded,
    shown,
)
from ecg.synthetic import example_cases, synthesise
from inference import MANIFEST, Diagnoser, InferenceError, self_test_recording

MULTIPART_OVERHEAD = 100_000  # bytes, of boundaries and part headers
RETRY_AFTER_S = 1
HANGING_S = 60  # a worker that says nothing for so long is replaced; one that died is at once
REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")

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


class Problem(Exception):
    """An answer that is an error; detail says what is wrong and what to do."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def load(server: Server) -> None:
    """Load, verify, self-test and warm up the networks; whatever fails becomes the reason in /ready."""
    directory = server.settings.artifacts
    try:
        diagnoser = Diagnoser.load(directory)
        if not json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["self_test"]:
            raise InferenceError(f"{directory / MANIFEST} has no self-test: run python export_onnx.py")
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


# --------------------------------------------------------------------------- what goes in


class RecordingIn(msgspec.Struct, forbid_unknown_fields=True):
    """One ECG as numbers."""

    sampling_rate: Annotated[float, msgspec.Meta(ge=MINIMUM_RATE, le=MAX_SAMPLING_RATE, description="Hz, of all leads")]
    units: Annotated[str, msgspec.Meta(description="of the samples: uV, mV, V or nV")]
    leads: Annotated[
        dict[str, list[float | None]],
        msgspec.Meta(
            min_length=1,
            max_length=MAX_SIGNALS,
            description=f"equally many samples by lead name ({', '.join(LEADS)}); null is a missing sample. "
            "Two of I, II, III are enough for the six limb leads.",
        ),
    ]


class BatchIn(msgspec.Struct, forbid_unknown_fields=True):
    """Several ECGs, each decoded on its own, so that a bad one spoils no other."""

    recordings: list[msgspec.Raw]


RECORDING_DECODER, BATCH_DECODER = msgspec.json.Decoder(RecordingIn), msgspec.json.Decoder(BatchIn)
SAMPLES_DECODER = msgspec.json.Decoder(list[float | None])


def decode(decoder: msgspec.json.Decoder, body: bytes | msgspec.Raw):
    """JSON by its type. Raises RecordingError."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RecordingError(f"the JSON is not as documented in /docs: {error}{misshapen_lead(body)}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(
            f"the body cannot be read as JSON: {error}; NaN and Infinity are no JSON, a missing sample is null"
        ) from error


def misshapen_lead(body: bytes | msgspec.Raw) -> str:
    """Which lead does not hold a list of numbers, as the end of a sentence; empty if it is not that."""
    try:
        leads = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["leads"]
        leads = msgspec.json.decode(leads, type=dict[str, msgspec.Raw])
    except (ValueError, KeyError, RecursionError):
        return ""
    for name, samples in leads.items():
        try:
            SAMPLES_DECODER.decode(samples)
        except (ValueError, RecursionError):
            return f"; in lead {shown(name)}, which must be one flat list of numbers or null"
    return ""


def recording_from_json(body: bytes | msgspec.Raw) -> Recording:
    """Raises RecordingError."""
    given = decode(RECORDING_DECODER, body)
    leads = {name: np.array(samples, float) for name, samples in given.leads.items()}
    limit = MAX_AMPLITUDE_MV / millivolts(given.units)
    for name, samples in leads.items():
        if (np.abs(samples) > limit).any():
            raise RecordingError(f"lead {shown(name)}: numbers beyond {limit:g} {given.units} are no ECG")
    return from_leads(leads, given.sampling_rate, given.units)


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


# --------------------------------------------------------------------------- what comes out


class Out(BaseModel):
    """Filled from the dataclass of the same fields."""

    model_config = ConfigDict(from_attributes=True)


class BinaryAnswer(Out):
    """probability is calibrated; positive: at or above the threshold; uncertain: too near to it."""

    probability: float = Field(ge=0, le=1)
    threshold: float
    positive: bool
    uncertain: bool


class FlagOut(Out):
    name: str
    lead: str | None
    value: float
    unit: str
    limit: float
    severity: str
    sentence: str


class QualityOut(Out):
    """severity: good, note, caution or unusable. heart_rate: beats/min."""

    severity: str
    usable: bool
    heart_rate: float | None
    flags: list[FlagOut]
    not_judged: list[str]


class IntervalsOut(Out):
    """Heart rate in beats/min, intervals in ms, axes in degrees; null where unreliable, with the reason."""

    heart_rate: float | None
    pr: float | None
    qrs: float | None
    qt: float | None
    qtc_bazett: float | None
    qtc_fridericia: float | None
    p_axis: float | None
    qrs_axis: float | None
    reasons: dict[str, str]


class Prediction(Out):
    """The diagnosis of one recording. model: SHA-256 of the checkpoint behind each task."""

    probabilities: dict[str, float]
    predicted_classes: list[str]
    thresholds: dict[str, float]
    mi_vs_norm: BinaryAnswer
    norm_vs_abnormal: BinaryAnswer
    uncertain: bool
    uncertain_because: list[str]
    quality: QualityOut
    intervals: IntervalsOut | None = None
    warnings: list[str]
    model: dict[str, str]
    request_id: str = ""
    disclaimer: str = RESEARCH_ONLY


class ProblemOut(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str


class BatchOut(BaseModel):
    """One answer or one problem for each recording, in order."""

    results: list[Prediction | ProblemOut]


class ModelOut(BaseModel):
    """What is being served, on what terms, and how well it did."""

    classes: dict[str, str]
    thresholds: dict[str, dict[str, float]]
    input: dict[str, object]
    networks: dict[str, dict[str, object]]
    files: dict[str, str]
    metrics: dict[str, dict[str, object]]
    disclaimer: str = RESEARCH_ONLY


class Status(BaseModel):
    status: str


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


def problem(status: int, detail: str, request_id: str) -> ProblemOut:
    return ProblemOut(title=HTTPStatus(status).phrase, status=status, detail=detail, request_id=request_id)


def problem_response(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    content = problem(status, detail, request.state.request_id).model_dump_json()
    return Response(content, status, headers, media_type="application/problem+json")


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


# --------------------------------------------------------------------------- every request


class Envelope:
    """ASGI middleware: request id, body limit, log line, and a problem instead of a traceback."""

    def __init__(self, app, max_body_bytes: int):
        self.app, self.max_body_bytes = app, max_body_bytes

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        request.state.request_id = request_id
        began, size, status = time.monotonic(), 0, None

        async def limited_receive():
            nonlocal size
            declared = request.headers.get("content-length", "")
            message = await receive() if not declared.isdigit() or int(declared) <= self.max_body_bytes else {}
            size += len(message.get("body", b""))
            if not message or size > self.max_body_bytes:
                raise Problem(413, f"the request is too large; at most {self.max_body_bytes:,} bytes are read")
            return message

        async def noting_send(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        error = None
        try:
            await self.app(scope, limited_receive, noting_send)
        except Exception as unexpected:
            error = unexpected
            if status is None:
                detail = "something went wrong here, not with your request; report it with this request_id"
                await problem_response(request, 500, detail)(scope, receive, noting_send)
        finally:
            log_request(scope, request_id, status, began, size, error)


def log_request(scope, request_id: str, status: int | None, began: float, size: int, error: Exception | None) -> None:
    """One line; the path's template rather than the path, frames rather than messages: nothing a client wrote."""
    fields = {
        "request_id": request_id,
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", "unknown"),
        "status": status,
        "milliseconds": round(1000 * (time.monotonic() - began), 1),
        "bytes": size,
    }
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        fields |= {"error": type(error).__name__, "frames": where}
    log.log(logging.ERROR if error else logging.INFO, "request", extra={"fields": fields})


class JsonLines(logging.Formatter):
    """Each log record as one JSON object; times are UTC."""

    converter = time.gmtime
    default_time_format, default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        return json.dumps(line | getattr(record, "fields", {}))


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonLines}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "loggers": {
        "ecg_api": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        "uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": False},  # ours says more, of less
    },
}


async def answer_problem(request: Request, error: Problem) -> Response:
    return problem_response(request, error.status, error.detail, error.headers)


async def answer_recording_error(request: Request, error: RecordingError) -> Response:
    return problem_response(request, 422, str(error))


async def answer_http_error(request: Request, error: HTTPException) -> Response:
    advice = {404: "there is nothing here; /docs lists the paths", 405: "this path takes another method; see /docs"}
    return problem_response(request, error.status_code, advice.get(error.status_code, error.detail), error.headers)


async def answer_bad_parameters(request: Request, error: RequestValidationError) -> Response:
    found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return problem_response(request, 422, f"{found}; see /docs")


async def answer_disconnect(request: Request, error: ClientDisconnect) -> Response:
    return problem_response(request, 400, "the connection was closed before the request was complete: send it again")


# --------------------------------------------------------------------------- the application


@asynccontextmanager
async def lifespan(app: FastAPI):
    logging.config.dictConfig(LOGGING)
    server = app.state.server
    server.threads = ThreadPoolExecutor(server.settings.concurrency, thread_name_prefix="diagnose")
    await asyncio.wrap_future(server.threads.submit(load, server))
    yield
    server.threads.shutdown(wait=False, cancel_futures=True)


def request_bodies(max_batch: int) -> dict[str, dict]:
    """OpenAPI request body of each POST path, with an example that works when pasted."""
    recording, _ = synthesise(example_cases()["MI"], 100, np.random.default_rng(0))
    samples = recording.signal[:, : round(MINIMUM_DURATION_S * 100)].astype(float).round(2).tolist()
    leads = dict(zip(LEADS, samples, strict=True))
    example = {"sampling_rate": 100, "units": "mV", "leads": {name: leads[name] for name in ("I", "II", *LEADS[6:])}}
    schema = msgspec.json.schema_components([RecordingIn])[1]["RecordingIn"]
    batch = {"type": "array", "items": schema, "maxItems": max_batch}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    contents = {
        "/predict": ("application/json", schema, {"example": example}),
        "/predict/batch": ("application/json", object_of("recordings", batch), {"example": {"recordings": [example]}}),
        "/predict/file": ("multipart/form-data", object_of("files", files), {}),
    }
    return {
        path: {"required": True, "content": {media_type: {"schema": schema, **more}}}
        for path, (media_type, schema, more) in contents.items()
    }


def object_of(name: str, schema: dict) -> dict:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def create_app(settings: Settings) -> FastAPI:
    """The application; the networks are loaded when it starts up."""
    app = FastAPI(
        title="HMT-ECGNet", version="1", description=f"Diagnoses 12-lead ECGs. {RESEARCH_ONLY}", lifespan=lifespan
    )
    registry = CollectorRegistry()
    app.state.server = Server(settings, Metrics(registry))
    app.include_router(router)
    app.include_router(guarded, dependencies=[Depends(authorised)] if settings.api_key.get_secret_value() else [])
    for error, handler in {
        Problem: answer_problem,
        RecordingError: answer_recording_error,
        HTTPException: answer_http_error,
        RequestValidationError: answer_bad_parameters,
        ClientDisconnect: answer_disconnect,
    }.items():
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
