"""From a recording to what the network sees, and from windows to one answer.

Training, evaluation, API, page and batch scoring all come through this file. Amplitude is
diagnostic (hypertrophy is defined in mV), so the signal is divided by one constant of the
training set and never normalised per lead or per recording.
"""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly
from scipy.special import expit

from config import LEADS, SAMPLING_RATE
from ecg.recording import Recording, RecordingError

MINIMUM_DURATION_S = 5.0
MINIMUM_WINDOW_S = 2.0  # the shortest signal the networks are made for
FULL_DURATION_S = 10.0


def resample(signal: np.ndarray, sampling_rate: float, new_rate: float) -> np.ndarray:
    """Anti-aliased polyphase resampling of ``(..., samples)`` by the ratio of two rates in Hz.

    The straight line through the first and last sample is taken off before filtering and put
    back after, so a baseline offset does not ring at the edges.
    """
    if sampling_rate == new_rate:
        return signal
    ratio = Fraction(new_rate / sampling_rate).limit_denominator(1000)
    return resample_poly(signal, ratio.numerator, ratio.denominator, axis=-1, padtype="line")


def scale_signal(signal_mv: np.ndarray, input_scale: float) -> np.ndarray:
    """Divide a signal in mV by the training set's constant (mV); float32, same shape."""
    return np.asarray(signal_mv, np.float32) / np.float32(input_scale)


def model_input(recording: Recording, input_scale: float) -> np.ndarray:
    """The network's input for one recording: float32 ``(12, n)`` at 100 Hz, in units of ``input_scale`` mV.

    Raises RecordingError if the recording is shorter than 5 s or has samples that are not numbers.
    """
    if recording.duration < MINIMUM_DURATION_S:
        raise RecordingError(
            f"the recording lasts {recording.duration:.1f} s; at least {MINIMUM_DURATION_S:g} s are needed, "
            f"{FULL_DURATION_S:g} s are what the network was judged on"
        )
    if not np.isfinite(recording.signal).all():
        bad = [lead for lead, row in zip(LEADS, recording.signal, strict=True) if not np.isfinite(row).all()]
        raise RecordingError(f"missing samples (NaN or infinite) in lead {', '.join(bad)}: fill or cut them first")
    return scale_signal(resample(recording.signal, recording.sampling_rate, SAMPLING_RATE), input_scale)


def window_starts(samples: int, window: int, stride: int) -> list[int]:
    """First samples of windows that cover ``samples``; the last window always ends with the signal.

    >>> window_starts(1000, 250, 125)
    [0, 125, 250, 375, 500, 625, 750]
    >>> window_starts(700, 250, 200)
    [0, 200, 400, 450]
    """
    if samples < window:
        raise ValueError(f"{samples} samples are shorter than one window of {window}")
    starts = list(range(0, samples - window + 1, stride))
    if starts[-1] != samples - window:
        starts.append(samples - window)
    return starts


def predict_probabilities(
    logits_of: Callable[[np.ndarray], np.ndarray],
    signals: np.ndarray,
    window_s: float,
    stride_s: float,
    batch_size: int = 16,
) -> np.ndarray:
    """Mean probability over overlapping windows.

    logits_of: maps float32 ``(m, 12, window)`` to logits ``(m, classes)``; PyTorch or ONNX Runtime behind it.
    signals: ``(n, 12, samples)`` from `model_input`, all of one length.
    window_s, stride_s: the checkpoint's window and stride in s.
    batch_size: recordings at a time; larger batches leave the processor's cache and are slower.
    Returns float64 ``(n, classes)``, uncalibrated.
    """
    window, stride = round(window_s * SAMPLING_RATE), round(stride_s * SAMPLING_RATE)
    starts = window_starts(signals.shape[-1], window, stride)
    rows = []
    for first in range(0, len(signals), batch_size):
        batch = signals[first : first + batch_size]
        windows = np.concatenate([batch[..., start : start + window] for start in starts])
        probabilities = expit(logits_of(windows).astype(np.float64))
        rows.append(probabilities.reshape(len(starts), len(batch), -1).mean(0))
    return np.concatenate(rows)
