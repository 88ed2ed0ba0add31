"""The rule that turns thresholded probabilities into a verdict: which classes are asserted, which binary results are
withheld, and why a verdict is uncertain. numpy only; docs/verdict.md explains the rule and counts its effect.

    verdicts = reach_verdicts(above, near, binary, severity, rhythm_doubt)      # of n recordings
    verdicts.classes, verdicts.uncertain, verdicts.withheld["mi_vs_norm"]

`Diagnoser` and evaluation call the same function.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from config import SUPERCLASSES

NORM, MI = SUPERCLASSES.index("NORM"), SUPERCLASSES.index("MI")
ABNORMAL = [k for k in range(len(SUPERCLASSES)) if k != NORM]
OUTSIDE_MI_VS_NORM = [SUPERCLASSES.index(name) for name in ("STTC", "CD", "HYP")]
POOR_QUALITY = ("caution", "unusable")  # severities of `ecg.quality` with which no verdict counts as certain

DOUBTS = {  # why a verdict is uncertain; what stands in {} is filled in for one recording
    "unusable": "the recording's quality is too poor: no class is asserted",
    "poor quality": "the recording's quality is poor",
    "near threshold": "the probability of {near} is too close to its threshold to decide either way",
    "implied": "a statement asserts {implied}, whose own probability is below its threshold",
    "normal beside others": "NORM reaches its threshold as well, which contradicts {others}",
    "normal or abnormal": "the network for NORM against abnormal says {answer}, which contradicts {classes}",
    "MI or normal": "the network for MI against NORM says {answer}, which contradicts {classes}",
    "rhythm": "{signs}, which does not go with a normal ECG",
}
WITHHELD = {  # why a binary result is not shown; "" means it is
    "": "",
    "unusable": "the recording's quality is too poor",
    "outside": "trained on MI and normal ECGs only, not on {others}",
    "neither": "trained on MI and normal ECGs only, and neither is found",
    "contradicts": "it contradicts the five-class prediction, which decides",
}
ANSWERS = {"norm_vs_abnormal": ("normal", "abnormal"), "mi_vs_norm": ("NORM", "MI")}


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What is said of n recordings.

    classes: bool ``(n, 5)``, asserted, in the order of ``config.SUPERCLASSES``.
    implied: bool ``(n, 5)``, those of them that are below their threshold and implied by a statement.
    withheld: binary task to keys of `WITHHELD` ``(n,)``.
    doubts: keys of `DOUBTS` to bool ``(n,)``.
    """

    classes: np.ndarray
    implied: np.ndarray
    withheld: dict[str, np.ndarray]
    doubts: dict[str, np.ndarray]

    @property
    def uncertain(self) -> np.ndarray:
        """Whether there is any doubt, bool ``(n,)``."""
        return np.any(list(self.doubts.values()), axis=0)


def reach_verdicts(
    above: np.ndarray,
    near: np.ndarray,
    binary: Mapping[str, np.ndarray],
    severity: np.ndarray,
    rhythm_doubt: np.ndarray,
    implied: np.ndarray | None = None,
) -> Verdicts:
    """Apply the rule to n recordings.

    above: bool ``(n, 5)``, classes at or above their thresholds. near: bool ``(n,)``, see `Decisions.uncertain`.
    binary: answers to binary tasks, bool ``(n,)`` each; a task may be missing, then nothing can contradict it.
    severity: ``(n,)``, `ecg.quality.Quality.severity`, "" where quality was not assessed.
    rhythm_doubt: bool ``(n,)``, whether there is a sign against sinus rhythm, see `ecg.rhythm_signs`.
    implied: bool ``(n, 5)``, see `inference.findings.implied_superclasses`; None without statements.

    An asserted statement implies its superclass. NORM yields to any other class. The classes decide, and a binary
    answer that contradicts them is withheld.
    """
    unusable = np.asarray(severity) == "unusable"
    classes = np.array(above, bool)
    added = np.zeros_like(classes) if implied is None else implied & ~classes
    classes |= added
    several = classes[:, NORM] & classes[:, ABNORMAL].any(axis=1)
    classes[several, NORM] = False
    classes[unusable] = False
    disagrees = {task: _contradicts(task, positive, classes) for task, positive in binary.items()}
    normal = classes[:, NORM]
    doubts = {
        "unusable": unusable,
        "poor quality": np.isin(severity, POOR_QUALITY) & ~unusable,
        "near threshold": np.asarray(near) & ~unusable,
        "implied": added.any(axis=1) & ~unusable,
        "normal beside others": several & ~unusable,
        "normal or abnormal": disagrees.get("norm_vs_abnormal", np.zeros_like(unusable)) & ~unusable,
        "MI or normal": disagrees.get("mi_vs_norm", np.zeros_like(unusable)) & ~unusable,
        "rhythm": np.asarray(rhythm_doubt) & normal,
    }
    withheld = {task: _withheld(task, disagrees[task], classes, unusable) for task in binary}
    return Verdicts(classes=classes, implied=added, withheld=withheld, doubts=doubts)


def _contradicts(task: str, positive: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Where a binary answer is the opposite of what the classes say, bool ``(n,)``."""
    if task == "norm_vs_abnormal":
        return np.asarray(positive) == classes[:, NORM]
    return _applies(task, classes) & (np.asarray(positive) != classes[:, MI])


def _applies(task: str, classes: np.ndarray) -> np.ndarray:
    """Where a binary question may be asked, bool ``(n,)``: MI-vs-NORM only beside MI alone or NORM alone."""
    if task == "norm_vs_abnormal":
        return np.ones(len(classes), bool)
    return classes[:, [NORM, MI]].any(axis=1) & ~classes[:, OUTSIDE_MI_VS_NORM].any(axis=1)


def _withheld(task: str, disagrees: np.ndarray, classes: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    """Keys of `WITHHELD` ``(n,)`` for one task."""
    outside = classes[:, OUTSIDE_MI_VS_NORM].any(axis=1)
    cases = [unusable, ~_applies(task, classes) & outside, ~_applies(task, classes), disagrees]
    return np.select(cases, ["unusable", "outside", "neither", "contradicts"], default="")


def doubt_sentences(
    verdicts: Verdicts, near: str, binary: Mapping[str, bool], rhythm_signs: Sequence[str], number: int = 0
) -> tuple[str, ...]:
    """The doubts of one recording in plain text.

    near: the class nearest to its threshold. binary: its answers to binary tasks.
    rhythm_signs: `ecg.rhythm_signs.RhythmSigns.doubts`. number: which of the recordings it is.
    """
    classes = verdicts.classes[number]
    words = {
        "near": near,
        "others": _named(classes, ABNORMAL),
        "implied": _named(verdicts.implied[number]),
        "classes": _named(classes),
        "signs": " and ".join(rhythm_signs),
    }
    answers = {"normal or abnormal": "norm_vs_abnormal", "MI or normal": "mi_vs_norm"}
    sentences = []
    for name in (name for name, there in verdicts.doubts.items() if there[number]):
        task = answers.get(name)
        answer = ANSWERS[task][int(binary[task])] if task else ""
        sentences.append(DOUBTS[name].format(**words, answer=answer))
    return tuple(sentences)


def withheld_sentence(verdicts: Verdicts, task: str, number: int = 0) -> str:
    """Why the binary result of recording ``number`` is withheld; empty if it is not."""
    others = _named(verdicts.classes[number], OUTSIDE_MI_VS_NORM)
    return WITHHELD[str(verdicts.withheld[task][number])].format(others=others)


def _named(classes: np.ndarray, among: list[int] | None = None) -> str:
    chosen = range(len(SUPERCLASSES)) if among is None else among
    return ", ".join(SUPERCLASSES[k] for k in chosen if classes[k]) or "no class"
