"""Every 100-Hz recording of the data set in one memory-mapped array."""

import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from config import LEADS, SAMPLING_RATE
from files import write_text
from ptbxl.index import DatasetError, Index
from ptbxl.records import read_microvolts

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
    """The signal cache, built on first use and whenever a file of the data set has changed."""
    directory = Path(os.environ.get("PTBXL_CACHE") or index.directory / "cache")
    fingerprint = _fingerprint(index)
    description = directory / f"signals_{fingerprint}.json"
    if not description.is_file():
        _make_directory(directory)
        with FileLock(directory / ".lock"):  # a second script waits for the first one's cache
            if not description.is_file():
                _build_cache(index, directory, fingerprint, progress)
    facts = json.loads(description.read_text())
    signals = np.load(description.with_suffix(".npy"), mmap_mode="r")
    return SignalCache(
        signals,
        {int(ecg_id): reason for ecg_id, reason in facts["unreadable"].items()},
        {int(fold): digest for fold, digest in facts["fold_sha256"].items()},
    )


def _fingerprint(index: Index) -> str:
    """Changes when the tables or any 100-Hz file change (size or modification time)."""
    digest = hashlib.sha256(f"format {CACHE_FORMAT}\n".encode())
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        digest.update((index.directory / name).read_bytes())
    for folder in sorted({str(Path(name).parent) for name in index.table["filename_lr"]}):
        if (index.directory / folder).is_dir():
            for entry in sorted(os.scandir(index.directory / folder), key=lambda entry: entry.name):
                stat = entry.stat()
                digest.update(f"{folder}/{entry.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read_chunk(paths: list[Path], target: Path, first_row: int) -> dict[int, str]:
    """Read records into rows of the array on disk; row number to reason for those that fail."""
    signals = np.load(target, mmap_mode="r+")
    failed = {}
    for row, path in enumerate(paths, first_row):
        try:
            microvolts, rate = read_microvolts(path)
            if microvolts.shape != signals.shape[1:] or rate != SAMPLING_RATE:
                raise DatasetError(
                    f"{path.name}: {microvolts.shape[1]} samples at {rate:g} Hz, "
                    f"expected {signals.shape[2]} at {SAMPLING_RATE} Hz"
                )
            signals[row] = microvolts
        except DatasetError as error:
            failed[row] = str(error)
    return failed


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ".lock").touch()
    except OSError as error:
        raise DatasetError(
            f"cannot write the signal cache to {directory} ({error}): set PTBXL_CACHE to a writable directory"
        ) from error


def _build_cache(index: Index, directory: Path, fingerprint: str, progress: bool) -> None:
    """Read every record in parallel; the caller holds the lock, so whatever is unfinished here was killed."""
    for killed in directory.glob("signals_*.tmp"):
        killed.unlink()
    paths = [index.directory / name for name in index.table["filename_lr"]]
    samples = 10 * SAMPLING_RATE
    unfinished = directory / f"signals_{fingerprint}.tmp"
    try:
        with unfinished.open("wb") as file:  # a sparse file of the right size; workers fill its rows
            header = {"descr": "<i2", "fortran_order": False, "shape": (len(paths), len(LEADS), samples)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 2 * len(paths) * len(LEADS) * samples)
        failed = {}
        firsts = range(0, len(paths), CHUNK)
        chunks = [paths[first : first + CHUNK] for first in firsts]
        with (
            ProcessPoolExecutor(os.cpu_count()) as pool,
            tqdm(total=len(paths), desc="signal cache", unit="ECG", disable=not progress) as bar,
        ):
            for chunk, result in zip(
                chunks, pool.map(_read_chunk, chunks, [unfinished] * len(chunks), firsts), strict=True
            ):
                failed.update(result)
                bar.update(len(chunk))
        _finish_cache(index, directory, fingerprint, unfinished, failed)
    finally:
        unfinished.unlink(missing_ok=True)


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
    rows = np.flatnonzero(index.folds == fold)
    digest = hashlib.sha256()
    for row in rows[np.argsort(index.table.index[rows])]:
        digest.update(f"{index.table.index[row]} {index.superclasses[row].astype(int)}".encode())
        digest.update(signals[row].astype("<i2", copy=False).tobytes())
    return digest.hexdigest()
