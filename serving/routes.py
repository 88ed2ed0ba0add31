"""The paths of the server."""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from asgi_correlation_id import correlation_id
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import APIKeyHeader

from ecg.beats import MINIMUM_RATE
from ecg.intervals import measure_intervals
from ecg.preprocessing import FULL_DURATION_S
from ecg.readers import read_uploaded
from ecg.readers.channels import MAX_SAMPLING_RATE
from ecg.readers.formats import split_recordings
from ecg.recording import Recording, RecordingError, printable
from inference.diagnosis import Diagnosis
from serving.admission import computed, diagnosis_place, received
from serving.bodies import batch_limit, recording_limit, require_type, uploaded_files, whole_body
from serving.json_recordings import recording_from_json, recordings_of
from serving.problems import Problem, problem_of, problem_out
from serving.schemas import (
    BatchOut,
    FilePrediction,
    FileProblem,
    FilesOut,
    ModelOut,
    Prediction,
    ProblemOut,
    Status,
)
from serving.state import Server

log = logging.getLogger("ecg_api")
Statements = Literal["all", "asserted"]


def predict_one(
    server: Server, read: Callable[[], Recording], with_intervals: bool, statements: Statements
) -> Prediction:
    """Read and diagnose, in one of the threads. Raises Problem or RecordingError."""
    began = time.perf_counter()
    try:
        recording = read()
        require_duration(recording, server.settings.max_duration_s)
        diagnosis = server.diagnoser.diagnose(recording)
        if statements == "asserted":
            diagnosis = with_asserted_only(diagnosis)
        prediction = Prediction.model_validate(diagnosis, from_attributes=True)
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


def with_asserted_only(diagnosis: Diagnosis) -> Diagnosis:
    """Without the statements and subclasses that are not said of the recording."""
    return replace(
        diagnosis,
        statements=tuple(one for one in diagnosis.statements if one.asserted),
        subclasses=tuple(one for one in diagnosis.subclasses if one.asserted),
    )


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


async def known_parameters_only(request: Request) -> None:
    """Raise Problem 422 for a query parameter the path does not know: misspelt, it would pass unnoticed."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    unknown = dict.fromkeys(printable(name) for name in request.query_params if name not in known)
    if unknown:
        names = ", ".join(list(unknown)[:12])
        raise Problem(422, f"unknown query parameter: {names}; known here: {', '.join(known) or 'none'}")


router = APIRouter(dependencies=[Depends(known_parameters_only)])
guarded = APIRouter(dependencies=[Depends(known_parameters_only)])  # by the API key too, where there is one

Ready = Annotated[Server, Depends(ready_server)]
WithIntervals = Annotated[bool, Query(alias="intervals", description="heart rate, PR, QRS, QT, QTc and axes as well")]
WhichStatements = Annotated[
    Statements, Query(alias="statements", description="which statements and subclasses to list: all or those asserted")
]
SamplingRate = Annotated[
    float | None, Query(ge=MINIMUM_RATE, le=MAX_SAMPLING_RATE, description="Hz, for files that do not say")
]
Units = Annotated[str | None, Query(description="uV, mV, V or nV, for files that do not say")]


# --------------------------------------------------------------------------- one recording


@guarded.post("/predict", response_model=Prediction, responses=POST_PROBLEMS)
async def predict(
    request: Request, server: Ready, with_intervals: WithIntervals = False, statements: WhichStatements = "all"
) -> Response:
    """Diagnose one ECG given as numbers."""
    require_type(request, "application/json")
    body = await received(server, partial(whole_body, request, recording_limit(server.settings)))
    return await predicted(server, partial(recording_from_json, body), with_intervals, statements)


@guarded.post("/predict/file", response_model=Prediction, responses=POST_PROBLEMS)
async def predict_file(
    request: Request,
    server: Ready,
    with_intervals: WithIntervals = False,
    statements: WhichStatements = "all",
    sampling_rate: SamplingRate = None,
    units: Units = None,
) -> Response:
    """Diagnose one ECG given as a file, or as several that belong together (.hea and .dat).

    WFDB, CSV or TSV, NPY or NPZ, EDF, DICOM, HL7 aECG, SCP-ECG, GE MUSE XML, Philips Sierra XML, Mortara ELI XML,
    Kardia JSON, Apple Health's CSV, or one zip of them.
    """
    require_type(request, "multipart/form-data")
    limit = recording_limit(server.settings)
    files = await received(server, partial(uploaded_files, request, limit, recordings=1))
    return await predicted(server, partial(read_single, files, sampling_rate, units), with_intervals, statements)


def read_single(files: dict[str, bytes], sampling_rate: float | None, units: str | None) -> Recording:
    """Raises RecordingError, which says where to send several recordings."""
    try:
        return read_uploaded(files, sampling_rate, units)
    except RecordingError as error:
        if len(split_recordings(files)) > 1:
            raise RecordingError(f"{error}. Several recordings go to /predict/files") from error
        raise


async def predicted(
    server: Server, read: Callable[[], Recording], with_intervals: bool, statements: Statements
) -> Response:
    """The response to one recording, which is read and diagnosed in one of the threads."""

    def predict_as_json() -> str:
        return predict_one(server, read, with_intervals, statements).model_dump_json()

    async with diagnosis_place(server):
        began = time.monotonic()
        text = await computed(server, began + server.settings.time_limit_s, predict_as_json)
    return json_response(text, began)


def json_response(text: str, began: float) -> Response:
    """With how long it took since the request was received, queueing included (W3C Server Timing)."""
    headers = {"Server-Timing": f"answer;dur={1000 * (time.monotonic() - began):.2f}"}
    return Response(text, headers=headers, media_type="application/json")


# --------------------------------------------------------------------------- several recordings


@guarded.post("/predict/batch", response_model=BatchOut, responses=POST_PROBLEMS)
async def predict_batch(
    request: Request, server: Ready, with_intervals: WithIntervals = False, statements: WhichStatements = "all"
) -> Response:
    """Diagnose several ECGs given as numbers: one prediction or one problem for each, in order."""
    require_type(request, "application/json")
    settings = server.settings
    body = await received(server, partial(whole_body, request, batch_limit(settings)))
    async with diagnosis_place(server):
        began = time.monotonic()
        deadline = began + settings.time_limit_s
        given = await computed(server, deadline, recordings_of, body, settings.max_batch)
        require_batch(len(given), settings.max_batch)
        reads = [partial(read_raw, raw, settings.max_body_bytes) for raw in given]
        results = [await one_of_several(server, deadline, read, with_intervals, statements) for read in reads]
        text = BatchOut(results=results).model_dump_json()
    return json_response(text, began)


@guarded.post("/predict/files", response_model=FilesOut, responses=POST_PROBLEMS)
async def predict_files(
    request: Request,
    server: Ready,
    with_intervals: WithIntervals = False,
    statements: WhichStatements = "all",
    sampling_rate: SamplingRate = None,
    units: Units = None,
) -> Response:
    """Diagnose several ECGs given as files: one prediction or one problem for each, with the names of its files.

    A WFDB header and the signal files it names are one recording, any other file is one of its own; a zip too.
    """
    require_type(request, "multipart/form-data")
    settings = server.settings
    body = partial(uploaded_files, request, batch_limit(settings), recordings=settings.max_batch)
    files = await received(server, body)
    async with diagnosis_place(server):
        began = time.monotonic()
        deadline = began + settings.time_limit_s
        given = await computed(server, deadline, split_recordings, files)
        require_batch(len(given), settings.max_batch)
        results = []
        for recording in given:
            read = partial(read_uploaded, recording, sampling_rate, units)
            result = await one_of_several(server, deadline, read, with_intervals, statements)
            with_files = FilePrediction if isinstance(result, Prediction) else FileProblem
            results.append(with_files(**dict(result), files=list(recording)))
        text = FilesOut(results=results).model_dump_json()
    return json_response(text, began)


def require_batch(count: int, limit: int) -> None:
    if count > limit:
        raise Problem(413, f"more than {limit} recordings; at most {limit} in one request: send the rest in another")


def read_raw(raw: msgspec.Raw, max_bytes: int) -> Recording:
    """A recording of a batch, as large at most as one sent alone. Raises Problem or RecordingError."""
    if memoryview(raw).nbytes > max_bytes:
        raise Problem(413, f"the recording is too large; at most {max_bytes:,} bytes are read of each")
    return recording_from_json(raw)


async def one_of_several(
    server: Server, deadline: float, read: Callable[[], Recording], with_intervals: bool, statements: Statements
) -> Prediction | ProblemOut:
    """What becomes of one recording; whatever goes wrong with it does not affect the others."""
    try:
        return await computed(server, deadline, predict_one, server, read, with_intervals, statements)
    except Exception as error:
        problem = problem_of(error)
        if problem.status == 500:
            log.error("a recording of a batch", exc_info=error)
        return problem_out(problem)


# --------------------------------------------------------------------------- the server itself


@guarded.get("/model", response_model=ModelOut, responses=problems(401, 503))
async def model(server: Ready) -> dict:
    """What is being served: classes, thresholds, what goes in, checksums, and how well it did."""
    return server.facts


@router.get("/health", response_model=Status)
async def health() -> dict:
    """The process is up: the liveness probe."""
    return {"status": "up"}


@router.get("/ready", response_model=Status, responses=problems(503))
async def ready(server: Ready) -> dict:
    """The networks are loaded and gave the known probabilities of a stored ECG; 503 with the reason otherwise."""
    return {"status": "ready"}
