"""Comparing networks, choosing one, and the share of recordings with a certain verdict."""

from types import SimpleNamespace

import numpy as np
import pytest

from config import SUPERCLASSES
from ecg.statements import CODES
from evaluation.bootstrap import equivalence, paired_difference
from evaluation.comparison import ComparedNetwork, choose_score, compare_networks
from evaluation.coverage import coverage_metrics
from evaluation.predictions import HeldOutDecisions, HeldOutFindings
from evaluation.verdicts import (
    ADDS,
    DROPPED,
    TaskDecisions,
    contradictions,
    other_rules,
    statement_contradictions,
    statement_rules,
)


def simulated(n=400, classes=5, noise=1.0, seed=0):
    """Targets, patients, and scores of a known quality."""
    targets = (np.random.default_rng(7).random((n, classes)) < 0.35).astype(float)
    logits = 3 * targets - 1.5 + noise * np.random.default_rng(seed).normal(size=targets.shape)
    recordings = SimpleNamespace(targets=targets, patient_ids=np.arange(n) // 2, classes=SUPERCLASSES[:classes])
    return recordings, 1 / (1 + np.exp(-logits))


def test_a_better_network_is_told_from_a_worse_one_and_from_itself():
    (recordings, good), (_, bad) = simulated(noise=1.0), simulated(noise=3.0, seed=1)
    networks = [
        ComparedNetwork(
            name=name,
            predictions=SimpleNamespace(probabilities=p),
            held_out=HeldOutDecisions(calibrated=p, positive=p >= 0.5, certainty=np.ones(len(p))),
        )
        for name, p in (("good", good), ("bad", bad), ("same", good))
    ]
    _, worse, same = compare_networks(networks, recordings, np.ones(400, bool))
    assert worse["difference"]["auroc"]["ci95"][1] < 0 and worse["difference"]["auroc"]["p"] < 0.01
    assert same["difference"]["auroc"] == {"value": 0.0, "ci95": [0.0, 0.0], "p": 1.0}


def test_the_p_value_is_two_sided_and_never_zero():
    metric = np.concatenate([[1.0], np.linspace(0.5, 1.5, 999)])
    assert paired_difference(metric, np.zeros(1000))["p"] == pytest.approx(2 / 1000)
    assert paired_difference(np.zeros(1000), metric)["p"] == pytest.approx(2 / 1000)
    centred = np.concatenate([[0.0], np.linspace(-1, 1, 999)])
    assert paired_difference(centred, np.zeros(1000))["p"] == 1.0


def test_equivalence_needs_the_whole_90_percent_interval_within_the_margin():
    replicates = np.concatenate([[0.0], np.linspace(-1, 1, 1001)])  # 90 % interval: ±0.9
    zeros = np.zeros(len(replicates))
    assert equivalence(replicates, zeros, margin=0.91)["equivalent"] is True
    narrow = equivalence(replicates, zeros, margin=0.89)
    assert narrow["equivalent"] is False and narrow["ci90"] == pytest.approx([-0.9, 0.9])
    assert paired_difference(replicates, zeros)["p"] == 1.0  # and yet nothing significant


@pytest.mark.parametrize(
    ("binary_noise", "binary_seed", "chosen"),
    [(0.7, 1, "binary"), (1.5, 0, "multilabel"), (1.5, 2, "multilabel"), (4.0, 1, "multilabel")],
    ids=["better", "the same scores", "as good", "worse"],
)
def test_the_binary_network_serves_only_if_significantly_better(binary_noise, binary_seed, chosen):
    recordings, multilabel = simulated(n=600, classes=1, noise=1.5)
    _, binary = simulated(n=600, classes=1, noise=binary_noise, seed=binary_seed)
    candidates = {
        score: SimpleNamespace(recordings=recordings, probabilities=probabilities)
        for score, probabilities in (("binary", binary), ("multilabel", multilabel))
    }
    score, facts = choose_score(candidates)
    assert score == chosen
    assert (facts["binary_minus_multilabel_auroc"]["ci95"][0] > 0) is (chosen == "binary")
    assert choose_score({"binary": candidates["binary"]})[0] == "binary"


def test_poor_quality_makes_a_verdict_uncertain_and_the_margin_alone_does_not_see_it():
    targets = np.array([[1.0], [0.0], [1.0], [0.0]])
    positive = np.array([[True], [False], [False], [False]])
    certainty = np.array([2.0, 3.0, 1.5, 0.5])
    severity = np.array(["good", "note", "caution", "good"])
    coverage = coverage_metrics(positive, certainty, severity, targets)
    assert coverage["quality"] == {"good": 2, "note": 1, "caution": 1, "unusable": 0}
    assert coverage["verdict_certain"] == {"share": 0.5, "f1": 1.0, "exact_match": 1.0}
    assert coverage["verdict_uncertain"]["share"] == 0.5
    assert coverage["margin_alone"]["verdict_certain"]["share"] == 0.75
    assert coverage["margin_alone"]["verdict_certain"]["exact_match"] == pytest.approx(2 / 3, abs=1e-4)
    assert coverage["curve"][-1] == {"coverage": 0.5, "f1": 1.0, "exact_match": 1.0}


def test_no_uncertain_verdict_at_all_gives_no_metrics_of_them():
    ones = np.ones((2, 1))
    coverage = coverage_metrics(ones > 0, np.array([2.0, 2.0]), np.array(["good", "good"]), ones)
    assert coverage["verdict_uncertain"] == {"share": 0.0, "f1": None, "exact_match": None}


def test_certain_and_uncertain_verdicts_follow_the_rule_and_the_margin_alone_does_not():
    norm_and_mi, mi, norm = ([1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0])
    positive, targets = np.array([norm_and_mi, mi, norm], bool), np.array([mi, mi, norm], float)
    coverage = coverage_metrics(positive, np.full(3, 2.0), np.full(3, "good"), targets)
    assert coverage["verdict_certain"]["share"] == pytest.approx(2 / 3, abs=1e-4)  # a contradiction is uncertain
    assert coverage["verdict_uncertain"]["exact_match"] == 1.0  # NORM gave way
    assert coverage["margin_alone"]["verdict_certain"]["exact_match"] == pytest.approx(2 / 3, abs=1e-4)


def test_contradictions_are_counted_among_what_is_shown():
    classes = np.array([[1, 1, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 1, 0, 0, 0]], bool)
    answers = {"norm_vs_abnormal": np.array([1, 1, 0, 1], bool), "mi_vs_norm": np.array([1, 1, 1, 0], bool)}
    shown = {task: np.ones(4, bool) for task in answers}
    assert list(contradictions(classes, answers, shown).values()) == [1, 1, 1, 1, 1, 1, 1, 2, 1]
    hidden = {task: np.zeros(4, bool) for task in answers}
    assert list(contradictions(classes, answers, hidden).values()) == [1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_rules_for_norm_beside_another_class_differ_where_they_should():
    above = np.array([[1, 0, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], bool)
    excess = np.where(above, [[2, 0, 1, 0, 0], [1, 2, 0, 0, 0], [1, 0, 0, 0, 0]], -1.0)
    truth = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]], float)
    decisions = TaskDecisions(above=above, near=np.zeros(3, bool), excess=excess)
    right = [row["exact_match"] for row in other_rules(decisions, truth, np.ones(3, bool)).values()]
    assert right == pytest.approx([1 / 3, 2 / 3, 1, 2 / 3], abs=1e-4)


def statements_of(*rows: tuple[str, ...]) -> np.ndarray:
    return np.array([[code in row for code in CODES] for row in rows])


def test_contradictions_of_statements_and_superclasses_are_counted():
    classes = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]], bool)
    statements = statements_of(("IMI", "SR"), ("IMI", "LVH"), ("NORM", "AFIB", "PACE"), ("NORM", "SR"))
    assert list(statement_contradictions(classes, statements).values()) == [2, 1, 1, 1]


def test_adding_and_dropping_differ_where_a_statement_stands_without_its_superclass():
    """Three ECGs: IMI beside NORM, once rightly and once wrongly, and LVH beside its class."""
    above = np.array([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], bool)
    targets = np.array([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], float)
    asserted, made = statements_of(("IMI",), ("IMI",), ("LVH",)), statements_of(("IMI",), ("NORM",), ("LVH",))
    statements = HeldOutFindings(
        names=CODES, scores=asserted, calibrated=asserted, above=asserted, made=made, validated=np.ones(71, bool)
    )
    found = statement_rules(above, statements, asserted, targets, np.ones(3, bool), np.arange(3))
    rules = found["rules"]
    assert [row["exact_match"]["value"] for row in rules.values()] == pytest.approx([2 / 3, 2 / 3, 2 / 3], abs=1e-4)
    assert rules["thresholds alone"]["statements"] == rules[ADDS]["statements"] == {"n": 3, "right": 2}
    assert rules[DROPPED]["statements"] == {"n": 1, "right": 1}
    assert found["added"]["MI"] == {"n": 2, "annotated": 1} and found["added"]["HYP"] == {"n": 0, "annotated": 0}
    assert found["dropped_minus_adds"]["exact_match"]["value"] == 0
