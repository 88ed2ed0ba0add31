"""What the whole project agrees on: label space, lead order, sampling rate, paths, training defaults.

Nothing here is computed from data and nothing is imported but the standard library,
so every other module may import this one.
"""

import os
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
TASKS = ("multilabel", "mi_vs_norm", "norm_vs_abnormal")

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
