"""How fast networks train, ours and the ResNet-1D in turn on the same recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from config import MULTILABEL_RECIPE
from dataset import PTBXLDataset
from models import count_parameters
from models.provenance import machine_facts
from models.recording_network import make_network
from training.cli import computes_bfloat16
from training.loop import start_state, train_epoch
from training.objective import outputs_of

MODELS = ("hmt_ecgnet", "resnet1d")


def training_speed(data: Path, rounds: int, records: int) -> dict:
    """Records per second of whole training steps (crops, augmentation, optimiser, moving average).

    Each round trains every network on the same records in turn. The median over rounds is what this
    machine gave; the fastest round is what it gives when nothing else disturbs it.
    """
    config = replace(MULTILABEL_RECIPE, epochs=rounds + 1)
    train = PTBXLDataset(data, "train").first(records)
    bfloat16 = computes_bfloat16(torch.device("cpu"))
    networks = {
        name: make_network(name, {}, outputs_of(config), config.window_s, config.stride_s, config.branch)
        for name in MODELS
    }
    states = {name: start_state(network, train, config) for name, network in networks.items()}
    rows = {name: [] for name in MODELS}
    for round_number in range(rounds + 1):
        for name, state in states.items():
            rows[name].append(train_epoch(state, train, config, round_number, bfloat16, progress=False))
            print(f"round {round_number}  {name:12} {rows[name][-1]['records_per_s']:7.1f} records/s", flush=True)
    return {
        "machine": machine_facts(),
        "precision": "bfloat16" if bfloat16 else "float32",
        "batch_size": config.batch_size,
        "window_s": config.window_s,
        "synthetic": train.is_synthetic,
        "networks": [
            {
                "model": name,
                "parameters": count_parameters(networks[name]),
                # the first round warms up
                "records_per_s": float(np.median([row["records_per_s"] for row in rows[name][1:]])),
                "fastest_round_records_per_s": max(row["records_per_s"] for row in rows[name][1:]),
                "data_share": float(np.median([row["data_share"] for row in rows[name][1:]])),
            }
            for name in MODELS
        ],
    }
