"""Flags that the threshold and eval scripts share."""

import argparse

from config import DEFAULT_OUT

MULTILABEL_HELP = "for binary tasks: the multi-label network to compare with (default: multilabel_best.pth in --out)"


def add_shared_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of every threshold and eval script."""
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where files go (default: artifacts)")
    parser.add_argument("--checkpoint", help="the network (default: the task's, in --out)")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: all cores (default: %(default)s)")
