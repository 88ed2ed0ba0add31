"""Disease: each finding changes the dipole by its mechanism, never a single lead.

Necrosis removes early forces, a bundle-branch block adds slow late ones. After the AHA/ACCF/HRS recommendations,
J Am Coll Cardiol 2009;53:976-1011.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecg.synthetic.beat import Beat, frontal_axis, qrs_extremes, turn_frontal, turn_horizontal, with_axis


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
        qrs=turn_frontal(qrs, np.clip(frontal_axis(beat) - 30, -50, 30)),
        st=np.array([-0.09, 0.0, -0.14]) * scale,
        t=np.array([-0.28, -0.04, -0.30]) * scale,
    )
    return _with_qrs_ms(beat, 126 + 40 * finding.severity)


def incomplete_left_bundle_branch_block(beat: Beat, finding: Finding) -> Beat:
    """QRS of 108 to 118 ms, the septal q lost, forces turned back."""
    qrs = turn_horizontal(beat.qrs, 12)
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
    r, s_wave = qrs_extremes(beat)
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
    r, s_wave = qrs_extremes(beat)
    gain = min((0.46 - 0.15 * finding.severity) / (r - s_wave)[:6].max(), 1.0)
    return replace(beat, qrs=beat.qrs * gain, t=beat.t * 0.6)


def paced(beat: Beat, finding: Finding) -> Beat:
    """Ventricular pacing from the right apex: a spike, then the course of a left bundle-branch block upwards."""
    beat = left_bundle_branch_block(beat, finding)
    beat = replace(beat, qrs=turn_frontal(beat.qrs, -65 - frontal_axis(beat)), t=beat.t + np.array([0.0, 0.25, 0.0]))
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
