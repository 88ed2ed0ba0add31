"""Learning rate, optimiser and moving average of the weights."""

import math

import torch
from torch import nn

from config import Training


def learning_rate(settings: Training, progress: float) -> float:
    """Cosine warm-up from 4 % of the peak, then cosine to zero; progress in [0, 1) (Smith and Topin 2019)."""
    if progress < settings.warm_up:
        rise = 0.5 - 0.5 * math.cos(math.pi * progress / settings.warm_up)
        return settings.learning_rate * (0.04 + 0.96 * rise)
    return settings.learning_rate * (
        0.5 + 0.5 * math.cos(math.pi * (progress - settings.warm_up) / (1 - settings.warm_up))
    )


def make_optimizer(modules: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation scales are not decayed."""
    matrices = [p for p in modules.parameters() if p.ndim > 1]
    vectors = [p for p in modules.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        fused=True,
    )


def paired_values(average: nn.Module, network: nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The floating-point weights and BatchNorm statistics of two equal networks, in the same order."""
    slow, fast = average.state_dict().values(), network.state_dict().values()
    pairs = [(a, b) for a, b in zip(slow, fast, strict=True) if a.is_floating_point()]
    return [a for a, _ in pairs], [b for _, b in pairs]


def update_average(slow: list[torch.Tensor], fast: list[torch.Tensor], decay: float) -> None:
    """Move the average's values towards the network's by ``1 - decay``, in place."""
    torch._foreach_lerp_(slow, fast, 1 - decay)
