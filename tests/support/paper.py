"""Recordings whose drawing can be measured."""

from dataclasses import replace

import numpy as np

from config import LEADS
from ecg.recording import Recording

RATE = 500
TRACES_LEFT_MM = 8.5 + 20  # the margin of A4 around whole 5 mm squares, and the calibration pulse's room


def flat(seconds: float = 10.0, rate: float = RATE, present: bool = True) -> Recording:
    """A recording of zeros."""
    return Recording(np.zeros((12, round(seconds * rate)), np.float32), rate, np.full(12, present))


def with_pulse(recording: Recording, lead: str, start_s: float, end_s: float, millivolts: float = 1.0) -> Recording:
    """The recording with a rectangular pulse in one lead."""
    signal = recording.signal.copy()
    first, end = round(start_s * recording.sampling_rate), round(end_s * recording.sampling_rate)
    signal[LEADS.index(lead), first:end] = millivolts
    return replace(recording, signal=signal)
