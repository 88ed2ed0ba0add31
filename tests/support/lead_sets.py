"""A network for missing leads with decisions for every canonical set, and recordings with few leads."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from config import LEADS, TASK_CLASSES
from ecg.lead_sets import FITTED_SETS
from ecg.recording import Recording
from ecg.statements import CODES
from files import sha256
from inference.lead_sets import LeadSetDecisions, LeadSets, save_lead_sets, undecided
from models.checkpoint import save_checkpoint
from tests.support.networks import ALL, NARROW_ANY_LEADS, checkpoint_of, narrow_network


def lead_sets(validated: dict[str, tuple[str, ...]] | None = None) -> LeadSets:
    """Uncalibrated with thresholds of 0.5 and AUROCs in the order of the sets; lead I shows neither MI nor MI-vs-NORM.

    validated: codes of the statements that may be asserted with a set; AFIB, SR and IMI with all but single leads,
    AFIB and SR with those.
    """
    by_name = {}
    for number, name in enumerate(FITTED_SETS):
        decisions = {task: replace(undecided(task, task == "multilabel"), not_assessable=()) for task in TASK_CLASSES}
        if name == "I":
            decisions["multilabel"] = replace(decisions["multilabel"], not_assessable=("MI",))
            decisions["mi_vs_norm"] = undecided("mi_vs_norm", False)
        single = name in LEADS
        codes = ("AFIB", "SR") if single else ("AFIB", "SR", "IMI")
        if validated is not None:
            codes = validated.get(name, ())
        statements = replace(decisions["multilabel"].statements, validated=np.isin(CODES, codes))
        decisions["multilabel"] = replace(decisions["multilabel"], statements=statements)
        by_name[name] = LeadSetDecisions(name=name, auroc=0.9 - number / 100, decisions=decisions)
    return LeadSets(by_name=by_name)


def write_anylead(directory: Path) -> None:
    """A network of random weights and its decisions, as training and threshold_search.py leave them."""
    path = directory / "anylead_best.pth"
    network = narrow_network(ALL, branch=True, arguments=NARROW_ANY_LEADS)
    save_checkpoint(path, checkpoint_of(network, model_arguments=NARROW_ANY_LEADS))
    save_lead_sets(directory / "anylead_thresholds.json", lead_sets(), sha256(path), 9, {}, {})


def with_leads(recording: Recording, *leads: str) -> Recording:
    """The recording as if only these leads had been recorded."""
    present = np.isin(LEADS, leads)
    return replace(recording, signal=recording.signal * present[:, None], present=present)
