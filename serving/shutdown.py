"""When the process is told to end: requests that are still arriving are ended, those that have arrived get a response.

uvicorn tells the application to shut down only after its connections have closed, and a half-sent request would keep
its connection open. So the signal is noticed here as well.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from serving.state import Server

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def noticing_signals(server: Server) -> Iterator[None]:
    """Stop receiving when a signal comes, and pass it on to whoever handled it before."""
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    loop = asyncio.get_running_loop()
    earlier = {number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))}

    def notice(number, frame):
        loop.call_soon_threadsafe(stop_receiving, server)
        earlier[number](number, frame)

    for number in earlier:
        signal.signal(number, notice)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def stop_receiving(server: Server) -> None:
    """Let the time of every request end whose body is still arriving."""
    server.stopping = True
    for clock in server.arriving:
        if not clock.expired():
            clock.reschedule(0)
