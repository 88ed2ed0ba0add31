"""How long recordings are read: in stretches of about 10 s, what the networks were trained and evaluated on.

The windows of a few seconds that a network cuts a stretch into, and their average, are in `models.windows`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from config import SAMPLING_RATE

STRETCH = 10 * SAMPLING_RATE  # samples, about as many as a stretch has
LONGEST_WHOLE = 15 * SAMPLING_RATE


def stretch_starts(samples: int) -> tuple[list[int], int]:
    """First samples of the stretches of a recording at 100 Hz, and their length; they cover every sample.

    Up to 15 s a recording is one stretch. A longer one is cut into as many as have about 10 s each, so that RR
    statistics are of as many beats as in training, and an hour needs no more memory than a minute.

    >>> stretch_starts(1000), stretch_starts(3000)
    (([0], 1000), ([0, 1000, 2000], 1000))
    """
    # whole numbers only, as `inference.decision_network.cut_stretches` repeats it
    count = max(1, (samples + LONGEST_WHOLE - STRETCH - 1) // STRETCH)
    length = (samples + count - 1) // count
    gaps = max(1, count - 1)
    return [(2 * number * (samples - length) + gaps) // (2 * gaps) for number in range(count)], length


def predict_probabilities(
    probabilities_of: Callable[[np.ndarray], np.ndarray], signals: np.ndarray, batch_size: int = 16
) -> np.ndarray:
    """Mean probability over a recording's stretches.

    probabilities_of: float32 ``(m, 12, samples)`` to ``(m, outputs)``; PyTorch or ONNX Runtime behind it.
    signals: ``(n, 12, samples)`` from `ecg.preprocessing.model_input`, all of one length.
    batch_size: stretches at a time; larger batches leave the processor's cache and are slower.
    Returns float64 ``(n, outputs)``, uncalibrated.
    """
    starts, length = stretch_starts(signals.shape[-1])
    places = [(number, start) for number in range(len(signals)) for start in starts]
    rows = []
    for first in range(0, len(places), batch_size):
        batch = np.stack([signals[n, :, start : start + length] for n, start in places[first : first + batch_size]])
        rows.append(probabilities_of(batch).astype(np.float64))
    return np.concatenate(rows).reshape(len(signals), len(starts), -1).mean(1)


def predict_all(
    probabilities_of: Callable[[np.ndarray], np.ndarray], signals: Sequence[np.ndarray], batch_size: int = 16
) -> np.ndarray:
    """`predict_probabilities` of recordings of any lengths, ``(n, outputs)``; those of equal length go together."""
    of_length = defaultdict(list)
    for number, signal in enumerate(signals):
        of_length[signal.shape[1]].append(number)
    rows = {}
    for numbers in of_length.values():
        together = np.stack([signals[number] for number in numbers])
        rows |= zip(numbers, predict_probabilities(probabilities_of, together, batch_size), strict=True)
    return np.stack([rows[number] for number in range(len(signals))])
