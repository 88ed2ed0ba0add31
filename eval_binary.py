"""Evaluate a binary task on fold 9 (val) or fold 10 (test).

    python eval_binary.py                                        # MI against NORM, fold 9
    python eval_binary.py --task norm_vs_abnormal
    python eval_binary.py --task mi_vs_norm --split test         # fold 10

AUROC, AUPRC, accuracy, F1, sensitivity, specificity, PPV, NPV, Brier and calibration error, each with
a 95 % interval bootstrapped by patient; confusion matrix, ROC, precision-recall and reliability
figures. The score is that of the network the thresholds file names in its "score"; the other
network's metrics stand beside it. On fold 9 thresholds and calibration are cross-fitted by patient.
"""

import argparse
import sys
from pathlib import Path

from config import BINARY_TASKS, SUPERCLASSES, SYNTHETIC_NOTICE, data_directory
from dataset import PTBXLDataset
from evaluation.bootstrap import metrics_with_intervals, ranking_with_intervals
from evaluation.cli import MULTILABEL_HELP, add_shared_flags, add_split_flag, exit_code
from evaluation.predictions import SplitPredictions, held_out_decisions, predict_by_both, predict_recordings
from evaluation.results import evaluate_split, write_results
from evaluation.tables import by_score_table, metrics_table
from inference.decisions import Decisions, load_decisions, task_probabilities

MI_LIMIT = (
    "An MI-vs-NORM network never saw ECGs that are neither; against all of them (ST/T changes, conduction "
    "disturbances and hypertrophy without infarction too) it separates less well."
)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    parser.add_argument(
        "--task", default="mi_vs_norm", choices=BINARY_TASKS, help="which question (default: %(default)s)"
    )
    add_split_flag(parser)
    parser.add_argument("--thresholds", help="thresholds and calibration (default: TASK_thresholds.json in --out)")
    parser.add_argument("--multilabel", help=MULTILABEL_HELP)
    return parser


def evaluate(arguments) -> dict:
    """Predict, evaluate, write and print; returns the metrics file's content."""
    out, task, split = Path(arguments.out), arguments.task, arguments.split
    by_score = predict_by_both(arguments, task, split)
    thresholds = Path(arguments.thresholds or out / f"{task}_thresholds.json")
    decisions = load_decisions(thresholds, task, {score: one.sha256 for score, one in by_score.items()})
    chosen = by_score[decisions.score]
    content, arrays = evaluate_split(chosen, decisions, split, thresholds)
    content["by_score"] = {score: score_metrics(one, decisions, split) for score, one in by_score.items()}
    if task == "mi_vs_norm":
        content["mi_against_everything"] = mi_against_everything(by_score, arguments)
    paths = write_results(out, content, arrays)
    print(metrics_table(content))
    print()
    print(by_score_table(content))
    print(f"\nscore: {content['score']} network ({chosen.path}); fold {content['fold']}; {content['decisions']}")
    print(
        "confusion: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in content["confusion"].items())
    )
    print("written: " + ", ".join(map(str, paths)))
    if chosen.synthetic:
        print(SYNTHETIC_NOTICE)
    return content


def score_metrics(predictions: SplitPredictions, decisions: Decisions, split: str) -> dict:
    """Metrics of one network's score; of its decisions only where they can be cross-fitted, on fold 9."""
    recordings, probabilities = predictions.recordings, predictions.probabilities
    facts = {"checkpoint_sha256": predictions.sha256}
    if split != "val":
        return facts | ranking_with_intervals(probabilities[:, 0], recordings.targets[:, 0], recordings.patient_ids)
    held_out = held_out_decisions(predictions, decisions, split)
    arrays = (probabilities, held_out.calibrated, held_out.positive, recordings.targets)
    return facts | metrics_with_intervals(*arrays, recordings.classes, recordings.patient_ids)["macro"]


def mi_against_everything(by_score: dict[str, SplitPredictions], arguments) -> dict:
    """How well each score finds infarctions among all recordings of the split, not only normal ones."""
    metrics, mi = {}, SUPERCLASSES.index("MI")
    for score, predictions in by_score.items():
        recordings = PTBXLDataset(
            data_directory(arguments.data), arguments.split, "multilabel", predictions.checkpoint.input_scale
        )
        everything = predict_recordings(predictions.path, predictions.checkpoint, recordings)
        probabilities = everything.probabilities
        truth, patients = recordings.targets[:, mi], recordings.patient_ids
        if score == "multilabel":
            metrics["multilabel, p(MI)"] = ranking_with_intervals(probabilities[:, mi], truth, patients)
            probabilities = task_probabilities(predictions.checkpoint.outputs, everything.outputs, "mi_vs_norm")
        metrics[f"{score}, MI against NORM"] = ranking_with_intervals(probabilities[:, 0], truth, patients)
    return {"n": len(recordings), "positives": int(truth.sum()), "limit": MI_LIMIT, "figures": metrics}


def main(argv: list[str] | None = None) -> int:
    return exit_code(evaluate, make_parser().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
