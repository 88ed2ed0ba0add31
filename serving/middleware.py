"""Around every request: its limits of bytes, its line in the log, and a problem instead of a traceback."""

import logging
import re
import time

from fastapi import Request

from serving.admission import hold_bytes
from serving.problems import Problem, problem_of, problem_response

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
log = logging.getLogger("ecg_api")


def is_request_id(text: str) -> bool:
    return REQUEST_ID.fullmatch(text) is not None


class RequestMiddleware:
    """ASGI middleware that counts a body's bytes while they arrive and logs the request when it is done."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        server = scope["app"].state.server
        declared = Request(scope).headers.get("content-length", "")
        began, size, status, error = time.monotonic(), 0, None, None

        async def counting_receive():
            nonlocal size
            limit = server.settings.max_body_bytes
            too_large = Problem(413, f"the request is too large; at most {limit:,} bytes are read")
            if declared.isdigit() and int(declared) > limit:
                raise too_large
            message = await receive()
            count = len(message.get("body", b""))
            size += count
            hold_bytes(server, count)
            if size > limit:
                raise too_large
            return message

        async def noting_send(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, counting_receive, noting_send)
        except Exception as unexpected:
            error = unexpected
            if status is None:
                await problem_response(problem_of(error))(scope, receive, noting_send)
        finally:
            server.held_bytes -= size
            log_request(scope, status, began, size, error)


def log_request(scope, status: int | None, began: float, size: int, error: Exception | None) -> None:
    """One line; the path's template rather than the path, which a client wrote."""
    fields = {
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", "unknown"),
        "status": status,
        "milliseconds": round(1000 * (time.monotonic() - began), 1),
        "bytes": size,
    }
    log.log(logging.ERROR if error else logging.INFO, "request", exc_info=error, extra=fields)
