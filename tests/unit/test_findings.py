"""The rule that makes findings of thresholded statements, and how they are said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import SUPERCLASS_NAMES, SUPERCLASSES
from ecg.statements import BY_CODE, CODES, RHYTHMS, STATEMENTS, SUBCLASSES
from inference.decisions import Decisions, FindingDecisions
from inference.findings import (
    assert_statements,
    assert_subclasses,
    implied_superclasses,
    keep_consistent,
    name_rhythm,
)
from inference.summary import RhythmResult, headline, statement_results, threshold_statements
from inference.verdict import reach_verdicts

THRESHOLD = 0.5


def statements(*codes: str) -> np.ndarray:
    """bool ``(1, 71)``."""
    return np.array([[code in codes for code in CODES]])


def classes(*names: str) -> np.ndarray:
    """bool ``(1, 5)``."""
    return np.array([[name in names for name in SUPERCLASSES]])


def probabilities(**of_codes: float) -> np.ndarray:
    """Calibrated probabilities ``(1, 71)``; of what is not named 0.01."""
    return np.array([[of_codes.get(code.strip("_"), 0.01) for code in CODES]])


def validated_but(*codes: str) -> np.ndarray:
    return ~statements(*codes)[0]


def codes_in(chosen: np.ndarray, names=CODES) -> set[str]:
    return {name for name, there in zip(names, chosen[0], strict=True) if there}


# -- Rhythm -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "not_validated", "code", "certain"),
    [
        ({"AFIB": 0.9, "SR": 0.2}, (), "AFIB", True),
        ({"AFIB": 0.7, "SR": 0.8}, (), "SR", True),
        ({"AFIB": 0.4, "SR": 0.3}, (), "", False),
        ({"AFLT": 0.9, "AFIB": 0.6}, ("AFLT",), "AFLT", False),
        ({"AFLT": 0.6, "AFIB": 0.9}, ("AFLT",), "AFIB", True),
        ({"AFIB": 0.5}, (), "AFIB", True),  # at the threshold is above it
        ({"SR": 0.7, "AFIB": 0.7}, (), "SR", True),  # of equals the first
        ({"PVC": 0.99, "BIGU": 0.99}, (), "", False),  # no rhythm of a whole recording
    ],
)
def test_the_rhythm_is_the_most_probable_above_its_threshold(given, not_validated, code, certain):
    calibrated = probabilities(**given)
    named = name_rhythm(calibrated, calibrated >= THRESHOLD, validated_but(*not_validated))
    assert (named.code[0], named.certain[0]) == (code, certain)


def test_a_probable_rhythm_below_its_own_threshold_yields_to_one_above():
    calibrated = probabilities(SR=0.8, AFIB=0.3)
    named = name_rhythm(calibrated, statements("AFIB"), np.ones(71, bool))
    assert named.code[0] == "AFIB"


@given(st.integers(0, 10_000))
def test_at_most_one_rhythm_is_asserted_and_nothing_that_is_not_validated(seed):
    rng = np.random.default_rng(seed)
    calibrated, validated = rng.random((20, 71)), rng.random(71) < 0.7
    above = calibrated >= rng.random(71)
    asserted = assert_statements(calibrated, above, validated)
    rhythms = [CODES.index(code) for code in RHYTHMS]
    assert asserted[:, rhythms].sum(1).max() <= 1
    assert not asserted[:, ~validated].any() and not (asserted & ~above).any()
    others = np.setdiff1d(np.arange(71), rhythms)
    assert np.array_equal(asserted[:, others], (above & validated)[:, others])


# -- Statements and superclasses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asserted", "implied"),
    [
        (("IMI",), {"MI"}),
        (("LAFB", "AFIB"), {"CD"}),
        (("LVH", "AMI", "NDT"), {"HYP", "MI", "STTC"}),
        (("NORM",), set()),
        (("PVC", "ABQRS", "SR"), set()),
        ((), set()),
    ],
)
def test_an_asserted_statement_implies_its_superclass_but_never_norm(asserted, implied):
    assert codes_in(implied_superclasses(statements(*asserted)), SUPERCLASSES) == implied


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if s.superclass not in ("", "NORM")], ids=lambda s: s.code)
def test_norm_yields_to_any_asserted_statement(statement):
    implied = implied_superclasses(statements(statement.code))
    verdicts = reach_verdicts(classes("NORM"), np.array([False]), {}, np.array(["good"]), np.array([False]), implied)
    assert codes_in(verdicts.classes, SUPERCLASSES) == {statement.superclass}
    assert verdicts.doubts["implied"][0] and verdicts.doubts["normal beside others"][0] and verdicts.uncertain[0]
    kept = keep_consistent(statements(statement.code, "NORM"), verdicts.classes, np.array([False]))
    assert codes_in(kept) == {statement.code}


def test_statements_of_superclasses_that_are_above_anyway_leave_no_doubt():
    implied = implied_superclasses(statements("IMI"))
    verdicts = reach_verdicts(classes("MI"), np.array([False]), {}, np.array(["good"]), np.array([False]), implied)
    assert codes_in(verdicts.classes, SUPERCLASSES) == {"MI"} and not verdicts.uncertain[0]


def test_a_statement_without_its_superclass_is_dropped_and_form_and_rhythm_stay():
    everything = statements("NORM", "IMI", "LAFB", "PVC", "AFIB", "QWAVE")
    assert codes_in(keep_consistent(everything, classes("CD"), np.array([False]))) == {"LAFB", "PVC", "AFIB", "QWAVE"}


def test_an_unusable_recording_asserts_nothing():
    implied = implied_superclasses(statements("IMI"))
    verdicts = reach_verdicts(classes("CD"), np.array([False]), {}, np.array(["unusable"]), np.array([False]), implied)
    assert not verdicts.classes.any() and not verdicts.doubts["implied"][0]
    assert not keep_consistent(statements(*CODES), classes(*SUPERCLASSES), np.array([True])).any()


@pytest.mark.parametrize(
    ("above", "not_validated", "present", "asserted", "expected"),
    [
        (("IMI",), (), ("MI",), ("IMI",), {"IMI"}),
        ((), (), ("MI",), ("IMI",), {"IMI"}),  # the statement implies it
        (("AMI",), (), ("MI",), (), {"AMI"}),
        (("AMI",), (), ("CD",), (), set()),  # not without its superclass
        (("AMI",), ("AMI",), ("MI",), (), set()),
        (("AMI",), ("AMI",), ("MI",), ("ASMI",), {"AMI"}),
        ((), (), ("NORM",), ("SR",), set()),
    ],
)
def test_subclasses_follow_statements_and_superclasses(above, not_validated, present, asserted, expected):
    reached = np.array([[name in above for name in SUBCLASSES]])
    validated = np.array([name not in not_validated for name in SUBCLASSES])
    found = assert_subclasses(reached, validated, classes(*present), statements(*asserted))
    assert codes_in(found, SUBCLASSES) == expected


# -- One recording ----------------------------------------------------------------------------------------------------


def decisions_of(not_validated: tuple[str, ...] = (), threshold: float | None = None) -> Decisions:
    """Thresholds of 0.5 unless said otherwise, and probabilities that stay as they are."""
    identity = {"kind": "identity", "a": 1.0, "b": 1.0, "c": 0.0}

    def findings(names):
        return FindingDecisions(
            names=names,
            calibrators=(identity,) * len(names),
            thresholds=np.full(len(names), THRESHOLD if threshold is None else threshold),
            validated=np.array([name not in not_validated for name in names]),
        )

    return Decisions(
        task="multilabel",
        score="multilabel",
        classes=SUPERCLASSES,
        criterion="f1",
        sensitivity_floor=0.95,
        calibrators=(identity,) * 5,
        thresholds=(THRESHOLD,) * 5,
        margin=0.1,
        statements=findings(CODES),
        subclasses=findings(SUBCLASSES),
    )


LIKELY_CLASSES = dict.fromkeys(SUPERCLASSES, 0.9)


def results(given: dict, present: tuple[str, ...], not_validated=(), unusable=False, superclasses=None, threshold=None):
    """Statements, subclasses and rhythm of one recording, and its headline."""
    decisions = decisions_of(not_validated, threshold)
    found = threshold_statements(decisions, probabilities(**given))
    ((statements, subclasses, rhythm),) = statement_results(decisions, found, classes(*present), np.array([unusable]))
    return statements, subclasses, rhythm, headline(rhythm, statements, present, superclasses or LIKELY_CLASSES)


@pytest.mark.parametrize(
    ("given", "present", "phrases"),
    [
        ({"SR": 0.9, "NORM": 0.9}, ("NORM",), ("Sinus rhythm", "Normal ECG")),
        ({"AFIB": 0.9, "NORM": 0.9}, ("NORM",), ("Atrial fibrillation", "Otherwise normal ECG")),
        ({"SR": 0.9, "PVC": 0.9}, ("NORM",), ("Sinus rhythm", "{PVC}", "Otherwise normal ECG")),
        (
            {"AFIB": 0.9, "ASMI": 0.8, "LAFB": 0.7},
            ("MI", "CD"),
            ("Atrial fibrillation", "{ASMI}", "{LAFB}"),
        ),
        ({"SR": 0.9, "IMI": 0.6, "AMI": 0.8}, ("MI",), ("Sinus rhythm", "{AMI}", "{IMI}")),
        ({"SR": 0.9}, ("STTC",), ("Sinus rhythm", "ST/T change")),  # a superclass without a statement
        ({"SR": 0.9}, (), ("Sinus rhythm", "No diagnostic class asserted")),
        ({"NORM": 0.9}, ("NORM",), ("Rhythm uncertain", "Otherwise normal ECG")),
    ],
)
def test_the_headline_reads_rhythm_then_diagnoses_then_form(given, present, phrases):
    expected = []
    for phrase in phrases:
        name = BY_CODE[phrase[1:-1]].name if phrase.startswith("{") else phrase
        expected.append(name[0].upper() + name[1:])
    assert results(given, present)[3] == tuple(expected)


@pytest.mark.parametrize(
    ("given", "superclasses", "phrases"),
    [
        # likely findings first, each superclass's and form's possible ones after them
        (
            {"SR": 0.9, "IMI": 0.3, "ASMI": 0.8, "PVC": 0.2, "LAFB": 0.7},
            {"MI": 0.9, "CD": 0.9},
            ("Sinus rhythm", "{ASMI}", "{LAFB}", "Possible {IMI}", "Possible {PVC}"),
        ),
        # a likely superclass is named where none of its statements is likely
        ({"SR": 0.9, "IMI": 0.3}, {"MI": 0.8}, ("Sinus rhythm", "{MI}", "Possible {IMI}")),
        ({"SR": 0.9, "IMI": 0.3}, {"MI": 0.4}, ("Sinus rhythm", "Possible {IMI}")),
        ({"SR": 0.9}, {"HYP": 0.3}, ("Sinus rhythm", "Possible {HYP}")),
        ({"SARRH": 0.3, "SR": 0.25}, {"NORM": 0.45}, ("Possible {SARRH}", "Possibly normal ECG")),
        ({"SR": 0.9, "PAC": 0.3}, {"NORM": 0.45}, ("Sinus rhythm", "Possible {PAC}", "Possibly otherwise normal ECG")),
    ],
)
def test_what_is_asserted_but_less_likely_than_not_is_called_possible(given, superclasses, phrases):
    said = results(given, tuple(superclasses), superclasses=LIKELY_CLASSES | superclasses, threshold=0.2)[3]
    names = {statement.code: statement.name for statement in STATEMENTS} | SUPERCLASS_NAMES
    expected = [phrase.format(**names) for phrase in phrases]
    assert said == tuple(phrase[0].upper() + phrase[1:] for phrase in expected)


def test_a_rhythm_that_is_not_validated_is_a_possibility():
    found, _, rhythm, phrases = results({"AFLT": 0.9, "SR": 0.6}, ("CD",), not_validated=("AFLT",))
    assert (rhythm.code, rhythm.certain) == ("AFLT", False)
    assert phrases[0] == rhythm.sentence == "Rhythm uncertain (possibly atrial flutter)"
    assert not any(one.asserted for one in found)
    (flutter,) = (one for one in found if one.code == "AFLT")
    assert flutter.probability == pytest.approx(0.9) and not flutter.validated


def test_of_an_unusable_recording_no_statement_and_no_rhythm_is_named():
    found, subclasses, rhythm, _ = results({"SR": 0.9, "IMI": 0.9}, (), unusable=True)
    assert not any(one.asserted for one in (*found, *subclasses))
    assert (rhythm.code, rhythm.certain) == ("", False)


def test_a_network_of_which_no_rhythm_is_validated_does_not_assess_it():
    _, _, rhythm, phrases = results({"STACH": 0.9, "NORM": 0.9}, ("NORM",), not_validated=RHYTHMS)
    assert (rhythm.code, rhythm.certain) == ("", False)
    assert phrases == ("Rhythm not assessed", "Otherwise normal ECG")


def test_an_earlier_network_has_its_superclasses_for_a_headline():
    assert headline(None, (), ("MI", "CD"), LIKELY_CLASSES) == ("Myocardial infarction", "Conduction disturbance")
    assert headline(None, (), ("NORM",), LIKELY_CLASSES) == ("Normal ECG",)
    assert headline(None, (), (), LIKELY_CLASSES) == ("No diagnostic class asserted",)


def test_all_statements_and_subclasses_are_listed_with_what_they_belong_to():
    found, subclasses, rhythm, _ = results({"SR": 0.9, "ASMI": 0.8}, ("MI",))
    assert tuple(one.code for one in found) == CODES and tuple(one.name for one in subclasses) == SUBCLASSES
    assert rhythm == RhythmResult(code="SR", certain=True, sentence="Sinus rhythm")
    assert {one.code for one in found if one.asserted} == {"SR", "ASMI"}
    assert {one.name for one in subclasses if one.asserted} == {BY_CODE["ASMI"].subclass}
    (ami,) = (one for one in subclasses if one.name == "AMI")
    members = [code for code in CODES if BY_CODE[code].subclass == "AMI"]
    assert ami.probability == pytest.approx(1 - 0.2 * 0.99 ** (len(members) - 1)) and ami.superclass == "MI"
