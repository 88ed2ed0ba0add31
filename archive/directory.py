"""Results of an archive: a directory of partitions, each written whole or not at all.

    results/archive.json                    what was diagnosed, with which settings, in partitions of which size
    results/recordings/part-000000.parquet  a row a recording that was diagnosed, in the order of the inputs
    results/quarantine/part-000000.parquet  a row a file that failed, with the reason; only where there is one

Partition n holds the n-th stretch of the inputs, so that every input has one row in one of the two. A partition is made
by comparing its inputs with the rows that are there: what is there in the same version stays, the rest is diagnosed.
So the same command goes on after any interruption, does again what failed, and follows inputs that have changed.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from archive.scoring import Job, lost_row, score
from archive.workers import Work, run, run_here
from ecg.readers.folders import resolved, version_of
from files import replacing, write_text
from inference.result_rows import TEXT, columns_of, file_name
from inference.results_table import (
    OWN_COLUMNS,
    TableError,
    locked,
    require_same_settings,
    settings_text,
    typed_table,
    writable,
)

ABOUT, RECORDINGS, QUARANTINE = "archive.json", "recordings", "quarantine"
QUARANTINE_COLUMNS = {"file": TEXT, "reason": TEXT, "path": TEXT, "version": TEXT, "settings": TEXT}
PARTITION_SIZE = 1000
REASONS = 20  # of files that failed, that a partition reports
KILLED = (
    "reading or diagnosing it kills the process (a crash, or more memory than a worker has), also with nothing else"
)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of one partition, or of all. failed: the first of them, file to reason."""

    diagnosed: int
    quarantined: int
    kept: int
    failed: dict[str, str]

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            diagnosed=self.diagnosed + other.diagnosed,
            quarantined=self.quarantined + other.quarantined,
            kept=self.kept + other.kept,
            failed=dict([*self.failed.items(), *other.failed.items()][:REASONS]),
        )


NOTHING = Counts(diagnosed=0, quarantined=0, kept=0, failed={})


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Where the partitions of one job are kept. settings: see `archive.scoring.settings_of`."""

    place: Path
    job: Job
    settings: dict[str, str]

    def part(self, kind: str, number: int) -> Path:
        return self.place / kind / f"part-{number:06}.parquet"

    def work(self) -> Work:
        """What `archive.workers.run` needs."""
        return Work(
            whole=self.update,
            remaining=lambda number, paths: self.compare(number, paths)[1],
            rows=partial(score, job=self.job, settings=self.settings),
            lost=partial(lost_row, job=self.job, reason=KILLED),
            join=self.join,
        )

    def update(self, number: int, paths: Sequence[str]) -> Counts:
        """Bring one partition up to date. Runs in a worker."""
        kept, todo = self.compare(number, paths)
        return self.write(number, paths, kept, score(todo, self.job, self.settings) if todo else [])

    def join(self, number: int, paths: Sequence[str], rows: list[dict]) -> Counts:
        """As `update`, with the rows of what was still to do."""
        return self.write(number, paths, self.compare(number, paths)[0], rows)

    def compare(self, number: int, paths: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
        """The recordings that are there in their present version, by path, and the paths that are still to do."""
        part = self.part(RECORDINGS, number)
        if not part.exists():
            return typed_table([], self.columns), list(paths)
        there = pd.read_parquet(part)
        versions = dict(zip(there["path"], there["version"], strict=True))
        todo = [path for path in paths if versions.get(key_of(path)) != version_of(Path(path))]
        gone = set(map(key_of, todo))
        return there[~there["path"].isin(gone)].drop_duplicates("path").set_index("path", drop=False), todo

    def write(self, number: int, paths: Sequence[str], kept: pd.DataFrame, rows: list[dict]) -> Counts:
        """Write both files of a partition: of every path its kept row, or the one that was made."""
        require_same_settings(self.place, read_about(self.place).get("settings", {}), self.settings)
        made = {row["path"]: row | {"settings": settings_text(self.settings)} for row in rows}
        failed = {key: row for key, row in made.items() if row["error"]}
        keys = [key_of(path) for path in paths]
        quarantined = [failed[key] | {"reason": failed[key]["error"]} for key in keys if key in failed]
        new = typed_table([row for row in made.values() if not row["error"]], self.columns)
        tables = [table for table in (kept, new) if len(table)] or [new]
        table = pd.concat(tables).set_index("path", drop=False).loc[[key for key in keys if key not in failed]]
        if rows or len(table) != len(kept) or not self.part(RECORDINGS, number).exists():
            _replace(self.part(QUARANTINE, number), typed_table(quarantined, QUARANTINE_COLUMNS))
            _replace(self.part(RECORDINGS, number), table.reset_index(drop=True))
        return Counts(
            diagnosed=len(table),
            quarantined=len(quarantined),
            kept=len(paths) - len(rows),
            failed={row["file"]: row["error"] for row in quarantined[:REASONS]},
        )

    @property
    def columns(self) -> dict[str, str]:
        return columns_of(self.job.intervals) | OWN_COLUMNS

    def forget_beyond(self, count: int) -> None:
        """Delete partitions behind the last, of inputs that have become fewer."""
        for kind in (RECORDINGS, QUARANTINE):
            for part in (self.place / kind).glob("part-*.parquet"):
                if int(part.stem.removeprefix("part-")) >= count:
                    part.unlink()


@contextmanager
def open_directory(
    place: Path, job: Job, settings: dict[str, str], inputs: list[str], size: int | None, restart: bool
) -> Iterator[tuple[Directory, int]]:
    """The directory for one run, locked, and the size of its partitions.

    inputs: what is diagnosed, as text. size: None for that of the earlier run, or else the usual one.
    restart: delete what is there. Raises TableError if the directory holds anything else, or results of other inputs or
    settings, or if another process writes it; ValueError for a size below 1.
    """
    if size is not None and size < 1:
        raise ValueError(f"a partition of {size} recordings: at least one")
    with locked(place):
        about = read_about(place)
        if restart and about:
            for kind in (RECORDINGS, QUARANTINE):
                shutil.rmtree(place / kind, ignore_errors=True)
            about = {}
        ways_out = "choose another --out, or --restart to diagnose all again"
        if about:
            require_same_settings(place, about["settings"], settings)
            if about["inputs"] != inputs:
                raise TableError(f"{place} holds results of {', '.join(about['inputs'])}: {ways_out}")
            if size not in (None, about["partition_size"]):
                raise TableError(f"{place} was begun with partitions of {about['partition_size']}: {ways_out}")
        size = about.get("partition_size") or size or PARTITION_SIZE
        about = {"settings": settings, "inputs": inputs, "partition_size": size}
        with writable(place):
            write_text(place / ABOUT, json.dumps(about, indent=1) + "\n")
        yield Directory(place=place, job=job, settings=settings), size


def fill_directory(
    directory: Directory,
    partitions: Iterable[tuple[int, Sequence[str]]],
    client,
    progress: Callable[[int], object] = int,
) -> Counts:
    """Bring all partitions up to date, and delete those behind the last.

    client: see `archive.workers.processes`. progress: called with the number of recordings that were done.
    """
    counts, parts, work = NOTHING, 0, directory.work()
    for _, done in run(client, partitions, work) if client else run_here(partitions, work):
        counts, parts = counts + done, parts + 1
        progress(done.diagnosed + done.quarantined)
    directory.forget_beyond(parts)
    return counts


def read_about(place: Path) -> dict:
    """What a directory says of its results; empty if it is not there or empty. Raises TableError for any other."""
    if not place.exists() or place.is_dir() and not any(place.iterdir()):
        return {}
    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        return {name: about[name] for name in ("settings", "inputs", "partition_size")}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise TableError(f"{place} is not a directory of results of predict.py: choose another --out") from error


def key_of(path: str) -> str:
    """What a file is known by, whatever path leads to it."""
    return file_name(resolved(path))


def _replace(part: Path, table: pd.DataFrame) -> None:
    """Write a part; of no rows only where recordings are expected."""
    if not len(table) and part.parent.name == QUARANTINE:
        with writable(part):
            part.unlink(missing_ok=True)
        return
    with writable(part), replacing(part) as unfinished:
        table.to_parquet(unfinished, index=False)
