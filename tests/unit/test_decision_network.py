"""What is exported decides as numpy does."""

import itertools

import numpy as np
import pytest
import torch

from config import BINARY_TASKS, SUPERCLASSES, TASK_CLASSES
from ecg.lead_sets import FITTED_SETS
from ecg.statements import CODES, RHYTHMS, SUBCLASSES, any_probability, subclass_columns
from ecg.stretches import predict_probabilities, stretch_starts
from inference.calibration import KINDS
from inference.decision_network import WITHHELD_CODES, DecisionNetwork, cut_stretches
from inference.decision_table import Column, DecisionTable, LeadSetChoice
from inference.decisions import Decisions, FindingDecisions, apply_calibrator, apply_calibrators, task_probabilities
from inference.findings import (
    RHYTHM_COLUMNS,
    assert_statements,
    assert_subclasses,
    implied_superclasses,
    keep_consistent,
    name_rhythm,
)
from inference.lead_sets import LeadSetDecisions, LeadSets
from inference.verdict import reach_verdicts
from models.checkpoint import probabilities_function
from tests.support.networks import ALL, FIVE, narrow_network

LOGISTIC = {
    "identity": {"kind": "identity", "a": 1.0, "b": 1.0, "c": 0.0},
    "temperature": {"kind": "temperature", "a": 0.7, "b": 0.7, "c": 0.0},
    "platt": {"kind": "platt", "a": 1.2, "b": 1.2, "c": -0.4},
    "beta": {"kind": "beta", "a": 0.6, "b": 1.3, "c": 0.2},
}
ISOTONIC = {"kind": "isotonic", "x": [0.1, 0.3, 0.30001, 0.8], "y": [0.0, 0.2, 0.55, 0.9]}
CALIBRATORS = {**LOGISTIC, "isotonic": ISOTONIC}


def any_calibrators(rng, count):
    return tuple(CALIBRATORS[kind] for kind in rng.choice(list(CALIBRATORS), count))


def findings(rng, names):
    return FindingDecisions(
        names=names,
        calibrators=any_calibrators(rng, len(names)),
        thresholds=rng.uniform(0.2, 0.7, len(names)),
        validated=rng.random(len(names)) < 0.7,
    )


def decisions_of(rng, task, statements, assessable=1.0):
    """Any decisions; assessable: the share of classes that are."""
    classes = TASK_CLASSES[task]
    levels = {"statements": CODES, "subclasses": SUBCLASSES} if statements else {}
    return Decisions(
        task=task,
        score="multilabel",
        classes=classes,
        criterion="f1",
        sensitivity_floor=0.95,
        calibrators=any_calibrators(rng, len(classes)),
        thresholds=tuple(rng.uniform(0.3, 0.6, len(classes))),
        margin=1.0,
        not_assessable=tuple(name for name in classes if rng.random() >= assessable),
        **{level: findings(rng, names) for level, names in levels.items()},
    )


def by_numpy(decisions, outputs, probabilities):
    """The outputs of a `DecisionNetwork`, by the functions that the product decides with."""
    calibrated, above = {}, {}
    for task, one in decisions.items():
        calibrated[task] = one.calibrate(task_probabilities(outputs, probabilities, task))
        above[task] = one.decide(calibrated[task])
    multilabel, n = decisions["multilabel"], len(probabilities)
    implied = of_statements = None
    if multilabel.statements:
        statements = probabilities[:, outputs.statement_columns]
        of_statements = multilabel.statements.calibrate(statements)
        reached, validated = multilabel.statements.above(of_statements), multilabel.statements.validated
        asserted = assert_statements(of_statements, reached, validated)
        implied = implied_superclasses(asserted)
    quality, rhythm_doubt = np.full(n, ""), np.zeros(n, bool)
    near = multilabel.uncertain(calibrated["multilabel"])
    asked = [task for task in BINARY_TASKS if task in decisions and not decisions[task].not_assessable]
    binary = {task: above[task][:, 0] for task in asked}
    verdicts = reach_verdicts(above["multilabel"], near, binary, quality, rhythm_doubt, implied)
    given = {
        "probabilities": probabilities,
        "asserted_classes": verdicts.classes,
        "near": near,
        "nearest": multilabel.distances(calibrated["multilabel"]).argmin(1),
        "implied": verdicts.implied,
        "normal_beside_others": verdicts.doubts["normal beside others"],
    }
    for task, positive in binary.items():
        given |= {f"positive {task}": positive, f"calibrated {task}": calibrated[task][:, 0]}
        given[f"near {task}"] = decisions[task].uncertain(calibrated[task])
        given[f"withheld {task}"] = verdicts.withheld[task]
    if multilabel.statements:
        rhythm, assessed = name_rhythm(of_statements, reached, validated), validated[RHYTHM_COLUMNS].any()
        subclasses = multilabel.subclasses.calibrate(any_probability(statements, subclass_columns()))
        kept = keep_consistent(asserted, verdicts.classes, np.zeros(n, bool))
        subclasses_above, usable = multilabel.subclasses.above(subclasses), multilabel.subclasses.validated
        given |= {
            "calibrated": np.concatenate([calibrated["multilabel"], of_statements], 1),
            "subclasses": subclasses,
            "asserted_statements": kept,
            "asserted_subclasses": assert_subclasses(subclasses_above, usable, verdicts.classes, kept),
            "rhythm": np.array([RHYTHMS.index(code) if code and assessed else -1 for code in rhythm.code]),
            "rhythm_certain": rhythm.certain,
        }
    return given


@pytest.mark.parametrize("answered", [BINARY_TASKS, BINARY_TASKS[1:], ()], ids=lambda tasks: "+".join(tasks) or "none")
@pytest.mark.parametrize("outputs", [ALL, FIVE], ids=["statements", "superclasses alone"])
def test_decisions_equal_those_of_numpy(outputs, answered):
    rng = np.random.default_rng(len(answered))
    decisions = {task: decisions_of(rng, task, bool(outputs.statements)) for task in ("multilabel", *answered)}
    network = DecisionNetwork(narrow_network(outputs), 0.25, decisions).eval()
    probabilities = (rng.random((400, len(outputs))) ** rng.choice([0.5, 1, 4, 16], (400, 1))).astype(np.float32)
    decided = network.decide(torch.from_numpy(probabilities)[:, None])
    given = dict(zip(network.output_names, (one.numpy() for one in decided), strict=True))
    expected = by_numpy(decisions, outputs, probabilities.astype(np.float64))
    assert_equal(given, expected)
    some = {name for name, values in expected.items() if values.dtype == bool and not values.any()}
    assert not some - {"implied"}  # every kind of decision was made


def assert_equal(given, expected):
    for number, task in enumerate(BINARY_TASKS):
        given[f"calibrated {task}"] = given["calibrated"][:, number - 2]
        given[f"positive {task}"] = given["positive"][:, number]
        given[f"near {task}"] = given["binary_near"][:, number]
        given[f"withheld {task}"] = np.array(WITHHELD_CODES)[given["withheld"][:, number]]
    given["calibrated"] = given["calibrated"][:, :-2]
    for name, values in expected.items():
        assert given[name].shape == values.shape, name
        if values.dtype == float:
            np.testing.assert_allclose(given[name], values, rtol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(given[name], values, err_msg=name)


def any_lead_sets(rng):
    return LeadSets(
        by_name={
            name: LeadSetDecisions(
                name=name,
                auroc=rng.uniform(0.7, 0.95),
                decisions={task: decisions_of(rng, task, task == "multilabel", 0.7) for task in TASK_CLASSES},
            )
            for name in FITTED_SETS
        }
    )


def test_the_lead_set_is_that_of_numpy():
    lead_sets = any_lead_sets(np.random.default_rng(0))
    choice = LeadSetChoice(lead_sets)
    present = np.array(list(itertools.product([False, True], repeat=12)))[1:]
    row, exact = (one.numpy() for one in choice(torch.from_numpy(present).float()))
    for number, leads in enumerate(present):
        chosen, exactly = lead_sets.choose(leads)
        assert (choice.names[row[number]], exact[number]) == (chosen.name, exactly), leads


def test_any_leads_are_decided_by_their_lead_set():
    rng = np.random.default_rng(0)
    lead_sets = any_lead_sets(rng)
    network = DecisionNetwork(narrow_network(ALL), 0.25, lead_sets.by_name["12"].decisions, lead_sets).eval()
    probabilities = (rng.random((600, len(ALL))) ** rng.choice([0.5, 1, 4, 16], (600, 1))).astype(np.float32)
    present = rng.random((600, 12)) < rng.choice([0.15, 0.5, 0.97], (600, 1))
    decided = network.decide(torch.from_numpy(probabilities)[:, None], torch.from_numpy(present).float())
    given = dict(zip(network.output_names, (one.numpy() for one in decided), strict=True))
    assert len(set(given["lead_set"])) > 6
    for row in set(given["lead_set"].tolist()):
        of_row = given["lead_set"] == row
        chosen = lead_sets.choose(present[np.flatnonzero(of_row)[0]])[0]
        assert network.choice.names[row] == chosen.name
        expected = by_numpy(chosen.decisions, ALL, probabilities[of_row].astype(np.float64))
        if "multilabel" in chosen.decisions and chosen.decisions["multilabel"].assessable.sum() == 0:
            del expected["nearest"]  # none is
        ours = {name: values[of_row] for name, values in given.items()}
        assert_equal(ours, expected)
        assert ours["assessable"][0].tolist() == [
            *chosen.decisions["multilabel"].assessable,
            *(task not in chosen.not_assessable for task in BINARY_TASKS),
        ]
        for number, task in enumerate(BINARY_TASKS):
            if task in chosen.not_assessable:
                assert set(np.array(WITHHELD_CODES)[ours["withheld"][:, number]]) == {"not assessable"}


def test_a_task_that_another_file_answers_is_not_answered_but_excluded_where_it_does_not_apply():
    rng = np.random.default_rng(0)
    decisions = {"multilabel": decisions_of(rng, "multilabel", True)}
    network = DecisionNetwork(narrow_network(ALL), 0.25, decisions).eval()
    probabilities = rng.random((300, len(ALL))) ** rng.choice([1, 4, 16], (300, 1))
    given = dict(zip(network.output_names, network.decide(torch.from_numpy(probabilities)[:, None]), strict=True))
    assert given["calibrated"][:, -2:].isnan().all() and not given["positive"].any()
    said = np.array(WITHHELD_CODES)[given["withheld"].numpy()]
    assert set(said[:, 1]) == {"other file"}
    assert set(said[:, 0]) == {"outside", "neither", "other file"}
    classes = given["asserted_classes"].numpy()
    others = classes[:, [SUPERCLASSES.index(name) for name in ("STTC", "CD", "HYP")]].any(1)
    np.testing.assert_array_equal(said[:, 0] == "outside", others)


def table_of(*rows):
    return DecisionTable([[Column(calibrator=one, threshold=0.5, usable=True) for one in row] for row in rows])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_calibrator(kind):
    values = np.concatenate([[0, 1e-9, 0.1, 0.3, 0.8, 1 - 1e-9, 1], np.random.default_rng(0).random(200)])
    others = [CALIBRATORS["platt"], CALIBRATORS["isotonic"]]  # a column keeps its place among others
    for calibrators in ([CALIBRATORS[kind]], [*others, CALIBRATORS[kind]], [CALIBRATORS[kind], *others]):
        columns = np.stack([values] * len(calibrators), 1)
        given = table_of(calibrators).calibrate(torch.from_numpy(columns), None).numpy()
        for number, calibrator in enumerate(calibrators):
            np.testing.assert_allclose(given[:, number], apply_calibrator(calibrator, values), rtol=1e-12, atol=1e-15)


def test_a_curve_of_one_point_is_a_constant():
    curve = {"kind": "isotonic", "x": [0.4], "y": [0.25]}
    given = table_of([curve]).calibrate(torch.rand(9, 1, dtype=torch.float64), None)
    assert (given == 0.25).all()


def test_each_recording_is_calibrated_by_its_row():
    rng = np.random.default_rng(0)
    rows = [any_calibrators(rng, 6) for _ in range(4)]
    values, row = rng.random((300, 6)), rng.integers(0, 4, 300)
    given = table_of(*rows).calibrate(torch.from_numpy(values), torch.from_numpy(row)).numpy()
    expected = [apply_calibrators(rows[number], one[None])[0] for number, one in zip(row, values, strict=True)]
    np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-15)


def test_stretches_are_those_of_numpy():
    signals = torch.arange(2 * 12 * 6600, dtype=torch.float32).reshape(2, 12, 6600)
    for samples in (*range(500, 6600, 97), 1499, 1500, 1501, 2499, 2500, 2501, 3500, 4500, 6500):
        starts, length = stretch_starts(samples)
        expected = torch.stack([signals[:, :, start : start + length] for start in starts], 1)
        assert torch.equal(cut_stretches(signals[:, :, :samples]), expected)


def test_a_long_recording_is_read_as_by_numpy():
    network = narrow_network(ALL, branch=True)
    signals = np.random.default_rng(0).normal(size=(2, 12, 2600)).astype(np.float32)
    rng = np.random.default_rng(1)
    whole = DecisionNetwork(network, 0.25, {"multilabel": decisions_of(rng, "multilabel", True)}).eval()
    with torch.inference_mode():
        given = whole(torch.from_numpy(signals))[0].numpy()
    expected = predict_probabilities(probabilities_function(network), signals / np.float32(0.25))
    np.testing.assert_allclose(given, expected, atol=1e-6)
