"""Window averaging: windows of a signal, and the mean of the network's probabilities over them."""

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from config import SAMPLING_RATE

MINIMUM_WINDOW_S = 2.0  # the shortest signal the networks are made for


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
