"""The shipped exported files on real recordings: as PyTorch, and deciding as the product."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from config import DEFAULT_OUT
from dataset import PTBXLDataset
from inference.diagnoser import Diagnoser
from models.checkpoint import load_checkpoint
from tests.support.exported_files import ExportedFiles, assert_same

RECORDS = 500
FULL_PRECISION = sorted(path for path in DEFAULT_OUT.glob("*.onnx") if path.with_suffix(".pth").is_file())


@pytest.fixture(scope="module")
def split(real):
    return PTBXLDataset(real, "val", "multilabel", 1.0)


def spread(split) -> np.ndarray:
    """Numbers of ``RECORDS`` recordings over all of fold 9."""
    return np.linspace(0, len(split) - 1, RECORDS).astype(int)


@pytest.mark.parametrize("path", FULL_PRECISION, ids=lambda path: path.stem)
def test_probabilities_are_those_of_pytorch(split, path):
    checkpoint, files = load_checkpoint(path.with_suffix(".pth")), ExportedFiles(DEFAULT_OUT)
    network, signals = checkpoint.network(), split.signals(spread(split))
    for first in range(0, RECORDS, 20):
        batch = signals[first : first + 20]
        with torch.inference_mode():
            expected = network(torch.from_numpy(batch) / checkpoint.input_scale).numpy()
        np.testing.assert_allclose(files.run(path.name, batch)["probabilities"], expected, atol=1e-4)


def test_the_files_decide_as_the_product(split):
    files, diagnoser = ExportedFiles(DEFAULT_OUT), Diagnoser.load(DEFAULT_OUT)
    numbers = spread(split)[::2]
    answers = files.answers(split.signals(numbers))
    for row, number in enumerate(numbers):
        assert_same(answers, row, diagnoser.diagnose(split.recording(number), quality=False), files)


@pytest.mark.parametrize("samples", [500, 777, 1500, 1501, 2500, 3500, 6500])
def test_the_files_decide_as_the_product_whatever_the_length(split, samples):
    files, diagnoser = ExportedFiles(DEFAULT_OUT), Diagnoser.load(DEFAULT_OUT)
    for number in spread(split)[::50]:
        several = split.signals(np.arange(number, number + 7) % len(split))
        long = np.concatenate(list(several), axis=1)[:, :samples]
        recording = replace(split.recording(number), signal=long)
        assert_same(files.answers(long[None]), 0, diagnoser.diagnose(recording, quality=False), files)
