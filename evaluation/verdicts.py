"""What the rule of `inference.verdict` changes: contradictions, F1, exact match and coverage, before and after it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from config import SUPERCLASSES, TASK_CLASSES
from evaluation.coverage import decided_metrics
from inference.calibration import PARTS, fit_decisions, patient_parts
from inference.decisions import Decisions, log_odds
from inference.verdict import ABNORMAL, DOUBTS, MI, NORM, OUTSIDE_MI_VS_NORM, WITHHELD, Verdicts
from ptbxl.index import task_targets

BEFORE_THE_RULE = ("unusable", "poor quality", "near threshold")  # doubts of a verdict that has no other rule
HYP = SUPERCLASSES.index("HYP")


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


def effect(above: np.ndarray, verdicts: Verdicts, targets: np.ndarray, labelled: np.ndarray) -> dict:
    """F1 and exact match of thresholded classes and of verdicts, on recordings with a superclass and on all."""
    protocols = {"labelled": labelled, "all": np.ones(len(labelled), bool)}
    decided = {"before": above, "after": verdicts.classes}
    return {
        protocol: {
            when: {"n": int(chosen.sum()), **decided_metrics(classes, targets, chosen)}
            for when, classes in decided.items()
        }
        for protocol, chosen in protocols.items()
    }


def certain_before_and_after(
    above: np.ndarray, verdicts: Verdicts, targets: np.ndarray, labelled: np.ndarray
) -> dict[str, dict]:
    """Share, F1 and exact match of the certain recordings among those with a superclass."""
    before = np.any([verdicts.doubts[name] for name in BEFORE_THE_RULE], axis=0)
    cases = {"before": (above, before), "after": (verdicts.classes, verdicts.uncertain)}
    return {
        when: {
            "coverage": round(float((~uncertain)[labelled].mean()), 4),
            **decided_metrics(classes, targets, labelled & ~uncertain),
        }
        for when, (classes, uncertain) in cases.items()
    }


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
    yields = above.copy()
    yields[several, NORM] = False
    rules = {
        "none": above,
        "NORM yields to any other class": yields,
        "the larger excess over its threshold decides": larger,
        "NORM yields to MI and HYP only": excluding,
    }
    return {name: decided_metrics(classes, targets, labelled) for name, classes in rules.items()}
