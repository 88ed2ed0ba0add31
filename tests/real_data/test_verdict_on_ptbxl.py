"""Evaluation counts the verdicts that the product gives."""

import numpy as np
import pytest

from config import DEFAULT_OUT
from dataset import PTBXLDataset
from evaluation.coverage import product_uncertain, quality_severities
from evaluation.held_out import held_out_decisions
from evaluation.predictions import predict_recordings
from inference.decisions import load_decisions
from inference.diagnoser import Diagnoser
from models.checkpoint import load_checkpoint
from ptbxl.records import read_recording


@pytest.fixture(scope="module")
def recordings(real):
    checkpoint = load_checkpoint(DEFAULT_OUT / "multilabel_best.pth")
    return PTBXLDataset(real, "val", "multilabel", checkpoint.input_scale).first(100)


def test_a_splits_recordings_are_those_of_the_files(real, recordings):
    for number in range(0, len(recordings), 10):
        cached, read = recordings.recording(number), read_recording(real, int(recordings.ecg_ids[number]))
        assert np.array_equal(cached.signal, read.signal) and cached.signal.dtype == read.signal.dtype
        assert cached.sampling_rate == read.sampling_rate and cached.present.all() and read.present.all()


def test_evaluation_and_product_give_the_same_verdict(real, recordings):
    path = DEFAULT_OUT / "multilabel_best.pth"
    predictions = predict_recordings(path, load_checkpoint(path), recordings)
    thresholds = DEFAULT_OUT / "multilabel_thresholds.json"
    decisions = load_decisions(thresholds, "multilabel", {"multilabel": predictions.sha256})
    held_out = held_out_decisions(predictions, decisions, "test")  # the fitted thresholds, as the product applies them
    severity = quality_severities(recordings)
    diagnoser = Diagnoser.load(DEFAULT_OUT)
    diagnoses = [diagnoser.diagnose(read_recording(real, int(ecg_id))) for ecg_id in recordings.ecg_ids]
    assert list(product_uncertain(held_out.certainty, severity)) == [diagnosis.uncertain for diagnosis in diagnoses]
    assert list(severity) == [diagnosis.quality.severity for diagnosis in diagnoses]
    assert ((held_out.certainty >= 1) & (severity == "caution")).any()  # quality alone decided some of them
