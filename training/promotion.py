"""Where the best checkpoint of a run goes, which files are protected, and the command that comes next."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

from config import (
    ANYLEAD,
    ANYLEAD_CHECKPOINT,
    ANYLEAD_RECIPE,
    BASELINE_NAMES,
    CHECKPOINT_NAMES,
    DEFAULT_OUT,
    MULTILABEL_RECIPE,
    TINY,
    TrainingConfig,
    script,
)
from files import replacing
from models.checkpoint import load_checkpoint, save_checkpoint
from training.loop import BEST


def checkpoint_name(config: TrainingConfig) -> str:
    """File name of a task's network: ``multilabel_best.pth``, ``multilabel_tiny.pth``, ``resnet_baseline.pth``, ..."""
    if config.leads == "any":
        return ANYLEAD_CHECKPOINT
    if config.model == MULTILABEL_RECIPE.model:
        return CHECKPOINT_NAMES[config.task]
    if config.model == TINY:
        return CHECKPOINT_NAMES[config.task].replace("_best", "_tiny")
    return BASELINE_NAMES.get(config.model, f"{config.model}_baseline.pth")


def is_shipped(path: Path) -> bool:
    """Whether a file is there and lies in the project's ``artifacts/``, however the path is spelt."""
    return path.is_file() and DEFAULT_OUT.is_dir() and path.parent.samefile(DEFAULT_OUT)


def promote(config: TrainingConfig, run: Path, out: Path, replace_shipped: bool) -> Path | None:
    """Copy the run's best checkpoint to its place in ``out``; None if a shipped one there was kept.

    Baselines are saved in half precision: they are shipped for comparison, not for use.
    """
    target = out / checkpoint_name(config)
    if is_shipped(target) and not replace_shipped:
        print(f"{target} is kept as it is; --promote replaces it by this run's")
        return None
    if config.model in (MULTILABEL_RECIPE.model, ANYLEAD_RECIPE.model, TINY):
        with replacing(target) as unfinished:
            shutil.copyfile(run / BEST, unfinished)
    else:
        best = load_checkpoint(run / BEST)
        weights = {name: w.half() if w.is_floating_point() else w for name, w in best.weights.items()}
        save_checkpoint(target, replace(best, weights=weights))
    return target


def next_command(config: TrainingConfig, run: Path, out: Path, promoted: Path | None, data: str | None) -> str:
    """The command that continues with this very run; only the main network's thresholds go beside its checkpoint."""
    beside = promoted is not None and config.model in (MULTILABEL_RECIPE.model, ANYLEAD_RECIPE.model)
    words = ["python", script("threshold_search.py"), "--task", ANYLEAD if config.leads == "any" else config.task]
    words += ["--checkpoint", str(promoted or run / BEST)]
    words += ["--out", str(out if beside else run)]
    multilabel = out / CHECKPOINT_NAMES["multilabel"]
    if config.task != "multilabel" and not beside and multilabel.is_file():
        words += ["--multilabel", str(multilabel)]
    if data:
        words += ["--data", data]
    return shlex.join(words)
