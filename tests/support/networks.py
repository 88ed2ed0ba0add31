"""Networks small enough for tests that run them hundreds of times."""

import torch

from config import BINARY_TASKS, SUPERCLASSES, Outputs
from ecg.statements import CODES
from models.checkpoint import Checkpoint
from models.recording_network import RecordingNetwork, make_network

NARROW = {"lead_channels": (2, 4), "group_channels": 8, "heart_channels": 16, "heart_kernels": (3,)}
NARROW_ANY_LEADS = NARROW | {"any_leads": True}
FIVE = Outputs(classes=SUPERCLASSES)
ALL = Outputs(classes=SUPERCLASSES, statements=CODES, binary_tasks=BINARY_TASKS)


def narrow_network(outputs: Outputs = FIVE, branch: bool = False, arguments: dict = NARROW) -> RecordingNetwork:
    """A narrow HMT-ECGNet with random weights, whose probabilities are far from 0.5 and differ between windows."""
    torch.manual_seed(0)
    network = make_network("hmt_ecgnet", arguments, outputs, 2.5, 1.25, branch).eval()
    with torch.no_grad():
        network.trunk.head.weight *= 300
    return network


def checkpoint_of(network: RecordingNetwork, **changes) -> Checkpoint:
    """A checkpoint of a `narrow_network`."""
    facts = {
        "task": "multilabel",
        "classes": network.outputs.classes,
        "statements": network.outputs.statements,
        "binary_tasks": network.outputs.binary_tasks,
        "branch": network.branch is not None,
        "model": "hmt_ecgnet",
        "model_arguments": NARROW,
        "weights": network.state_dict(),
        "input_scale": 0.235,
        "window_s": 2.5,
        "stride_s": 1.25,
        "training": {},
        "seed": 0,
        "epoch": 1,
        "metrics": {},
        "data_sha256": {},
        "synthetic": True,
        "revision": "",
        "machine": {},
    }
    return Checkpoint(**{**facts, **changes})
