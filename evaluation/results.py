"""Metrics of one network on one split, and the files they are written to."""

import json
from datetime import date
from pathlib import Path

import numpy as np

from config import SPLIT_FOLDS, VALIDATION_FOLD
from evaluation.bootstrap import BOOTSTRAP_DRAWS, metrics_with_intervals
from evaluation.coverage import coverage_metrics
from evaluation.figures import draw_confusion, draw_precision_recall, draw_reliability, draw_roc
from evaluation.predictions import SplitPredictions, prediction_arrays, write_predictions
from files import replacing, sha256, write_text
from inference.calibration import cross_fit
from inference.decisions import Decisions
from models import count_parameters


def decide(scored: SplitPredictions, decisions: Decisions, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated probabilities and decisions ``(n, classes)`` and certainty ``(n,)`` that no fit has seen.

    Fold 9 is where thresholds were fitted, so there they are cross-fitted by patient; on any other
    split the fitted ones apply.
    """
    if split == "val":
        recordings = scored.split
        return cross_fit(
            scored.probabilities,
            recordings.targets,
            recordings.patient_ids,
            decisions.task,
            criterion=decisions.criterion,
            sensitivity_floor=decisions.sensitivity_floor,
        )
    calibrated = decisions.calibrate(scored.probabilities)
    return calibrated, decisions.decide(calibrated), decisions.clearance(calibrated) / decisions.margin


def evaluate_split(
    scored: SplitPredictions, decisions: Decisions, split: str, thresholds_path: Path
) -> tuple[dict, dict]:
    """The metrics file's content and the predictions file's arrays for one split."""
    recordings, probabilities = scored.split, scored.probabilities
    calibrated, positive, certainty = decide(scored, decisions, split)
    labelled, everything = recordings.labelled, np.ones(len(recordings), bool)
    figures = _metrics(scored, calibrated, positive, labelled)
    all_figures = _metrics(scored, calibrated, positive, everything)
    content = {
        "task": decisions.task,
        "split": split,
        "fold": SPLIT_FOLDS[split][0],
        "n": int(labelled.sum()),
        "n_all": len(recordings),
        "source": "measured by this repository's evaluation script",
        "synthetic": scored.synthetic,
        "checkpoint_sha256": scored.sha256,
        "thresholds_sha256": sha256(thresholds_path),
        "data_sha256": recordings.fold_sha256,
        "model": scored.checkpoint.model,
        "parameters": count_parameters(scored.checkpoint.network()),
        "date": date.today().isoformat(),
        "decisions": (
            f"calibration and thresholds cross-fitted by patient inside fold {VALIDATION_FOLD}"
            if split == "val"
            else f"calibration and thresholds of fold {VALIDATION_FOLD}"
        ),
        "score": decisions.score,
        "criterion": decisions.criterion,
        "intervals": f"95 %, {BOOTSTRAP_DRAWS} bootstrap resamples by patient",
        "configuration": scored.checkpoint.training,
        "revision": scored.checkpoint.revision,
        "macro": figures.pop("macro"),
        "macro_all": all_figures.pop("macro"),
        **figures,
        "coverage": coverage_metrics(positive[labelled], certainty[labelled], recordings.targets[labelled]),
    }
    if len(recordings.classes) == 1:
        content["confusion"] = confusion(positive[:, 0], recordings.targets[:, 0])
    if split == "val":
        seen = decisions.calibrate(probabilities)
        content["in_sample"] = _metrics(scored, seen, decisions.decide(seen), labelled)["macro"]
    return content, prediction_arrays(scored, calibrated, positive, certainty)


def confusion(positive: np.ndarray, targets: np.ndarray) -> dict[str, int]:
    """Counts of decisions ``(n,)`` against targets ``(n,)``."""
    truth = targets > 0
    return {
        "true_positive": int((positive & truth).sum()),
        "false_positive": int((positive & ~truth).sum()),
        "false_negative": int((~positive & truth).sum()),
        "true_negative": int((~positive & ~truth).sum()),
    }


def _metrics(scored: SplitPredictions, calibrated: np.ndarray, positive: np.ndarray, chosen: np.ndarray) -> dict:
    recordings = scored.split
    return metrics_with_intervals(
        scored.probabilities[chosen],
        calibrated[chosen],
        positive[chosen],
        recordings.targets[chosen],
        recordings.classes,
        recordings.patient_ids[chosen],
    )


def write_results(out: Path, content: dict, predictions: dict) -> list[Path]:
    """Metrics, predictions and figures of one evaluation; returns the paths written."""
    task, split = content["task"], content["split"]
    metrics = out / f"{task}_metrics_{split}.json"
    write_text(metrics, json.dumps(content, indent=1) + "\n")
    arrays = write_predictions(out, content["model"], task, split, predictions)
    pictures, drawings = [], {"roc": draw_roc, "pr": draw_precision_recall, "reliability": draw_reliability}
    if "confusion" in content:
        drawings["confusion"] = draw_confusion
    for name, draw in drawings.items():
        path = out / "figures" / f"{task}_{name}_{split}.png"
        with replacing(path) as unfinished:
            draw(content, predictions).savefig(unfinished, dpi=130)
        pictures.append(path)
    return [metrics, arrays, *pictures]
