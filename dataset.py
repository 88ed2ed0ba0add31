"""PTB-XL on disk: index, labels, folds, signal cache, torch Dataset.

    python dataset.py check                # is the data set whole, and if not, what still works
    python dataset.py cache                # signals into one memory-mapped array (scripts do it on first use)
    python dataset.py demo demo/data       # a small generated data set in the same layout
    python dataset.py download             # PTB-XL 1.0.3 from PhysioNet

Wagner et al., "PTB-XL, a large publicly available electrocardiography dataset", Scientific
Data 7:154 (2020); release 1.0.3, doi 10.13026/kfzx-aw45.
"""

import argparse
import ast
import contextlib
import copy
import hashlib
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import wfdb
from filelock import FileLock
from tqdm import tqdm

import download
from config import (
    DEFAULT_DATA,
    LEADS,
    MICROVOLTS_PER_MILLIVOLT,
    SAMPLING_RATE,
    SPLIT_FOLDS,
    SUPERCLASS_NAMES,
    SUPERCLASSES,
    SYNTHETIC_NOTICE,
    TASK_CLASSES,
    TEST_FOLD,
    TRAIN_FOLDS,
    data_directory,
)
from ecg import paper
from ecg.preprocessing import scale_signal
from ecg.recording import Recording
from ecg.synthetic import SYNTHETIC_DEVICE, example_cases, synthesise, write_dataset
from files import write_text

CACHE_FORMAT = 1
CHUNK = 256  # recordings a worker reads at a time

# PTB-XL 1.0.3: records, NORM, MI, STTC, CD, HYP, no superclass
RELEASE_COUNTS = {
    TRAIN_FOLDS: (17418, 7596, 4379, 4186, 3907, 2119, 334),
    (9,): (2183, 955, 540, 528, 495, 268, 37),
    (TEST_FOLD,): (2198, 963, 550, 521, 496, 262, 40),
}


class DatasetError(RuntimeError):
    """The data set cannot serve the request; the message says what is missing and what to do."""


# --------------------------------------------------------------------------- index and labels


@dataclass(frozen=True, eq=False)
class Index:
    """All recordings the table lists, in its order, with their labels.

    directory: where the release lies.
    table: the original columns, indexed by ecg_id.
    superclasses: ``(n, 5)`` bool in the order of ``config.SUPERCLASSES``.
    statements: ``(n, 71)`` float32, likelihood in % of each SCP statement (0: unknown), NaN where absent.
    statement_table: the 71 statements, indexed by code.
    """

    directory: Path
    table: pd.DataFrame
    superclasses: np.ndarray
    statements: np.ndarray
    statement_table: pd.DataFrame

    @property
    def folds(self) -> np.ndarray:
        return self.table["strat_fold"].to_numpy()

    @cached_property
    def is_synthetic(self) -> bool:
        return bool((self.table["device"] == SYNTHETIC_DEVICE).any())


def read_index(directory: Path | str) -> Index:
    """Read ``ptbxl_database.csv`` and ``scp_statements.csv``.

    A superclass is present if any of its diagnostic statements is in ``scp_codes``, whatever its
    likelihood: PTB-XL's own aggregation (Wagner et al. 2020, ``example_physionet.py``).
    Raises DatasetError if a file is missing or not PTB-XL's.
    """
    directory = Path(directory)
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        if not (directory / name).is_file():
            raise DatasetError(
                f"no {name} in {directory}. Put PTB-XL there (python dataset.py download), point --data or "
                "PTBXL_DIR at it, or make a generated set: python dataset.py demo demo/data"
            )
    try:
        table = pd.read_csv(directory / "ptbxl_database.csv", index_col="ecg_id")
        statement_table = pd.read_csv(directory / "scp_statements.csv", index_col=0)
        table["patient_id"] = table["patient_id"].astype(int)
        codes = table["scp_codes"].map(ast.literal_eval)
        statements = _likelihoods(codes, statement_table.index)
        superclasses = _superclasses(statements, statement_table)
    except (ValueError, KeyError, SyntaxError) as error:
        raise DatasetError(f"the tables in {directory} are not PTB-XL's: {error}") from error
    return Index(directory, table, superclasses, statements, statement_table)


def _likelihoods(codes: pd.Series, statement_codes: pd.Index) -> np.ndarray:
    column = {code: number for number, code in enumerate(statement_codes)}
    likelihoods = np.full((len(codes), len(column)), np.nan, np.float32)
    for row, statements in enumerate(codes):
        for code, likelihood in statements.items():
            likelihoods[row, column[code]] = likelihood
    return likelihoods


def _superclasses(statements: np.ndarray, statement_table: pd.DataFrame) -> np.ndarray:
    present = ~np.isnan(statements)
    diagnostic_class = statement_table["diagnostic_class"].where(statement_table["diagnostic"] == 1)
    return np.stack([present[:, diagnostic_class == name].any(1) for name in SUPERCLASSES], axis=1)


def task_targets(superclasses: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Targets of a task and which recordings belong to it.

    superclasses: ``(n, 5)`` bool. Returns float32 targets ``(n, classes)`` and bool ``(n,)``.
    multilabel keeps every recording (no superclass: all zero); mi_vs_norm those with exactly one
    of MI and NORM; norm_vs_abnormal those with a superclass, abnormal being any but NORM.
    """
    norm, mi = superclasses[:, SUPERCLASSES.index("NORM")], superclasses[:, SUPERCLASSES.index("MI")]
    if task == "multilabel":
        return superclasses.astype(np.float32), np.ones(len(superclasses), bool)
    if task == "mi_vs_norm":
        return mi[:, None].astype(np.float32), mi != norm
    if task == "norm_vs_abnormal":
        abnormal = superclasses[:, 1:].any(1)
        return abnormal[:, None].astype(np.float32), superclasses.any(1)
    raise ValueError(f"unknown task {task!r}: one of {', '.join(TASK_CLASSES)}")


# --------------------------------------------------------------------------- recordings and cache


def record_path(index: Index, ecg_id: int, sampling_rate: int) -> Path:
    """Path of a record without extension; the release has 100 and 500 Hz."""
    column = {100: "filename_lr", 500: "filename_hr"}[sampling_rate]
    return index.directory / index.table.at[ecg_id, column]


def read_microvolts(path: Path) -> tuple[np.ndarray, float]:
    """One WFDB record as int16 ``(12, samples)`` in µV, leads in our order, and its rate in Hz.

    Raises DatasetError if it is missing, unreadable, or its samples do not match the header's checksums.
    """
    try:
        record = wfdb.rdrecord(str(path), physical=False)
    except Exception as error:  # wfdb's parser raises whatever a broken file provokes
        raise DatasetError(f"{path.name}: {type(error).__name__}: {error}") from error
    if record.checksum != record.calc_checksum():
        raise DatasetError(f"{path.name}: samples do not match the header's checksums, the file was altered or cut")
    order = {name.upper(): number for number, name in enumerate(record.sig_name)}
    missing = [lead for lead in LEADS if lead.upper() not in order]
    if missing:
        raise DatasetError(f"{path.name}: no lead {', '.join(missing)}")
    if set(record.units) != {"mV"}:
        raise DatasetError(f"{path.name}: units are {sorted(set(record.units))}, PTB-XL's are mV")
    columns = [order[lead.upper()] for lead in LEADS]
    gain, baseline = np.array(record.adc_gain)[columns], np.array(record.baseline)[columns]
    signal = record.d_signal[:, columns]
    microvolts = np.round((signal - baseline) * (MICROVOLTS_PER_MILLIVOLT / gain))
    return np.ascontiguousarray(np.clip(microvolts, -32768, 32767).T.astype(np.int16)), float(record.fs)


def read_recording(index: Index, ecg_id: int, sampling_rate: int = SAMPLING_RATE) -> Recording:
    """One recording of the data set from its files, at 100 or 500 Hz."""
    microvolts, rate = read_microvolts(record_path(index, ecg_id, sampling_rate))
    signal = microvolts.astype(np.float32) / MICROVOLTS_PER_MILLIVOLT
    return Recording(signal, rate, np.ones(len(LEADS), bool))


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


# --------------------------------------------------------------------------- the data set


class PTBXLDataset(torch.utils.data.Dataset):
    """One split of PTB-XL for one task.

    split: "train" (folds 1-8), "val" (9) or "test" (10).
    task: "multilabel", "mi_vs_norm" or "norm_vs_abnormal".
    input_scale: mV; items are divided by it. Leave None to have it measured on this split (training).

    Item: float32 signal ``(12, 1000)`` at 100 Hz and float32 target ``(classes,)``.
    Attributes (numpy, one row a recording): ecg_ids, patient_ids, targets, statements (likelihoods),
    labelled (has a superclass); metadata is a DataFrame of the original columns.
    Raises DatasetError if the data set lacks a recording of the split.
    """

    def __init__(
        self, data: Path | str | Index, split: str, task: str = "multilabel", input_scale: float | None = None
    ):
        index = data if isinstance(data, Index) else read_index(data)
        cache = open_cache(index)
        folds = SPLIT_FOLDS[split]
        in_split = np.isin(index.folds, folds)
        _refuse_gaps(index, cache, folds, split)
        targets, belongs = task_targets(index.superclasses, task)
        self._index, self._targets, self._signals = index, targets, cache.signals
        self.split, self.task, self.classes = split, task, TASK_CLASSES[task]
        self.is_synthetic = index.is_synthetic
        self.fold_sha256 = {fold: cache.fold_sha256[fold] for fold in folds}
        self.statement_table = index.statement_table
        self._keep(np.flatnonzero(in_split & belongs))
        self.input_scale = self._measure_scale() if input_scale is None else input_scale

    def _keep(self, rows: np.ndarray) -> None:
        self.rows = rows
        self.metadata = self._index.table.iloc[rows]
        self.ecg_ids = self.metadata.index.to_numpy()
        self.patient_ids = self.metadata["patient_id"].to_numpy()
        self.targets = self._targets[rows]
        self.labelled = self._index.superclasses[rows].any(1)
        self.statements = self._index.statements[rows]

    def first(self, n: int) -> "PTBXLDataset":
        """The same split cut to its first n recordings."""
        fewer = copy.copy(self)
        fewer._keep(self.rows[:n])
        return fewer

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.signals([number])[0]), torch.from_numpy(self.targets[number])

    @property
    def samples(self) -> int:
        """Samples of each recording."""
        return self._signals.shape[2]

    def signals(self, numbers, starts=None, length: int | None = None) -> np.ndarray:
        """Float32 ``(len(numbers), 12, length)`` model inputs; ``length`` samples from each start, or all of them."""
        length = length or self.samples
        if starts is None:
            starts = np.zeros(len(numbers), int)
        microvolts = np.stack(
            [
                self._signals[self.rows[number], :, start : start + length]
                for number, start in zip(numbers, starts, strict=True)
            ]
        )
        return scale_signal(microvolts, self.input_scale * MICROVOLTS_PER_MILLIVOLT)

    def _measure_scale(self) -> float:
        """Standard deviation in mV over all leads and samples of the split."""
        total = squares = 0.0
        for first in range(0, len(self.rows), CHUNK):
            chunk = self._signals[self.rows[first : first + CHUNK]].astype(np.float64)
            total += chunk.sum()
            squares += np.square(chunk).sum()
        n = len(self.rows) * len(LEADS) * self.samples
        return round(float(np.sqrt(squares / n - (total / n) ** 2)) / MICROVOLTS_PER_MILLIVOLT, 4)


def _refuse_gaps(index: Index, cache: SignalCache, folds: tuple[int, ...], split: str) -> None:
    absent = sorted(set(folds) - set(index.folds))
    if absent:
        raise DatasetError(
            f"the data set in {index.directory} has no fold {', '.join(map(str, absent))}, which split '{split}' needs"
        )
    in_split = set(index.table.index[np.isin(index.folds, folds)])
    unreadable = sorted(in_split & set(cache.unreadable))
    if unreadable:
        raise DatasetError(
            f"split '{split}' lacks {len(unreadable)} of {len(in_split)} recordings, the first: "
            f"{cache.unreadable[unreadable[0]]}. `python dataset.py check` lists them; "
            "`python dataset.py download` fetches what is missing"
        )


# --------------------------------------------------------------------------- commands


def check(index: Index, cache: SignalCache) -> tuple[str, bool]:
    """A readable report on the data set and whether it is whole."""
    lines, problems = [f"Data set in {index.directory}"], []
    if index.is_synthetic:
        lines.append(SYNTHETIC_NOTICE)
    lines.append(f"{len(index.table)} recordings of {index.table['patient_id'].nunique()} patients")
    lines.append("")
    lines.append(
        f"{'folds':>14} {'records':>8} " + " ".join(f"{name:>6}" for name in (*SUPERCLASSES, "none")) + "  unreadable"
    )
    for folds, expected in RELEASE_COUNTS.items():
        name = f"{folds[0]}-{folds[-1]}" if len(folds) > 1 else str(folds[0])
        counts, unreadable = _counts(index, cache, folds)
        lines.append(f"{name:>14} {counts[0]:>8} " + " ".join(f"{n:>6}" for n in counts[1:]) + f"  {unreadable:>10}")
        absent = sorted(set(folds) - set(index.folds))
        if not index.is_synthetic:
            lines.append(f"{'release 1.0.3':>14} {expected[0]:>8} " + " ".join(f"{n:>6}" for n in expected[1:]))
        if absent:
            problems.append(f"fold {', '.join(map(str, absent))} is missing: {_consequence(folds)}")
        elif not index.is_synthetic and counts != expected:
            problems.append(f"folds {name} differ from release 1.0.3 in records or labels")
        if unreadable:
            problems.append(f"folds {name}: {unreadable} recordings are missing or unreadable: {_consequence(folds)}")
    patient_folds = index.table.groupby("patient_id")["strat_fold"].nunique()
    crossing = patient_folds[patient_folds > 1].index.tolist()
    if crossing:
        problems.append(f"{len(crossing)} patients are in more than one fold (leakage), e.g. {crossing[:5]}")
    lines.append("")
    lines.append(f"patients in more than one fold: {len(crossing)}")
    at_500 = sum((index.directory / f"{name}.dat").is_file() for name in index.table["filename_hr"])
    lines.append(f"recordings also at 500 Hz: {at_500} (nothing in training or evaluation needs them)")
    for ecg_id, reason in list(cache.unreadable.items())[:20]:
        lines.append(f"  ecg_id {ecg_id}: {reason}")
    if len(cache.unreadable) > 20:
        lines.append(f"  and {len(cache.unreadable) - 20} more")
    lines.append("")
    if problems:
        lines.append("NOT WHOLE:")
        lines += [f"  - {problem}" for problem in problems]
    else:
        lines.append("Whole: every listed recording is there and matches its checksums.")
    return "\n".join(lines), not problems


def _counts(index: Index, cache: SignalCache, folds: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    in_folds = np.isin(index.folds, folds)
    labels = index.superclasses[in_folds]
    counts = (len(labels), *(int(n) for n in labels.sum(0)), int((~labels.any(1)).sum()))
    return counts, sum(ecg_id in cache.unreadable for ecg_id in index.table.index[in_folds])


def _consequence(folds: tuple[int, ...]) -> str:
    if folds == TRAIN_FOLDS:
        return "training cannot run; thresholds and evaluation of a shipped checkpoint can"
    if folds == (TEST_FOLD,):
        return "`--split test` cannot run; training, thresholds and `--split val` can"
    return "training, thresholds and `--split val` cannot run; `--split test` can"


def command_check(arguments) -> int:
    index = read_index(data_directory(arguments.data))
    report, whole = check(index, open_cache(index))
    print(report)
    return 0 if whole else 1


def command_cache(arguments) -> int:
    index = read_index(data_directory(arguments.data))
    cache = open_cache(index)
    print(
        f"{len(cache.signals) - len(cache.unreadable)} of {len(cache.signals)} recordings in {cache.signals.filename}"
    )
    for ecg_id, reason in list(cache.unreadable.items())[:20]:
        print(f"  left out: ecg_id {ecg_id}: {reason}")
    return 1 if cache.unreadable else 0


def draw_examples(directory: Path) -> None:
    """One textbook case of each class on ECG paper, the pictures in the generated set's README."""
    for number, (name, case) in enumerate(example_cases().items()):
        recording, _ = synthesise(case, 500, np.random.default_rng(number))
        findings = ", ".join(finding.code for finding in case.findings) or "normal"
        caption = f"{name}: {SUPERCLASS_NAMES[name]} ({findings}), {case.heart_rate:g}/min, age {case.age:g}"
        figure = paper.draw(recording, caption=caption, notice="Generated ECG, not a patient's")
        paper.save(figure, directory / "examples" / f"{name}.png")


def command_demo(arguments) -> int:
    recordings = write_dataset(Path(arguments.directory), arguments.patients, arguments.seed)
    draw_examples(Path(arguments.directory))
    print(f"{recordings} generated recordings in {arguments.directory}\n{SYNTHETIC_NOTICE}")
    return 0


def command_download(arguments) -> int:
    destination = Path(arguments.dest)
    if arguments.archive:
        download.extract_release(Path(arguments.archive), destination, arguments.rate)
    else:
        download.fetch_release(destination, arguments.rate, arguments.url, arguments.connections)
    arguments.data = destination
    return command_check(arguments)


def parser() -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    top = argparse.ArgumentParser(description="PTB-XL on disk: check, cache, generate, download.")
    commands = top.add_subparsers(dest="command", required=True)
    for name, function, text in (
        ("check", command_check, "report whether the data set is whole"),
        ("cache", command_cache, "build the signal cache"),
    ):
        sub = commands.add_parser(name, help=text, description=text, formatter_class=formatter)
        sub.add_argument("--data", help="PTB-XL's directory; None: PTBXL_DIR, else data/ptbxl")
        sub.set_defaults(function=function)
    sub = commands.add_parser("demo", help="write a small generated data set", formatter_class=formatter)
    sub.add_argument("directory", help="where to write it")
    sub.add_argument("--patients", type=int, default=400, help="how many generated patients")
    sub.add_argument("--seed", type=int, default=0, help="same seed, same bytes")
    sub.set_defaults(function=command_demo)
    sub = commands.add_parser("download", help="fetch PTB-XL 1.0.3 from PhysioNet", formatter_class=formatter)
    sub.add_argument("--rate", choices=("100", "500", "both"), default="100", help="sampling rate in Hz")
    sub.add_argument("--dest", default=str(DEFAULT_DATA), help="where to put it")
    sub.add_argument("--from", dest="archive", help="the release's zip on disk, instead of the network")
    sub.add_argument("--url", default=download.PHYSIONET_URL, help="where the release's files are served")
    sub.add_argument("--connections", type=int, default=8, help="parallel connections")
    sub.set_defaults(function=command_download)
    return top


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        return arguments.function(arguments)
    except (DatasetError, download.DownloadError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
