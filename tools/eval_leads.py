"""How good the same weights are when leads are missing.

    python tools/eval_leads.py                                  # fold 9, the shipped network
    python tools/eval_leads.py --split test --checkpoint other.pth

Missing leads are zeros, as every reader leaves them. Two of I, II and III give all six limb leads exactly, so "I, II"
is evaluated with six and "I, II, V2" with seven. Writes lead_sets_SPLIT.json.
"""

import argparse
import json
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs as a file too, not only as ``-m tools.eval_leads``

import numpy as np
import torch
from torch import nn

from config import LEADS, LIMB_LEADS, SPLIT_FOLDS, SYNTHETIC_NOTICE
from dataset import PTBXLDataset
from evaluation.bootstrap import BOOTSTRAP_DRAWS, point_and_interval, value_and_replicate_weights
from evaluation.cli import add_shared_flags
from evaluation.metrics import auroc_and_auprc
from evaluation.predictions import load_task, predict_split
from files import sha256, write_text
from inference.decisions import task_probabilities
from models.checkpoint import Checkpoint, CheckpointError
from models.recording_network import RecordingNetwork
from ptbxl.index import DatasetError

LEAD_SETS = {"twelve leads": LEADS, "I, II, V2": (*LIMB_LEADS, "V2"), "I, II": LIMB_LEADS, "I": ("I",)}


class OnlyLeads(nn.Module):
    """A network that is shown some leads, and zeros for the others."""

    def __init__(self, network: RecordingNetwork, leads: tuple[str, ...]):
        super().__init__()
        self.network, self.outputs = network, network.outputs
        self.register_buffer("present", torch.tensor([float(lead in leads) for lead in LEADS])[:, None])

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        return self.network(signals * self.present)


def macro_areas(checkpoint: Checkpoint, split: PTBXLDataset, leads: tuple[str, ...]) -> dict:
    """Macro AUROC and AUPRC on labelled recordings, each with its interval."""
    labelled = np.flatnonzero(split.labelled)
    outputs = predict_split(OnlyLeads(checkpoint.network(), leads), split, labelled)
    probabilities = task_probabilities(checkpoint.outputs, outputs, split.task)
    weights = value_and_replicate_weights(split.patient_ids[labelled])
    columns = zip(probabilities.T, split.targets[labelled].T, strict=True)
    areas = [auroc_and_auprc(scores, targets, weights) for scores, targets in columns]
    auroc, auprc = np.mean(areas, axis=0)
    return {"auroc": point_and_interval(auroc), "auprc": point_and_interval(auprc)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    parser.add_argument(
        "--split", default="val", choices=("val", "test"), help="val: fold 9; test: fold 10 (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)
    try:
        path, checkpoint, split = load_task(arguments, "multilabel", arguments.split)
        sets = {}
        for name, leads in LEAD_SETS.items():
            sets[name] = {"leads": list(leads), **macro_areas(checkpoint, split, leads)}
            auroc, auprc = sets[name]["auroc"]["value"], sets[name]["auprc"]["value"]
            print(f"{name:14} AUROC {auroc:.4f}  AUPRC {auprc:.4f}", flush=True)
        content = {
            "split": arguments.split,
            "fold": SPLIT_FOLDS[arguments.split][0],
            "n": int(split.labelled.sum()),
            "model": checkpoint.model,
            "checkpoint_sha256": sha256(path),
            "data_sha256": split.fold_sha256,
            "synthetic": checkpoint.synthetic or split.is_synthetic,
            "intervals": f"95 %, {BOOTSTRAP_DRAWS} bootstrap resamples by patient",
            "date": date.today().isoformat(),
            "lead_sets": sets,
        }
        write_text(Path(arguments.out) / f"lead_sets_{arguments.split}.json", json.dumps(content, indent=1) + "\n")
    except (DatasetError, CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
