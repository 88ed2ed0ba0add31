"""A binary network that starts from the weights of a multi-label one."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from config import SUPERCLASSES, TrainingConfig
from files import sha256
from models import create_model
from models.checkpoint import CheckpointError, load_checkpoint


def start_from(path: Path, config: TrainingConfig) -> tuple[TrainingConfig, nn.Module, float]:
    """A binary network with the weights of a multi-label one, the config that records it, and its input scale in mV.

    The last layer becomes the difference that answers the binary question, logit MI - logit NORM
    or minus logit NORM, so training starts from what the multi-label network already knows.
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
    config = replace(
        config,
        init_sha256=sha256(path),
        model=checkpoint.model,
        model_arguments={**checkpoint.model_arguments, "classes": 1},
        window_s=checkpoint.window_s,
        stride_s=checkpoint.stride_s,
    )
    network = create_model(config.model, **config.model_arguments)
    norm, mi = SUPERCLASSES.index("NORM"), SUPERCLASSES.index("MI")
    weights = dict(checkpoint.weights)
    for name in ("head.weight", "head.bias"):
        rows = weights[name]
        weights[name] = (rows[mi] - rows[norm] if config.task == "mi_vs_norm" else -rows[norm])[None]
    network.load_state_dict(weights)
    return config, network, checkpoint.input_scale
