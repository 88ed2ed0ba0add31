"""The heartbeats of a recording, found once for whatever is measured on them: quality, signs against sinus rhythm."""

from dataclasses import dataclass

import numpy as np

from ecg.bands import Bands, split_bands
from ecg.beats import cut_beats, find_beats, require_measurable
from ecg.heart_rate import are_reliable
from ecg.recording import Recording


@dataclass(frozen=True, eq=False, kw_only=True)
class Heartbeats:
    """One recording at 100 Hz, in bands, with its heartbeats.

    peaks: samples of the R peaks. contrast: how far they stand out, see `ecg.beats.find_beats`.
    beats: those wholly inside the recording, ``(12, beats, 90)`` in mV.
    reliable: whether anything may be measured on them.
    """

    bands: Bands
    peaks: np.ndarray
    contrast: float
    beats: np.ndarray
    reliable: bool


def find_heartbeats(recording: Recording) -> Heartbeats:
    """Split a recording into bands and find its heartbeats.

    Raises RecordingError if the recording is shorter than 5 s, sampled below 100 Hz or has samples that are not
    numbers.
    """
    require_measurable(recording)
    bands = split_bands(np.asarray(recording.signal, np.float32), recording.sampling_rate)
    peaks, contrast = find_beats(bands.qrs)
    beats = cut_beats(bands.heart, peaks)
    return Heartbeats(bands=bands, peaks=peaks, contrast=contrast, beats=beats, reliable=are_reliable(beats, contrast))
