"""Evaluate a multi-label network on fold 9 (val) or fold 10 (test).

    python eval_multilabel.py                # fold 9, the shipped network and thresholds
    python eval_multilabel.py --split test   # fold 10
    python eval_multilabel.py --compare artifacts/multilabel_best.pth artifacts/*_baseline.pth

Macro and per-class AUROC, AUPRC, F1, sensitivity, specificity, calibration and more, each with
a 95 % interval bootstrapped by patient; figures, predictions, JSON, and a Markdown table. Two
protocols: recordings with at least one superclass ("labelled", the published benchmark) and
all. On fold 9 whatever needs a threshold or a calibration is cross-fitted by patient.
"""

import argparse
import json
import sys
from datetime import date
from pathlib import Path

import torch
from tqdm import tqdm

from calibration import ThresholdsError, load_decisions
from config import SPLIT_FOLDS, SYNTHETIC_NOTICE, data_directory
from dataset import DatasetError, PTBXLDataset, read_index
from files import replacing, write_text
from training import comparison
from training.checkpoint import CheckpointError, load_checkpoint, machine_facts
from training.evaluation import (
    add_shared_flags,
    markdown_table,
    measure_all,
    predictions_of,
    score_recordings,
    score_split,
    write_predictions,
    write_results,
)
from training.metrics import BOOTSTRAP_DRAWS

TASK = "multilabel"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    parser.add_argument("--split", default="val", choices=("val", "test"), help="(default: %(default)s)")
    parser.add_argument("--thresholds", help=f"(default: {TASK}_thresholds.json in --out)")
    parser.add_argument(
        "--compare",
        nargs="+",
        metavar="CHECKPOINT",
        help="judge networks on the same recordings, each against the first; writes comparison_SPLIT.json",
    )
    return parser


def evaluate(arguments) -> dict:
    """Score, measure, write and print; returns the metrics file's content."""
    out = Path(arguments.out)
    scored = score_split(arguments, TASK, arguments.split)
    thresholds = Path(arguments.thresholds or out / f"{TASK}_thresholds.json")
    decisions = load_decisions(thresholds, TASK, {scored.score: scored.sha256})
    content, predictions = measure_all(scored, decisions, arguments.split, thresholds)
    paths = write_results(out, content, predictions)
    print(markdown_table(content))
    print(f"\n{content['model']}, {content['parameters']:,} parameters; fold {content['fold']}; {content['decisions']}")
    print("written: " + ", ".join(map(str, paths)))
    if scored.synthetic:
        print(SYNTHETIC_NOTICE)
    return content


def compare(arguments) -> dict:
    """Paired comparison of checkpoints against the first; returns the comparison file's content."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    out, paths = Path(arguments.out), [Path(path) for path in arguments.compare]
    checkpoints = [load_checkpoint(path) for path in paths]
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        if checkpoint.task != TASK:
            raise CheckpointError(f"{path} was trained for task {checkpoint.task}; only {TASK} networks are compared")
    names = comparison.unique_names(checkpoints, paths)
    index = read_index(data_directory(arguments.data))
    answers, hashes = [], []
    for name, path, checkpoint in tqdm(list(zip(names, paths, checkpoints, strict=True)), desc="networks"):
        tuned_on = score_recordings(path, checkpoint, PTBXLDataset(index, "val", TASK, checkpoint.input_scale))
        scored = tuned_on
        if arguments.split == "test":
            scored = score_recordings(path, checkpoint, PTBXLDataset(index, "test", TASK, checkpoint.input_scale))
        answers.append(comparison.answers_of(name, scored, tuned_on))
        hashes.append(scored.sha256)
        arrays = predictions_of(scored, answers[-1].calibrated, answers[-1].positive, answers[-1].certainty)
        write_predictions(out, name, TASK, arguments.split, arrays)
    recordings = scored.split
    rows = comparison.compare_answers(answers, recordings, recordings.labelled)
    sizes = comparison.size_and_speed(checkpoints)
    content = {
        "task": TASK,
        "split": arguments.split,
        "fold": SPLIT_FOLDS[arguments.split][0],
        "n": int(recordings.labelled.sum()),
        "synthetic": any(checkpoint.synthetic for checkpoint in checkpoints) or recordings.is_synthetic,
        "data_sha256": recordings.fold_sha256,
        "intervals": f"95 %, {BOOTSTRAP_DRAWS} paired bootstrap resamples by patient",
        "date": date.today().isoformat(),
        "machine": {**machine_facts(), "threads": 1},
        "networks": [
            {
                **row,
                **size,
                "checkpoint_sha256": sha256,
                "epochs": checkpoint.training["epochs"],
                "best_epoch": checkpoint.epoch,
                "learning_rate": checkpoint.training["learning_rate"],
            }
            for row, size, sha256, checkpoint in zip(rows, sizes, hashes, checkpoints, strict=True)
        ],
    }
    path = out / f"comparison_{arguments.split}.json"
    write_text(path, json.dumps(content, indent=1) + "\n")
    picture = out / "figures" / f"comparison_{arguments.split}.png"
    with replacing(picture) as unfinished:
        comparison.draw_comparison(content).savefig(unfinished, dpi=130)
    print(comparison.comparison_table(content))
    print(f"\nfold {content['fold']}, {content['n']:,} recordings with a superclass; {content['intervals']}")
    print(f"written: {path}, {picture}, predictions of each in {out / 'predictions'}")
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)
    return content


def main(argv: list[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    try:
        if arguments.compare:
            compare(arguments)
        else:
            evaluate(arguments)
    except (DatasetError, CheckpointError, ThresholdsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
