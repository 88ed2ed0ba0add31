"""Heartbeats: which recordings they can be looked for in, R peaks, beats cut out around them."""

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from config import LEADS
from ecg.medians import median
from ecg.preprocessing import MINIMUM_DURATION_S
from ecg.recording import Recording, RecordingError

MINIMUM_RATE = 100  # Hz, of every recording that is read: the rate of the networks' input
BEFORE, AFTER = 40, 50  # samples of a beat at 100 Hz, around the R peak
P_WAVE, QRS, T_WAVE = slice(10, 30), slice(32, 50), slice(52, 88)  # in a beat


def require_measurable(recording: Recording) -> None:
    """Raise RecordingError if a recording is too short, too coarse or has samples that are not numbers."""
    if recording.duration < MINIMUM_DURATION_S:
        raise RecordingError(
            f"the recording lasts {recording.duration:.1f} s; at least {MINIMUM_DURATION_S:g} s are needed"
        )
    if recording.sampling_rate < MINIMUM_RATE:
        raise RecordingError(
            f"the recording has {recording.sampling_rate:g} samples/s; at least {MINIMUM_RATE} are needed"
        )
    finite = np.isfinite(recording.signal).all(axis=1)
    if not finite.all():
        bad = ", ".join(lead for lead, good in zip(LEADS, finite, strict=True) if not good)
        raise RecordingError(f"missing samples (NaN or infinite) in lead {bad}: fill or cut them first")


def find_beats(qrs: np.ndarray) -> tuple[np.ndarray, float]:
    """Heartbeats in the QRS band ``(leads, n)``: their samples, and how far they stand out (times the background).

    The leads' rectified signals are added, each scaled to its own peaks so that no lead drowns the others.
    """
    rectified = np.abs(qrs)
    rank = int(0.97 * rectified.shape[1])
    peak_of_lead = np.partition(rectified, rank, axis=1)[:, rank]
    alive = peak_of_lead > 0.05 * peak_of_lead.max()
    if not alive.any():
        return np.zeros(0, int), 0.0
    activity = np.minimum(rectified[alive] / peak_of_lead[alive, None], 3).mean(0)
    activity = uniform_filter1d(activity, 10)
    peaks, found = find_peaks(activity, distance=25, height=0.3 * np.quantile(activity, 0.98))
    heights = found["peak_heights"]
    if not len(peaks):
        return peaks, 0.0
    usual = median(np.sort(heights)[len(heights) // 3 :])
    beats = heights > 0.45 * usual
    return peaks[beats], float(usual / median(activity))


def cut_beats(heart: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """The heartbeats ``(12, beats, 90)`` that lie wholly inside the recording."""
    inside = peaks[(peaks >= BEFORE) & (peaks + AFTER <= heart.shape[1])]
    return heart[:, inside[:, None] + np.arange(-BEFORE, AFTER)]
