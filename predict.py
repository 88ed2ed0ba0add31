"""Diagnose ECG files: one, several, or a whole directory.

    python predict.py ecg.hea                           # a table on the screen
    python predict.py recordings/ --out results.csv     # or .parquet, .json; started again, it goes on
    python predict.py data.csv --sampling-rate 500 --units mV

Every format of docs/formats.md. A file that cannot be read never stops the rest: it is listed with its
reason in the "error" column, and the exit status is 2. A table goes on only with the networks, thresholds,
sampling rate and units it was begun with.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from config import DEFAULT_OUT, RESEARCH_ONLY, SUPERCLASSES
from ecg.readers import read_recording
from ecg.recording import RecordingError
from inference import InferenceError
from inference.backends import BACKENDS
from inference.diagnoser import Diagnoser, Diagnosis
from inference.results_table import ResultsTable, journal_path

SIGNAL_FILES = (".dat", ".mat", ".flac")  # belong to the header of the same name


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="FILE|DIR", help="ECG files, or directories to search")
    parser.add_argument("--out", help="results table: .csv, .parquet or .json (default: print)")
    parser.add_argument("--artifacts", default=str(DEFAULT_OUT), help="the networks (default: artifacts)")
    parser.add_argument(
        "--backend", default="onnx", choices=BACKENDS, help="what runs the networks (default: %(default)s)"
    )
    parser.add_argument("--sampling-rate", type=float, help="Hz, for files that do not say")
    parser.add_argument("--units", help="uV, mV or V, for files that do not say")
    parser.add_argument("--restart", action="store_true", help="forget what is in --out already and diagnose all again")
    return parser


def find_files(inputs: list[str]) -> list[Path]:
    """Every recording named or found below a directory, once; a WFDB record counts as its header."""
    found: dict[Path, None] = {}
    for name in inputs:
        path = Path(name)
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        below = [file for file in sorted(path.rglob("*")) if file.is_file()]
        visible = [file for file in below if "/." not in f"/{file.relative_to(path).as_posix()}"]
        for file in visible if path.is_dir() else [path]:
            found[_header_of(file)] = None
    if not found:
        raise ValueError(f"no files in {', '.join(inputs)}")
    return list(found)


def _header_of(path: Path) -> Path:
    header = path.with_suffix(".hea")
    return header if path.suffix.lower() in SIGNAL_FILES and header.is_file() else path


def settings_of(diagnoser: Diagnoser, arguments) -> dict[str, str]:
    """Whatever decides a row's content besides the file itself."""
    thresholds = {name: digest for name, digest in diagnoser.files.items() if name.endswith(".json")}
    networks = {name: digest for name, digest in diagnoser.files.items() if name not in thresholds}
    return {
        "backend": arguments.backend,
        "networks": _digest(networks),
        "thresholds": _digest(thresholds),
        "sampling_rate": "from file" if arguments.sampling_rate is None else f"{arguments.sampling_rate} Hz",
        "units": arguments.units or "from file",
    }


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]


def file_name(path: Path) -> str:
    """A path as it stands in the results; a name that is not UTF-8 with its odd bytes spelt out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def row_of(path: Path, diagnosis: Diagnosis) -> dict:
    """One line of the results."""
    return {
        "file": file_name(path),
        "error": None,
        "predicted_classes": " ".join(diagnosis.predicted_classes) or "none",
        **{f"p_{name}": round(diagnosis.probabilities[name], 4) for name in SUPERCLASSES},
        "p_mi_vs_norm": round(diagnosis.mi_vs_norm.probability, 4),
        "mi_vs_norm": diagnosis.mi_vs_norm.positive,
        "p_norm_vs_abnormal": round(diagnosis.norm_vs_abnormal.probability, 4),
        "norm_vs_abnormal": diagnosis.norm_vs_abnormal.positive,
        "uncertain": diagnosis.uncertain,
        "quality": diagnosis.quality.severity,
        "warnings": " ".join(diagnosis.warnings),
        "model": diagnosis.model["multilabel"][:12],
    }


def diagnose_file(diagnoser: Diagnoser, path: Path, sampling_rate: float | None, units: str | None) -> dict:
    """The line of one file, or why there is none."""
    try:
        return row_of(path, diagnoser.diagnose(read_recording(path, sampling_rate, units)))
    except (RecordingError, OSError) as error:
        model = diagnoser.networks["multilabel"].checkpoint_sha256[:12]
        return {"file": file_name(path), "error": str(error), "model": model}


def diagnose_files(diagnoser: Diagnoser, files: list[Path], arguments) -> Iterator[dict]:
    """One line after another, with a progress bar."""
    for path in tqdm(files, desc="diagnosing", unit="ECG", disable=len(files) < 2):
        yield diagnose_file(diagnoser, path, arguments.sampling_rate, arguments.units)


def predict(arguments) -> int:
    """Diagnose everything; returns the exit status."""
    files = find_files(arguments.inputs)
    diagnoser = Diagnoser.load(arguments.artifacts, arguments.backend)
    if not arguments.out:
        rows = list(diagnose_files(diagnoser, files, arguments))
        print_rows(rows)
        return report(rows)
    out = Path(arguments.out)
    own_files = {out.resolve(), journal_path(out).resolve()}
    files = [path for path in files if path.resolve() not in own_files]
    with ResultsTable(out, settings_of(diagnoser, arguments), arguments.restart) as table:
        todo = [path for path in files if file_name(path) not in table.rows]
        if len(todo) < len(files):
            done = len(files) - len(todo)
            print(f"{done:,} of {len(files):,} files are in {out} already; --restart diagnoses them again")
        for row in diagnose_files(diagnoser, todo, arguments):
            table.add(row)
    rows = list(table.rows.values())
    failed = sum(bool(row["error"]) for row in rows)
    print(f"{len(rows) - failed:,} ECGs diagnosed, {failed:,} failed; written: {out}")
    return report(rows)


def print_rows(rows: list[dict]) -> None:
    """The main columns as a table, then the warnings."""
    shown = [row for row in rows if not row["error"]]
    columns = ["file", "predicted_classes", *(f"p_{name}" for name in SUPERCLASSES), "p_mi_vs_norm", "uncertain"]
    if shown:
        print(pd.DataFrame(shown)[columns].to_string(index=False))
    for row in shown:
        if row["warnings"]:
            print(f"{row['file']}: {row['warnings']}")


def report(rows: list[dict]) -> int:
    """Say what failed; returns the exit status, 2 if a file failed."""
    failed = [row for row in rows if row["error"]]
    for row in failed:
        print(f"failed: {row['file']}: {row['error']}", file=sys.stderr)
    print(RESEARCH_ONLY)
    return 2 if failed else 0


def main(argv: list[str] | None = None) -> int:
    try:
        return predict(make_parser().parse_args(argv))
    except (InferenceError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
