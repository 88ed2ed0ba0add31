"""Diagnose ECG files: one, several, or a whole directory.

    python predict.py ecg.hea                           # on the screen
    python predict.py recordings/ --out results.csv     # or .parquet, .json; started again, it goes on
    python predict.py recordings/ --out results.csv --long statements.csv   # and a row a statement of each recording
    python predict.py data.csv --sampling-rate 500 --units mV

Every format of docs/formats.md, which describes the table too. A file that cannot be read never stops the rest: it is
listed with its reason in the "error" column and tried again by the next run. What is no recording in a directory, such
as a licence or a table, is passed over and listed. A table goes on only with the networks, thresholds, program,
sampling rate and units it was begun with; files that were replaced since are diagnosed again. The table has a
recording a row: a headline, rhythm, classes, asserted statements, and the probability of each of the 71 statements.
Any leads will do, from one to twelve; the row names them and what they cannot show.
--long FILE has a statement a row, with threshold, whether it is asserted and validated, and its SNOMED CT code; it is
made anew from the table of --out at the end of each run, so it goes on with that. Without --out and FILE it is printed.

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
import hashlib
import json
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from config import DEFAULT_OUT, LEADS, PROJECT, RESEARCH_ONLY, SUPERCLASSES
from ecg.readers import read_recording
from ecg.readers.folders import find_recordings, resolved, version_of
from ecg.recording import RecordingError
from ecg.statements import BY_CODE
from files import sha256
from inference import InferenceError
from inference.backends import BACKENDS
from inference.diagnoser import Diagnoser
from inference.result_rows import LONG_COLUMNS, columns_of, file_name, long_rows, row_of
from inference.results_table import (
    WRITERS,
    ResultsTable,
    TableError,
    journal_path,
    lock_path,
    open_long_table,
    open_table,
)
from inference.verdict import ANSWERS

SUCCESS, UNREADABLE_FILES, WRONG_ARGUMENTS, TABLE_UNUSABLE, NETWORKS_UNUSABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130
CODE = ("ecg/*.py", "ecg/readers/*.py", "inference/*.py")  # which decides the rows, together with the networks
LISTED = 20  # files passed over that are named one by one


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="FILE|DIR", help="ECG files, or directories to search")
    parser.add_argument("--out", help="results table: .csv, .parquet or .json (default: print)")
    parser.add_argument(
        "--long",
        nargs="?",
        const="",
        metavar="FILE",
        help="a row a statement of each recording too, .csv, .parquet or .json; FILE needs --out, and without FILE it "
        "lies beside --out as NAME_statements or is printed",
    )
    parser.add_argument("--intervals", action="store_true", help="measure PR, QRS, QT, QTc and axes too; 0.1 s an ECG")
    parser.add_argument("--artifacts", default=str(DEFAULT_OUT), help="the networks (default: artifacts)")
    parser.add_argument(
        "--backend", default="onnx", choices=BACKENDS, help="what runs the networks (default: %(default)s)"
    )
    parser.add_argument("--sampling-rate", type=float, help="Hz, for files that do not say")
    parser.add_argument("--units", help="uV, mV or V, for files that do not say")
    parser.add_argument("--restart", action="store_true", help="forget what is in --out already and diagnose all again")
    return parser


def settings_of(diagnoser: Diagnoser, arguments) -> dict[str, str]:
    """Whatever decides a row's content besides the file itself."""
    thresholds = {name: digest for name, digest in diagnoser.files.items() if name.endswith(".json")}
    networks = {name: digest for name, digest in diagnoser.files.items() if name not in thresholds}
    code = [PROJECT / "config.py", *sorted(file for room in CODE for file in PROJECT.glob(room))]
    return {
        "code": _digest({file.relative_to(PROJECT).as_posix(): sha256(file) for file in code}),
        "backend": arguments.backend,
        "networks": _digest(networks),
        "thresholds": _digest(thresholds),
        "sampling_rate": "from file" if arguments.sampling_rate is None else f"{arguments.sampling_rate} Hz",
        "units": arguments.units or "from file",
        "intervals": "yes" if arguments.intervals else "no",
    }


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]


def diagnose_file(diagnoser: Diagnoser, path: Path, arguments) -> dict:
    """The row of one file; whatever goes wrong with it is the row's error."""
    try:
        recording = read_recording(path, arguments.sampling_rate, arguments.units)
        return row_of(path, recording, diagnoser.diagnose(recording), arguments.intervals)
    except (RecordingError, OSError) as error:
        return row_of(path, error, None, arguments.intervals)
    except Exception as error:  # the other files of a night's run are not lost to a defect that one file shows
        traceback.print_exc()
        defect = RuntimeError(f"internal error, please report it: {type(error).__name__}: {error}")
        return row_of(path, defect, None, arguments.intervals)


def with_progress(files: list[Path]) -> Iterator[Path]:
    return tqdm(files, desc="diagnosing", unit="ECG", disable=len(files) < 2)


def predict(arguments) -> int:
    """Diagnose everything; returns the exit status."""
    out = resolved(arguments.out) if arguments.out else None
    if out and out.suffix.lower() not in WRITERS:
        raise ValueError(f"--out {arguments.out} must end in {', '.join(WRITERS)}")
    long = long_path(arguments.long, out)
    files, skipped = find_recordings(arguments.inputs)
    own_files = {path for table in (out, long) if table for path in (table, journal_path(table), lock_path(table))}
    files = [path for path in files if resolved(path) not in own_files]
    list_skipped({path: reason for path, reason in skipped.items() if resolved(path) not in own_files})
    diagnoser = Diagnoser.load(arguments.artifacts, arguments.backend)
    if not files:
        print(f"no recordings in {', '.join(arguments.inputs)}")
    if not out:
        rows = [diagnose_file(diagnoser, path, arguments) for path in with_progress(files)]
        print_rows(rows)
        if arguments.long is not None:
            print(long_rows(rows, diagnoser.statement_decisions).to_string(index=False, na_rep=""))
        return report(rows)
    columns, settings = columns_of(arguments.intervals), settings_of(diagnoser, arguments)
    with (
        open_long_table(long, LONG_COLUMNS) if long else nullcontext() as write_long,
        open_table(out, columns, settings, arguments.restart) as table,
    ):
        try:
            rows = fill_table(table, diagnoser, files, arguments)
        finally:
            if write_long:
                write_long(long_rows(table.rows.values(), diagnoser.statement_decisions))
    failed = sum(bool(row["error"]) for row in table.rows.values())
    written = [arguments.out, arguments.long or long] if long else [arguments.out]
    print(f"{len(table.rows) - failed:,} ECGs diagnosed, {failed:,} failed; written: {', '.join(map(str, written))}")
    return report(rows)


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


def fill_table(table: ResultsTable, diagnoser: Diagnoser, files: list[Path], arguments) -> list[dict]:
    """Diagnose what the table does not have yet; returns the rows of all files."""
    table.forget([key for key, row in table.rows.items() if row["error"] and not Path(key).exists()])
    keys = {path: file_name(resolved(path)) for path in files}
    todo = [path for path in files if not table.is_done(keys[path], version_of(path))]
    if len(todo) < len(files):
        done = len(files) - len(todo)
        print(f"{done:,} of {len(files):,} files are in {arguments.out} already; --restart diagnoses them again")
    for path in with_progress(todo):
        version = version_of(path)  # before it is read: a file replaced meanwhile is diagnosed again
        table.add(diagnose_file(diagnoser, path, arguments), keys[path], version)
    return [table.rows[key] for key in keys.values()]


def list_skipped(skipped: dict[Path, str]) -> None:
    """Say which files of a directory are passed over, and why."""
    if not skipped:
        return
    print(f"passed over, no recordings ({len(skipped):,}):", file=sys.stderr)
    for path, reason in list(skipped.items())[:LISTED]:
        print(f"  {file_name(path)}: {reason}", file=sys.stderr)
    further = Counter(list(skipped.values())[LISTED:])
    for reason, count in further.items():
        print(f"  and {count:,} more: {reason}", file=sys.stderr)


def print_rows(rows: list[dict]) -> None:
    """One recording in sentences, several as a table with what limits each below it."""
    shown = [row for row in rows if not row["error"]]
    if len(shown) == 1:
        return print_recording(shown[0])
    for row in shown:
        print(f"{row['file']}: {row['headline']}")
    columns = ["file", "predicted_classes", *(f"p_{name}" for name in SUPERCLASSES), "uncertain"]
    if shown:
        table = pd.DataFrame([row | {"predicted_classes": classes(row)} for row in shown])
        print(table[columns].to_string(index=False))
    for row in shown:
        for name, sentence in (leads(row) | statements(row) | limits(row)).items():
            print(f"{row['file']}: {name}: {sentence}")
    for sentence in dict.fromkeys(row["not_assessed"] for row in shown if row["not_assessed"]):
        print(f"not assessed: {sentence}")
    return None


def print_recording(row: dict) -> None:
    """The headline of one recording, what stands beside it, and the numbers."""
    numbers = {"probabilities": ", ".join(f"{name} {row[f'p_{name}']:.3f}" for name in SUPERCLASSES)}
    for task, (negative, positive) in ANSWERS.items():
        if row[task] is not None:
            answer = positive if row[task] else negative
            numbers[f"{negative} or {positive}"] = f"{answer}, probability of {positive} {row[f'p_{task}']:.3f}"
    measured = {name: row[name] for name in row if name == "heart_rate" or name.endswith(("_ms", "_deg", "beats"))}
    numbers["measured"] = ", ".join(f"{name} {value:g}" for name, value in measured.items() if value is not None)
    print(f"{row['file']}: {row['headline']}")
    found = {"classes": classes(row)} | statements(row) | limits(row) | {"not assessed": row["not_assessed"]}
    for name, text in (leads(row) | found | numbers).items():
        if text:
            print(f"  {name:<20}{text}")


def leads(row: dict) -> dict[str, str]:
    """The leads that were read, unless they are all twelve."""
    return {} if row["leads"].split() == list(LEADS) else {"leads": row["leads"].replace(" ", ", ")}


def statements(row: dict) -> dict[str, str]:
    """The asserted statements with their probabilities, the most probable first, where there are any."""
    said = [code for code in (row["statements"] or "none").split() if code != "none"]
    said.sort(key=lambda code: -row[f"statement_{code}"])
    named = [f"{code} {BY_CODE[code].name} {row[f'statement_{code}']:.3f}" for code in said]
    return {"statements": ", ".join(named)} if named else {}


def classes(row: dict) -> str:
    """The predicted classes; where none may be asserted, that."""
    return row["predicted_classes"] or "no class asserted"


def limits(row: dict) -> dict[str, str]:
    """What keeps one from relying on a row, by name, where there is anything."""
    sentences = {"uncertain": row["uncertain_because"], "withheld": row["withheld"], "warnings": row["warnings"]}
    return {name: sentence for name, sentence in sentences.items() if sentence}


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
