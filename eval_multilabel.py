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

from config import SPLIT_FOLDS, SYNTHETIC_NOTICE, data_directory
from dataset import PTBXLDataset
from evaluation.bootstrap import BOOTSTRAP_DRAWS
from evaluation.cli import add_shared_flags
from evaluation.comparison import compare_networks, compared_network, size_and_speed, unique_names
from evaluation.figures import draw_comparison
from evaluation.predictions import predict_recordings, predict_task, prediction_arrays, write_predictions
from evaluation.results import evaluate_split, write_results
from evaluation.tables import comparison_table, metrics_table
from files import replacing, write_text
from inference.decisions import ThresholdsError, load_decisions
from models.checkpoint import CheckpointError, load_checkpoint, machine_facts
from ptbxl.index import DatasetError, read_index

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
    scored = predict_task(arguments, TASK, arguments.split)
    thresholds = Path(arguments.thresholds or out / f"{TASK}_thresholds.json")
    decisions = load_decisions(thresholds, TASK, {scored.score: scored.sha256})
    content, predictions = evaluate_split(scored, decisions, arguments.split, thresholds)
    paths = write_results(out, content, predictions)
    print(metrics_table(content))
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
    names = unique_names(checkpoints, paths)
    index = read_index(data_directory(arguments.data))
    answers, hashes = [], []
    for name, path, checkpoint in tqdm(list(zip(names, paths, checkpoints, strict=True)), desc="networks"):
        tuned_on = predict_recordings(path, checkpoint, PTBXLDataset(index, "val", TASK, checkpoint.input_scale))
        scored = tuned_on
        if arguments.split == "test":
            scored = predict_recordings(path, checkpoint, PTBXLDataset(index, "test", TASK, checkpoint.input_scale))
        answers.append(compared_network(name, scored, tuned_on))
        hashes.append(scored.sha256)
        arrays = prediction_arrays(scored, answers[-1].calibrated, answers[-1].positive, answers[-1].certainty)
        write_predictions(out, name, TASK, arguments.split, arrays)
    recordings = scored.split
    rows = compare_networks(answers, recordings, recordings.labelled)
    sizes = size_and_speed(checkpoints)
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
        draw_comparison(content).savefig(unfinished, dpi=130)
    print(comparison_table(content))
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
