"""Train HMT-ECGNet on the five diagnostic superclasses of PTB-XL.

    python train_multilabel.py                       # the shipped recipe, from data/ptbxl
    python train_multilabel.py --resume              # on from the last completed epoch
    python train_multilabel.py --seeds 5             # five seeds, one after the other, resumable
    python train_multilabel.py --model resnet1d      # the baseline, same loop
    python train_multilabel.py --leads any           # for recordings of which leads are missing

Trains on folds 1-8, selects the epoch on fold 9, never looks at fold 10.
"""

import sys

from config import MULTILABEL_RECIPE
from training.cli import train_command

if __name__ == "__main__":
    sys.exit(train_command({"multilabel": MULTILABEL_RECIPE}, __doc__))
