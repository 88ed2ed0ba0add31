"""Interchanged electrodes.

The leads of one heart go together in a limited number of ways (Kors and van Herpen, Am J Cardiol 2001;88:396, predict
each lead from the others). Here the lead-by-lead products of the average P wave, QRS and T wave are weighed with
matrices learnt from PTB-XL, and a recording whose score would rise steeply if two electrodes were exchanged back is
flagged.
"""

import numpy as np

from config import LEADS, LIMB_LEADS
from ecg.beats import P_WAVE, QRS, T_WAVE
from ecg.medians import median

INDEPENDENT = tuple(LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))


def _limb_swap(*electrodes: int) -> np.ndarray:
    """What the independent leads show when the cables RA, LA, LL sit on these electrodes instead."""
    ra, la, ll = np.array([[0, 0], [1, 0], [0, 1]])[list(electrodes)]  # potentials over RA, in terms of I and II
    change = np.eye(8)
    change[:2, :2] = [la - ra, ll - ra]
    return change


def _chest_swap(first: int) -> np.ndarray:
    order = np.arange(8)
    order[[first + 1, first + 2]] = first + 2, first + 1
    return np.eye(8)[order]


SWAPS = {
    "The right-arm and left-arm electrodes": _limb_swap(1, 0, 2),
    "The left-arm and left-leg electrodes": _limb_swap(0, 2, 1),
    "The right-arm and left-leg electrodes": _limb_swap(2, 1, 0),
    "The limb electrodes (RA on the left leg, LA on the right arm, LL on the left arm)": _limb_swap(2, 0, 1),
    "The limb electrodes (RA on the left arm, LA on the left leg, LL on the right arm)": _limb_swap(1, 2, 0),
    **{f"The electrodes V{first} and V{first + 1}": _chest_swap(first) for first in range(1, 6)},
}
# Weights of the products of leads I, II, V1-V6; neighbours on the chest should go together. From measure_quality.py.
WIRING = np.array([
    [
        [-1.2, -0.1, -2.4, 1.3, -0.4, -0.4, 0.2, 0.5],
        [-0.1, 0.9, 1.0, -0.9, 0.8, 0.8, 0.5, 0.6],
        [-2.4, 1.0, 0.4, 4.7, 0.7, -0.8, -1.6, -2.7],
        [1.3, -0.9, 4.7, -0.4, 3.0, -0.4, -0.9, -1.9],
        [-0.4, 0.8, 0.7, 3.0, -0.1, 2.8, -0.9, -0.9],
        [-0.4, 0.8, -0.8, -0.4, 2.8, -0.1, 2.3, -0.3],
        [0.2, 0.5, -1.6, -0.9, -0.9, 2.3, 0.7, 1.0],
        [0.5, 0.6, -2.7, -1.9, -0.9, -0.3, 1.0, 0.7],
    ],  # P wave
    [
        [-0.7, -0.8, -1.6, 0.4, -0.2, 0.0, 0.5, 0.7],
        [-0.8, -0.7, 0.5, -1.0, 0.1, 0.6, 0.3, 0.7],
        [-1.6, 0.5, 0.1, 1.3, 0.0, -0.3, -1.0, -2.1],
        [0.4, -1.0, 1.3, 1.0, 1.7, -0.1, -0.6, -1.5],
        [-0.2, 0.1, 0.0, 1.7, 0.6, 2.0, -0.6, -1.1],
        [0.0, 0.6, -0.3, -0.1, 2.0, 0.1, 2.1, -1.5],
        [0.5, 0.3, -1.0, -0.6, -0.6, 2.1, -2.7, 2.8],
        [0.7, 0.7, -2.1, -1.5, -1.1, -1.5, 2.8, -4.3],
    ],  # QRS
    [
        [-0.9, -0.5, -0.8, 0.7, 0.0, -0.1, 0.4, 0.4],
        [-0.5, 0.0, 0.5, -0.1, 0.1, 0.2, 0.1, 0.8],
        [-0.8, 0.5, 0.2, 1.3, 0.1, -0.4, -0.2, -0.7],
        [0.7, -0.1, 1.3, 0.6, 1.0, -0.3, -0.3, -0.5],
        [0.0, 0.1, 0.1, 1.0, 0.0, 1.5, -1.0, -0.9],
        [-0.1, 0.2, -0.4, -0.3, 1.5, -0.9, 0.8, -2.0],
        [0.4, 0.1, -0.2, -0.3, -1.0, 0.8, -2.2, 0.5],
        [0.4, 0.8, -0.7, -0.5, -0.9, -2.0, 0.5, -2.8],
    ],  # T wave
])  # fmt: skip


def normalised_waves(average: np.ndarray) -> list[np.ndarray]:
    """P wave, QRS and T wave of the `INDEPENDENT` leads, each ``(8, samples)``, in an average beat ``(12, 90)``.

    Each is divided by the root mean square of I, II, III and V1-V6, which no exchange of electrodes changes.
    """
    level = median(average, axis=1)[:, None]
    p_wave = average[:, P_WAVE]
    waves = []
    for wave in (p_wave - p_wave.mean(1, keepdims=True), average[:, QRS] - level, average[:, T_WAVE] - level):
        mean_square = (np.square(wave[:3]).sum() + np.square(wave[6:]).sum()) / (9 * wave.shape[1])
        waves.append(wave[list(INDEPENDENT)] / np.sqrt(mean_square + 0.02**2))
    return waves


def wave_products(waves: list[np.ndarray]) -> np.ndarray:
    """Lead-by-lead mean products ``(3, 8, 8)`` of `normalised_waves`."""
    return np.stack([wave @ wave.T / wave.shape[1] for wave in waves])


def swap_gains(wiring: np.ndarray) -> np.ndarray:
    """Weights ``(10, 3, 8, 8)`` of `wave_products` in what undoing each of `SWAPS` adds to the wiring score."""
    undone = np.stack([np.linalg.inv(change) for change in SWAPS.values()])
    return undone.swapaxes(1, 2)[:, None] @ wiring @ undone[:, None] - wiring


SWAP_GAINS = swap_gains(WIRING)


def swap_scores(products: np.ndarray, gains: np.ndarray = SWAP_GAINS) -> np.ndarray:
    """How much likelier each of `SWAPS` is than right wiring, log odds ``(..., 10)``, of `wave_products`."""
    return np.tensordot(products, gains, axes=([-3, -2, -1], [1, 2, 3]))


def measure_wiring(waves: list[np.ndarray]) -> dict[str, tuple[float, str | None]]:
    """Evidence in `normalised_waves` for the likeliest exchange of electrodes, as check to value and electrodes."""
    scores = swap_scores(wave_products(waves))
    best = int(np.argmax(scores))
    return {"electrodes swapped": (scores[best], list(SWAPS)[best])}


def measure_right_leg(average: np.ndarray) -> dict[str, tuple[float, str | None]]:
    """Height of the emptiest of I, II and III over that of the fullest limb lead, as check to value and lead.

    Both legs have nearly the same potential: with RA on the right leg II is empty, with LA on it III, with both I.
    """
    heights = np.ptp(average[: len(LIMB_LEADS)], axis=1)
    emptiest = int(np.argmin(heights[:3]))
    return {"right leg swapped": (100 * heights[emptiest] / max(heights.max(), 1e-6), LIMB_LEADS[emptiest])}
