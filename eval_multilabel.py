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
from evaluation.cli import add_shared_flags, add_split_flag, exit_code
from evaluation.comparison import ComparedNetwork, compare_networks, compare_tasks, size_and_speed, unique_names
from evaluation.coverage import quality_severities
from evaluation.figures import draw_comparison
from evaluation.predictions import (
    held_out_decisions,
    load_checkpoint_of,
    predict_recordings,
    predict_task,
    prediction_arrays,
    write_predictions,
)
from evaluation.results import evaluate_split, write_results
from evaluation.tables import (
    compared_tasks_table,
    comparison_table,
    metric_cell,
    metrics_table,
    rhythm_line,
    tasks_table,
)
from files import replacing, write_text
from inference.calibration import fit_decisions
from inference.decisions import load_decisions
from models.checkpoint import Checkpoint
from models.provenance import machine_facts
from ptbxl.index import Index, read_index

TASK = "multilabel"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    add_split_flag(parser)
    parser.add_argument("--thresholds", help=f"thresholds and calibration (default: {TASK}_thresholds.json in --out)")
    parser.add_argument(
        "--compare",
        nargs="+",
        metavar="CHECKPOINT",
        help="compare networks on the same recordings, each with the first; writes comparison_SPLIT.json",
    )
    return parser


def evaluate(arguments) -> dict:
    """Predict, evaluate, write and print; returns the metrics file's content."""
    out = Path(arguments.out)
    predictions = predict_task(arguments, TASK, arguments.split)
    thresholds = Path(arguments.thresholds or out / f"{TASK}_thresholds.json")
    decisions = load_decisions(thresholds, TASK, {predictions.score: predictions.sha256})
    content, arrays = evaluate_split(predictions, decisions, arguments.split, thresholds)
    statements = content.get("statements")
    paths = write_results(out, content, arrays)
    print(metrics_table(content))
    if statements is not None:
        print(f"\n{tasks_table(statements)}\n\n{rhythm_line(statements)}")
    print(f"\n{content['model']}, {content['parameters']:,} parameters; fold {content['fold']}; {content['decisions']}")
    f1, exact_match = (metric_cell(content["verdict"][key]) for key in ("f1", "exact_match"))
    print(f"by the rule of docs/verdict.md: F1 {f1}, all five classes right {exact_match}")
    print("written: " + ", ".join(map(str, paths)))
    if predictions.synthetic:
        print(SYNTHETIC_NOTICE)
    return content


def compare(arguments) -> dict:
    """Paired comparison of checkpoints with the first; returns the comparison file's content."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    out, split, paths = Path(arguments.out), arguments.split, [Path(path) for path in arguments.compare]
    checkpoints = [load_checkpoint_of(path, TASK) for path in paths]
    index = read_index(data_directory(arguments.data))
    severity = quality_severities(PTBXLDataset(index, split, TASK, input_scale=1.0))
    names, networks = unique_names(checkpoints, paths), []
    for name, path, checkpoint in zip(names, paths, tqdm(checkpoints, desc="networks"), strict=True):
        network = predict_and_decide(name, path, checkpoint, index, split)
        write_predictions(out, name, TASK, split, prediction_arrays(network.predictions, network.held_out, severity))
        networks.append(network)
    content = comparison_content(networks, split)
    path = out / f"comparison_{split}.json"
    write_text(path, json.dumps(content, indent=1) + "\n")
    picture = out / "figures" / f"comparison_{split}.png"
    with replacing(picture) as unfinished:
        draw_comparison(content).savefig(unfinished, dpi=130)
    print(comparison_table(content))
    print(f"\n{compared_tasks_table(content)}")
    print(f"\nfold {content['fold']}, {content['n']:,} recordings with a superclass; {content['intervals']}")
    print(f"written: {path}, {picture}, predictions of each in {out / 'predictions'}")
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)
    return content


def predict_and_decide(name: str, path: Path, checkpoint: Checkpoint, index: Index, split: str) -> ComparedNetwork:
    """One network on a split, by thresholds and calibration that are fitted on its own fold 9."""
    fold9 = PTBXLDataset(index, "val", TASK, checkpoint.input_scale)
    tuned_on = predict_recordings(path, checkpoint, fold9)
    predictions = tuned_on
    if split != "val":
        predictions = predict_recordings(path, checkpoint, PTBXLDataset(index, split, TASK, checkpoint.input_scale))
    decisions = fit_decisions(tuned_on.probabilities, fold9.targets, fold9.patient_ids, TASK)
    held_out = held_out_decisions(predictions, decisions, split)
    return ComparedNetwork(name=name, predictions=predictions, held_out=held_out)


def comparison_content(networks: list[ComparedNetwork], split: str) -> dict:
    """What comparison_SPLIT.json holds."""
    predicted = [network.predictions for network in networks]
    recordings, checkpoints = predicted[0].recordings, [predictions.checkpoint for predictions in predicted]
    rows = compare_networks(networks, recordings, recordings.labelled)
    tasks = compare_tasks(networks, recordings)
    sizes = size_and_speed(checkpoints)
    return {
        "task": TASK,
        "split": split,
        "fold": SPLIT_FOLDS[split][0],
        "n": int(recordings.labelled.sum()),
        "synthetic": any(predictions.synthetic for predictions in predicted),
        "data_sha256": recordings.fold_sha256,
        "intervals": f"95 %, {BOOTSTRAP_DRAWS} paired bootstrap resamples by patient",
        "date": date.today().isoformat(),
        "machine": {**machine_facts(), "threads": 1},
        "networks": [
            {
                **row,
                **size,
                "tasks": of_tasks,
                "checkpoint_sha256": predictions.sha256,
                "epochs": predictions.checkpoint.training["epochs"],
                "best_epoch": predictions.checkpoint.epoch,
                "learning_rate": predictions.checkpoint.training["learning_rate"],
            }
            for row, size, of_tasks, predictions in zip(rows, sizes, tasks, predicted, strict=True)
        ],
    }


def main(argv: list[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    return exit_code(compare if arguments.compare else evaluate, arguments)


if __name__ == "__main__":
    sys.exit(main())
