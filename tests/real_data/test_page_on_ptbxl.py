"""The page with the real PTB-XL."""

import pytest

from config import DEFAULT_OUT, SUPERCLASSES, TEST_FOLD, data_directory
from inference.diagnoser import Diagnoser
from ui.sources import open_fold, ptbxl_ecg


@pytest.fixture(scope="module")
def diagnoser() -> Diagnoser:
    return Diagnoser.load(DEFAULT_OUT)


@pytest.fixture(scope="module")
def fold(real, diagnoser):
    return open_fold(data_directory(), DEFAULT_OUT, diagnoser.files)


def test_the_fold_shown_is_the_last_one_installed(real, fold):
    assert fold.fold == (10 if (real.folds == 10).any() else 9)
    assert fold.name == "PTB-XL" and f"fold {fold.fold}" in fold.notice
    dates = real.table["recording_date"]
    for ecg_ids in list(fold.repeated_patients.values())[:20]:
        assert len(ecg_ids) > 1 and real.table.loc[ecg_ids, "patient_id"].nunique() == 1
        assert list(dates[ecg_ids]) == sorted(dates[ecg_ids])


def test_the_list_of_uncertain_ecgs_is_what_the_page_says_of_each(fold, diagnoser):
    if fold.predictions is None and fold.fold == TEST_FOLD:
        pytest.skip("no verdicts on the test set are stored")
    for number in range(0, len(fold.ecg_ids), 60):
        diagnosis = diagnoser.diagnose(ptbxl_ecg(fold, int(fold.ecg_ids[number])).recording)
        assert fold.predictions.uncertain[number] == diagnosis.uncertain
        predicted = [name in diagnosis.predicted_classes for name in SUPERCLASSES]
        assert fold.predictions.positive[number].tolist() == predicted
