"""A binary network that starts from the weights of a multi-label one."""

from dataclasses import replace
from pathlib import Path

import torch

from config import SUPERCLASSES, TASK_CLASSES, Outputs, TrainingConfig
from files import sha256
from models.checkpoint import CheckpointError, load_checkpoint
from models.recording_network import RecordingNetwork, make_network


def start_from(path: Path, config: TrainingConfig) -> tuple[TrainingConfig, RecordingNetwork, float]:
    """A binary network with the weights of a multi-label one, the config that records it, and its input scale in mV.

    The last layer becomes the difference that answers the binary question, logit MI - logit NORM
    or minus logit NORM, so training starts from what the multi-label network already knows. The outputs for
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
    norm, mi = SUPERCLASSES.index("NORM"), SUPERCLASSES.index("MI")
    weights = {name: value for name, value in checkpoint.weights.items() if config.branch or "branch." not in name}
    for name in ("trunk.head.weight", "trunk.head.bias"):
        rows = weights[name]
        answer = rows[mi] - rows[norm] if config.task == "mi_vs_norm" else -rows[norm]
        statements = rows[len(SUPERCLASSES) : len(SUPERCLASSES) + len(outputs.statements)]
        weights[name] = torch.cat([answer[None], statements])
    network.load_state_dict(weights)
    return config, network, checkpoint.input_scale
