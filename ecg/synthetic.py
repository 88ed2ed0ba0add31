"""Generated 12-lead ECGs in PTB-XL's layout, so that everything runs before the real data are there.

A heartbeat is a moving dipole: a 3-D vector in mV, the sum of one smooth kernel for each stretch of activation
(after McSharry et al., IEEE Trans Biomed Eng 2003;50:289, there in one dimension). Dower's lead vectors
(Clin Cardiol 1980;3:87) project it on I, II and V1-V6; the other limb leads follow from Einthoven's and Goldberger's
equations, and noise enters at the electrodes, so the equations hold with noise too. A disease changes the dipole by
its mechanism (necrosis removes early forces, a bundle-branch block adds slow late ones), never a single lead.

Normal intervals follow Rijnbeek et al., J Electrocardiol 2014;47:914 (16-90 years, by age and sex), the normal dipole
is scaled to the median R, S and T of PTB-XL's normal recordings, and abnormal findings follow the AHA/ACCF/HRS
recommendations, J Am Coll Cardiol 2009;53:976-1011. Codes, frequencies and columns are PTB-XL's (Wagner et al., Sci
Data 2020;7:154).

    write_dataset(Path("demo/ptbxl"), patients=400, seed=0)

Axes of every vector: x left, y inferior, z posterior.
"""

import csv
import io
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
from scipy.signal import lfilter, resample_poly
from tqdm import tqdm

from config import LEADS
from ecg.recording import Recording

SYNTHETIC_DEVICE = "SYNTHETIC"  # the `device` of every generated row: how scripts recognise such a set
GENERATOR_VERSION = 2  # goes up whenever the bytes change
NATIVE_RATE = 500  # Hz, of the simulation
DURATION = 10.0  # s
MALE, FEMALE = 0, 1  # PTB-XL's coding
OLDEST_AGE = 89  # PTB-XL writes 300 above

# -- Leads ------------------------------------------------------------------------------------------------------------

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
_MEASURED_FROM_ELECTRODES = np.vstack(
    [[-1, 1, 0] + [0] * 6, [-1, 0, 1] + [0] * 6, np.hstack([np.full((6, 3), -1 / 3), np.eye(6)])]
)
_TWELVE_FROM_MEASURED = np.zeros((12, 8))  # the measured leads are I, II and V1-V6
_TWELVE_FROM_MEASURED[:6, :2] = [[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]]
_TWELVE_FROM_MEASURED[6:, 2:] = np.eye(6)
_FRONTAL = np.array([DOWER[0, :2], (DOWER[1, :2] - DOWER[0, :2] / 2) * 2 / np.sqrt(3)])  # x, y to the axis' plane


def leads_from_dipole(dipole: np.ndarray) -> np.ndarray:
    """Twelve leads ``(12, samples)`` in mV of a heart vector ``(3, samples)`` in mV."""
    return _TWELVE_FROM_MEASURED @ (DOWER @ dipole)


def leads_from_electrodes(potentials: np.ndarray) -> np.ndarray:
    """Twelve leads ``(12, samples)`` of the potentials ``(9, samples)`` at ``ELECTRODES``, the same unit."""
    return _TWELVE_FROM_MEASURED @ (_MEASURED_FROM_ELECTRODES @ potentials)


# -- A heartbeat ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """A diagnosis in the signal.

    code: SCP-ECG code, a key of ``EFFECTS``.
    severity: 0 (borderline) to 1 (gross).
    stage: "I" (acute), "II" (weeks) or "III" (old); only infarctions look at it.
    """

    code: str
    severity: float = 0.5
    stage: str = "III"

    def __post_init__(self):
        if self.code not in EFFECTS:
            raise ValueError(f"no way to show {self.code!r}; choose from {', '.join(EFFECTS)}")
        if not 0 <= self.severity <= 1 or self.stage not in ("I", "II", "III"):
            raise ValueError(f"severity goes from 0 to 1 and stage from I to III, not {self.severity}, {self.stage!r}")


@dataclass(frozen=True)
class Artefact:
    """A technical defect: the PTB-XL column it belongs in, the electrodes it reaches and PTB-XL's words for that."""

    column: str
    electrodes: tuple[str, ...]
    annotation: str


@dataclass(frozen=True)
class Case:
    """What is to be synthesised.

    age: years. sex: ``MALE`` or ``FEMALE``. heart_rate: beats/min.
    rhythm: "SR" (any sinus rhythm), "AFIB" or "PACE".
    axis: frontal QRS axis in degrees before any disease; None draws one fit for the age.
    voltage: factor on all QRS amplitudes (build, lungs, electrode placement).
    respiratory_arrhythmia: relative swing of the RR interval with breathing.
    noise: factor on the muscle, mains and wander noise of a good recording; 0 is clean.
    """

    age: float
    sex: int
    heart_rate: float
    findings: tuple[Finding, ...] = ()
    rhythm: str = "SR"
    axis: float | None = None
    voltage: float = 1.0
    respiratory_arrhythmia: float = 0.02
    noise: float = 1.0
    artefacts: tuple[Artefact, ...] = ()

    def __post_init__(self):
        if not 20 <= self.heart_rate <= 250:
            raise ValueError(f"a heart rate of {self.heart_rate} beats/min is out of range (20 to 250)")
        if self.rhythm not in ("SR", "AFIB", "PACE"):
            raise ValueError(f"rhythm is SR, AFIB or PACE, not {self.rhythm!r}")


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


@dataclass(frozen=True, eq=False)
class Truth:
    """What the simulation knows about its signal.

    pr_ms, qrs_ms, qt_ms: intervals (PR is NaN without P waves). heart_rate: beats/min, of the beats in the recording.
    axis: frontal QRS axis in degrees. r_peaks: ``(beats,)`` times of the largest QRS vector, s.
    r_mv, s_mv: ``(12,)`` largest and smallest QRS amplitude of each lead, noise-free. st_mv: ``(12,)`` 60 ms after J.
    t_mv: ``(12,)`` signed T amplitude.
    """

    pr_ms: float
    qrs_ms: float
    qt_ms: float
    heart_rate: float
    axis: float
    r_peaks: np.ndarray
    r_mv: np.ndarray
    s_mv: np.ndarray
    st_mv: np.ndarray
    t_mv: np.ndarray

    @property
    def sokolow_mv(self) -> float:
        """Sokolow-Lyon index, S in V1 + R in V5 or V6 (Am Heart J 1949;37:161); 3.5 mV and more means LVH."""
        return float(-min(self.s_mv[6], 0.0) + max(self.r_mv[10], self.r_mv[11]))


def normal_beat(case: Case, rng: np.random.Generator) -> Beat:
    """A healthy heartbeat for the age, sex and rate of a case."""
    male = case.sex == MALE
    rr_s = 60 / case.heart_rate
    qrs_ms = np.clip(rng.normal(93 if male else 86, 7), 72, 108)
    qtc_ms = np.clip(rng.normal(403 if male else 415, 14) + 0.12 * (case.age - 50), 370, 448)
    qt_ms = qtc_ms * rr_s ** (1 / 3)  # Fridericia
    pr_ms = np.clip(rng.normal(153 if male else 149, 16) + 0.25 * (case.age - 45), 122, 196)
    pr_ms = max(pr_ms - 0.2 * (case.heart_rate - 65), 110)
    youth = np.clip((45 - case.age) / 25, 0, 1)
    scale = case.voltage * (1.05 if male else 0.93) * (1 + 0.15 * youth)
    qrs_times = np.array([[0.17, 0.17], [0.42, 0.25], [0.60, 0.25], [0.78, 0.22]])
    qrs = scale * np.array(
        [  # septum, apex and free walls, posterolateral wall, base
            [-0.10, 0.05, -0.25],
            [1.24, 0.42, 0.08],
            [0.10, 0.28, 0.72],
            [-0.13, -0.09, 0.28],
        ]
    )
    qrs = _turn_horizontal(qrs, np.clip(rng.normal(0, 11), -22, 22)) * rng.normal(1, 0.12, (4, 1))
    t = np.array([0.24, 0.13, -0.25 if male else -0.17]) * (1 + 0.3 * youth) * np.clip(rng.normal(1, 0.28), 0.5, 1.8)
    beat = Beat(
        p_ms=np.clip(rng.normal(108, 8) + 0.1 * (case.age - 50), 88, min(120, pr_ms - 15)),
        pr_ms=pr_ms,
        qrs_ms=qrs_ms,
        qt_ms=qt_ms,
        t_ms=0.62 * (qt_ms - qrs_ms),
        p=np.array([[0.03, 0.08, -0.045], [0.07, 0.06, 0.03]]) * np.clip(rng.normal(1, 0.2), 0.6, 1.5),
        qrs_times=qrs_times,
        qrs=qrs,
        st=np.array([0.03, 0.02, -0.06 if male else -0.02]) * youth,  # early repolarisation of the young
        t=_turn_horizontal(t[None], rng.normal(0, 12))[0],
    )
    return with_axis(beat, case.axis if case.axis is not None else draw_axis(case.age, rng))


def draw_axis(age: float, rng: np.random.Generator) -> float:
    """A healthy frontal QRS axis in degrees; it turns left with age."""
    return float(np.clip(rng.normal(50 - 0.45 * (age - 20), 26), -28, 82))


def frontal_axis(beat: Beat) -> float:
    """Frontal QRS axis in degrees, from the net QRS amplitudes in I and aVF."""
    r, s = _qrs_extremes(beat)
    net = r + s
    return float(np.degrees(np.arctan2(2 / np.sqrt(3) * net[5], net[0])))


def with_axis(beat: Beat, axis: float) -> Beat:
    """The same heartbeat with its QRS turned to this frontal axis (degrees); the T wave follows half the way."""
    i, avf = _FRONTAL @ (beat.qrs_times[:, 1] @ beat.qrs)[:2]
    by_area = axis - np.degrees(np.arctan2(avf, i))

    def distance(turn: float) -> float:
        return abs((frontal_axis(replace(beat, qrs=_turn_frontal(beat.qrs, turn))) - axis + 180) % 360 - 180)

    # The axis of the peaks is not that of the area, and jumps where one peak overtakes another: so it is searched.
    turn = min(by_area + np.arange(-42, 43, 3), key=distance)
    follow = np.clip(((turn + 180) % 360 - 180) / 2, -25, 25)
    return replace(beat, qrs=_turn_frontal(beat.qrs, turn), t=_turn_frontal(beat.t[None], follow)[0])


def _turn_frontal(vectors: np.ndarray, degrees: float) -> np.ndarray:
    """Vectors ``(n, 3)`` turned clockwise in the plane of the limb leads."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.linalg.solve(_FRONTAL, np.array([[c, -s], [s, c]]) @ _FRONTAL)
    return np.column_stack([vectors[:, :2] @ turn.T, vectors[:, 2]])


def _turn_horizontal(vectors: np.ndarray, degrees: float) -> np.ndarray:
    """Vectors ``(n, 3)`` turned about the body's long axis, left towards back."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y, z = vectors.T
    return np.column_stack([c * x - s * z, y, s * x + c * z])


def _kernels(beat: Beat) -> tuple[np.ndarray, np.ndarray]:
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


def _shape(times_ms: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Kernels ``(..., n, 4)`` at times ``(..., m)``, as ``(..., n, m)``: bells with a definite start and end."""
    peak, rise, plateau, fall = (kernels[..., k, None] for k in range(4))
    before = (peak - times_ms[..., None, :]) / rise
    after = (times_ms[..., None, :] - peak - plateau) / fall
    distance = np.clip(np.maximum(before, after), 0, 1)
    return np.cos(np.pi / 2 * distance) ** 2


_TEMPLATE_MS = np.arange(-500, 900, 2.0)


def template(beat: Beat) -> np.ndarray:
    """The noise-free heartbeat in twelve leads, ``(12, 700)`` mV, every 2 ms from 500 ms before QRS onset."""
    kernels, vectors = _kernels(beat)
    return leads_from_dipole(vectors.T @ _shape(_TEMPLATE_MS, kernels))


def _template_slice(start_ms: float, end_ms: float) -> slice:
    return slice(*np.searchsorted(_TEMPLATE_MS, [start_ms, end_ms]))


def _qrs_extremes(beat: Beat) -> tuple[np.ndarray, np.ndarray]:
    """Largest and smallest QRS amplitude of each lead in mV, ``(12,)`` each."""
    kernels, vectors = _kernels(beat)
    after_spike_ms = np.arange(0.04 * beat.qrs_ms, beat.qrs_ms, 2)  # a pacemaker's spike is no QRS amplitude
    leads = leads_from_dipole(vectors.T @ _shape(after_spike_ms, kernels))
    return np.maximum(leads.max(axis=1), 0), np.minimum(leads.min(axis=1), 0)


# -- Disease ----------------------------------------------------------------------------------------------------------

TERRITORIES = {  # the direction in which each wall of the left ventricle lies
    "ASMI": (-0.10, -0.05, -1.0),
    "AMI": (0.30, -0.12, -0.95),
    "ALMI": (0.80, -0.25, -0.55),
    "LMI": (0.90, -0.45, 0.10),
    "ILMI": (0.50, 0.80, 0.15),
    "IMI": (-0.15, 1.0, 0.10),
    "IPMI": (0.0, 0.80, 0.60),
    "IPLMI": (0.40, 0.70, 0.55),
    "PMI": (0.10, 0.10, 1.0),
    "ISCAS": (-0.10, 0.05, -1.0),
    "ISCAN": (0.30, 0.10, -0.95),
    "ISCAL": (0.80, 0.05, -0.60),
    "ISCLA": (0.95, -0.20, 0.10),
    "ISCIL": (0.60, 0.75, 0.0),
    "ISCIN": (-0.10, 1.0, 0.05),
    "INJAS": (0.05, 0.05, -1.0),
    "INJAL": (0.80, 0.10, -0.60),
}


def _unit(vector: Sequence[float]) -> np.ndarray:
    return np.asarray(vector) / np.linalg.norm(vector)


def _main_force(beat: Beat) -> np.ndarray:
    """The largest QRS vector, ``(3,)`` in mV."""
    return beat.qrs[np.argmax(np.linalg.norm(beat.qrs, axis=1))]


def _without(vectors: np.ndarray, toward: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """Vectors ``(n, 3)`` less a share of what they have in one direction (nothing of what points away from it)."""
    return vectors - (share * np.maximum(vectors @ toward, 0))[:, None] * toward


def _with_force(beat: Beat, centre: float, half_width: float, vector: np.ndarray) -> Beat:
    """A further QRS force, at fractions of the QRS duration."""
    return replace(beat, qrs_times=np.vstack([beat.qrs_times, [centre, half_width]]), qrs=np.vstack([beat.qrs, vector]))


def _with_qrs_ms(beat: Beat, qrs_ms: float) -> Beat:
    """A longer QRS; most of the delay also prolongs the QT interval."""
    return replace(beat, qrs_ms=qrs_ms, qt_ms=beat.qt_ms + 0.7 * (qrs_ms - beat.qrs_ms))


def infarction(beat: Beat, finding: Finding) -> Beat:
    """Q waves and lost R over the dead wall; ST elevation in stage I, inverted T in stage II, little more in III."""
    s, toward = finding.severity, _unit(TERRITORIES[finding.code])
    necrosis = {"I": 0.5, "II": 0.9, "III": 1.0}[finding.stage] * (0.35 + 0.6 * s)
    qrs = _without(beat.qrs, toward, np.minimum(necrosis * np.where(beat.qrs_times[:, 0] < 0.5, 1.0, 0.6), 0.95))
    beat = _with_force(replace(beat, qrs=qrs), 0.24, 0.24, -0.85 * necrosis * toward)
    st, t = beat.st, beat.t
    if finding.stage == "I":
        st, t = st + (0.10 + 0.25 * s) * toward, t + (0.10 + 0.20 * s) * toward
    elif finding.stage == "II":
        st, t = st + (0.03 + 0.07 * s) * toward, _inverted(t, toward, 0.10 + 0.30 * s)
    else:
        t = _inverted(t, toward, 0.10 * s - 0.05)
    return replace(beat, st=st, t=t)


def _inverted(t: np.ndarray, toward: np.ndarray, depth: float) -> np.ndarray:
    """A T vector that points ``depth`` mV away from a direction."""
    return t - (t @ toward + depth) * toward


def ischaemia(beat: Beat, finding: Finding) -> Beat:
    """ST depression and T inversion over one wall."""
    s, toward = finding.severity, _unit(TERRITORIES[finding.code])
    return replace(beat, st=beat.st - (0.03 + 0.13 * s) * toward, t=_inverted(beat.t, toward, -0.05 + 0.35 * s))


def ischaemia_unspecified(beat: Beat, finding: Finding) -> Beat:
    """ST and T turned against the QRS: diffuse ischaemia and, on a hypertrophied ventricle, strain."""
    s, main = finding.severity, _main_force(beat)
    toward, size = _unit(main), np.clip(np.linalg.norm(main) / 1.3, 0.8, 1.8)
    return replace(
        beat, st=beat.st - size * (0.04 + 0.12 * s) * toward, t=_inverted(beat.t, toward, size * (0.30 * s - 0.02))
    )


def subendocardial_injury(beat: Beat, finding: Finding) -> Beat:
    """Deep horizontal ST depression over one wall."""
    s, toward = finding.severity, _unit(TERRITORIES[finding.code])
    return replace(
        beat, st=beat.st - (0.10 + 0.20 * s) * toward, t=beat.t * (1 - 0.6 * s), qrs=_without(beat.qrs, toward, 0.2 * s)
    )


def flat_t(beat: Beat, finding: Finding) -> Beat:
    """Low, flat or slightly negative T waves."""
    return replace(beat, t=beat.t * (0.50 - 0.65 * finding.severity))


def sagging_st(beat: Beat, finding: Finding) -> Beat:
    """Slight ST depression against the QRS, lower T waves."""
    s, toward = finding.severity, _unit(_main_force(beat))
    return replace(beat, st=beat.st - (0.04 + 0.07 * s) * toward, t=beat.t * (0.75 - 0.4 * s))


def digitalis(beat: Beat, finding: Finding) -> Beat:
    """Scooped ST depression, small T, short QT."""
    beat = sagging_st(beat, replace(finding, severity=0.4 + 0.6 * finding.severity))
    return replace(beat, qt_ms=beat.qt_ms - 15 - 25 * finding.severity, t_ms=beat.t_ms * 0.85)


def long_qt(beat: Beat, finding: Finding) -> Beat:
    """QT prolonged by 50 to 130 ms."""
    return replace(beat, qt_ms=beat.qt_ms + 50 + 80 * finding.severity, t_ms=beat.t_ms * 1.1)


def peaked_t(beat: Beat, finding: Finding) -> Beat:
    """The tall narrow T waves of hyperkalaemia."""
    return replace(beat, t=beat.t * (1.6 + 1.2 * finding.severity), t_ms=beat.t_ms * 0.7)


def left_bundle_branch_block(beat: Beat, finding: Finding) -> Beat:
    """QRS of 122 to 170 ms without septal q, notched to the left and back; ST and T against it."""
    scale = np.clip(np.linalg.norm(beat.qrs[1]) / 1.3, 0.6, 1.4)
    qrs = scale * np.array([[0.20, 0.10, -0.02], [0.90, 0.40, 0.45], [0.95, 0.25, 0.80], [0.25, 0.0, 0.25]])
    beat = replace(
        beat,
        qrs_times=np.array([[0.15, 0.15], [0.37, 0.27], [0.66, 0.26], [0.86, 0.14]]),
        qrs=_turn_frontal(qrs, np.clip(frontal_axis(beat) - 30, -50, 30)),
        st=np.array([-0.09, 0.0, -0.14]) * scale,
        t=np.array([-0.28, -0.04, -0.30]) * scale,
    )
    return _with_qrs_ms(beat, 126 + 40 * finding.severity)


def incomplete_left_bundle_branch_block(beat: Beat, finding: Finding) -> Beat:
    """QRS of 108 to 118 ms, the septal q lost, forces turned back."""
    qrs = _turn_horizontal(beat.qrs, 12)
    qrs[0] = -0.5 * qrs[0]
    return _with_qrs_ms(replace(beat, qrs=qrs, t=beat.t * 0.5), 108 + 10 * finding.severity)


def _late_right_forces(beat: Beat, qrs_ms: float, vector: np.ndarray) -> Beat:
    """The left ventricle as before, in its own time, then the right ventricle alone."""
    early = beat.qrs_ms / qrs_ms
    centre = (0.62 * early + 1) / 2
    beat = replace(beat, qrs_times=beat.qrs_times * early)
    return _with_qrs_ms(_with_force(beat, centre, 1 - centre, vector), qrs_ms)


def right_bundle_branch_block(beat: Beat, finding: Finding) -> Beat:
    """QRS of 122 to 160 ms with late forces right and forward: rsR' in V1, broad S in I and V6; T against them."""
    s = finding.severity
    beat = replace(beat, t=beat.t + np.array([0.05, 0.0, 0.14 + 0.12 * s]))
    return _late_right_forces(beat, 126 + 32 * s, (0.60 + 0.45 * s) * np.array([-0.65, -0.05, -0.75]))


def incomplete_right_bundle_branch_block(beat: Beat, finding: Finding) -> Beat:
    """The same in small, QRS under 120 ms."""
    s = finding.severity
    qrs_ms = min(max(beat.qrs_ms + 8, 100) + 10 * s, 119)
    return _late_right_forces(beat, qrs_ms, (0.30 + 0.30 * s) * np.array([-0.55, -0.08, -0.80]))


def intraventricular_delay(beat: Beat, finding: Finding) -> Beat:
    """Slurred, notched QRS of 112 to 140 ms without the pattern of either bundle."""
    s = finding.severity
    notch = _unit(beat.qrs[1]) * -(0.15 + 0.25 * s)
    return _with_qrs_ms(_with_force(replace(beat, t=beat.t * 0.8), 0.52, 0.12, notch), 112 + 28 * s)


def _with_first_force(beat: Beat, axis: float, first: Sequence[float]) -> Beat:
    """The QRS turned to a frontal axis (degrees) after a first force of its own direction."""
    turned = with_axis(beat, axis)
    # The new force moves the axis, and setting it again turns the force a little.
    return with_axis(replace(turned, qrs=np.vstack([first, turned.qrs[1:]])), axis)


def left_anterior_fascicular_block(beat: Beat, finding: Finding) -> Beat:
    """Axis of -47 to -72 degrees: first down and to the right, then up and to the left."""
    beat = _with_first_force(beat, -47 - 25 * finding.severity, [-0.12, 0.22, -0.18])
    return _with_qrs_ms(beat, min(beat.qrs_ms + 7, 116))


def left_posterior_fascicular_block(beat: Beat, finding: Finding) -> Beat:
    """Axis of 101 to 125 degrees: first up and to the left, then down and to the right."""
    beat = _with_first_force(beat, 101 + 24 * finding.severity, [0.16, -0.20, -0.15])
    return _with_qrs_ms(beat, min(beat.qrs_ms + 5, 116))


def av_block(beat: Beat, finding: Finding) -> Beat:
    """First degree: PR of 206 to 310 ms."""
    return replace(beat, pr_ms=206 + 104 * finding.severity**1.5)


def left_hypertrophy(beat: Beat, finding: Finding) -> Beat:
    """More force in every lead, up to a Sokolow-Lyon index of 3.0 to 5.4 mV; T lower."""
    s = finding.severity
    r, s_wave = _qrs_extremes(beat)
    gain = max((3.0 + 2.4 * s) / (max(r[10], r[11]) - s_wave[6]), 1.0)
    beat = replace(beat, qrs=beat.qrs * gain, t=beat.t * (0.9 - 0.3 * s))
    return _with_qrs_ms(beat, beat.qrs_ms + 4 + 6 * s)


def right_hypertrophy(beat: Beat, finding: Finding) -> Beat:
    """Forces right and forward: R in V1, S in V6, axis of 95 to 130 degrees, T negative in V1-V3."""
    s = finding.severity
    beat = replace(beat, qrs=beat.qrs * [1 - 0.25 * s, 1.0, 0.7 - 0.3 * s])
    beat = _with_force(beat, 0.52, 0.36, (0.45 + 0.45 * s) * np.array([-0.75, 0.1, -0.75]))
    return replace(with_axis(beat, 96 + 34 * s), t=beat.t + np.array([0.0, -0.02, 0.14 + 0.16 * s]))


def left_atrial_enlargement(beat: Beat, finding: Finding) -> Beat:
    """P of 120 to 150 ms, notched, with a deep late half in V1."""
    s = finding.severity
    p_ms = 122 + 26 * s
    p = np.vstack([beat.p[0], beat.p[1] * 1.2 + np.array([0.02, 0.02, 0.05 + 0.06 * s])])
    return replace(beat, p_ms=p_ms, pr_ms=max(beat.pr_ms, p_ms + 25), p=p)


def right_atrial_enlargement(beat: Beat, finding: Finding) -> Beat:
    """Tall pointed P in II, III and aVF."""
    return replace(beat, p=beat.p + np.array([[0.0, 0.12 + 0.14 * finding.severity, -0.05], [0.0, 0.02, 0.0]]))


def low_voltage(beat: Beat, finding: Finding) -> Beat:
    """QRS under 0.5 mV in all limb leads."""
    r, s_wave = _qrs_extremes(beat)
    gain = min((0.46 - 0.15 * finding.severity) / (r - s_wave)[:6].max(), 1.0)
    return replace(beat, qrs=beat.qrs * gain, t=beat.t * 0.6)


def paced(beat: Beat, finding: Finding) -> Beat:
    """Ventricular pacing from the right apex: a spike, then the course of a left bundle-branch block upwards."""
    beat = left_bundle_branch_block(beat, finding)
    beat = replace(beat, qrs=_turn_frontal(beat.qrs, -65 - frontal_axis(beat)), t=beat.t + np.array([0.0, 0.25, 0.0]))
    return _with_force(beat, 0.015, 0.015, np.array([0.3, 0.9, -0.2]) * (0.5 + finding.severity))


EFFECTS: dict[str, Callable[[Beat, Finding], Beat]] = {  # in the order in which they are applied
    "LVOLT": low_voltage,
    "CLBBB": left_bundle_branch_block,
    "PACE": paced,
    "ILBBB": incomplete_left_bundle_branch_block,
    "LVH": left_hypertrophy,  # before the blocks that turn its voltage away from V1, V5 and V6
    "LAFB": left_anterior_fascicular_block,
    "LPFB": left_posterior_fascicular_block,
    "RVH": right_hypertrophy,
    **dict.fromkeys(("ASMI", "IMI", "AMI", "ALMI", "LMI", "ILMI", "IPMI", "IPLMI", "PMI"), infarction),
    "IVCD": intraventricular_delay,
    "CRBBB": right_bundle_branch_block,
    "IRBBB": incomplete_right_bundle_branch_block,
    "1AVB": av_block,
    "LAO/LAE": left_atrial_enlargement,
    "RAO/RAE": right_atrial_enlargement,
    **dict.fromkeys(("INJAS", "INJAL"), subendocardial_injury),
    "ISC_": ischaemia_unspecified,
    **dict.fromkeys(("ISCAL", "ISCIN", "ISCIL", "ISCAS", "ISCLA", "ISCAN"), ischaemia),
    "NDT": flat_t,
    "NST_": sagging_st,
    "DIG": digitalis,
    "LNGQT": long_qt,
    "EL": peaked_t,
}


def diseased_beat(case: Case, rng: np.random.Generator) -> Beat:
    """The heartbeat of a case: a normal one, changed by every finding in the order of ``EFFECTS``."""
    beat = normal_beat(case, rng)
    for finding in sorted(case.findings, key=lambda f: list(EFFECTS).index(f.code)):
        beat = EFFECTS[finding.code](beat, finding)
    if case.rhythm != "SR":
        beat = replace(beat, p=np.zeros((2, 3)), pr_ms=200.0)
    return beat


# -- From a beat to a recording ---------------------------------------------------------------------------------------


def simulate(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, Truth]:
    """Ten seconds at 500 Hz: the twelve leads, float64 ``(12, 5000)`` in mV, and the truth about them."""
    beat = diseased_beat(case, rng)
    breath_hz, breath_phase = rng.uniform(0.2, 0.32), rng.uniform(0, 2 * np.pi)
    onsets, rr = _onsets(case, breath_hz, breath_phase, rng)
    dipole = _beats(beat, onsets, rr, rng)
    seconds = np.arange(int(DURATION * NATIVE_RATE)) / NATIVE_RATE
    breath = np.sin(2 * np.pi * breath_hz * seconds + breath_phase)
    x, y, z = dipole * (1 + 0.03 * breath)
    dipole = np.stack([x - 0.03 * breath * y, y + 0.03 * breath * x, z])  # the heart turns with the diaphragm
    if case.rhythm == "AFIB":
        dipole = dipole + _fibrillation(seconds, rng)
    signal = leads_from_dipole(dipole)
    signal = signal + leads_from_electrodes(_noise(case, breath, rng))
    for artefact in case.artefacts:
        signal = _ARTEFACTS[artefact.column](signal, artefact, rng)
    return signal, _truth(case, beat, onsets)


def synthesise(case: Case, sampling_rate: int, rng: np.random.Generator) -> tuple[Recording, Truth]:
    """A ten-second recording of a case at 500 or 100 Hz and the truth about it.

    Both rates show the same heartbeats if the generators are in the same state.

    >>> recording, truth = synthesise(Case(age=50, sex=FEMALE, heart_rate=70), 100, np.random.default_rng(0))
    >>> recording.signal.shape
    (12, 1000)
    """
    if sampling_rate not in (100, NATIVE_RATE):
        raise ValueError(f"recordings are generated at 100 or {NATIVE_RATE} Hz, not {sampling_rate}")
    signal, truth = simulate(case, rng)
    if sampling_rate == 100:
        signal = to_100_hz(signal)
    return Recording(signal.astype(np.float32), sampling_rate, np.ones(len(LEADS), dtype=bool)), truth


def to_100_hz(signal: np.ndarray) -> np.ndarray:
    """Leads ``(12, n)`` at 500 Hz decimated to ``(12, n / 5)``, low-passed first; the ends are continued straight."""
    return resample_poly(signal, 1, NATIVE_RATE // 100, axis=1, padtype="line")


def _onsets(case: Case, breath_hz: float, breath_phase: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """QRS onsets in s from before the start to after the end, and the RR interval before each, s."""
    mean_rr = 60 / case.heart_rate
    count = int(2.5 * (DURATION + 3) / mean_rr) + 4
    if case.rhythm == "AFIB":
        rr = mean_rr * np.clip(rng.normal(1, 0.22, count), 0.6, 1.7)
    else:
        breathing = np.sin(2 * np.pi * breath_hz * np.arange(count) * mean_rr + breath_phase)
        swing = 0.0 if case.rhythm == "PACE" else case.respiratory_arrhythmia
        rr = mean_rr * (1 + swing * breathing + rng.normal(0, 0.1 * swing + 0.001, count))
    onsets = np.cumsum(rr) - rr[0] - 1 - rng.uniform(0, mean_rr)
    wanted = onsets < DURATION + 1
    return onsets[wanted], rr[wanted]


def _beats(beat: Beat, onsets: np.ndarray, rr: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Heart vector ``(3, 5000)`` of all beats; amplitudes and repolarisation vary a little from beat to beat."""
    kernels, vectors = _kernels(beat)
    kernels = np.repeat(kernels[None], len(onsets), axis=0)
    # A beat after a longer pause repolarises a little later.
    kernels[:, -1, 0] += (np.clip(rr / np.mean(rr), 0.7, 1.4) - 1) * 0.12 * beat.qt_ms
    first = np.round((onsets + _TEMPLATE_MS[0] / 1000) * NATIVE_RATE).astype(int)
    index = first[:, None] + np.arange(len(_TEMPLATE_MS))
    times_ms = (index / NATIVE_RATE - onsets[:, None]) * 1000
    sizes = rng.normal(1, 0.02, (len(onsets), len(vectors), 1))
    waves = np.einsum("bkm,bkc->cbm", _shape(times_ms, kernels), vectors * sizes, optimize=True)
    dipole = np.zeros((3, int(DURATION * NATIVE_RATE)))
    inside = (index >= 0) & (index < dipole.shape[1])
    for axis in range(3):
        dipole[axis] = np.bincount(index[inside], waves[axis][inside], dipole.shape[1])
    return dipole


def _fibrillation(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The f waves of atrial fibrillation, ``(3, n)`` mV: 5 to 8 Hz, wandering, largest in V1 and II."""
    phase = 2 * np.pi * np.cumsum(6.3 + 1.2 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * seconds)) / NATIVE_RATE
    size = rng.uniform(0.02, 0.08) * (1 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.2, 0.9) * seconds))
    return np.outer([-0.3, 0.5, -0.8], size * np.sin(phase + 0.8 * np.sin(phase / 2.7 + rng.uniform(0, 6))))


def _truth(case: Case, beat: Beat, onsets: np.ndarray) -> Truth:
    leads = template(beat)
    kernels, vectors = _kernels(beat)
    qrs = _template_slice(0.04 * beat.qrs_ms, beat.qrs_ms)
    size = np.linalg.norm(vectors.T @ _shape(_TEMPLATE_MS[qrs], kernels), axis=0)
    r_peaks = onsets + _TEMPLATE_MS[qrs][np.argmax(size)] / 1000
    t_wave = leads[:, _template_slice(beat.qt_ms - 0.75 * beat.t_ms, beat.qt_ms)]
    r_mv, s_mv = _qrs_extremes(beat)
    r_peaks = r_peaks[(r_peaks >= 0) & (r_peaks < DURATION)]
    return Truth(
        pr_ms=beat.pr_ms if case.rhythm == "SR" else np.nan,
        qrs_ms=beat.qrs_ms,
        qt_ms=beat.qt_ms,
        heart_rate=60 / np.mean(np.diff(r_peaks)) if len(r_peaks) > 1 else case.heart_rate,
        axis=frontal_axis(beat),
        r_peaks=r_peaks,
        r_mv=r_mv,
        s_mv=s_mv,
        st_mv=leads[:, np.searchsorted(_TEMPLATE_MS, beat.qrs_ms + 60)],
        t_mv=np.take_along_axis(t_wave, np.abs(t_wave).argmax(axis=1)[:, None], axis=1)[:, 0],
    )


# -- Noise and artefacts ----------------------------------------------------------------------------------------------


def _noise(case: Case, breath: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Potentials ``(9, n)`` in mV of a good recording: muscle, mains, breathing and slow wander."""
    samples, electrodes = len(breath), len(ELECTRODES)
    seconds = np.arange(samples) / NATIVE_RATE
    muscle = 0.008 * rng.standard_normal((electrodes, samples))
    mains = rng.uniform(0, 0.004, (electrodes, 1)) * np.sin(2 * np.pi * 50 * seconds)
    wander = 0.03 * _wander(electrodes, seconds, rng) + rng.normal(0, 0.015, (electrodes, 1)) * breath
    return case.noise * (muscle + mains + wander)


def _wander(count: int, seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Slow random curves ``(count, n)`` of unit size: three sinusoids under 0.5 Hz each."""
    hertz, phase = rng.uniform(0.05, 0.5, (count, 3, 1)), rng.uniform(0, 2 * np.pi, (count, 3, 1))
    return (np.sin(2 * np.pi * hertz * seconds + phase) * rng.normal(0, 0.8, (count, 3, 1))).sum(axis=1)


def _at_electrodes(signal: np.ndarray, artefact: Artefact, disturbance: np.ndarray) -> np.ndarray:
    """Leads with a disturbance ``(electrodes of the artefact, n)`` in mV added where it arises."""
    potentials = np.zeros((len(ELECTRODES), signal.shape[1]))
    potentials[[ELECTRODES.index(name) for name in artefact.electrodes]] = disturbance
    return signal + leads_from_electrodes(potentials)


def _baseline_drift(signal: np.ndarray, artefact: Artefact, rng: np.random.Generator) -> np.ndarray:
    seconds = np.arange(signal.shape[1]) / NATIVE_RATE
    curves = _wander(len(artefact.electrodes), seconds, rng)
    return _at_electrodes(signal, artefact, rng.uniform(0.2, 0.5) * curves)


def _static_noise(signal: np.ndarray, artefact: Artefact, rng: np.random.Generator) -> np.ndarray:
    return _at_electrodes(signal, artefact, rng.uniform(0.03, 0.09) * _muscle(signal, artefact, rng))


def _burst_noise(signal: np.ndarray, artefact: Artefact, rng: np.random.Generator) -> np.ndarray:
    seconds = np.arange(signal.shape[1]) / NATIVE_RATE
    start, length = rng.uniform(0, DURATION - 2), rng.uniform(0.4, 2)
    burst = np.sin(np.pi * np.clip((seconds - start) / length, 0, 1))
    return _at_electrodes(signal, artefact, rng.uniform(0.12, 0.35) * burst * _muscle(signal, artefact, rng))


def _electrode_loss(signal: np.ndarray, artefact: Artefact, rng: np.random.Generator) -> np.ndarray:
    """A chest electrode comes off: its lead jumps, then lies flat."""
    signal, off = signal.copy(), int(rng.uniform(0, 0.6) * signal.shape[1])
    decay = rng.choice([-1.5, 1.5]) * np.exp(-np.arange(signal.shape[1] - off) / (0.4 * NATIVE_RATE))
    signal[[LEADS.index(name) for name in artefact.electrodes], off:] = decay
    return signal


def _muscle(signal: np.ndarray, artefact: Artefact, rng: np.random.Generator) -> np.ndarray:
    """Muscle noise ``(electrodes of the artefact, n)`` of unit size: white noise without its fastest part."""
    white = rng.standard_normal((len(artefact.electrodes), signal.shape[1]))
    return lfilter([0.75], [1, -0.66], white, axis=1)


_ARTEFACTS = {
    "baseline_drift": _baseline_drift,
    "static_noise": _static_noise,
    "burst_noise": _burst_noise,
    "electrodes_problems": _electrode_loss,
}
_LIMBS, _CHEST = ELECTRODES[:3], ELECTRODES[3:]


def _draw_artefacts(rng: np.random.Generator) -> tuple[Artefact, ...]:
    """Artefacts with PTB-XL's frequencies and words; lost electrodes, there 1 in 700, are 1 in 100 here."""
    artefacts = []
    if rng.random() < 0.07:
        lead = str(rng.choice(_CHEST, p=[0.25, 0.12, 0.12, 0.08, 0.08, 0.35]))
        where = [((lead,), f" , {lead}  "), (_LIMBS, " , I-AVF,  "), (ELECTRODES, " , alles  ")]
        artefacts.append(Artefact("baseline_drift", *where[rng.choice(3, p=[0.75, 0.15, 0.10])]))
    if rng.random() < 0.15:
        where = [(_LIMBS, " , I-AVF,  "), (("RA",), " , I-AVR,  "), (ELECTRODES, " , alles,  ")]
        artefacts.append(Artefact("static_noise", *where[rng.choice(3, p=[0.42, 0.38, 0.20])]))
    if rng.random() < 0.03:
        lead = str(rng.choice(_CHEST))
        where = [(ELECTRODES, "alles"), ((lead,), lead), (_LIMBS, "I-AVF")]
        artefacts.append(Artefact("burst_noise", *where[rng.choice(3, p=[0.40, 0.40, 0.20])]))
    if rng.random() < 0.01:
        lead = str(rng.choice(_CHEST))
        artefacts.append(Artefact("electrodes_problems", (lead,), lead))
    return tuple(artefacts)


# -- Patients ---------------------------------------------------------------------------------------------------------

# PTB-XL's combinations of superclasses, in parts per thousand of its recordings.
COMBINATIONS = {
    ("NORM",): 416,
    ("MI",): 116,
    ("STTC",): 110,
    ("CD",): 78,
    ("MI", "CD"): 59,
    ("STTC", "HYP"): 36,
    ("MI", "STTC"): 28,
    ("HYP",): 25,
    ("STTC", "CD"): 22,
    (): 20,
    ("NORM", "CD"): 18,
    ("MI", "STTC", "HYP"): 16,
    ("CD", "HYP"): 14,
    ("MI", "STTC", "CD"): 10,
    ("STTC", "CD", "HYP"): 10,
    ("MI", "HYP"): 8,
    ("MI", "STTC", "CD", "HYP"): 7,
    ("MI", "CD", "HYP"): 6,
    ("NORM", "STTC"): 1,
}
STATEMENTS = {  # how often PTB-XL uses each statement that can be drawn here
    "MI": {"IMI": 2409, "ASMI": 2123, "ILMI": 430, "AMI": 318, "ALMI": 261, "INJAS": 192, "LMI": 181, "INJAL": 131,
           "IPLMI": 46, "IPMI": 30, "PMI": 15},
    "STTC": {"NDT": 1643, "ISC_": 1144, "NST_": 690, "ISCAL": 593, "ISCIN": 196, "DIG": 163, "ISCIL": 161,
             "ISCAS": 152, "ISCLA": 127, "LNGQT": 106, "EL": 87, "ISCAN": 40},
    "CD": {"LAFB": 1461, "IRBBB": 1006, "1AVB": 714, "IVCD": 708, "CRBBB": 487, "CLBBB": 482, "LPFB": 159,
           "ILBBB": 69},
    "HYP": {"LVH": 1918, "LAO/LAE": 384, "RVH": 114, "RAO/RAE": 89},
}  # fmt: skip
# Likelihoods in PTB-XL with their shares, from the least to the most certain.
LIKELIHOODS = {
    "NORM": {15: 0.01, 50: 0.05, 80: 0.19, 100: 0.75},
    "MI": {15: 0.20, 35: 0.03, 50: 0.20, 80: 0.05, 100: 0.52},
    "STTC": {15: 0.01, 50: 0.09, 80: 0.02, 100: 0.88},
    "CD": {50: 0.02, 80: 0.02, 100: 0.96},
    "HYP": {15: 0.09, 35: 0.08, 50: 0.27, 80: 0.04, 100: 0.52},
    "NST_": {0: 0.27, 50: 0.03, 100: 0.70},
}
AGE_AND_FEMALE_SHARE = {"MI": (67, 0.37), "CD": (66, 0.38), "HYP": (66, 0.42), "STTC": (66, 0.50), "NORM": (53, 0.55)}


@dataclass(frozen=True)
class Patient:
    """One generated person: what stays the same from one recording to the next. height in cm, weight in kg."""

    patient_id: int
    fold: int
    age: float
    sex: int
    height: float
    weight: float
    axis: float
    voltage: float
    superclasses: tuple[str, ...]
    findings: tuple[Finding, ...]
    rhythm: str
    recordings: int


def draw_patients(count: int, seed: int) -> list[Patient]:
    """Patients with PTB-XL's combinations of superclasses, spread evenly over the ten folds.

    Six in forty have two recordings and one in forty has three.
    """
    if count < 10:
        raise ValueError(f"ten folds need at least 10 patients, not {count}")
    rng = np.random.default_rng([seed, 0])
    # Evenly spaced quantiles: shares as exact as the number of patients allows, classes spread over the folds.
    shares = np.cumsum(list(COMBINATIONS.values())) / sum(COMBINATIONS.values())
    drawn = np.searchsorted(shares, (np.arange(count) + 0.5) / count)
    recordings = rng.permutation(np.where(np.arange(count) % 40 < 6, 2, np.where(np.arange(count) % 40 == 6, 3, 1)))
    identifiers = rng.permutation(count) + 1
    patients = [
        _draw_patient(int(identifiers[k]), k % 10 + 1, list(COMBINATIONS)[drawn[k]], int(recordings[k]), seed)
        for k in range(count)
    ]
    return sorted(patients, key=lambda patient: patient.patient_id)


def _draw_patient(patient_id: int, fold: int, superclasses: tuple[str, ...], recordings: int, seed: int) -> Patient:
    rng = np.random.default_rng([seed, 1, patient_id])
    mean_age, female = next((v for k, v in AGE_AND_FEMALE_SHARE.items() if k in superclasses), (70, 0.4))
    sex = FEMALE if rng.random() < female else MALE
    age = float(np.clip(round(rng.normal(mean_age, 18 if "NORM" in superclasses else 12)), 18, 93))
    height = float(round(rng.normal(164 if sex else 176, 7)))
    findings = _draw_findings(superclasses, rng)
    rhythm = "PACE" if any(f.code == "PACE" for f in findings) else "SR"
    p_needed = any(f.code in ("1AVB", "LAO/LAE", "RAO/RAE", "LVOLT") for f in findings)
    fibrillates = 0.4 if not superclasses else 0.1
    if rhythm == "SR" and "NORM" not in superclasses and not p_needed and rng.random() < fibrillates:
        rhythm = "AFIB"
    return Patient(
        patient_id=patient_id,
        fold=fold,
        age=age,
        sex=sex,
        height=height,
        weight=float(round(np.clip(rng.normal(25.5, 3.5), 18, 40) * (height / 100) ** 2)),
        axis=draw_axis(age, rng),
        voltage=float(np.clip(rng.lognormal(0, 0.22), 0.55, 1.5)),
        superclasses=superclasses,
        findings=findings,
        rhythm=rhythm,
        recordings=recordings,
    )


def _draw_code(superclass: str, rng: np.random.Generator, allowed: Sequence[str] = ()) -> str:
    counts = {code: n for code, n in STATEMENTS[superclass].items() if not allowed or code in allowed}
    weights = np.array(list(counts.values()), dtype=float)
    return str(rng.choice(list(counts), p=weights / weights.sum()))


def _draw_findings(superclasses: tuple[str, ...], rng: np.random.Generator) -> tuple[Finding, ...]:
    """Diseases for a set of superclasses, with the company they keep in PTB-XL."""
    codes = []
    if "MI" in superclasses:
        codes.append(_draw_code("MI", rng))
        if codes[0] in ("IMI", "ASMI") and rng.random() < 0.2:
            codes.append("ASMI" if codes[0] == "IMI" else "IMI")
    if "HYP" in superclasses:
        codes.append(_draw_code("HYP", rng))
    if "CD" in superclasses:
        codes += _draw_conduction(superclasses, codes, rng)
    if "STTC" in superclasses:
        strain = {"LVH", "RVH"} & set(codes) and rng.random() < 0.7
        codes.append("ISC_" if strain else _draw_code("STTC", rng, ("NDT", "NST_") if "NORM" in superclasses else ()))
    if not superclasses:
        codes += [[], ["PACE"], ["LVOLT"]][rng.choice(3, p=[0.35, 0.4, 0.25])]
    ceiling = 0.4 if "NORM" in superclasses else 1.0  # what is still called normal is slight
    return tuple(Finding(code, round(float(rng.uniform(0, ceiling)), 3)) for code in codes)


def _draw_conduction(superclasses: tuple[str, ...], codes: Sequence[str], rng: np.random.Generator) -> list[str]:
    if "NORM" in superclasses:
        return [_draw_code("CD", rng, ("IRBBB", "1AVB", "LAFB"))]
    first = _draw_code("CD", rng, ("LPFB", "IRBBB", "1AVB", "CRBBB") if "RVH" in codes else ())
    if first == "LAFB" and rng.random() < 0.2:
        return [first, str(rng.choice(["CRBBB", "IRBBB"]))]
    if first != "1AVB" and rng.random() < 0.12:
        return [first, "1AVB"]
    return [first]


def draw_case(patient: Patient, number: int, age: float, rng: np.random.Generator) -> Case:
    """The case of a patient's recording ``number`` (0, 1, ...): a fresh day of the same heart, infarctions ageing."""
    stages = ("I", "II", "III")
    youngest = rng.choice(3, p=[0.15, 0.25, 0.60])
    stage = stages[min(youngest + number, 2)]
    findings = tuple(
        replace(f, severity=float(np.clip(f.severity + rng.normal(0, 0.05), 0, 1)), stage=stage)
        for f in patient.findings
    )
    fast = {"AFIB": 15, "PACE": 2}.get(patient.rhythm, 4 if findings else 0)
    swing = 0.05 * np.exp(-(age - 20) / 35) * rng.lognormal(0, 0.5)  # breathing moves young hearts more
    return Case(
        age=age,
        sex=patient.sex,
        heart_rate=float(np.clip(rng.normal(68 + fast, 12), 46, 125)),
        findings=findings,
        rhythm=patient.rhythm,
        axis=float(patient.axis + rng.normal(0, 4)),
        voltage=float(patient.voltage * rng.lognormal(0, 0.05)),
        respiratory_arrhythmia=float(min(swing, 0.15)),
        noise=float(rng.lognormal(0, 0.4)),
        artefacts=_draw_artefacts(rng),
    )


def example_cases() -> dict[str, Case]:
    """One textbook case for each superclass, for figures."""
    return {
        "NORM": Case(age=45, sex=MALE, heart_rate=66, axis=50, noise=0.4),
        "MI": Case(age=61, sex=MALE, heart_rate=78, axis=40, findings=(Finding("AMI", 0.8, "I"),), noise=0.4),
        "STTC": Case(age=66, sex=FEMALE, heart_rate=74, axis=40, findings=(Finding("ISCAL", 0.7),), noise=0.4),
        "CD": Case(age=72, sex=MALE, heart_rate=70, axis=20, findings=(Finding("CLBBB", 0.6),), noise=0.4),
        "HYP": Case(
            age=68, sex=MALE, heart_rate=68, axis=10, findings=(Finding("LVH", 0.6), Finding("ISC_", 0.6)), noise=0.4
        ),
    }


# -- The labels of a recording ----------------------------------------------------------------------------------------

SCP_FIELDS = ("description", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
_SCP_OTHER_COLUMNS = (
    "Statement Category", "SCP-ECG Statement Description", "AHA code", "aECG REFID", "CDISC Code", "DICOM Code",
)  # fmt: skip
_SCP_PATH = Path(__file__).with_name("scp_statements.csv")
DATABASE_COLUMNS = (
    "ecg_id", "patient_id", "age", "sex", "height", "weight", "nurse", "site", "device", "recording_date", "report",
    "scp_codes", "heart_axis", "infarction_stadium1", "infarction_stadium2", "validated_by", "second_opinion",
    "initial_autogenerated_report", "validated_by_human", "baseline_drift", "static_noise", "burst_noise",
    "electrodes_problems", "extra_beats", "pacemaker", "strat_fold", "filename_lr", "filename_hr",
)  # fmt: skip


@cache
def scp_statements() -> dict[str, dict[str, str]]:
    """PTB-XL's 71 SCP-ECG statements: code to ``SCP_FIELDS``, as the texts of its ``scp_statements.csv``."""
    with _SCP_PATH.open(newline="", encoding="utf-8") as file:
        return {row.pop(""): row for row in csv.DictReader(file)}


def heart_axis_name(degrees: float) -> str:
    """PTB-XL's name of a frontal axis: LAD under 10, ALAD under -30, RAD over 90, ARAD over 120, AXR beyond."""
    degrees = (degrees + 180) % 360 - 180
    if degrees < -90:
        return "AXR"
    limits = ((-30, "ALAD"), (10, "LAD"), (90, "MID"), (120, "RAD"))
    return next((name for limit, name in limits if degrees < limit), "ARAD")


def _likelihood(code: str, superclass: str, severity: float, rng: np.random.Generator) -> float:
    """PTB-XL's certainty in percent: the grosser the finding the surer."""
    table = LIKELIHOODS.get(code, LIKELIHOODS[superclass])
    sureness = np.clip(severity + rng.normal(0, 0.15), 0, 0.999)
    return float(list(table)[np.searchsorted(np.cumsum(list(table.values())), sureness)])


def scp_codes(case: Case, superclasses: tuple[str, ...], truth: Truth, rng: np.random.Generator) -> dict[str, float]:
    """SCP statements with likelihoods: the diagnoses, then what the signal itself shows of form and rhythm."""
    table = scp_statements()
    codes = {"NORM": _likelihood("NORM", "NORM", rng.random(), rng)} if "NORM" in superclasses else {}
    for finding in case.findings:
        superclass = table[finding.code]["diagnostic_class"]
        certainty = _likelihood(finding.code, superclass, finding.severity, rng) if superclass else 0.0
        codes[finding.code] = certainty
    if "LVH" in codes and truth.sokolow_mv >= 3.5:
        codes["VCLVH"] = 0.0
    if any(EFFECTS[f.code] is infarction and f.severity > 0.3 for f in case.findings):
        codes["ABQRS"] = 0.0
    if codes.keys() & {"ISC_", "NST_", "INJAS", "INJAL"} and truth.st_mv.min() < -0.1:
        codes["STD_"] = 0.0
    if (truth.r_mv - truth.s_mv)[:6].max() < 0.5:
        codes["LVOLT"] = 0.0
    if truth.pr_ms > 200 and "1AVB" not in codes:
        codes["LPR"] = 0.0
    codes[_rhythm(case, truth)] = 0.0
    return codes


def _rhythm(case: Case, truth: Truth) -> str:
    if case.rhythm != "SR":
        return case.rhythm
    if truth.heart_rate < 55:
        return "SBRAD"
    if truth.heart_rate > 100:
        return "STACH"
    return "SARRH" if case.respiratory_arrhythmia > 0.08 else "SR"


_AXIS_WORDS = {"LAD": "left axis", "ALAD": "marked left axis deviation", "RAD": "right axis",
               "ARAD": "marked right axis deviation", "AXR": "extreme axis"}  # fmt: skip


def _report(codes: dict[str, float], axis: str, stadium: str) -> str:
    table = scp_statements()
    statements = [table[code]["description"] for code in codes]
    if axis in _AXIS_WORDS:
        statements.append(_AXIS_WORDS[axis])
    if stadium:
        statements.append("stage unknown" if stadium == "unknown" else stadium.replace("Stadium", "stage"))
    return "SYNTHETIC " + ", ".join(statements)


# -- The data set -----------------------------------------------------------------------------------------------------


class DatasetExistsError(FileExistsError):
    """The destination holds something that this module did not write."""


def write_dataset(dest: Path, patients: int = 400, seed: int = 0, progress: bool = True) -> int:
    """Write a generated data set in PTB-XL's layout and return its number of recordings (about 1.2 a patient).

    The same arguments give the same bytes. The set appears whole or not at all. A generated set already at ``dest``
    is kept if it was made with the same arguments and replaced if not.

    Raises
    ------
    DatasetExistsError
        If ``dest`` holds anything that is not a generated set.
    ValueError
        If there are fewer than 10 patients.
    """
    dest = Path(dest)
    people = draw_patients(patients, seed)
    count = sum(person.recordings for person in people)
    readme = _readme(patients, seed, count)
    if _holds_anything(dest):
        if not is_synthetic(dest):
            raise DatasetExistsError(
                f"{dest} holds files that are not a generated data set; nothing was changed. "
                "Choose another directory, or move these files away first."
            )
        if _is_complete(dest, readme, count):
            return count
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=f".{dest.name}-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        _write_files(new, people, seed, readme, progress)
        if dest.exists():
            os.replace(dest, old)
        os.replace(new, dest)
    return count


def is_synthetic(directory: Path) -> bool:
    """Whether a directory holds a generated data set, that is, whether each of its rows names the generator."""
    try:
        with (Path(directory) / "ptbxl_database.csv").open(newline="", encoding="utf-8") as file:
            devices = {row.get("device") for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError):
        return False
    return devices == {SYNTHETIC_DEVICE}


def _holds_anything(path: Path) -> bool:
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def _is_complete(dest: Path, readme: str, count: int) -> bool:
    text = dest / "README.md"
    return (
        text.is_file()
        and text.read_text(encoding="utf-8") == readme
        and all(len(list(dest.glob(f"records{rate}/*/*"))) == 2 * count for rate in (100, 500))
    )


@dataclass(frozen=True)
class _Visit:
    """One recording to come: whose, the how many-th, and when."""

    ecg_id: int
    patient: Patient
    number: int
    date: datetime
    age: float


def _plan_visits(people: Sequence[Patient], seed: int) -> list[_Visit]:
    """The recordings in order of date, spread over PTB-XL's years; patients age between theirs."""
    rng = np.random.default_rng([seed, 2])
    slots = rng.permutation(np.repeat(np.arange(len(people)), [person.recordings for person in people]))
    start, step = datetime(1984, 11, 9), timedelta(days=6000) / len(slots)
    first, numbers, visits = {}, Counter(), []
    for k, slot in enumerate(slots):
        date = (start + step * (k + rng.uniform(0, 0.9))).replace(microsecond=0)
        since = first.setdefault(slot, date)
        age = people[slot].age + (date - since).days // 365
        visits.append(_Visit(k + 1, people[slot], numbers[slot], date, age))
        numbers[slot] += 1
    return visits


def _write_files(dest: Path, people: Sequence[Patient], seed: int, readme: str, progress: bool) -> None:
    dest.mkdir()
    rows = []
    for visit in tqdm(_plan_visits(people, seed), desc="generating ECGs", unit="ECG", disable=not progress):
        rng = np.random.default_rng([seed, 3, visit.ecg_id])
        case = draw_case(visit.patient, visit.number, visit.age, rng)
        signal, truth = simulate(case, rng)
        low, high = (_record_path(visit.ecg_id, rate) for rate in (100, 500))
        write_record(dest / low, to_100_hz(signal), 100)
        write_record(dest / high, signal, NATIVE_RATE)
        rows.append(_row(visit, case, truth, rng) | {"filename_lr": low, "filename_hr": high})
    _write_csv(
        dest / "ptbxl_database.csv", DATABASE_COLUMNS, [[row[name] for name in DATABASE_COLUMNS] for row in rows]
    )
    columns = ("", *SCP_FIELDS, *_SCP_OTHER_COLUMNS)
    blank = [""] * len(_SCP_OTHER_COLUMNS)
    statements = [[code, *fields.values(), *blank] for code, fields in scp_statements().items()]
    _write_csv(dest / "scp_statements.csv", columns, statements)
    (dest / "README.md").write_text(readme, encoding="utf-8", newline="\n")


def _row(visit: _Visit, case: Case, truth: Truth, rng: np.random.Generator) -> dict[str, object]:
    """The visit's line of ``ptbxl_database.csv``, without its two file names."""
    patient = visit.patient
    codes = scp_codes(case, patient.superclasses, truth, rng)
    axis = heart_axis_name(truth.axis)
    stage = next((f.stage for f in case.findings if EFFECTS[f.code] is infarction), "")
    stadium = ("unknown" if rng.random() < 0.6 else f"Stadium {stage}") if stage else ""
    certified = visit.patient.fold >= 9 or rng.random() < 0.7  # PTB-XL: folds 9 and 10 were seen by a human
    return {
        "ecg_id": visit.ecg_id,
        "patient_id": float(patient.patient_id),
        "age": float(visit.age) if visit.age <= OLDEST_AGE else 300.0,
        "sex": patient.sex,
        "height": patient.height,
        "weight": patient.weight,
        "nurse": 0.0,
        "site": 0.0,
        "device": SYNTHETIC_DEVICE,
        "recording_date": visit.date.isoformat(sep=" "),
        "report": _report(codes, axis, stadium),
        "scp_codes": str(codes),
        "heart_axis": axis,
        "infarction_stadium1": stadium,
        "infarction_stadium2": "",
        "validated_by": 0.0 if certified else "",
        "second_opinion": False,
        "initial_autogenerated_report": not certified,
        "validated_by_human": certified,
        **dict.fromkeys(_ARTEFACTS, ""),
        **{artefact.column: artefact.annotation for artefact in case.artefacts},
        "extra_beats": "",
        "pacemaker": "ja, pacemaker" if case.rhythm == "PACE" else "",
        "strat_fold": patient.fold,
    }


def _record_path(ecg_id: int, rate: int) -> str:
    return f"records{rate}/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_{'lr' if rate == 100 else 'hr'}"


def write_record(path: Path, signal: np.ndarray, sampling_rate: int) -> None:
    """Write leads ``(12, n)`` in mV as PTB-XL does: ``path.hea`` and ``path.dat``, WFDB format 16, 1 uV a step."""
    digital = np.clip(np.round(signal * 1000), -32767, 32767).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + ".dat").write_bytes(digital.T.tobytes())
    checksums = digital.sum(axis=1, dtype=np.int64) % 65536
    lines = [f"{path.name} {len(LEADS)} {sampling_rate} {digital.shape[1]}"]
    lines += [
        f"{path.name}.dat 16 1000.0(0)/mV 16 0 {first} {checksum} 0 {lead.upper()}"
        for lead, first, checksum in zip(LEADS, digital[:, 0], checksums, strict=True)
    ]
    lines.append("# SYNTHETIC: generated by a program, not recorded from a person")
    path.with_name(path.name + ".hea").write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="\n")


def _readme(patients: int, seed: int, recordings: int) -> str:
    pictures = "\n\n".join(f"![{name}](examples/{name}.png)" for name in example_cases())
    return f"""# Generated ECGs: not patients' data

A program (`ecg/synthetic.py`, version {GENERATOR_VERSION}) made all {recordings} recordings of {patients} imaginary
patients here from seed {seed}. No one's heart was recorded. The files have the layout of PTB-XL 1.0.3, so that every
command can be tried without the real data. Every row says `{SYNTHETIC_DEVICE}` in its `device` column.

Figures measured on this set prove that the software runs. They say nothing about accuracy on people.

One textbook case of each class, drawn by `python dataset.py demo`:

{pictures}
"""
