"""Every 100-Hz recording of the data set in one memory-mapped array."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm.contrib.concurrent import process_map

from config import LEADS, SAMPLING_RATE
from files import write_text
from ptbxl.index import DatasetError, Index

CACHE_FORMAT = 1
CHUNK = 256  # recordings a worker reads at a time


@dataclass(frozen=True, eq=False)
class SignalCache:
    """Every readable 100-Hz recording in one memory-mapped array.

    signals: int16 ``(n, 12, samples)`` in µV, rows in the index's order; zeros where unreadable.
    unreadable: ecg_id to the reason.
    fold_sha256: fold to a digest of its signals and labels, equal on every machine.
    """

    signals: np.ndarray
    unreadable: dict[int, str]
    fold_sha256: dict[int, str]


def open_cache(index: Index, progress: bool = True) -> SignalCache:
    """The signal cache, built on first use and whenever a file of the data set has changed.

    Raises DatasetError if the cache's directory cannot be written.
    """
    directory = cache_directory(index.directory)
    fingerprint = _fingerprint(index)
    description = directory / f"signals_{fingerprint}.json"
    if not description.is_file():
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with FileLock(directory / ".lock"):  # a second script waits for the first one's cache
                if not description.is_file():
                    _build_cache(index, directory, fingerprint, progress)
        except OSError as error:
            raise DatasetError(
                f"cannot write the signal cache to {directory} ({error}): set PTBXL_CACHE to a writable directory"
            ) from error
    facts = json.loads(description.read_text())
    return SignalCache(
        signals=np.load(description.with_suffix(".npy"), mmap_mode="r"),
        unreadable={int(ecg_id): reason for ecg_id, reason in facts["unreadable"].items()},
        fold_sha256={int(fold): digest for fold, digest in facts["fold_sha256"].items()},
    )


def cache_directory(data: Path) -> Path:
    """Where the cache of a data set lies: in its own ``cache``, or in a subdirectory of ``PTBXL_CACHE`` of its own.

    Building a cache deletes what else is there as stale, so two data sets must not share a directory.
    """
    shared = os.environ.get("PTBXL_CACHE")
    if not shared:
        return data / "cache"
    path = data.resolve()
    return Path(shared) / f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def _fingerprint(index: Index) -> str:
    """A digest that changes when the tables or any 100-Hz file change (size or modification time)."""
    digest = hashlib.sha256(f"format {CACHE_FORMAT}\n".encode())
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        if (index.directory / name).is_file():  # a table with superclasses of its own needs no statements
            digest.update((index.directory / name).read_bytes())
    for folder in sorted({str(Path(name).parent) for name in index.table["filename_lr"]}):
        if (index.directory / folder).is_dir():
            for entry in sorted(os.scandir(index.directory / folder), key=lambda entry: entry.name):
                stat = entry.stat()
                digest.update(f"{folder}/{entry.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read_chunk(paths: list[Path], target: Path, first_row: int) -> dict[int, str]:
    """Read records into rows of the array on disk; row number to reason for those that fail."""
    # only here, because it loads the libraries of every file format: training from a finished cache needs none
    from ptbxl.records import read_record, to_microvolts

    signals = np.load(target, mmap_mode="r+")
    failed = {}
    for row, path in enumerate(paths, first_row):
        try:
            recording = read_record(path)
            if recording.signal.shape != signals.shape[1:] or recording.sampling_rate != SAMPLING_RATE:
                raise DatasetError(
                    f"{path.name}: {recording.signal.shape[1]} samples at {recording.sampling_rate:g} Hz, "
                    f"expected {signals.shape[2]} at {SAMPLING_RATE} Hz"
                )
            signals[row] = to_microvolts(recording.signal)
        except DatasetError as error:
            failed[row] = str(error)
    return failed


def _build_cache(index: Index, directory: Path, fingerprint: str, progress: bool) -> None:
    """Read every record in parallel; the caller holds the lock, so whatever is unfinished here was killed."""
    for killed in directory.glob("signals_*.tmp"):
        killed.unlink()
    paths = [index.directory / name for name in index.table["filename_lr"]]
    unfinished = directory / f"signals_{fingerprint}.tmp"
    try:
        # a sparse file of zeros
        np.lib.format.open_memmap(unfinished, "w+", "<i2", (len(paths), len(LEADS), 10 * SAMPLING_RATE))
        failed = _fill(unfinished, paths, progress)
        _finish_cache(index, directory, fingerprint, unfinished, failed)
    finally:
        unfinished.unlink(missing_ok=True)


def _fill(target: Path, paths: list[Path], progress: bool) -> dict[int, str]:
    """Read all records into the array on disk, with a process for each core; as `_read_chunk`."""
    firsts = range(0, len(paths), CHUNK)
    chunks = [paths[first : first + CHUNK] for first in firsts]
    targets = [target] * len(chunks)
    bar = {"desc": f"signal cache of {len(paths)} ECGs", "unit": " chunks", "disable": not progress}
    failed = process_map(_read_chunk, chunks, targets, firsts, max_workers=os.cpu_count(), chunksize=1, **bar)
    return {row: reason for chunk in failed for row, reason in chunk.items()}


def _finish_cache(index: Index, directory: Path, fingerprint: str, unfinished: Path, failed: dict[int, str]) -> None:
    """Name the array, then its description: the cache exists only once the description does."""
    signals = np.load(unfinished, mmap_mode="r")
    ids = index.table.index
    facts = {
        "unreadable": {int(ids[row]): reason for row, reason in sorted(failed.items())},
        "fold_sha256": {int(fold): _fold_digest(index, signals, fold) for fold in sorted(set(index.folds))},
    }
    for old in directory.glob("signals_*"):
        if old != unfinished and old.suffix in (".npy", ".json"):
            old.unlink()
    unfinished.replace(directory / f"signals_{fingerprint}.npy")
    write_text(directory / f"signals_{fingerprint}.json", json.dumps(facts, indent=1))


def _fold_digest(index: Index, signals: np.ndarray, fold: int) -> str:
    """SHA-256 of a fold's identifiers, superclasses and signals, in the order of the identifiers."""
    rows = np.flatnonzero(index.folds == fold)
    digest = hashlib.sha256()
    for row in rows[np.argsort(index.table.index[rows])]:
        digest.update(f"{index.table.index[row]} {index.superclasses[row].astype(int)}".encode())
        digest.update(signals[row].astype("<i2", copy=False).tobytes())
    return digest.hexdigest()
