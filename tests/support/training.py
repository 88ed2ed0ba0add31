"""Short runs of the train command."""

import torch

from config import MULTILABEL_RECIPE
from training.cli import train_command

FAST = ["--epochs", "3", "--quiet", "--threads", "1", "--deterministic"]


def train(*arguments):
    return train_command({"multilabel": MULTILABEL_RECIPE}, "", [str(argument) for argument in arguments])


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)
