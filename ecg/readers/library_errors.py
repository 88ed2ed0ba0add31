"""Damaged files: what the parsing libraries raise on them, and header fields that are no numbers."""

import logging
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ecg.recording import RecordingError, printable

DAMAGED = "the file is damaged or against its format"
TEMPORARY_PREFIX = "ecg-"  # of the private folders for libraries that read paths only

_TEMPORARY_PATH = re.compile(rf"\S*[/\\]{TEMPORARY_PREFIX}\w+[/\\][\w.]+")
_log = logging.getLogger(__name__)


@contextmanager
def library_errors_refused(library: str, sentence: str = DAMAGED) -> Iterator[None]:
    """Turn whatever a library raises on broken bytes into a RecordingError, and log it.

    A parser may raise almost anything on a broken file. Only calls into the library belong inside, so that mistakes of
    this project come to light as what they are. MemoryError passes too: it is the server's trouble, not the file's.
    sentence: what the refusal says before the library's own message.
    """
    try:
        yield
    except (RecordingError, MemoryError):
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        # not the message: it may quote the file, and with it a patient's name
        _log.info(
            "%s refused a file: %s at %s:%s", library, type(error).__name__, Path(frame.filename).name, frame.lineno
        )
        message = _TEMPORARY_PATH.sub("the file", str(error))
        raise RecordingError(f"{sentence}: {printable(message, 200)}") from error


def header_number(value: object, kind: Callable[[object], float], what: str) -> float:
    """A number from a file's header as int or float. Raises RecordingError if it is none."""
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        raise RecordingError(f"{DAMAGED}: {what} is {printable(value)!r}, which is no number") from None
