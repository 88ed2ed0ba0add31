"""When the heart beats: sinus rhythm with breathing, atrial fibrillation, pacing."""

import numpy as np

from ecg.synthetic.case import DURATION, NATIVE_RATE, Case


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
