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
BINARY_TASKS = ("mi_vs_norm", "norm_vs_abnormal")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a network's outputs are, in this order: a task's classes, SCP statements, whole binary tasks."""

    classes: tuple[str, ...]
    statements: tuple[str, ...] = ()
    binary_tasks: tuple[str, ...] = ()

    @property
    def lengths(self) -> tuple[int, int, int]:
        return len(self.classes), len(self.statements), len(self.binary_tasks)

    @property
    def statement_columns(self) -> slice:
        return slice(len(self.classes), len(self.classes) + len(self.statements))

    def __len__(self) -> int:
        return sum(self.lengths)


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
SYNTHETIC_DEVICE = "SYNTHETIC"  # the `device` of every generated recording: how such a data set is recognised
SYNTHETIC_NOTICE = "SYNTHETIC DATA: these metrics show that the pipeline runs and say nothing about accuracy."


def data_directory(argument: str | Path | None = None) -> Path:
    """Where PTB-XL lies: the ``--data`` argument, else ``PTBXL_DIR``, else ``data/ptbxl``."""
    return Path(argument or os.environ.get("PTBXL_DIR") or DEFAULT_DATA)


def script(name: str) -> str:
    """A script of this project as a command names it: with its path unless the working directory is the project."""
    return name if Path.cwd() == PROJECT else str(PROJECT / name)


def described(text: str, **options):
    """A field of a dataclass that the server sends; its document describes the field in these words."""
    return field(metadata={"description": text}, **options)


def option(default, help_text: str, **metadata):
    """A field of `TrainingConfig` that the train scripts offer as a flag with this help text."""
    return field(default=default, metadata={"help": help_text, **metadata})


POSITIVE = ("stride_s", "epochs", "batch_size", "learning_rate", "clip_norm", "patience")  # of `TrainingConfig`
NOT_NEGATIVE = (
    "seed",
    "lead_gain",
    "noise",
    "wander",
    "statement_weight",
    "statement_balance",
    "binary_weight",
    "weight_decay",
)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that decides how a network is trained; travels in its checkpoint.

    Amplitudes are in units of the input scale (the training set's standard deviation, about 0.24 mV).
    Raises ValueError for a value that cannot be trained with.
    """

    task: str = "multilabel"
    init_sha256: str = ""  # of the multi-label checkpoint whose weights training started from; empty: random weights
    model: str = "hmt_ecgnet"
    model_arguments: dict = field(default_factory=dict)
    unlabelled: bool = True  # train on records without a superclass, as all-zero targets
    records: int | None = None  # recordings to train on, of patients drawn by the seed; None: all
    seed: int = option(0, "of weights, order, crops and augmentation; the same seed repeats a run")
    # what the network sees
    window_s: float = option(2.5, "s, 2 to 10: training crop and evaluation window; longer sees more beats, slower")
    stride_s: float = option(1.25, "s between evaluation windows; longer averages fewer windows, faster")
    # augmentation, see training/augment.py
    lead_gain: float = option(
        0.1, "standard deviation of the log of each lead's random gain; more makes the network rely less on amplitude"
    )
    noise: float = option(
        0.1, "largest white noise, in input scales (0.24 mV); more makes the network rely less on fine detail"
    )
    wander: float = option(
        0.4, "largest baseline wander, in input scales (0.24 mV); more makes the network rely less on slow shifts"
    )
    # what it is trained to do, see training/objective.py
    loss: str = option(
        "bce",
        "bce: binary cross-entropy; asymmetric: easy negatives count less (Ridnik et al. 2021)",
        choices=("bce", "asymmetric"),
    )
    statement_weight: float = option(
        20.0, "weight of the loss on all SCP statements; more favours them over the superclasses, 0 leaves them out"
    )
    binary_weight: float = option(1.0, "weight of the loss on the two binary tasks; 0 leaves them out")
    statement_balance: float = option(
        0.2, "0 to 0.5: rare statements count by their rarity to this power; more favours them, 0 counts all alike"
    )
    form_unlabelled: float = option(
        0.3, "0 to 1: how much a recording without any statement of form says of those statements; 1: as much as others"
    )
    branch: bool = True  # evidence from RR intervals and voltages of the whole recording
    leads: str = "all"  # "any": trained on subsets of the leads, see training/lead_subsets.py
    subsets: int = option(
        4, "with --leads any: subsets of leads that each crop is shown with; more learns few leads sooner"
    )
    teacher_sha256: str = ""  # of the checkpoint whose probabilities are learnt beside the labels; empty: none
    teacher_weight: float = option(
        0.0, "0 to 1: share that a teacher's probabilities have in the targets; more imitates it, 0 does without"
    )
    # optimisation, see training/schedule.py
    epochs: int = option(20, "passes over the training set, which the learning-rate schedule spans; more takes longer")
    batch_size: int = option(64, "recordings a step; more gives fewer and smoother steps and takes more memory")
    learning_rate: float = option(3e-3, "peak of the schedule; more learns faster, too much diverges")
    warm_up: float = option(0.15, "share of all steps, 0 to 1, in which the learning rate rises; more starts gentler")
    weight_decay: float = option(0.05, "of AdamW; more keeps weights smaller")
    clip_norm: float = option(1.0, "gradients with a larger norm are scaled down to it; more clips less often")
    ema_decay: float = option(
        0.999,
        "decay a step, 0 to 1, of the moving average of weights that becomes the checkpoint; more averages longer",
    )
    patience: int = option(6, "epochs without a better fold-9 score until training stops; more stops later")

    def __post_init__(self):
        if self.records is not None and not self.records > 0:
            raise ValueError(f"records is {self.records}, but must be more than 0")
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be more than 0")
        for name in NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but must not be negative")
        for name in ("form_unlabelled", "teacher_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be between 0 and 1")
        for name in ("warm_up", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 0 and less than 1")
        if not 2 <= self.window_s <= 10:
            raise ValueError(f"window_s is {self.window_s}, but networks read 2 s or more and recordings last 10 s")


MULTILABEL_RECIPE = TrainingConfig()
ANYLEAD_RECIPE = TrainingConfig(model="hmt_ecgnet_anylead", leads="any", teacher_weight=0.6, epochs=45, patience=12)
# a few epochs from the multi-label network's weights; from random weights it takes 20 epochs at 3e-3
BINARY_RECIPES = {
    task: TrainingConfig(task=task, unlabelled=False, epochs=4, learning_rate=2e-3, statement_weight=3.0)
    for task in BINARY_TASKS
}
CHECKPOINT_NAMES = {
    "multilabel": "multilabel_best.pth",
    "mi_vs_norm": "mi_best.pth",
    "norm_vs_abnormal": "abnormal_best.pth",
}
ANYLEAD = "anylead"  # the multi-label network that answers when leads are missing
ANYLEAD_CHECKPOINT = "anylead_best.pth"
TINY = "hmt_ecgnet_tiny"  # its checkpoints are called multilabel_tiny.pth and so on
BASELINE_NAMES = {"resnet1d": "resnet_baseline.pth"}
