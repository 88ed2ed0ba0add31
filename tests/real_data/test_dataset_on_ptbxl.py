"""The release's published facts, and PTB-XL's signals as the networks see them."""

import numpy as np
import pytest
import torch
import wfdb

from config import LEADS, TRAIN_FOLDS
from dataset import PTBXLDataset
from ecg.preprocessing import model_input
from ptbxl.cache import open_cache
from ptbxl.check import RELEASE_COUNTS
from ptbxl.index import task_targets
from ptbxl.records import read_recording, record_path
from tests.support.required import unavailable

TASK_COUNTS = {"mi_vs_norm": (11_973, 1_495), "norm_vs_abnormal": (17_084, 2_146)}  # training, validation


def test_the_real_data_set_has_the_published_counts_and_no_patient_twice(real):
    for folds, expected in RELEASE_COUNTS.items():
        labels = real.superclasses[np.isin(real.folds, folds)]
        if len(labels) or folds != (10,):
            assert (len(labels), *labels.sum(0), (~labels.any(1)).sum()) == expected
    for task, counts in TASK_COUNTS.items():
        _, belongs = task_targets(real.superclasses, task)
        assert (belongs[np.isin(real.folds, TRAIN_FOLDS)].sum(), belongs[real.folds == 9].sum()) == counts
    assert real.table.groupby("patient_id")["strat_fold"].nunique().max() == 1
    assert real.table.loc[np.isin(real.folds, TRAIN_FOLDS), "patient_id"].nunique() == 15_023
    assert real.table.loc[real.folds == 9, "patient_id"].nunique() == 1_942
    if (real.folds == 10).any():
        assert real.table["patient_id"].nunique() == 18_869


def test_all_71_statements_come_with_their_likelihood(real):
    assert real.statements.shape == (len(real.table), 71)
    first = dict(zip(real.statement_table.index, real.statements[0], strict=True))
    assert {code: likelihood for code, likelihood in first.items() if not np.isnan(likelihood)} == {
        "NORM": 100.0,
        "LVOLT": 0.0,
        "SR": 0.0,
    }


def test_the_cache_holds_the_signals_that_the_shipped_checkpoints_were_trained_on(real):
    assert open_cache(real).fold_sha256[9] == "97f092458aa20ae606dcc15fa118197fa29495c4112093be497408b08f1045fe"


def test_a_real_item_is_the_file_in_mv_over_the_scale(real):
    split = PTBXLDataset(real, "val", input_scale=0.25)
    signal, target = split[3]
    path = real.directory / real.table.at[split.ecg_ids[3], "filename_lr"]
    record = wfdb.rdrecord(str(path))
    names = [name.upper() for name in record.sig_name]
    expected = np.stack([record.p_signal[:, names.index(lead.upper())] for lead in LEADS]) / 0.25
    np.testing.assert_allclose(signal.numpy(), expected, atol=1e-5)
    assert target.dtype == torch.float32
    np.testing.assert_array_equal(model_input(read_recording(real, split.ecg_ids[3]), 0.25), signal.numpy())


def test_the_training_scale_is_the_standard_deviation(real):
    split = PTBXLDataset(real, "train")
    chunks = (split.signals(np.arange(first, min(first + 500, len(split)))) for first in range(0, len(split), 500))
    moments = np.sum([[chunk.size, chunk.sum(dtype=float), np.square(chunk, dtype=float).sum()] for chunk in chunks], 0)
    mean, square = moments[1:] / moments[0]
    assert np.sqrt(square - mean**2) == pytest.approx(1, abs=1e-3)
    assert split.input_scale == pytest.approx(0.2351, abs=1e-4)


def test_both_rates_of_a_real_record_give_the_same_input(real):
    both = [ecg_id for ecg_id in real.table.index[:40] if record_path(real, ecg_id, 500).with_suffix(".dat").is_file()]
    if not both:
        unavailable(f"no 500-Hz recordings in {real.directory}")
    for ecg_id in both[:10]:
        low, high = (model_input(read_recording(real, ecg_id, rate), 1.0) for rate in (100, 500))
        assert low.shape == high.shape
        inner = slice(50, 950)
        assert np.abs(low - high)[:, inner].mean() < 0.02
