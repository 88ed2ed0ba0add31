"""Logs as one JSON object a line, with the request id; nothing in them was written by a client."""

import traceback
from pathlib import Path

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter


class JsonLines(JsonFormatter):
    """Of an exception it shows type and frames, never the message, which may quote an ECG or a name."""

    def formatException(self, ei) -> list[str]:
        frames = traceback.extract_tb(ei[2])
        return [ei[0].__name__, *(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)]


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "asgi_correlation_id.CorrelationIdFilter"}},
    "formatters": {
        "json": {
            "()": JsonLines,
            "fmt": ["levelname", "message", "correlation_id"],
            "timestamp": "time",
            "rename_fields": {"levelname": "level", "correlation_id": "request_id"},
            "reserved_attrs": [*RESERVED_ATTRS, "color_message"],
        }
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "json",
            "filters": ["request_id"],
        }
    },
    "loggers": {
        "ecg_api": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        "ecg": {"handlers": ["stdout"], "level": "INFO"},  # files that a library could not read
        "uvicorn": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        "uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": False},  # replaced by our line a request
        "asgi_correlation_id": {"level": "ERROR"},  # it warns of every request id it replaces
    },
}
