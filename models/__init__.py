"""Networks: float ``(batch, 12, samples)`` in, logits ``(batch, classes)`` out; and their checkpoints."""

import torch
from torch import nn

from config import LEADS, SAMPLING_RATE
from models.hmt_ecgnet import HMTECGNet, hmt_ecgnet_anylead, hmt_ecgnet_tiny
from models.plain_cnn import PlainCNN
from models.resnet1d import ResNet1D
from models.resnet1d_wang import ResNet1DWang

ARCHITECTURES = {
    "hmt_ecgnet": HMTECGNet,
    "hmt_ecgnet_tiny": hmt_ecgnet_tiny,
    "hmt_ecgnet_anylead": hmt_ecgnet_anylead,
    "resnet1d": ResNet1D,
    "resnet1d_wang": ResNet1DWang,
    "plain_cnn": PlainCNN,
}


class ArchitectureError(ValueError):
    """A network that cannot be trained here; the message says what it lacks."""


def create_model(name: str, **arguments) -> nn.Module:
    """Build a network by name, as recorded in a checkpoint.

    Raises ValueError for a name that is not in ``ARCHITECTURES``.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"unknown model {name!r}: one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name](**arguments)


def create_untrained(name: str, window_s: float, **arguments) -> nn.Module:
    """A network with random weights, found fit for training.

    window_s: s, of the crops it will see. arguments: of the architecture, ``classes`` among them.
    Raises ArchitectureError if it takes no such arguments, gives no logits ``(batch, classes)`` or lacks a ``head``.
    """
    try:
        network = create_model(name, **arguments)
    except TypeError as error:
        raise ArchitectureError(f"the network {name!r} cannot be built: {error}. It must take `classes`") from error
    if not isinstance(getattr(network, "head", None), nn.Linear):
        raise ArchitectureError(
            f"the network {name!r} has no last layer `head` of type torch.nn.Linear, which training needs for the "
            "binary networks that start from it: call it self.head"
        )
    expected = (2, arguments["classes"])
    with torch.inference_mode():
        given = tuple(network.eval()(torch.zeros(2, len(LEADS), round(window_s * SAMPLING_RATE))).shape)
    if given != expected:
        raise ArchitectureError(
            f"the network {name!r} gives logits of shape {given} for two recordings instead of {expected}"
        )
    return network.train()


def count_parameters(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
