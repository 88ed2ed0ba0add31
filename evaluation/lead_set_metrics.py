"""What a network reaches with each canonical set of leads: superclasses, the six tasks, atrial fibrillation."""

from dataclasses import replace

import numpy as np

from config import TASK_CLASSES, Outputs
from dataset import PTBXLDataset
from ecg.lead_sets import CANONICAL_SETS, presence
from ecg.statements import CODES
from evaluation.bootstrap import point_and_interval, value_and_replicate_weights
from evaluation.lead_set_fits import cross_fitted_f1, ranking
from evaluation.metrics import all_metrics, auroc_and_auprc
from evaluation.predictions import predict_split
from evaluation.statements import benchmark_tasks, task_metrics
from inference.decisions import Decisions, task_probabilities
from models.recording_network import RecordingNetwork

TASK = "multilabel"


def lead_set_metrics(
    name: str, network: RecordingNetwork, split: PTBXLDataset, decisions: Decisions | None = None
) -> dict:
    """Metrics of one canonical set on a split of task "multilabel", each with its interval.

    decisions: thresholds and calibration for the F1; None: cross-fitted by patient inside the split.
    Macro AUROC, AUPRC and F1 are of the recordings with a superclass, as everywhere; ``afib_auroc`` is of all.
    """
    outputs = predict_split(network, split, np.arange(len(split)), presence(name, split.ecg_ids))
    scores = task_probabilities(network.outputs, outputs, TASK)
    labelled = split.labelled
    _, macro = ranking(scores[labelled], split.targets[labelled], split.patient_ids[labelled], TASK_CLASSES[TASK])
    return {
        "leads": list(CANONICAL_SETS[name]),
        **macro,
        "f1": macro_f1(scores, split, decisions),
        **statement_metrics(network.outputs, outputs, scores, split),
    }


def macro_f1(scores: np.ndarray, split: PTBXLDataset, decisions: Decisions | None) -> dict:
    """Macro F1 over the superclasses on the recordings that have one; scores ``(n, 5)``, uncalibrated."""
    if decisions is None:
        return cross_fitted_f1(scores, split.targets, split.patient_ids, split.labelled, TASK, {})
    decisions = replace(decisions, not_assessable=())  # F1 of every class, whether it may be asserted or not
    calibrated = decisions.calibrate(scores)
    weights = value_and_replicate_weights(split.patient_ids[split.labelled])
    arrays = (one[split.labelled] for one in (scores, calibrated, decisions.decide(calibrated), split.targets))
    return point_and_interval(all_metrics(*arrays, TASK_CLASSES[TASK], weights)["macro"]["f1"])


def statement_metrics(outputs: Outputs, probabilities: np.ndarray, scores: np.ndarray, split: PTBXLDataset) -> dict:
    """The six tasks and the AUROC of atrial fibrillation; nothing for a network without statements."""
    if not outputs.statements:
        return {}
    statements, made = probabilities[:, outputs.statement_columns], split.made(CODES)
    column, weights = CODES.index("AFIB"), value_and_replicate_weights(split.patient_ids)
    afib, _ = auroc_and_auprc(statements[:, column], made[:, column], weights)
    return {
        "afib_auroc": point_and_interval(afib),
        "tasks": task_metrics(benchmark_tasks(split.superclasses, made, scores, statements), split.patient_ids),
    }
