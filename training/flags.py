"""Flags of the train scripts: every number of the recipe, where files go, and how the run proceeds."""

import argparse
from dataclasses import fields, replace

from config import DEFAULT_OUT, TrainingConfig
from models import ARCHITECTURES

LEADS_SEEN = ("all", "any")  # --leads


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
