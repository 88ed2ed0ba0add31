"""Leads that were recorded but show nothing, because they are flat or fall silent, set aside as if they were missing.

    seen, quality = set_lost_leads_aside(recording, assess(recording))

A limb lead is a difference of two electrodes, so a lost one takes along what was computed from it, and comes back where
the two others still determine it.
"""

from dataclasses import replace

import numpy as np

from config import LEADS, LIMB_LEADS
from ecg.bands import split_bands
from ecg.leads import derive_limb_leads
from ecg.quality import LEAD_CHECKS, SEVERITIES, Flag, Quality, assess
from ecg.recording import Recording

SET_ASIDE = ("flat", "detached")  # checks of `ecg.quality`: what such a lead holds is not the heart
WRONG_RATE = ("sampling rate too low", "sampling rate too high")
ASIDE_SENTENCE = "{sentence} It was treated as missing."
REBUILT_SENTENCE = "{sentence} It was rebuilt from the other limb leads."


def set_lost_leads_aside(recording: Recording, quality: Quality) -> tuple[Recording, Quality]:
    """The recording without its lost leads, and the quality of what remains, with a note on each lost lead.

    Both are returned as they are if no lead is lost, if none would remain, or if the sampling rate is wrong: the pauses
    of beats that are stretched in time look like a lead's silence.
    """
    if any(flag.name in WRONG_RATE for flag in quality.flags):
        return recording, quality
    lost = np.isin(LEADS, [flag.lead for flag in quality.flags if flag.name in SET_ASIDE])
    seen = without_leads(recording, lost)
    unchanged = np.array_equal(seen.signal, recording.signal) and np.array_equal(seen.present, recording.present)
    if unchanged or not seen.present.any():
        return recording, quality
    remaining = assess(seen)
    notes = [note_on(flag, seen) for flag in quality.flags if flag.name in SET_ASIDE]
    flags = sorted([*remaining.flags, *notes], key=lambda flag: -SEVERITIES.index(flag.severity))
    measured = {name: np.where(lost, quality.measured[name], values) for name, values in remaining.measured.items()}
    return seen, replace(remaining, flags=tuple(flags), measured=measured)


def note_on(flag: Flag, seen: Recording) -> Flag:
    """The flag of a lost lead, no longer a reason for caution, and what became of the lead."""
    sentence = REBUILT_SENTENCE if seen.present[LEADS.index(flag.lead)] else ASIDE_SENTENCE
    return replace(flag, severity="note", sentence=sentence.format(sentence=flag.sentence))


def without_leads(recording: Recording, lost: np.ndarray) -> Recording:
    """The recording with some leads taken out, and what follows from them; lost: bool ``(12,)``.

    One of I, II and III is rebuilt if the two others have a difference for it to show; if they agree that it is flat,
    they were computed from it, and of the limb leads only its partner remains.
    """
    signal, present = np.array(recording.signal, np.float32), recording.present & ~lost
    limb = slice(len(LIMB_LEADS))
    if lost[limb].any():
        present[limb] = _trusted_limb_leads(recording, lost)
    signal[~present] = 0
    derive_limb_leads(signal, present)
    return replace(recording, signal=signal, present=present)


def _trusted_limb_leads(recording: Recording, lost: np.ndarray) -> np.ndarray:
    """Which of the six limb leads are kept, before what follows from them is derived; bool ``(6,)``."""
    there, gone = recording.present[: len(LIMB_LEADS)], lost[: len(LIMB_LEADS)]
    kept = there & ~gone
    if gone[:3].sum() != 1 or kept[:3].sum() != 2:
        kept[3:] &= not gone[:3].any()  # aVR, aVL and aVF hold a part of I and of II
        return kept
    kept[3:] = False  # derived again
    if _explains(recording, int(np.flatnonzero(gone[:3])[0])):
        return kept
    return there & np.isin(LIMB_LEADS, {"I": ("II",), "II": ("I",), "III": LIMB_LEADS}[_only(gone[:3])])


def _explains(recording: Recording, row: int) -> bool:
    """Whether two of I, II, III show a heartbeat in the third, which is itself flat or silent."""
    one, two, three = recording.signal[:3]
    rebuilt = (two - three, one + three, two - one)[row]
    heart = split_bands(rebuilt[None].astype(np.float32), recording.sampling_rate).heart
    return bool(np.ptp(heart) >= 2 * LEAD_CHECKS["flat"].limit)


def _only(gone: np.ndarray) -> str:
    return LIMB_LEADS[int(np.flatnonzero(gone)[0])]
