"""Is the sampling rate right? A heart that beats too slowly for waves too broad, or too fast and narrow, says no."""

import numpy as np

from ecg.medians import median

STRETCHES = (0, 10, 20, 28, 34, 37, 39, 42, 44, 47, 52, 60, 70, 80)  # first samples of a beat at 100 Hz, R peak at 40
# Log odds: constant, weight of the log of the heart rate, weights of the log height of the beat in each stretch.
# From measure_quality.py.
TOO_LOW = np.array([
    46.25, -9.39, 0.63, 0.62, -1.52, 0.53, 1.58, -0.51, -0.58, 0.15, 1.02, -0.04, 0.74, -2.66, 0.34, 2.54
])  # fmt: skip
TOO_HIGH = np.array([
    -63.58, 12.4, -0.13, 0.36, -1.41, 3.01, -0.27, -2.73, -2.71, -1.29, -1.89, 5.32, 0.68, -3.49, -0.28, -0.47
])  # fmt: skip


def time_features(average: np.ndarray, heart_rate: float) -> np.ndarray:
    """What `TOO_LOW` and `TOO_HIGH` weigh, of an average beat ``(12, 90)`` and its mean rate in beats/min.

    The height of the beat is summed over leads, which no order and no sign of them changes.
    """
    height = np.abs(average - median(average, axis=1)[:, None]).sum(0)
    stretches = np.add.reduceat(height, STRETCHES) / np.diff((*STRETCHES, len(height)))
    return np.array([1, np.log(heart_rate), *np.log(stretches / (height.max() + 1e-12) + 0.01)])


def measure_time_scale(average: np.ndarray, heart_rate: float, sampling_rate: float) -> dict[str, tuple[float, str]]:
    """Evidence that the true sampling rate is higher, and that it is lower, as check to value and rates."""
    features = time_features(average, heart_rate)
    what = f"{sampling_rate:g} Hz ({heart_rate:.0f} beats/min)"
    return {"sampling rate too low": (features @ TOO_LOW, what), "sampling rate too high": (features @ TOO_HIGH, what)}
