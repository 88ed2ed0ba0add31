"""What a network says about the records of a collection, kept in a journal so that a stopped run goes on.

``external_predictions_NAME.csv`` has a line a record: uncalibrated probabilities and quality, or why it was refused.
"""

import hashlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from config import PROJECT
from ecg.quality import assess
from ecg.readers import read_recording
from ecg.readers.folders import version_of
from ecg.recording import Recording, RecordingError
from ecg.statements import CODES, SUBCLASSES, any_probability, subclass_columns
from evaluation.external_collection import LabelledRecord
from files import sha256
from inference import InferenceError
from inference.backends import load_network
from inference.decisions import load_decisions, thresholds_path
from inference.diagnoser import Diagnoser
from inference.result_rows import NUMBER, TEXT, file_name
from inference.results_table import ResultsTable, open_table

TASK = "multilabel"
# what decides a line, together with the network
CODE = (
    "config.py",
    "ecg/*.py",
    "ecg/readers/*.py",
    "inference/*.py",
    "models/*.py",
    "evaluation/external_predictions.py",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class EvaluatedNetwork:
    """A network with its calibration and thresholds, by level of class (`ecg.snomed.LEVELS` without groups).

    classes: level to class names; a level that the network does not answer is missing.
    thresholds: level to a threshold a class, from the file thresholds_path.
    validated: level to whether fold 9 allows a class to be asserted, see `inference.decisions.FindingDecisions`.
    criterion, sensitivity_floor: by which thresholds were chosen, see `inference.calibration.choose_threshold`.
    probabilities_of: recording to level to uncalibrated probabilities ``(classes,)``; raises RecordingError.
    calibrate: level and uncalibrated probabilities ``(n, classes)`` to calibrated ones.
    """

    checkpoint: Path
    thresholds_path: Path
    sha256: str
    model: str
    synthetic: bool
    classes: dict[str, tuple[str, ...]]
    thresholds: dict[str, tuple[float, ...]]
    validated: dict[str, tuple[bool, ...]]
    criterion: str
    sensitivity_floor: float
    probabilities_of: Callable[[Recording], dict[str, np.ndarray]]
    calibrate: Callable[[str, np.ndarray], np.ndarray]


def load_evaluated(checkpoint: Path, thresholds: Path | None = None, threads: int = 1) -> EvaluatedNetwork:
    """A multi-label checkpoint (``.pth``) or exported network (``.onnx``) with its thresholds file.

    thresholds: ``multilabel_thresholds.json`` beside the checkpoint if None.
    Raises InferenceError or ThresholdsError.
    """
    network = load_network(checkpoint, "onnx" if checkpoint.suffix == ".onnx" else "pytorch", threads)
    if network.task != TASK:
        raise InferenceError(
            f"{checkpoint} was trained for task {network.task}, not {TASK}: name a multi-label network"
        )
    path = thresholds or thresholds_path(checkpoint.parent, TASK)
    decisions = load_decisions(path, TASK, {TASK: network.checkpoint_sha256})
    diagnoser = Diagnoser(networks={TASK: network}, decisions={TASK: decisions}, files={})
    levels = {"superclass": decisions}
    if decisions.statements and decisions.subclasses:
        levels |= {"subclass": decisions.subclasses, "statement": decisions.statements}
    classes = {"superclass": decisions.classes, "subclass": SUBCLASSES, "statement": CODES}
    return EvaluatedNetwork(
        checkpoint=checkpoint,
        thresholds_path=path,
        sha256=network.checkpoint_sha256,
        model=network.model,
        synthetic=network.synthetic,
        classes={level: classes[level] for level in levels},
        thresholds={level: tuple(map(float, fitted.thresholds)) for level, fitted in levels.items()},
        validated={
            level: tuple(map(bool, getattr(fitted, "validated", (True,) * len(classes[level]))))
            for level, fitted in levels.items()
        },
        criterion=decisions.criterion,
        sensitivity_floor=decisions.sensitivity_floor,
        probabilities_of=lambda recording: _by_level(diagnoser.probabilities(recording), tuple(levels)),
        calibrate=lambda level, probabilities: levels[level].calibrate(probabilities),
    )


def _by_level(probabilities: dict[str, np.ndarray], levels: tuple[str, ...]) -> dict[str, np.ndarray]:
    """What `Diagnoser.probabilities` gives, by level; a subclass is any of its statements."""
    by_level = {"superclass": probabilities[TASK]}
    if "statement" in levels:
        by_level["statement"] = probabilities["statements"]
        by_level["subclass"] = any_probability(probabilities["statements"][None], subclass_columns())[0]
    return by_level


def predict_records(
    network: EvaluatedNetwork, records: list[LabelledRecord], table_path: Path, restart: bool = False
) -> list[dict]:
    """The line of every record, in order, from the table if an earlier run has it.

    A record is predicted again if its files or the code of this project changed since. Raises TableError if the table
    was begun with another network or cannot be used.
    """
    settings = {"checkpoint": network.sha256[:12], "network": network.checkpoint.suffix.lstrip(".")}
    columns = _columns(network)
    with open_table(table_path, columns, settings, restart) as table:
        keys = [file_name(record.header.resolve()) for record in records]
        wanted = set(keys)
        table.forget([key for key in table.rows if key not in wanted])
        code = _code_version()
        versions = [f"{version_of(record.header)} code {code}" for record in records]
        todo = [n for n, key in enumerate(keys) if not table.is_done(key, versions[n])]
        if len(todo) < len(keys):
            done = len(keys) - len(todo)
            print(f"{done:,} of {len(keys):,} records were predicted before; --restart predicts them again")
        _fill(table, network, [(records[n].header, keys[n], versions[n]) for n in todo])
        return [dict.fromkeys(columns) | table.rows[key] for key in keys]


def _fill(table: ResultsTable, network: EvaluatedNetwork, todo: list[tuple[Path, str, str]]) -> None:
    for header, key, version in tqdm(todo, desc="predicting", unit="ECG", disable=not todo):
        table.add(predict_record(network, header), key, version)


def predict_record(network: EvaluatedNetwork, header: Path) -> dict:
    """The line of one record; whatever goes wrong with it is the line's error."""
    row = dict.fromkeys(_columns(network)) | {"file": file_name(header), "model": network.sha256[:12]}
    try:
        recording = read_recording(header)
        by_level, quality = network.probabilities_of(recording), assess(recording)
    except (RecordingError, OSError) as error:
        return row | {"error": str(error) or type(error).__name__}
    except Exception as error:  # the other records of a night's run are not lost to a defect that one record shows
        traceback.print_exc()
        return row | {"error": f"internal error, please report it: {type(error).__name__}: {error}"}
    for level, probabilities in by_level.items():
        row |= {column_of(level, name): float(p) for name, p in zip(network.classes[level], probabilities, strict=True)}
    return row | {
        "sampling_rate": recording.sampling_rate,
        "duration_s": round(recording.duration, 3),
        "quality": quality.severity,
        "flags": "; ".join(dict.fromkeys(flag.name for flag in quality.flags)),
    }


def column_of(level: str, name: str) -> str:
    """The column of a class: names such as NORM and STTC stand for a superclass and for a sub-class."""
    return f"p_{level}_{name}"


def probabilities_of(network: EvaluatedNetwork, level: str, rows: list[dict]) -> np.ndarray:
    """Uncalibrated probabilities ``(n, classes)`` of lines without an error."""
    columns = [column_of(level, name) for name in network.classes[level]]
    return np.array([[row[column] for column in columns] for row in rows], np.float64).reshape(len(rows), len(columns))


def _columns(network: EvaluatedNetwork) -> dict[str, str]:
    columns = {"file": TEXT, "error": TEXT, "model": TEXT, "quality": TEXT, "flags": TEXT}
    columns |= {"sampling_rate": NUMBER, "duration_s": NUMBER}
    return columns | {column_of(level, name): NUMBER for level, names in network.classes.items() for name in names}


def _code_version() -> str:
    """Another text once the code that makes a line is another."""
    files = sorted(file for pattern in CODE for file in PROJECT.glob(pattern))
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:12]
