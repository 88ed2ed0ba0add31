"""From a recording to what the network sees.

Training, evaluation, API, page and batch prediction all come through this file. Amplitude is
diagnostic (hypertrophy is defined in mV), so the signal is divided by one constant of the
training set and never normalised per lead or per recording.
"""

from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

from config import LEADS, SAMPLING_RATE
from ecg.recording import Recording, RecordingError

MINIMUM_DURATION_S = 5.0
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
            f"{FULL_DURATION_S:g} s are what the network was evaluated on"
        )
    if not np.isfinite(recording.signal).all():
        bad = [lead for lead, row in zip(LEADS, recording.signal, strict=True) if not np.isfinite(row).all()]
        raise RecordingError(f"missing samples (NaN or infinite) in lead {', '.join(bad)}: fill or cut them first")
    return scale_signal(resample(recording.signal, recording.sampling_rate, SAMPLING_RATE), input_scale)
