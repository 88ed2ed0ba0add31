"""What the networks find in one recording, and how their probabilities become it.

    diagnoses_of(prepared, probabilities, answering)      # of recordings with the same leads

`Diagnoser` prepares recordings and runs the networks; nothing here does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from config import ANYLEAD, BINARY_TASKS, LEADS, SUPERCLASSES, TASK_CLASSES, described
from ecg.quality import Quality
from ecg.recording import Recording
from ecg.statements import CODES, RHYTHMS
from inference.anylead import Answering
from inference.findings import implied_superclasses
from inference.lead_sets import leads_phrase
from inference.sentences import NOT_FROM_THESE_LEADS, QUALITY_NOT_ASSESSED, not_assessed, warnings_of
from inference.summary import (
    RhythmResult,
    StatementResult,
    SubclassResult,
    headline,
    statement_results,
    threshold_statements,
)
from inference.verdict import Verdicts, doubt_sentences, reach_verdicts, withheld_sentence

IRREGULAR = [CODES.index(code) for code in RHYTHMS if code not in ("SR", "STACH", "SBRAD")]


@dataclass(frozen=True)
class BinaryResult:
    """The result of one of the two binary questions, each with a threshold of its own; see `inference.verdict`."""

    probability: float = described("calibrated, 0 to 1")
    threshold: float = described("the decision threshold, chosen on the validation set")
    positive: bool | None = described(
        "whether the probability reaches the threshold; null where the result is withheld"
    )
    uncertain: bool = described("whether the probability is too close to the threshold to decide either way")
    withheld_because: str = described("why `positive` is null, in plain text; empty if it is not", default="")


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the networks find in one recording.

    probabilities, thresholds: class to calibrated probability and decision threshold.
    predicted_classes: those asserted by the rule of `inference.verdict`, in the order of ``config.SUPERCLASSES``; none
    for a recording that quality calls unusable.
    uncertain_because: reasons not to rely on the prediction; empty if there are none.
    not_assessed: sentences on what the prediction says nothing of, to be shown beside it.
    statements, subclasses, rhythm: all SCP statements, their subclasses and the named rhythm; empty and None if the
    network has no statements.
    quality: what is wrong with the recording; None if it was not assessed.
    warnings: sentences for whoever reads the diagnosis.
    model: task to the SHA-256 of the checkpoint that was used; "anylead" instead of a task where leads were missing.
    milliseconds: time for preprocessing, networks and quality.
    leads: those the networks saw, recorded or derived.
    lead_set: of `ecg.lead_sets.CANONICAL_SETS`, whose calibration and thresholds apply; None if there is none, then the
    probabilities are uncalibrated, the thresholds mean nothing and nothing is asserted.
    lead_set_exact: whether they were fitted for just these leads.
    not_assessable: superclasses, binary tasks and codes of statements that these leads do not show.
    """

    probabilities: dict[str, float]
    thresholds: dict[str, float]
    predicted_classes: tuple[str, ...]
    mi_vs_norm: BinaryResult
    norm_vs_abnormal: BinaryResult
    uncertain_because: tuple[str, ...]
    not_assessed: tuple[str, ...]
    statements: tuple[StatementResult, ...]
    subclasses: tuple[SubclassResult, ...]
    rhythm: RhythmResult | None
    quality: Quality | None
    warnings: tuple[str, ...]
    model: dict[str, str]
    milliseconds: float
    leads: tuple[str, ...] = LEADS
    lead_set: str | None = "12"
    lead_set_exact: bool = True
    not_assessable: tuple[str, ...] = ()

    @property
    def uncertain(self) -> bool:
        return bool(self.uncertain_because)

    @property
    def checkpoint_sha256(self) -> str:
        """Of the network that answered for the classes."""
        return self.model.get(ANYLEAD) or self.model["multilabel"]

    @property
    def headline(self) -> tuple[str, ...]:
        """What is said of the recording, a phrase each, rhythm first; see `inference.summary.headline`."""
        seen = leads_phrase(np.isin(LEADS, self.leads)) if set(self.not_assessable) & set(SUPERCLASSES) else ""
        if set(SUPERCLASSES) <= set(self.not_assessable):
            return (*((self.rhythm.sentence,) if self.rhythm else ()), f"No diagnosis can be told from {seen}")
        return headline(self.rhythm, self.statements, self.predicted_classes, self.probabilities, seen)


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedRecording:
    """A recording before the networks.

    recording: without its lost leads. signal: ``(12, samples)`` in mV at 100 Hz, zeros for missing leads.
    quality: None if it was not assessed. answering: who answers for it.
    rhythm_signs: `ecg.rhythm_signs.RhythmSigns.doubts`; none without usable quality.
    """

    recording: Recording
    signal: np.ndarray
    quality: Quality | None
    rhythm_signs: tuple[str, ...]
    answering: Answering


@dataclass(frozen=True, eq=False, kw_only=True)
class DecidedRecordings:
    """Decisions on n recordings with the same leads.

    calibrated ``(n, classes)``, above bool ``(n, classes)``, near bool ``(n,)``: by task, see `Decisions`.
    asked: binary tasks that these leads show. findings: statements, subclasses and rhythm of each recording.
    """

    calibrated: Mapping[str, np.ndarray]
    above: Mapping[str, np.ndarray]
    near: Mapping[str, np.ndarray]
    asked: Sequence[str]
    verdicts: Verdicts
    findings: Sequence[tuple[tuple[StatementResult, ...], tuple[SubclassResult, ...], RhythmResult | None]]


def diagnoses_of(
    prepared: Sequence[PreparedRecording], probabilities: Mapping[str, np.ndarray], answering: Answering
) -> list[Diagnosis]:
    """What is said of n recordings with the same leads.

    probabilities: ``(n, classes)`` by task and ``(n, 71)`` of "statements", uncalibrated.
    """
    decided = decide_recordings(prepared, probabilities, answering)
    return [diagnosis_of(one, n, decided, answering) for n, one in enumerate(prepared)]


def decide_recordings(
    prepared: Sequence[PreparedRecording], probabilities: Mapping[str, np.ndarray], answering: Answering
) -> DecidedRecordings:
    """Calibration, thresholds and the rule of `inference.verdict`; arguments as of `diagnoses_of`."""
    decisions, multilabel = answering.decisions, answering.decisions["multilabel"]
    calibrated = {task: decisions[task].calibrate(probabilities[task]) for task in TASK_CLASSES}
    above = {task: decisions[task].decide(calibrated[task]) for task in TASK_CLASSES}
    near = {task: decisions[task].uncertain(calibrated[task]) for task in TASK_CLASSES}
    asked = [task for task in BINARY_TASKS if task not in answering.not_assessable]
    found = threshold_statements(multilabel, probabilities["statements"]) if multilabel.statements else None
    explained = np.zeros(len(prepared), bool) if found is None else found.asserted[:, IRREGULAR].any(axis=1)
    verdicts = reach_verdicts(
        above["multilabel"],
        near["multilabel"],
        {task: above[task][:, 0] for task in asked},
        np.array([one.quality.severity if one.quality else "" for one in prepared]),
        np.array([bool(one.rhythm_signs) for one in prepared]) & ~explained,
        implied_superclasses(found.asserted) if found else None,
    )
    findings = [((), (), None)] * len(prepared)
    if found:
        findings = statement_results(multilabel, found, verdicts.classes, verdicts.doubts["unusable"])
    return DecidedRecordings(
        calibrated=calibrated, above=above, near=near, asked=asked, verdicts=verdicts, findings=findings
    )


def diagnosis_of(one: PreparedRecording, n: int, decided: DecidedRecordings, answering: Answering) -> Diagnosis:
    """The n-th of the decided recordings."""
    multilabel, probabilities = answering.decisions["multilabel"], decided.calibrated["multilabel"]
    statements, subclasses, rhythm = decided.findings[n]
    nearest = multilabel.classes[int(multilabel.distances(probabilities[n : n + 1])[0].argmin())]
    binary_answers = {task: bool(decided.above[task][n, 0]) for task in decided.asked}
    doubts = doubt_sentences(decided.verdicts, nearest, binary_answers, one.rhythm_signs, n)
    return Diagnosis(
        probabilities=dict(zip(SUPERCLASSES, probabilities[n].tolist(), strict=True)),
        thresholds=dict(zip(SUPERCLASSES, multilabel.thresholds, strict=True)),
        predicted_classes=tuple(compress(SUPERCLASSES, decided.verdicts.classes[n])),
        mi_vs_norm=binary_result("mi_vs_norm", n, decided, answering),
        norm_vs_abnormal=binary_result("norm_vs_abnormal", n, decided, answering),
        uncertain_because=(*doubts, *answering.doubts),
        not_assessed=(
            *answering.not_assessed,
            *not_assessed(one.rhythm_signs, rhythm),
            *([] if one.quality else [QUALITY_NOT_ASSESSED]),
        ),
        statements=statements,
        subclasses=subclasses,
        rhythm=rhythm,
        quality=one.quality,
        warnings=(*answering.warnings, *warnings_of(one.recording, one.quality)),
        model=answering.model,
        milliseconds=0.0,
        leads=tuple(compress(LEADS, one.recording.present)),
        lead_set=answering.lead_set,
        lead_set_exact=answering.lead_set_exact,
        not_assessable=answering.not_assessable,
    )


def binary_result(task: str, n: int, decided: DecidedRecordings, answering: Answering) -> BinaryResult:
    """The n-th recording's result in a binary task."""
    asked = task in decided.asked
    withheld_because = withheld_sentence(decided.verdicts, task, n) if asked else NOT_FROM_THESE_LEADS
    return BinaryResult(
        probability=float(decided.calibrated[task][n, 0]),
        threshold=answering.decisions[task].thresholds[0],
        positive=None if withheld_because else bool(decided.above[task][n, 0]),
        uncertain=bool(decided.near[task][n]),
        withheld_because=withheld_because,
    )
