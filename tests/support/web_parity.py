"""When the page of web/ and the Python code say the same of a recording."""

import json
from collections.abc import Iterable

from ecg.readers import read_uploaded
from inference.diagnoser import Diagnoser
from inference.diagnosis import Diagnosis
from ptbxl.index import Index
from ptbxl.records import record_path
from tests.support.web_page import ask

VERDICT = ("predicted_classes", "headline", "asserted", "rhythm", "uncertain_because", "binary")
TOLERANCE = 0.001  # of a probability; a verdict may differ where a probability is this near to its threshold


def assert_same_result(found: dict, expected: Diagnosis) -> None:
    """found: the page's JSON. expected: `Diagnoser.diagnose(recording, quality=False)`."""
    assert "error" not in found, found
    here, there = facts_of(found), facts_of(json.loads(json.dumps(expected_json(expected))))
    for name, probability in there["probabilities"].items():
        if here["probabilities"][name] is not None:
            assert abs(here["probabilities"][name] - probability) <= TOLERANCE, name
    thresholds = there["thresholds"]
    near = [name for name, p in there["probabilities"].items() if abs(p - thresholds[name]) <= TOLERANCE]
    if not near:
        assert {name: here[name] for name in VERDICT} == {name: there[name] for name in VERDICT}


def facts_of(result: dict) -> dict:
    """Probabilities, thresholds and verdict of a result as JSON."""
    statements = {one["code"]: one for one in result["statements"]}
    binary = {task: result[task] for task in ("mi_vs_norm", "norm_vs_abnormal")}
    both = {**{f"statement {code}": one for code, one in statements.items()}, **binary}
    return {
        "probabilities": result["probabilities"] | {name: one["probability"] for name, one in both.items()},
        "thresholds": result["thresholds"] | {name: one["threshold"] for name, one in both.items()},
        "predicted_classes": result["predicted_classes"],
        "headline": result["headline"],
        "asserted": [code for code, one in statements.items() if one["asserted"]],
        "rhythm": result["rhythm"],
        "uncertain_because": result["uncertain_because"],
        "binary": {task: (one["positive"], one["withheld_because"]) for task, one in binary.items()},
    }


def expected_json(diagnosis: Diagnosis) -> dict:
    """A diagnosis with the fields of the server's answer."""
    return {
        "probabilities": diagnosis.probabilities,
        "thresholds": diagnosis.thresholds,
        "statements": [vars(one) for one in diagnosis.statements],
        "mi_vs_norm": vars(diagnosis.mi_vs_norm),
        "norm_vs_abnormal": vars(diagnosis.norm_vs_abnormal),
        "predicted_classes": diagnosis.predicted_classes,
        "headline": diagnosis.headline,
        "rhythm": vars(diagnosis.rhythm),
        "uncertain_because": diagnosis.uncertain_because,
    }


def assert_agreement(page, index: Index, ecg_ids: Iterable[int], sampling_rate: int, diagnoser: Diagnoser) -> None:
    """The page says of each of these records what `predict.py --no-quality` says."""
    for ecg_id in ecg_ids:
        path = record_path(index, int(ecg_id), sampling_rate)
        files = {path.name + end: path.with_name(path.name + end).read_bytes() for end in (".hea", ".dat")}
        try:
            assert_same_result(ask(page, files), diagnoser.diagnose(read_uploaded(files), quality=False))
        except AssertionError as error:
            raise AssertionError(f"ecg_id {ecg_id} at {sampling_rate} Hz: {error}") from error
