"""Heartbeats as the network finds them."""

import numpy as np
import torch

from models.recording_branch import NO_BEAT, RR_STATISTICS, BeatDetector, rr_statistics


def beats_of(signal_mv: np.ndarray) -> np.ndarray:
    """Samples at which the network finds beats in a signal ``(12, samples)`` at 100 Hz."""
    times = BeatDetector()(torch.from_numpy(np.asarray(signal_mv, np.float32))[None]).times[0, 0]
    return times[times < NO_BEAT].numpy()


def statistics_of(signal_mv: np.ndarray) -> dict[str, float]:
    """The network's RR statistics of one signal, by name."""
    values = rr_statistics(BeatDetector()(torch.from_numpy(np.asarray(signal_mv, np.float32))[None]))[0]
    return dict(zip(RR_STATISTICS, values.tolist(), strict=True))


def agreement(beats: np.ndarray, others: np.ndarray, tolerance: int = 5) -> float:
    """Share of the beats that have one of the others within so many samples; 1 without any."""
    if not len(beats):
        return 1.0
    if not len(others):
        return 0.0
    return float((np.abs(np.asarray(beats)[:, None] - np.asarray(others)[None]).min(1) <= tolerance).mean())
