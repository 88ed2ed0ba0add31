"""What is found in recordings, statement by statement, and in one line as a cardiologist would put it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from config import SUPERCLASS_NAMES, SUPERCLASSES, described
from ecg.statements import (
    BY_CODE,
    CODES,
    RHYTHMS,
    STATEMENTS,
    SUBCLASS_OWNERS,
    SUBCLASSES,
    Statement,
    any_probability,
    subclass_columns,
)
from inference.decisions import Decisions, FindingDecisions
from inference.findings import (
    RHYTHM_COLUMNS,
    assert_statements,
    assert_subclasses,
    keep_consistent,
    name_rhythm,
)

HEADLINE_ORDER = ("MI", "CD", "HYP", "STTC")  # of diagnoses, after the rhythm and before forms
POSSIBLE = ("Possible", "Possibly")  # how phrases on what is less likely than not begin
LIKELY = 0.5  # below this probability what is asserted is called possible
SINUS = ("SR", "STACH", "SBRAD", "SARRH")  # rhythms beside which an ECG can be called normal


@dataclass(frozen=True, kw_only=True)
class StatementOutput(Statement):
    """One of the SCP-ECG statements of PTB-XL, as an output of a network."""

    threshold: float = described("the decision threshold, chosen on the validation set")
    validated: bool = described(
        "whether the validation set has enough cases, told apart well enough; "
        "a statement that is not validated is never asserted"
    )


@dataclass(frozen=True, kw_only=True)
class StatementResult(StatementOutput):
    """One SCP-ECG statement of one recording."""

    probability: float = described("calibrated, 0 to 1")
    asserted: bool = described("whether it is said of this recording")


@dataclass(frozen=True, kw_only=True)
class SubclassOutput:
    """One of the 23 diagnostic subclasses, as an output of a network."""

    name: str = described("in PTB-XL, such as IMI or LAFB/LPFB")
    superclass: str = described("the superclass it belongs to")
    threshold: float = described("the decision threshold, chosen on the validation set")
    validated: bool = described("as of a statement; one that is not may still follow from an asserted statement")


@dataclass(frozen=True, kw_only=True)
class SubclassResult(SubclassOutput):
    """One diagnostic subclass of one recording."""

    probability: float = described("calibrated, that any of its statements is there")
    asserted: bool = described("whether it is said of this recording, or follows from an asserted statement")


@dataclass(frozen=True, kw_only=True)
class RhythmResult:
    """The rhythm of one recording: the most probable of nine rhythm statements that reaches its threshold."""

    code: str = described("its statement, such as SR or AFIB; empty if none reaches its threshold")
    certain: bool = described("whether that rhythm is asserted; false for one that is not validated")
    sentence: str = described("in plain words, also where it is uncertain, or asserted but only possible")


@dataclass(frozen=True, eq=False, kw_only=True)
class ThresholdedStatements:
    """Statements of n recordings before the verdict, arrays ``(n, 71)`` and ``(n, 23)``."""

    calibrated: np.ndarray
    above: np.ndarray
    asserted: np.ndarray
    subclasses: np.ndarray
    subclasses_above: np.ndarray


def threshold_statements(decisions: Decisions, probabilities: np.ndarray) -> ThresholdedStatements:
    """Calibrate the statements of n recordings ``(n, 71)`` and hold them against their thresholds."""
    calibrated = decisions.statements.calibrate(probabilities)
    above = decisions.statements.above(calibrated)
    subclasses = decisions.subclasses.calibrate(any_probability(probabilities, subclass_columns()))
    return ThresholdedStatements(
        calibrated=calibrated,
        above=above,
        asserted=assert_statements(calibrated, above, decisions.statements.validated),
        subclasses=subclasses,
        subclasses_above=decisions.subclasses.above(subclasses),
    )


def statement_results(
    decisions: Decisions, found: ThresholdedStatements, classes: np.ndarray, unusable: np.ndarray
) -> list[tuple[tuple[StatementResult, ...], tuple[SubclassResult, ...], RhythmResult]]:
    """All statements, all subclasses and the rhythm of each of n recordings.

    classes: the verdicts', bool ``(n, 5)``. unusable: bool ``(n,)``. The rhythm is assessed unless a recording is
    unusable or the network has no validated rhythm.
    """
    kept = keep_consistent(found.asserted, classes, unusable)
    asserted = assert_subclasses(found.subclasses_above, decisions.subclasses.validated, classes, kept)
    named = name_rhythm(found.calibrated, found.above, decisions.statements.validated)
    assessed = ~unusable & decisions.statements.validated[RHYTHM_COLUMNS].any()
    statements = _filled(_blank_statements(decisions.statements), found.calibrated, kept)
    subclasses = _filled(_blank_subclasses(decisions.subclasses), found.subclasses, asserted)
    probabilities = found.calibrated.max(axis=1, where=named.code[:, None] == np.array(CODES), initial=0.0)
    of_rhythms = (named.code, named.certain, probabilities, assessed)
    rhythms = map(rhythm_result, *(values.tolist() for values in of_rhythms))
    return list(zip(statements, subclasses, rhythms, strict=True))


@lru_cache(maxsize=64)
def _blank_statements(decisions: FindingDecisions) -> tuple[StatementResult, ...]:
    """The 71 statements of no recording."""
    return tuple(
        StatementResult(
            **vars(statement), probability=0.0, threshold=float(threshold), asserted=False, validated=bool(validated)
        )
        for statement, threshold, validated in zip(STATEMENTS, decisions.thresholds, decisions.validated, strict=True)
    )


@lru_cache(maxsize=64)
def _blank_subclasses(decisions: FindingDecisions) -> tuple[SubclassResult, ...]:
    """The 23 subclasses of no recording."""
    return tuple(
        SubclassResult(
            name=name,
            superclass=owner,
            probability=0.0,
            threshold=float(threshold),
            asserted=False,
            validated=bool(validated),
        )
        for name, owner, threshold, validated in zip(
            SUBCLASSES, SUBCLASS_OWNERS, decisions.thresholds, decisions.validated, strict=True
        )
    )


def _filled(blanks: tuple, probabilities: np.ndarray, asserted: np.ndarray) -> list[tuple]:
    """For each of n recordings its results: the blanks with its probability and assertion, ``(n, len(blanks))``."""
    return [
        tuple(map(_with_values, blanks, *values))
        for values in zip(probabilities.tolist(), asserted.tolist(), strict=True)
    ]


def _with_values(blank, probability: float, asserted: bool):
    """`dataclasses.replace` at a tenth of its time, which for 94 results a recording counts."""
    result = object.__new__(type(blank))
    vars(result).update(vars(blank), probability=probability, asserted=asserted)
    return result


def rhythm_result(code: str, certain: bool, probability: float, assessed: bool) -> RhythmResult:
    """The rhythm of one recording from its `inference.findings.NamedRhythms`; probability: of its code."""
    if not assessed:
        return RhythmResult(code="", certain=False, sentence="Rhythm not assessed")
    if certain:
        return RhythmResult(code=code, certain=True, sentence=phrase(BY_CODE[code].name, probability))
    possibly = f" (possibly {BY_CODE[code].name})" if code else ""
    return RhythmResult(code=code, certain=False, sentence=f"Rhythm uncertain{possibly}")


def headline(
    rhythm: RhythmResult | None,
    statements: tuple[StatementResult, ...],
    classes: tuple[str, ...],
    probabilities: dict[str, float],
    limited_to: str = "",
) -> tuple[str, ...]:
    """What is said of one recording, a phrase each: rhythm, likely findings, possible ones, whether it is normal.

    classes: the verdict's superclasses. probabilities: of all superclasses, calibrated. A finding is possible if its
    probability is below `LIKELY`: rare findings have thresholds far below. Without statements (an earlier network) the
    superclasses are all there is. limited_to: the leads, in words, if they do not show every superclass; then it is
    normal only as far as they go.
    """
    found = findings(statements, classes, probabilities)
    phrases = [rhythm.sentence] if rhythm else []
    phrases += [phrase(*one) for one in found if one[1] >= LIKELY]
    phrases += [phrase(*one) for one in found if one[1] < LIKELY]
    if "NORM" in classes:
        alone = not found and (rhythm is None or rhythm.code in SINUS and rhythm.certain)
        normal = "normal ECG" if alone else "otherwise normal ECG"
        normal += f" as far as can be told from {limited_to}" if limited_to else ""
        phrases.append(capitalised(normal if probabilities["NORM"] >= LIKELY else f"possibly {normal}"))
    if not set(classes) & set(SUPERCLASSES):
        phrases.append("No diagnostic class asserted")
    return tuple(phrases)


def findings(
    statements: tuple[StatementResult, ...], classes: tuple[str, ...], probabilities: dict[str, float]
) -> list[tuple[str, float]]:
    """What is asserted beside the rhythm and NORM, as names and probabilities: diagnoses, forms, other rhythms.

    A superclass is named itself where it has no asserted statement, or is likely and none of its statements is.
    """
    said = sorted((one for one in statements if one.asserted), key=lambda one: -one.probability)
    found = []
    for superclass in HEADLINE_ORDER:
        own = [(one.name, one.probability) for one in said if one.superclass == superclass]
        likeliest = own[0][1] if own else 0.0
        if superclass in classes and (not own or likeliest < LIKELY <= probabilities[superclass]):
            found.append((SUPERCLASS_NAMES[superclass], probabilities[superclass]))
        found += own
    found += [(one.name, one.probability) for one in said if one.groups == ("form",)]
    return found + [(one.name, one.probability) for one in said if "rhythm" in one.groups and one.code not in RHYTHMS]


def phrase(name: str, probability: float) -> str:
    """A finding as a phrase of the headline.

    >>> phrase("atrial fibrillation", 0.9), phrase("lateral myocardial infarction", 0.05)
    ('Atrial fibrillation', 'Possible lateral myocardial infarction')
    """
    return capitalised(name) if probability >= LIKELY else f"Possible {name}"


def capitalised(phrase: str) -> str:
    """The first letter in upper case, the others as they are."""
    return phrase[:1].upper() + phrase[1:]
