"""Which lead is which, and which way up: limb leads against their own arithmetic, chest leads and polarity by shape."""

from itertools import permutations

import numpy as np

from config import LIMB_LEADS
from ecg.leads import LIMB_FROM_I_II

TOLERANCE = 0.05  # of the limb leads' rms: what filters and rounding may add to their arithmetic
AVR = LIMB_LEADS.index("aVR")
ORDERS = np.array(list(permutations(range(len(LIMB_LEADS)))))  # the order by name is the first


def _left_over() -> np.ndarray:
    """Quadratic forms ``(1440, 36)`` of six rows of a file: the energy that contradicts each of `ORDERS`.

    That is what remains when everything that follows from I and II is taken off. The second half has aVR inverted.
    """
    plane = np.linalg.qr(LIMB_FROM_I_II)[0]
    upright = np.eye(len(LIMB_LEADS)) - plane @ plane.T
    sign = np.where(np.arange(len(LIMB_LEADS)) == AVR, -1, 1)
    forms = [form[ORDERS[:, :, None], ORDERS[:, None]] for form in (upright, upright * np.outer(sign, sign))]
    return np.concatenate(forms).reshape(2 * len(ORDERS), -1).astype(np.float32)


LEFT_OVER = _left_over()


def measure_limb_order(beats: np.ndarray) -> dict[str, tuple[float, str]]:
    """How many times better another order than that of the names explains the limb leads, and which.

    beats: ``(6, beats, 90)`` in mV. Their mean is taken, since means obey the leads' arithmetic and medians do not.

    Einthoven's and Goldberger's equations make four of the six follow from I and II. What contradicts them, as a share
    of the leads' rms, is compared between the orders. Leads derived from two others never contradict.
    """
    limb = beats.mean(1)
    energies = LEFT_OVER @ (limb @ limb.T).ravel()
    best = int(np.argmin(energies))
    by_name, by_best = np.sqrt(np.maximum(energies[[0, best]], 0) / max(np.square(limb).sum(), 1e-12)) + TOLERANCE
    inverted, order = divmod(best, len(ORDERS))
    names = ["-aVR" if inverted and row == AVR else LIMB_LEADS[row] for row in ORDERS[order]]
    return {"limb leads out of order": (by_name / by_best, ", ".join(names))}


# Weights of the highest and lowest point of P wave, QRS and T wave in I, II, V1-V6, log odds. From measure_quality.py.
INVERTED = np.array([
    [[-0.99, -0.35, 0.67, -0.47, -0.28, 0.1, -0.04, -0.73], [-0.4, -0.8, 0.7, -0.5, -0.21, 0.11, 0.33, -1.03]],
    [[-1.95, -0.08, 0.25, 0.4, 0.28, 0.09, -0.6, -1.3], [-1.26, 0.48, 0.4, 0.22, 0.38, 0.02, -0.57, -1.27]],
    [[-0.42, -0.47, 0.67, -0.4, -0.31, 0.14, 0.16, -0.99], [0.14, -0.54, 0.86, -0.55, -0.12, 0.08, -0.02, -1.45]],
])  # fmt: skip
CHEST_REVERSED = np.array([
    [[-0.13, 0.25, 0.15, -0.16, -0.42, 0.31, 0.18, -0.23], [0.16, 0.03, 1.38, -0.22, -0.13, -0.03, 0.84, -2.05]],
    [[0.29, 0.14, 0.97, 0.43, 0.1, -0.2, -0.37, -1.29], [1.23, 0.62, 0.8, 0.4, -0.05, -0.01, -0.57, -0.64]],
    [[-0.03, 0.37, 0.52, -0.39, -0.52, 0.25, 1.11, -1.65], [0.21, 0.21, 0.71, 0.18, -0.04, -0.04, -0.06, -1.51]],
])  # fmt: skip


def wave_extremes(waves: list[np.ndarray]) -> np.ndarray:
    """Highest and lowest point ``(3, 2, 8)`` of `electrode_swaps.normalised_waves`."""
    return np.stack([(wave.max(1), wave.min(1)) for wave in waves])


def measure_orientation(waves: list[np.ndarray]) -> dict[str, tuple[float, None]]:
    """Evidence in `electrode_swaps.normalised_waves` for inverted leads and for chest leads from V6 to V1."""
    extremes = wave_extremes(waves)
    return {
        "polarity inverted": (np.vdot(extremes, INVERTED), None),
        "chest leads reversed": (np.vdot(extremes, CHEST_REVERSED), None),
    }
