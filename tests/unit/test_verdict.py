"""The rule that makes a verdict of thresholded classes, binary answers, quality and rhythm."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from config import BINARY_TASKS, SUPERCLASSES
from ecg.quality import SEVERITIES
from inference.verdict import DOUBTS, WITHHELD, Verdicts, doubt_sentences, reach_verdicts, withheld_sentence

COMBINATIONS = list(itertools.product((False, True), repeat=len(SUPERCLASSES)))


def verdict_of(
    *above: str, mi: bool = False, abnormal: bool = True, severity: str = "good", near=False, rhythm=False
) -> Verdicts:
    """The verdict of one recording with these classes above their thresholds."""
    return reach_verdicts(
        np.array([[name in above for name in SUPERCLASSES]]),
        np.array([near]),
        {"mi_vs_norm": np.array([mi]), "norm_vs_abnormal": np.array([abnormal])},
        np.array([severity]),
        np.array([rhythm]),
    )


def asserted(verdicts: Verdicts) -> tuple[str, ...]:
    return tuple(np.array(SUPERCLASSES)[verdicts.classes[0]].tolist())


def doubts(verdicts: Verdicts) -> set[str]:
    return {name for name, there in verdicts.doubts.items() if there[0]}


def withheld(verdicts: Verdicts) -> dict[str, str]:
    return {task: str(reasons[0]) for task, reasons in verdicts.withheld.items()}


@pytest.mark.parametrize("above", COMBINATIONS)
def test_norm_yields_to_any_other_class_and_nothing_else_changes(above):
    names = tuple(np.array(SUPERCLASSES)[list(above)].tolist())
    others = tuple(name for name in names if name != "NORM")
    verdicts = verdict_of(*names)
    assert asserted(verdicts) == (others or names)
    assert ("normal beside others" in doubts(verdicts)) == ("NORM" in names and bool(others))


@pytest.mark.parametrize("above", COMBINATIONS)
@pytest.mark.parametrize("mi", [False, True])
@pytest.mark.parametrize("abnormal", [False, True])
def test_no_binary_result_is_shown_that_contradicts_the_classes(above, mi, abnormal):
    verdicts = verdict_of(*np.array(SUPERCLASSES)[list(above)], mi=mi, abnormal=abnormal)
    classes, hidden = asserted(verdicts), withheld(verdicts)
    if not hidden["norm_vs_abnormal"]:
        assert abnormal == ("NORM" not in classes)
    if not hidden["mi_vs_norm"]:
        assert classes == (("MI",) if mi else ("NORM",))
    contradicted = abnormal == ("NORM" in classes)
    assert (hidden["norm_vs_abnormal"] == "contradicts") == contradicted == ("normal or abnormal" in doubts(verdicts))


@pytest.mark.parametrize("other", ["STTC", "CD", "HYP"])
@pytest.mark.parametrize("mi", [False, True])
def test_mi_against_norm_is_withheld_beside_what_it_was_not_trained_on_and_that_alone_is_no_doubt(other, mi):
    verdicts = verdict_of(other, mi=mi)
    assert withheld(verdicts) == {"mi_vs_norm": "outside", "norm_vs_abnormal": ""}
    sentence = withheld_sentence(verdicts, "mi_vs_norm")
    assert other in sentence and "MI and normal" in sentence
    assert not verdicts.uncertain[0]
    assert withheld_sentence(verdicts, "norm_vs_abnormal") == ""


def test_an_unusable_recording_asserts_nothing_and_has_one_reason():
    verdicts = verdict_of("NORM", "MI", mi=True, severity="unusable", near=True, rhythm=True)
    assert asserted(verdicts) == () and doubts(verdicts) == {"unusable"}
    assert set(withheld(verdicts).values()) == {"unusable"}
    assert asserted(verdict_of("MI", mi=True, severity="caution")) == ("MI",)
    assert doubts(verdict_of("MI", mi=True, severity="caution")) == {"poor quality"}
    assert not verdict_of("MI", mi=True, severity="note").uncertain[0]
    assert not verdict_of("MI", mi=True, severity="").uncertain[0]  # not assessed


def test_a_sign_against_sinus_rhythm_makes_a_normal_ecg_uncertain_and_no_other():
    assert doubts(verdict_of("NORM", abnormal=False, rhythm=True)) == {"rhythm"}
    assert not verdict_of("NORM", abnormal=False).uncertain[0]
    assert not verdict_of("CD", rhythm=True).uncertain[0]


def test_every_doubt_is_a_sentence_that_names_what_contradicts_what():
    verdicts = verdict_of("NORM", "CD", "HYP", abnormal=False, near=True, severity="caution")
    sentences = doubt_sentences(verdicts, "HYP", {"mi_vs_norm": True, "norm_vs_abnormal": False}, ())
    assert len(sentences) == len(doubts(verdicts)) == 4
    assert any("NORM" in sentence and "CD, HYP" in sentence for sentence in sentences)
    assert any("normal" in sentence and "contradicts CD, HYP" in sentence for sentence in sentences)
    rhythm = verdict_of("NORM", abnormal=False, rhythm=True)
    answers = {"mi_vs_norm": False, "norm_vs_abnormal": False}
    (sentence,) = doubt_sentences(rhythm, "MI", answers, ("one sign", "another"))
    assert sentence.startswith("one sign and another")


def test_without_binary_answers_the_classes_alone_decide():
    above = np.array(COMBINATIONS)
    nothing = np.zeros(len(above), bool)
    verdicts = reach_verdicts(above, nothing, {}, np.full(len(above), "good"), nothing)
    assert verdicts.withheld == {}
    assert verdicts.uncertain.tolist() == [row[0] and any(row[1:]) for row in COMBINATIONS]


@given(st.data(), st.integers(1, 12))
def test_many_recordings_get_what_each_gets_alone(data, n):
    above = data.draw(arrays(bool, (n, 5)))
    near, rhythm = data.draw(arrays(bool, n)), data.draw(arrays(bool, n))
    binary = {task: data.draw(arrays(bool, n)) for task in BINARY_TASKS}
    severity = np.array(data.draw(st.lists(st.sampled_from(SEVERITIES), min_size=n, max_size=n)))
    together = reach_verdicts(above, near, binary, severity, rhythm)
    assert set(together.doubts) == set(DOUBTS)
    for row in range(n):
        one = slice(row, row + 1)
        answers = {task: of_all[one] for task, of_all in binary.items()}
        alone = reach_verdicts(above[one], near[one], answers, severity[one], rhythm[one])
        assert (alone.classes == together.classes[one]).all()
        assert alone.uncertain[0] == together.uncertain[row]
        assert withheld(alone) == {task: str(together.withheld[task][row]) for task in BINARY_TASKS}
        assert set(withheld(alone).values()) <= set(WITHHELD)
        assert not (alone.classes[0, 0] and alone.classes[0, 1:].any())
