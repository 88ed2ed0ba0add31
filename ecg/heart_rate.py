"""The heart-rate rule: the mean over the recording, and only from heartbeats that can be relied on."""

import numpy as np

from ecg.bands import BAND_RATE

MINIMUM_BEATS = 3
MINIMUM_CONTRAST = 2.5  # times the background, of the QRS complexes that are believed


def are_reliable(beats: np.ndarray, contrast: float) -> bool:
    """Whether there are enough beats ``(12, beats, 90)`` and they stand out enough to measure anything on them.

    contrast: of `ecg.beats.find_beats`.
    """
    return beats.shape[1] >= MINIMUM_BEATS and not contrast < MINIMUM_CONTRAST


def mean_heart_rate(peaks: np.ndarray) -> float:
    """Mean beats/min from R peaks in samples at 100 Hz, for beats that `are_reliable`."""
    return float(60 * BAND_RATE / np.diff(peaks).mean())
