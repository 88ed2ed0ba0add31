"""What the train scripts share: flags, where files go, the run from data to promoted checkpoint."""

import argparse
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import nn

from config import (
    BASELINE_NAMES,
    CHECKPOINT_NAMES,
    DEFAULT_OUT,
    MULTILABEL,
    SUPERCLASSES,
    SYNTHETIC_NOTICE,
    TASK_CLASSES,
    TINY,
    Training,
    data_directory,
)
from dataset import PTBXLDataset
from files import replacing, sha256
from models import ARCHITECTURES, count_parameters, create_model
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from ptbxl.index import DatasetError, read_index
from training.loop import Run, fit

TUNABLE = (
    "seed",
    "epochs",
    "patience",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "ema_decay",
    "window_s",
    "stride_s",
    "lead_gain",
    "noise",
    "wander",
    "statements",
    "gamma_positive",
    "gamma_negative",
    "class_balance",
)


def train_command(recipes: dict[str, Training], description: str, argv: list[str] | None = None) -> int:
    """Parse flags, train, and leave the best checkpoint where the command-line contract says.

    recipes: task to its defaults; with more than one the script has a ``--task`` flag.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--task", choices=tuple(recipes), default=next(iter(recipes)))
    defaults = recipes[first.parse_known_args(argv)[0].task if len(recipes) > 1 else next(iter(recipes))]
    arguments = train_parser(defaults, tuple(recipes), description).parse_args(argv)
    model = getattr(arguments, "model", defaults.model)
    own = defaults.model_arguments if model == defaults.model else {}
    settings = replace(
        defaults,
        model=model,
        model_arguments={**own, "classes": len(TASK_CLASSES[defaults.task])},
        unlabelled=getattr(arguments, "unlabelled", defaults.unlabelled),
        **{name: getattr(arguments, name) for name in TUNABLE},
    )
    try:
        return train_seeds(settings, arguments)
    except (DatasetError, CheckpointError, FloatingPointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def train_parser(defaults: Training, tasks: tuple[str, ...], description: str) -> argparse.ArgumentParser:
    """Flags of the train scripts; every number of the recipe can be changed for an experiment."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    if defaults.task == "multilabel":
        parser.add_argument(
            "--model", default=defaults.model, choices=sorted(ARCHITECTURES), help="(default: %(default)s)"
        )
        parser.add_argument(
            "--unlabelled",
            action=argparse.BooleanOptionalAction,
            default=defaults.unlabelled,
            help="train on records without a superclass too (default: %(default)s)",
        )
    else:
        parser.add_argument("--task", choices=tasks, default=defaults.task, help="(default: %(default)s)")
        parser.add_argument(
            "--init",
            metavar="CHECKPOINT",
            help="multi-label network to start from; none: random weights (default: multilabel_best.pth in --out)",
        )
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", help="where files go (default: artifacts; a shipped checkpoint there is kept)")
    parser.add_argument("--promote", action="store_true", help="without --out: replace the shipped checkpoint")
    parser.add_argument("--name", help="name of the run's folder (default: model and seed)")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the run's last completed epoch, or start if there is none"
    )
    parser.add_argument("--restart", action="store_true", help="replace a run of the same name")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: all cores (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(default: %(default)s)")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "bfloat16", "float32"),
        help="auto: bfloat16 where the processor computes in it (default: %(default)s)",
    )
    parser.add_argument("--deterministic", action="store_true", help="refuse operations that may not repeat exactly")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="train seeds 0 to N-1 one after the other, or resume them; seed 0 ships"
    )
    kinds = {field.name: field.type for field in fields(Training)}
    for name in TUNABLE:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=kinds[name],
            default=getattr(defaults, name),
            help="(default: %(default)s)",
        )
    return parser


def train_seeds(settings: Training, arguments) -> int:
    """One run, or with ``--seeds`` one after the other; returns the exit status."""
    if arguments.seeds is None:
        return train(settings, arguments)
    if arguments.name:
        raise CheckpointError("--seeds names its runs itself: leave --name away")
    arguments.resume = not arguments.restart
    for seed in reversed(range(arguments.seeds)):  # seed 0 last, so that the last line is its next command
        status = train(replace(settings, seed=seed), arguments)
        if status:
            return status
    return 0


def train(settings: Training, arguments) -> int:
    """The run itself; returns the exit status."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(arguments.deterministic)
    device = choose_device(arguments.device)
    bfloat16 = computes_bfloat16(device) if arguments.precision == "auto" else arguments.precision == "bfloat16"
    out = Path(arguments.out or DEFAULT_OUT)
    run = Run(out / "runs" / (arguments.name or f"{settings.task}_{settings.model}_seed{settings.seed}"))
    if run.last.is_file() and not (arguments.resume or arguments.restart):
        raise CheckpointError(
            f"{run.directory} holds a run already: --resume goes on with it, --restart replaces it, "
            "--name NAME starts another beside it"
        )
    run.directory.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(settings.seed)
    if settings.task == "multilabel" or arguments.init == "none":
        network, input_scale = create_model(settings.model, **settings.model_arguments), None
    else:
        settings, network, input_scale = start_from(
            Path(arguments.init or out / CHECKPOINT_NAMES["multilabel"]), settings
        )
    network = network.to(device)
    index = read_index(data_directory(arguments.data))
    train_set = PTBXLDataset(index, "train", settings.task, input_scale)
    valid_set = PTBXLDataset(index, "val", settings.task, train_set.input_scale)
    print(
        f"{settings.model}, {count_parameters(network):,} parameters; {len(train_set):,} recordings to train on, "
        f"{len(valid_set):,} to validate; {device.type}, {'bfloat16' if bfloat16 else 'float32'}, "
        f"{torch.get_num_threads()} threads; files in {run.directory}"
    )
    if index.is_synthetic:
        print(SYNTHETIC_NOTICE)
    try:
        history = fit(network, train_set, valid_set, settings, run, arguments.resume, bfloat16, not arguments.quiet)
    except KeyboardInterrupt:
        print(f"\nstopped. What was completed is in {run.directory}; go on with --resume and the same flags.")
        return 130
    draw_curves(history, run.directory / "curves.png", index.is_synthetic)
    best = load_checkpoint(run.best)
    print(
        f"best epoch {best.epoch} of {len(history)}: fold-9 macro AUROC {best.metrics['val_auroc']:.4f}, "
        f"AUPRC {best.metrics['val_auprc']:.4f}"
    )
    promoted = None if arguments.seeds and settings.seed else promote(settings, arguments, out, run)
    print(next_command(settings, arguments, run, promoted))
    return 0


def start_from(path: Path, settings: Training) -> tuple[Training, nn.Module, float]:
    """A binary network with the weights of a multi-label one, the settings that record it, and its input scale in mV.

    The last layer becomes the difference that answers the binary question, logit MI - logit NORM
    or minus logit NORM, so training starts from what the multi-label network already knows.
    """
    if not path.is_file():
        raise CheckpointError(
            f"no multi-label network at {path} to start from: python train_multilabel.py trains one, "
            "--init CHECKPOINT names another, --init none starts from random weights"
        )
    checkpoint = load_checkpoint(path)
    if checkpoint.task != "multilabel":
        raise CheckpointError(f"{path} was trained for task {checkpoint.task}; --init takes a multi-label network")
    settings = replace(
        settings,
        init_sha256=sha256(path),
        model=checkpoint.model,
        model_arguments={**checkpoint.model_arguments, "classes": 1},
        window_s=checkpoint.window_s,
        stride_s=checkpoint.stride_s,
    )
    network = create_model(settings.model, **settings.model_arguments)
    norm, mi = SUPERCLASSES.index("NORM"), SUPERCLASSES.index("MI")
    weights = dict(checkpoint.weights)
    for name in ("head.weight", "head.bias"):
        rows = weights[name]
        weights[name] = (rows[mi] - rows[norm] if settings.task == "mi_vs_norm" else -rows[norm])[None]
    network.load_state_dict(weights)
    return settings, network, checkpoint.input_scale


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


def promote(settings: Training, arguments, out: Path, run: Run) -> Path | None:
    """Copy the run's best checkpoint to its place in ``out``; None if a shipped one there was kept."""
    ours = settings.model in (MULTILABEL.model, TINY)
    name = CHECKPOINT_NAMES[settings.task]
    if settings.model == TINY:
        name = name.replace("_best", "_tiny")
    elif not ours:
        name = BASELINE_NAMES.get(settings.model, f"{settings.model}_baseline.pth")
    target = out / name
    if arguments.out is None and target.is_file() and not arguments.promote:
        print(f"{target} is kept as it is; --promote replaces it by this run's")
        return None
    if ours:
        with replacing(target) as unfinished:
            shutil.copyfile(run.best, unfinished)
    else:
        save_checkpoint(target, in_half_precision(load_checkpoint(run.best)))
    return target


def in_half_precision(checkpoint: Checkpoint) -> Checkpoint:
    """The same network in half the bytes: baselines are shipped for comparison, not for use."""
    weights = {name: w.half() if w.is_floating_point() else w for name, w in checkpoint.weights.items()}
    return replace(checkpoint, weights=weights)


def next_command(settings: Training, arguments, run: Run, promoted: Path | None) -> str:
    """The command that continues with this very run; a baseline's thresholds stay in its run's folder."""
    words = ["python threshold_search.py", f"--task {settings.task}", f"--checkpoint {promoted or run.best}"]
    beside = promoted is not None and settings.model == MULTILABEL.model
    words.append(f"--out {promoted.parent if beside else run.directory}")
    if arguments.data:
        words.append(f"--data {arguments.data}")
    return " ".join(words)


def draw_curves(history: list[dict], path: Path, synthetic: bool) -> None:
    """Loss and fold-9 figures against the epoch, as a PNG."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [row["loss"] for row in history], color="#0072B2")
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(epochs, [row["val_auroc"] for row in history], color="#D55E00", label="macro AUROC")
    right.plot(epochs, [row["val_auprc"] for row in history], color="#009E73", label="macro AUPRC")
    right.set(xlabel="epoch", ylabel="fold 9")
    right.legend()
    if synthetic:
        figure.suptitle("SYNTHETIC DATA", color="#D55E00")
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=120)
