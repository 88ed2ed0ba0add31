"""Networks: float ``(batch, 12, samples)`` in, logits ``(batch, classes)`` out; and their checkpoints."""

from torch import nn

from models.hmt_ecgnet import HMTECGNet, hmt_ecgnet_tiny
from models.plain_cnn import PlainCNN
from models.resnet1d import ResNet1D
from models.resnet1d_wang import ResNet1DWang

ARCHITECTURES = {
    "hmt_ecgnet": HMTECGNet,
    "hmt_ecgnet_tiny": hmt_ecgnet_tiny,
    "resnet1d": ResNet1D,
    "resnet1d_wang": ResNet1DWang,
    "plain_cnn": PlainCNN,
}


def create_model(name: str, **arguments) -> nn.Module:
    """Build a network by name, as recorded in a checkpoint.

    Raises ValueError for a name that is not in ``ARCHITECTURES``.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"unknown model {name!r}: one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name](**arguments)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
