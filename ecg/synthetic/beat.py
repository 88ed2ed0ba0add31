"""A heartbeat as a moving dipole: a 3-D vector in mV, the sum of one smooth kernel for each stretch of activation.

After McSharry et al., IEEE Trans Biomed Eng 2003;50:289, there in one dimension. Dower's lead vectors (Clin Cardiol
1980;3:87) project the dipole on I, II and V1-V6; the other limb leads follow from these (`ecg.leads`). Axes of every
vector: x left, y inferior, z posterior.
"""

from dataclasses import dataclass, replace

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
FRONTAL = np.array([DOWER[0, :2], (DOWER[1, :2] - DOWER[0, :2] / 2) * 2 / np.sqrt(3)])  # x, y to the axis' plane


@dataclass(frozen=True, eq=False)
class Beat:
    """One heartbeat as kernels of a heart vector.

    p_ms, pr_ms, qrs_ms, qt_ms, t_ms: durations of the P wave, PR interval, QRS, QT interval and T wave.
    p: ``(2, 3)`` right and left atrial vectors in mV.
    qrs_times: ``(n, 2)`` centre and half-width of each QRS force, fractions of the QRS duration.
    qrs: ``(n, 3)`` its vectors in mV.
    st, t: ``(3,)`` vectors in mV.
    """

    p_ms: float
    pr_ms: float
    qrs_ms: float
    qt_ms: float
    t_ms: float
    p: np.ndarray
    qrs_times: np.ndarray
    qrs: np.ndarray
    st: np.ndarray
    t: np.ndarray


def leads_from_dipole(dipole: np.ndarray) -> np.ndarray:
    """Twelve leads ``(12, samples)`` in mV of a heart vector ``(3, samples)`` in mV."""
    return TWELVE_FROM_EIGHT @ (DOWER @ dipole)


def draw_axis(age: float, rng: np.random.Generator) -> float:
    """A healthy frontal QRS axis in degrees; it turns left with age."""
    return float(np.clip(rng.normal(50 - 0.45 * (age - 20), 26), -28, 82))


def frontal_axis(beat: Beat) -> float:
    """Frontal QRS axis in degrees, from the net QRS amplitudes in I and aVF."""
    r, s = qrs_extremes(beat)
    net = r + s
    return float(np.degrees(np.arctan2(2 / np.sqrt(3) * net[5], net[0])))


def p_axis(beat: Beat) -> float:
    """Frontal axis of the P wave in degrees, of its mean vector in I and aVF."""
    leads = leads_from_dipole(beat.p.sum(axis=0)[:, None])[:, 0]
    return float(np.degrees(np.arctan2(2 / np.sqrt(3) * leads[5], leads[0])))


def with_axis(beat: Beat, axis: float) -> Beat:
    """The same heartbeat with its QRS turned to this frontal axis (degrees); the T wave follows half the way."""
    i, avf = FRONTAL @ (beat.qrs_times[:, 1] @ beat.qrs)[:2]
    by_area = axis - np.degrees(np.arctan2(avf, i))

    def distance(turn: float) -> float:
        return abs((frontal_axis(replace(beat, qrs=turn_frontal(beat.qrs, turn))) - axis + 180) % 360 - 180)

    # The axis of the peaks is not that of the area, and jumps where one peak overtakes another: so it is searched.
    turn = min(by_area + np.arange(-42, 43, 3), key=distance)
    follow = np.clip(((turn + 180) % 360 - 180) / 2, -25, 25)
    return replace(beat, qrs=turn_frontal(beat.qrs, turn), t=turn_frontal(beat.t[None], follow)[0])


def turn_frontal(vectors: np.ndarray, degrees: float) -> np.ndarray:
    """Vectors ``(n, 3)`` turned clockwise in the plane of the limb leads."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.linalg.solve(FRONTAL, np.array([[c, -s], [s, c]]) @ FRONTAL)
    return np.column_stack([vectors[:, :2] @ turn.T, vectors[:, 2]])


def turn_horizontal(vectors: np.ndarray, degrees: float) -> np.ndarray:
    """Vectors ``(n, 3)`` turned about the body's long axis, left towards back."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y, z = vectors.T
    return np.column_stack([c * x - s * z, y, s * x + c * z])


def beat_kernels(beat: Beat) -> tuple[np.ndarray, np.ndarray]:
    """Kernels ``(n, 4)`` (peak, rise, plateau, fall; ms from QRS onset) and vectors ``(n, 3)``: P, QRS, ST, T."""
    p_on, p_ms = -beat.pr_ms, beat.p_ms
    t_fall = 0.44 * beat.t_ms
    t_peak = beat.qt_ms - t_fall
    st_top = beat.qrs_ms + 10
    qrs_peak, qrs_half = (beat.qrs_times * beat.qrs_ms).T
    kernels = [
        [p_on + 0.38 * p_ms, 0.38 * p_ms, 0, 0.36 * p_ms],
        [p_on + 0.62 * p_ms, 0.36 * p_ms, 0, 0.38 * p_ms],
        *np.column_stack([qrs_peak, qrs_half, np.zeros_like(qrs_peak), qrs_half]),
        [st_top, 30, 50, max(beat.qt_ms - st_top - 50, 30)],
        [t_peak, beat.t_ms - t_fall, 0, t_fall],
    ]
    return np.array(kernels), np.vstack([beat.p, beat.qrs, beat.st, beat.t])


def kernel_shapes(times_ms: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Kernels ``(..., n, 4)`` at times ``(..., m)``, as ``(..., n, m)``: bells with a definite start and end."""
    peak, rise, plateau, fall = (kernels[..., k, None] for k in range(4))
    before = (peak - times_ms[..., None, :]) / rise
    after = (times_ms[..., None, :] - peak - plateau) / fall
    distance = np.clip(np.maximum(before, after), 0, 1)
    return np.cos(np.pi / 2 * distance) ** 2


TEMPLATE_MS = np.arange(-500, 900, 2.0)


def template(beat: Beat) -> np.ndarray:
    """The noise-free heartbeat in twelve leads, ``(12, 700)`` mV, every 2 ms from 500 ms before QRS onset."""
    kernels, vectors = beat_kernels(beat)
    return leads_from_dipole(vectors.T @ kernel_shapes(TEMPLATE_MS, kernels))


def template_slice(start_ms: float, end_ms: float) -> slice:
    """Which samples of a template lie in a time span, ms from QRS onset."""
    return slice(*np.searchsorted(TEMPLATE_MS, [start_ms, end_ms]))


def qrs_extremes(beat: Beat) -> tuple[np.ndarray, np.ndarray]:
    """Largest and smallest QRS amplitude of each lead in mV, ``(12,)`` each."""
    kernels, vectors = beat_kernels(beat)
    after_spike_ms = np.arange(0.04 * beat.qrs_ms, beat.qrs_ms, 2)  # a pacemaker's spike is no QRS amplitude
    leads = leads_from_dipole(vectors.T @ kernel_shapes(after_spike_ms, kernels))
    return np.maximum(leads.max(axis=1), 0), np.minimum(leads.min(axis=1), 0)
