"""Predictions files (``predictions/NAME_TASK_SPLIT.npz``): all that a metric or comparison can be recomputed from."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config import SUPERCLASSES
from evaluation.held_out import HeldOutDecisions
from evaluation.predictions import SplitPredictions
from files import replacing


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
    }


def write_predictions(out: Path, name: str, task: str, split: str, arrays: dict[str, np.ndarray]) -> Path:
    """Write the arrays of `prediction_arrays` below ``out``; returns the path."""
    path = out / "predictions" / f"{name}_{task}_{split}.npz"
    with replacing(path) as unfinished:
        np.savez_compressed(unfinished, **arrays)
    return path


def read_predictions(path: Path) -> StoredPredictions:
    """The labelled recordings of a multi-label predictions file. Raises ValueError if it is not one."""
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
        raise ValueError(f"{path} is not a file of multi-label predictions: {error}") from error
