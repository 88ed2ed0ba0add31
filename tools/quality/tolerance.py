"""Limb leads that a device filters or samples one by one obey their arithmetic only nearly: what does the check say?

PTB-XL's limb leads obey exactly, so its false alarms say little of such devices. Here each lead is changed on its own.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.signal import butter, sosfilt
from tqdm import tqdm

from ecg.quality import assess
from ecg.recording import Recording
from tools.quality.mistakes import MISTAKES

LOW_PASS_HZ, HIGH_PASS_HZ = (40, 60, 100, 150), (0.05, 0.15, 0.5, 0.67)  # of the leads in turn


def _filtered(kind: str, order: int, corners: tuple[float, ...]) -> Callable[[np.ndarray, int, float], np.ndarray]:
    def apply(samples: np.ndarray, number: int, sampling_rate: float) -> np.ndarray:
        return sosfilt(butter(order, corners[number % len(corners)], kind, fs=sampling_rate, output="sos"), samples)

    return apply


def _delayed(apart: int, ms: float) -> Callable[[np.ndarray, int, float], np.ndarray]:
    return lambda samples, number, sampling_rate: np.roll(samples, round(number % apart * ms / 1000 * sampling_rate))


def _noisy(samples: np.ndarray, number: int, sampling_rate: float) -> np.ndarray:
    return samples + 0.1 * np.random.default_rng(number).standard_normal(len(samples))


def _drifting(samples: np.ndarray, number: int, sampling_rate: float) -> np.ndarray:
    return samples + np.sin(2 * np.pi * (0.1 + 0.05 * number) * np.arange(len(samples)) / sampling_rate)


# what happens to a lead's samples in mV, by its number and the sampling rate
DISTURBANCES: dict[str, Callable[[np.ndarray, int, float], np.ndarray]] = {
    f"low-pass filters of {', '.join(map(str, LOW_PASS_HZ))} Hz in turn": _filtered("lowpass", 2, LOW_PASS_HZ),
    f"high-pass filters of {', '.join(map(str, HIGH_PASS_HZ))} Hz in turn": _filtered("highpass", 1, HIGH_PASS_HZ),
    "gains 10 % too high and too low in turn": lambda samples, number, _: samples * (1 + 0.1 * (-1) ** number),
    "up to 4 ms apart": _delayed(3, 2),
    "up to 10 ms apart": _delayed(6, 2),
    "white noise of 0.1 mV in each": _noisy,
    "drift of 1 mV, of its own rate in each": _drifting,
}


def disturbed(recording: Recording, name: str) -> Recording:
    """The recording with one of `DISTURBANCES` in every lead."""
    leads = [DISTURBANCES[name](samples, k, recording.sampling_rate) for k, samples in enumerate(recording.signal)]
    return replace(recording, signal=np.stack(leads).astype(np.float32))


def tolerance(recordings: list[Recording]) -> dict[str, dict[str, float]]:
    """Of disturbed recordings, the shares flagged as they are, and with aVR and aVL exchanged after that."""
    (exchange,) = MISTAKES["aVR and aVL exchanged"]
    rows = {}
    for name in tqdm(DISTURBANCES, desc="disturbed limb leads", unit="kind"):
        changed = [disturbed(recording, name) for recording in recordings]
        rows[name] = {
            "false_alarms": float(np.mean([is_flagged(recording) for recording in changed])),
            "found": float(np.mean([is_flagged(exchange.change(recording)) for recording in changed])),
        }
    return rows


def is_flagged(recording: Recording) -> bool:
    """Whether the limb leads are called out of order."""
    return any(flag.name == "limb leads out of order" for flag in assess(recording).flags)
