"""Do the maps change when weights are random? Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018."""

import copy

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from tqdm import tqdm

from dataset import PTBXLDataset
from inference.explain import METHODS, explain
from models.checkpoint import Checkpoint
from models.recording_network import RecordingNetwork
from tools.explanations.curves import wave_sizes


def randomised(network: RecordingNetwork, seed: int) -> dict[str, RecordingNetwork]:
    """Copies of a network in which more and more of its trunk is untrained, from the logits down to the input.

    The key is the part that was last set back to random initial weights; all parts above it are random too.
    """
    stages, current = {}, copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, part in reversed(list(current.trunk.named_children())):
            if not list(part.parameters()):
                continue
            for module in part.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            stages[name] = copy.deepcopy(current)
    return stages


def randomisation_check(checkpoint: Checkpoint, split: PTBXLDataset, chosen: list[tuple[int, np.ndarray]]) -> dict:
    """Mean agreement of the maps of trained and randomised networks, by method and stage; see `agreement`.

    "amplitude" compares the trained network's map with the size of the waves, which no network is needed for.
    """
    network, rows = checkpoint.network(), []
    for number, outputs in tqdm(chosen, desc="randomisation", unit="ECG"):
        (signal,) = split.signals([number])
        classes = (checkpoint.classes[outputs[0]],)
        networks = {"trained": network, **randomised(network, seed=number)}
        for method in METHODS:
            maps = {
                name: explain(net, signal, explained=classes, method=method).importance[0]
                for name, net in networks.items()
            }
            trained = maps.pop("trained")
            for stage, other in {**maps, "amplitude": wave_sizes(signal)}.items():
                rows.append({"method": method, "stage": stage} | agreement(trained, other))
    means = pd.DataFrame(rows).groupby(["method", "stage"], sort=False).mean().round(3)
    return {
        "recordings": len(chosen),
        "agreement": {method: means.loc[method].to_dict("index") for method in METHODS},
    }


def agreement(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Of two maps ``(12, cells)``: Spearman's correlation, the same without signs, overlap of the strongest cells.

    The overlap is the share of one map's strongest twentieth, which is what the eye sees, that is the other's too.
    """
    count = one.size // 20
    strongest = (np.argsort(-importance, axis=None, kind="stable")[:count] for importance in (one, other))
    return {
        "signed": rank_correlation(one, other),
        "absolute": rank_correlation(np.abs(one), np.abs(other)),
        "strongest": np.intersect1d(*strongest).size / count,
    }


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation over all cells; 0 where a map is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other, axis=None).statistic)
