"""What may happen to an ECG on its way from the heart to the file without changing the diagnosis.

All on batches ``(batch, 12, samples)`` of model inputs (units of the input scale), in place where
that saves time, drawing from an explicit generator so that a run can be repeated and resumed.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """Strengths; 0 turns a kind off. Amplitudes in units of the input scale (about 0.24 mV)."""

    lead_gain: float = 0.1  # standard deviation of each lead's log gain
    noise: float = 0.1  # largest standard deviation of white noise
    wander: float = 0.4  # largest amplitude of baseline wander


def augment(signals: torch.Tensor, strengths: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """A new view of each recording: lead gains, white noise, baseline wander below 1 Hz."""
    batch, leads, samples = signals.shape
    gain = torch.exp(strengths.lead_gain * torch.randn(batch, leads, 1, generator=generator))
    level = strengths.noise * torch.rand(batch, 1, 1, generator=generator)
    noise = torch.randn(batch, leads, samples, generator=generator)
    # a piecewise linear drift through a random point a second needs no sine per sample
    points = max(2, samples // 100 + 1)
    drift = 2 * torch.rand(batch, leads, points, generator=generator) - 1
    drift *= strengths.wander * torch.rand(batch, leads, 1, generator=generator)
    wander = F.interpolate(drift, size=samples, mode="linear", align_corners=True)
    return noise.mul_(level).addcmul_(signals, gain).add_(wander)
