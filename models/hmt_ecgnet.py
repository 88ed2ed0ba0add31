"""HMT-ECGNet: a hierarchical multi-lead network for the 12-lead ECG.

    lead    one encoder with shared weights reads every lead by itself: what a P wave, a QRS
            complex or an ST segment looks like does not depend on where the electrode sits
    group   limb leads (frontal plane) and chest leads (horizontal plane) each become one token
            a time step; here the weights know which lead is which
    heart   the two planes are mixed into one description of the heart, refined over time
    head    mean and maximum over time, dropout, one linear layer

The any-leads sibling also reads recordings of which leads are missing. A lead that is zero throughout is missing: what
the encoder makes of it is left out of its group, and each group is scaled and shifted by which leads there are
(feature-wise linear modulation, Perez et al. 2018), since a sum over two leads is not a sum over six.

Shapes are written (batch, channels, leads, time). The encoder is a 2-D network whose kernels
are one lead high, which is the same as running it on each lead and much faster.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

GROUP_LEADS = 6  # I to aVF, V1 to V6


def convolution(channels_in: int, channels_out: int, kernel: tuple[int, int], stride: int = 1) -> nn.Sequential:
    """Convolution over (leads, time), padded in time only, with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, (1, stride), (0, kernel[1] // 2), bias=False),
        nn.BatchNorm2d(channels_out),
    )


class SqueezeExcitation(nn.Module):
    """Rescale each channel by what all channels do over the whole recording (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]


class ResidualBlock(nn.Module):
    """Two convolutions along time; the shortcut averages before it subsamples, so it does not alias."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, excite: bool):
        super().__init__()
        self.first = convolution(channels_in, channels_out, (1, kernel), stride=2)
        self.second = convolution(channels_out, channels_out, (1, kernel))
        self.excitation = SqueezeExcitation(channels_out) if excite else nn.Identity()
        self.halve = nn.AvgPool2d((1, 2), ceil_mode=True)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else convolution(channels_in, channels_out, (1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        refined = self.excitation(self.second(torch.relu_(self.first(x))))
        return torch.relu_(refined + self.shortcut(self.halve(x)))


class HMTECGNet(nn.Module):
    """The network of this project.

    classes: number of logits.
    lead_channels: widths of the lead encoder's stem and of its residual blocks.
    group_channels: width of each of the two group tokens.
    heart_channels: width of the heart description.
    heart_kernels: one residual block of this kernel size each.
    dropout: before the linear layer.
    any_leads: whether leads may be missing.

    Input: float ``(batch, 12, samples)``, at least 2 s at 100 Hz, leads in the order of
    ``config.LEADS``, missing ones zero. Output: logits ``(batch, classes)``.
    """

    def __init__(
        self,
        classes: int = 5,
        lead_channels: tuple[int, ...] = (16, 16, 32),
        group_channels: int = 80,
        heart_channels: int = 120,
        heart_kernels: tuple[int, ...] = (5, 3),
        dropout: float = 0.3,
        any_leads: bool = False,
    ):
        super().__init__()
        self.stem = convolution(1, lead_channels[0], (1, 15), stride=2)
        self.lead_encoder = nn.Sequential(
            *(ResidualBlock(narrow, wide, kernel=7, excite=False) for narrow, wide in pairwise(lead_channels))
        )
        self.limb_group = convolution(lead_channels[-1], group_channels, (GROUP_LEADS, 1))
        self.chest_group = convolution(lead_channels[-1], group_channels, (GROUP_LEADS, 1))
        self.modulation = nn.Linear(2 * GROUP_LEADS, 4 * group_channels) if any_leads else None
        self.heart = convolution(2 * group_channels, heart_channels, (1, 1))
        self.heart_encoder = nn.Sequential(
            *(ResidualBlock(heart_channels, heart_channels, kernel, excite=True) for kernel in heart_kernels)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * heart_channels, classes)
        self.to(memory_format=torch.channels_last)

    def groups(self, leads: torch.Tensor) -> list[torch.Tensor]:
        """Encoded leads ``(batch, channels, 12, time)`` to both groups ``(batch, group_channels, 1, time)``."""
        limb, chest = leads.split(GROUP_LEADS, dim=2)
        return [self.limb_group(limb), self.chest_group(chest)]

    def groups_present(self, leads: torch.Tensor, present: torch.Tensor) -> list[torch.Tensor]:
        """`groups` of the leads that are present, 1 or 0 each ``(subsets * batch, 12)``."""
        leads = leads.repeat(len(present) // len(leads), 1, 1, 1) * present[:, None, :, None]
        scale, shift = self.modulation(present)[:, :, None, None].chunk(2, dim=1)
        return [torch.cat(self.groups(leads), dim=1) * (1 + scale) + shift]

    def features(self, x: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """What the head sees: ``(batch, 2 * heart_channels)``, mean and maximum over time; present: see `forward`."""
        leads = self.lead_encoder(torch.relu_(self.stem(x[:, None])))
        if self.modulation is None:
            groups = self.groups(leads)
        else:
            present = x.abs().amax(2) > 0 if present is None else present
            groups = self.groups_present(leads, present.to(leads.dtype))
        # activated before they are joined, which ONNX Runtime makes part of the convolutions
        heart = torch.relu_(self.heart(torch.cat([torch.relu_(one) for one in groups], dim=1)))
        heart = self.heart_encoder(heart)
        return torch.cat([heart.mean((2, 3)), heart.amax((2, 3))], dim=1)

    def forward(self, x: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of recordings, or with ``present`` of several subsets of the leads of each.

        present: of an any-leads network, 1 or 0 each, ``(subsets * batch, 12)``, all recordings with their first subset
        first; the leads are encoded once for all subsets. None: the leads that are not zero.
        """
        return self.head(self.dropout(self.features(x, present)))


def hmt_ecgnet_tiny(classes: int = 5, dropout: float = 0.3) -> HMTECGNet:
    """The same hierarchy with a quarter of the parameters, for devices that are worn.

    Its widths are multiples of 16, so many as a vector unit computes at once: 8 channels would take as long.
    """
    return HMTECGNet(classes, lead_channels=(16, 16, 16), group_channels=64, heart_channels=48, dropout=dropout)


def hmt_ecgnet_anylead(classes: int = 5, dropout: float = 0.3) -> HMTECGNet:
    """The same network for recordings of which leads are missing."""
    return HMTECGNet(classes, dropout=dropout, any_leads=True)


def fill_up(network: HMTECGNet, multiple: int) -> HMTECGNet:
    """The same network with its heart channels filled up, by channels that are zero throughout, to such a multiple.

    What it answers stays the same. Runtimes that compute so many channels at once are faster without a remainder.
    """
    width = network.heart[0].out_channels
    if width % multiple == 0:
        return network
    wide = HMTECGNet(
        network.head.out_features,
        lead_channels=(network.stem[0].out_channels, *(one.first[0].out_channels for one in network.lead_encoder)),
        group_channels=network.limb_group[0].out_channels,
        heart_channels=width + -width % multiple,
        heart_kernels=tuple(one.first[0].kernel_size[1] for one in network.heart_encoder),
        any_leads=network.modulation is not None,
    )
    given, filled = network.state_dict(), {}
    # half of what the head sees are means over time, half are maxima
    given["head.weight"] = F.pad(given["head.weight"].unflatten(1, (2, width)), (0, -width % multiple)).flatten(1)
    for name, fresh in wide.state_dict().items():
        filled[name] = torch.ones_like(fresh) if name.endswith("running_var") else torch.zeros_like(fresh)
        filled[name][tuple(map(slice, given[name].shape))] = given[name]
    wide.load_state_dict(filled)
    return wide.train(network.training)
