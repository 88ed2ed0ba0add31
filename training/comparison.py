"""Networks judged on the same recordings: figures, paired differences, size and speed."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from calibration import cross_fit, fit_decisions
from config import LEADS, SAMPLING_RATE
from dataset import PTBXLDataset
from ecg.preprocessing import FULL_DURATION_S, predict_probabilities
from models import count_parameters
from training.checkpoint import Checkpoint, logits_function
from training.evaluation import COLOURS, Scored
from training.metrics import all_figures, cell, paired_difference, patient_weights, point_and_interval

FIGURES = {"auroc": "AUROC", "auprc": "AUPRC", "f1": "F1", "exact_match": "exact match"}


@dataclass(frozen=True, eq=False)
class Answers:
    """One network's answers ``(n, classes)`` on the recordings all networks are compared on."""

    name: str
    probabilities: np.ndarray
    calibrated: np.ndarray
    positive: np.ndarray
    certainty: np.ndarray


def answers_of(name: str, scored: Scored, tuned_on: Scored, criterion: str = "f1") -> Answers:
    """Decide by thresholds and calibration of fold 9, cross-fitted by patient where fold 9 is judged itself."""
    fold9 = tuned_on.split
    arrays = (tuned_on.probabilities, fold9.targets, fold9.patient_ids, "multilabel")
    if scored is tuned_on:
        return Answers(name, scored.probabilities, *cross_fit(*arrays, criterion=criterion))
    decisions = fit_decisions(*arrays, criterion)
    calibrated = decisions.calibrate(scored.probabilities)
    certainty = decisions.clearance(calibrated) / decisions.margin
    return Answers(name, scored.probabilities, calibrated, decisions.decide(calibrated), certainty)


def compare_answers(answers: list[Answers], recordings: PTBXLDataset, chosen: np.ndarray) -> list[dict]:
    """Macro figures of each network with intervals, and each one's difference to the first.

    recordings: those behind every answer; chosen: bool ``(n,)``, the ones to judge. All networks are
    resampled with the same patients, so a difference has a smaller interval than what it is between.
    """
    targets, classes = recordings.targets[chosen], recordings.classes
    weights = np.concatenate([np.ones((1, len(targets))), patient_weights(recordings.patient_ids[chosen])])
    rows, reference = [], None
    for answer in answers:
        arrays = (answer.probabilities[chosen], answer.calibrated[chosen], answer.positive[chosen])
        macro = all_figures(*arrays, targets, classes, weights)["macro"]
        row = {"name": answer.name, **{key: point_and_interval(macro[key]) for key in FIGURES}}
        if reference is None:
            reference = macro
        else:
            row["difference"] = {key: paired_difference(macro[key], reference[key]) for key in FIGURES}
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


def comparison_table(content: dict) -> str:
    """Figures, sizes and differences as Markdown, a row a network."""
    lines = [
        "| network | parameters | MACs | CPU ms | AUROC | AUPRC | F1 | AUROC against the first | p |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in content["networks"]:
        cells = [
            row["name"],
            f"{row['parameters']:,}",
            f"{row['multiply_accumulates'] / 1e6:.0f} M",
            f"{row['cpu_ms']:.1f}",
            *(cell(row[key]) for key in ("auroc", "auprc", "f1")),
        ]
        difference = row.get("difference", {}).get("auroc")
        if difference:
            low, high = difference["ci95"]
            cells += [f"{difference['value']:+.4f} ({low:+.4f} to {high:+.4f})", f"{difference['p']:.3f}"]
        else:
            cells += ["–", "–"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_comparison(content: dict) -> Figure:
    """Macro AUROC with its interval against the number of parameters."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    first_seeds = {row["model"]: row for row in reversed(content["networks"])}.values()  # one point an architecture
    for number, row in enumerate(sorted(first_seeds, key=lambda row: row["parameters"])):
        value, (low, high) = row["auroc"]["value"], row["auroc"]["ci95"]
        colour = COLOURS[number % len(COLOURS)]
        axes.errorbar(row["parameters"], value, [[value - low], [high - value]], fmt="o", color=colour, capsize=3)
        place = (8, 6) if number % 2 else (8, -14)  # neighbours of like size do not write over each other
        axes.annotate(row["model"], (row["parameters"], value), place, textcoords="offset points", fontsize=9)
    axes.set(xscale="log", xlabel="parameters", ylabel=f"macro AUROC, fold {content['fold']}")
    axes.margins(x=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if content["synthetic"]:
        axes.set_title("SYNTHETIC DATA")
    return figure


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
