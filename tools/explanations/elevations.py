"""Healthy generated ECGs with ST elevated at chosen electrodes: is the evidence for MI where the elevation is?"""

from dataclasses import replace

import numpy as np
from tqdm import tqdm

from config import LEADS, SAMPLING_RATE
from ecg.preprocessing import model_input
from ecg.recording import Recording
from ecg.synthetic.case import FEMALE, MALE, Case, Truth
from ecg.synthetic.dipole import ELECTRODES, leads_from_electrodes
from ecg.synthetic.simulation import synthesise
from inference.explain import DEFAULT_METHOD, METHODS, Explanation, cell_edges
from models.checkpoint import Checkpoint
from tools.explanations.curves import why

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


def explained_cases(checkpoint: Checkpoint, electrodes: tuple[str, ...], millivolts: float) -> list[tuple]:
    """When the elevation is in each generated ECG, ``(samples,)``, and why MI, by method."""
    network, found = checkpoint.network(), []
    for number in range(CASES):
        recording, elevated = with_elevation(number, electrodes, millivolts)
        signal = model_input(recording, checkpoint.input_scale)
        found.append(
            (elevated, {method: why(checkpoint, network, signal, (ELEVATED_CLASS,), method) for method in METHODS})
        )
    return found


def known_elevations(checkpoint: Checkpoint) -> list[dict]:
    """For each territory and height: the probability, and how much of the evidence lies where the elevation is."""
    plain, rows = explained_cases(checkpoint, (), 0.0), []
    conditions = [(territory, height) for territory in TERRITORIES for height in ELEVATIONS_MV]
    for territory, height in tqdm(conditions, desc="ST elevations", unit="condition"):
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
                    method: found_by([(elevated, maps[method]) for elevated, maps in cases], leads)
                    for method in METHODS
                },
            }
        )
    return rows


def found_by(cases: list[tuple[np.ndarray, Explanation]], leads: tuple[str, ...]) -> dict:
    """How well one method finds the elevation in these leads.

    lead_share: of all evidence, that in the leads.
    top_lead: cases whose first lead in the ranking is one of them. all_first: cases in which all come before the rest.
    time_share: of the evidence in the leads, that at the times of the elevation.
    """
    numbers = [LEADS.index(lead) for lead in leads]
    rows = []
    for elevated, explanation in cases:
        evidence = explanation.evidence(ELEVATED_CLASS)[numbers].sum(axis=0)
        edges = cell_edges(len(elevated))
        inside = np.add.reduceat(elevated, edges[:-1], dtype=float) / np.diff(edges)
        ranking = [lead for lead, _ in explanation.ranked_leads(ELEVATED_CLASS)]
        lead_share = explanation.lead_shares(ELEVATED_CLASS)[numbers].sum()
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
