"""What a network is trained to do: the task and, beside it, the auxiliary task.

The auxiliary task is to predict all SCP statements. The superclasses merge statements as different as an
anterior and an inferior infarction; learning to tell them apart shapes better features for the superclasses
too (multi-task learning, Caruana 1997; for PTB-XL, Strodthoff et al. 2021 train on all 71 statements). The
head that predicts them is dropped after training: it is neither saved nor counted as parameters.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from config import TrainingConfig
from dataset import PTBXLDataset
from training.losses import LOSSES

FEWEST = 20  # training recordings a statement needs to be an auxiliary target


def statement_targets(statements: np.ndarray) -> np.ndarray:
    """Float32 ``(n, statements)``, 1 where a statement was made, from likelihoods ``(n, 71)`` with NaN where not.

    Whatever its likelihood, as for superclasses; statements of fewer than 20 recordings are left out.
    """
    made = ~np.isnan(statements)
    return made[:, made.sum(0) >= FEWEST].astype(np.float32)


class AuxiliaryHead(nn.Module):
    """A linear layer beside the network's ``head``, fed with whatever that one is fed.

    Call it after the network: it reads the batch the network has just seen. Returns logits ``(batch, outputs)``.
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Objective:
    """The network and the losses it is trained by.

    auxiliary_head: for SCP statements, None without. statements: its targets ``(n, statements)``.
    auxiliary_weight: of its loss against the task's.
    """

    network: nn.Module
    loss_function: nn.Module
    auxiliary_head: AuxiliaryHead | None = None
    statements: np.ndarray | None = None
    auxiliary_weight: float = 0.0

    @property
    def modules(self) -> nn.ModuleList:
        """Everything that has weights to train."""
        return nn.ModuleList([self.network] if self.auxiliary_head is None else [self.network, self.auxiliary_head])

    def loss(self, signals: torch.Tensor, targets: torch.Tensor, batch: np.ndarray, bfloat16: bool) -> torch.Tensor:
        """Loss of one batch; batch: the recordings' numbers."""
        device = signals.device
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = self.network(signals)
            statement_logits = None if self.auxiliary_head is None else self.auxiliary_head()
        loss = self.loss_function(logits.float(), targets)
        if statement_logits is not None:
            made = torch.from_numpy(self.statements[batch]).to(device)
            loss = loss + self.auxiliary_weight * F.binary_cross_entropy_with_logits(statement_logits.float(), made)
        return loss


def make_objective(network: nn.Module, train: PTBXLDataset, config: TrainingConfig) -> Objective:
    """The configured losses around a network; the auxiliary head's first weights come from torch's global source."""
    device = next(network.parameters()).device
    loss_function = LOSSES[config.loss]().to(device)
    statements = statement_targets(train.statements)
    if not config.auxiliary_weight or not statements.shape[1]:
        return Objective(network=network, loss_function=loss_function)
    return Objective(
        network=network,
        loss_function=loss_function,
        auxiliary_head=AuxiliaryHead(network, statements.shape[1]).to(device),
        statements=statements,
        auxiliary_weight=config.auxiliary_weight,
    )
