"""Deletion and insertion curves (Petsiuk, Das and Saenko, "RISE", BMVC 2018) of both methods and simple orders."""

from functools import partial

import numpy as np
from tqdm import tqdm

from dataset import PTBXLDataset
from ecg.stretches import predict_probabilities
from evaluation.bootstrap import point_and_interval, value_and_replicate_weights
from inference.explain import DEFAULT_METHOD, METHODS, blend, cell_edges, explain, isoelectric_line
from models.checkpoint import Checkpoint, probabilities_function

PRESENT = 0.5  # probability from which a class counts as predicted
ORDERS = (*METHODS, "amplitude", "random")
CURVES = ("deletion", "insertion", "deletion_line")
FRACTIONS = np.linspace(0, 1, 17) ** 2  # of the cells; dense at the start, where the orders differ


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


def curves(probabilities_of, signal: np.ndarray, importance: np.ndarray) -> dict[str, np.ndarray]:
    """Probabilities ``(steps, classes)`` as cells are taken away or put in, most important first, for `CURVES`.

    probabilities_of: maps signals ``(n, 12, samples)`` to probabilities ``(n, classes)``.
    """
    chosen, isoelectric = chosen_samples(importance, signal.shape[1]), isoelectric_line(signal)
    changed = {
        "deletion": blend(signal, isoelectric, chosen),
        "insertion": blend(isoelectric, signal, chosen),
        "deletion_line": np.stack([straight_line(signal, step) for step in chosen]),
    }
    return {name: probabilities_of(signals) for name, signals in changed.items()}


def wave_sizes(signal: np.ndarray) -> np.ndarray:
    """The order that knows no network: mean distance of each cell from the isoelectric line, ``(12, cells)``."""
    edges = cell_edges(signal.shape[1])
    return np.add.reduceat(np.abs(signal - isoelectric_line(signal)), edges[:-1], axis=1) / np.diff(edges)


def present_recordings(checkpoint: Checkpoint, split: PTBXLDataset, records: int) -> list[tuple[int, np.ndarray]]:
    """Random recordings of the split with a class present: their numbers and the classes' numbers."""
    probabilities_of, found = probabilities_function(checkpoint.network()), []
    for number in np.random.default_rng(0).permutation(len(split)):
        signals = split.signals([number])
        probabilities = predict_probabilities(probabilities_of, signals)[0, : len(checkpoint.classes)]
        if (probabilities >= PRESENT).any():
            found.append((int(number), np.flatnonzero(probabilities >= PRESENT)))
        if len(found) == records:
            break
    return found


def deletion_and_insertion(checkpoint: Checkpoint, split: PTBXLDataset, chosen: list[tuple[int, np.ndarray]]) -> dict:
    """Area under each curve for each order, with the mean curves.

    chosen: see `present_recordings`. There is one curve for each recording and class found in it.
    """
    network = checkpoint.network()
    probabilities = partial(predict_probabilities, probabilities_function(network))
    rng, patients, isoelectric, found = np.random.default_rng(0), [], [], []
    for number, outputs in tqdm(chosen, desc="deletion and insertion", unit="ECG"):
        (signal,) = split.signals([number])
        isoelectric.append(probabilities(isoelectric_line(signal)[None])[0])
        classes = tuple(checkpoint.classes[output] for output in outputs)
        explained = [explain(network, signal, explained=classes, method=method).importance for method in METHODS]
        amplitude = wave_sizes(signal)
        for k, output in enumerate(outputs):
            orders = [*(importance[k] for importance in explained), amplitude, rng.random(amplitude.shape)]
            by_order = [list(curves(probabilities, signal, importance).values()) for importance in orders]
            found.append(np.array(by_order)[..., output])
            patients.append(split.patient_ids[number])
    found = np.array(found)  # (predictions, orders, curves, steps)
    areas = dict(zip(ORDERS, np.trapezoid(found, FRACTIONS).swapaxes(0, 1), strict=True))
    (other,) = set(METHODS) - {DEFAULT_METHOD}
    weights = value_and_replicate_weights(np.array(patients))
    mean = found.mean(axis=0).round(4).tolist()
    return {
        "answers": len(patients),
        "recordings": len(chosen),
        "patients": len(set(patients)),
        "isoelectric_probability": dict(
            zip(
                checkpoint.classes,
                np.mean(isoelectric, axis=0)[: len(checkpoint.classes)].round(3).tolist(),
                strict=True,
            )
        ),
        "fractions": FRACTIONS.round(4).tolist(),
        "area": {order: with_intervals(values, weights) for order, values in areas.items()},
        "default_minus_other": with_intervals(areas[DEFAULT_METHOD] - areas[other], weights),
        "mean_curve": {order: dict(zip(CURVES, rows, strict=True)) for order, rows in zip(ORDERS, mean, strict=True)},
    }


def with_intervals(areas: np.ndarray, weights: np.ndarray) -> dict[str, dict]:
    """Means of areas ``(n, curves)`` with their 95 % intervals. weights: of `value_and_replicate_weights`."""
    means = weights @ areas / weights.sum(axis=1, keepdims=True)
    return {name: point_and_interval(mean) for name, mean in zip(CURVES, means.T, strict=True)}
