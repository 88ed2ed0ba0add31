"""The training loop: one epoch after the other until fold 9 stops improving.

Everything random in an epoch derives from (seed, epoch), so a run that was killed and resumed
passes through the same weights as one that was not.
"""

import math
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from config import SAMPLING_RATE, TrainingConfig
from dataset import PTBXLDataset
from ecg.lead_sets import presence
from evaluation.metrics import macro_auroc_and_auprc
from files import write_text
from models.checkpoint import Checkpoint, CheckpointError, load_plain, save_atomically, save_checkpoint
from models.provenance import git_revision, machine_facts
from models.recording_network import RecordingNetwork
from training.augment import augment
from training.distributed import ALONE, Processes
from training.objective import Loss, Objective, make_objective
from training.schedule import make_average, make_optimizer, make_schedule

FEWEST_POSITIVES = 5  # recordings of fold 9 with a statement, for it to count in the log
VALIDATED_SETS = (
    "11",
    "I,II,V2",
    "I",
)  # of `ecg.lead_sets`, that an any-leads network is validated on after each epoch
VALIDATION_CHUNK = 16  # recordings at a time; more leave the processor's cache
LAST, BEST, LOG = "last.pth", "best.pth", "log.csv"  # in a run's folder


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingState:
    """What changes from step to step; ``average`` is what is validated and saved as the checkpoint.

    loss: of the objective, with gradients averaged over all processes.
    """

    objective: Objective
    loss: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler

    def state_dict(self) -> dict:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict:
        return {
            "network": self.objective.network,
            "average": self.average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }


def start_state(
    network: RecordingNetwork,
    train: PTBXLDataset,
    config: TrainingConfig,
    teacher: RecordingNetwork | None = None,
    progress: bool = False,
    processes: Processes = ALONE,
) -> TrainingState:
    """The state before the first step."""
    average = make_average(network, config.ema_decay)
    objective = make_objective(network, train, config, teacher, progress)
    optimizer = make_optimizer(network, config)
    steps = config.epochs * steps_per_epoch(len(used_recordings(train, config)), config)
    schedule = make_schedule(optimizer, config, steps)
    return TrainingState(
        objective=objective,
        loss=processes.around(Loss(objective)),
        average=average,
        optimizer=optimizer,
        schedule=schedule,
    )


def fit(
    network: RecordingNetwork,
    train: PTBXLDataset,
    valid: PTBXLDataset,
    config: TrainingConfig,
    run: Path,
    resume: bool = False,
    bfloat16: bool = False,
    progress: bool = True,
    teacher: RecordingNetwork | None = None,
    processes: Processes = ALONE,
) -> list[dict]:
    """Train to the end, to early stopping, or on from where a killed run was; returns the log, a row an epoch.

    After each epoch the weights' moving average is validated on fold 9, see `validate`. In the
    folder ``run``, best.pth holds the best so far, last.pth the state to resume from. Where fold 9 allows no AUROC,
    the last epoch counts as the best. Of several processes the first writes, and all return the same log.
    Raises CheckpointError if the run to resume was made with other settings or data, and FloatingPointError
    if the loss is no longer a number.
    """
    state = start_state(network, train, config, teacher, progress, processes)
    views = validation_views(network, valid, config.leads)
    origin = {"config": asdict(config), **data_origin(train, valid)}
    history = resume_from(run / LAST, state, origin) if resume and (run / LAST).is_file() else []
    revision = git_revision()  # of the code in memory, whatever happens to the files meanwhile
    for epoch in range(len(history), config.epochs):
        if stopped_improving(history, config.patience):
            break
        row = train_epoch(state, train, config, epoch, bfloat16, progress, processes)
        processes.take_buffers_of_first(state.average.module)
        metrics = validate(state.average.module, valid, views, processes)
        history.append({**row, **metrics, "peak_memory_mb": peak_memory_mb()})
        if not processes.writes:
            continue
        if best_epoch(history) == epoch:
            save_checkpoint(run / BEST, describe(state.average.module, train, valid, config, history[-1], revision))
        save_atomically(run / LAST, {**state.state_dict(), **origin, "history": history})
        write_text(run / LOG, pd.DataFrame(history).to_csv(index=False, na_rep="nan"))
        if progress:
            print_epoch(history[-1], config.epochs)
    return history


def data_origin(train: PTBXLDataset, valid: PTBXLDataset) -> dict:
    """Which data a network is trained on: digests of the folds, and the input scale in mV."""
    return {"data_sha256": {**train.fold_sha256, **valid.fold_sha256}, "input_scale": train.input_scale}


def resume_from(last: Path, state: TrainingState, origin: dict) -> list[dict]:
    """Load the state of a run, if it was made with the same settings and data; returns its log."""
    saved = load_plain(last)
    if not origin.keys() <= saved.keys():
        raise CheckpointError(
            f"{last} is of an earlier version and does not say which data it is of: start afresh with --restart"
        )
    differing = [name for name, value in origin["config"].items() if saved["config"].get(name) != value]
    digests = saved["data_sha256"]
    differing += [f"data of fold {n}" for n, digest in origin["data_sha256"].items() if digests.get(n) != digest]
    differing += ["input scale"] * (saved["input_scale"] != origin["input_scale"])
    if differing:
        raise CheckpointError(
            f"{last} was trained with another {', '.join(differing)}: resume with the same flags and --data, "
            "or start afresh with --restart"
        )
    state.load_state_dict(saved)
    return saved["history"]


def used_recordings(train: PTBXLDataset, config: TrainingConfig) -> np.ndarray:
    """Numbers of the recordings that are trained on."""
    return np.arange(len(train)) if config.unlabelled else np.flatnonzero(train.labelled)


def steps_per_epoch(recordings: int, config: TrainingConfig) -> int:
    """Whole batches; at least one."""
    return max(1, recordings // config.batch_size)


def train_epoch(
    state: TrainingState,
    train: PTBXLDataset,
    config: TrainingConfig,
    epoch: int,
    bfloat16: bool,
    progress: bool,
    processes: Processes = ALONE,
) -> dict:
    """One pass over the training recordings, a random crop of each; returns its row of the log.

    Every process makes the crops of the whole batch, which costs little, so that the same random numbers fall on the
    same recordings however many processes there are.
    """
    generator = epoch_generator(config.seed, epoch)
    order = used_recordings(train, config)
    order = order[torch.randperm(len(order), generator=generator).numpy()]
    steps = steps_per_epoch(len(order), config)
    device = next(state.objective.network.parameters()).device
    state.objective.network.train()
    losses, data_seconds, began = [], 0.0, time.perf_counter()
    bar = tqdm(range(steps), desc=f"epoch {epoch + 1}", unit="batch", leave=False, disable=not progress)
    for step in bar:
        batch = processes.whole(order[step * config.batch_size : (step + 1) * config.batch_size])
        fetching = time.perf_counter()
        signals = random_crops(train, batch, config, generator)
        targets = torch.from_numpy(train.targets[processes.share(batch)])
        data_seconds += time.perf_counter() - fetching
        signals = augment(signals, generator, lead_gain=config.lead_gain, noise=config.noise, wander=config.wander)
        learning_rate = state.schedule.get_last_lr()[0]
        step_inputs = processes.share(signals).to(device), targets.to(device), processes.share(batch)
        loss = train_step(state, *step_inputs, config, bfloat16, generator)
        losses.append(processes.mean(loss).item())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss became {losses[-1]} in epoch {epoch + 1}: lower --learning-rate")
        if step % 20 == 0:
            rate = (step + 1) * config.batch_size / (time.perf_counter() - began)
            bar.set_postfix(loss=f"{np.mean(losses[-100:]):.4f}", records_per_s=f"{rate:.0f}")
    seconds = time.perf_counter() - began
    return {
        "epoch": epoch + 1,
        "loss": float(np.mean(losses)),
        "learning_rate": learning_rate,
        "seconds": round(seconds, 2),
        "records_per_s": round(len(losses) * config.batch_size / seconds, 1),
        "data_share": round(data_seconds / seconds, 4),
    }


def random_crops(
    train: PTBXLDataset, batch: np.ndarray, config: TrainingConfig, generator: torch.Generator
) -> torch.Tensor:
    """A random window of each recording, ``(len(batch), 12, window)``."""
    window = round(config.window_s * SAMPLING_RATE)
    starts = torch.randint(train.samples - window + 1, (len(batch),), generator=generator).tolist()
    return torch.from_numpy(train.signals(batch, starts, window))


def train_step(
    state: TrainingState,
    signals: torch.Tensor,
    targets: torch.Tensor,
    batch: np.ndarray,
    config: TrainingConfig,
    bfloat16: bool,
    generator: torch.Generator,
) -> torch.Tensor:
    """One step of optimiser, schedule and moving average; returns the loss."""
    loss = state.loss(signals, targets, batch, bfloat16, generator)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(state.objective.network.parameters(), config.clip_norm)
    state.optimizer.step()
    state.schedule.step()
    state.average.update_parameters(state.objective.network)
    return loss.detach()


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The epoch's own random generator; seeds torch's global one too, which dropout uses."""
    value = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    torch.manual_seed(value)
    return torch.Generator().manual_seed(value)


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """Leads of fold 9 that a network is validated with, bool ``(n, 12)``, and the branch's statistics of them."""

    present: np.ndarray
    statistics: torch.Tensor


@torch.inference_mode()
def validation_views(network: RecordingNetwork, valid: PTBXLDataset, leads: str) -> dict[str, View]:
    """One view of all leads, or for an any-leads network one for each of `VALIDATED_SETS`; nothing in it is trained."""
    device, views = next(network.parameters()).device, {}
    for name in ("12",) if leads == "all" else VALIDATED_SETS:
        present = presence(name, valid.ecg_ids)
        statistics = [
            network.statistics(torch.from_numpy(valid.signals(part) * present[part, :, None]).to(device))
            for part in np.array_split(np.arange(len(valid)), -(-len(valid) // VALIDATION_CHUNK))
        ]
        views[name] = View(present=present, statistics=torch.cat(statistics).clone())
    return views


def validate(
    network: RecordingNetwork, valid: PTBXLDataset, views: dict[str, View], processes: Processes = ALONE
) -> dict[str, float]:
    """Macro AUROC and AUPRC of the task on a split's labelled recordings, and the AUROC of its statements on all.

    The score that chooses the epoch is the mean of both AUROCs, but for a binary task or without statements the task's.
    Statements of fewer than five recordings are left out. NaN where nothing has both outcomes. Of several views each is
    the mean, and the AUROC of each stands beside it.
    """
    rows = {name: validate_view(network, valid, view, processes) for name, view in views.items()}
    means = {name: float(np.mean([row[name] for row in rows.values()])) for name in next(iter(rows.values()))}
    return means | ({f"val_auroc_{name}": row["val_auroc"] for name, row in rows.items()} if len(rows) > 1 else {})


def validate_view(network: RecordingNetwork, valid: PTBXLDataset, view: View, processes: Processes) -> dict[str, float]:
    """What `validate` returns, of one view."""
    probabilities = read_view(network, valid, view, processes)
    classes, statements, _ = np.split(probabilities, np.cumsum(network.outputs.lengths)[:2], axis=1)
    auroc, auprc = macro_auroc_and_auprc(classes[valid.labelled], valid.targets[valid.labelled])
    single = len(network.outputs.classes) == 1
    made = valid.made(network.outputs.statements)
    common = made.sum(0) >= FEWEST_POSITIVES
    statements_auroc, _ = macro_auroc_and_auprc(statements[:, common], made[:, common])
    return {
        "val_auroc": auroc,
        "val_auprc": auprc,
        "val_statements_auroc": statements_auroc,
        "val_score": auroc if single or math.isnan(statements_auroc) else (auroc + statements_auroc) / 2,
    }


@torch.inference_mode()
def read_view(network: RecordingNetwork, valid: PTBXLDataset, view: View, processes: Processes = ALONE) -> np.ndarray:
    """Probabilities ``(n, outputs)``: those of `evaluation.predictions.predict_split`, without looking for beats."""
    own = processes.share(np.arange(len(valid)))
    parts = np.array_split(own, -(-len(own) // VALIDATION_CHUNK))
    probabilities = [
        network.read(
            torch.from_numpy(valid.signals(part) * view.present[part, :, None]).to(view.statistics.device),
            view.statistics[part],
        )
        for part in parts
    ]
    return processes.gather(torch.cat(probabilities), len(valid)).double().cpu().numpy()


def best_epoch(history: list[dict]) -> int:
    """Number, from 0, of the last epoch with the highest fold-9 score; the last one if there is no score at all."""
    scores = np.array([row["val_score"] for row in history])
    if np.isnan(scores).all():
        return len(scores) - 1
    return int(np.flatnonzero(scores == np.nanmax(scores))[-1])


def stopped_improving(history: list[dict], patience: int) -> bool:
    """Whether the best fold-9 score is ``patience`` or more epochs old."""
    return bool(history) and len(history) - 1 - best_epoch(history) >= patience


def describe(
    network: RecordingNetwork,
    train: PTBXLDataset,
    valid: PTBXLDataset,
    config: TrainingConfig,
    row: dict,
    revision: str,
) -> Checkpoint:
    """The checkpoint of a network after the epoch whose log row is given."""
    return Checkpoint(
        task=config.task,
        classes=train.classes,
        model=config.model,
        model_arguments=dict(config.model_arguments),
        weights={name: value.detach().cpu().clone() for name, value in network.state_dict().items()},
        window_s=config.window_s,
        stride_s=config.stride_s,
        statements=network.outputs.statements,
        binary_tasks=network.outputs.binary_tasks,
        branch=network.branch is not None,
        training=asdict(config),
        seed=config.seed,
        epoch=row["epoch"],
        metrics=dict(row),
        **data_origin(train, valid),
        synthetic=train.is_synthetic,
        revision=revision,
        machine=machine_facts(),
    )


def print_epoch(row: dict, epochs: int) -> None:
    """One line on the epoch just finished."""
    left = (epochs - row["epoch"]) * row["seconds"]
    print(
        f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.4f}  fold-9 AUROC {row['val_auroc']:.4f}  "
        f"AUPRC {row['val_auprc']:.4f}  {row['records_per_s']:.0f} records/s  at most {math.ceil(left / 60)} min left",
        flush=True,
    )


def peak_memory_mb() -> float:
    """Largest resident size of this process so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return round(kilobytes / 1024, 1)
