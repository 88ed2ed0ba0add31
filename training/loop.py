"""The training loop: one epoch after the other until fold 9 stops improving.

Everything random in an epoch derives from (seed, epoch), so a run that was killed and resumed
passes through the same weights as one that was not.
"""

import copy
import csv
import io
import math
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from config import SAMPLING_RATE, Training
from dataset import PTBXLDataset
from evaluation.metrics import macro_auroc_and_auprc
from evaluation.predictions import predict_split
from files import write_text
from models.checkpoint import (
    Checkpoint,
    CheckpointError,
    git_revision,
    load_plain,
    machine_facts,
    save_atomically,
    save_checkpoint,
)
from training.augment import Augmentation, augment
from training.objective import Objective, make_objective
from training.schedule import learning_rate, make_optimizer, paired_values, update_average


@dataclass(frozen=True, eq=False)
class Run:
    """Where a run writes: checkpoints ``last.pth`` and ``best.pth``, ``log.csv``."""

    directory: Path

    @property
    def last(self) -> Path:
        return self.directory / "last.pth"

    @property
    def best(self) -> Path:
        return self.directory / "best.pth"

    @property
    def log(self) -> Path:
        return self.directory / "log.csv"


def fit(
    network: nn.Module,
    train: PTBXLDataset,
    valid: PTBXLDataset,
    settings: Training,
    run: Run,
    resume: bool = False,
    bfloat16: bool = False,
    progress: bool = True,
) -> list[dict]:
    """Train to the end, to early stopping, or on from where a killed run was; returns the log, a row an epoch.

    After each epoch the weights' moving average is measured on fold 9 (macro AUROC of labelled
    recordings); ``run.best`` holds the best so far, ``run.last`` the state to resume from.
    Raises CheckpointError if the run to resume was made with other settings, and FloatingPointError
    if the loss is no longer a number.
    """
    average = copy.deepcopy(network).eval()
    lesson = make_objective(network, train, settings)
    optimizer = make_optimizer(lesson.modules, settings)
    history = _restore(run, lesson, average, optimizer, settings) if resume and run.last.is_file() else []
    started_at = len(history)
    revision = git_revision()  # of the code in memory, whatever happens to the files meanwhile
    for epoch in range(started_at, settings.epochs):
        if stopped_improving(history, settings.patience):
            break
        row = train_epoch(lesson, average, optimizer, train, settings, epoch, bfloat16, progress)
        auroc, auprc = validate(average, valid, settings)
        row.update(val_auroc=auroc, val_auprc=auprc, peak_memory_mb=peak_memory_mb())
        history.append(row)
        if auroc >= max(past["val_auroc"] for past in history):
            save_checkpoint(run.best, describe(average, train, valid, settings, row, revision))
        save_atomically(
            run.last,
            {
                "network": lesson.modules.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "history": history,
                "settings": vars(settings),
            },
        )
        write_text(run.log, as_csv(history))
        if progress:
            left = (settings.epochs - epoch - 1) * row["seconds"]
            print(
                f"epoch {epoch + 1}/{settings.epochs}  loss {row['loss']:.4f}  fold-9 AUROC {auroc:.4f}  "
                f"AUPRC {auprc:.4f}  {row['records_per_s']:.0f} records/s  at most {left / 60:.0f} min left",
                flush=True,
            )
    return history


def train_epoch(
    lesson: Objective,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: PTBXLDataset,
    settings: Training,
    epoch: int,
    bfloat16: bool,
    progress: bool,
) -> dict:
    """One pass over the training recordings, a random crop of each; returns its row of the log."""
    network, parameters = lesson.network, list(lesson.modules.parameters())
    device = parameters[0].device
    generator = epoch_generator(settings.seed, epoch)
    numbers = np.arange(len(train)) if settings.unlabelled else np.flatnonzero(train.labelled)
    order = numbers[torch.randperm(len(numbers), generator=generator).numpy()]
    steps = max(1, len(order) // settings.batch_size)
    window = round(settings.window_s * SAMPLING_RATE)
    strengths = Augmentation(settings.lead_gain, settings.noise, settings.wander)
    values = paired_values(average, network)
    network.train()
    losses, data_seconds, began = [], 0.0, time.perf_counter()
    bar = tqdm(range(steps), desc=f"epoch {epoch + 1}", unit="batch", leave=False, disable=not progress)
    for step in bar:
        batch = order[step * settings.batch_size : (step + 1) * settings.batch_size]
        fetching = time.perf_counter()
        starts = torch.randint(train.samples - window + 1, (len(batch),), generator=generator).tolist()
        signals = torch.from_numpy(train.signals(batch, starts, window))
        targets = torch.from_numpy(train.targets[batch]).to(device)
        data_seconds += time.perf_counter() - fetching
        signals = augment(signals, strengths, generator).to(device)
        done = epoch * steps + step
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, done / (settings.epochs * steps))
        loss = lesson.loss(signals, targets, batch, bfloat16)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        optimizer.step()
        update_average(*values, min(settings.ema_decay, (1 + done) / (10 + done)))
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss became {losses[-1]} in epoch {epoch + 1}: lower --learning-rate")
        if step % 20 == 0:
            rate = (step + 1) * settings.batch_size / (time.perf_counter() - began)
            bar.set_postfix(loss=f"{np.mean(losses[-100:]):.4f}", records_per_s=f"{rate:.0f}")
    seconds = time.perf_counter() - began
    return {
        "epoch": epoch + 1,
        "loss": float(np.mean(losses)),
        "learning_rate": optimizer.param_groups[0]["lr"],
        "seconds": round(seconds, 2),
        "records_per_s": round(len(losses) * settings.batch_size / seconds, 1),
        "data_share": round(data_seconds / seconds, 4),
    }


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The epoch's own source of chance; seeds torch's global one too, which dropout draws from."""
    state = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    torch.manual_seed(state)
    return torch.Generator().manual_seed(state)


def validate(network: nn.Module, valid: PTBXLDataset, settings: Training) -> tuple[float, float]:
    """Macro AUROC and AUPRC on the labelled recordings of a split."""
    labelled = np.flatnonzero(valid.labelled)
    probabilities = predict_split(network, valid, labelled, settings.window_s, settings.stride_s)
    return macro_auroc_and_auprc(probabilities, valid.targets[labelled])


def describe(
    network: nn.Module, train: PTBXLDataset, valid: PTBXLDataset, settings: Training, row: dict, revision: str
) -> Checkpoint:
    """The checkpoint of a network after the epoch whose log row is given."""
    return Checkpoint(
        task=settings.task,
        classes=train.classes,
        model=settings.model,
        model_arguments=dict(settings.model_arguments),
        weights={name: value.detach().cpu().clone() for name, value in network.state_dict().items()},
        input_scale=train.input_scale,
        window_s=settings.window_s,
        stride_s=settings.stride_s,
        training=dict(vars(settings)),
        seed=settings.seed,
        epoch=row["epoch"],
        metrics=dict(row),
        data_sha256={**train.fold_sha256, **valid.fold_sha256},
        synthetic=train.is_synthetic,
        revision=revision,
        machine=machine_facts(),
    )


def stopped_improving(history: list[dict], patience: int) -> bool:
    """Whether the best fold-9 AUROC is ``patience`` or more epochs old."""
    if not history:
        return False
    scores = [row["val_auroc"] for row in history]
    return len(scores) - 1 - int(np.argmax(scores)) >= patience


def peak_memory_mb() -> float:
    """Largest resident size of this process so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return round(kilobytes / 1024, 1)


def as_csv(history: list[dict]) -> str:
    """The log as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _restore(run: Run, lesson: Objective, average: nn.Module, optimizer, settings: Training) -> list[dict]:
    state = load_plain(run.last)
    if state["settings"] != vars(settings):
        differing = [key for key, value in vars(settings).items() if state["settings"].get(key) != value]
        raise CheckpointError(
            f"{run.last} was trained with another {', '.join(differing) or 'configuration'}: "
            "resume with the same flags, or start afresh without --resume"
        )
    lesson.modules.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return state["history"]
