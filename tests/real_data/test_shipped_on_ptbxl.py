"""The shipped checkpoint, predictions and metrics are of PTB-XL's own files, and the product gives what was counted."""

import json

import numpy as np
import pytest

from config import DEFAULT_OUT
from dataset import PTBXLDataset
from ecg.preprocessing import model_input
from ecg.windows import predict_probabilities
from evaluation.coverage import product_uncertain, quality_severities
from evaluation.predictions import held_out_decisions, predict_recordings
from inference.decisions import load_decisions
from inference.diagnoser import Diagnoser
from models.checkpoint import load_checkpoint, logits_function
from ptbxl.cache import open_cache
from ptbxl.records import read_recording

CHECKPOINT = DEFAULT_OUT / "multilabel_best.pth"


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(CHECKPOINT)


@pytest.fixture(scope="module")
def split(real, checkpoint):
    return PTBXLDataset(real, "val", "multilabel", checkpoint.input_scale)


def test_checkpoint_and_metrics_are_of_this_data(real, checkpoint):
    fold_sha256 = open_cache(real).fold_sha256
    metrics = json.loads((DEFAULT_OUT / "multilabel_metrics_val.json").read_text(encoding="utf-8"))
    assert metrics["data_sha256"]["9"] == fold_sha256[9]
    assert checkpoint.data_sha256 == {fold: fold_sha256[fold] for fold in range(1, 10)}


def test_the_shipped_network_reads_real_files_as_it_was_evaluated(real, checkpoint, split):
    logits_of = logits_function(checkpoint.network())
    with np.load(DEFAULT_OUT / "predictions" / "hmt_ecgnet_multilabel_val.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["ecg_id"], split.ecg_ids)
        assert np.array_equal(arrays["targets"], split.targets)
        for row in range(0, len(split), 55):
            recording, cached = read_recording(real, int(split.ecg_ids[row])), split.recording(row)
            assert np.array_equal(cached.signal, recording.signal) and cached.signal.dtype == recording.signal.dtype
            assert cached.sampling_rate == recording.sampling_rate and cached.present.all() and recording.present.all()
            signal = model_input(recording, checkpoint.input_scale)[None]
            alone = predict_probabilities(logits_of, signal, checkpoint.window_s, checkpoint.stride_s)[0]
            np.testing.assert_allclose(alone, arrays["probabilities"][row], atol=1e-4)


def test_evaluation_and_product_give_the_same_verdict(real, checkpoint, split):
    recordings = split.first(100)
    predictions = predict_recordings(CHECKPOINT, checkpoint, recordings)
    thresholds = DEFAULT_OUT / "multilabel_thresholds.json"
    decisions = load_decisions(thresholds, "multilabel", {"multilabel": predictions.sha256})
    held_out = held_out_decisions(predictions, decisions, "test")  # the fitted thresholds, as the product applies them
    severity = quality_severities(recordings)
    diagnoser = Diagnoser.load(DEFAULT_OUT)
    diagnoses = [diagnoser.diagnose(read_recording(real, int(ecg_id))) for ecg_id in recordings.ecg_ids]
    assert list(product_uncertain(held_out.certainty, severity)) == [diagnosis.uncertain for diagnosis in diagnoses]
    assert list(severity) == [diagnosis.quality.severity for diagnosis in diagnoses]
    assert ((held_out.certainty >= 1) & (severity == "caution")).any()  # quality alone decided some of them
