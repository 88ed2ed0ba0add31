"""Do the explanations show what drove the answer? Both methods of explain.py, measured on the shipped network.

    python measure_explanations.py        # needs data/ptbxl and artifacts/multilabel_best.pth

Deletion and insertion curves (Petsiuk, Das and Saenko, "RISE", BMVC 2018) on fold 9, the randomisation check of
Adebayo et al. ("Sanity checks for saliency maps", NeurIPS 2018), ST elevations of known place, and the time it takes.
Writes explanations.json, figures and the page docs/explanations.md (beside the JSON if --out is not artifacts).
"""

import argparse
import copy
import json
import os
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import nn
from tqdm import tqdm

from config import DEFAULT_OUT, LEADS, PROJECT, SAMPLING_RATE, SYNTHETIC_NOTICE, VALIDATION_FOLD, data_directory
from dataset import PTBXLDataset
from ecg.plotting.draw import draw
from ecg.preprocessing import model_input
from ecg.recording import Recording
from ecg.synthetic.case import FEMALE, MALE, Case, Truth
from ecg.synthetic.dipole import ELECTRODES, leads_from_electrodes
from ecg.synthetic.simulation import synthesise
from ecg.windows import predict_probabilities
from evaluation.bootstrap import BOOTSTRAP_DRAWS, patient_weights
from evaluation.figures import COLOURS
from evaluation.tables import metric_cell
from files import replacing, sha256, write_text
from inference.explain import CELL_S, DEFAULT_METHOD, METHODS, Explanation, blend, cell_edges, explain, isoelectric_line
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, logits_function, machine_facts
from ptbxl.index import DatasetError

PRESENT = 0.5  # probability from which a class counts as answered
ORDERS = (*METHODS, "amplitude", "random")
ORDER_NAMES = {
    "integrated_gradients": "integrated gradients",
    "occlusion": "occlusion",
    "amplitude": "largest waves first",
    "random": "random",
}
CURVES = {
    "deletion": "deletion, by the isoelectric line",
    "insertion": "insertion, into the isoelectric line",
    "deletion_line": "deletion, by a straight line",
}
FRACTIONS = np.linspace(0, 1, 17) ** 2  # of the cells; dense at the start, where the orders differ
RANDOMISED_RECORDS = 6
AGREEMENT_NAMES = {"signed": "correlation", "absolute": "without signs", "strongest": "strongest cells in common"}
TIMED_RECORDS = 5
KNOWN_CASES = 6
KNOWN_CLASS = "MI"
TERRITORIES = {  # electrodes that see the elevation, and the leads that must light
    "anterior": (("V2", "V3", "V4"), ("V2", "V3", "V4")),
    "lateral": (("V5", "V6"), ("V5", "V6")),
    "inferior": (("LL",), ("II", "III", "aVF")),
}
ELEVATIONS_MV = (0.0, 0.2, 0.5, 0.8)


# -- Deletion and insertion -------------------------------------------------------------------------------------------


def chosen_samples(importance: np.ndarray, samples: int) -> np.ndarray:
    """The most important cells, by steps: bool ``(steps, 12, samples)`` for importance ``(12, cells)``."""
    rank = np.argsort(np.argsort(-importance, axis=None, kind="stable"), kind="stable").reshape(importance.shape)
    counts = np.round(FRACTIONS * importance.size)
    return np.repeat(rank < counts[:, None, None], np.diff(cell_edges(samples)), axis=2)


def straight_line(signal: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """``signal`` ``(12, samples)`` with the chosen samples bridged by straight lines; a whole lead by its median."""
    bridged, number = signal.copy(), np.arange(signal.shape[1])
    for lead, (row, gone) in enumerate(zip(signal, chosen, strict=True)):
        bridged[lead] = np.median(row) if gone.all() else np.interp(number, number[~gone], row[~gone])
    return bridged


def curves(answer_of, signal: np.ndarray, importance: np.ndarray) -> dict[str, np.ndarray]:
    """The probability as cells are taken away or put in, most important first: one row of steps for each of ``CURVES``.

    answer_of: maps signals ``(n, 12, samples)`` to probabilities ``(n,)`` of one class.
    """
    chosen, isoelectric = chosen_samples(importance, signal.shape[1]), isoelectric_line(signal)
    changed = {
        "deletion": blend(signal, isoelectric, chosen),
        "insertion": blend(isoelectric, signal, chosen),
        "deletion_line": np.stack([straight_line(signal, step) for step in chosen]),
    }
    return {name: answer_of(signals) for name, signals in changed.items()}


def wave_sizes(signal: np.ndarray) -> np.ndarray:
    """The order that knows no network: mean distance of each cell from the isoelectric line, ``(12, cells)``."""
    edges = cell_edges(signal.shape[1])
    return np.add.reduceat(np.abs(signal - isoelectric_line(signal)), edges[:-1], axis=1) / np.diff(edges)


def present_recordings(checkpoint: Checkpoint, split: PTBXLDataset, records: int) -> list[tuple[int, np.ndarray]]:
    """Random recordings of the split with a class present: their numbers and the classes' numbers."""
    logits_of, found = logits_function(checkpoint.network()), []
    for number in np.random.default_rng(0).permutation(len(split)):
        signals = split.signals([number])
        (answer,) = predict_probabilities(logits_of, signals, checkpoint.window_s, checkpoint.stride_s)
        if (answer >= PRESENT).any():
            found.append((int(number), np.flatnonzero(answer >= PRESENT)))
        if len(found) == records:
            break
    return found


def why(checkpoint: Checkpoint, network: nn.Module, signal: np.ndarray, classes, method: str) -> Explanation:
    """`explain` with a checkpoint's window and stride; ``network`` need not be the checkpoint's own."""
    window_s, stride_s = checkpoint.window_s, checkpoint.stride_s
    return explain(network, signal, checkpoint.classes, window_s, stride_s, explained=classes, method=method)


def measure_curves(checkpoint: Checkpoint, split: PTBXLDataset, chosen: list[tuple[int, np.ndarray]]) -> dict:
    """Area under each curve for each order, with the mean curves; an answer is a recording and a class present."""
    network = checkpoint.network()
    logits_of, rng = logits_function(network), np.random.default_rng(0)
    patients, isoelectric, rows = [], [], {(order, name): [] for order in ORDERS for name in CURVES}

    def probability(signals: np.ndarray, output: int) -> np.ndarray:
        return predict_probabilities(logits_of, signals, checkpoint.window_s, checkpoint.stride_s)[:, output]

    for number, outputs in tqdm(chosen, desc="deletion and insertion", unit="ECG"):
        (signal,) = split.signals([number])
        classes = tuple(checkpoint.classes[output] for output in outputs)
        explained = {method: why(checkpoint, network, signal, classes, method).importance for method in METHODS}
        amplitude = wave_sizes(signal)
        flat = isoelectric_line(signal)[None]
        isoelectric.append(predict_probabilities(logits_of, flat, checkpoint.window_s, checkpoint.stride_s)[0])
        for k, output in enumerate(outputs):
            orders = {method: importance[k] for method, importance in explained.items()}
            orders |= {"amplitude": amplitude, "random": rng.random(amplitude.shape)}
            patients.append(split.patient_ids[number])
            for order, importance in orders.items():
                for name, curve in curves(partial(probability, output=output), signal, importance).items():
                    rows[order, name].append(curve)
    patients = np.array(patients)
    areas = {key: np.trapezoid(np.array(found), FRACTIONS, axis=1) for key, found in rows.items()}
    other = next(method for method in METHODS if method != DEFAULT_METHOD)
    return {
        "answers": len(patients),
        "recordings": len(chosen),
        "patients": len(np.unique(patients)),
        "isoelectric_probability": dict(
            zip(checkpoint.classes, np.mean(isoelectric, axis=0).round(3).tolist(), strict=True)
        ),
        "fractions": FRACTIONS.round(4).tolist(),
        "area": {o: {name: with_interval(areas[o, name], patients) for name in CURVES} for o in ORDERS},
        "default_minus_other": {
            name: with_interval(areas[DEFAULT_METHOD, name] - areas[other, name], patients) for name in CURVES
        },
        "mean_curve": {o: {name: np.mean(rows[o, name], axis=0).round(4).tolist() for name in CURVES} for o in ORDERS},
    }


def with_interval(values: np.ndarray, patients: np.ndarray) -> dict:
    """Mean of values ``(n,)`` with its 95 % interval, bootstrapped by patient."""
    weights = patient_weights(patients)
    low, high = np.percentile(weights @ values / weights.sum(axis=1), [2.5, 97.5])
    return {"value": round(float(values.mean()), 4), "ci95": [round(float(low), 4), round(float(high), 4)]}


# -- Randomisation ----------------------------------------------------------------------------------------------------


def randomised(network: nn.Module, seed: int) -> dict[str, nn.Module]:
    """Copies of a network in which more and more is untrained, from the logits down to the input.

    The key is the part that was last set back to random initial weights; all parts above it are random too.
    """
    stages, current = {}, copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, part in reversed(list(current.named_children())):
            if not list(part.parameters()):
                continue
            for module in part.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            stages[name] = copy.deepcopy(current)
    return stages


def measure_randomisation(checkpoint: Checkpoint, split: PTBXLDataset, chosen: list[tuple[int, np.ndarray]]) -> dict:
    """Agreement of trained and randomised networks' maps; see `agreement`.

    "amplitude" compares the trained network's map with the size of the waves, which no network is needed for.
    """
    network, found = checkpoint.network(), {method: {} for method in METHODS}
    for number, outputs in tqdm(chosen, desc="randomisation", unit="ECG"):
        (signal,) = split.signals([number])
        classes = (checkpoint.classes[outputs[0]],)
        networks = randomised(network, seed=number)
        for method in METHODS:
            trained = why(checkpoint, network, signal, classes, method).importance[0]
            maps = {
                stage: why(checkpoint, net, signal, classes, method).importance[0] for stage, net in networks.items()
            }
            for stage, other in {**maps, "amplitude": wave_sizes(signal)}.items():
                found[method].setdefault(stage, []).append(agreement(trained, other))
    return {
        "recordings": len(chosen),
        "agreement": {
            method: {
                stage: dict(zip(AGREEMENT_NAMES, np.mean(rows, axis=0).round(3).tolist(), strict=True))
                for stage, rows in stages.items()
            }
            for method, stages in found.items()
        },
    }


def agreement(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Of two maps ``(12, cells)``: Spearman's correlation, the same without signs, overlap of the strongest cells.

    The overlap is the share of one map's strongest twentieth, which is what the eye sees, that is the other's too.
    """
    count = one.size // 20
    strongest = [set(np.argsort(-importance, axis=None, kind="stable")[:count]) for importance in (one, other)]
    overlap = len(strongest[0] & strongest[1]) / count
    return rank_correlation(one, other), rank_correlation(np.abs(one), np.abs(other)), overlap


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation over all cells; 0 where a map is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other, axis=None).statistic)


# -- A known answer ---------------------------------------------------------------------------------------------------


def elevation(truth: Truth, samples: int) -> np.ndarray:
    """The course of an ST elevation of height 1, ``(samples,)`` at 100 Hz: up at J, level, down with the T wave."""
    seconds = np.arange(samples) / SAMPLING_RATE
    course = np.zeros(samples)
    for peak in truth.r_peaks:
        j, t_end = peak + truth.qrs_ms / 2000, peak + (truth.qt_ms - truth.qrs_ms / 2) / 1000
        course += np.interp(seconds, [j - 0.02, j + 0.02, t_end - 0.12, t_end], [0, 1, 1, 0])
    return course


def with_elevation(number: int, electrodes: tuple[str, ...], millivolts: float) -> tuple[Recording, np.ndarray]:
    """A healthy generated ECG with ST elevated at some electrodes, and when it is: bool ``(samples,)``."""
    case = Case(age=45 + 4 * number, sex=(FEMALE, MALE)[number % 2], heart_rate=60 + 5 * number)
    recording, truth = synthesise(case, SAMPLING_RATE, np.random.default_rng(number))
    course = elevation(truth, recording.signal.shape[1])
    potentials = np.outer([electrode in electrodes for electrode in ELECTRODES], millivolts * course)
    signal = (recording.signal + leads_from_electrodes(potentials)).astype(np.float32)
    return Recording(signal, SAMPLING_RATE, recording.present), course > 0


def explained_cases(checkpoint: Checkpoint, electrodes: tuple[str, ...], millivolts: float) -> list[tuple]:
    """When the elevation is in each generated ECG, ``(samples,)``, and why MI, by method."""
    network, found = checkpoint.network(), []
    for number in range(KNOWN_CASES):
        recording, elevated = with_elevation(number, electrodes, millivolts)
        signal = model_input(recording, checkpoint.input_scale)
        found.append(
            (elevated, {method: why(checkpoint, network, signal, (KNOWN_CLASS,), method) for method in METHODS})
        )
    return found


def measure_known_answer(checkpoint: Checkpoint) -> list[dict]:
    """For each territory and height: the answer, and how much of what speaks for it lies where the elevation is."""
    plain, rows = explained_cases(checkpoint, (), 0.0), []
    conditions = [(territory, height) for territory in TERRITORIES for height in ELEVATIONS_MV]
    for territory, height in tqdm(conditions, desc="known answers", unit="condition"):
        electrodes, leads = TERRITORIES[territory]
        cases = explained_cases(checkpoint, electrodes, height) if height else plain
        probabilities = [maps[DEFAULT_METHOD].probabilities[0] for _, maps in cases]
        rows.append(
            {
                "leads": list(leads),
                "millivolts": height,
                "cases": len(cases),
                "probability": round(float(np.mean(probabilities)), 3),
                "elevated_time": round(float(np.mean([elevated.mean() for elevated, _ in cases])), 3),
                "methods": {
                    method: known_figures([(elevated, maps[method]) for elevated, maps in cases], leads)
                    for method in METHODS
                },
            }
        )
    return rows


def known_figures(cases: list[tuple[np.ndarray, Explanation]], leads: tuple[str, ...]) -> dict:
    """How well one method finds the elevation in these leads.

    lead_share: of all evidence, that in the leads.
    top_lead: cases whose first lead in the ranking is one of them. all_first: cases in which all come before the rest.
    time_share: of the evidence in the leads, that at the times of the elevation.
    """
    numbers = [LEADS.index(lead) for lead in leads]
    rows = []
    for elevated, explanation in cases:
        evidence = explanation.evidence(KNOWN_CLASS)[numbers].sum(axis=0)
        edges = cell_edges(len(elevated))
        inside = np.add.reduceat(elevated, edges[:-1], dtype=float) / np.diff(edges)
        ranking = [lead for lead, _ in explanation.ranked_leads(KNOWN_CLASS)]
        lead_share = explanation.lead_shares(KNOWN_CLASS)[numbers].sum()
        time_share = evidence @ inside / (evidence.sum() or 1.0)
        rows.append(
            [lead_share, bool(set(ranking[:1]) & set(leads)), set(ranking[: len(leads)]) == set(leads), time_share]
        )
    lead_share, top_lead, all_first, time_share = np.array(rows, float).T
    return {
        "lead_share": round(float(lead_share.mean()), 3),
        "top_lead": int(top_lead.sum()),
        "all_first": int(all_first.sum()),
        "time_share": round(float(time_share.mean()), 3),
    }


# -- Time -------------------------------------------------------------------------------------------------------------


def measure_time(checkpoint: Checkpoint, split: PTBXLDataset, chosen: list[tuple[int, np.ndarray]]) -> dict:
    """Median milliseconds to explain one recording, for one class and for all.

    wall_ms passes on the clock, which other programs on the machine slow down; cpu_ms is computed, by all threads.
    """
    network, found = checkpoint.network(), {}
    for method in METHODS:
        for label, classes in (("one_class", checkpoint.classes[:1]), ("all_classes", checkpoint.classes)):
            elapsed = []
            for number, _ in chosen:
                (signal,) = split.signals([number])
                started = np.array([time.perf_counter(), time.process_time()])
                why(checkpoint, network, signal, classes, method)
                elapsed.append(np.array([time.perf_counter(), time.process_time()]) - started)
            wall_ms, cpu_ms = np.round(1000 * np.median(elapsed, axis=0)).astype(int).tolist()
            found.setdefault(method, {})[label] = {"wall_ms": wall_ms, "cpu_ms": cpu_ms}
    return {
        "recordings": len(chosen),
        "median": found,
        "machine": machine_facts(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
    }


# -- Page and figures -------------------------------------------------------------------------------------------------


def draw_curves(content: dict) -> Figure:
    """The mean deletion and insertion curves."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, 3, sharey=True), CURVES.items(), strict=True):
        for order, colour in zip(ORDERS, COLOURS, strict=False):
            area = content["curves"]["area"][order][name]["value"]
            curve = content["curves"]["mean_curve"][order][name]
            label = f"{ORDER_NAMES[order]}  {area:.3f}"
            axes.plot(np.multiply(100, content["curves"]["fractions"]), curve, color=colour, label=label)
        axes.set(title=title, xlabel="cells changed, % (most important first)", ylim=(0, 1))
        axes.legend(title="area", frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("probability of the class")
    if content["synthetic"]:
        figure.suptitle(SYNTHETIC_NOTICE, fontsize=9)
    return figure


def draw_randomisation(content: dict) -> Figure:
    """Agreement with the trained network's maps, as more of the network is untrained."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, method in zip(figure.subplots(1, len(METHODS), sharey=True), METHODS, strict=True):
        stages = {k: v for k, v in content["randomisation"]["agreement"][method].items() if k != "amplitude"}
        for kind, colour in zip(AGREEMENT_NAMES, COLOURS, strict=False):
            values = [1, *(stage[kind] for stage in stages.values())]
            axes.plot(values, "o-", color=colour, label=AGREEMENT_NAMES[kind], markersize=4)
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axes.set_xticks(range(len(stages) + 1), ["trained", *stages], rotation=45, ha="right")
        axes.set(title=ORDER_NAMES[method], ylim=(-0.25, 1.05))
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.supylabel("agreement with the trained network's map")
    if content["synthetic"]:
        figure.suptitle(SYNTHETIC_NOTICE, fontsize=9)
    return figure


def draw_known_answer(checkpoint: Checkpoint) -> Figure:
    """A generated ECG with ST elevation in V2-V4, shaded by the default method."""
    recording, _ = with_elevation(0, TERRITORIES["anterior"][0], ELEVATIONS_MV[-1])
    signal = model_input(recording, checkpoint.input_scale)
    explanation = why(checkpoint, checkpoint.network(), signal, (KNOWN_CLASS,), DEFAULT_METHOD)
    ranking = ", ".join(f"{lead} {share:.0%}" for lead, share in explanation.ranked_leads(KNOWN_CLASS)[:4])
    caption = (
        f"Generated ECG, ST elevated by {ELEVATIONS_MV[-1]:g} mV in V2–V4; {KNOWN_CLASS} "
        f"{explanation.probabilities[0]:.2f}; {ORDER_NAMES[DEFAULT_METHOD]}: {ranking}"
    )
    return draw(recording, shading=explanation.spans(KNOWN_CLASS), caption=caption, notice="synthetic")


def curve_table(content: dict) -> list[str]:
    """The areas, a row an order."""
    lines = ["| order of the cells | " + " | ".join(CURVES.values()) + " |", "|---" * (len(CURVES) + 1) + "|"]
    for order in ORDERS:
        cells = " | ".join(metric_cell(content["curves"]["area"][order][name]) for name in CURVES)
        lines.append(f"| {ORDER_NAMES[order]} | {cells} |")
    return lines


def randomisation_table(content: dict) -> list[str]:
    """Agreements, a row a stage."""
    found = content["randomisation"]["agreement"]
    heads = [f"{ORDER_NAMES[method]}: {AGREEMENT_NAMES[kind]}" for method in METHODS for kind in AGREEMENT_NAMES]
    lines = ["| trained map against | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for stage in found[DEFAULT_METHOD]:
        name = "size of the waves, no network" if stage == "amplitude" else f"random from the logits down to `{stage}`"
        cells = (f"{found[method][stage][kind]:.2f}" for method in METHODS for kind in AGREEMENT_NAMES)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def known_table(content: dict) -> list[str]:
    """The known answers, a row a condition and method."""
    heads = ("elevation", "MI", "method", "in its leads", "chance", "first lead right", "all first", "at its times")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in content["known_answer"]:
        for method in METHODS:
            figures = row["methods"][method]
            cells = (
                f"{row['millivolts']:g} mV in {', '.join(row['leads'])}",
                f"{row['probability']:.2f}",
                ORDER_NAMES[method],
                f"{figures['lead_share']:.2f}",
                f"{len(row['leads']) / len(LEADS):.2f}",
                f"{figures['top_lead']}/{row['cases']}",
                f"{figures['all_first']}/{row['cases']}",
                f"{figures['time_share']:.2f}",
            )
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def time_table(content: dict) -> list[str]:
    """Median milliseconds, a row a method."""
    lines = [
        "| method | one class: clock, ms | processor, ms | all classes: clock, ms | processor, ms |",
        "|---" * 5 + "|",
    ]
    for method in METHODS:
        median = content["time"]["median"][method]
        cells = (f"{median[label][kind]:,}" for label in ("one_class", "all_classes") for kind in ("wall_ms", "cpu_ms"))
        lines.append(f"| {ORDER_NAMES[method]} | " + " | ".join(cells) + " |")
    return lines


def comparison(content: dict) -> str:
    """How the default does against the other method, and why it is the default."""
    differences = content["curves"]["default_minus_other"]
    other = next(method for method in METHODS if method != content["default_method"])
    listed = "; ".join(f"{name} {metric_cell(differences[key])}" for key, name in CURVES.items())
    equal = all(low <= 0 <= high for low, high in (difference["ci95"] for difference in differences.values()))
    verdict = (
        "No interval leaves out zero, so these curves do not choose between them; the default is the one that is "
        "quicker for a single class and whose cells add up to the answer."
        if equal
        else "Where an interval leaves out zero, the methods differ."
    )
    return (
        f"The same answers, {ORDER_NAMES[content['default_method']]} (the default) minus {ORDER_NAMES[other]}: "
        f"{listed}. {verdict}"
    )


def figure_paths(out: Path) -> dict[str, Path]:
    """Where the figures go."""
    return {name: out / "figures" / f"explain_{name}.png" for name in ("curves", "randomisation", "known_answer")}


def page(content: dict, figures: dict[str, str]) -> str:
    """docs/explanations.md from explanations.json. ``figures``: links to the pictures."""
    curves, randomisation, timing = content["curves"], content["randomisation"], content["time"]
    flat = ", ".join(f"{name} {value:.2f}" for name, value in curves["isoelectric_probability"].items())
    machine = timing["machine"]
    lines = [
        "# What drove an answer, and how far the picture can be trusted",
        "",
        *([SYNTHETIC_NOTICE, ""] if content["synthetic"] else []),
        f"Written by `python measure_explanations.py` from `explanations.json`: checkpoint "
        f"`{content['checkpoint_sha256'][:12]}`, fold {content['fold']} `{content['data_sha256'][:12]}`, "
        f"{content['date']}.",
        "",
        METHOD_TEXT,
        "",
        "## Deletion and insertion",
        "",
        DELETION_TEXT,
        "",
        f"{curves['answers']} answers (probability of the class at least {PRESENT:g}) on {curves['recordings']} random "
        f"recordings of {curves['patients']} patients. Area under the curve of the probability, mean and 95 % interval "
        f"({BOOTSTRAP_DRAWS} bootstrap resamples by patient). Deletion: lower is better. Insertion: higher is better.",
        "",
        *curve_table(content),
        "",
        comparison(content),
        "",
        f"What the network answers to the isoelectric lines alone, where deletion ends and insertion starts: {flat}. "
        "A flat ECG is nothing it was trained on, so a class with a high figure here keeps part of its probability "
        "whatever is taken away, and no cell is charged for that part.",
        "",
        f"![Deletion and insertion curves]({figures['curves']})",
        "",
        "## Randomisation",
        "",
        RANDOMISATION_TEXT,
        "",
        f"Mean of {randomisation['recordings']} recordings, one class each; Spearman's correlation over all cells:",
        "",
        *randomisation_table(content),
        "",
        f"![Rank correlation as the network is randomised]({figures['randomisation']})",
        "",
        "## A known answer",
        "",
        KNOWN_TEXT.format(time=content["known_answer"][0]["elevated_time"]),
        "",
        *known_table(content),
        "",
        f"![Generated ECG with ST elevation in V2-V4, shaded]({figures['known_answer']})",
        "",
        "## Time",
        "",
        f"Median of {timing['recordings']} recordings of 10 s; {machine['threads']} thread(s) on "
        f"{machine['processor']}, {timing['cores']} cores, load average {timing['load_average']:g}:",
        "",
        *time_table(content),
        "",
        LIMITS_TEXT,
    ]
    return "\n".join(lines)


METHOD_TEXT = """\
`explain.py` explains the answer that is given: the log odds of the probability averaged over the overlapping windows
of the whole recording. It cuts the recording into cells of one lead and 0.1 s and says for each how much it speaks for
a class. *Integrated gradients* sum gradients on the way from an ECG without waves to the recording; *occlusion* takes
one cell away and asks again.

Both need something that stands for "nothing there". Zeros are not that: a lead with an offset or a wandering baseline
would get a step, which is a wave of its own. A straight line between the ends of the cell is not that either: across a
raised ST segment it is raised too, and nothing has been taken away. Here it is the lead's isoelectric line, a running
median over 1 s: the waves go, offset and wander stay, and 20 ms of blending on either side leave no step."""

DELETION_TEXT = """\
Take the cells away, most important first: if the order is right, the probability falls fast. Put them into an ECG
without waves: it rises fast. Random order and the order of the largest waves, which knows no network, are the measures.
Occlusion and integrated gradients are built on the isoelectric line and are judged by it in the first two columns; the
third takes cells away in a way neither method knows."""

RANDOMISATION_TEXT = """\
A map that stays the same when the network's weights are replaced by random ones shows the recording, not the network
(Adebayo et al. 2018). From the logits down to the input, part after part is set back to random initial weights. Maps
with their signs should lose all correlation. Without signs, and among the strongest twentieth of the cells, which is
what the eye sees (0.05 in common is chance), something remains whatever the network, because no network finds much in a
flat stretch. The last row compares the trained map with the size of the waves and says how much agreement needs no
network at all: that waves are shaded and flat stretches are not shows nothing, only which waves in which leads. The
second half of that paper, networks trained on permuted labels, was not repeated."""

KNOWN_TEXT = """\
Healthy generated ECGs in which only the ST segment was raised, at some electrodes, so that Einthoven's equations hold.
What speaks for MI must then lie in the leads of those electrodes. Several territories, because a map that always lights
V2-V4 would pass with one; the rows of 0 mV show what the leads get without an elevation. *MI* is the mean probability,
*in its leads* the share of all evidence in the leads of the elevation (chance: their share of twelve), *at its times*
the share of those leads' evidence at the times of the elevation, which take up {time:.0%} of the recording. *First lead
right* and *all first* count recordings in which the ranking begins with one of the leads and with all of them.

Only chest electrodes keep an elevation to themselves. Raising the left leg's, for II, III and aVF, also lowers aVR and
aVL by a half and every chest lead by a third, so evidence in those leads is not wrong, and the inferior rows are no
strict test. Where the probability stays low, the network does not take the elevation for an infarction (healthy young
men have 0.2 mV in V2-V3), and a map cannot show a reason for what was not said."""

LIMITS_TEXT = """\
## What the maps can and cannot show

- They show what moved *this network's* answer. They are no proof of the diagnosis, and a right answer can have a wrong
  reason. A reader who finds the shaded stretch normal has learned something about the network.
- A cell is 0.1 s, and where a QRS complex lies across two cells its share is divided by chance. P, QRS, ST and T are
  not told apart.
- Leads depend on one another: III, aVR, aVL and aVF follow from I and II. The network may read a finding from any of
  them, so a lead low in the ranking may show the same finding.
- Beats repeat. One beat among ten is rarely decisive, so the shading may pick some beats of many equal ones. A rhythm,
  an interval or a missing wave has no place of its own: what is absent cannot be shaded.
- Everything is measured from the isoelectric line, not from a normal ECG. Normal waves have importance too, and what
  speaks for NORM is spread over all beats.
- In a fast rhythm the running median is drawn towards the T wave, and a little of it counts as baseline.
- The two methods ask different questions and can disagree on a recording. Where the reason matters, look at both.
- Only evidence *for* a class is shaded and ranked; `Explanation.importance` has the evidence against it too.
- Calibration comes after the log odds explained here. It is monotone, so it changes no order.
"""


def measure(data: Path, checkpoint_path: Path, records: int) -> tuple[dict, Checkpoint]:
    """The content of explanations.json, and the checkpoint. Raises DatasetError or CheckpointError."""
    checkpoint = load_checkpoint(checkpoint_path)
    if KNOWN_CLASS not in checkpoint.classes:
        raise CheckpointError(f"{checkpoint_path} does not answer {KNOWN_CLASS}; use a checkpoint that does")
    split = PTBXLDataset(data, "val", checkpoint.task, checkpoint.input_scale)
    chosen = present_recordings(checkpoint, split, records)
    if not chosen:
        raise DatasetError(f"the network finds no class in any recording of fold {VALIDATION_FOLD} in {data}")
    content = {
        "checkpoint_sha256": sha256(checkpoint_path),
        "fold": VALIDATION_FOLD,
        "data_sha256": split.fold_sha256[VALIDATION_FOLD],
        "synthetic": checkpoint.synthetic or split.is_synthetic,
        "date": date.today().isoformat(),
        "default_method": DEFAULT_METHOD,
        "cell_s": CELL_S,
        "time": measure_time(checkpoint, split, chosen[:TIMED_RECORDS]),
        "curves": measure_curves(checkpoint, split, chosen),
        "randomisation": measure_randomisation(checkpoint, split, chosen[:RANDOMISED_RECORDS]),
        "known_answer": measure_known_answer(checkpoint),
    }
    return content, checkpoint


def write_results(content: dict, checkpoint: Checkpoint, out: Path) -> list[Path]:
    """JSON, figures and page; returns the paths written."""
    results, figures = out / "explanations.json", figure_paths(out)
    text = (PROJECT / "docs" if out.resolve() == DEFAULT_OUT else out) / "explanations.md"
    write_text(results, json.dumps(content, indent=1) + "\n")
    drawn = (draw_curves(content), draw_randomisation(content), draw_known_answer(checkpoint))
    for path, figure in zip(figures.values(), drawn, strict=True):
        with replacing(path) as unfinished:
            figure.savefig(unfinished, dpi=130)
    links = {name: Path(os.path.relpath(path, text.parent)).as_posix() for name, path in figures.items()}
    write_text(text, page(content, links))
    return [results, *figures.values(), text]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--checkpoint", default=str(DEFAULT_OUT / "multilabel_best.pth"), help="(default: %(default)s)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where files go (default: %(default)s)")
    parser.add_argument("--records", type=int, default=40, help="of fold 9, for the curves (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.records < 1 or arguments.threads < 1:
        parser.error("--records and --threads are at least 1")
    torch.set_num_threads(arguments.threads)
    try:
        content, checkpoint = measure(data_directory(arguments.data), Path(arguments.checkpoint), arguments.records)
        written = write_results(content, checkpoint, Path(arguments.out))
    except (DatasetError, CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join([*curve_table(content), "", *known_table(content), "", *time_table(content), ""]))
    print("\n".join(f"written: {path}" for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
