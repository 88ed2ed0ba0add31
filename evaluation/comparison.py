"""Networks judged on the same recordings: figures, paired differences, size and speed."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from config import LEADS, SAMPLING_RATE
from dataset import PTBXLDataset
from ecg.preprocessing import FULL_DURATION_S
from ecg.windows import predict_probabilities
from evaluation.bootstrap import paired_difference, patient_weights, point_and_interval
from evaluation.metrics import all_metrics
from evaluation.predictions import SplitPredictions
from inference.calibration import cross_fit, fit_decisions
from models import count_parameters
from models.checkpoint import Checkpoint, logits_function

COMPARED_METRICS = {"auroc": "AUROC", "auprc": "AUPRC", "f1": "F1", "exact_match": "exact match"}


@dataclass(frozen=True, eq=False)
class ComparedNetwork:
    """One network's answers ``(n, classes)`` on the recordings all networks are compared on."""

    name: str
    probabilities: np.ndarray
    calibrated: np.ndarray
    positive: np.ndarray
    certainty: np.ndarray


def compared_network(
    name: str, scored: SplitPredictions, tuned_on: SplitPredictions, criterion: str = "f1"
) -> ComparedNetwork:
    """Decide by thresholds and calibration of fold 9, cross-fitted by patient where fold 9 is judged itself."""
    fold9 = tuned_on.split
    arrays = (tuned_on.probabilities, fold9.targets, fold9.patient_ids, "multilabel")
    if scored is tuned_on:
        return ComparedNetwork(name, scored.probabilities, *cross_fit(*arrays, criterion=criterion))
    decisions = fit_decisions(*arrays, criterion)
    calibrated = decisions.calibrate(scored.probabilities)
    certainty = decisions.clearance(calibrated) / decisions.margin
    return ComparedNetwork(name, scored.probabilities, calibrated, decisions.decide(calibrated), certainty)


def compare_networks(answers: list[ComparedNetwork], recordings: PTBXLDataset, chosen: np.ndarray) -> list[dict]:
    """Macro figures of each network with intervals, and each one's difference to the first.

    recordings: those behind every answer; chosen: bool ``(n,)``, the ones to judge. All networks are
    resampled with the same patients, so a difference has a smaller interval than what it is between.
    """
    targets, classes = recordings.targets[chosen], recordings.classes
    weights = np.concatenate([np.ones((1, len(targets))), patient_weights(recordings.patient_ids[chosen])])
    rows, reference = [], None
    for answer in answers:
        arrays = (answer.probabilities[chosen], answer.calibrated[chosen], answer.positive[chosen])
        macro = all_metrics(*arrays, targets, classes, weights)["macro"]
        row = {"name": answer.name, **{key: point_and_interval(macro[key]) for key in COMPARED_METRICS}}
        if reference is None:
            reference = macro
        else:
            row["difference"] = {key: paired_difference(macro[key], reference[key]) for key in COMPARED_METRICS}
        rows.append(row)
    return rows


def multiply_accumulates(checkpoint: Checkpoint) -> int:
    """Of one 10-s recording, all its windows; convolutions and linear layers, counted by PyTorch."""
    samples = round(FULL_DURATION_S * SAMPLING_RATE)
    signal = np.zeros((1, len(LEADS), samples), np.float32)
    with FlopCounterMode(display=False) as counter:
        predict_probabilities(logits_function(checkpoint.network()), signal, checkpoint.window_s, checkpoint.stride_s)
    return counter.get_total_flops() // 2


def latencies(checkpoints: list[Checkpoint], rounds: int = 50) -> list[float]:
    """Median milliseconds of one 10-s recording on one thread; the networks take turns, so a busy machine slows all."""
    signal = np.random.default_rng(0).normal(size=(1, len(LEADS), round(FULL_DURATION_S * SAMPLING_RATE)))
    signal = signal.astype(np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        functions = [logits_function(checkpoint.network()) for checkpoint in checkpoints]
        times = np.empty((rounds, len(checkpoints)))
        for turn in tqdm(range(-3, rounds), desc="latency", unit="round", leave=False):
            for column, (checkpoint, function) in enumerate(zip(checkpoints, functions, strict=True)):
                began = time.perf_counter()
                predict_probabilities(function, signal, checkpoint.window_s, checkpoint.stride_s)
                if turn >= 0:
                    times[turn, column] = time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    return [round(float(ms), 2) for ms in 1000 * np.median(times, axis=0)]


def size_and_speed(checkpoints: list[Checkpoint]) -> list[dict]:
    """Parameters, multiply-accumulates and milliseconds a recording of each network."""
    return [
        {
            "model": checkpoint.model,
            "seed": checkpoint.seed,
            "parameters": count_parameters(checkpoint.network()),
            "multiply_accumulates": multiply_accumulates(checkpoint),
            "cpu_ms": ms,
        }
        for checkpoint, ms in zip(checkpoints, latencies(checkpoints), strict=True)
    ]


def network_name(checkpoint: Checkpoint) -> str:
    """Name of a network in tables and prediction files: its architecture, and its seed unless that is 0."""
    return checkpoint.model + (f"_seed{checkpoint.seed}" if checkpoint.seed else "")


def unique_names(checkpoints: list[Checkpoint], paths: list[Path]) -> list[str]:
    """A name a network; where two would share one, the run's folder or the file tells them apart."""
    names = [network_name(checkpoint) for checkpoint in checkpoints]
    return [
        name if names.count(name) == 1 else (path.parent.name if path.name == "best.pth" else path.stem)
        for name, path in zip(names, paths, strict=True)
    ]
