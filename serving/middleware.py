"""Around every request: its line in the log, and a problem instead of a traceback."""

import logging
import re
import time

from serving.bodies import BodyCount
from serving.problems import problem_of, problem_response

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
PROBES = ("/health", "/ready", "/metrics")
log = logging.getLogger("ecg_api")


def is_request_id(text: str) -> bool:
    return REQUEST_ID.fullmatch(text) is not None


class RequestMiddleware:
    """ASGI middleware that logs a request when it is done, and gives back the memory that its body was allowed."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        count = scope["body_count"] = BodyCount()
        began, status, error = time.monotonic(), None, None

        async def noting_send(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting_send)
        except Exception as unexpected:
            error = unexpected
            if status is None:
                await problem_response(problem_of(error))(scope, receive, noting_send)
        finally:
            scope["app"].state.server.held_bytes -= count.held
            log_request(scope, status, began, count.received, error)


def log_request(scope, status: int | None, began: float, size: int, error: Exception | None) -> None:
    """One line; the path's template rather than the path, which a client wrote. Probes are logged at DEBUG."""
    route = getattr(scope.get("route"), "path", "unknown")
    fields = {
        "method": scope["method"],
        "route": route,
        "status": status,
        "milliseconds": round(1000 * (time.monotonic() - began), 1),
        "bytes": size,
    }
    level = logging.ERROR if error else logging.DEBUG if route in PROBES else logging.INFO
    log.log(level, "request", exc_info=error, extra=fields)
