"""What a network is trained to do: the task's loss and, beside it, the auxiliary task.

The auxiliary task is to predict all SCP statements. The superclasses merge statements as different as an
anterior and an inferior infarction; learning to tell them apart shapes better features for the superclasses
too (multi-task learning, Caruana 1997; for PTB-XL, Strodthoff et al. 2021 train on all 71 statements). The
head that learns it is dropped after training: it neither ships nor counts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from config import Training
from dataset import PTBXLDataset
from training.losses import AsymmetricFocalLoss, balancing_weights

FEWEST = 20  # training recordings a statement needs to be learnt


def statement_targets(statements: np.ndarray) -> np.ndarray:
    """Float32 ``(n, statements)``, 1 where a statement was made, from likelihoods ``(n, 71)`` with NaN where not.

    Whatever its likelihood, as for superclasses; statements of fewer than 20 recordings are left out.
    """
    made = ~np.isnan(statements)
    return made[:, made.sum(0) >= FEWEST].astype(np.float32)


class AuxiliaryHead(nn.Module):
    """A linear layer beside the network's ``head``, fed with whatever that one is fed.

    Call it after the network: it answers for the batch the network has just seen. Returns logits ``(batch, outputs)``.
    """

    def __init__(self, network: nn.Module, outputs: int):
        super().__init__()
        self.linear = nn.Linear(network.head.in_features, outputs)
        self._features = None
        network.head.register_forward_pre_hook(self._remember)

    def _remember(self, head: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        self._features = inputs[0]

    def forward(self) -> torch.Tensor:
        return self.linear(self._features)


@dataclass(frozen=True, eq=False)
class Objective:
    """The network, what it is taught, and by which losses.

    auxiliary: the head for SCP statements, None without. statements: its targets ``(n, statements)``.
    """

    network: nn.Module
    loss_function: nn.Module
    auxiliary: AuxiliaryHead | None
    statements: np.ndarray | None
    weight: float

    @property
    def modules(self) -> nn.ModuleList:
        """Everything that has weights to learn."""
        return nn.ModuleList([self.network] if self.auxiliary is None else [self.network, self.auxiliary])

    def loss(self, signals: torch.Tensor, targets: torch.Tensor, batch: np.ndarray, bfloat16: bool) -> torch.Tensor:
        """Loss of one batch; batch: the recordings' numbers."""
        device = signals.device
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = self.network(signals)
            others = None if self.auxiliary is None else self.auxiliary()
        loss = self.loss_function(logits.float(), targets)
        if others is not None:
            made = torch.from_numpy(self.statements[batch]).to(device)
            loss = loss + self.weight * F.binary_cross_entropy_with_logits(others.float(), made)
        return loss


def make_objective(network: nn.Module, train: PTBXLDataset, settings: Training) -> Objective:
    """The configured losses around a network; the auxiliary head's first weights come from torch's global source."""
    device = next(network.parameters()).device
    loss_function = make_loss(settings, train.targets).to(device)
    statements = statement_targets(train.statements)
    if not settings.statements or not statements.shape[1]:
        return Objective(network, loss_function, None, None, 0.0)
    auxiliary = AuxiliaryHead(network, statements.shape[1]).to(device)
    return Objective(network, loss_function, auxiliary, statements, settings.statements)


def make_loss(settings: Training, targets: np.ndarray) -> AsymmetricFocalLoss:
    """The configured loss, balanced by the training targets ``(n, classes)`` where asked for."""
    weights = balancing_weights(targets, settings.class_balance) if settings.class_balance else None
    return AsymmetricFocalLoss(settings.gamma_positive, settings.gamma_negative, weights)
