"""A network small enough for tests that run it hundreds of times."""

import torch
from torch import nn

from models import create_model

NARROW = {"lead_channels": (2, 4), "group_channels": 8, "heart_channels": 16, "heart_kernels": (3,)}


def narrow_network() -> nn.Module:
    """A narrow HMT-ECGNet with random weights, whose probabilities are far from 0.5 and differ between windows."""
    torch.manual_seed(0)
    network = create_model("hmt_ecgnet", **NARROW).eval()
    with torch.no_grad():
        network.head.weight *= 300
    return network
