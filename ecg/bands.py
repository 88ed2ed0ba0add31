"""Frequency bands of a recording: slow, heartbeat, QRS and noise, and the hum of the mains.

One Fourier transform gives them all at 100 Hz, whatever the recording's own rate, so that a limit chosen on PTB-XL at
100 Hz holds at every rate.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

from ecg.medians import median

BAND_RATE = 100  # Hz
MAINS_HZ = (50, 60)
LOWEST_RATE_FOR_MAINS = 150  # Hz


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
    mains = _mains(spectrum, samples, sampling_rate)
    return Bands(slow=slow, heart=heart, qrs=qrs, noise=noise, mains=mains)


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
        hum = power[:, near].sum(1) - near.sum() * median(power[:, ~near], axis=1)
        amplitudes.append(2 / samples * np.sqrt(np.maximum(hum, 0)))
    return np.max(amplitudes, axis=0)
