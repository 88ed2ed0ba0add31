"""Contenders take turns, so that a disturbed machine disturbs all alike; medians, spread and ratios of their times."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from tqdm import tqdm

MATRIX = 1024  # rows and columns of the products that show what the core can do


def take_turns(
    steps: Mapping[str, Callable[[], object]], rounds: int, repetitions: int, description: str
) -> dict[str, np.ndarray]:
    """Seconds ``(2, rounds, repetitions)`` of each step: by the clock, and of the processor in this thread.

    Each step runs once before it counts.
    """
    for step in steps.values():
        step()
    seconds = {name: np.empty((2, rounds, repetitions)) for name in steps}
    for round_number in tqdm(range(rounds), desc=description, unit="round"):
        for name, step in steps.items():
            for repetition in range(repetitions):
                began, worked = time.perf_counter(), time.thread_time()
                step()
                worked, elapsed = time.thread_time() - worked, time.perf_counter() - began
                seconds[name][:, round_number, repetition] = elapsed, worked
    return seconds


def latency(seconds: np.ndarray) -> dict:
    """Milliseconds of one step's times from `take_turns`; quartiles are those of the rounds' medians."""
    clock_ms, processor_ms = 1000 * seconds
    return {
        "p50_ms": float(np.median(clock_ms)),
        "p95_ms": float(np.quantile(clock_ms, 0.95)),
        "p50_quartiles_ms": quartiles(np.median(clock_ms, axis=1)),
        "processor_p50_ms": float(np.median(processor_ms)),
    }


def rate(seconds: np.ndarray, items: int) -> dict:
    """Items per second of one step that handles so many; quartiles are those of the rounds' medians."""
    per_round = items / np.median(seconds[0], axis=1)
    return {"per_s": float(np.median(per_round)), "per_s_quartiles": quartiles(per_round)}


def ratio(seconds: np.ndarray, reference: np.ndarray) -> dict:
    """How many times faster than the reference: median and quartiles over rounds, of processor time and by the clock.

    Both are equal on a quiet machine; processor time leaves out while others had the core.
    """
    by_clock, of_processor = np.median(reference, axis=2) / np.median(seconds, axis=2)
    return {
        "times_faster": float(np.median(of_processor)),
        "times_faster_quartiles": quartiles(of_processor),
        "times_faster_by_clock": float(np.median(by_clock)),
    }


def quartiles(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(values, (0.25, 0.75))]


def matrix_product() -> Callable[[], object]:
    """A float32 product of two square matrices by PyTorch, as a step."""
    left, right = torch.rand(2, MATRIX, MATRIX, generator=torch.Generator().manual_seed(0))
    return lambda: left @ right


def peak_gflops(seconds: np.ndarray) -> float:
    """Floating-point operations per second of `matrix_product`, in 10⁹, of processor time."""
    return float(2 * MATRIX**3 / np.median(seconds[1]) / 1e9)


def share_of_peak(multiply_accumulates: int, milliseconds: float, peak: float) -> float:
    """What a network reaches of the peak, if that many operations take that long. peak: 10⁹/s."""
    return 2 * multiply_accumulates / (milliseconds / 1000) / (peak * 1e9)
