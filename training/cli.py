"""What the train scripts share: the run from data to promoted checkpoint."""

import argparse
import contextlib
import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

from config import ANYLEAD_RECIPE, CHECKPOINT_NAMES, SYNTHETIC_NOTICE, TrainingConfig, data_directory
from dataset import PTBXLDataset
from files import replacing, sha256
from models import ArchitectureError, count_parameters, create_untrained
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from models.recording_network import RecordingNetwork, branch_hidden
from ptbxl.index import DatasetError, Index, read_index
from training.distributed import Processes, join, leave, ready_for_gpus
from training.flags import LEADS_SEEN, configured, train_parser
from training.loop import BEST, LAST, fit
from training.objective import outputs_of
from training.promotion import next_command, promote
from training.transfer import start_from


def train_command(recipes: dict[str, TrainingConfig], description: str, argv: list[str] | None = None) -> int:
    """Parse flags, train, and leave the best checkpoint where the command-line contract says; the exit status.

    recipes: task to its defaults; with more than one the script has a ``--task`` flag.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--task", choices=tuple(recipes), default=next(iter(recipes)))
    first.add_argument("--leads", choices=LEADS_SEEN, default="all")
    known = first.parse_known_args(argv)[0]
    recipe = recipes[known.task if len(recipes) > 1 else next(iter(recipes))]
    if recipe.task == "multilabel" and known.leads == "any":
        recipe = ANYLEAD_RECIPE
    parser = train_parser(recipe, tuple(recipes), description)
    arguments = parser.parse_args(argv)
    try:
        config = configured(recipe, arguments)
    except ValueError as error:
        parser.error(str(error))
    try:
        return train_seeds(config, arguments)
    except (DatasetError, CheckpointError, ArchitectureError, FloatingPointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def train_seeds(config: TrainingConfig, arguments) -> int:
    """One run, or with ``--seeds`` one after the other; returns the exit status."""
    if arguments.seeds is None:
        return train(config, arguments)
    if arguments.name:
        raise CheckpointError("--seeds names its runs itself: leave --name away")
    if arguments.seeds < 1:
        raise CheckpointError(f"--seeds {arguments.seeds}: must be at least 1")
    arguments.resume = not arguments.restart
    for seed in reversed(range(arguments.seeds)):  # seed 0 last, so that the last line is its next command
        status = train(replace(config, seed=seed), arguments)
        if status:
            return status
    return 0


def train(config: TrainingConfig, arguments) -> int:
    """The run itself, or this process's part of it; returns the exit status."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(arguments.deterministic)
    device = choose_device(arguments.device)
    processes = join(device)
    try:
        return train_together(config, arguments, device, processes)
    except RuntimeError as error:
        if processes.count == 1:
            raise
        raise CheckpointError(
            f"the run ended because its processes lost one another ({' '.join(str(error).split())[:120]}). What was "
            "completed is saved; the same command with --resume goes on, and torchrun --max-restarts does so by itself"
        ) from error
    finally:
        leave(processes)


def train_together(config: TrainingConfig, arguments, device: torch.device, processes: Processes) -> int:
    """Train in all processes and promote the result in the first; returns the exit status."""
    if config.batch_size % processes.count:
        raise CheckpointError(
            f"--batch-size {config.batch_size} cannot be shared by {processes.count} processes: give a multiple"
        )
    out, resume = Path(arguments.out), arguments.resume or processes.restarted
    bfloat16 = computes_bfloat16(device) if arguments.precision == "auto" else arguments.precision == "bfloat16"
    run = run_folder(config, arguments, out, resume)
    index = read_index(data_directory(arguments.data))
    if not index.statements.shape[1]:  # superclasses alone: nothing could be learnt of statements
        config = replace(config, statement_weight=0.0)
    torch.manual_seed(config.seed)
    config, network, input_scale = untrained(config, arguments, out)
    network = ready_for_gpus(network, device, processes).to(device)
    config, teacher = with_teacher(config, network, arguments, out)
    train_set, valid_set = open_sets(config, index, input_scale)
    if processes.writes:
        print_start(config, network, train_set, valid_set, run, bfloat16, processes)
        run.mkdir(parents=True, exist_ok=True)
    processes.wait()
    progress = processes.writes and not arguments.quiet
    try:
        history = fit(network, train_set, valid_set, config, run, resume, bfloat16, progress, teacher, processes)
    except KeyboardInterrupt:
        print_stopped(run)
        return 130
    finally:
        remove_if_empty(run)
    return finish(config, arguments, run, out, history, train_set) if processes.writes else 0


def finish(
    config: TrainingConfig, arguments, run: Path, out: Path, history: list[dict], train_set: PTBXLDataset
) -> int:
    """Draw the curves, put the checkpoint in its place, print the next command; returns the exit status."""
    draw_curves(history, run / "curves.png", train_set)
    print_best(load_checkpoint(run / BEST), len(history))
    ships = not arguments.seeds or config.seed == 0
    promoted = promote(config, run, out, arguments.promote) if ships else None
    print(next_command(config, run, out, promoted, arguments.data))
    return 0


def print_start(
    config: TrainingConfig,
    network: RecordingNetwork,
    train_set: PTBXLDataset,
    valid_set: PTBXLDataset,
    run: Path,
    bfloat16: bool,
    processes: Processes,
) -> None:
    """What is about to be trained, on what and where."""
    device = next(network.parameters()).device
    together = f"{processes.count} processes, " if processes.count > 1 else ""
    print(
        f"{config.model}, {count_parameters(network):,} parameters; {len(train_set):,} recordings to train on, "
        f"{len(valid_set):,} to validate; {device.type}, {'bfloat16' if bfloat16 else 'float32'}, {together}"
        f"{torch.get_num_threads()} threads; files in {run}"
    )
    print_limits(valid_set)


def print_stopped(run: Path) -> None:
    """What is left of a run that was interrupted."""
    if (run / LAST).is_file():
        print(f"\nstopped. What was completed is in {run}; go on with --resume and the same flags.")
    else:
        print("\nstopped before the first epoch was complete: nothing was saved.")


def untrained(config: TrainingConfig, arguments, out: Path) -> tuple[TrainingConfig, RecordingNetwork, float | None]:
    """The network to train, the config that describes it, and the input scale in mV if it brings one.

    Random weights, or for a binary task those of a multi-label network unless ``--init none``.
    """
    if config.task != "multilabel" and arguments.init != "none":
        return start_from(Path(arguments.init or out / CHECKPOINT_NAMES["multilabel"]), config)
    outputs = outputs_of(config)
    config = replace(config, model_arguments={**config.model_arguments, "classes": len(outputs)})
    trunk = create_untrained(config.model, config.window_s, **config.model_arguments)
    if config.leads == "any" and getattr(trunk, "modulation", None) is None:
        raise ArchitectureError(f"the network {config.model!r} reads twelve leads only: --leads any needs another")
    hidden = branch_hidden(config.model) if config.branch else 0
    return config, RecordingNetwork(trunk, outputs, config.window_s, config.stride_s, hidden), None


def with_teacher(
    config: TrainingConfig, network: RecordingNetwork, arguments, out: Path
) -> tuple[TrainingConfig, RecordingNetwork | None]:
    """The network to learn from beside the labels, if any has a weight, and the config that records it.

    Raises CheckpointError if it is not there or has other outputs.
    """
    if not config.teacher_weight:
        return config, None
    path = Path(arguments.teacher or out / CHECKPOINT_NAMES["multilabel"])
    checkpoint = load_checkpoint(path)
    if checkpoint.outputs != network.outputs:
        raise CheckpointError(f"{path} cannot teach this network: it has other outputs")
    teacher = checkpoint.network().to(next(network.parameters()).device)
    return replace(config, teacher_sha256=sha256(path)), teacher


def open_sets(config: TrainingConfig, index: Index, input_scale: float | None) -> tuple[PTBXLDataset, PTBXLDataset]:
    """Training and validation set; without an input scale, that of all training recordings. Raises DatasetError."""
    train_set = PTBXLDataset(index, "train", config.task, input_scale)
    valid_set = PTBXLDataset(index, "val", config.task, train_set.input_scale)
    if config.records is not None:
        train_set = train_set.of_random_patients(config.records, config.seed)
    return train_set, valid_set


def remove_if_empty(run: Path) -> None:
    """Leave no folder of a run that failed before it saved anything."""
    with contextlib.suppress(OSError):  # raised if there is something in it
        run.rmdir()
        run.parent.rmdir()


def print_best(best: Checkpoint, epochs: int) -> None:
    """Which epoch was best on fold 9."""
    auroc, auprc = best.metrics["val_auroc"], best.metrics["val_auprc"]
    reached = f"{auroc_name(best.classes)} {auroc:.4f}, AUPRC {auprc:.4f}"
    print(f"best epoch {best.epoch} of {epochs}: fold-9 {'AUROC none' if math.isnan(auroc) else reached}")


def auroc_name(classes: tuple[str, ...]) -> str:
    """One class has an AUROC, several have its mean."""
    return "AUROC" if len(classes) == 1 else "macro AUROC"


def choose_device(name: str) -> torch.device:
    """The device asked for; "auto" takes a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the processor has bfloat16 arithmetic; emulating it is many times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def run_folder(config: TrainingConfig, arguments, out: Path, resume: bool) -> Path:
    """Where the run's files go. Raises CheckpointError if they would overwrite a run unasked."""
    part = "" if config.records is None else f"_{config.records}records"
    run = out / "runs" / (arguments.name or f"{config.task}_{config.model}_seed{config.seed}{part}")
    if (run / LAST).is_file() and not (resume or arguments.restart):
        raise CheckpointError(
            f"{run} holds a run already: --resume goes on with it, --restart replaces it, "
            "--name NAME starts another beside it"
        )
    return run


def print_limits(valid_set: PTBXLDataset) -> None:
    """Say what the fold-9 AUROC is not of: real ECGs, or classes that have no positives or no negatives there."""
    if valid_set.is_synthetic:
        print(SYNTHETIC_NOTICE)
    targets = valid_set.targets[valid_set.labelled] > 0
    usable = targets.any(0) & ~targets.all(0)
    missing = ", ".join(name for name, both in zip(valid_set.classes, usable, strict=True) if not both)
    if not usable.any():
        print("no class has both positives and negatives in fold 9, so there is no AUROC: the last epoch is kept")
    elif missing:
        print(f"without positives or without negatives in fold 9, and left out of its AUROC: {missing}")


def draw_curves(history: list[dict], path: Path, train_set: PTBXLDataset) -> None:
    """Loss and fold-9 metrics against the epoch, as a PNG."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [row["loss"] for row in history], color="#0072B2")
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(epochs, [row["val_auroc"] for row in history], color="#D55E00", label=auroc_name(train_set.classes))
    right.plot(
        epochs,
        [row["val_auprc"] for row in history],
        color="#009E73",
        label=auroc_name(train_set.classes).replace("AUROC", "AUPRC"),
    )
    right.set(xlabel="epoch", ylabel="fold 9")
    right.legend()
    if train_set.is_synthetic:
        figure.suptitle("SYNTHETIC DATA", color="#D55E00")
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=120)
