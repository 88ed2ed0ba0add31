"""What the whole project agrees on: label space, lead order, sampling rate, paths, training defaults.

Nothing here is computed from data and nothing is imported but the standard library,
so every other module may import this one.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS, CHEST_LEADS = LEADS[:6], LEADS[6:]

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
SUPERCLASS_NAMES = {
    "NORM": "normal ECG",
    "MI": "myocardial infarction",
    "STTC": "ST/T change",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}
TASK_CLASSES = {"multilabel": SUPERCLASSES, "mi_vs_norm": ("MI",), "norm_vs_abnormal": ("ABNORMAL",)}

SAMPLING_RATE = 100  # Hz, of the model's input
MICROVOLTS_PER_MILLIVOLT = 1000  # the signal cache holds int16 microvolts

TRAIN_FOLDS = (1, 2, 3, 4, 5, 6, 7, 8)
VALIDATION_FOLD = 9
TEST_FOLD = 10
SPLIT_FOLDS = {"train": TRAIN_FOLDS, "val": (VALIDATION_FOLD,), "test": (TEST_FOLD,)}

PROJECT = Path(__file__).resolve().parent
DEFAULT_DATA = PROJECT / "data" / "ptbxl"
DEFAULT_OUT = PROJECT / "artifacts"

RESEARCH_ONLY = "Research and demonstration only, not for clinical use."
SYNTHETIC_NOTICE = "SYNTHETIC DATA: these figures prove that the pipeline runs and say nothing about accuracy."


def data_directory(argument: str | Path | None = None) -> Path:
    """Where PTB-XL lies: the ``--data`` argument, else ``PTBXL_DIR``, else ``data/ptbxl``."""
    return Path(argument or os.environ.get("PTBXL_DIR") or DEFAULT_DATA)


@dataclass(frozen=True)
class Training:
    """Everything that decides how a network is trained; travels in its checkpoint.

    Amplitudes are in units of the input scale (the training set's standard deviation, about 0.24 mV).
    """

    task: str = "multilabel"
    init_sha256: str = ""  # of the multi-label checkpoint whose weights training started from; empty: random weights
    model: str = "hmt_ecgnet"
    model_arguments: dict = field(default_factory=dict)
    seed: int = 0
    # what the network sees
    window_s: float = 2.5  # random crop in training, window in evaluation
    stride_s: float = 1.25  # between windows in evaluation
    unlabelled: bool = True  # train on records without a superclass, as all-zero targets
    # augmentation, see training/augment.py
    lead_gain: float = 0.1
    noise: float = 0.1
    wander: float = 0.4
    statements: float = 3.0  # weight of the loss on all SCP statements, see training/auxiliary.py
    # loss, see training/losses.py; gamma 0 and balance 0 are plain binary cross-entropy
    gamma_positive: float = 0.0
    gamma_negative: float = 0.0
    class_balance: float = 0.0
    # optimisation
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 3e-3
    warm_up: float = 0.15  # share of all steps
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    patience: int = 6  # epochs without a better fold-9 macro AUROC before stopping


MULTILABEL = Training()
# a short course from the multi-label network's weights; from random weights 20 epochs at 3e-3
BINARY = {
    task: Training(task=task, unlabelled=False, epochs=4, learning_rate=2e-3)
    for task in ("mi_vs_norm", "norm_vs_abnormal")
}
CHECKPOINT_NAMES = {
    "multilabel": "multilabel_best.pth",
    "mi_vs_norm": "mi_best.pth",
    "norm_vs_abnormal": "abnormal_best.pth",
}
TINY = "hmt_ecgnet_tiny"  # its checkpoints are called multilabel_tiny.pth and so on
BASELINE_NAMES = {"resnet1d": "resnet_baseline.pth"}
