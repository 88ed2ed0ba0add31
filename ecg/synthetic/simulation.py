"""From a case to a recording.

Normal intervals follow Rijnbeek et al., J Electrocardiol 2014;47:914 (16-90 years, by age and sex); the normal dipole
is scaled to the median R, S and T of PTB-XL's normal recordings.
"""

from dataclasses import replace

import numpy as np
from scipy.signal import resample_poly

from config import LEADS
from ecg.recording import Recording
from ecg.synthetic.beat import (
    TEMPLATE_MS,
    Beat,
    beat_kernels,
    draw_axis,
    frontal_axis,
    kernel_shapes,
    leads_from_dipole,
    p_axis,
    qrs_extremes,
    template,
    template_slice,
    turn_horizontal,
    with_axis,
)
from ecg.synthetic.case import DURATION, MALE, NATIVE_RATE, Case, Truth
from ecg.synthetic.noise import ARTEFACTS, electrode_noise, leads_from_electrodes
from ecg.synthetic.pathology import EFFECTS


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
    qrs = turn_horizontal(qrs, np.clip(rng.normal(0, 11), -22, 22)) * rng.normal(1, 0.12, (4, 1))
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
        t=turn_horizontal(t[None], rng.normal(0, 12))[0],
    )
    return with_axis(beat, case.axis if case.axis is not None else draw_axis(case.age, rng))


def diseased_beat(case: Case, rng: np.random.Generator) -> Beat:
    """The heartbeat of a case: a normal one, changed by every finding in the order of ``EFFECTS``."""
    beat = normal_beat(case, rng)
    for finding in sorted(case.findings, key=lambda f: list(EFFECTS).index(f.code)):
        beat = EFFECTS[finding.code](beat, finding)
    if case.rhythm != "SR":
        beat = replace(beat, p=np.zeros((2, 3)), pr_ms=200.0)
    return beat


def beat_onsets(case: Case, breath_hz: float, breath_phase: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
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


def fibrillation(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The f waves of atrial fibrillation, ``(3, n)`` mV: 5 to 8 Hz, wandering, largest in V1 and II."""
    phase = 2 * np.pi * np.cumsum(6.3 + 1.2 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * seconds)) / NATIVE_RATE
    size = rng.uniform(0.02, 0.08) * (1 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.2, 0.9) * seconds))
    return np.outer([-0.3, 0.5, -0.8], size * np.sin(phase + 0.8 * np.sin(phase / 2.7 + rng.uniform(0, 6))))


def simulate(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, Truth]:
    """Ten seconds at 500 Hz: the twelve leads, float64 ``(12, 5000)`` in mV, and the truth about them."""
    beat = diseased_beat(case, rng)
    breath_hz, breath_phase = rng.uniform(0.2, 0.32), rng.uniform(0, 2 * np.pi)
    onsets, rr = beat_onsets(case, breath_hz, breath_phase, rng)
    dipole = _beats(beat, onsets, rr, rng)
    seconds = np.arange(int(DURATION * NATIVE_RATE)) / NATIVE_RATE
    breath = np.sin(2 * np.pi * breath_hz * seconds + breath_phase)
    x, y, z = dipole * (1 + 0.03 * breath)
    dipole = np.stack([x - 0.03 * breath * y, y + 0.03 * breath * x, z])  # the heart turns with the diaphragm
    if case.rhythm == "AFIB":
        dipole = dipole + fibrillation(seconds, rng)
    signal = leads_from_dipole(dipole)
    signal = signal + leads_from_electrodes(electrode_noise(case, breath, rng))
    for artefact in case.artefacts:
        signal = ARTEFACTS[artefact.column](signal, artefact, rng)
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
    recording = Recording(
        signal=signal.astype(np.float32), sampling_rate=sampling_rate, present=np.ones(len(LEADS), dtype=bool)
    )
    return recording, truth


def to_100_hz(signal: np.ndarray) -> np.ndarray:
    """Leads ``(12, n)`` at 500 Hz decimated to ``(12, n / 5)``, low-passed first; the ends are continued straight."""
    return resample_poly(signal, 1, NATIVE_RATE // 100, axis=1, padtype="line")


def _beats(beat: Beat, onsets: np.ndarray, rr: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Heart vector ``(3, 5000)`` of all beats; amplitudes and repolarisation vary a little from beat to beat."""
    kernels, vectors = beat_kernels(beat)
    kernels = np.repeat(kernels[None], len(onsets), axis=0)
    # A beat after a longer pause repolarises a little later.
    kernels[:, -1, 0] += (np.clip(rr / np.mean(rr), 0.7, 1.4) - 1) * 0.12 * beat.qt_ms
    first = np.round((onsets + TEMPLATE_MS[0] / 1000) * NATIVE_RATE).astype(int)
    index = first[:, None] + np.arange(len(TEMPLATE_MS))
    times_ms = (index / NATIVE_RATE - onsets[:, None]) * 1000
    sizes = rng.normal(1, 0.02, (len(onsets), len(vectors), 1))
    waves = np.einsum("bkm,bkc->cbm", kernel_shapes(times_ms, kernels), vectors * sizes, optimize=True)
    dipole = np.zeros((3, int(DURATION * NATIVE_RATE)))
    inside = (index >= 0) & (index < dipole.shape[1])
    for axis in range(3):
        dipole[axis] = np.bincount(index[inside], waves[axis][inside], dipole.shape[1])
    return dipole


def _truth(case: Case, beat: Beat, onsets: np.ndarray) -> Truth:
    leads = template(beat)
    kernels, vectors = beat_kernels(beat)
    qrs = template_slice(0.04 * beat.qrs_ms, beat.qrs_ms)
    size = np.linalg.norm(vectors.T @ kernel_shapes(TEMPLATE_MS[qrs], kernels), axis=0)
    r_peaks = onsets + TEMPLATE_MS[qrs][np.argmax(size)] / 1000
    t_wave = leads[:, template_slice(beat.qt_ms - 0.75 * beat.t_ms, beat.qt_ms)]
    r_mv, s_mv = qrs_extremes(beat)
    r_peaks = r_peaks[(r_peaks >= 0) & (r_peaks < DURATION)]
    return Truth(
        pr_ms=beat.pr_ms if case.rhythm == "SR" else np.nan,
        qrs_ms=beat.qrs_ms,
        qt_ms=beat.qt_ms,
        heart_rate=60 / np.mean(np.diff(r_peaks)) if len(r_peaks) > 1 else case.heart_rate,
        axis=frontal_axis(beat),
        p_axis=p_axis(beat) if case.rhythm == "SR" else np.nan,
        r_peaks=r_peaks,
        r_mv=r_mv,
        s_mv=s_mv,
        st_mv=leads[:, np.searchsorted(TEMPLATE_MS, beat.qrs_ms + 60)],
        t_mv=np.take_along_axis(t_wave, np.abs(t_wave).argmax(axis=1)[:, None], axis=1)[:, 0],
    )
