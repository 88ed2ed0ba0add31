"""Losses for logits against targets in [0, 1]."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class AsymmetricFocalLoss(nn.Module):
    """Binary cross-entropy, focused on hard examples separately for positives and negatives.

    A positive of probability p weighs ``(1 - p) ** gamma_positive``, a negative
    ``p ** gamma_negative``; gamma = 0 for both is plain binary cross-entropy. After Lin et al.,
    "Focal loss" (2017) and Ridnik et al., "Asymmetric loss for multi-label classification" (2021),
    without the latter's probability shift. ``positive_weight`` ``(classes,)`` multiplies the
    positives' share. Targets between 0 and 1 are mixtures of the two.

    Input logits and targets ``(batch, classes)``; returns the mean.
    """

    def __init__(
        self,
        gamma_positive: float = 0.0,
        gamma_negative: float = 0.0,
        positive_weight: np.ndarray | None = None,
    ):
        super().__init__()
        self.gamma_positive, self.gamma_negative = gamma_positive, gamma_negative
        weight = None if positive_weight is None else torch.as_tensor(positive_weight, dtype=torch.float32)
        self.register_buffer("positive_weight", weight)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        positive, negative = -F.logsigmoid(logits), -F.logsigmoid(-logits)
        if self.gamma_positive:
            positive = positive * torch.sigmoid(-logits) ** self.gamma_positive
        if self.gamma_negative:
            negative = negative * torch.sigmoid(logits) ** self.gamma_negative
        if self.positive_weight is not None:
            positive = positive * self.positive_weight
        return (targets * positive + (1 - targets) * negative).mean()


def balancing_weights(targets: np.ndarray, strength: float) -> np.ndarray:
    """Weight of each class's positives, ``(negatives / positives) ** strength``.

    targets: of the training folds, ``(n, classes)``. Strength 0 leaves every class as it is, 1 makes
    its positives and negatives count the same.
    """
    positives = np.maximum(targets.sum(0), 1)
    return ((len(targets) - positives) / positives) ** strength
