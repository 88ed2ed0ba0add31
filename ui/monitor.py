"""A bedside monitor fed from a recording: the loop it plays, what it has seen so far, and the sweeping trace."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np

from config import LEADS
from ecg.bands import BAND_RATE, split_bands
from ecg.beats import find_beats
from ecg.leads import derive_limb_leads
from ecg.preprocessing import MINIMUM_DURATION_S
from ecg.recording import Recording

MONITOR_LEADS = ("I", "II", "V2", "V5")  # shown of an ECG that is watched with all its leads
CHOICES = ("I", "II", "V1", "V5")  # that a monitor may have alone
MOST_TRACES = 4
MEMORY_S = 10.0  # what each prediction looks back on
BEFORE_BEAT_S = 0.3  # before an R peak, between the last T wave and the P wave
SWEEP_RATE = 250  # samples/s sent to the browser, at most
TEMPLATE = Path(__file__).with_name("monitor.html")


def seamless_loop(recording: Recording) -> Recording:
    """The recording from before its first beat to before its last one, so that it repeats without a jump.

    What each lead's ends differ by is taken off as a straight line. Without two beats the recording stays as it is.
    """
    peaks = find_beats(split_bands(recording.signal, recording.sampling_rate).qrs)[0] / BAND_RATE - BEFORE_BEAT_S
    starts = np.round(peaks[peaks >= 0] * recording.sampling_rate).astype(int)
    if len(starts) < 2:
        return recording
    signal = recording.signal[:, starts[0] : starts[-1]]
    step = recording.signal[:, [starts[-1]]] - signal[:, :1]
    signal = signal - step * np.linspace(0, 1, signal.shape[1], endpoint=False, dtype=np.float32)
    return replace(recording, signal=signal)


def with_leads(recording: Recording, leads: Sequence[str]) -> Recording:
    """The recording as a monitor with these leads alone would have it; with I and II all limb leads follow.

    leads: none for all that were recorded.
    """
    if not leads:
        return recording
    present = recording.present & np.isin(LEADS, leads)
    signal = recording.signal * present[:, None]
    derive_limb_leads(signal, present)
    return replace(recording, signal=signal, present=present)


def last_seconds(loop: Recording, now_s: float) -> Recording | None:
    """What a monitor that has played ``loop`` for ``now_s`` seconds remembers; None before 5 s."""
    seconds = min(now_s, MEMORY_S)
    if seconds < MINIMUM_DURATION_S:
        return None
    end = round(now_s * loop.sampling_rate)
    samples = np.arange(end - round(seconds * loop.sampling_rate), end)
    return replace(loop, signal=np.take(loop.signal, samples, axis=1, mode="wrap"))


def shown_leads(loop: Recording, chosen: Sequence[str]) -> list[str]:
    """The traces of the monitor: the chosen leads, else four of a 12-lead ECG or the first that were recorded."""
    recorded = list(compress(LEADS, loop.present))
    usual = [lead for lead in recorded if lead in (chosen or MONITOR_LEADS)]
    return usual or recorded[:MOST_TRACES]


def monitor_html(loop: Recording, chosen: Sequence[str] = ()) -> str:
    """A page with the sweeping traces of the loop, from its start; chosen: as for `with_leads`."""
    stride = max(1, round(loop.sampling_rate / SWEEP_RATE))
    leads = shown_leads(loop, chosen)
    traces = []
    for lead in leads:
        row = loop.signal[LEADS.index(lead), ::stride]
        traces.append({"lead": lead, "mv": np.round(row - np.median(row), 3).tolist()})
    facts = {"rate": loop.sampling_rate / stride, "traces": traces}
    page = TEMPLATE.read_text(encoding="utf-8").replace('"FACTS"', json.dumps(facts))
    return page.replace("LEADS", ", ".join(leads))
