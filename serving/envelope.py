"""Around every request: its id, its limits, its line in the log, and a problem (RFC 9457) for whatever goes wrong."""

import json
import logging
import re
import time
import traceback
import uuid
from http import HTTPStatus
from pathlib import Path

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ecg.recording import RecordingError
from serving.messages import ProblemOut

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")

log = logging.getLogger("ecg_api")


# --------------------------------------------------------------------------- problems


class Problem(Exception):
    """An answer that is an error; detail says what is wrong and what to do."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(status: int, detail: str, request_id: str) -> ProblemOut:
    return ProblemOut(title=HTTPStatus(status).phrase, status=status, detail=detail, request_id=request_id)


def problem_response(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    content = problem(status, detail, request.state.request_id).model_dump_json()
    return Response(content, status, headers, media_type="application/problem+json")


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


ANSWERS = {
    Problem: answer_problem,
    RecordingError: answer_recording_error,
    HTTPException: answer_http_error,
    RequestValidationError: answer_bad_parameters,
    ClientDisconnect: answer_disconnect,
}


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
