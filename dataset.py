"""PTB-XL as a torch Dataset: one split of one task.

    python dataset.py check                # is the data set whole, and if not, what still works
    python dataset.py cache                # signals into one memory-mapped array (scripts do it on first use)
    python dataset.py demo demo/data       # a small generated data set in the same layout
    python dataset.py download             # PTB-XL 1.0.3 from PhysioNet
    python dataset.py import labels.csv data/own     # your own recordings, see docs/own_data.md

Wagner et al., "PTB-XL, a large publicly available electrocardiography dataset", Scientific
Data 7:154 (2020); release 1.0.3, doi 10.13026/kfzx-aw45.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import torch

from config import LEADS, MICROVOLTS_PER_MILLIVOLT, SAMPLING_RATE, SPLIT_FOLDS, TASK_CLASSES
from ecg.preprocessing import scale_signal
from ecg.recording import Recording
from ptbxl.cache import CHUNK, SignalCache, open_cache
from ptbxl.index import DatasetError, Index, read_index, task_targets


class PTBXLDataset(torch.utils.data.Dataset):
    """One split of PTB-XL for one task.

    split: "train" (folds 1-8), "val" (9) or "test" (10).
    task: "multilabel", "mi_vs_norm" or "norm_vs_abnormal".
    input_scale: mV; items are divided by it. None: the standard deviation of this split (training).

    Item: float32 signal ``(12, 1000)`` at 100 Hz and float32 target ``(classes,)``.
    Attributes (numpy, one row a recording): ecg_ids, patient_ids, targets, superclasses, statements (likelihoods),
    labelled (has a superclass); metadata is a DataFrame of the original columns.
    Raises DatasetError if the data set lacks a recording of the split, or the split any recording of the task.
    """

    def __init__(
        self, data: Path | str | Index, split: str, task: str = "multilabel", input_scale: float | None = None
    ):
        index = data if isinstance(data, Index) else read_index(data)
        cache = open_cache(index)
        folds = SPLIT_FOLDS[split]
        in_split = np.isin(index.folds, folds)
        _refuse_gaps(index, cache, folds, split)
        targets, belongs = task_targets(index.superclasses, task)
        self._index, self._targets, self._signals = index, targets, cache.signals
        self.split, self.task, self.classes = split, task, TASK_CLASSES[task]
        self.is_synthetic = index.is_synthetic
        self.fold_sha256 = {fold: cache.fold_sha256[fold] for fold in folds}
        self.statement_table = index.statement_table
        self._keep(np.flatnonzero(in_split & belongs))
        if not len(self):
            raise DatasetError(f"split '{split}' of {index.directory} has no recording that task {task} is asked of")
        self.input_scale = self._standard_deviation_mv() if input_scale is None else input_scale

    def _keep(self, rows: np.ndarray) -> None:
        self.rows = rows
        self.metadata = self._index.table.iloc[rows]
        self.ecg_ids = self.metadata.index.to_numpy()
        self.patient_ids = self.metadata["patient_id"].to_numpy()
        self.targets = self._targets[rows]
        self.superclasses = self._index.superclasses[rows]
        self.labelled = self.superclasses.any(1)
        self.statements = self._index.statements[rows]

    def first(self, n: int) -> "PTBXLDataset":
        """The same split cut to its first n recordings."""
        return self._only(self.rows[:n])

    def of_random_patients(self, n: int, seed: int) -> "PTBXLDataset":
        """At least n recordings of the split: all those of as many patients, drawn by the seed, as that takes."""
        patients, number = np.unique(self.patient_ids, return_inverse=True)
        turn = np.random.default_rng(seed).permutation(len(patients))[number]
        return self._only(self.rows[turn <= np.sort(turn)[:n][-1]])

    def _only(self, rows: np.ndarray) -> "PTBXLDataset":
        fewer = copy.copy(self)
        fewer._keep(rows)
        return fewer

    def made(self, codes: tuple[str, ...]) -> np.ndarray:
        """Which statements were made, whatever their likelihood: bool ``(n, len(codes))``; unknown codes never are."""
        made = np.zeros((len(self), len(codes)), bool)
        columns = self.statement_table.index.get_indexer(codes)
        made[:, columns >= 0] = ~np.isnan(self.statements[:, columns[columns >= 0]])
        return made

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.signals([number])[0]), torch.from_numpy(self.targets[number])

    def recording(self, number: int) -> Recording:
        """One ECG in mV at 100 Hz, equal to what `ptbxl.records.read_recording` reads from its file."""
        signal = scale_signal(self._signals[self.rows[number]], MICROVOLTS_PER_MILLIVOLT)
        return Recording(signal=signal, sampling_rate=SAMPLING_RATE, present=np.ones(len(LEADS), bool))

    @property
    def samples(self) -> int:
        """Samples of each recording."""
        return self._signals.shape[2]

    def signals(self, numbers, starts=None, length: int | None = None) -> np.ndarray:
        """Float32 ``(len(numbers), 12, length)`` model inputs; ``length`` samples from each start, or all of them."""
        length = length or self.samples
        if starts is None:
            starts = np.zeros(len(numbers), int)
        microvolts = np.stack(
            [
                self._signals[self.rows[number], :, start : start + length]
                for number, start in zip(numbers, starts, strict=True)
            ]
        )
        return scale_signal(microvolts, self.input_scale * MICROVOLTS_PER_MILLIVOLT)

    def _standard_deviation_mv(self) -> float:
        """Standard deviation in mV over all leads and samples of the split."""
        total = squares = 0.0
        for first in range(0, len(self.rows), CHUNK):
            chunk = self._signals[self.rows[first : first + CHUNK]].astype(np.float64)
            total += chunk.sum()
            squares += np.square(chunk).sum()
        n = len(self.rows) * len(LEADS) * self.samples
        return round(float(np.sqrt(squares / n - (total / n) ** 2)) / MICROVOLTS_PER_MILLIVOLT, 4)


def _refuse_gaps(index: Index, cache: SignalCache, folds: tuple[int, ...], split: str) -> None:
    absent = sorted(set(folds) - set(index.folds))
    if absent:
        raise DatasetError(
            f"the data set in {index.directory} has no fold {', '.join(map(str, absent))}, which split '{split}' needs"
        )
    in_split = set(index.table.index[np.isin(index.folds, folds)])
    unreadable = sorted(in_split & set(cache.unreadable))
    if unreadable:
        raise DatasetError(
            f"split '{split}' lacks {len(unreadable)} of {len(in_split)} recordings, the first: "
            f"{cache.unreadable[unreadable[0]]}. `python dataset.py check` lists them; "
            "`python dataset.py download` fetches what is missing"
        )


if __name__ == "__main__":
    from ptbxl.cli import main  # draws, generates and downloads: nothing that an import of this module needs

    sys.exit(main())
