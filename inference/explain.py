"""Which leads and which milliseconds drove a prediction.

    checkpoint = load_checkpoint("artifacts/multilabel_best.pth")
    signal = model_input(recording, checkpoint.input_scale)
    why = explain(checkpoint.network(), signal)
    why.ranked_leads("MI")                           # [("V2", 0.31), ("V3", 0.22), ...]
    draw(recording, shading=why.spans("MI"))         # ecg.plotting.draw

What is explained is the log odds of a recording's probability, before calibration, which is monotone. The branch on
the whole recording (`models.recording_branch`) is held at what it says of the recording itself: whether a beat is found
does not change gradually, so RR intervals have no gradient; the page draws them instead. The recording is cut into
cells of one lead and 0.1 s. A cell's importance is in log odds, positive where it speaks for the class.

integrated_gradients: gradients summed along the straight path from the isoelectric lines to the recording
    (Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017), by captum. A cell's importance
    is the sum over its samples, so all cells add up to the recording's log odds less those of its isoelectric lines.
occlusion: how far the log odds fall when the cell alone is replaced by its lead's isoelectric line (Zeiler and Fergus,
    "Visualizing and understanding convolutional networks", ECCV 2014). It needs predictions only.

Both remove the waves and leave the rest. Zeros would put a step into every lead with an offset or a wandering
baseline, and a straight line between the ends of a raised ST segment would leave the elevation standing.
docs/explanations.md has the measurements behind the default, and what such maps cannot show.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients
from scipy.ndimage import maximum_filter1d, median_filter, uniform_filter1d
from scipy.special import expit

from config import LEADS, SAMPLING_RATE, Outputs
from ecg.plotting.layout import Span
from models.recording_network import RecordingNetwork

METHODS = ("integrated_gradients", "occlusion")
DEFAULT_METHOD = "integrated_gradients"
CELL_S = 0.1  # about one QRS complex
ISOELECTRIC_S = 1.0  # a heartbeat or more, most of it spent on the isoelectric line
PATH_STEPS = 32  # of the integral; the cells then add up to within a few hundredths of a log odds
BATCH_SAMPLES = 16_000  # a lead, in memory at a time
SMALLEST = 1e-6  # probabilities are kept this far from 0 and 1 before a logarithm
LEAST_STRENGTH = 0.1  # of the strongest cell: what is paler is not shaded


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a recording got its probabilities.

    classes: the classes explained. probabilities: ``(classes,)``, uncalibrated, of the whole recording.
    importance: float64 ``(classes, 12, cells)`` in log odds, leads in the order of ``config.LEADS``.
    edges_s: ``(cells + 1,)`` where the cells begin and end, in s; the same for every lead.
    method: one of ``METHODS``.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    importance: np.ndarray
    edges_s: np.ndarray
    method: str

    def evidence(self, name: str) -> np.ndarray:
        """What speaks for a class: its importance with negative values as zero, ``(12, cells)``."""
        return np.maximum(self.importance[self.classes.index(name)], 0)

    def lead_shares(self, name: str) -> np.ndarray:
        """Each lead's share of what speaks for a class, ``(12,)``; sums to 1, or is 0 if nothing speaks for it."""
        leads = self.evidence(name).sum(axis=1)
        return leads / (leads.sum() or 1.0)

    def ranked_leads(self, name: str) -> list[tuple[str, float]]:
        """The leads that speak for a class and their shares, largest first."""
        shares = self.lead_shares(name)
        return [(LEADS[lead], float(shares[lead])) for lead in np.argsort(-shares, kind="stable") if shares[lead] > 0]

    def spans(self, name: str) -> list[Span]:
        """Shading for `ecg.plotting.draw.draw`: the cells that speak for a class, as strong as their importance.

        The strongest cell has strength 1; cells below a tenth of it are left out.
        """
        strength = self.evidence(name)
        strength = strength / (strength.max() or 1.0)
        return [
            Span(
                lead=LEADS[lead],
                start_s=float(self.edges_s[cell]),
                end_s=float(self.edges_s[cell + 1]),
                strength=float(strength[lead, cell]),
            )
            for lead, cell in np.argwhere(strength >= LEAST_STRENGTH)
        ]


def explain(
    network: RecordingNetwork,
    signal: np.ndarray,
    *,
    explained: tuple[str, ...] | None = None,
    method: str = DEFAULT_METHOD,
) -> Explanation:
    """Explain a network's probabilities for one recording.

    network: in evaluation mode, as from `Checkpoint.network`.
    signal: float32 ``(12, samples)`` at 100 Hz from `ecg.preprocessing.model_input`.
    explained: classes and codes of statements, see `output_names`; the classes unless given. Integrated gradients take
        time for each one, occlusion takes the same time for all.
    method: one of ``METHODS``.

    Raises ValueError for a signal that `model_input` would not return, and for unknown classes and methods.
    """
    names = output_names(network.outputs)
    explained = tuple(network.outputs.classes if explained is None else explained)
    if signal.ndim != 2 or len(signal) != len(LEADS) or not np.isfinite(signal).all():
        raise ValueError(f"only {len(LEADS)} leads x samples of numbers can be explained; use model_input")
    if unknown := set(explained) - set(names):
        raise ValueError(f"the network has no class {', '.join(sorted(unknown))}; it has {', '.join(names)}")
    if method not in METHODS:
        raise ValueError(f"the method is one of {', '.join(METHODS)}, not {method!r}")
    outputs = [names.index(name) for name in explained]
    log_odds = log_odds_function(network, signal)
    recording = torch.from_numpy(signal)[None].to(next(network.parameters()).device)
    with torch.inference_mode():
        of_recording = log_odds(recording)[0].double().cpu().numpy()
    if method == "occlusion":
        importance = occlusion(log_odds, signal, of_recording)[outputs]
    else:
        importance = integrated_gradients(log_odds, signal, recording.device, outputs)
    return Explanation(
        classes=explained,
        probabilities=expit(of_recording)[outputs],
        importance=importance,
        edges_s=cell_edges(signal.shape[1]) / SAMPLING_RATE,
        method=method,
    )


def output_names(outputs: Outputs) -> tuple[str, ...]:
    """Names of a network's outputs; the statement NORM, which is called like the class, is "NORM (statement)"."""
    statements = (f"{code} (statement)" if code in outputs.classes else code for code in outputs.statements)
    return (*outputs.classes, *statements, *outputs.binary_tasks)


def log_odds_function(network: RecordingNetwork, signal: np.ndarray) -> Callable[[torch.Tensor], torch.Tensor]:
    """Log odds ``(batch, outputs)`` of altered copies ``(batch, 12, samples)`` of a signal ``(12, samples)``."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        statistics = network.statistics(torch.from_numpy(signal)[None].to(device)).clone()

    def log_odds(recordings: torch.Tensor) -> torch.Tensor:
        return torch.logit(network.read(recordings, statistics.expand(len(recordings), -1)), eps=SMALLEST)

    return log_odds


# -- What takes the place of a wave -----------------------------------------------------------------------------------


def isoelectric_line(signal: np.ndarray) -> np.ndarray:
    """Each lead's running median over 1 s: the baseline with its slow wander, without the waves.

    A heartbeat spends most of its time on the isoelectric line, so the median lies there; in a fast rhythm it can be
    drawn towards the T wave. float32, same shape and unit.
    """
    size = round(ISOELECTRIC_S * SAMPLING_RATE) + 1
    return median_filter(signal, size=(1, size), mode="reflect").astype(np.float32)


def blend(signal: np.ndarray, other: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """``signal`` with the chosen samples taken from ``other``, which fades in over 20 ms on either side of them.

    signal, other: float32 ``(..., samples)``. chosen: bool, of a shape that broadcasts with theirs.
    """
    share = uniform_filter1d(maximum_filter1d(chosen.astype(np.float32), 3), 3)
    return signal + share * (other - signal)


def cell_edges(samples: int) -> np.ndarray:
    """First samples of a lead's cells and then the number of samples; the last cell may be shorter than the rest."""
    return np.append(np.arange(0, samples, round(CELL_S * SAMPLING_RATE)), samples)


# -- The two methods --------------------------------------------------------------------------------------------------


def integrated_gradients(
    log_odds: Callable[[torch.Tensor], torch.Tensor], signal: np.ndarray, device: torch.device, outputs: list[int]
) -> np.ndarray:
    """Importance ``(outputs, 12, cells)`` from gradients, for the module's first method.

    log_odds: of `log_odds_function`. signal: as for `explain`. outputs: indices of those to explain.
    """
    recording, isoelectric = (torch.from_numpy(array)[None].to(device) for array in (signal, isoelectric_line(signal)))
    gradients = IntegratedGradients(log_odds)
    at_a_time = max(BATCH_SAMPLES // signal.shape[1], 1)
    attributions = [
        gradients.attribute(recording, isoelectric, target=output, n_steps=PATH_STEPS, internal_batch_size=at_a_time)
        for output in outputs
    ]
    samples = torch.cat(attributions).double().cpu().numpy()
    return np.add.reduceat(samples, cell_edges(signal.shape[1])[:-1], axis=-1)


@torch.inference_mode()
def occlusion(
    log_odds: Callable[[torch.Tensor], torch.Tensor], signal: np.ndarray, of_recording: np.ndarray
) -> np.ndarray:
    """Importance ``(outputs, 12, cells)`` from predictions, for the module's second method.

    log_odds: of `log_odds_function`. signal: as for `explain`. of_recording: its own log odds ``(outputs,)``.
    """
    edges = cell_edges(signal.shape[1])
    number = np.arange(signal.shape[1])
    cells = (number >= edges[:-1, None]) & (number < edges[1:, None])
    isoelectric = isoelectric_line(signal)
    occluded = np.empty((len(LEADS), len(cells), len(of_recording)))
    at_a_time = max(BATCH_SAMPLES // signal.shape[1], 1)
    for lead in range(len(LEADS)):
        if not signal[lead].any():  # a missing lead has nothing to take away
            occluded[lead] = of_recording
            continue
        for first in range(0, len(cells), at_a_time):
            chosen = cells[first : first + at_a_time]
            batch = np.tile(signal, (len(chosen), 1, 1))
            batch[:, lead] = blend(signal[lead], isoelectric[lead], chosen)
            occluded[lead, first : first + len(chosen)] = log_odds(torch.from_numpy(batch)).double().cpu().numpy()
    return np.moveaxis(of_recording - occluded, -1, 0)
