"""How fast training gets its crops: from our cache, and by reading and filtering a WFDB file for each item."""

from pathlib import Path

import numpy as np
import wfdb
from scipy.signal import butter, sosfiltfilt

from config import MULTILABEL_RECIPE, SAMPLING_RATE
from dataset import PTBXLDataset
from ptbxl.index import read_index
from ptbxl.records import record_path
from tools.benchmark import turns

BAND_HZ = (0.5, 40)  # what pipelines for PTB-XL usually let through


def data_path_speed(data: Path, rounds: int, records: int) -> dict:
    """Crops of 2.5 s per second of both ways, which take turns on the same recordings."""
    index = read_index(data)
    train = PTBXLDataset(index, "train").first(records)
    length = round(MULTILABEL_RECIPE.window_s * SAMPLING_RATE)
    numbers = np.random.default_rng(0).permutation(len(train))
    starts = np.random.default_rng(1).integers(train.samples - length + 1, size=len(train))
    paths = [record_path(index, train.ecg_ids[number], SAMPLING_RATE) for number in numbers]
    band = butter(3, BAND_HZ, "bandpass", fs=SAMPLING_RATE, output="sos")
    batch = MULTILABEL_RECIPE.batch_size

    def from_cache() -> None:
        for first in range(0, len(numbers), batch):
            train.signals(numbers[first : first + batch], starts[first : first + batch], length)

    def from_files() -> None:
        for path, start in zip(paths, starts, strict=True):
            signal, _ = wfdb.rdsamp(str(path))
            sosfiltfilt(band, signal.T)[:, start : start + length].astype(np.float32)

    times = turns.take_turns({"cache": from_cache, "files": from_files}, rounds, 1, "data path")
    rates = {name: turns.rate(seconds, len(numbers)) for name, seconds in times.items()}
    return {
        "records": len(numbers),
        "synthetic": train.is_synthetic,
        **rates,
        **turns.ratio(times["cache"], times["files"]),
    }
