"""Defects made in real recordings: how many does `ecg.quality.assess` flag?

Electrodes are swapped by algebra of the leads, which is exact; noise, cuts and wrong units are made in one lead.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from config import LEADS
from ecg.electrode_swaps import INDEPENDENT, SWAPS, wave_products
from ecg.leads import TWELVE_FROM_EIGHT
from ecg.quality import Quality, assess
from ecg.recording import Recording
from ptbxl.index import Index
from ptbxl.records import read_recording


def fit_wiring(results: list[Quality], member: np.ndarray) -> np.ndarray:
    """Weights ``(3, 8, 8)`` that tell the `wave_products` of some real recordings from those with a swap.

    Logistic regression without intercept of "first minus second" for pairs of a recording and itself swapped.
    """
    averages = [result.average_beat for result, inside in zip(results, member, strict=True) if inside]
    products = np.stack([wave_products(average) for average in averages if average is not None])
    rows, columns = np.triu_indices(8)
    pairs = np.concatenate([(products - swap @ products @ swap.T)[:, :, rows, columns] for swap in SWAPS.values()])
    pairs = pairs.reshape(len(pairs), -1).astype(np.float32)
    scale = pairs.std(0) + 1e-9
    sign = np.where(np.random.default_rng(0).random(len(pairs)) < 0.5, -1, 1)
    model = LogisticRegression(fit_intercept=False, C=0.02, max_iter=500).fit(pairs / scale * sign[:, None], sign > 0)
    weights = (model.coef_[0] / scale).reshape(3, -1) / np.where(rows == columns, 1, 2)
    wiring = np.zeros((3, 8, 8))
    wiring[:, rows, columns] = wiring[:, columns, rows] = weights
    return wiring


def swapped(recording: Recording, swap: np.ndarray) -> Recording:
    """The recording as it would be with electrodes exchanged: exact, since the central terminal does not change."""
    return replace(
        recording, signal=(TWELVE_FROM_EIGHT @ swap @ recording.signal[list(INDEPENDENT)]).astype(np.float32)
    )


def right_leg_swapped(recording: Recording, arm: str) -> Recording:
    """The recording with an arm's electrode and the right leg's exchanged, both legs taken for one potential."""
    potentials = {"RA": np.zeros_like(recording.signal[0]), "LA": recording.signal[0], "LL": recording.signal[1]}
    moved = potentials | {arm: potentials["LL"]}
    one, two = moved["LA"] - moved["RA"], moved["LL"] - moved["RA"]
    chest = recording.signal[6:] + (sum(potentials.values()) - sum(moved.values())) / 3
    return replace(recording, signal=(TWELVE_FROM_EIGHT @ np.vstack([one, two, chest])).astype(np.float32))


def flagged_share(recordings: list[Recording], change: Callable, flag: str, named_as: str = "") -> dict:
    """Share of recordings that get a flag when changed, and of those whose sentence names the right thing."""
    hits, named = [], []
    for recording in recordings:
        found = [item for item in assess(change(recording)).flags if item.name == flag]
        hits.append(bool(found))
        named.append(any(named_as in item.sentence for item in found))
    return {"n": len(hits), "flagged": float(np.mean(hits)), "named": float(np.mean(named))}


def suspected_swaps(table: pd.DataFrame, results: list[Quality]) -> dict[str, int]:
    """How many reports or annotations call electrodes "vertauscht" (swapped), and how many of these are flagged."""
    text = table["report"].fillna("") + table["electrodes_problems"].fillna("")
    numbers = np.flatnonzero(text.str.contains("vertauscht", case=False))
    names = ("electrodes swapped", "right leg swapped")
    flagged = [any(flag.name in names for flag in results[number].flags) for number in numbers]
    return {"n": len(flagged), "flagged": sum(flagged)}


def made_swaps(recordings: list[Recording]) -> dict[str, dict]:
    """Sensitivity to every swap in real recordings."""
    rows = {
        name: flagged_share(
            recordings, lambda recording, swap=swap: swapped(recording, swap), "electrodes swapped", name
        )
        for name, swap in tqdm(SWAPS.items(), desc="swaps", unit="swap")
    }
    for arm, lead in (("RA", "II"), ("LA", "III")):
        name = f"The right-leg electrode and {arm}"
        rows[name] = flagged_share(
            recordings,
            lambda recording, arm=arm: right_leg_swapped(recording, arm),
            "right leg swapped",
            f"Lead {lead} ",
        )
    return rows


DEFECT_LEAD = LEADS.index("V3")


def with_lead(recording: Recording, change: Callable[[np.ndarray], np.ndarray]) -> Recording:
    signal = recording.signal.copy()
    signal[DEFECT_LEAD] = change(signal[DEFECT_LEAD])
    return replace(recording, signal=signal)


def clip_peaks(lead: np.ndarray) -> np.ndarray:
    """Cut at 60 % of the largest departure from the median."""
    middle = np.median(lead)
    bound = 0.6 * np.abs(lead - middle).max()
    return np.clip(lead, middle - bound, middle + bound)


def rail(lead: np.ndarray) -> np.ndarray:
    """At the device's limit for 0.5 s."""
    lead = lead.copy()
    lead[len(lead) // 2 : len(lead) // 2 + 250] = 5.0
    return lead


def come_off(lead: np.ndarray) -> np.ndarray:
    """Silent from the half on."""
    lead = lead.copy()
    lead[len(lead) // 2 :] = lead[len(lead) // 2]
    return lead


def hum(amplitude: float) -> Callable[[np.ndarray], np.ndarray]:
    def add(lead: np.ndarray) -> np.ndarray:
        return lead + amplitude * np.sin(2 * np.pi * 50.05 * np.arange(len(lead)) / 500).astype(np.float32)

    return add


def made_defects(recordings: list[Recording]) -> dict[str, dict]:
    """Sensitivity to defects made in one lead (V3) or in the units of real recordings at 500 Hz."""

    def in_lead(change: Callable) -> Callable:
        return lambda recording: with_lead(recording, change)

    def in_units(factor: float) -> Callable:
        return lambda recording: replace(recording, signal=recording.signal * np.float32(factor))

    defects = {
        "V3 without a signal": ("flat", in_lead(np.zeros_like)),
        "V3 at its limit for 0.5 s": ("saturated", in_lead(rail)),
        "V3 cut at 60 % of its height": ("clipped", in_lead(clip_peaks)),
        "V3 silent for 5 s": ("detached", in_lead(come_off)),
        "50 Hz of 0.02 mV in V3": ("mains", in_lead(hum(0.02))),
        "50 Hz of 0.05 mV in V3": ("mains", in_lead(hum(0.05))),
        "microvolts taken for millivolts": ("units too large", in_units(1000)),
        "volts taken for millivolts": ("units too small", in_units(0.001)),
    }
    rows = {}
    for name, (flag, change) in tqdm(defects.items(), desc="defects", unit="kind"):
        untouched = flagged_share(recordings, lambda recording: recording, flag)
        rows[name] = {"flag": flag, **flagged_share(recordings, change, flag), "untouched": untouched["flagged"]}
    return rows


def between_rates(index: Index, ids: list[int], recordings: list[Recording]) -> dict[str, list[float]]:
    """Values of the checks at 500 Hz over those of the same recording at 100 Hz: 5 %, 50 % and 95 % of all leads."""
    fine = [assess(recording) for recording in recordings]
    coarse = [assess(read_recording(index, ecg_id)) for ecg_id in ids]
    rows = {}
    for name in ("wander", "muscle noise", "bursts"):
        ratios = np.concatenate([a.measured[name] / b.measured[name] for a, b in zip(fine, coarse, strict=True)])
        rows[name] = [float(value) for value in np.quantile(ratios, (0.05, 0.5, 0.95))]
    return rows
