"""Data augmentation: what may happen to an ECG between heart and file without changing the diagnosis."""

import torch
from torch.nn import functional as F


def augment(
    signals: torch.Tensor, generator: torch.Generator, *, lead_gain: float, noise: float, wander: float
) -> torch.Tensor:
    """A new view of each recording: lead gains, white noise, baseline wander below 1 Hz; 0 turns a kind off.

    signals: model inputs ``(batch, 12, samples)``, in units of the input scale (about 0.24 mV).
    generator: explicit, so that a run can be repeated and resumed.
    lead_gain: standard deviation of each lead's log gain. noise: largest standard deviation of white noise.
    wander: largest amplitude of baseline wander.
    """
    batch, leads, samples = signals.shape
    gains = torch.exp(lead_gain * torch.randn(batch, leads, 1, generator=generator))
    level = noise * torch.rand(batch, 1, 1, generator=generator)
    white = torch.randn(batch, leads, samples, generator=generator)
    # a piecewise linear drift through a random point a second needs no sine per sample
    points = max(2, samples // 100 + 1)
    drift = 2 * torch.rand(batch, leads, points, generator=generator) - 1
    drift *= wander * torch.rand(batch, leads, 1, generator=generator)
    baseline = F.interpolate(drift, size=samples, mode="linear", align_corners=True)
    return white.mul_(level).addcmul_(signals, gains).add_(baseline)
