"""Probabilities and decisions of a network on a split of PTB-XL, and the files they are kept in.

``predictions/NAME_TASK_SPLIT.npz`` holds all that a metric or a comparison can be recomputed from.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from config import CHECKPOINT_NAMES, LEADS, SUPERCLASSES, SYNTHETIC_NOTICE, data_directory
from dataset import PTBXLDataset
from ecg.statements import CODES, any_present, any_probability, subclass_columns
from ecg.stretches import predict_probabilities
from files import replacing, sha256
from inference.calibration import cross_fit, cross_fit_findings
from inference.decisions import FINDING_NAMES, Decisions, FindingDecisions, task_probabilities
from inference.findings import assert_statements
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, probabilities_function
from models.recording_network import RecordingNetwork
from ptbxl.index import DatasetError


@dataclass(frozen=True, eq=False)
class SplitPredictions:
    """A checkpoint's probabilities on one split, uncalibrated.

    probabilities: of the task, ``(n, classes)``. outputs: all of the network's, ``(n, outputs)``.
    score: "binary" if a binary network was asked a binary question, "multilabel" otherwise.
    """

    path: Path
    sha256: str
    checkpoint: Checkpoint
    recordings: PTBXLDataset
    probabilities: np.ndarray
    outputs: np.ndarray
    score: str

    @property
    def statements(self) -> np.ndarray:
        """``(n, 71)``, or no columns if the network has none."""
        return self.outputs[:, self.checkpoint.outputs.statement_columns]

    @property
    def synthetic(self) -> bool:
        return self.checkpoint.synthetic or self.recordings.is_synthetic


def predict_task(arguments, task: str, split: str) -> SplitPredictions:
    """Load the task's checkpoint and run it on a split. Raises CheckpointError or DatasetError."""
    predictions = predict_recordings(*load_task(arguments, task, split))
    if predictions.synthetic:
        print(SYNTHETIC_NOTICE)
    return predictions


def load_task(arguments, task: str, split: str) -> tuple[Path, Checkpoint, PTBXLDataset]:
    """The checkpoint the flags name and the split to evaluate it on. Raises CheckpointError or DatasetError."""
    path = Path(arguments.checkpoint or Path(arguments.out) / CHECKPOINT_NAMES[task])
    return load_network(arguments, path, task, task, split)


def load_network(
    arguments, path: Path, trained_for: str, task: str, split: str
) -> tuple[Path, Checkpoint, PTBXLDataset]:
    """A checkpoint trained for one task and the split of a task to evaluate it on."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    checkpoint = load_checkpoint_of(path, trained_for)
    return path, checkpoint, PTBXLDataset(data_directory(arguments.data), split, task, checkpoint.input_scale)


def load_checkpoint_of(path: Path, task: str) -> Checkpoint:
    """A checkpoint trained for a task. Raises CheckpointError if it was trained for another."""
    checkpoint = load_checkpoint(path)
    if checkpoint.task != task:
        raise CheckpointError(f"{path} was trained for task {checkpoint.task}, not {task}")
    return checkpoint


def predict_recordings(path: Path, checkpoint: Checkpoint, recordings: PTBXLDataset) -> SplitPredictions:
    """Run a checkpoint on recordings of any task; a multi-label one has a score for binary questions too."""
    outputs = predict_split(checkpoint.network(), recordings, np.arange(len(recordings)))
    score = "multilabel" if checkpoint.task == "multilabel" else "binary"
    return SplitPredictions(
        path=path,
        sha256=sha256(path),
        checkpoint=checkpoint,
        recordings=recordings,
        probabilities=task_probabilities(checkpoint.outputs, outputs, recordings.task),
        outputs=outputs,
        score=score,
    )


def predict_by_both(arguments, task: str, split: str) -> dict[str, SplitPredictions]:
    """Scores of a binary task by its own network and by the multi-label network, as far as they are there."""
    own = Path(arguments.checkpoint or Path(arguments.out) / CHECKPOINT_NAMES[task])
    multilabel = Path(arguments.multilabel or Path(arguments.out) / CHECKPOINT_NAMES["multilabel"])
    networks = {task: own, "multilabel": multilabel}
    if arguments.checkpoint is None and not own.is_file() and multilabel.is_file():
        print(f"no binary network at {own}: only the multi-label network is evaluated (--checkpoint names one)")
        del networks[task]
    if arguments.multilabel is None and not multilabel.is_file():
        print(f"no multi-label network at {multilabel}: only the binary network is evaluated (--multilabel names one)")
        del networks["multilabel"]
    predictions = [
        predict_recordings(*load_network(arguments, path, trained_for, task, split))
        for trained_for, path in networks.items()
    ]
    if any(one.synthetic for one in predictions):
        print(SYNTHETIC_NOTICE)
    return {one.score: one for one in predictions}


def predict_split(
    network: RecordingNetwork,
    split: PTBXLDataset,
    numbers: np.ndarray,
    present: np.ndarray | None = None,
    chunk: int = 256,
) -> np.ndarray:
    """Probabilities ``(len(numbers), outputs)`` of whole recordings, a chunk in memory at a time.

    present: bool ``(len(numbers), 12)``, the leads the network is shown, the others being zero; None: all of them.
    """
    probabilities_of = probabilities_function(network)
    shown = np.ones((len(numbers), len(LEADS)), np.float32) if present is None else present.astype(np.float32)
    chunks = [slice(first, first + chunk) for first in range(0, len(numbers), chunk)]
    return np.concatenate(
        [np.zeros((0, len(network.outputs)))]
        + [
            predict_probabilities(probabilities_of, split.signals(numbers[part]) * shown[part, :, None])
            for part in chunks
        ]
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOutFindings:
    """Statements or subclasses of one network on a split, ``(n, names)`` each.

    scores: uncalibrated. calibrated. above: at or above the threshold, bool. made: by the annotator, bool.
    validated: bool ``(names,)``, from the thresholds file.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    calibrated: np.ndarray
    above: np.ndarray
    made: np.ndarray
    validated: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOutDecisions:
    """One network's decisions on a split.

    calibrated: probabilities ``(n, classes)``. positive: bool ``(n, classes)``.
    certainty: ``(n,)``, distance to the nearest threshold over the margin; under 1 if the margin alone says uncertain.
    statements, subclasses: None if the network or its thresholds file has none.
    """

    calibrated: np.ndarray
    positive: np.ndarray
    certainty: np.ndarray
    statements: HeldOutFindings | None = None
    subclasses: HeldOutFindings | None = None

    @property
    def asserted(self) -> np.ndarray | None:
        """Which statements are asserted, bool ``(n, 71)``, see `inference.findings`."""
        one = self.statements
        return None if one is None else assert_statements(one.calibrated, one.above, one.validated)


def held_out_decisions(predictions: SplitPredictions, decisions: Decisions, split: str) -> HeldOutDecisions:
    """Decide on a split by thresholds and calibration of fold 9.

    On fold 9 itself, where they were fitted, the fit is repeated by 5-fold cross-fitting by patient;
    on any other split the fitted ones apply.
    """
    if split == "val":
        recordings = predictions.recordings
        calibrated, positive, certainty = cross_fit(
            predictions.probabilities,
            recordings.targets,
            recordings.patient_ids,
            decisions.task,
            criterion=decisions.criterion,
            sensitivity_floor=decisions.sensitivity_floor,
        )
    else:
        calibrated = decisions.calibrate(predictions.probabilities)
        positive = decisions.decide(calibrated)
        certainty = decisions.clearance(calibrated) / decisions.margin
    findings = {
        level: held_out_findings(predictions, getattr(decisions, level), split)
        for level in FINDING_NAMES
        if getattr(decisions, level) and predictions.statements.shape[1]
    }
    return HeldOutDecisions(calibrated=calibrated, positive=positive, certainty=certainty, **findings)


def finding_arrays(predictions: SplitPredictions, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Uncalibrated scores and what the annotator made, of all statements or of all subclasses, ``(n, names)`` each."""
    scores, made = predictions.statements, predictions.recordings.made(CODES)
    if names == CODES:
        return scores, made
    return any_probability(scores, subclass_columns()), any_present(made, subclass_columns())


def held_out_findings(predictions: SplitPredictions, decisions: FindingDecisions, split: str) -> HeldOutFindings:
    """As `held_out_decisions`, for statements or subclasses."""
    scores, made = finding_arrays(predictions, decisions.names)
    if split == "val":
        calibrated, above = cross_fit_findings(decisions.names, scores, made, predictions.recordings.patient_ids)
    else:
        calibrated = decisions.calibrate(scores)
        above = decisions.above(calibrated)
    return HeldOutFindings(
        names=decisions.names,
        scores=scores,
        calibrated=calibrated,
        above=above,
        made=made,
        validated=decisions.validated,
    )


@dataclass(frozen=True, eq=False)
class StoredPredictions:
    """One multi-label network's predictions on labelled recordings; arrays ``(n, 5)`` but for the two ids ``(n,)``."""

    name: str
    checkpoint_sha256: str
    ecg_ids: np.ndarray
    patient_ids: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    calibrated: np.ndarray
    positive: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """Which decisions differ from the annotation."""
        return self.positive != (self.targets > 0)


def prediction_arrays(
    predictions: SplitPredictions, held_out: HeldOutDecisions, severity: np.ndarray
) -> dict[str, np.ndarray]:
    """Contents of a predictions file.

    severity ``(n,)`` is stored as ``quality``: "good", "note", "caution" or "unusable". Files of earlier versions
    lack it.
    """
    recordings = predictions.recordings
    return {
        "ecg_id": recordings.ecg_ids,
        "patient_id": recordings.patient_ids,
        "labelled": recordings.labelled,
        "classes": np.array(recordings.classes),
        "checkpoint_sha256": np.array(predictions.sha256),
        "targets": recordings.targets.astype(np.uint8),
        "probabilities": predictions.probabilities.astype(np.float32),
        "calibrated": held_out.calibrated.astype(np.float32),
        "positive": held_out.positive,
        "certainty": held_out.certainty.astype(np.float32),
        "quality": severity,
        **statement_arrays(held_out),
    }


def statement_arrays(held_out: HeldOutDecisions) -> dict[str, np.ndarray]:
    """Statements in a predictions file, ``(n, 71)`` each; nothing for a network without them."""
    statements = held_out.statements
    if statements is None:
        return {}
    return {
        "statement_codes": np.array(statements.names),
        "statement_targets": statements.made,
        "statement_probabilities": statements.scores.astype(np.float32),
        "statement_calibrated": statements.calibrated.astype(np.float32),
        "statement_asserted": held_out.asserted,
    }


def write_predictions(out: Path, name: str, task: str, split: str, arrays: dict[str, np.ndarray]) -> Path:
    """Write the arrays of `prediction_arrays` below ``out``; returns the path."""
    path = out / "predictions" / f"{name}_{task}_{split}.npz"
    with replacing(path) as unfinished:
        np.savez_compressed(unfinished, **arrays)
    return path


def read_predictions(path: Path) -> StoredPredictions:
    """The labelled recordings of a multi-label predictions file. Raises DatasetError if it is not one."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if tuple(stored["classes"]) != SUPERCLASSES:
                raise ValueError(f"its classes are {', '.join(stored['classes'])}")
            labelled = stored["labelled"]
            return StoredPredictions(
                name=re.sub(r"_multilabel_(val|test)$", "", path.stem),
                checkpoint_sha256=str(stored["checkpoint_sha256"]),
                ecg_ids=stored["ecg_id"][labelled],
                patient_ids=stored["patient_id"][labelled],
                targets=stored["targets"][labelled],
                probabilities=stored["probabilities"][labelled].astype(float),
                calibrated=stored["calibrated"][labelled].astype(float),
                positive=stored["positive"][labelled],
            )
    except (ValueError, KeyError, OSError) as error:
        raise DatasetError(f"{path} is not a file of multi-label predictions: {error}") from error
