"""Heartbeats: frequency bands of a recording, R peaks, beats cut out around them, heart rate.

One Fourier transform of the recording gives a slow, a heartbeat, a QRS and a noise band, all at 100 Hz whatever the
recording's own rate, so that a limit chosen on PTB-XL at 100 Hz holds at every rate.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from config import LEADS
from ecg.preprocessing import MINIMUM_DURATION_S
from ecg.recording import Recording, RecordingError

MINIMUM_RATE = 100  # Hz
BAND_RATE = 100  # Hz, of the bands below
MAINS_HZ = (50, 60)
LOWEST_RATE_FOR_MAINS = 150  # Hz


def require_judgeable(recording: Recording) -> None:
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


@dataclass(frozen=True, eq=False)
class Bands:
    """One recording, taken apart; each ``(12, n)`` in mV at 100 Hz.

    slow: baseline, below 0.8 Hz. heart: 0.5 to 45 Hz. qrs: 8 to 25 Hz. noise: 25 to 45 Hz.
    mains: ``(12,)`` amplitude in mV at 50 or 60 Hz, NaN where the sampling rate is too low to see them.
    """

    slow: np.ndarray
    heart: np.ndarray
    qrs: np.ndarray
    noise: np.ndarray
    mains: np.ndarray


@lru_cache(maxsize=8)
def _responses(bins: int, duration: float) -> np.ndarray:
    """Magnitude responses of the four bands ``(4, 1, bins)``: Butterworth's, and steep before the mains."""
    hertz = np.arange(bins) / duration
    with np.errstate(divide="ignore", over="ignore"):
        high_pass = {hz: 1 / np.sqrt(1 + (hz / hertz) ** (2 * order)) for hz, order in ((0.5, 2), (8, 4), (25, 4))}
        low_pass = {hz: 1 / np.sqrt(1 + (hertz / hz) ** (2 * order)) for hz, order in ((0.8, 4), (25, 8), (44, 30))}
    rows = (low_pass[0.8], high_pass[0.5] * low_pass[44], high_pass[8] * low_pass[25], high_pass[25] * low_pass[44])
    return np.stack(rows).astype(np.float32)[:, None]


def split_bands(signal: np.ndarray, sampling_rate: float) -> Bands:
    """Bands of a signal ``(12, samples)`` in mV, by one Fourier transform.

    The straight line between the signal's two ends is taken off first, so that the periodic transform does not ring,
    and given back to the slow band.
    """
    samples = signal.shape[1]
    duration = samples / sampling_rate
    edge = round(0.1 * sampling_rate)
    first, last = signal[:, :edge].mean(1, keepdims=True), signal[:, -edge:].mean(1, keepdims=True)
    spectrum = scipy.fft.rfft(signal - (first + (last - first) * np.linspace(0, 1, samples, dtype=np.float32)))
    length = round(duration * BAND_RATE)
    kept = spectrum[:, : length // 2 + 1] * np.float32(length / samples)
    slow, heart, qrs, noise = scipy.fft.irfft(kept * _responses(kept.shape[1], duration), n=length)
    slow = slow + first + (last - first) * np.linspace(0, 1, length, dtype=np.float32)
    return Bands(slow, heart, qrs, noise, _mains(spectrum, samples, sampling_rate))


def _mains(spectrum: np.ndarray, samples: int, sampling_rate: float) -> np.ndarray:
    """Amplitude in mV of a hum within 0.3 Hz of 50 or 60 Hz, less what the neighbouring frequencies have."""
    if sampling_rate < LOWEST_RATE_FOR_MAINS:
        return np.full(len(spectrum), np.nan)
    duration = samples / sampling_rate
    amplitudes = []
    for hertz in MAINS_HZ:
        first = round((hertz - 4) * duration)
        power = np.abs(spectrum[:, first : round((hertz + 4) * duration) + 1]) ** 2
        near = np.abs(np.arange(first, first + power.shape[1]) / duration - hertz) <= 0.3
        hum = power[:, near].sum(1) - near.sum() * np.median(power[:, ~near], axis=1)
        amplitudes.append(2 / samples * np.sqrt(np.maximum(hum, 0)))
    return np.max(amplitudes, axis=0)


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
    usual = np.median(np.sort(heights)[len(heights) // 3 :])
    beats = heights > 0.45 * usual
    return peaks[beats], float(usual / np.median(activity))


MINIMUM_BEATS = 3
MINIMUM_CONTRAST = 2.5  # times the background, of the QRS complexes that are believed
BEFORE, AFTER = 40, 50  # samples of an average beat around the R peak
P_WAVE, QRS, T_WAVE = slice(10, 30), slice(32, 50), slice(52, 88)  # in an average beat


def cut_beats(heart: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """The heartbeats ``(12, beats, 90)`` that lie wholly inside the recording."""
    inside = peaks[(peaks >= BEFORE) & (peaks + AFTER <= heart.shape[1])]
    return heart[:, inside[:, None] + np.arange(-BEFORE, AFTER)]


def are_reliable(beats: np.ndarray, contrast: float) -> bool:
    """Whether there are enough beats ``(12, beats, 90)`` and they stand out enough to measure anything on them."""
    return beats.shape[1] >= MINIMUM_BEATS and not contrast < MINIMUM_CONTRAST


def mean_heart_rate(peaks: np.ndarray) -> float:
    """Mean beats/min."""
    return float(60 * BAND_RATE / np.diff(peaks).mean())
