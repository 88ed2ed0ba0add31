"""Rows for one table, made by many processes and handed back in the order of their files."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from archive.directory import KILLED
from archive.listing import partitions
from archive.scoring import Job, lost_row, score
from archive.workers import Work, run

PARTITION_SIZE = 100  # what a killed run loses a process


def rows_in_order(client, files: Sequence[Path], job: Job, settings: dict[str, str]) -> Iterator[dict]:
    """A row a file, as `archive.scoring.score` makes them."""
    of_partition = partial(_score_partition, job=job, settings=settings)
    work = Work(
        whole=of_partition,
        remaining=lambda number, paths: paths,
        rows=partial(score, job=job, settings=settings),
        lost=partial(lost_row, job=job, reason=KILLED),
        join=lambda number, paths, rows: rows,
    )
    early, following = {}, 0
    for number, rows in run(client, partitions(files, PARTITION_SIZE), work):
        early[number] = rows
        while following in early:
            yield from early.pop(following)
            following += 1


def _score_partition(number: int, paths: Sequence[str], job: Job, settings: dict[str, str]) -> list[dict]:
    return score(paths, job, settings)
