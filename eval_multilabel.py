"""Evaluate a multi-label network on fold 9 (val) or fold 10 (test).

    python eval_multilabel.py                # fold 9, the shipped network and thresholds
    python eval_multilabel.py --split test   # fold 10

Macro and per-class AUROC, AUPRC, F1, sensitivity, specificity, calibration and more, each with
a 95 % interval bootstrapped by patient; figures, predictions, JSON, and a Markdown table. Two
protocols: recordings with at least one superclass ("labelled", the published benchmark) and
all. On fold 9 whatever needs a threshold or a calibration is cross-fitted by patient.
"""

import argparse
import sys
from pathlib import Path

from calibration import ThresholdsError, load_decisions
from config import SYNTHETIC_NOTICE
from dataset import DatasetError
from training.checkpoint import CheckpointError
from training.evaluation import add_shared_flags, markdown_table, measure_all, score_split, write_results

TASK = "multilabel"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    parser.add_argument("--split", default="val", choices=("val", "test"), help="(default: %(default)s)")
    parser.add_argument("--thresholds", help=f"(default: {TASK}_thresholds.json in --out)")
    return parser


def evaluate(arguments, task: str) -> dict:
    """Score, measure, write and print; returns the metrics file's content."""
    out = Path(arguments.out)
    scored = score_split(arguments, task, arguments.split)
    thresholds = Path(arguments.thresholds or out / f"{task}_thresholds.json")
    decisions = load_decisions(thresholds, task, scored.sha256)
    content, predictions = measure_all(scored, decisions, arguments.split, thresholds)
    paths = write_results(out, content, predictions)
    print(markdown_table(content))
    print(f"\n{content['model']}, {content['parameters']:,} parameters; fold {content['fold']}; {content['decisions']}")
    print("written: " + ", ".join(map(str, paths)))
    if scored.synthetic:
        print(SYNTHETIC_NOTICE)
    return content


def main(argv: list[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    try:
        evaluate(arguments, TASK)
    except (DatasetError, CheckpointError, ThresholdsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
