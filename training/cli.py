"""What the train scripts share: flags, and the run from data to promoted checkpoint."""

import argparse
import contextlib
import math
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

from config import ANYLEAD_RECIPE, CHECKPOINT_NAMES, DEFAULT_OUT, SYNTHETIC_NOTICE, TrainingConfig, data_directory
from dataset import PTBXLDataset
from files import replacing, sha256
from models import ARCHITECTURES, ArchitectureError, count_parameters, create_untrained
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from models.recording_network import RecordingNetwork, branch_hidden
from ptbxl.index import DatasetError, Index, read_index
from training.loop import BEST, LAST, fit
from training.objective import outputs_of
from training.promotion import next_command, promote
from training.transfer import start_from

LEADS_SEEN = ("all", "any")  # --leads


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


def configured(recipe: TrainingConfig, arguments) -> TrainingConfig:
    """The recipe with what the flags change. Raises ValueError for a value that cannot be trained with."""
    names = {field.name for field in fields(TrainingConfig)} - {"model_arguments"}
    changes = {name: value for name, value in vars(arguments).items() if name in names}
    own = recipe.model_arguments if changes.get("model", recipe.model) == recipe.model else {}
    return replace(recipe, **changes, model_arguments=own)


def train_parser(recipe: TrainingConfig, tasks: tuple[str, ...], description: str) -> argparse.ArgumentParser:
    """Flags of the train scripts; every number of the recipe can be changed for an experiment."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    if recipe.task == "multilabel":
        add_multilabel_flags(parser, recipe)
    else:
        add_binary_flags(parser, recipe, tasks)
    add_run_flags(parser)
    group = parser.add_argument_group("recipe", "the defaults are those of the shipped networks")
    for field in fields(TrainingConfig):
        if "help" in field.metadata:
            group.add_argument(
                f"--{field.name.replace('_', '-')}",
                type=field.type,
                default=getattr(recipe, field.name),
                choices=field.metadata.get("choices"),
                help=field.metadata["help"].replace("%", "%%") + " (default: %(default)s)",
            )
    return parser


def add_multilabel_flags(parser: argparse.ArgumentParser, recipe: TrainingConfig) -> None:
    """What only the multi-label script has."""
    parser.add_argument(
        "--model",
        default=recipe.model,
        choices=sorted(ARCHITECTURES),
        help="architecture, see models/ (default: %(default)s)",
    )
    parser.add_argument(
        "--leads",
        choices=LEADS_SEEN,
        default=recipe.leads,
        help="any: for recordings of which leads are missing, by a recipe of its own (default: %(default)s)",
    )
    parser.add_argument(
        "--teacher",
        metavar="CHECKPOINT",
        help="multi-label network that sees all leads and whose probabilities have --teacher-weight of the targets "
        "(default: multilabel_best.pth in --out)",
    )
    parser.add_argument(
        "--unlabelled",
        action=argparse.BooleanOptionalAction,
        default=recipe.unlabelled,
        help="train on records without a superclass too (default: %(default)s)",
    )
    parser.add_argument(
        "--branch",
        action=argparse.BooleanOptionalAction,
        default=recipe.branch,
        help="evidence from RR intervals and voltages of the whole recording (default: %(default)s)",
    )


def add_binary_flags(parser: argparse.ArgumentParser, recipe: TrainingConfig, tasks: tuple[str, ...]) -> None:
    """What only the binary script has."""
    parser.add_argument(
        "--task",
        choices=tasks,
        default=recipe.task,
        help="mi_vs_norm: recordings with exactly one of the two; norm_vs_abnormal: NORM or any other superclass "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--init",
        metavar="CHECKPOINT",
        help="multi-label network to start from; none: random weights (default: multilabel_best.pth in --out)",
    )


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Where files go and how the run proceeds."""
    parser.add_argument("--data", help="directory of PTB-XL (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where files go (default: artifacts)")
    parser.add_argument(
        "--promote", action="store_true", help="replace a checkpoint in the project's artifacts/, otherwise kept"
    )
    parser.add_argument(
        "--records",
        type=int,
        metavar="N",
        help="for a first try: train on N recordings or a few more, all those of patients drawn by --seed "
        "(default: all of folds 1-8)",
    )
    parser.add_argument("--name", help="name of the run's folder in --out/runs (default: task, model and seed)")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the run's last completed epoch, or start if there is none"
    )
    parser.add_argument("--restart", action="store_true", help="replace a run of the same name")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="train seeds 0 to N-1 one after the other, or resume them; seed 0 ships"
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="processor threads of PyTorch; 0: all cores (default: %(default)s)"
    )
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda"),
        help="auto: a GPU where there is one (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "bfloat16", "float32"),
        help="auto: bfloat16 where the processor computes in it (default: %(default)s)",
    )
    parser.add_argument("--deterministic", action="store_true", help="refuse operations that may not repeat exactly")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


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
    """The run itself; returns the exit status."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(arguments.deterministic)
    device = choose_device(arguments.device)
    bfloat16 = computes_bfloat16(device) if arguments.precision == "auto" else arguments.precision == "bfloat16"
    out = Path(arguments.out)
    run = run_folder(config, arguments, out)
    index = read_index(data_directory(arguments.data))
    if not index.statements.shape[1]:  # superclasses alone: nothing could be learnt of statements
        config = replace(config, statement_weight=0.0)
    torch.manual_seed(config.seed)
    config, network, input_scale = untrained(config, arguments, out)
    network = network.to(device)
    config, teacher = with_teacher(config, network, arguments, out)
    train_set, valid_set = open_sets(config, index, input_scale)
    print(
        f"{config.model}, {count_parameters(network):,} parameters; {len(train_set):,} recordings to train on, "
        f"{len(valid_set):,} to validate; {device.type}, {'bfloat16' if bfloat16 else 'float32'}, "
        f"{torch.get_num_threads()} threads; files in {run}"
    )
    print_limits(valid_set)
    run.mkdir(parents=True, exist_ok=True)
    try:
        history = fit(
            network, train_set, valid_set, config, run, arguments.resume, bfloat16, not arguments.quiet, teacher
        )
    except KeyboardInterrupt:
        if (run / LAST).is_file():
            print(f"\nstopped. What was completed is in {run}; go on with --resume and the same flags.")
        else:
            print("\nstopped before the first epoch was complete: nothing was saved.")
        return 130
    finally:
        remove_if_empty(run)
    draw_curves(history, run / "curves.png", train_set)
    print_best(load_checkpoint(run / BEST), len(history))
    ships = not arguments.seeds or config.seed == 0
    promoted = promote(config, run, out, arguments.promote) if ships else None
    print(next_command(config, run, out, promoted, arguments.data))
    return 0


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


def run_folder(config: TrainingConfig, arguments, out: Path) -> Path:
    """Where the run's files go. Raises CheckpointError if they would overwrite a run unasked."""
    part = "" if config.records is None else f"_{config.records}records"
    run = out / "runs" / (arguments.name or f"{config.task}_{config.model}_seed{config.seed}{part}")
    if (run / LAST).is_file() and not (arguments.resume or arguments.restart):
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
