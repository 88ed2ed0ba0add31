"""Healthy generated ECGs with ST elevated at chosen electrodes: is the evidence for MI where the elevation is?"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
from tqdm import tqdm

from config import LEADS, SAMPLING_RATE
from ecg.preprocessing import model_input
from ecg.recording import Recording
from ecg.synthetic.case import FEMALE, MALE, Case, Truth
from ecg.synthetic.noise import ELECTRODES, leads_from_electrodes
from ecg.synthetic.simulation import synthesise
from inference.explain import DEFAULT_METHOD, METHODS, Explanation, cell_edges, explain
from models.checkpoint import Checkpoint

CASES = 6
ELEVATED_CLASS = "MI"
TERRITORIES = {  # electrodes that see the elevation, and the leads that must show it
    "anterior": (("V2", "V3", "V4"), ("V2", "V3", "V4")),
    "lateral": (("V5", "V6"), ("V5", "V6")),
    "inferior": (("LL",), ("II", "III", "aVF")),
}
ELEVATIONS_MV = (0.0, 0.2, 0.5, 0.8)


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
    return replace(recording, signal=signal), course > 0


def known_elevations(checkpoint: Checkpoint) -> list[dict]:
    """For each territory and height: the probability, and how much of the evidence lies where the elevation is."""
    network, rows = checkpoint.network(), []
    conditions = list(product(TERRITORIES.values(), ELEVATIONS_MV))
    for (electrodes, leads), millivolts in tqdm(conditions, desc="ST elevations", unit="condition"):
        recordings, elevated = zip(*(with_elevation(n, electrodes, millivolts) for n in range(CASES)), strict=True)
        signals = [model_input(recording, checkpoint.input_scale) for recording in recordings]
        maps = {
            method: [explain(network, signal, explained=(ELEVATED_CLASS,), method=method) for signal in signals]
            for method in METHODS
        }
        probabilities = [explanation.probabilities[0] for explanation in maps[DEFAULT_METHOD]]
        rows.append(
            {
                "leads": list(leads),
                "millivolts": millivolts,
                "cases": CASES,
                "probability": round(float(np.mean(probabilities)), 3),
                "elevated_time": round(float(np.mean(elevated)), 3),
                "methods": {method: found_by(explanations, elevated, leads) for method, explanations in maps.items()},
            }
        )
    return rows


def found_by(explanations: list[Explanation], elevated: Sequence[np.ndarray], leads: tuple[str, ...]) -> dict:
    """How well one method finds the elevation in these leads.

    elevated: when the elevation is in each recording, bool ``(samples,)``.
    lead_share: of all evidence, that in the leads.
    top_lead: cases whose first lead in the ranking is one of them. all_first: cases in which all come before the rest.
    time_share: of the evidence in the leads, that at the times of the elevation.
    """
    numbers = [LEADS.index(lead) for lead in leads]
    rows = []
    for explanation, when in zip(explanations, elevated, strict=True):
        evidence = explanation.evidence(ELEVATED_CLASS)[numbers].sum(axis=0)
        edges = cell_edges(len(when))
        inside = np.add.reduceat(when, edges[:-1], dtype=float) / np.diff(edges)
        ranking = [lead for lead, _ in explanation.ranked_leads(ELEVATED_CLASS)]
        rows.append(
            {
                "lead_share": explanation.lead_shares(ELEVATED_CLASS)[numbers].sum(),
                "top_lead": bool(set(ranking[:1]) & set(leads)),
                "all_first": set(ranking[: len(leads)]) == set(leads),
                "time_share": evidence @ inside / (evidence.sum() or 1.0),
            }
        )
    found = pd.DataFrame(rows)
    counts = found[["top_lead", "all_first"]].sum().to_dict()
    return found[["lead_share", "time_share"]].mean().round(3).to_dict() | counts
