"""Defects made in real recordings: how many does `ecg.quality.assess` flag?

Electrodes are swapped by algebra of the leads, which is exact; noise, cuts and wrong units are made in one lead.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from config import LEADS
from ecg.electrode_swaps import INDEPENDENT, SWAPS, normalised_waves, wave_products
from ecg.leads import TWELVE_FROM_EIGHT
from ecg.quality import Quality, assess
from ecg.recording import Recording
from ptbxl.index import Index
from ptbxl.records import read_recording


def fit_wiring(results: list[Quality]) -> np.ndarray:
    """Weights ``(3, 8, 8)`` that tell the `wave_products` of some real recordings from those with a swap.

    Logistic regression without intercept of "first minus second" for pairs of a recording and itself swapped.
    """
    averages = (result.average_beat for result in results)
    products = np.stack([wave_products(normalised_waves(average)) for average in averages if average is not None])
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
    sentences = [
        [found.sentence for found in assess(change(recording)).flags if found.name == flag] for recording in recordings
    ]
    return {
        "flagged": float(np.mean([bool(found) for found in sentences])),
        "named": float(np.mean([any(named_as in sentence for sentence in found) for found in sentences])),
    }


def suspected_swaps(table: pd.DataFrame, results: list[Quality]) -> dict[str, int]:
    """How many reports or annotations call electrodes "vertauscht" (swapped), and how many of these are flagged."""
    text = table["report"].fillna("") + table["electrodes_problems"].fillna("")
    suspected = [results[row] for row in np.flatnonzero(text.str.contains("vertauscht", case=False))]
    names = ("electrodes swapped", "right leg swapped")
    return {
        "n": len(suspected),
        "flagged": sum(any(flag.name in names for flag in result.flags) for result in suspected),
    }


def made_swaps(recordings: list[Recording]) -> dict[str, dict]:
    """Sensitivity to every swap in real recordings."""
    rows = {
        name: flagged_share(recordings, partial(swapped, swap=swap), "electrodes swapped", name)
        for name, swap in tqdm(SWAPS.items(), desc="swaps", unit="swap")
    }
    for arm, lead in (("RA", "II"), ("LA", "III")):
        change = partial(right_leg_swapped, arm=arm)
        rows[f"The right-leg electrode and {arm}"] = flagged_share(
            recordings, change, "right leg swapped", f"Lead {lead} "
        )
    return rows


DEFECT_LEAD = LEADS.index("V3")


def with_lead(recording: Recording, change: Callable[[np.ndarray], np.ndarray]) -> Recording:
    signal = recording.signal.copy()
    signal[DEFECT_LEAD] = change(signal[DEFECT_LEAD])
    return replace(recording, signal=signal)


def in_units(recording: Recording, factor: float) -> Recording:
    return replace(recording, signal=recording.signal * np.float32(factor))


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


def hum(lead: np.ndarray, amplitude: float, hertz: float = 50.05) -> np.ndarray:
    """Hum of the mains, amplitude in mV, on a lead at 500 Hz."""
    return lead + amplitude * np.sin(2 * np.pi * hertz * np.arange(len(lead)) / 500).astype(np.float32)


DEFECTS = {  # name: the flag it must get, how it is made
    "V3 without a signal": ("flat", partial(with_lead, change=np.zeros_like)),
    "V3 at its limit for 0.5 s": ("saturated", partial(with_lead, change=rail)),
    "V3 cut at 60 % of its height": ("clipped", partial(with_lead, change=clip_peaks)),
    "V3 silent for 5 s": ("detached", partial(with_lead, change=come_off)),
    "50 Hz of 0.02 mV in V3": ("mains", partial(with_lead, change=partial(hum, amplitude=0.02))),
    "50 Hz of 0.05 mV in V3": ("mains", partial(with_lead, change=partial(hum, amplitude=0.05))),
    "microvolts taken for millivolts": ("units too large", partial(in_units, factor=1000)),
    "volts taken for millivolts": ("units too small", partial(in_units, factor=0.001)),
}


def made_defects(recordings: list[Recording]) -> dict[str, dict]:
    """Sensitivity to defects made in one lead (V3) or in the units of real recordings at 500 Hz."""
    return {
        name: {
            "flag": flag,
            "flagged": flagged_share(recordings, change, flag)["flagged"],
            "untouched": flagged_share(recordings, replace, flag)["flagged"],
        }
        for name, (flag, change) in tqdm(DEFECTS.items(), desc="defects", unit="kind")
    }


def between_rates(index: Index, recordings: dict[int, Recording]) -> dict[str, list[float]]:
    """Values of the checks at 500 Hz over those of the same recording at 100 Hz: 5 %, 50 % and 95 % of all leads."""
    pairs = [(assess(fine), assess(read_recording(index, ecg_id))) for ecg_id, fine in recordings.items()]
    return {
        name: np.quantile([a.measured[name] / b.measured[name] for a, b in pairs], (0.05, 0.5, 0.95)).tolist()
        for name in ("wander", "muscle noise", "bursts")
    }
