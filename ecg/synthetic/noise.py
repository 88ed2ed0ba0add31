"""Noise and artefacts; they enter at the electrodes, so Einthoven's equations hold with noise too."""

import numpy as np
from scipy.signal import lfilter

from config import LEADS
from ecg.leads import TWELVE_FROM_EIGHT
from ecg.synthetic.case import DURATION, NATIVE_RATE, Artefact, Case

ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
_EIGHT_FROM_ELECTRODES = np.vstack(
    [[-1, 1, 0] + [0] * 6, [-1, 0, 1] + [0] * 6, np.hstack([np.full((6, 3), -1 / 3), np.eye(6)])]
)


def leads_from_electrodes(potentials: np.ndarray) -> np.ndarray:
    """Twelve leads ``(12, samples)`` of the potentials ``(9, samples)`` at ``ELECTRODES``, the same unit."""
    return TWELVE_FROM_EIGHT @ (_EIGHT_FROM_ELECTRODES @ potentials)


def electrode_noise(case: Case, breath: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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


ARTEFACTS = {
    "baseline_drift": _baseline_drift,
    "static_noise": _static_noise,
    "burst_noise": _burst_noise,
    "electrodes_problems": _electrode_loss,
}
_LIMBS, _CHEST = ELECTRODES[:3], ELECTRODES[3:]


def draw_artefacts(rng: np.random.Generator) -> tuple[Artefact, ...]:
    """Artefacts as often as in PTB-XL, annotated as there; lost electrodes, there 1 in 700, are 1 in 100 here."""
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
