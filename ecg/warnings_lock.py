"""Catching warnings in a program with threads.

`warnings.catch_warnings` swaps the filters of the whole process. Two threads that do so at once can leave the wrong
filters behind for good, so every part of the program that runs in threads catches warnings here, one at a time.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()


@contextmanager
def caught_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of a block in the list it yields, instead of showing them."""
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
