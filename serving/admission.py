"""Who is answered, who waits, who is sent away with 429, and who took too long."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

from serving.problems import Problem
from serving.settings import RETRY_AFTER_S
from serving.state import Server


@asynccontextmanager
async def admission(server: Server):
    """A place among those being answered or waiting. Raises Problem 429 if all are taken."""
    if server.admitted >= server.settings.concurrency + server.settings.waiting:
        raise busy()
    server.admitted += 1
    try:
        yield
    finally:
        server.admitted -= 1


def busy() -> Problem:
    return Problem(
        429, f"too many requests at a time; try again in {RETRY_AFTER_S} s", {"Retry-After": str(RETRY_AFTER_S)}
    )


async def received(server: Server, read_body: Callable[[], Awaitable]):
    """A request's body, if it arrives in time. Raises Problem 408 otherwise."""
    try:
        return await asyncio.wait_for(read_body(), server.settings.time_limit_s)
    except TimeoutError:
        raise Problem(
            408, f"the request did not arrive within {server.settings.time_limit_s:g} s: send it again"
        ) from None


async def computed(server: Server, deadline: float, function: Callable, *arguments):
    """Run a function in one of the threads. Raises Problem if there is no result at the deadline (monotonic s).

    A function that has begun cannot be stopped: it keeps its thread, and no more are started in its place.
    """
    job = server.threads.submit(function, *arguments)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(job), max(0, deadline - time.monotonic()))
    except TimeoutError:
        if job.cancel():
            raise busy() from None
        raise Problem(
            413, f"this takes longer than {server.settings.time_limit_s:g} s: send shorter or fewer recordings"
        ) from None
