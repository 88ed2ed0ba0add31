"""Diagnose ECG files: one, several, or a whole directory.

    python predict.py ecg.hea                           # a table on the screen
    python predict.py recordings/ --out results.csv     # or .parquet, .json; started again, it goes on
    python predict.py data.csv --sampling-rate 500 --units mV

Every format of docs/formats.md. A file that cannot be read never stops the rest: it is listed with its
reason in the "error" column, and the exit status is 2.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from config import DEFAULT_OUT, RESEARCH_ONLY, SUPERCLASSES
from ecg.readers import read_recording
from ecg.recording import RecordingError
from files import replacing
from inference.backends import BACKENDS, InferenceError
from inference.diagnoser import Diagnoser, Diagnosis

SAVE_EVERY = 200  # files, so that little is lost when a long run is stopped
SIGNAL_FILES = (".dat", ".mat", ".flac")  # belong to the header of the same name
WRITERS = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
    ".json": lambda table, path: table.to_json(path, orient="records", indent=1),
}
READERS = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": lambda path: pd.read_json(path, orient="records")}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="FILE|DIR", help="ECG files, or directories to search")
    parser.add_argument("--out", help="results table: .csv, .parquet or .json (default: print)")
    parser.add_argument("--artifacts", default=str(DEFAULT_OUT), help="the networks (default: artifacts)")
    parser.add_argument("--backend", default="onnx", choices=BACKENDS, help="(default: %(default)s)")
    parser.add_argument("--sampling-rate", type=float, help="Hz, for files that do not say")
    parser.add_argument("--units", help="uV, mV or V, for files that do not say")
    parser.add_argument("--restart", action="store_true", help="diagnose again what is in --out already")
    return parser


def find_files(inputs: list[str]) -> list[Path]:
    """Every recording named or found below a directory, once; a WFDB record counts as its header."""
    found: dict[Path, None] = {}
    for name in inputs:
        path = Path(name)
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        for file in _below(path) if path.is_dir() else [path]:
            found[_header_of(file)] = None
    return list(found)


def _below(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts):
            yield path


def _header_of(path: Path) -> Path:
    header = path.with_suffix(".hea")
    return header if path.suffix.lower() in SIGNAL_FILES and header.is_file() else path


def row_of(path: Path, diagnosis: Diagnosis) -> dict:
    """One line of the results."""
    return {
        "file": str(path),
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
        return {
            "file": str(path),
            "error": str(error),
            "model": diagnoser.networks["multilabel"].checkpoint_sha256[:12],
        }


def earlier_rows(out: Path, model: str) -> list[dict]:
    """What a stopped run has left, of the same network and without errors."""
    if not out.is_file():
        return []
    table = READERS[out.suffix.lower()](out)
    if not {"file", "error", "model"} <= set(table):
        raise ValueError(f"{out} is not a results file of predict.py: choose another --out")
    done = table[table["error"].isna() & (table["model"].astype(str) == model)]
    return done.astype(object).where(done.notna(), None).to_dict("records")


def save(rows: list[dict], out: Path) -> None:
    """Write the results whole, in the format of the file's name."""
    with replacing(out) as unfinished:
        WRITERS[out.suffix.lower()](pd.DataFrame(rows), unfinished)


def predict(arguments) -> int:
    """Diagnose everything; returns the exit status."""
    out = Path(arguments.out) if arguments.out else None
    if out and out.suffix.lower() not in WRITERS:
        raise ValueError(f"--out {out} must end in {', '.join(WRITERS)}")
    files = find_files(arguments.inputs)
    diagnoser = Diagnoser.load(arguments.artifacts, arguments.backend)
    model = diagnoser.networks["multilabel"].checkpoint_sha256[:12]
    rows = earlier_rows(out, model) if out and not arguments.restart else []
    done = {row["file"] for row in rows}
    todo = [path for path in files if str(path) not in done and path != out]
    if done:
        print(
            f"{len(files) - len(todo):,} of {len(files):,} files are in {out} already; --restart diagnoses them again"
        )
    try:
        for number, path in enumerate(tqdm(todo, desc="diagnosing", unit="ECG", disable=len(todo) < 2), 1):
            rows.append(diagnose_file(diagnoser, path, arguments.sampling_rate, arguments.units))
            if out and number % SAVE_EVERY == 0:
                save(rows, out)
    finally:
        if out and rows:
            save(rows, out)
    return report(rows, out)


def report(rows: list[dict], out: Path | None) -> int:
    """Say what was done; returns 2 if a file failed."""
    failed = [row for row in rows if row["error"]]
    if out is None:
        shown = [row for row in rows if not row["error"]]
        columns = ["file", "predicted_classes", *(f"p_{name}" for name in SUPERCLASSES), "p_mi_vs_norm", "uncertain"]
        if shown:
            print(pd.DataFrame(shown)[columns].to_string(index=False))
        for row in shown:
            if row["warnings"]:
                print(f"{row['file']}: {row['warnings']}")
    else:
        print(f"{len(rows) - len(failed):,} ECGs diagnosed, {len(failed):,} failed; written: {out}")
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
