"""Optimiser, learning-rate schedule and moving average of the weights."""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from config import TrainingConfig


def make_optimizer(modules: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation scales are not decayed."""
    matrices = [p for p in modules.parameters() if p.ndim > 1]
    vectors = [p for p in modules.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=config.learning_rate,
        fused=True,
    )


def make_schedule(optimizer: torch.optim.Optimizer, config: TrainingConfig, steps: int) -> LambdaLR:
    """One cycle over ``steps`` steps (Smith and Topin 2019): cosine from 4 % of the peak up to it, cosine to zero.

    Not OneCycleLR: that one cannot do without a warm-up, and peaks a step early.
    """

    def share_of_peak(step: int) -> float:
        progress = step / steps
        if progress < config.warm_up:
            return 0.04 + 0.96 * (0.5 - 0.5 * math.cos(math.pi * progress / config.warm_up))
        return 0.5 + 0.5 * math.cos(math.pi * (progress - config.warm_up) / (1 - config.warm_up))

    return LambdaLR(optimizer, share_of_peak)


def make_average(network: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of weights and BatchNorm statistics, in evaluation mode.

    In step n = 0, 1, ... the decay is ``min(decay, (1 + n) / (10 + n))``, so the first weights
    are soon forgotten.
    """

    def update(averages: list[torch.Tensor], values: list[torch.Tensor], averaged: torch.Tensor) -> None:
        ramped = min(decay, int(averaged) / (9 + int(averaged)))
        get_ema_multi_avg_fn(ramped)(averages, values, averaged)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True).eval()
    average.update_parameters(network)  # the first call copies, and counts
    return average
