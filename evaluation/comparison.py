"""Networks on the same recordings: metrics, paired differences, size and speed."""

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
from ecg.statements import CODES
from ecg.stretches import predict_probabilities
from evaluation.bootstrap import paired_difference, point_and_interval, value_and_replicate_weights
from evaluation.metrics import all_metrics, auroc_and_auprc
from evaluation.predictions import HeldOutDecisions, SplitPredictions
from evaluation.statements import benchmark_tasks, task_draws
from models import count_parameters
from models.checkpoint import Checkpoint, probabilities_function

TASK_AUROCS = ("auroc", "auroc_min5")
COMPARED_METRICS = {"auroc": "AUROC", "auprc": "AUPRC", "f1": "F1", "exact_match": "exact match"}


@dataclass(frozen=True, eq=False)
class ComparedNetwork:
    """One network's predictions and decisions on the recordings of a comparison."""

    name: str
    predictions: SplitPredictions
    held_out: HeldOutDecisions


def compare_networks(networks: list[ComparedNetwork], recordings: PTBXLDataset, chosen: np.ndarray) -> list[dict]:
    """Macro metrics of each network with intervals, and each one's difference to the first.

    recordings: those behind all predictions; chosen: bool ``(n,)``, the ones to compare on. All networks are
    resampled with the same patients, so a difference has a smaller interval than what it is between.
    """
    targets, classes = recordings.targets[chosen], recordings.classes
    weights = value_and_replicate_weights(recordings.patient_ids[chosen])
    rows, reference = [], None
    for network in networks:
        decided = network.held_out
        arrays = (network.predictions.probabilities[chosen], decided.calibrated[chosen], decided.positive[chosen])
        macro = all_metrics(*arrays, targets, classes, weights)["macro"]
        row = {"name": network.name, **{key: point_and_interval(macro[key]) for key in COMPARED_METRICS}}
        if reference is None:
            reference = macro
        else:
            row["difference"] = {key: paired_difference(macro[key], reference[key]) for key in COMPARED_METRICS}
        rows.append(row)
    return rows


def compare_tasks(networks: list[ComparedNetwork], recordings: PTBXLDataset) -> list[dict]:
    """Macro AUROC of each network on the six tasks of `evaluation.statements`, and its difference to the first's.

    A network without statements has the superclasses only. recordings: those behind all predictions.
    """
    rows, reference, made = [], {}, recordings.made(CODES)
    for network in networks:
        predictions, row = network.predictions, {}
        tasks = benchmark_tasks(recordings.superclasses, made, predictions.probabilities, predictions.statements)
        for name, task in tasks.items():
            draws = task_draws(task, recordings.patient_ids)
            row[name] = {key: point_and_interval(draws[key]) for key in TASK_AUROCS}
            if name in reference:
                theirs = reference[name]
                row[name]["difference"] = {key: paired_difference(draws[key], theirs[key]) for key in TASK_AUROCS}
            if network is networks[0]:
                reference[name] = draws
        rows.append(row)
    return rows


def choose_score(candidates: dict[str, SplitPredictions]) -> tuple[str, dict]:
    """Which network is to serve a binary task, and the facts behind the choice.

    candidates: "binary", "multilabel" or both, on the same recordings. The multi-label network is preferred, since
    it runs anyway; the binary one must have a better AUROC by the paired bootstrap (95 % interval above 0).
    """
    if len(candidates) == 1:
        return next(iter(candidates)), {"rule": "the only network at hand"}
    recordings = candidates["binary"].recordings
    weights = value_and_replicate_weights(recordings.patient_ids)
    binary, multilabel = (
        auroc_and_auprc(candidates[score].probabilities[:, 0], recordings.targets[:, 0], weights)[0]
        for score in ("binary", "multilabel")
    )
    difference = paired_difference(binary, multilabel)
    facts = {
        "rule": "multilabel, unless the 95 % interval of the binary network's gain in AUROC lies above 0",
        "binary_minus_multilabel_auroc": difference,
    }
    return "binary" if difference["ci95"][0] > 0 else "multilabel", facts


def multiply_accumulates(checkpoint: Checkpoint) -> int:
    """Of one 10-s recording, all its windows; convolutions and linear layers, counted by PyTorch."""
    samples = round(FULL_DURATION_S * SAMPLING_RATE)
    signal = np.zeros((1, len(LEADS), samples), np.float32)
    with FlopCounterMode(display=False) as counter:
        predict_probabilities(probabilities_function(checkpoint.network()), signal)
    return counter.get_total_flops() // 2


def latencies(checkpoints: list[Checkpoint], rounds: int = 50) -> list[float]:
    """Median milliseconds of one 10-s recording on one thread; the networks take turns, so a busy machine slows all."""
    signal = np.random.default_rng(0).normal(size=(1, len(LEADS), round(FULL_DURATION_S * SAMPLING_RATE)))
    signal = signal.astype(np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        functions = [probabilities_function(checkpoint.network()) for checkpoint in checkpoints]
        times = np.empty((rounds, len(checkpoints)))
        for turn in tqdm(range(-3, rounds), desc="latency", unit="round", leave=False):
            for column, function in enumerate(functions):
                began = time.perf_counter()
                predict_probabilities(function, signal)
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


def unique_names(checkpoints: list[Checkpoint], paths: list[Path]) -> list[str]:
    """A name a network for tables and prediction files: its architecture, and its seed unless that is 0.

    Where two would share one, the run's folder or the file tells them apart.
    """
    names = [c.model + (f"_seed{c.seed}" if c.seed else "") for c in checkpoints]
    return [
        name if names.count(name) == 1 else (path.parent.name if path.name == "best.pth" else path.stem)
        for name, path in zip(names, paths, strict=True)
    ]
