"""What is found in one recording, statement by statement, and in one line as a cardiologist would put it."""

from dataclasses import dataclass

import numpy as np

from config import SUPERCLASS_NAMES, SUPERCLASSES
from ecg.statements import (
    BY_CODE,
    RHYTHMS,
    STATEMENTS,
    SUBCLASS_OWNERS,
    SUBCLASSES,
    any_probability,
    subclass_columns,
)
from inference.decisions import Decisions
from inference.findings import assert_statements, assert_subclasses, keep_consistent, name_rhythm

HEADLINE_ORDER = ("MI", "CD", "HYP", "STTC")  # of diagnoses, after the rhythm and before forms
SINUS = ("SR", "STACH", "SBRAD", "SARRH")  # rhythms beside which an ECG can be called normal


@dataclass(frozen=True, kw_only=True)
class StatementResult:
    """One SCP statement of one recording.

    name: plain words. groups: diagnostic, form, rhythm. subclass, superclass: empty unless diagnostic.
    snomed_ct: empty if there is no code for it. probability: calibrated.
    asserted: said of this recording. validated: whether fold 9 allows it to be asserted at all.
    """

    code: str
    name: str
    groups: tuple[str, ...]
    subclass: str
    superclass: str
    snomed_ct: str
    probability: float
    threshold: float
    asserted: bool
    validated: bool


@dataclass(frozen=True, kw_only=True)
class SubclassResult:
    """One of the 23 diagnostic subclasses of one recording; fields as in `StatementResult`."""

    name: str
    superclass: str
    probability: float
    threshold: float
    asserted: bool
    validated: bool


@dataclass(frozen=True, kw_only=True)
class RhythmResult:
    """The rhythm of one recording: the most probable of nine above its threshold.

    code: its statement, empty if none reaches its threshold. certain: whether it is asserted.
    sentence: in plain words, such as "Atrial fibrillation" or "Rhythm uncertain (possibly atrial flutter)".
    """

    code: str
    certain: bool
    sentence: str


@dataclass(frozen=True, eq=False, kw_only=True)
class ThresholdedStatements:
    """Statements of one recording before the verdict, arrays ``(1, 71)`` and ``(1, 23)``."""

    calibrated: np.ndarray
    above: np.ndarray
    asserted: np.ndarray
    subclasses: np.ndarray
    subclasses_above: np.ndarray


def threshold_statements(decisions: Decisions, probabilities: np.ndarray) -> ThresholdedStatements:
    """Calibrate the statements of one recording ``(71,)`` and hold them against their thresholds."""
    calibrated = decisions.statements.calibrate(probabilities[None])
    above = decisions.statements.above(calibrated)
    subclasses = decisions.subclasses.calibrate(any_probability(probabilities[None], subclass_columns()))
    return ThresholdedStatements(
        calibrated=calibrated,
        above=above,
        asserted=assert_statements(calibrated, above, decisions.statements.validated),
        subclasses=subclasses,
        subclasses_above=decisions.subclasses.above(subclasses),
    )


def statement_results(
    decisions: Decisions, found: ThresholdedStatements, classes: np.ndarray, unusable: bool
) -> tuple[tuple[StatementResult, ...], tuple[SubclassResult, ...], RhythmResult]:
    """All statements, all subclasses and the rhythm of one recording; classes: the verdict's, bool ``(1, 5)``."""
    kept = keep_consistent(found.asserted, classes, np.array([unusable]))
    asserted = assert_subclasses(found.subclasses_above, decisions.subclasses.validated, classes, kept)
    statements = tuple(
        StatementResult(
            **vars(statement),
            probability=float(found.calibrated[0, k]),
            threshold=float(decisions.statements.thresholds[k]),
            asserted=bool(kept[0, k]),
            validated=bool(decisions.statements.validated[k]),
        )
        for k, statement in enumerate(STATEMENTS)
    )
    subclasses = tuple(
        SubclassResult(
            name=name,
            superclass=SUBCLASS_OWNERS[k],
            probability=float(found.subclasses[0, k]),
            threshold=float(decisions.subclasses.thresholds[k]),
            asserted=bool(asserted[0, k]),
            validated=bool(decisions.subclasses.validated[k]),
        )
        for k, name in enumerate(SUBCLASSES)
    )
    return statements, subclasses, rhythm_result(decisions, found, unusable)


def rhythm_result(decisions: Decisions, found: ThresholdedStatements, unusable: bool) -> RhythmResult:
    named = name_rhythm(found.calibrated, found.above, decisions.statements.validated)
    code, certain = str(named.code[0]), bool(named.certain[0])
    if unusable:
        return RhythmResult(code="", certain=False, sentence="Rhythm not assessed")
    if certain:
        return RhythmResult(code=code, certain=True, sentence=capitalised(BY_CODE[code].name))
    possibly = f" (possibly {BY_CODE[code].name})" if code else ""
    return RhythmResult(code=code, certain=False, sentence=f"Rhythm uncertain{possibly}")


def headline(
    rhythm: RhythmResult | None, statements: tuple[StatementResult, ...], classes: tuple[str, ...]
) -> tuple[str, ...]:
    """What is said of one recording, a phrase each, rhythm first; classes: the verdict's superclasses.

    A superclass without an asserted statement of its own is named itself. Without statements (an earlier network)
    the superclasses are all there is.
    """
    said = sorted((one for one in statements if one.asserted), key=lambda one: -one.probability)
    phrases = [rhythm.sentence] if rhythm else []
    for superclass in HEADLINE_ORDER:
        own = [capitalised(one.name) for one in said if one.superclass == superclass]
        phrases += own or [capitalised(SUPERCLASS_NAMES[superclass])] * (superclass in classes)
    phrases += [capitalised(one.name) for one in said if one.groups == ("form",)]
    phrases += [capitalised(one.name) for one in said if "rhythm" in one.groups and one.code not in RHYTHMS]
    if "NORM" in classes:
        alone = len(phrases) <= 1 and (rhythm is None or rhythm.code in SINUS and rhythm.certain)
        phrases.append("Normal ECG" if alone else "Otherwise normal ECG")
    if not set(classes) & set(SUPERCLASSES):
        phrases.append("No diagnostic class asserted")
    return tuple(phrases)


def capitalised(phrase: str) -> str:
    """The first letter in upper case, the others as they are."""
    return phrase[:1].upper() + phrase[1:]
