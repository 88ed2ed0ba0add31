"""Around every request: its id, its limits and its line in the log."""

import logging
import re
import time
import traceback
import uuid
from pathlib import Path

from fastapi import Request
from starlette.datastructures import MutableHeaders

from serving.problems import Problem, problem_response

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
log = logging.getLogger("ecg_api")


class RequestMiddleware:
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
