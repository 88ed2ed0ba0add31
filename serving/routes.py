"""The paths of the server."""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated

import msgspec
from asgi_correlation_id import correlation_id
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import APIKeyHeader
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ecg.beats import MINIMUM_RATE
from ecg.intervals import measure_intervals
from ecg.preprocessing import FULL_DURATION_S
from ecg.readers import read_uploaded
from ecg.readers.channels import MAX_SAMPLING_RATE, MAX_SIGNALS
from ecg.recording import Recording, RecordingError, printable
from serving.admission import computed, diagnosis_place, received
from serving.problems import Problem, problem_of, problem_out
from serving.schemas import (
    BATCH_DECODER,
    BatchOut,
    ModelOut,
    Prediction,
    ProblemOut,
    Status,
    decode,
    recording_from_json,
)
from serving.state import Server

log = logging.getLogger("ecg_api")


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
            raise Problem(422, f"send each file in a part named files, with its file name; found {printable(name)!r}")
        if part.filename in files:
            raise Problem(422, f"two files are called {printable(part.filename)}; give the files of one recording")
        files[part.filename] = part.file.read()
    if not files:
        raise Problem(422, "there is no file; send each in a part named files, as curl -F files=@ecg.edf does")
    return files


def predict_one(server: Server, read: Callable[[], Recording], with_intervals: bool) -> Prediction:
    """Read and diagnose, in one of the threads. Raises Problem or RecordingError."""
    began = time.perf_counter()
    try:
        recording = read()
        require_duration(recording, server.settings.max_duration_s)
        prediction = Prediction.model_validate(server.diagnoser.diagnose(recording))
        if with_intervals:
            prediction.intervals = measure_intervals(recording)
    except (Problem, RecordingError):
        server.metrics.recordings.labels("refused").inc()
        raise
    prediction.request_id = correlation_id.get()
    server.metrics.recordings.labels("answered").inc()
    for name in prediction.predicted_classes:
        server.metrics.predicted.labels(name).inc()
    server.metrics.seconds.observe(time.perf_counter() - began)
    return prediction


def require_duration(recording: Recording, limit_s: float) -> None:
    if recording.duration > limit_s:
        raise Problem(
            413,
            f"the recording lasts {recording.duration:.0f} s; at most {limit_s:g} s are read here: "
            f"cut out the part that matters, {FULL_DURATION_S:g} s are enough",
        )


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
        raise Problem(415, f"send {expected}, not {printable(given) or 'a body without Content-Type'}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "send the body uncompressed, without Content-Encoding")


Ready = Annotated[Server, Depends(ready_server)]
WithIntervals = Annotated[bool, Query(alias="intervals", description="heart rate, PR, QRS, QT, QTc and axes as well")]


async def predicted(
    request: Request,
    server: Server,
    read_body: Callable[[], Awaitable],
    reader: Callable[..., Recording],
    with_intervals: bool,
) -> Response:
    """The response to one recording: reader makes it of the body, in one of the threads."""

    def predict_as_json(content) -> str:
        return predict_one(server, partial(reader, content), with_intervals).model_dump_json()

    content = await received(server, read_body)
    async with diagnosis_place(server):
        began = time.monotonic()
        text = await computed(server, began + server.settings.time_limit_s, predict_as_json, content)
    return json_response(text, began)


def json_response(text: str, began: float) -> Response:
    """With how long it took since the request was received, queueing included (W3C Server Timing)."""
    headers = {"Server-Timing": f"answer;dur={1000 * (time.monotonic() - began):.2f}"}
    return Response(text, headers=headers, media_type="application/json")


@guarded.post("/predict", response_model=Prediction, responses=POST_PROBLEMS)
async def predict(request: Request, server: Ready, with_intervals: WithIntervals = False) -> Response:
    """Diagnose one ECG given as numbers."""
    require_type(request, "application/json")
    return await predicted(request, server, request.body, recording_from_json, with_intervals)


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
    return await predicted(request, server, partial(uploaded_files, request), read, with_intervals)


@guarded.post("/predict/batch", response_model=BatchOut, responses=POST_PROBLEMS)
async def predict_batch(request: Request, server: Ready, with_intervals: WithIntervals = False) -> Response:
    """Diagnose several ECGs given as numbers: one prediction or one problem for each, in order."""
    require_type(request, "application/json")
    limit = server.settings.max_batch
    body = await received(server, request.body)
    async with diagnosis_place(server):
        began = time.monotonic()
        deadline = began + server.settings.time_limit_s
        given = (await computed(server, deadline, decode, BATCH_DECODER, body)).recordings
        if len(given) > limit:
            raise Problem(413, f"{len(given)} recordings; at most {limit} in one request: send the rest in another")
        results = [await batch_result(server, deadline, raw, with_intervals) for raw in given]
        text = BatchOut(results=results).model_dump_json()
    return json_response(text, began)


async def batch_result(
    server: Server, deadline: float, raw: msgspec.Raw, with_intervals: bool
) -> Prediction | ProblemOut:
    """One recording of a batch; whatever goes wrong with it does not affect the others."""
    read = partial(recording_from_json, raw)
    try:
        return await computed(server, deadline, predict_one, server, read, with_intervals)
    except Exception as error:
        problem = problem_of(error)
        if problem.status == 500:
            log.error("a recording of a batch", exc_info=error)
        return problem_out(problem)


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
    """The networks are loaded and gave the known probabilities of a stored ECG; 503 with the reason otherwise."""
    return {"status": "ready"}
