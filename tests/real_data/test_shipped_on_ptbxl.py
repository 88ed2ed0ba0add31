"""The shipped checkpoint, predictions and metrics are of PTB-XL's own files, and the product gives what was counted."""

import json

import numpy as np
import pytest

from config import BINARY_TASKS, DEFAULT_OUT, SUPERCLASSES, TASK_CLASSES
from dataset import PTBXLDataset
from ecg.preprocessing import model_input
from ecg.statements import CODES
from ecg.stretches import predict_probabilities
from evaluation.coverage import quality_severities
from evaluation.verdicts import decide, decide_statements
from inference.diagnoser import Diagnoser
from models.checkpoint import load_checkpoint, probabilities_function
from ptbxl.cache import open_cache
from ptbxl.records import read_recording
from tools.measure_verdict import apply_rule, diagnose_all, product_verdicts, rhythm_table

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
    probabilities_of = probabilities_function(checkpoint.network())
    with np.load(DEFAULT_OUT / "predictions" / "hmt_ecgnet_multilabel_val.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["ecg_id"], split.ecg_ids)
        assert np.array_equal(arrays["targets"], split.targets)
        for row in range(0, len(split), 55):
            recording, cached = read_recording(real, int(split.ecg_ids[row])), split.recording(row)
            assert np.array_equal(cached.signal, recording.signal) and cached.signal.dtype == recording.signal.dtype
            assert cached.sampling_rate == recording.sampling_rate and cached.present.all() and recording.present.all()
            signal = model_input(recording, checkpoint.input_scale)[None]
            alone = predict_probabilities(probabilities_of, signal)[0, : len(SUPERCLASSES)]
            np.testing.assert_allclose(alone, arrays["probabilities"][row], atol=1e-4)


def test_evaluation_and_product_give_the_same_verdict(real, split):
    recordings, diagnoser = split.first(100), Diagnoser.load(DEFAULT_OUT)
    _, probabilities = diagnose_all(diagnoser, recordings)
    decisions = {task: decide(diagnoser.decisions[task], probabilities[task]) for task in TASK_CLASSES}
    findings, severity = diagnoser.decisions["multilabel"].statements, quality_severities(recordings)
    statements = decide_statements(findings, probabilities["statements"], recordings.made(CODES), None)
    decided = apply_rule(decisions, statements, severity, rhythm_table(recordings))
    verdicts = decided.verdicts
    diagnoses = [diagnoser.diagnose(read_recording(real, int(ecg_id))) for ecg_id in recordings.ecg_ids]
    assert verdicts.uncertain.tolist() == [diagnosis.uncertain for diagnosis in diagnoses]
    of_product = product_verdicts(diagnoses, recordings.ecg_ids, diagnoser.files)
    assert verdicts.classes.tolist() == of_product["classes"].tolist()
    asserted = [[statement.asserted for statement in diagnosis.statements] for diagnosis in diagnoses]
    assert decided.kept.tolist() == asserted
    for task in BINARY_TASKS:
        withheld = [getattr(diagnosis, task).positive is None for diagnosis in diagnoses]
        assert (verdicts.withheld[task] != "").tolist() == withheld
    assert list(severity) == [diagnosis.quality.severity for diagnosis in diagnoses]
    alone = verdicts.doubts["poor quality"] & ~decisions["multilabel"].near
    assert alone.any()  # quality decided some of them
