"""RR intervals of a recording and which of its beats come early, for people to look at."""

from dataclasses import dataclass

import numpy as np

from ecg.bands import BAND_RATE, split_bands
from ecg.beats import cut_beats, find_beats, require_measurable
from ecg.heart_rate import are_reliable
from ecg.recording import Recording

EARLY = 0.85  # of the median RR interval: a beat after a shorter one comes early


@dataclass(frozen=True, eq=False)
class RRIntervals:
    """The heartbeats of a recording.

    beats_s: ``(beats,)`` when each one is, in s from the start of the recording. early: bool ``(beats,)``; the first
    beat has none before it and never counts as early.
    """

    beats_s: np.ndarray
    early: np.ndarray

    @property
    def milliseconds(self) -> np.ndarray:
        """The RR intervals ``(beats - 1,)`` in ms."""
        return 1000 * np.diff(self.beats_s)

    @property
    def early_sentence(self) -> str:
        """How many beats come early, such as "2 of 12 beats come early"."""
        count, beats = int(self.early.sum()), len(self.beats_s)
        return f"{count or 'None'} of {beats} beats {'comes' if count <= 1 else 'come'} early"


def rr_intervals_of(beats_s: np.ndarray) -> RRIntervals:
    """RR intervals of two or more beats at these times (s)."""
    intervals = np.diff(beats_s)
    return RRIntervals(beats_s=beats_s, early=np.concatenate([[False], intervals < EARLY * np.median(intervals)]))


def measure_rr_intervals(recording: Recording) -> RRIntervals | None:
    """RR intervals in a few ms, to about 10 ms; None without reliable heartbeats. Raises RecordingError as `assess`."""
    require_measurable(recording)
    bands = split_bands(np.asarray(recording.signal, np.float32), recording.sampling_rate)
    peaks, contrast = find_beats(bands.qrs)
    if not are_reliable(cut_beats(bands.heart, peaks), contrast):
        return None
    return rr_intervals_of(peaks / BAND_RATE)
