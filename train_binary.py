"""Train HMT-ECGNet on one yes-or-no question: MI against NORM, or NORM against abnormal.

    python train_binary.py --task mi_vs_norm          # starts from artifacts/multilabel_best.pth
    python train_binary.py --task norm_vs_abnormal
    python train_binary.py --task mi_vs_norm --init none --epochs 20 --learning-rate 3e-3

MI-vs-NORM trains and is evaluated on recordings with exactly one of the two; NORM-vs-abnormal on all
that have a superclass, abnormal being any but NORM. Folds 1-8 train, fold 9 selects the epoch,
fold 10 is never looked at.
"""

import sys

from config import BINARY_RECIPES
from training.cli import train_command

if __name__ == "__main__":
    sys.exit(train_command(BINARY_RECIPES, __doc__))
