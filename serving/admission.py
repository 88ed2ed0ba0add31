"""How many requests are received and diagnosed at a time; the others are rejected with 429, the slow ones with 408."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context

from serving.problems import Problem
from serving.settings import RETRY_AFTER_S
from serving.state import Server

OTHER_FILES = 1000  # open files and idle connections beside the requests being received


async def received(server: Server, read_body: Callable[[], Awaitable]):
    """A request's body. Raises Problem 408 if it takes too long, 429 if too many are arriving, 503 if the server ends.

    An unfinished body takes no place in the diagnosis queue, so slow senders do not keep others out. While that
    queue is full, a request is rejected before its body has been read.
    """
    require_place(server)
    if len(server.arriving) >= server.settings.receiving:
        raise too_many_requests()
    clock = asyncio.timeout(0 if server.stopping else server.settings.time_limit_s)
    server.arriving.add(clock)
    try:
        async with clock:
            return await read_body()
    except TimeoutError:
        raise stopping() if server.stopping else too_slow(server.settings.time_limit_s) from None
    finally:
        server.arriving.discard(clock)


def too_slow(limit_s: float) -> Problem:
    return Problem(408, f"the request did not arrive within {limit_s:g} s: send it again", {"Connection": "close"})


def stopping() -> Problem:
    headers = {"Connection": "close", "Retry-After": str(RETRY_AFTER_S)}
    return Problem(503, "the server is shutting down: send the request again", headers)


def hold_bytes(server: Server, count: int) -> None:
    """Count bytes of a body that are now in memory. Raises Problem 429 if all bodies together are too many."""
    server.held_bytes += count
    if count and server.held_bytes > server.settings.max_held_bytes:
        raise too_many_requests()


@asynccontextmanager
async def diagnosis_place(server: Server):
    """A place among the requests being diagnosed or waiting for it. Raises Problem 429 if all are taken."""
    require_place(server)
    server.diagnosing += 1
    try:
        yield
    finally:
        server.diagnosing -= 1


def require_place(server: Server) -> None:
    if server.diagnosing >= server.settings.concurrency + server.settings.waiting:
        raise too_many_requests()


def too_many_requests() -> Problem:
    detail = f"too many requests at a time; try again in {RETRY_AFTER_S} s"
    return Problem(429, detail, {"Retry-After": str(RETRY_AFTER_S)})


async def computed(server: Server, deadline: float, function: Callable, *arguments):
    """Run a function in one of the threads. Raises Problem if there is no result at the deadline (monotonic s).

    A function that has begun cannot be stopped: it keeps its thread, and no more are started in its place.
    """
    job = server.threads.submit(copy_context().run, function, *arguments)  # with the request id, for logs
    try:
        return await asyncio.wait_for(asyncio.wrap_future(job), max(0, deadline - time.monotonic()))
    except TimeoutError:
        if job.cancel():
            raise too_many_requests() from None
        raise Problem(
            413, f"this takes longer than {server.settings.time_limit_s:g} s: send shorter or fewer recordings"
        ) from None


def allow_open_files(receiving: int) -> str:
    """Raise this process's limit of open files to what ``receiving`` connections take; a warning where it cannot be."""
    needed = receiving + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return f"only {allowed} files may be open: raise ulimit -n or lower HMT_RECEIVING" if allowed < needed else ""
