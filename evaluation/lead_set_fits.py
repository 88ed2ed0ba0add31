"""Calibration and thresholds of the any-leads network for each canonical set of leads, fitted on fold 9."""

from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from config import BINARY_TASKS, SUPERCLASSES, TASK_CLASSES
from dataset import PTBXLDataset
from ecg.lead_sets import FITTED_SETS, presence
from ecg.statements import BY_CODE, CODES, SUBCLASS_OWNERS, SUBCLASSES, any_present, any_probability, subclass_columns
from evaluation.bootstrap import point_and_interval, value_and_replicate_weights
from evaluation.metrics import all_metrics, auroc_and_auprc
from evaluation.predictions import predict_split
from evaluation.statements import LEAST_AUROC, ranking_by_name, validated
from inference.calibration import cross_fit, fit_decisions, fit_findings, has_both_outcomes
from inference.decisions import task_probabilities
from inference.lead_sets import LeadSetDecisions
from models.recording_network import RecordingNetwork
from ptbxl.index import task_targets

OWNERS = {
    "statements": [BY_CODE[code].superclass for code in CODES],
    "subclasses": list(SUBCLASS_OWNERS),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedLeadSet:
    """Decisions for one canonical set, and what they reach on fold 9, ready for the thresholds file."""

    decisions: LeadSetDecisions
    facts: dict


def fit_lead_sets(
    network: RecordingNetwork, split: PTBXLDataset, criterion: str, sensitivity_floor: float
) -> dict[str, FittedLeadSet]:
    """Fit every canonical set. split: fold 9, of task "multilabel". criterion: as of `fit_decisions`."""
    fitted = {}
    for name in tqdm(FITTED_SETS, desc="lead sets", unit="set", leave=False):
        outputs = predict_split(network, split, np.arange(len(split)), presence(name, split.ecg_ids))
        fitted[name] = fit_lead_set(name, network, split, outputs, criterion, sensitivity_floor)
    return fitted


def fit_lead_set(
    name: str,
    network: RecordingNetwork,
    split: PTBXLDataset,
    outputs: np.ndarray,
    criterion: str,
    sensitivity_floor: float,
) -> FittedLeadSet:
    """Fit one canonical set; outputs: the network's probabilities with its leads, ``(n, outputs)``."""
    facts, decisions = {}, {}
    for task in TASK_CLASSES:
        targets, belongs = task_targets(split.superclasses, task)
        scores = task_probabilities(network.outputs, outputs, task)
        asked = belongs & (split.labelled if task == "multilabel" else True)
        by_class, macro = ranking(scores[asked], targets[asked], split.patient_ids[asked], TASK_CLASSES[task])
        left_out = tuple(one for one, auroc in by_class.items() if not is_assessable(auroc))
        choices = {
            "criterion": criterion, "sensitivity_floor": sensitivity_floor, "not_assessable": left_out
        }  # fmt: skip
        arrays = scores[belongs], targets[belongs], split.patient_ids[belongs]
        decisions[task] = fit_decisions(*arrays, task, **choices)
        f1 = cross_fitted_f1(*arrays, asked[belongs], task, choices)
        facts[task] = {"n": int(asked.sum()), **macro, "f1": f1, "auroc_by_class": by_class}
    if len(network.outputs.statements):
        scores = outputs[:, network.outputs.statement_columns]
        fits, facts["findings"] = fit_lead_set_findings(scores, split, decisions["multilabel"].not_assessable)
        decisions["multilabel"] = replace(decisions["multilabel"], **fits)
    auroc = facts["multilabel"]["auroc"]["value"]
    named = LeadSetDecisions(name=name, auroc=float("nan") if auroc is None else auroc, decisions=decisions)
    facts |= {key: facts["multilabel"][key] for key in ("auroc", "auprc", "f1")}
    return FittedLeadSet(decisions=named, facts=facts)


def is_assessable(auroc: dict) -> bool:
    """Whether an AUROC's 95 % interval lies at or above 0.80."""
    low = auroc["ci95"][0]
    return low is not None and low >= LEAST_AUROC


def ranking(
    scores: np.ndarray, targets: np.ndarray, patient_ids: np.ndarray, classes: tuple[str, ...]
) -> tuple[dict[str, dict], dict[str, dict]]:
    """AUROC of each class, and macro AUROC and AUPRC over those with both outcomes, each with its interval."""
    weights = value_and_replicate_weights(patient_ids)
    areas = [auroc_and_auprc(scores[:, k], targets[:, k], weights) for k in range(len(classes))]
    by_class = {name: point_and_interval(auroc) for name, (auroc, _) in zip(classes, areas, strict=True)}
    both = [pair for pair, there in zip(areas, has_both_outcomes(targets), strict=True) if there]
    missing = np.full((2, len(weights)), np.nan)
    auroc, auprc = np.mean(both, axis=0) if both else missing
    return by_class, {"auroc": point_and_interval(auroc), "auprc": point_and_interval(auprc)}


def cross_fitted_f1(
    scores: np.ndarray, targets: np.ndarray, patient_ids: np.ndarray, asked: np.ndarray, task: str, choices: dict
) -> dict:
    """Macro F1 of decisions by fits that never saw the recording, on those of the protocol (asked: bool ``(n,)``).

    What is not assessable is never asserted, but its F1 at its threshold is what is reported.
    """
    calibrated, positive, _ = cross_fit(scores, targets, patient_ids, task, **{**choices, "not_assessable": ()})
    weights = value_and_replicate_weights(patient_ids[asked])
    arrays = (one[asked] for one in (scores, calibrated, positive, targets))
    return point_and_interval(all_metrics(*arrays, TASK_CLASSES[task], weights)["macro"]["f1"])


def fit_lead_set_findings(
    scores: np.ndarray, split: PTBXLDataset, not_assessable: tuple[str, ...]
) -> tuple[dict, dict]:
    """Calibration and thresholds of statements and subclasses, and the metrics that say which are validated.

    A statement or subclass of a superclass that is not assessable is not validated either.
    """
    made, fits, facts = split.made(CODES), {}, {}
    columns = subclass_columns()
    arrays = {
        "statements": (CODES, scores, made),
        "subclasses": (SUBCLASSES, any_probability(scores, columns), any_present(made, columns)),
    }
    for level, (names, of_level, targets) in arrays.items():
        facts[level] = ranking_by_name(names, of_level, targets, split.patient_ids)
        usable = validated(facts[level]) & ~np.isin(OWNERS[level], not_assessable)
        fits[level] = fit_findings(names, of_level, targets, usable)
    return fits, facts


def describe(name: str, fitted: FittedLeadSet) -> str:
    """One line a lead set, for the screen."""
    one = fitted.decisions
    binary = ", ".join(f"{task} {fitted.facts[task]['auroc']['value'] or float('nan'):.4f}" for task in BINARY_TASKS)
    statements = one.decisions["multilabel"].statements
    said = f", {statements.validated.sum()} statements validated" if statements else ""
    return (
        f"{name:8} AUROC {one.auroc:.4f} (of {len(SUPERCLASSES)}), {binary}{said}; "
        f"not assessable: {', '.join(one.not_assessable) or 'none'}"
    )
