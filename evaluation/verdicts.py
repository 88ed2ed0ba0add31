"""What the rule of `inference.verdict` changes: contradictions, F1, exact match and coverage, before and after it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from config import SUPERCLASSES, TASK_CLASSES
from ecg.statements import CODES
from evaluation.bootstrap import paired_difference, point_and_interval, value_and_replicate_weights
from evaluation.coverage import decided_metrics
from evaluation.metrics import decision_metrics
from evaluation.predictions import HeldOutFindings
from inference.calibration import PARTS, cross_fit_findings, fit_decisions, patient_parts
from inference.decisions import Decisions, FindingDecisions, log_odds
from inference.findings import OWNERS, RHYTHM_COLUMNS, implied_superclasses, keep_consistent
from inference.verdict import ABNORMAL, DOUBTS, MI, NORM, OUTSIDE_MI_VS_NORM, WITHHELD, Verdicts
from ptbxl.index import task_targets

BEFORE_THE_RULE = ("unusable", "poor quality", "near threshold")  # doubts of a verdict that has no other rule
HYP = SUPERCLASSES.index("HYP")
DIAGNOSTIC = OWNERS != ""
ADDS, DROPPED = "a statement adds its superclass", "a statement without its superclass is dropped"


@dataclass(frozen=True, eq=False)
class TaskDecisions:
    """One task's decisions on n recordings, by thresholds that did not see them.

    above: bool ``(n, classes)``. near: bool ``(n,)``. excess: ``(n, classes)``, log odds above the threshold.
    """

    above: np.ndarray
    near: np.ndarray
    excess: np.ndarray


def decide(decisions: Decisions, probabilities: np.ndarray) -> TaskDecisions:
    """Decisions by fitted thresholds; probabilities ``(n, classes)``, uncalibrated."""
    calibrated = decisions.calibrate(probabilities)
    return TaskDecisions(
        above=decisions.decide(calibrated),
        near=decisions.uncertain(calibrated),
        excess=log_odds(calibrated) - log_odds(np.array(decisions.thresholds)),
    )


def decide_cross_fitted(
    decisions: Decisions, probabilities: np.ndarray, superclasses: np.ndarray, patient_ids: np.ndarray
) -> TaskDecisions:
    """Decisions on fold 9 by fits on four fifths of its patients, applied to the last fifth.

    Each fit sees only recordings that belong to the task; it decides those that do not as well, as the product does.
    superclasses: bool ``(n, 5)``.
    """
    targets, belongs = task_targets(superclasses, decisions.task)
    parts = patient_parts(patient_ids)
    shape = (len(parts), len(TASK_CLASSES[decisions.task]))
    result = TaskDecisions(above=np.empty(shape, bool), near=np.empty(len(parts), bool), excess=np.empty(shape))
    for part in range(PARTS):
        held_out, rest = parts == part, (parts != part) & belongs
        fitted = fit_decisions(
            probabilities[rest],
            targets[rest],
            patient_ids[rest],
            decisions.task,
            criterion=decisions.criterion,
            sensitivity_floor=decisions.sensitivity_floor,
            score=decisions.score,
        )
        decided = decide(fitted, probabilities[held_out])
        for whole, of_part in zip(vars(result).values(), vars(decided).values(), strict=True):
            whole[held_out] = of_part
    return result


def decide_statements(
    decisions: FindingDecisions, scores: np.ndarray, made: np.ndarray, patient_ids: np.ndarray | None
) -> HeldOutFindings:
    """Statements by fitted thresholds, or with patient_ids by fits on four fifths of these patients for the last fifth.

    scores: uncalibrated. made: by the annotator. Both ``(n, 71)``.
    """
    if patient_ids is None:
        calibrated = decisions.calibrate(scores)
        above = decisions.above(calibrated)
    else:
        calibrated, above = cross_fit_findings(CODES, scores, made, patient_ids)
    return HeldOutFindings(
        names=CODES, scores=scores, calibrated=calibrated, above=above, made=made, validated=decisions.validated
    )


def contradictions(classes: np.ndarray, answers: Mapping[str, np.ndarray], shown: Mapping[str, np.ndarray]) -> dict:
    """How many recordings show each contradiction; classes bool ``(n, 5)``, answers and shown bool ``(n,)`` a task."""
    norm, mi, abnormal = classes[:, NORM], classes[:, MI], classes[:, ABNORMAL].any(axis=1)
    outside = classes[:, OUTSIDE_MI_VS_NORM].any(axis=1)
    says_abnormal, says_normal = (shown["norm_vs_abnormal"] & (answers["norm_vs_abnormal"] == yes) for yes in (1, 0))
    says_mi, says_no_mi = (shown["mi_vs_norm"] & (answers["mi_vs_norm"] == yes) for yes in (1, 0))
    found = {
        "NORM beside another class": norm & abnormal,
        "NORM beside MI": norm & mi,
        "NORM beside HYP": norm & classes[:, HYP],
        "NORM alone, but NORM against abnormal says abnormal": norm & ~abnormal & says_abnormal,
        "another class without NORM, but NORM against abnormal says normal": ~norm & abnormal & says_normal,
        "NORM alone, but MI against NORM says MI": norm & ~abnormal & says_mi,
        "MI alone, but MI against NORM says NORM": mi & ~norm & ~outside & says_no_mi,
        "MI against NORM answered beside STTC, CD or HYP": outside & shown["mi_vs_norm"],
        "of these, MI without MI among the classes": outside & says_mi & ~mi,
    }
    return {name: int(there.sum()) for name, there in found.items()}


def statement_contradictions(classes: np.ndarray, statements: np.ndarray) -> dict[str, int]:
    """How many recordings show each contradiction of superclasses ``(n, 5)`` and asserted statements ``(n, 71)``."""
    implied, norm = implied_superclasses(statements), statements[:, CODES.index("NORM")]
    found = {
        "a diagnostic statement without its superclass": (implied & ~classes).any(axis=1),
        "the class NORM beside a diagnostic statement": classes[:, NORM] & implied.any(axis=1),
        "the statement NORM without the class NORM": norm & ~classes[:, NORM],
        "several of the nine rhythms": statements[:, RHYTHM_COLUMNS].sum(axis=1) > 1,
    }
    return {name: int(there.sum()) for name, there in found.items()}


def effect(decided: Mapping[str, np.ndarray], targets: np.ndarray, labelled: np.ndarray) -> dict:
    """F1 and exact match of classes ``(n, 5)`` by what decided them, on recordings with a superclass and on all."""
    protocols = {"labelled": labelled, "all": np.ones(len(labelled), bool)}
    return {
        protocol: {
            name: {"n": int(chosen.sum()), **decided_metrics(classes, targets, chosen)}
            for name, classes in decided.items()
        }
        for protocol, chosen in protocols.items()
    }


def certain_only(
    cases: Mapping[str, tuple[np.ndarray, np.ndarray]], targets: np.ndarray, labelled: np.ndarray
) -> dict[str, dict]:
    """Share, F1 and exact match of the certain recordings among those with a superclass.

    cases: name to classes bool ``(n, 5)`` and which recordings are uncertain, bool ``(n,)``.
    """
    return {
        name: {
            "coverage": round(float((~uncertain)[labelled].mean()), 4),
            **decided_metrics(classes, targets, labelled & ~uncertain),
        }
        for name, (classes, uncertain) in cases.items()
    }


def uncertain_without_rule(verdicts: Verdicts) -> np.ndarray:
    """Which recordings are uncertain by margin and quality alone, bool ``(n,)``."""
    return np.any([verdicts.doubts[name] for name in BEFORE_THE_RULE], axis=0)


def statement_rules(
    above: np.ndarray,
    statements: HeldOutFindings,
    asserted: np.ndarray,
    targets: np.ndarray,
    labelled: np.ndarray,
    patient_ids: np.ndarray,
) -> dict:
    """What statements do to superclasses and to themselves by either rule, on recordings with a superclass.

    above: superclasses at or above their threshold, bool ``(n, 5)``. asserted: bool ``(n, 71)``, before they are held
    against the superclasses. The difference is dropped minus adds.
    """
    none = np.zeros(len(above), bool)
    implied = implied_superclasses(asserted)
    decided = {"thresholds alone": above, DROPPED: norm_yields(above), ADDS: norm_yields(above | implied)}
    weights = value_and_replicate_weights(patient_ids[labelled])
    draws = {name: _class_draws(classes[labelled], targets[labelled], weights) for name, classes in decided.items()}
    rows = {}
    for name, classes in decided.items():
        kept = asserted if classes is above else keep_consistent(asserted, classes, none)
        rows[name] = {key: point_and_interval(values) for key, values in draws[name].items()}
        rows[name]["statements"] = _statement_counts(kept[labelled], statements.made[labelled])
    added = implied & ~above & labelled[:, None]
    return {
        "rules": rows,
        "dropped_minus_adds": {key: paired_difference(draws[DROPPED][key], draws[ADDS][key]) for key in draws[ADDS]},
        "added": {
            name: {"n": int(added[:, k].sum()), "annotated": int((added[:, k] & (targets[:, k] > 0)).sum())}
            for k, name in enumerate(SUPERCLASSES)
            if k != NORM
        },
    }


def _class_draws(classes: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Macro F1 and exact match for each row of weights."""
    f1 = [decision_metrics(classes[:, k], targets[:, k], weights)["f1"] for k in range(len(SUPERCLASSES))]
    right = (classes == (targets > 0)).all(axis=1)
    return {"f1": np.mean(f1, axis=0), "exact_match": weights @ right / weights.sum(1)}


def _statement_counts(asserted: np.ndarray, made: np.ndarray) -> dict[str, int]:
    """Asserted diagnostic statements and how many of them the annotator made, other than NORM."""
    chosen = DIAGNOSTIC & (OWNERS != "NORM")
    return {"n": int(asserted[:, chosen].sum()), "right": int((asserted & made)[:, chosen].sum())}


def norm_yields(classes: np.ndarray) -> np.ndarray:
    """Classes bool ``(n, 5)`` with NORM only where there is no other."""
    yielded = classes.copy()
    yielded[:, NORM] &= ~classes[:, ABNORMAL].any(axis=1)
    return yielded


def doubts_apart(verdicts: Verdicts, targets: np.ndarray, labelled: np.ndarray) -> dict[str, dict]:
    """How many recordings have each doubt and no other, and how many of these verdicts are right in every class."""
    together = np.sum(list(verdicts.doubts.values()), axis=0)
    rows = {}
    for name in DOUBTS:
        there = verdicts.doubts[name]
        alone = there & (together == 1)
        rows[name] = {
            "n": int(there.sum()),
            "alone": int(alone.sum()),
            "exact_match": decided_metrics(verdicts.classes, targets, there & labelled)["exact_match"],
            "exact_match_alone": decided_metrics(verdicts.classes, targets, alone & labelled)["exact_match"],
        }
    return rows


def withheld_counts(verdicts: Verdicts) -> dict[str, dict[str, int]]:
    """Each binary task to how often its result is withheld, by reason; "" counts those shown."""
    return {
        task: {reason: int((reasons == reason).sum()) for reason in WITHHELD}
        for task, reasons in verdicts.withheld.items()
    }


def other_rules(decisions: TaskDecisions, targets: np.ndarray, labelled: np.ndarray) -> dict[str, dict]:
    """What F1 and exact match would be by other rules for NORM beside another class."""
    above = decisions.above
    norm_wins = decisions.excess[:, NORM] > decisions.excess[:, ABNORMAL].max(axis=1)
    several = above[:, NORM] & above[:, ABNORMAL].any(axis=1)
    larger, excluding = above.copy(), above.copy()
    larger[several, NORM] = norm_wins[several]
    larger[np.ix_(several & norm_wins, ABNORMAL)] = False
    excluding[several & above[:, [MI, HYP]].any(axis=1), NORM] = False
    rules = {
        "none": above,
        "NORM yields to any other class": norm_yields(above),
        "the larger excess over its threshold decides": larger,
        "NORM yields to MI and HYP only": excluding,
    }
    return {name: decided_metrics(classes, targets, labelled) for name, classes in rules.items()}
