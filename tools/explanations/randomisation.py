"""Do the maps change when weights are random? Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018."""

import copy

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn
from tqdm import tqdm

from dataset import PTBXLDataset
from inference.explain import METHODS
from models.checkpoint import Checkpoint
from tools.explanations.curves import wave_sizes, why

AGREEMENTS = ("signed", "absolute", "strongest")


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


def randomisation_check(checkpoint: Checkpoint, split: PTBXLDataset, chosen: list[tuple[int, np.ndarray]]) -> dict:
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
                stage: dict(zip(AGREEMENTS, np.mean(rows, axis=0).round(3).tolist(), strict=True))
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
