"""Metrics of one network on one split, and the files they are written to."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from config import SPLIT_FOLDS, VALIDATION_FOLD
from evaluation.bootstrap import BOOTSTRAP_DRAWS, metrics_with_intervals
from evaluation.coverage import coverage_metrics, quality_severities, verdict_of_network
from evaluation.figures import draw_confusion, draw_precision_recall, draw_reliability, draw_roc
from evaluation.predictions import (
    HeldOutDecisions,
    HeldOutFindings,
    SplitPredictions,
    held_out_decisions,
    prediction_arrays,
    write_predictions,
)
from evaluation.statements import benchmark_tasks, consistency, finding_metrics, rhythm_metrics, task_metrics
from files import replacing, sha256, write_text
from inference.decisions import Decisions
from inference.findings import assert_subclasses, keep_consistent, name_rhythm
from models import count_parameters

VERDICT_METRICS = ("f1", "sensitivity", "specificity", "exact_match")  # which the rule of `inference.verdict` changes


def evaluate_split(
    predictions: SplitPredictions, decisions: Decisions, split: str, thresholds: Path
) -> tuple[dict, dict[str, np.ndarray]]:
    """The metrics file's content and the predictions file's arrays for one split."""
    recordings = predictions.recordings
    held_out = held_out_decisions(predictions, decisions, split)
    severity = quality_severities(recordings)
    labelled, every = recordings.labelled, np.ones(len(recordings), bool)
    metrics, metrics_of_all = (_metrics(predictions, held_out, chosen) for chosen in (labelled, every))
    facts = {**evaluation_facts(predictions, decisions, split), "thresholds_sha256": sha256(thresholds)}
    content = {
        **facts,
        "macro": metrics.pop("macro"),
        "macro_all": metrics_of_all["macro"],
        **metrics,
        "coverage": coverage_metrics(
            *(a[labelled] for a in (held_out.positive, held_out.certainty, severity, recordings.targets)),
            None if held_out.asserted is None else held_out.asserted[labelled],
        ),
    }
    if len(recordings.classes) > 1:
        classes, _ = verdict_of_network(held_out.positive, held_out.certainty, severity, held_out.asserted)
        macro = _metrics(predictions, replace(held_out, positive=classes), labelled)["macro"]
        content["verdict"] = {key: macro[key] for key in VERDICT_METRICS}
    else:
        content["confusion"] = confusion(held_out.positive[:, 0], recordings.targets[:, 0])
    arrays = prediction_arrays(predictions, held_out, severity)
    if held_out.statements is not None:
        content["statements"] = {**facts, **statement_results(predictions, held_out, classes, severity)}
    return content, arrays


def statement_results(
    predictions: SplitPredictions, held_out: HeldOutDecisions, classes: np.ndarray, severity: np.ndarray
) -> dict:
    """The six tasks, every statement and subclass, the named rhythm, and how findings and superclasses agree.

    classes: the verdict's superclasses, bool ``(n, 5)``.
    """
    recordings, statements, subclasses = predictions.recordings, held_out.statements, held_out.subclasses
    tasks = benchmark_tasks(recordings.superclasses, statements.made, predictions.probabilities, statements.scores)
    kept = keep_consistent(held_out.asserted, classes, severity == "unusable")
    return {
        "tasks": task_metrics(tasks, recordings.patient_ids),
        "statements": findings_of(statements, kept, recordings.patient_ids),
        "subclasses": findings_of(
            subclasses, assert_subclasses(subclasses.above, subclasses.validated, classes, kept), recordings.patient_ids
        ),
        "rhythm": rhythm_metrics(
            name_rhythm(statements.calibrated, statements.above, statements.validated), statements.made
        ),
        "consistency": consistency(held_out.positive, classes, held_out.asserted, kept),
    }


def findings_of(findings: HeldOutFindings, asserted: np.ndarray, patient_ids: np.ndarray) -> dict:
    """Metrics by name: of decisions at the threshold, whether validated, and how often asserted by the product."""
    metrics = finding_metrics(findings.names, findings.scores, findings.made, findings.above, patient_ids)
    return {
        name: {**metrics[name], "validated": bool(findings.validated[k]), "n_asserted": int(asserted[:, k].sum())}
        for k, name in enumerate(findings.names)
    }


def evaluation_facts(predictions: SplitPredictions, decisions: Decisions, split: str) -> dict:
    """What was evaluated, on what, by which weights and rules."""
    checkpoint, recordings = predictions.checkpoint, predictions.recordings
    fitted = f"calibration and thresholds of fold {VALIDATION_FOLD}"
    cross_fitted = f"calibration and thresholds cross-fitted by patient inside fold {VALIDATION_FOLD}"
    return {
        "task": decisions.task,
        "split": split,
        "fold": SPLIT_FOLDS[split][0],
        "n": int(recordings.labelled.sum()),
        "n_all": len(recordings),
        "source": "measured by this repository's evaluation script",
        "synthetic": predictions.synthetic,
        "checkpoint_sha256": predictions.sha256,
        "data_sha256": recordings.fold_sha256,
        "model": checkpoint.model,
        "parameters": count_parameters(checkpoint.network()),
        "date": date.today().isoformat(),
        "decisions": cross_fitted if split == "val" else fitted,
        "score": decisions.score,
        "criterion": decisions.criterion,
        "intervals": f"95 %, {BOOTSTRAP_DRAWS} bootstrap resamples by patient",
        "configuration": checkpoint.training,
        "revision": checkpoint.revision,
    }


def _metrics(predictions: SplitPredictions, held_out: HeldOutDecisions, chosen: np.ndarray) -> dict:
    recordings = predictions.recordings
    arrays = (predictions.probabilities, held_out.calibrated, held_out.positive, recordings.targets)
    picked = (array[chosen] for array in arrays)
    return metrics_with_intervals(*picked, recordings.classes, recordings.patient_ids[chosen])


def confusion(positive: np.ndarray, targets: np.ndarray) -> dict[str, int]:
    """Counts of decisions ``(n,)`` against targets ``(n,)``."""
    truth = targets > 0
    return {
        "true_positive": int((positive & truth).sum()),
        "false_positive": int((positive & ~truth).sum()),
        "false_negative": int((~positive & truth).sum()),
        "true_negative": int((~positive & ~truth).sum()),
    }


def write_results(out: Path, content: dict, predictions: dict[str, np.ndarray]) -> list[Path]:
    """Metrics, predictions and figures of one evaluation; returns the paths written."""
    task, split = content["task"], content["split"]
    metrics = out / f"{task}_metrics_{split}.json"
    statements = content.pop("statements", None)
    write_text(metrics, json.dumps(content, indent=1) + "\n")
    if statements is not None:
        write_text(out / f"statements_metrics_{split}.json", json.dumps(statements, indent=1) + "\n")
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
