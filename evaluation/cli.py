"""What the threshold and eval scripts share: flags, and one sentence for what the user can put right."""

import argparse
import sys
from collections.abc import Callable

from config import DEFAULT_OUT
from inference.decisions import ThresholdsError
from models.checkpoint import CheckpointError
from ptbxl.index import DatasetError

MULTILABEL_HELP = "for binary tasks: the multi-label network to compare with (default: multilabel_best.pth in --out)"


def add_shared_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of every threshold and eval script."""
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where files go (default: artifacts)")
    parser.add_argument("--checkpoint", help="the network (default: the task's, in --out)")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: all cores (default: %(default)s)")


def add_split_flag(parser: argparse.ArgumentParser) -> None:
    """``--split`` of every eval script."""
    parser.add_argument(
        "--split", default="val", choices=("val", "test"), help="val: fold 9; test: fold 10 (default: %(default)s)"
    )


def exit_code(script: Callable[[argparse.Namespace], object], arguments: argparse.Namespace) -> int:
    """Run a script: 0, or 1 and one sentence if data, a checkpoint, thresholds or a file are not as they must be."""
    try:
        script(arguments)
    except (DatasetError, CheckpointError, ThresholdsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
