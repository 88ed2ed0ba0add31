"""Evaluate a network on other people's labelled ECGs, in the format of the PhysioNet/CinC Challenges 2020 and 2021.

    python eval_external.py data/cpsc_2018                                  # the shipped network and thresholds
    python eval_external.py data/georgia --out results                      # another place for what is written
    python eval_external.py data/georgia --checkpoint trained/multilabel_best.pth

DIR holds WFDB headers with SNOMED CT codes (#Dx: 426783006,164889003) or CPSC 2018's names, in any depth of folders,
and their .mat or .dat files. docs/external.md has the map from codes to classes. Written to --out: metrics as JSON, a
Markdown report, figures, and every record's probabilities; a run that was stopped goes on when it is started again.
Nothing is fitted to the collection but for comparison, and the shipped files stay as they are.

Records that cannot be used are listed with their reasons. Exit status: 0, 1 if nothing could be evaluated, 2 for wrong
arguments, 130 if interrupted.
"""

import argparse
import sys
from pathlib import Path

from config import CHECKPOINT_NAMES, DEFAULT_OUT, RESEARCH_ONLY, SYNTHETIC_NOTICE
from evaluation.external import evaluate_collection
from evaluation.external_collection import CollectionError, find_records
from evaluation.external_predictions import load_evaluated, predict_records
from evaluation.external_report import LISTED, all_classes, write_evaluation
from inference import InferenceError
from inference.decisions import ThresholdsError
from inference.results_table import TableError

INTERRUPTED = 130


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR", help="the collection")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where files go (default: artifacts)")
    parser.add_argument(
        "--checkpoint", help=".pth or .onnx (default: multilabel_best.pth in --out, else the shipped one in artifacts)"
    )
    parser.add_argument("--thresholds", help="default: multilabel_thresholds.json beside the checkpoint")
    parser.add_argument("--threads", type=int, default=1, help="of the network (default: %(default)s)")
    parser.add_argument("--restart", action="store_true", help="forget the predictions of earlier runs")
    return parser


def default_checkpoint(out: Path) -> Path:
    """The multi-label checkpoint in --out, or else the shipped one."""
    name = CHECKPOINT_NAMES["multilabel"]
    return out / name if (out / name).is_file() else DEFAULT_OUT / name


def evaluate(arguments) -> None:
    """Predict, evaluate, write and print."""
    directory, out = Path(arguments.directory), Path(arguments.out)
    records = find_records(directory)
    checkpoint = Path(arguments.checkpoint) if arguments.checkpoint else default_checkpoint(out)
    thresholds = Path(arguments.thresholds) if arguments.thresholds else None
    network = load_evaluated(checkpoint, thresholds, arguments.threads)
    name = directory.resolve().name
    print(f"{len(records):,} records in {directory}; network {checkpoint}, thresholds {network.thresholds_path}")
    rows = predict_records(network, records, out / f"external_predictions_{name}.csv", arguments.restart)
    content, classes = evaluate_collection(network, name, records, rows)
    paths = write_evaluation(out, content, classes)
    print_summary(content)
    print("written: " + ", ".join(map(str, paths)))


def print_summary(content: dict) -> None:
    """AUROC of every class, and what was left out."""
    for level, entries in all_classes(content).items():
        print(f"{level}:")
        for key, entry in entries.items():
            value, (low, high) = entry["auroc"]["value"], entry["auroc"]["ci95"]
            interval = f" ({low:.3f} to {high:.3f})" if low is not None else ""
            print(f"  {key:<40} AUROC {value:.3f}{interval}, {entry['n_positive']:,} of {entry['n']:,}")
    if "statement" not in content["levels"]:
        print("The network answers the superclasses only: subclasses and statements are left out.")
    if content["unmapped_codes"]:
        counts = ", ".join(f"{code} ({facts['n']:,})" for code, facts in content["unmapped_codes"].items())
        print(f"not mapped: {counts}")
    for one in content["refused"][:LISTED]:
        print(f"refused: {one['file']}: {one['reason']}", file=sys.stderr)
    if content["n_refused"] > LISTED:
        print(f"refused: {content['n_refused'] - LISTED:,} more, see the metrics file", file=sys.stderr)
    print(f"{content['n']:,} of {content['n_records']:,} records evaluated, {content['n_refused']:,} refused")
    print(SYNTHETIC_NOTICE if content["synthetic"] else RESEARCH_ONLY)


def main(argv: list[str] | None = None) -> int:
    try:
        evaluate(make_parser().parse_args(argv))
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where this one stopped", file=sys.stderr)
        return INTERRUPTED
    except (CollectionError, InferenceError, ThresholdsError, TableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
