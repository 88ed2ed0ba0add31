"""The exported files run by ONNX Runtime alone, and compared with what the product says."""

import json
from pathlib import Path

import numpy as np
import onnxruntime

from config import BINARY_TASKS, SUPERCLASSES
from ecg.statements import RHYTHMS
from inference.decisions import log_odds
from inference.diagnosis import BinaryResult, Diagnosis
from inference.verdict import WITHHELD

NORM, MI = SUPERCLASSES.index("NORM"), SUPERCLASSES.index("MI")


class ExportedFiles:
    """The exported files of a directory, used as docs/onnx.md says."""

    def __init__(self, directory: Path):
        self.sessions, self.directory = {}, directory
        self.facts = self.session("multilabel_best.onnx")[1]

    def session(self, name: str) -> tuple[onnxruntime.InferenceSession, dict]:
        if name not in self.sessions:
            session = onnxruntime.InferenceSession(self.directory / name)
            facts = json.loads(session.get_modelmeta().custom_metadata_map["hmt_ecgnet"])
            self.sessions[name] = session, facts
        return self.sessions[name]

    def run(self, name: str, signals: np.ndarray) -> dict[str, np.ndarray]:
        session, _ = self.session(name)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {"signals": signals}), strict=True))

    def answers(self, signals: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs of the multi-label file, with those of the other files in their places."""
        answers = self.run("multilabel_best.onnx", signals)
        for task, name in self.facts["other_files"].items():
            number, other = BINARY_TASKS.index(task), self.run(name, signals)
            answers["calibrated"][:, number - 2] = other["calibrated"][:, 0]
            for output in ("positive", "binary_near"):
                answers[output][:, number] = other[output][:, 0]
            asked = answers["withheld"][:, number] == self.facts["withheld"].index("other file")
            classes = answers["asserted_classes"]
            expected = ~classes[:, NORM] if task == "norm_vs_abnormal" else classes[:, MI]
            contradicts = asked & (other["positive"][:, 0] != expected)
            answers["withheld"][asked, number] = self.facts["withheld"].index("")
            answers["withheld"][contradicts, number] = self.facts["withheld"].index("contradicts")
        return answers

    def margin(self, task: str) -> float:
        """Of the file that answers the task, in log odds."""
        name = self.facts["other_files"].get(task)
        facts = self.session(name)[1] if name else self.facts
        return facts["decisions"][task]["margin"]


def is_at_margin(result: BinaryResult, margin: float) -> bool:
    """Whether rounding decides on which side of the margin a result lies.

    So it is at the step of an isotonic calibration to which the margin was fitted.
    """
    clearance = abs(log_odds(np.array(result.probability)) - log_odds(np.array(result.threshold)))
    return bool(abs(clearance - margin) < 1e-6)


def assert_same(answers: dict[str, np.ndarray], row: int, diagnosis: Diagnosis, files: ExportedFiles) -> None:
    """Hold one recording's answers against its diagnosis."""
    given, facts = {name: values[row] for name, values in answers.items()}, files.facts
    binary = [getattr(diagnosis, task) for task in BINARY_TASKS]
    probabilities = [
        *diagnosis.probabilities.values(),
        *(one.probability for one in diagnosis.statements),
        *(one.probability for one in binary),
    ]
    np.testing.assert_allclose(given["calibrated"], probabilities, atol=1e-4)
    classes = [name in diagnosis.predicted_classes for name in SUPERCLASSES]
    assert given["asserted_classes"].tolist() == classes
    for number, one in enumerate(binary):
        withheld = facts["withheld"][given["withheld"][number]]
        assert one.withheld_because.startswith(WITHHELD[withheld].split("{")[0]) and bool(withheld) == (
            one.positive is None
        )
        assert withheld or bool(given["positive"][number]) == one.positive
        near = bool(given["binary_near"][number])
        assert near == one.uncertain or is_at_margin(one, files.margin(BINARY_TASKS[number]))
    contradicts = [facts["withheld"][code] == "contradicts" for code in given["withheld"]]
    doubts = [given["near"], given["implied"].any(), given["normal_beside_others"], *contradicts]
    assert sum(doubts) == len(diagnosis.uncertain_because)
    if given["near"]:
        nearest = facts["classes"][given["nearest"]]
        assert any(f"probability of {nearest} is too close" in reason for reason in diagnosis.uncertain_because)
    assert given["asserted_statements"].tolist() == [one.asserted for one in diagnosis.statements]
    np.testing.assert_allclose(given["subclasses"], [one.probability for one in diagnosis.subclasses], atol=1e-4)
    assert given["asserted_subclasses"].tolist() == [one.asserted for one in diagnosis.subclasses]
    code = RHYTHMS[given["rhythm"]] if given["rhythm"] >= 0 else ""
    assert (code, bool(given["rhythm_certain"])) == (diagnosis.rhythm.code, diagnosis.rhythm.certain)
