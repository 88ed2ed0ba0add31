"""Losses for logits against targets in [0, 1]."""

import torch
from torch import nn
from torch.nn import functional as F


class AsymmetricFocalLoss(nn.Module):
    """Binary cross-entropy that counts easy examples less, separately for positives and negatives.

    A positive of probability p weighs ``(1 - p) ** gamma_positive``, a negative ``p ** gamma_negative``; equal
    gammas are the focal loss (Lin et al. 2017), zeros plain binary cross-entropy. The defaults are those of the
    implementation of Ridnik et al., "Asymmetric loss for multi-label classification" (2021), whose probability
    shift is left out. Targets between 0 and 1 are mixtures of the two.

    Input logits and targets ``(batch, classes)``; returns the mean.
    """

    def __init__(self, gamma_positive: float = 1.0, gamma_negative: float = 4.0):
        super().__init__()
        self.gamma_positive, self.gamma_negative = gamma_positive, gamma_negative

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        positive, negative = -F.logsigmoid(logits), -F.logsigmoid(-logits)
        if self.gamma_positive:
            positive = positive * torch.sigmoid(-logits) ** self.gamma_positive
        if self.gamma_negative:
            negative = negative * torch.sigmoid(logits) ** self.gamma_negative
        return (targets * positive + (1 - targets) * negative).mean()


LOSSES = {"bce": nn.BCEWithLogitsLoss, "asymmetric": AsymmetricFocalLoss}
