"""A binary network that starts from the weights of a multi-label one."""

from dataclasses import replace
from pathlib import Path

import torch

from config import SUPERCLASSES, TASK_CLASSES, Outputs, TrainingConfig
from files import sha256
from models.checkpoint import CheckpointError, load_checkpoint
from models.recording_network import RecordingNetwork, make_network

LAST_LAYERS = ("trunk.head.", "branch.perceptron.3.")  # of trunk and branch: a row an output


def start_from(path: Path, config: TrainingConfig) -> tuple[TrainingConfig, RecordingNetwork, float]:
    """A binary network with the weights of a multi-label one, the config that records it, and its input scale in mV.

    The answer starts as the multi-label network's own output for the task, or without one as the difference
    logit MI - logit NORM or minus logit NORM, so training starts from what is already known. The outputs for
    statements stay, and go on learning, unless there are none or ``statement_weight`` is 0.
    Raises CheckpointError if there is no multi-label network at ``path``.
    """
    if not path.is_file():
        raise CheckpointError(
            f"no multi-label network at {path} to start from: python train_multilabel.py trains one, "
            "--init CHECKPOINT names another, --init none starts from random weights"
        )
    checkpoint = load_checkpoint(path)
    if checkpoint.task != "multilabel":
        raise CheckpointError(f"{path} was trained for task {checkpoint.task}; --init takes a multi-label network")
    outputs = Outputs(
        classes=TASK_CLASSES[config.task], statements=tuple(checkpoint.statements) if config.statement_weight else ()
    )
    config = replace(
        config,
        init_sha256=sha256(path),
        model=checkpoint.model,
        model_arguments={**checkpoint.model_arguments, "classes": len(outputs)},
        window_s=checkpoint.window_s,
        stride_s=checkpoint.stride_s,
        branch=checkpoint.branch,
    )
    network = make_network(
        config.model, config.model_arguments, outputs, config.window_s, config.stride_s, config.branch
    )
    last = {name: rows for name, rows in checkpoint.weights.items() if name.startswith(LAST_LAYERS)}
    changed = {
        name: answering(rows, config.task, checkpoint.outputs, len(outputs.statements)) for name, rows in last.items()
    }
    network.load_state_dict({**checkpoint.weights, **changed})
    return config, network, checkpoint.input_scale


def answering(rows: torch.Tensor, task: str, given: Outputs, statements: int) -> torch.Tensor:
    """A last layer's weights or biases, a row a multi-label output, as those of a binary task and of statements."""
    norm, mi = SUPERCLASSES.index("NORM"), SUPERCLASSES.index("MI")
    if task in given.binary_tasks:
        answer = rows[sum(given.lengths[:2]) + given.binary_tasks.index(task)]
    else:
        answer = rows[mi] - rows[norm] if task == "mi_vs_norm" else -rows[norm]
    return torch.cat([answer[None], rows[len(SUPERCLASSES) : len(SUPERCLASSES) + statements]])
