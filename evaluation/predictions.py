"""A network's probabilities on a split of PTB-XL."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from config import CHECKPOINT_NAMES, SYNTHETIC_NOTICE, data_directory
from dataset import PTBXLDataset
from ecg.windows import predict_probabilities
from files import sha256
from inference.decisions import multilabel_score
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, logits_function


@dataclass(frozen=True, eq=False)
class SplitPredictions:
    """A checkpoint's probabilities on one split, ``(n, classes)``, uncalibrated.

    score: "binary" if a binary network was asked a binary question, "multilabel" otherwise.
    """

    path: Path
    sha256: str
    checkpoint: Checkpoint
    recordings: PTBXLDataset
    probabilities: np.ndarray
    score: str

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
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    path = Path(arguments.checkpoint or Path(arguments.out) / CHECKPOINT_NAMES[task])
    checkpoint = load_checkpoint_of(path, task)
    return path, checkpoint, PTBXLDataset(data_directory(arguments.data), split, task, checkpoint.input_scale)


def load_checkpoint_of(path: Path, task: str) -> Checkpoint:
    """A checkpoint trained for a task. Raises CheckpointError if it was trained for another."""
    checkpoint = load_checkpoint(path)
    if checkpoint.task != task:
        raise CheckpointError(f"{path} was trained for task {checkpoint.task}, not {task}")
    return checkpoint


def predict_recordings(path: Path, checkpoint: Checkpoint, recordings: PTBXLDataset) -> SplitPredictions:
    """Run a checkpoint on recordings of any task; a multi-label one has a score for binary questions too."""
    probabilities = predict_split(
        checkpoint.network(), recordings, np.arange(len(recordings)), checkpoint.window_s, checkpoint.stride_s
    )
    score = "multilabel" if checkpoint.task == "multilabel" else "binary"
    if score == "multilabel" and recordings.task != "multilabel":
        probabilities = multilabel_score(probabilities, recordings.task)
    return SplitPredictions(
        path=path,
        sha256=sha256(path),
        checkpoint=checkpoint,
        recordings=recordings,
        probabilities=probabilities,
        score=score,
    )


def predict_by_both(arguments, task: str, split: str) -> dict[str, SplitPredictions]:
    """Scores of a binary task by its own network and, where there is one, by the multi-label network."""
    own = predict_task(arguments, task, split)
    path = Path(arguments.multilabel or Path(arguments.out) / CHECKPOINT_NAMES["multilabel"])
    if arguments.multilabel is None and not path.is_file():
        print(f"no multi-label network at {path}: only the binary network is evaluated (--multilabel names one)")
        return {own.score: own}
    checkpoint = load_checkpoint_of(path, "multilabel")
    recordings = PTBXLDataset(data_directory(arguments.data), split, task, checkpoint.input_scale)
    other = predict_recordings(path, checkpoint, recordings)
    return {own.score: own, other.score: other}


def predict_split(
    network: nn.Module, split: PTBXLDataset, numbers: np.ndarray, window_s: float, stride_s: float, chunk: int = 256
) -> np.ndarray:
    """Probabilities ``(len(numbers), classes)`` of whole recordings, a chunk in memory at a time."""
    logits_of = logits_function(network)
    chunks = [numbers[first : first + chunk] for first in range(0, len(numbers), chunk)]
    return np.concatenate(
        [predict_probabilities(logits_of, split.signals(part), window_s, stride_s) for part in chunks]
    )
