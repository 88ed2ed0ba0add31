"""resnet1d_wang: the small residual network of the PTB-XL benchmark, 0.47 M parameters.

Wang, Yan, Oates, "Time series classification from scratch with deep neural networks" (2017), as
Strodthoff et al. (2021) adapted it to ECGs: three basic blocks of 128 channels with kernels of 5
and 3, mean and maximum over time, two linear layers with dropout. They report macro AUROC 0.930.
"""

import torch
from torch import nn

from models.resnet1d import BasicBlock


class ResNet1DWang(nn.Module):
    """Stem of 7 samples without subsampling, three blocks, concatenated mean and maximum.

    Input: float ``(batch, 12, samples)``, at least 2 s at 100 Hz. Output: logits ``(batch, classes)``.
    """

    def __init__(self, classes: int = 5, channels: int = 128, hidden: int = 128):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(12, channels, 7, 1, 3, bias=False), nn.BatchNorm1d(channels), nn.ReLU())
        self.blocks = nn.Sequential(*(BasicBlock(channels, channels, (5, 3), stride) for stride in (1, 2, 2)))
        self.hidden = nn.Sequential(
            nn.BatchNorm1d(2 * channels),
            nn.Dropout(0.25),
            nn.Linear(2 * channels, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.blocks(self.stem(x))
        return self.head(self.hidden(torch.cat([features.amax(-1), features.mean(-1)], dim=1)))
