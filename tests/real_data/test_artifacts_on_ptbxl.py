"""The shipped checkpoint and metrics name the very data that are here."""

import json

from config import DEFAULT_OUT
from models.checkpoint import load_checkpoint
from ptbxl.cache import open_cache


def test_checkpoint_and_metrics_are_of_this_data(real):
    fold_sha256 = open_cache(real).fold_sha256
    metrics = json.loads((DEFAULT_OUT / "multilabel_metrics_val.json").read_text(encoding="utf-8"))
    assert metrics["data_sha256"]["9"] == fold_sha256[9]
    checkpoint = load_checkpoint(DEFAULT_OUT / "multilabel_best.pth")
    assert checkpoint.data_sha256 == {fold: fold_sha256[fold] for fold in range(1, 10)}
