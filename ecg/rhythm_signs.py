"""Signs that the rhythm may not be sinus rhythm: irregular RR intervals, no P wave. No diagnosis of the rhythm.

They stand beside the rhythm that the network names: NORM or a sinus rhythm must not stand alone beside one of them.
`tools/measure_verdict.py` chose the limit of irregularity on folds 1-8 and counts both signs on fold 9 in
docs/verdict.md.
"""

from dataclasses import dataclass

import numpy as np

from ecg.beats import P_WAVE
from ecg.heartbeats import Heartbeats, find_heartbeats
from ecg.medians import median
from ecg.recording import Recording

RR_TOLERANCE = 0.1  # of the median RR interval, by which neighbouring intervals may differ in a regular rhythm
MOST_IRREGULAR = 0.25  # share of neighbouring RR intervals beyond the tolerance
P_CONSISTENCY = 0.65  # where a P wave stands out


@dataclass(frozen=True)
class RhythmSigns:
    """What the heartbeats of one recording say of its rhythm.

    irregularity: share of neighbouring RR intervals that differ by more than a tenth of the median RR interval.
    p_consistency: see `p_consistency`.
    """

    irregularity: float
    p_consistency: float

    @property
    def doubts(self) -> tuple[str, ...]:
        """The signs against sinus rhythm in plain text, as parts of a sentence."""
        doubts = []
        if self.irregularity > MOST_IRREGULAR:
            doubts.append("the RR intervals are irregular")
        if self.p_consistency < P_CONSISTENCY:
            doubts.append("no P wave stands out before the QRS complexes")
        return tuple(doubts)


def measure_rhythm(recording: Recording, heartbeats: Heartbeats | None = None) -> RhythmSigns | None:
    """The signs of one recording; None without reliable heartbeats. Raises RecordingError as `find_heartbeats`.

    heartbeats: where the caller has found them already.
    """
    found = heartbeats or find_heartbeats(recording)
    if not found.reliable:
        return None
    return RhythmSigns(irregularity=irregularity(found.peaks), p_consistency=p_consistency(found.beats))


def irregularity(peaks: np.ndarray) -> float:
    """Share of neighbouring RR intervals that differ by more than a tenth of the median; peaks in samples, 3 or more.

    A single premature beat in ten seconds changes two or three differences, atrial fibrillation most of them.
    """
    intervals = np.diff(peaks)
    return float(np.mean(np.abs(np.diff(intervals)) > RR_TOLERANCE * median(intervals)))


def p_consistency(beats: np.ndarray) -> float:
    """How alike the stretches before the QRS are, the usual correlation of a beat's with the average's (all leads).

    beats: ``(leads, beats, 90)``, see `ecg.beats.cut_beats`.
    """
    p_waves = beats[:, :, P_WAVE] - beats[:, :, P_WAVE].mean(2, keepdims=True)
    average = median(p_waves, axis=1)[:, None]
    energy = np.square(p_waves).sum((0, 2)) * np.square(average).sum() + 1e-12
    return float(median((p_waves * average).sum((0, 2)) / np.sqrt(energy)))
