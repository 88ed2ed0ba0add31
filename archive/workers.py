"""Many processes, by Dask: hand out partitions, and go on when a process dies.

    with local_workers(2) as client:
        for number, result in run(client, partitions, work):

A file may take its process down with it: a library crashes, memory runs out. Dask starts another process and reports
the partition as lost. It is then tried again in pieces, the pieces in smaller pieces, and a file that is left over runs
once more with nothing else beside it; if that process dies too, the file is the reason. A process that was killed by
somebody costs a second run of its partition and blames nobody.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from archive import interrupts
from ecg.warnings_lock import caught_warnings

AHEAD = 2  # partitions a process, running or waiting: enough that none is idle, few enough to be held in memory
PIECES = 16  # that a lost partition is tried again in
SUSPECTS = 8  # partitions that may wait for a file to be tried alone before everything else pauses for it


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is done with a partition; all but ``join`` and ``lost`` run in another process.

    whole: ``(number, paths)`` to a result. remaining: ``(number, paths)`` to the paths that a lost partition still has
    to do. rows: ``(paths)`` to a row each. lost: the row of a path that no process survives.
    join: ``(number, paths, rows of the remaining)`` to what ``whole`` would have returned.
    """

    whole: Callable[[int, Sequence[str]], object]
    remaining: Callable[[int, Sequence[str]], Sequence[str]]
    rows: Callable[[Sequence[str]], list[dict]]
    lost: Callable[[str], dict]
    join: Callable[[int, Sequence[str], list[dict]], object]


@dataclass(eq=False)
class Partition:
    """Paths that are diagnosed together. Once it was lost, todo: what is still to be done; rows: by place in it."""

    number: int
    paths: Sequence[str]
    todo: Sequence[str] = ()
    rows: dict[int, dict] = field(default_factory=dict)

    def task(self, work: Work) -> tuple:
        return work.whole, self.number, self.paths

    def put(self, result: object, work: Work) -> Iterator[tuple[int, object]]:
        yield self.number, result

    def pieces(self, work: Work) -> list["Piece"]:
        self.todo = work.remaining(self.number, self.paths)
        return Piece(self, 0, len(self.todo)).pieces(work)


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of what a lost partition has to do."""

    partition: Partition
    first: int
    last: int

    def task(self, work: Work) -> tuple:
        return work.rows, self.partition.todo[self.first : self.last]

    def put(self, result: list[dict], work: Work) -> Iterator[tuple[int, object]]:
        """Keep the rows; if they were the last ones, the partition is done."""
        whole = self.partition
        whole.rows |= zip(range(self.first, self.last), result, strict=True)
        if len(whole.rows) == len(whole.todo):
            rows = [whole.rows[place] for place in range(len(whole.todo))]
            yield whole.number, work.join(whole.number, whole.paths, rows)

    def pieces(self, work: Work) -> list["Piece"]:
        step = -(-(self.last - self.first) // PIECES) or 1
        starts = range(self.first, self.last, step)
        return [Piece(self.partition, start, min(start + step, self.last)) for start in starts]


@contextmanager
def local_workers(count: int) -> Iterator[object]:
    """A Dask client of ``count`` processes of one thread on this machine."""
    import dask  # half a second to import, which one file need not wait for
    from distributed import Client, LocalCluster

    preloaded = dask.config.get("distributed.worker.preload")
    settings = {
        "distributed.worker.preload": [
            *([preloaded] if isinstance(preloaded, str) else preloaded),
            interrupts.__name__,
        ],
        "distributed.scheduler.allowed-failures": 0,  # a partition whose process dies comes back at once
        "distributed.comm.timeouts.connect": "60s",  # on a busy machine
        "distributed.deploy.lost-worker-timeout": "10 minutes",  # until a process that starts anew is given up
        "distributed.worker.memory.target": False,  # rows are small; nothing is spilled to disk
        "distributed.worker.memory.spill": False,
    }
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a process that died is in the quarantine's reason
    with dask.config.set(settings):
        with caught_warnings():  # that the dashboard is not at its usual port; its address is printed
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address="localhost:8787",
                silence_logs=logging.CRITICAL,
            )
        with cluster, Client(cluster) as client:
            yield client


@contextmanager
def processes(count: int, scheduler: str | None) -> Iterator[object | None]:
    """The Dask client whose workers diagnose; None for no processes but this one.

    scheduler: address of a scheduler whose workers are used instead of ``count`` of this machine.
    """
    if not count and not scheduler:
        yield None
        return
    with remote_workers(scheduler) if scheduler else local_workers(count) as client:
        print(f"dashboard: {client.dashboard_link}", flush=True)
        yield client


@contextmanager
def remote_workers(address: str) -> Iterator[object]:
    """A Dask client of the workers of a scheduler that is there already. Raises OSError if it is not."""
    from distributed import Client  # half a second to import, which one file need not wait for

    with Client(address, timeout="30s") as client:
        yield client


def cores() -> int:
    """How many processes this machine runs at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(partitions: Iterable[tuple[int, Sequence[str]]], work: Work) -> Iterator[tuple[int, object]]:
    """Number and result of each partition, in this process."""
    for number, paths in partitions:
        yield number, work.whole(number, paths)


def run(client, partitions: Iterable[tuple[int, Sequence[str]]], work: Work) -> Iterator[tuple[int, object]]:
    """Number and result of each partition as it is done, in whatever order.

    Raises what a worker raises, and OSError if the scheduler is gone.
    """
    from distributed import KilledWorker, as_completed

    waiting, running, suspects, completed = iter(partitions), {}, [], as_completed()

    def submit(item: Partition | Piece) -> None:
        future = client.submit(*item.task(work), pure=False)
        running[future] = item
        completed.add(future)

    count = counter(client)
    while True:
        room = AHEAD * count() - len(running) if len(suspects) < SUSPECTS else 0
        for number, paths in islice(waiting, max(room, 0)):
            submit(Partition(number, paths))
        if not running:
            for suspect in suspects:
                yield from suspect.put(_alone(client, suspect, work), work)
            if not suspects:
                return
            suspects.clear()
            continue
        future = next(completed)
        item = running.pop(future)
        try:
            yield from item.put(future.result(), work)
        except CancelledError as error:
            raise OSError("the scheduler is gone, or has cancelled the work; the same command goes on") from error
        except KilledWorker:
            if isinstance(item, Piece) and item.last - item.first == 1:
                suspects.append(item)
                continue
            pieces = item.pieces(work)
            for piece in pieces:
                submit(piece)
            if not pieces:  # it had nothing left to do
                yield item.number, work.join(item.number, item.paths, [])


def counter(client, every_s: float = 2.0) -> Callable[[], int]:
    """How many workers there are, one at least; asked of the scheduler every few seconds only."""
    asked, count = float("-inf"), 1

    def now() -> int:
        nonlocal asked, count
        if time.monotonic() - asked >= every_s:
            count = max(len(client.scheduler_info(n_workers=-1)["workers"]), 1)
            asked = time.monotonic()
        return count

    return now


def _alone(client, suspect: Piece, work: Work) -> list[dict]:
    """The row of one file that runs with nothing beside it: if its process dies, it is the reason."""
    from distributed import KilledWorker

    future = client.submit(*suspect.task(work), pure=False)
    try:
        return future.result()
    except KilledWorker:
        return [work.lost(suspect.partition.todo[suspect.first])]
