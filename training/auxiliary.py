"""A second lesson from the same features: all SCP statements, not only the five superclasses.

The superclasses merge statements as different as an anterior and an inferior infarction. Learning
to tell them apart shapes better features for the superclasses too (multi-task learning, Caruana
1997; for PTB-XL, Strodthoff et al. 2021 train on all 71 statements). The head that learns
it is thrown away after training: it neither ships nor counts.
"""

import numpy as np
import torch
from torch import nn

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
