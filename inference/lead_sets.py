"""Calibration and thresholds of the any-leads network, one set of them for each canonical set of leads. numpy only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from config import LEADS, SUPERCLASSES, TASK_CLASSES, VALIDATION_FOLD
from ecg.lead_sets import FITTED_SETS, choose_lead_set
from ecg.statements import CODES
from files import write_text
from inference.decisions import (
    FINDING_NAMES,
    SMALLEST,
    Decisions,
    FindingDecisions,
    ThresholdsError,
    decisions_as_json,
    decisions_from_json,
)

IDENTITY = {"kind": "identity", "a": 1.0, "b": 1.0, "c": 0.0}
NO_THRESHOLD = 0.5  # stands where there is none; nothing is decided by it


@dataclass(frozen=True, eq=False, kw_only=True)
class LeadSetDecisions:
    """What turns the any-leads network's probabilities into decisions, for one set of leads.

    name: of `ecg.lead_sets.CANONICAL_SETS`; "" for a set without calibration, with which nothing is assessable.
    auroc: macro AUROC over the superclasses on fold 9; NaN if there is none.
    decisions: task to its decisions; their ``not_assessable`` classes are those whose AUROC's 95 % interval on fold 9
        reaches below 0.80 with these leads.
    """

    name: str
    auroc: float
    decisions: Mapping[str, Decisions]

    @property
    def not_assessable(self) -> tuple[str, ...]:
        """Superclasses and binary tasks that these leads do not show well enough."""
        multilabel = self.decisions["multilabel"].not_assessable
        return (*multilabel, *(t for t, one in self.decisions.items() if t != "multilabel" and one.not_assessable))


@dataclass(frozen=True, eq=False, kw_only=True)
class LeadSets:
    """The decisions of one any-leads checkpoint, by canonical set."""

    by_name: Mapping[str, LeadSetDecisions]

    def choose(self, present: np.ndarray) -> tuple[LeadSetDecisions, bool]:
        """The decisions for a recording with these leads, bool ``(12,)``, and whether they were fitted for just them.

        Without a canonical set among the leads the decisions are those of `without_calibration`.
        """
        name, exact = choose_lead_set(
            present, {name: float(np.nan_to_num(one.auroc)) for name, one in self.by_name.items()}
        )
        return (self.by_name[name], exact) if name else (self.without_calibration, False)

    @cached_property
    def without_calibration(self) -> LeadSetDecisions:
        """For leads that contain no canonical set: probabilities stay as they are, nothing is decided."""
        statements = next(iter(self.by_name.values())).decisions["multilabel"].statements is not None
        return LeadSetDecisions(
            name="",
            auroc=float("nan"),
            decisions={task: undecided(task, statements and task == "multilabel") for task in TASK_CLASSES},
        )

    def statements_not_assessable(self, of: LeadSetDecisions) -> tuple[str, ...]:
        """Codes of statements that twelve leads show well enough to be asserted, and these leads do not."""
        full, fewer = (one.decisions["multilabel"].statements for one in (self.by_name["12"], of))
        if full is None or fewer is None:
            return ()
        lost = zip(CODES, full.validated & ~fewer.validated, strict=True)
        return tuple(code for code, gone in lost if gone and code not in SUPERCLASSES)  # NORM goes with its class


def undecided(task: str, findings: bool) -> Decisions:
    """Decisions that change no probability and assert nothing; findings: with statements and subclasses."""
    classes = TASK_CLASSES[task]
    return Decisions(
        task=task,
        score="multilabel",
        classes=classes,
        criterion="none",
        sensitivity_floor=0.0,
        calibrators=(IDENTITY,) * len(classes),
        thresholds=(NO_THRESHOLD,) * len(classes),
        margin=SMALLEST,
        not_assessable=classes,
        **{level: _undecided_findings(names) for level, names in FINDING_NAMES.items() if findings},
    )


def _undecided_findings(names: tuple[str, ...]) -> FindingDecisions:
    return FindingDecisions(
        names=names,
        calibrators=(IDENTITY,) * len(names),
        thresholds=np.full(len(names), NO_THRESHOLD),
        validated=np.zeros(len(names), bool),
    )


def leads_phrase(present: np.ndarray) -> str:
    """The leads of a recording as they stand in a sentence; bool ``(12,)``.

    >>> leads_phrase(np.isin(LEADS, ("I", "II", "III", "aVR", "aVL", "aVF", "V2")))
    'the limb leads, V2'
    """
    names = [lead for lead, there in zip(LEADS, present, strict=True) if there]
    if len(names) == len(LEADS):
        return "all twelve leads"
    if all(present[:6]):
        return ", ".join(["the limb leads", *names[6:]])
    return ("lead " if len(names) == 1 else "leads ") + ", ".join(names)


def save_lead_sets(
    path: Path | str, lead_sets: LeadSets, checkpoint_sha256: str, fold: int, facts: dict, facts_by_set: dict[str, dict]
) -> None:
    """Write ``anylead_thresholds.json``; facts: further entries, of the file and of each set."""
    content = {
        "checkpoint_sha256": checkpoint_sha256,
        "fold": fold,
        **facts,
        "lead_sets": {
            name: {
                "auroc": {"value": None if np.isnan(one.auroc) else one.auroc},
                **facts_by_set.get(name, {}),
                "not_assessable": one.not_assessable,
                "decisions": {task: decisions_as_json(decisions) for task, decisions in one.decisions.items()},
            }
            for name, one in lead_sets.by_name.items()
        },
    }
    write_text(path, json.dumps(content, indent=1) + "\n")


def load_lead_sets(path: Path | str, checkpoint_sha256: str) -> LeadSets:
    """Read ``anylead_thresholds.json`` for the checkpoint with this hash.

    Raises ThresholdsError if the file is missing or malformed, was fitted for another checkpoint or on any fold but 9,
    or lacks a canonical set.
    """
    path, again = Path(path), "run python threshold_search.py --task anylead for this checkpoint"
    if not path.is_file():
        raise ThresholdsError(f"no thresholds at {path}: {again}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        fold, tuned_for = content["fold"], str(content["checkpoint_sha256"])
        by_name = {name: _lead_set_from_json(name, one) for name, one in content["lead_sets"].items()}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ThresholdsError(f"{path} is not a thresholds file: {type(error).__name__}: {error}") from error
    if fold != VALIDATION_FOLD:
        raise ThresholdsError(f"{path} was tuned on fold {fold}; only fold {VALIDATION_FOLD} may be used: {again}")
    if tuned_for != checkpoint_sha256:
        raise ThresholdsError(f"{path} was tuned for another checkpoint ({tuned_for[:12]}…): {again}")
    if missing := [name for name in FITTED_SETS if name not in by_name]:
        raise ThresholdsError(f"{path} lacks the lead sets {'; '.join(missing)}: {again}")
    return LeadSets(by_name=by_name)


def _lead_set_from_json(name: str, content: dict) -> LeadSetDecisions:
    decisions = {task: decisions_from_json(content["decisions"][task]) for task in TASK_CLASSES}
    if any(one.task != task or one.classes != TASK_CLASSES[task] for task, one in decisions.items()):
        raise ValueError(f"lead set {name} holds another task's thresholds")
    if decisions["multilabel"].classes != SUPERCLASSES or name not in FITTED_SETS:
        raise ValueError(f"lead set {name!r} is none that this version knows")
    auroc = content["auroc"]["value"]
    return LeadSetDecisions(name=name, auroc=float("nan") if auroc is None else float(auroc), decisions=decisions)
