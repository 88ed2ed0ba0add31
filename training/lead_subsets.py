"""Which leads an any-leads network is shown of each training recording, and what its branch sees of them.

A crop comes with a few subsets, drawn anew each time: the canonical sets of `ecg.lead_sets` often, a random
subset sometimes. The subsets are drawn once for each recording, so that the statistics of the whole recording, which
depend on the leads there are, need to be computed once only.
"""

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from config import LEADS
from dataset import PTBXLDataset
from ecg.lead_sets import presence, seen_leads
from models.recording_branch import rr_statistics, voltages
from models.recording_network import RecordingNetwork

SHARES = {  # of the recordings in a batch
    "12": 0.10,
    "11": 0.13,
    "limb": 0.15,
    "I,II,V2": 0.14,
    "I,II,V5": 0.10,
    "I": 0.12,
    "II": 0.06,
    "V1": 0.06,
    "V5": 0.06,
}
RANDOM_SUBSETS = 4  # a recording; one of them is drawn as often as the shares leave
CHUNK = 128  # recordings in memory at a time


@dataclass(frozen=True, eq=False, kw_only=True)
class LeadSubsets:
    """The subsets of each training recording.

    present: bool ``(recordings, subsets, 12)``. statistics: ``(recordings, subsets, 41)``, of a `RecordingBranch`, or
    no columns without one. shares: ``(subsets,)``, how often each is drawn.
    """

    present: torch.Tensor
    statistics: torch.Tensor
    shares: torch.Tensor

    def draw(self, rows: torch.Tensor, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Subsets of some recordings: present ``(count * len(rows), 12)`` as float, and their statistics.

        All recordings with their first subset come first, as `HMTECGNet.forward` wants them.
        """
        rows = rows.repeat(count)
        chosen = torch.multinomial(self.shares, len(rows), replacement=True, generator=generator)
        return self.present[rows, chosen].float(), self.statistics[rows, chosen]


def make_lead_subsets(network: RecordingNetwork, train: PTBXLDataset, seed: int, progress: bool) -> LeadSubsets:
    """Subsets of every training recording, the random ones drawn by the seed, and their statistics; a few minutes."""
    present = draw_subsets(train.ecg_ids, seed)
    statistics = torch.zeros(*present.shape[:2], 0)
    if network.branch is not None:
        starts = tqdm(range(0, len(train), CHUNK), desc="statistics of subsets of leads", disable=not progress)
        parts = [np.arange(first, min(first + CHUNK, len(train))) for first in starts]
        statistics = torch.cat(
            [subset_statistics(network, torch.from_numpy(train.signals(part)), present[part]) for part in parts]
        )
    random_share = (1 - sum(SHARES.values())) / RANDOM_SUBSETS
    shares = torch.tensor([*SHARES.values(), *[random_share] * RANDOM_SUBSETS])
    return LeadSubsets(present=present, statistics=statistics, shares=shares)


def draw_subsets(ecg_ids: np.ndarray, seed: int) -> torch.Tensor:
    """Bool ``(recordings, subsets, 12)``: the canonical sets in the order of `SHARES`, then random ones.

    A random subset has any number of the twelve leads, each number as often, and the limb leads that follow from them.
    """
    rng = np.random.default_rng(seed)
    canonical = [presence(name, ecg_ids) for name in SHARES]
    shape = len(ecg_ids), RANDOM_SUBSETS
    rank = rng.permuted(np.tile(np.arange(len(LEADS)), (*shape, 1)), axis=2)
    recorded = rank < rng.integers(1, len(LEADS) + 1, (*shape, 1))
    seen = np.stack([seen_leads(leads) for leads in recorded.reshape(-1, len(LEADS))]).reshape(recorded.shape)
    return torch.from_numpy(np.concatenate([np.stack(canonical, axis=1), seen], axis=1))


@torch.inference_mode()
def subset_statistics(network: RecordingNetwork, signals: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """`RecordingBranch.statistics` of recordings ``(n, 12, samples)`` for each of their subsets, ``(n, subsets, 41)``.

    What the detector makes of each lead is computed once and serves every subset.
    """
    device, detector = next(network.parameters()).device, network.branch.detector
    signals = signals.to(device)
    relative, usual_peak = detector.of_each_lead(signals)
    heights, columns = voltages(signals), []
    nothing = voltages(torch.zeros_like(signals))
    for subset in present.to(device).unbind(1):
        there = subset[:, None, :, None].to(signals.dtype)
        found = detector.find(detector.merge_leads(relative * there, usual_peak * there))
        both = torch.cat([subset, subset], dim=1)  # voltages above and below the mean
        columns.append(torch.cat([rr_statistics(found), torch.where(both, heights, nothing)], dim=1))
    return torch.stack(columns, dim=1).cpu().clone()
