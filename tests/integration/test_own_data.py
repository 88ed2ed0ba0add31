"""A user's own data set in PTB-XL's layout: fewer columns, no 500 Hz, own statements, labels of 0 and 1."""

import json
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

import eval_binary
import eval_multilabel
import threshold_search
from config import BINARY_TASKS, DEFAULT_OUT, MULTILABEL_RECIPE, PROJECT, SUPERCLASSES
from evaluation.error_analysis import group_columns
from export_onnx import export_all
from inference.diagnoser import Diagnoser
from models import ARCHITECTURES
from models.checkpoint import load_checkpoint
from ptbxl.cli import main as dataset_command
from ptbxl.index import DatasetError, read_index
from ptbxl.records import read_recording
from tests.support.ecgs import generated
from tools import measure_quality
from training.cli import train_command
from ui.sources import open_fold, ptbxl_ecg

NEEDED = ["ecg_id", "patient_id", "strat_fold", "filename_lr"]


@contextmanager
def edited_table(directory):
    table = pd.read_csv(directory / "ptbxl_database.csv")
    yield table
    table.to_csv(directory / "ptbxl_database.csv", index=False)


@pytest.fixture
def bare(own_data):
    """The generated data set with the columns that are needed and none else, at 100 Hz alone."""
    table = pd.read_csv(own_data / "ptbxl_database.csv", usecols=[*NEEDED, "scp_codes"])
    table.to_csv(own_data / "ptbxl_database.csv", index=False)
    shutil.rmtree(own_data / "records500")
    return own_data


@pytest.fixture
def labelled(bare):
    """The same with the superclasses in columns of 0 and 1, without any statement."""
    superclasses = pd.DataFrame(read_index(bare).superclasses.astype(int), columns=SUPERCLASSES)
    with edited_table(bare) as table:
        table[list(SUPERCLASSES)] = superclasses
        del table["scp_codes"]
    (bare / "scp_statements.csv").unlink()
    return bare


def train(data, out, *arguments):
    words = ["--data", str(data), "--out", str(out), "--epochs", "2", "--quiet", "--threads", "1", *arguments]
    return train_command({"multilabel": MULTILABEL_RECIPE}, "", words)


@pytest.mark.parametrize("data", ["bare", "labelled"])
def test_a_set_with_few_columns_is_checked_trained_on_evaluated_and_served(request, tmp_path, capsys, data):
    with_statements = data == "bare"
    data, out = request.getfixturevalue(data), tmp_path / "out"
    assert dataset_command(["check", "--data", str(data)]) == 0
    assert "recordings also at 500 Hz: 0" in (printed := capsys.readouterr().out) and "release" not in printed
    assert train(data, out) == 0
    shared = ["--data", str(data), "--out", str(out)]
    assert threshold_search.main(shared) == 0
    assert eval_multilabel.main(shared) == 0
    for task in BINARY_TASKS:
        assert threshold_search.main([*shared, "--task", task]) == 0
        assert eval_binary.main([*shared, "--task", task]) == 0
    export_all(out)
    diagnosis = Diagnoser.load(out).diagnose(generated()[0])
    assert set(diagnosis.probabilities) == set(SUPERCLASSES)
    assert bool(diagnosis.statements) == with_statements == (diagnosis.rhythm is not None)


def test_own_columns_say_the_same_as_the_statements_they_were_made_from(own_data, labelled, demo_data):
    assert np.array_equal(read_index(labelled).superclasses, read_index(demo_data).superclasses)


def test_own_columns_rule_over_statements_which_stay(bare):
    with edited_table(bare) as table:
        table[list(SUPERCLASSES)] = 0
        table["HYP"] = 1
    index = read_index(bare)
    assert index.superclasses.sum(0).tolist() == [0, 0, 0, 0, len(index.table)]
    assert not np.isnan(index.statements).all()


def test_the_page_shows_a_bare_set_at_100_hz_without_facts_of_the_patient(bare):
    fold = open_fold(bare, DEFAULT_OUT, None)
    ecg = ptbxl_ecg(fold, int(fold.ecg_ids[0]))
    assert ecg.recording.sampling_rate == 100 and ecg.finer is None
    assert fold.repeated_patients == {} and "PTB-XL" not in ecg.title + ecg.notice
    with pytest.raises(DatasetError, match="no 500-Hz file"):
        read_recording(fold.index, int(fold.ecg_ids[0]), 500)


def test_errors_are_grouped_by_the_columns_there_are(bare, own_data):
    index = read_index(bare)
    certainty = np.full(len(index.table), 100.0)
    groups = group_columns(index.table, index.superclasses, certainty)
    assert set(groups) == {"least certain statement", "superclasses present"}
    with edited_table(bare) as table:
        table["age"], table["sex"] = [np.nan, *[70] * (len(table) - 1)], 1
    groups = group_columns(read_index(bare).table, index.superclasses, certainty)
    assert {"age band", "sex"} <= set(groups) and "pacemaker" not in groups
    assert groups["age band"].isna().sum() == 1


def test_quality_is_not_measured_without_annotations_of_noise(bare, tmp_path, capsys):
    assert measure_quality.main(["--data", str(bare), "--out", str(tmp_path / "out")]) != 0
    assert "annotations of noise" in capsys.readouterr().err


def test_the_documented_network_trains(demo_data, tmp_path, monkeypatch):
    document = (PROJECT / "docs" / "own_data.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", document, re.DOTALL) if "class Mine" in block)
    names = {}
    exec(code, names)
    monkeypatch.setitem(ARCHITECTURES, "mine", names["Mine"])
    assert train(demo_data, tmp_path, "--model", "mine", "--records", "60") == 0
    assert load_checkpoint(tmp_path / "mine_baseline.pth").model == "mine"
    assert (tmp_path / "runs" / "multilabel_mine_seed0_60records" / "best.pth").is_file()


# --------------------------------------------------------------------------- statements of one's own


def test_own_statements_are_named_until_the_table_of_statements_lists_them(bare):
    with edited_table(bare) as table:
        table.loc[0, "scp_codes"] = "{'LOCAL': 100, 'BRUGADA': 50}"
        table.loc[1, "scp_codes"] = "{'LOCAL': 100}"
    with pytest.raises(DatasetError, match=r"does not list: LOCAL \(2 ECGs\), BRUGADA \(1 ECGs\)\. Add a line"):
        read_index(bare)
    statements = pd.read_csv(bare / "scp_statements.csv", index_col=0)[
        ["description", "diagnostic", "diagnostic_class"]
    ]
    statements.loc["LOCAL"] = [None, 1, "CD"]
    statements.loc["BRUGADA"] = ["Brugada pattern", 0, "none"]
    statements.to_csv(bare / "scp_statements.csv")
    index = read_index(bare)
    assert index.superclasses[0].tolist() == index.superclasses[1].tolist() == [name == "CD" for name in SUPERCLASSES]
    assert index.statement_table.loc["LOCAL", "description"] == "LOCAL"


# --------------------------------------------------------------------------- what cannot be used


def drop(column):
    return lambda table: table.drop(columns=column)


def put(column, row, value):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


WRONG = {
    "no patient": (drop("patient_id"), "has no column patient_id"),
    "no fold": (drop("strat_fold"), "has no column strat_fold"),
    "no path": (drop("filename_lr"), "has no column filename_lr"),
    "no number": (drop("ecg_id"), "has no column ecg_id"),
    "no labels": (drop("scp_codes"), "has no labels: scp_codes, or NORM, MI"),
    "a patient's name": (put("patient_id", 3, "Smith"), "patient_id in line 5 of ptbxl_database.csv"),
    "an empty fold": (put("strat_fold", 3, None), "strat_fold in line 5"),
    "an empty path": (put("filename_lr", 3, None), "filename_lr is empty in line 5"),
    "a number twice": (put("ecg_id", 3, 1), "ecg_id 1 is in ptbxl_database.csv more than once"),
    "codes without likelihood": (put("scp_codes", 3, "NORM"), "scp_codes of ecg_id 4 is 'NORM'"),
    "a list of codes": (put("scp_codes", 3, "['NORM']"), "must be like {'NORM': 100.0}"),
    "no codes": (put("scp_codes", 3, None), "scp_codes of ecg_id 4 is 'nan'"),
    "some classes": (lambda table: table.assign(NORM=1, MI=0), "none for STTC, CD, HYP"),
    "a probability": (lambda table: table.assign(NORM=1, MI=0, STTC=0, CD=0, HYP=0.5), "HYP of ecg_id 1 is 0.5"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_a_table_lacks_is_said_in_a_sentence(bare, tmp_path, capsys, kind):
    change, sentence = WRONG[kind]
    change(pd.read_csv(bare / "ptbxl_database.csv")).to_csv(bare / "ptbxl_database.csv", index=False)
    assert train(bare, tmp_path / "out") == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and sentence in printed
    assert not (tmp_path / "out").exists()


# --------------------------------------------------------------------------- recordings of any format, labels in a CSV


@pytest.fixture
def labels(own_data):
    """A CSV of 500-Hz recordings, a patient's name and labels, beside the recordings."""
    index = read_index(own_data)
    table = pd.DataFrame(index.superclasses.astype(int), columns=SUPERCLASSES)
    table["file"] = [f"data/{name}.hea" for name in index.table["filename_hr"]]
    table["patient_id"] = [f"patient {number}" for number in index.table["patient_id"]]
    table["age"] = index.table["age"].to_numpy()
    table.to_csv(own_data.parent / "labels.csv", index=False)
    return own_data.parent / "labels.csv"


def imported(labels, *further):
    return dataset_command(["import", str(labels), str(labels.parent / "own"), *further])


def test_recordings_and_a_csv_of_labels_become_a_data_set(labels, own_data, capsys):
    assert imported(labels) == 0
    assert "Whole" in capsys.readouterr().out
    before, after = read_index(own_data), read_index(labels.parent / "own")
    assert np.array_equal(before.superclasses, after.superclasses)
    assert np.array_equal(before.table["age"], after.table["age"])
    assert after.table.groupby("patient_id")["strat_fold"].nunique().max() == 1
    assert after.table.groupby("patient_id").ngroups == before.table["patient_id"].nunique()
    assert pd.Series(after.folds).value_counts().between(8, 30).all() and set(after.folds) == set(range(1, 11))
    for ecg_id in before.table.index[:5]:
        signals = [read_recording(index, ecg_id).signal for index in (before, after)]
        assert np.abs(signals[0] - signals[1]).max() < 0.01  # mV; rounded to µV before and after resampling


def test_a_recording_that_cannot_be_read_is_left_out_and_named(labels, capsys):
    table = pd.read_csv(labels)
    table.loc[3, "file"] = "absent.hea"
    table.to_csv(labels, index=False)
    assert imported(labels) == 1
    assert "left out: absent.hea: " in (printed := capsys.readouterr().out) and "1 recordings were left out" in printed
    assert len(read_index(labels.parent / "own").table) == len(table) - 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop("MI"), "has no column MI"),
        (put("CD", 2, 2), "CD in line 4"),
        (put("patient_id", 2, None), "patient_id is empty in line 4"),
        (lambda table: table.assign(file=table.loc[0, "file"]), "more than once"),
        (lambda table: table[:3].assign(file=["a", "b", "c"]), "none of the recordings can be read"),
        (lambda table: table[table["patient_id"].isin(table["patient_id"][:5])], "at least 10 patients"),
    ],
    ids=["no class", "not 0 or 1", "no patient", "a file twice", "no recordings", "few patients"],
)
def test_labels_that_make_no_data_set_are_refused_and_nothing_is_written(labels, capsys, change, sentence):
    change(pd.read_csv(labels)).to_csv(labels, index=False)
    before = set(labels.parent.iterdir())
    assert imported(labels) == 2
    assert sentence in capsys.readouterr().err
    assert set(labels.parent.iterdir()) == before


def test_a_directory_that_holds_something_is_not_written_to(labels, own_data, capsys):
    before = sorted(own_data.rglob("*"))
    assert dataset_command(["import", str(labels), str(own_data)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert sorted(own_data.rglob("*")) == before


# --------------------------------------------------------------------------- a class that fold 9 lacks


def test_a_question_that_no_recording_of_fold_9_belongs_to_is_refused_in_a_sentence(bare, trained, capsys):
    with edited_table(bare) as table:
        table.loc[table["strat_fold"] == 9, "scp_codes"] = "{'LVH': 100.0}"
    shared = ["--data", str(bare), "--out", str(bare / "out"), "--multilabel", str(trained[0] / "multilabel_best.pth")]
    assert threshold_search.main([*shared, "--task", "mi_vs_norm"]) == 1
    assert "has no recording that task mi_vs_norm is asked of" in capsys.readouterr().err


def test_a_class_absent_from_fold_9_costs_only_its_own_threshold(own_data, tmp_path, capsys):
    index = read_index(own_data)
    with edited_table(own_data) as table:
        table.loc[(index.folds == 9) & index.superclasses[:, 4], "scp_codes"] = "{'NORM': 100.0}"
    shared = ["--data", str(own_data), "--out", str(tmp_path / "out")]
    assert train(own_data, tmp_path / "out") == 0
    assert threshold_search.main(shared) == 0
    assert "no positives or no negatives of HYP" in capsys.readouterr().out
    thresholds = json.loads((tmp_path / "out" / "multilabel_thresholds.json").read_text())
    assert thresholds["not_fitted"] == ["HYP"] and thresholds["thresholds"]["HYP"] == 0.5
    assert eval_multilabel.main(shared) == 0
    assert "No positives or no negatives of HYP" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "out" / "multilabel_metrics_val.json").read_text())
    mean = np.mean([metrics[name]["auroc"]["value"] for name in SUPERCLASSES[:4]])
    assert (
        metrics["macro"]["auroc"]["value"] == pytest.approx(mean, abs=1e-4) and metrics["HYP"]["auroc"]["value"] is None
    )
