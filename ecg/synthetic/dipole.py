"""From the heart's dipole and from electrode potentials to twelve leads.

Dower's lead vectors (Clin Cardiol 1980;3:87) project the dipole on I, II and V1-V6; the other limb leads follow from
these (`ecg.leads`). Axes of every vector: x left, y inferior, z posterior.
"""

import numpy as np

from ecg.leads import TWELVE_FROM_EIGHT

DOWER = np.array(
    [
        [0.632, -0.235, 0.059],  # I
        [0.235, 1.066, -0.132],  # II
        [-0.515, 0.157, -0.917],  # V1
        [0.044, 0.164, -1.387],  # V2
        [0.882, 0.098, -1.277],  # V3
        [1.213, 0.127, -0.601],  # V4
        [1.125, 0.127, -0.086],  # V5
        [0.831, 0.076, 0.230],  # V6
    ]
)
ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
_EIGHT_FROM_ELECTRODES = np.vstack(
    [[-1, 1, 0] + [0] * 6, [-1, 0, 1] + [0] * 6, np.hstack([np.full((6, 3), -1 / 3), np.eye(6)])]
)
FRONTAL = np.array([DOWER[0, :2], (DOWER[1, :2] - DOWER[0, :2] / 2) * 2 / np.sqrt(3)])  # x, y to the axis' plane


def leads_from_dipole(dipole: np.ndarray) -> np.ndarray:
    """Twelve leads ``(12, samples)`` in mV of a heart vector ``(3, samples)`` in mV."""
    return TWELVE_FROM_EIGHT @ (DOWER @ dipole)


def leads_from_electrodes(potentials: np.ndarray) -> np.ndarray:
    """Twelve leads ``(12, samples)`` of the potentials ``(9, samples)`` at ``ELECTRODES``, the same unit."""
    return TWELVE_FROM_EIGHT @ (_EIGHT_FROM_ELECTRODES @ potentials)
