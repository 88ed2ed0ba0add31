"""eval_external.py on recordings of fold 9, written as the Challenges wrote their copy of PTB-XL."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import eval_external
from config import DEFAULT_OUT, SUPERCLASSES, VALIDATION_FOLD
from evaluation.predictions import read_predictions
from files import sha256
from ptbxl.records import read_recording
from tests.support.challenge_files import codes_of_statements, write_challenge_record

RECORDS = 200


@pytest.fixture(scope="module")
def evaluated(real, tmp_path_factory):
    """--out of the evaluation, the index and the numbers of the recordings that were written."""
    directory, out = tmp_path_factory.mktemp("challenge") / "ptbxl", tmp_path_factory.mktemp("out")
    numbers = np.flatnonzero(real.folds == VALIDATION_FOLD)[:RECORDS]
    codes = np.array(real.statement_table.index)
    for count, number in enumerate(numbers):
        ecg_id = int(real.table.index[number])
        write_challenge_record(
            directory / f"g{count % 3}",
            f"HR{ecg_id:05d}",
            read_recording(real, ecg_id).signal,
            100,
            codes_of_statements(codes[~np.isnan(real.statements[number])]),
            suffix=(".mat", ".dat")[count % 2],
            style=(2020, 2021)[count // 2 % 2],
            comments=[f"Patient: {int(real.table['patient_id'].iloc[number])}"],
        )
    assert eval_external.main([str(directory), "--out", str(out)]) == 0
    return out, real, numbers


def test_the_probabilities_are_those_of_the_evaluation_of_fold_9(evaluated):
    out, real, numbers = evaluated
    stored = [read_predictions(path) for path in (DEFAULT_OUT / "predictions").glob("*_multilabel_val.npz")]
    shipped = sha256(DEFAULT_OUT / "multilabel_best.pth")
    (fold9,) = (one for one in stored if one.checkpoint_sha256 == shipped)
    lines = pd.read_csv(out / "external_predictions_ptbxl.csv")
    ecg_ids = [int(Path(file).stem.removeprefix("HR")) for file in lines["file"]]
    ours = pd.DataFrame(lines[[f"p_superclass_{name}" for name in SUPERCLASSES]].to_numpy(), index=ecg_ids)
    theirs = pd.DataFrame(fold9.probabilities, index=fold9.ecg_ids)
    both = ours.index.intersection(theirs.index)
    assert len(both) > 0.9 * RECORDS
    np.testing.assert_allclose(ours.loc[both], theirs.loc[both], atol=1e-4)
    assert set(ecg_ids) == set(real.table.index[numbers])


def test_the_classes_that_codes_tell_are_those_of_ptbxl(evaluated):
    out, real, numbers = evaluated
    content = json.loads((out / "external_metrics_ptbxl.json").read_text())
    assert content["n"] == RECORDS
    assert content["n_patients"] == real.table["patient_id"].iloc[numbers].nunique()
    for name in ("MI", "CD", "STTC"):
        labelled = int(real.superclasses[numbers, SUPERCLASSES.index(name)].sum())
        entry = content["classes"][name]
        assert entry["n_positive"] <= labelled <= entry["n_positive"] + entry["n_left_open"]
    assert set(content["classes"]) >= set(SUPERCLASSES)
