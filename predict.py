"""Diagnose ECG files: one, several, or a whole directory.

    python predict.py ecg.hea                           # on the screen
    python predict.py recordings/ --out results.csv     # or .parquet, .json; started again, it goes on
    python predict.py recordings/ --out results.csv --long statements.csv   # and a row a statement of each recording
    python predict.py data.csv --sampling-rate 500 --units mV
    python predict.py --manifest list.csv --out results     # an archive: partitions of Parquet, on all cores

Every format of docs/formats.md, which describes the table too. A file that cannot be read never stops the rest: it is
listed with its reason in the "error" column and tried again by the next run. What is no recording in a directory, such
as a licence or a table, is passed over and listed. A table goes on only with the networks, thresholds, program,
sampling rate and units it was begun with; files that were replaced since are diagnosed again. The table has a
recording a row: a headline, rhythm, classes, asserted statements, and the probability of each of the 71 statements.
Any leads will do, from one to twelve; the row names them and what they cannot show.
--long FILE has a statement a row, with threshold, whether it is asserted and validated, and its SNOMED CT code; it is
made anew from the table of --out at the end of each run, so it goes on with that. Without --out and FILE it is printed.

More than a few hundred files are diagnosed by one process a core (--workers), or by those of your own Dask scheduler
(--scheduler). --out without an ending is a directory of partitions, for archives of any size: recordings/ has those
that were diagnosed, quarantine/ the files that failed, with reasons; a file that kills its process ends there too.

Exit status:
    0    every recording was diagnosed, or there was none
    1    some recordings could not be read
    2    wrong arguments, such as a file that does not exist
    3    the results table cannot be used: another process writes it, it was begun with other settings, it is no results
         table, or it cannot be written
    4    the networks are missing or damaged
    130  interrupted by Ctrl-C; what was diagnosed is in the table, and the same command goes on
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C leaves no traceback while the libraries load

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from tqdm import tqdm

from archive.directory import PARTITION_SIZE, fill_directory, open_directory
from archive.listing import (
    Skipped,
    count_listed,
    partitions,
    recordings_below,
    recordings_listed,
)
from archive.scoring import Job, diagnose_file, settings_of
from archive.table import rows_in_order
from archive.workers import cores, processes
from config import DEFAULT_OUT, RESEARCH_ONLY
from ecg.readers.folders import find_recordings, resolved, version_of
from inference import InferenceError
from inference.backends import BACKENDS
from inference.diagnoser import Diagnoser
from inference.printed_rows import print_rows
from inference.result_rows import LONG_COLUMNS, columns_of, file_name, long_rows
from inference.results_table import (
    WRITERS,
    ResultsTable,
    TableError,
    journal_path,
    lock_path,
    open_long_table,
    open_table,
)

SUCCESS, UNREADABLE_FILES, WRONG_ARGUMENTS, TABLE_UNUSABLE, NETWORKS_UNUSABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130
FEW = 500  # files that one process has diagnosed before others have started


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", metavar="FILE|DIR", help="ECG files, or directories to search")
    parser.add_argument("--manifest", help="instead: a .csv or .parquet file that lists ECG files, one a row")
    parser.add_argument("--column", default="path", help="of the manifest that has their paths (default: %(default)s)")
    parser.add_argument(
        "--out",
        help="results table: .csv, .parquet or .json; without an ending, a directory of partitions (default: print)",
    )
    parser.add_argument(
        "--long",
        nargs="?",
        const="",
        metavar="FILE",
        help="a row a statement of each recording too, .csv, .parquet or .json; FILE needs --out, and without FILE it "
        "lies beside --out as NAME_statements or is printed",
    )
    parser.add_argument("--intervals", action="store_true", help="measure PR, QRS, QT, QTc and axes too; 0.1 s an ECG")
    parser.add_argument(
        "--no-quality", dest="quality", action="store_false", help="leave out quality and signs against sinus rhythm"
    )
    parser.add_argument("--artifacts", default=str(DEFAULT_OUT), help="the networks (default: artifacts)")
    parser.add_argument(
        "--backend", default="onnx", choices=BACKENDS, help="what runs the networks (default: %(default)s)"
    )
    parser.add_argument("--sampling-rate", type=float, help="Hz, for files that do not say")
    parser.add_argument("--units", help="uV, mV or V, for files that do not say")
    parser.add_argument(
        "--workers",
        type=int,
        help=f"processes beside this one, with --out; 0: none (default: one a core, from {FEW + 1} files on)",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="use the workers of this Dask scheduler instead")
    parser.add_argument(
        "--partition-size",
        type=int,
        metavar="N",
        help=f"recordings a partition of a directory (default: {PARTITION_SIZE})",
    )
    parser.add_argument("--restart", action="store_true", help="forget what is in --out already and diagnose all again")
    return parser


def predict(arguments) -> int:
    """Diagnose everything; returns the exit status."""
    if bool(arguments.inputs) == bool(arguments.manifest):
        raise ValueError("name ECG files or directories, or a --manifest of them")
    if (arguments.workers or 0) < 0:
        raise ValueError(f"--workers {arguments.workers}: 0, which is this process alone, or more")
    out = resolved(arguments.out) if arguments.out else None
    job = Job(
        artifacts=os.path.abspath(arguments.artifacts),
        backend=arguments.backend,
        sampling_rate=arguments.sampling_rate,
        units=arguments.units,
        intervals=arguments.intervals,
        quality=arguments.quality,
    )
    if out and (out.is_dir() or not out.suffix):
        return predict_archive(out, job, arguments)
    if out and out.suffix.lower() not in WRITERS:
        raise ValueError(f"--out {arguments.out} must end in {', '.join(WRITERS)}, or have no ending for a directory")
    return predict_files(out, job, arguments)


def predict_files(out: Path | None, job: Job, arguments) -> int:
    """Diagnose into one table, or on the screen."""
    long = long_path(arguments.long, out)
    own_files = {path for table in (out, long) if table for path in (table, journal_path(table), lock_path(table))}
    files = [path for path in list_files(arguments, own_files) if resolved(path) not in own_files]
    diagnoser = Diagnoser.load(job.artifacts, job.backend)
    if not files:
        print(f"no recordings in {', '.join(arguments.inputs) or arguments.manifest}")
    if not out:
        rows = [diagnose_file(diagnoser, path, job) for path in with_progress(files, len(files))]
        print_rows(rows)
        if arguments.long is not None:
            print(long_rows(rows, diagnoser.statement_decisions).to_string(index=False, na_rep=""))
        return report(rows)
    columns, settings = columns_of(job.intervals), settings_of(diagnoser, job)
    with (
        open_long_table(long, LONG_COLUMNS) if long else nullcontext() as write_long,
        open_table(out, columns, settings, arguments.restart) as table,
    ):
        try:
            rows = fill_table(table, diagnoser, files, job, arguments)
        finally:
            if write_long:
                write_long(long_rows(table.rows.values(), diagnoser.statement_decisions))
    failed = sum(bool(row["error"]) for row in table.rows.values())
    written = [arguments.out, arguments.long or long] if long else [arguments.out]
    print(f"{len(table.rows) - failed:,} ECGs diagnosed, {failed:,} failed; written: {', '.join(map(str, written))}")
    return report(rows)


def predict_archive(out: Path, job: Job, arguments) -> int:
    """Diagnose into a directory of partitions."""
    if arguments.long is not None:
        raise ValueError("--long goes with one table, not with a directory, whose rows have every statement already")
    settings, skipped, total = settings_of(Diagnoser.load(job.artifacts, job.backend), job), Skipped(out), None
    if arguments.manifest:
        manifest = resolved(arguments.manifest)
        inputs, total = [f"{manifest} column {arguments.column}"], count_listed(manifest, arguments.column)
        paths = recordings_listed(manifest, arguments.column)
    else:
        inputs = [file_name(resolved(given)) for given in arguments.inputs]
        paths = recordings_below(map(os.path.abspath, arguments.inputs), skipped)
    with (
        open_directory(out, job, settings, inputs, arguments.partition_size, arguments.restart) as (directory, size),
        processes(worker_count(arguments, FEW + 1), arguments.scheduler) as client,
        tqdm(total=total, desc="diagnosing", unit="ECG") as bar,
    ):
        counts = fill_directory(directory, partitions(paths, size), client, bar.update)
    for line in skipped.lines():
        print(line, file=sys.stderr)
    for file, reason in counts.failed.items():
        print(f"failed: {file}: {reason}", file=sys.stderr)
    diagnosed = f"{counts.diagnosed:,} ECGs diagnosed ({counts.kept:,} by an earlier run)"
    print(f"{diagnosed}, {counts.quarantined:,} failed; written: {arguments.out}")
    print(RESEARCH_ONLY)
    return UNREADABLE_FILES if counts.quarantined else SUCCESS


def list_files(arguments, own_files: set[Path]) -> list[Path]:
    """All files to diagnose, once each; what is passed over is listed."""
    if arguments.manifest:
        listed = recordings_listed(resolved(arguments.manifest), arguments.column)
        return list({resolved(path): path for path in listed}.values())
    files, skipped = find_recordings(arguments.inputs)
    list_skipped({path: reason for path, reason in skipped.items() if resolved(path) not in own_files})
    return files


def worker_count(arguments, files: int) -> int:
    """Processes beside this one."""
    return (cores() if files > FEW else 0) if arguments.workers is None else arguments.workers


def with_progress(paths: Iterable, total: int) -> Iterator:
    return tqdm(paths, desc="diagnosing", unit="ECG", total=total, disable=total < 2)


def long_path(given: str | None, out: Path | None) -> Path | None:
    """Where the long table is to be written, if anywhere. Raises ValueError for a place that cannot be meant."""
    if given is None or not (given or out):
        return None
    if not out:
        raise ValueError(f"--long {given} needs --out, the table of the recordings it is made from")
    long = resolved(given) if given else out.with_name(f"{out.stem}_statements{out.suffix}")
    if long.suffix.lower() not in WRITERS:
        raise ValueError(f"--long {given} must end in {', '.join(WRITERS)}")
    if long == out:
        raise ValueError("--long and --out name the same file: choose another for one of them")
    return long


def fill_table(table: ResultsTable, diagnoser: Diagnoser, files: list[Path], job: Job, arguments) -> list[dict]:
    """Diagnose what the table does not have yet; returns the rows of all files."""
    table.forget([key for key, row in table.rows.items() if row["error"] and not Path(key).exists()])
    keys = {path: file_name(resolved(path)) for path in files}
    todo = [path for path in files if not table.is_done(keys[path], version_of(path))]
    if len(todo) < len(files):
        done = len(files) - len(todo)
        print(f"{done:,} of {len(files):,} files are in {arguments.out} already; --restart diagnoses them again")
    with processes(worker_count(arguments, len(todo)), arguments.scheduler) as client:
        rows = rows_in_order(client, todo, job, table.settings) if client else rows_made_here(diagnoser, todo, job)
        for path, row in zip(todo, with_progress(rows, len(todo)), strict=True):
            table.add(row, keys[path], row["version"])
    return [table.rows[key] for key in keys.values()]


def rows_made_here(diagnoser: Diagnoser, files: list[Path], job: Job) -> Iterator[dict]:
    """A row a file with its version, as soon as it is diagnosed."""
    for path in files:
        version = version_of(path)  # before it is read: a file replaced meanwhile is diagnosed again
        yield diagnose_file(diagnoser, path, job) | {"version": version}


def list_skipped(skipped: dict[Path, str]) -> None:
    """Say which files of a directory are passed over, and why."""
    listed = Skipped()
    for path, reason in skipped.items():
        listed.add(path, reason)
    for line in listed.lines():
        print(line, file=sys.stderr)


def report(rows: list[dict]) -> int:
    """Say what failed; returns the exit status."""
    failed = [row for row in rows if row["error"]]
    for row in failed:
        print(f"failed: {row['file']}: {row['error']}", file=sys.stderr)
    print(RESEARCH_ONLY)
    return UNREADABLE_FILES if failed else SUCCESS


def main(argv: list[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    statuses = {InferenceError: NETWORKS_UNUSABLE, TableError: TABLE_UNUSABLE}
    try:
        return predict(arguments)
    except (InferenceError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return statuses.get(type(error), WRONG_ARGUMENTS)
    except KeyboardInterrupt:
        goes_on = f"what was diagnosed is in {arguments.out}, and the same command goes on" if arguments.out else ""
        print(f"interrupted; {goes_on or 'with --out the next run goes on where this one stopped'}", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # a run in the background may ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
