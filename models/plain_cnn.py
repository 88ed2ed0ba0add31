"""A plain convolutional network of HMT-ECGNet's size: the network this project began with.

Four convolutions at full time resolution, average over time, two linear layers; 338,725 parameters.
It reads twelve leads as twelve channels and knows no hierarchy, so it shows what the hierarchy is worth.
"""

from itertools import pairwise

import torch
from torch import nn


class PlainCNN(nn.Module):
    """Convolution, batch normalisation and ReLU, four times.

    dropout: before the last linear layer.
    Input: float ``(batch, 12, samples)``, at least 2 s at 100 Hz. Output: logits ``(batch, classes)``.
    """

    def __init__(
        self, classes: int = 5, widths: tuple[int, ...] = (32, 64, 128, 256), kernel: int = 7, dropout: float = 0.3
    ):
        super().__init__()
        layers = []
        for narrow, wide in pairwise((12, *widths)):
            layers += [
                nn.Conv1d(narrow, wide, kernel, padding=kernel // 2),
                nn.BatchNorm1d(wide),
                nn.ReLU(inplace=True),
            ]
        self.blocks = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(widths[-1], 128), nn.ReLU(inplace=True), nn.Dropout(dropout))
        self.head = nn.Linear(128, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.hidden(self.blocks(x).mean(-1)))
