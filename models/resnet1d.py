"""The baseline: ResNet-18 in one dimension, about 8.7 M parameters.

He et al., "Deep residual learning" (2016), with the kernel sizes used for ECGs by Strodthoff et
al. (2021) and Hannun et al. (2019): stem of 15 samples, basic blocks of 7.
"""

import torch
from torch import nn


class BasicBlock(nn.Module):
    """Two convolutions, of these kernel sizes, and a shortcut; the first convolution subsamples."""

    def __init__(self, channels_in: int, channels_out: int, kernels: tuple[int, int], stride: int):
        super().__init__()
        first, second = kernels
        self.first = nn.Conv1d(channels_in, channels_out, first, stride, first // 2, bias=False)
        self.first_norm = nn.BatchNorm1d(channels_out)
        self.second = nn.Conv1d(channels_out, channels_out, second, 1, second // 2, bias=False)
        self.second_norm = nn.BatchNorm1d(channels_out)
        self.shortcut = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv1d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm1d(channels_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        refined = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(refined)) + self.shortcut(x))


class ResNet1D(nn.Module):
    """ResNet-18 for 12 leads as 12 input channels.

    Input: float ``(batch, 12, samples)``, at least 2 s at 100 Hz. Output: logits ``(batch, classes)``.
    """

    def __init__(self, classes: int = 5, widths: tuple[int, ...] = (64, 128, 256, 512), kernel: int = 7):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(12, widths[0], 15, 2, 7, bias=False),
            nn.BatchNorm1d(widths[0]),
            nn.ReLU(),
            nn.MaxPool1d(3, 2, 1),
        )
        blocks, channels = [], widths[0]
        for stage, width in enumerate(widths):
            blocks.append(BasicBlock(channels, width, (kernel, kernel), stride=1 if stage == 0 else 2))
            blocks.append(BasicBlock(width, width, (kernel, kernel), stride=1))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(x)).mean(-1))
