"""From an uncalibrated to a calibrated probability, and from a probability to a decision. numpy only.

Calibrators are monotone per class; `inference.calibration` fits them. `inference.verdict` makes a verdict of decisions.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from config import SUPERCLASSES, TASK_CLASSES, VALIDATION_FOLD, Outputs
from ecg.statements import CODES, SUBCLASSES
from files import write_text

FINDING_NAMES = {"statements": CODES, "subclasses": SUBCLASSES}
SMALLEST = 1e-6  # probabilities are kept this far from 0 and 1 before a logarithm


class ThresholdsError(ValueError):
    """A thresholds file that cannot be used; the message says why and what to do."""


def multilabel_score(probabilities: np.ndarray, task: str) -> np.ndarray:
    """The multi-label network's score ``(n, 1)`` in (0, 1) for a binary task, from its probabilities ``(n, 5)``.

    mi_vs_norm: the logistic function of logit MI - logit NORM; norm_vs_abnormal: 1 - p(NORM).
    """
    norm = probabilities[:, [SUPERCLASSES.index("NORM")]]
    if task == "norm_vs_abnormal":
        return 1 - norm
    mi = probabilities[:, [SUPERCLASSES.index("MI")]]
    return sigmoid(log_odds(mi) - log_odds(norm))


def task_probabilities(outputs: Outputs, probabilities: np.ndarray, task: str) -> np.ndarray:
    """What a network says of one task, ``(n, classes of the task)``; probabilities: all its outputs, ``(n, outputs)``.

    A multi-label network answers a binary task by its own output for it, or without one by `multilabel_score`; a binary
    network has one answer whatever is asked.
    """
    classes, _, binary = np.split(probabilities, np.cumsum(outputs.lengths)[:2], axis=1)
    if task == "multilabel" or outputs.classes != SUPERCLASSES:
        return classes
    if task in outputs.binary_tasks:
        return binary[:, [outputs.binary_tasks.index(task)]]
    return multilabel_score(classes, task)


def apply_calibrator(calibrator: dict, probabilities: np.ndarray) -> np.ndarray:
    """Calibrated probabilities, same shape."""
    if calibrator["kind"] == "isotonic":
        return np.interp(probabilities, calibrator["x"], calibrator["y"])
    positive, negative = log_odds_parts(probabilities)
    return sigmoid(calibrator["a"] * positive + calibrator["b"] * negative + calibrator["c"])


def apply_calibrators(calibrators: Sequence[dict], probabilities: np.ndarray) -> np.ndarray:
    """`apply_calibrator` of each column's own calibrator, ``(n, len(calibrators))``.

    All columns at once: one at a time, 71 statements took longer than the rest of a diagnosis beside the networks.
    """
    smooth = [k for k, one in enumerate(calibrators) if one["kind"] != "isotonic"]
    calibrated = np.empty((len(probabilities), len(calibrators)))
    if smooth:
        a, b, c = np.array([[calibrators[k][name] for name in "abc"] for k in smooth]).T
        positive, negative = log_odds_parts(probabilities[:, smooth])
        calibrated[:, smooth] = sigmoid(a * positive + b * negative + c)
    for k in set(range(len(calibrators))) - set(smooth):
        calibrated[:, k] = apply_calibrator(calibrators[k], probabilities[:, k])
    return calibrated


def log_odds_parts(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p and -log(1 - p), whose sum is the logit."""
    clipped = np.clip(np.asarray(probabilities, np.float64), SMALLEST, 1 - SMALLEST)
    return np.log(clipped), -np.log1p(-clipped)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """The logit of probabilities, which are kept off 0 and 1; same shape."""
    return sum(log_odds_parts(probabilities))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow; same shape."""
    return 0.5 * (1 + np.tanh(0.5 * x))


@dataclass(frozen=True, eq=False, kw_only=True)
class FindingDecisions:
    """Calibration and thresholds of the statements, or of the subclasses, of one checkpoint.

    names: codes of statements or subclasses. calibrators, thresholds: one each.
    validated: bool ``(len(names),)``. What fold 9 has too few of, or what is told apart too badly there, is never
    asserted: fewer than 15 positives, or an AUROC whose 95 % interval reaches below 0.80.
    """

    names: tuple[str, ...]
    calibrators: tuple[dict, ...]
    thresholds: np.ndarray
    validated: np.ndarray

    def calibrate(self, probabilities: np.ndarray) -> np.ndarray:
        """Uncalibrated to calibrated probabilities, ``(n, len(names))``."""
        return apply_calibrators(self.calibrators, probabilities)

    def above(self, calibrated: np.ndarray) -> np.ndarray:
        """Which are at or above their threshold, validated or not: bool ``(n, len(names))``."""
        return calibrated >= self.thresholds

    def as_json(self) -> dict[str, dict]:
        return {
            name: {"threshold": float(threshold), "validated": bool(validated), "calibrator": calibrator}
            for name, threshold, validated, calibrator in zip(
                self.names, self.thresholds, self.validated, self.calibrators, strict=True
            )
        }


def findings_from_json(content: dict[str, dict], known: tuple[str, ...]) -> FindingDecisions:
    """What `FindingDecisions.as_json` wrote. Raises ValueError for other names than ``known``, KeyError, TypeError."""
    if tuple(content) != known:
        raise ValueError("it holds other statements or subclasses than this version knows")
    decisions = FindingDecisions(
        names=known,
        calibrators=tuple(one["calibrator"] for one in content.values()),
        thresholds=np.array([float(one["threshold"]) for one in content.values()]),
        validated=np.array([bool(one["validated"]) for one in content.values()]),
    )
    decisions.above(decisions.calibrate(np.full((1, len(known)), 0.5)))
    return decisions


@dataclass(frozen=True)
class Decisions:
    """What turns the probabilities of one checkpoint into calibrated ones and into yes or no.

    score: whose probabilities these are, the "multilabel" network's (see `multilabel_score`) or a "binary" one's.
    calibrators and thresholds hold one entry a class, in the order of ``classes``.
    margin: in log odds; a recording is uncertain if any class is nearer than this to its threshold.
    statements, subclasses: those of a multi-label network that has statements, else None.
    not_assessable: classes that nothing is decided about, because the leads they are decided by do not show them.
    """

    task: str
    score: str
    classes: tuple[str, ...]
    criterion: str
    sensitivity_floor: float  # of criterion "sensitivity"
    calibrators: tuple[dict, ...]
    thresholds: tuple[float, ...]
    margin: float
    statements: FindingDecisions | None = None
    subclasses: FindingDecisions | None = None
    not_assessable: tuple[str, ...] = ()

    @property
    def assessable(self) -> np.ndarray:
        """Which classes are decided about, bool ``(classes,)``."""
        return ~np.isin(self.classes, self.not_assessable)

    def calibrate(self, probabilities: np.ndarray) -> np.ndarray:
        """Uncalibrated to calibrated probabilities, ``(n, classes)``."""
        return apply_calibrators(self.calibrators, probabilities)

    def decide(self, calibrated: np.ndarray) -> np.ndarray:
        """Calibrated probabilities to bool ``(n, classes)``; False of what is not assessable."""
        return (calibrated >= np.array(self.thresholds)) & self.assessable

    def distances(self, calibrated: np.ndarray) -> np.ndarray:
        """How far each class is from its threshold, in log odds, ``(n, classes)``; infinite if it is not assessable."""
        distances = np.abs(log_odds(calibrated) - log_odds(np.array(self.thresholds)))
        return np.where(self.assessable, distances, np.inf)

    def clearance(self, calibrated: np.ndarray) -> np.ndarray:
        """How far the class nearest to its threshold is from it, in log odds, ``(n,)``."""
        return self.distances(calibrated).min(axis=1)

    def uncertain(self, calibrated: np.ndarray) -> np.ndarray:
        """Whether a recording is too near to a threshold to be sure of, bool ``(n,)``."""
        return self.clearance(calibrated) < self.margin


def thresholds_path(directory: Path, task: str) -> Path:
    """Where a task's calibration and thresholds lie."""
    return directory / f"{task}_thresholds.json"


def save_decisions(path: Path | str, decisions: Decisions, checkpoint_sha256: str, fold: int, facts: dict) -> None:
    """Write ``<task>_thresholds.json``; facts are further entries, such as what the fit reached."""
    content = {**decisions_as_json(decisions), "checkpoint_sha256": checkpoint_sha256, "fold": fold, **facts}
    write_text(path, json.dumps(content, indent=1) + "\n")


def decisions_as_json(decisions: Decisions) -> dict:
    """Plain values, classes by name; `decisions_from_json` reads them."""
    content = asdict(replace(decisions, statements=None, subclasses=None))
    content["thresholds"] = dict(zip(decisions.classes, decisions.thresholds, strict=True))
    content["calibrators"] = dict(zip(decisions.classes, decisions.calibrators, strict=True))
    for level in FINDING_NAMES:
        findings = getattr(decisions, level)
        content[level] = findings.as_json() if findings else None
    if not decisions.not_assessable:
        del content["not_assessable"]
    return content


def decisions_from_json(content: dict) -> Decisions:
    """What `decisions_as_json` wrote. Raises ValueError, KeyError, TypeError or IndexError for anything else."""
    classes = tuple(content["classes"])
    decisions = Decisions(
        task=content["task"],
        score=content["score"],
        classes=classes,
        criterion=content["criterion"],
        sensitivity_floor=content["sensitivity_floor"],
        calibrators=tuple(content["calibrators"][name] for name in classes),
        thresholds=tuple(float(content["thresholds"][name]) for name in classes),
        margin=float(content["margin"]),
        not_assessable=tuple(content.get("not_assessable", ())),
        **{
            level: findings_from_json(content[level], names)
            for level, names in FINDING_NAMES.items()
            if content.get(level)
        },
    )
    decisions.decide(decisions.calibrate(np.full((1, len(classes)), 0.5)))
    return decisions


def load_decisions(path: Path | str, task: str, checkpoints: dict[str, str]) -> Decisions:
    """Read a thresholds file.

    checkpoints: SHA-256 of the checkpoint behind each score at hand, such as ``{"multilabel": ...}``.
    Raises ThresholdsError if the file is missing or malformed, belongs to another task or checkpoint,
    was tuned on any fold but 9, or for a score that is not at hand.
    """
    path = Path(path)
    if not path.is_file():
        raise ThresholdsError(f"no thresholds at {path}: run python threshold_search.py --task {task}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        decisions = decisions_from_json(content)
        fold, tuned_for = content["fold"], content["checkpoint_sha256"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ThresholdsError(f"{path} is not a thresholds file: {type(error).__name__}: {error}") from error
    again = f"run python threshold_search.py --task {task} for this checkpoint"
    if decisions.task != task or decisions.classes != TASK_CLASSES[task]:
        classes = ", ".join(decisions.classes)
        raise ThresholdsError(f"{path} is for task {decisions.task} with classes {classes}, not for {task}")
    if fold != VALIDATION_FOLD:
        raise ThresholdsError(f"{path} was tuned on fold {fold}; only fold {VALIDATION_FOLD} may be used: {again}")
    if decisions.score not in checkpoints:
        raise ThresholdsError(
            f"{path} is for the score of the {decisions.score} network, whose checkpoint is not there: {again}"
        )
    if tuned_for != checkpoints[decisions.score]:
        raise ThresholdsError(f"{path} was tuned for another checkpoint ({tuned_for[:12]}…): {again}")
    return decisions
