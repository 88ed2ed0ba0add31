"""Tables, predictions files and test results by release."""

import json

import numpy as np
import pytest

from config import DEFAULT_OUT, SUPERCLASSES
from evaluation.predictions import read_predictions
from evaluation.releases import comparison_of_checkpoint, metrics_of_checkpoint, read_releases
from evaluation.tables import markdown_table, metric_cell
from ptbxl.index import DatasetError


def test_a_markdown_table():
    assert markdown_table(("a", "b"), [(1, None), ("x|y", "")]) == "| a | b |\n|---|---|\n| 1 | – |\n| x\\|y |  |"
    with pytest.raises(ValueError, match="2 columns got a row of 1"):
        markdown_table(("a", "b"), [(1,)])


def test_a_metric_that_could_not_be_computed_is_a_dash():
    assert metric_cell({"value": None, "ci95": [None, None]}) == "–"
    assert metric_cell({"value": 0.5, "ci95": [None, None]}) == "0.500"
    assert metric_cell({"value": 0.5, "ci95": [0.4, 0.61]}) == "0.500 (0.400–0.610)"


def write_predictions_of(path, **changes):
    arrays = {
        "ecg_id": np.arange(3),
        "patient_id": np.arange(3),
        "labelled": np.array([True, False, True]),
        "classes": np.array(SUPERCLASSES),
        "checkpoint_sha256": np.array("ab"),
        "targets": np.ones((3, 5), np.uint8),
        "probabilities": np.full((3, 5), 0.5, np.float32),
        "calibrated": np.full((3, 5), 0.5, np.float32),
        "positive": np.ones((3, 5), bool),
        **changes,
    }
    np.savez_compressed(path, **{key: value for key, value in arrays.items() if value is not None})


@pytest.mark.parametrize("changes", [{}, {"quality": np.array(["good", "note", "caution"])}])
def test_predictions_files_load_with_and_without_quality(tmp_path, changes):
    path = tmp_path / "hmt_ecgnet_multilabel_val.npz"
    write_predictions_of(path, **changes)
    stored = read_predictions(path)
    assert stored.name == "hmt_ecgnet" and list(stored.ecg_ids) == [0, 2] and not stored.wrong.any()


@pytest.mark.parametrize("changes", [{"classes": np.array(["MI"])}, {"targets": None}])
def test_other_files_are_no_predictions(tmp_path, changes):
    path = tmp_path / "hmt_ecgnet_multilabel_val.npz"
    write_predictions_of(path, **changes)
    with pytest.raises(DatasetError, match="not a file of multi-label predictions"):
        read_predictions(path)


def release(artifacts, number, checkpoint, **changes):
    directory = artifacts / "test_results" / f"release{number}"
    directory.mkdir(parents=True)
    content = {"task": "multilabel", "split": "test", "checkpoint_sha256": checkpoint, **changes}
    (directory / "multilabel_metrics_test.json").write_text(json.dumps(content))
    comparison = {"split": "test", "source": "external", "networks": [{"checkpoint_sha256": checkpoint}]}
    (directory / "comparison_test.json").write_text(json.dumps(comparison))


def test_test_results_count_for_the_checkpoint_they_name_and_no_other(tmp_path):
    assert read_releases(tmp_path) == []
    for number in (10, 2):
        release(tmp_path, number, f"sha of {number}")
    releases = read_releases(tmp_path)
    assert [one.name for one in releases] == ["release 2", "release 10"]
    found = metrics_of_checkpoint(releases, "multilabel", "sha of 10")
    assert found["checkpoint_sha256"] == "sha of 10" and found["source"] == "external"
    assert comparison_of_checkpoint(releases, "sha of 2")["networks"][0]["checkpoint_sha256"] == "sha of 2"
    assert metrics_of_checkpoint(releases, "multilabel", "of later weights") is None
    assert metrics_of_checkpoint(releases, "mi_vs_norm", "sha of 2") is None
    assert comparison_of_checkpoint(releases, "of later weights") is None


@pytest.mark.parametrize("changes", [{"split": "val"}, {"source": "measured here"}, {"checkpoint_sha256": None}])
def test_what_is_no_test_result_is_refused(tmp_path, changes):
    release(tmp_path, 1, "sha", **changes)
    with pytest.raises(ValueError, match="not a file of test results"):
        read_releases(tmp_path)


def test_the_first_release_is_here_for_every_task():
    first = read_releases(DEFAULT_OUT)[0]
    assert set(first.metrics) == {"multilabel", "mi_vs_norm", "norm_vs_abnormal"}
    assert all(content["fold"] == 10 and content["source"] == "external" for content in first.metrics.values())
    network = first.comparison["networks"][0]
    assert network["checkpoint_sha256"] == first.metrics["multilabel"]["checkpoint_sha256"]
