"""Quality and intervals of recordings of PTB-XL without any annotation of noise."""

import numpy as np
import pytest

from ecg.electrode_swaps import SWAPS
from ecg.intervals import VALUES, measure_intervals
from ecg.quality import assess
from ecg.recording import Recording
from ptbxl.records import read_recording
from tools.quality.annotations import ANNOTATIONS
from tools.quality.defects import swapped
from tools.quality.mistakes import MISTAKES, false_alarms, made


@pytest.fixture(scope="module")
def real_recordings(real) -> list[Recording]:
    """Forty recordings of fold 9 without any annotation of noise."""
    clean = real.table[list(ANNOTATIONS)].isna().all(axis=1)
    ids = real.table.index[(real.folds == 9) & clean][::40][:40]
    return [read_recording(real, ecg_id) for ecg_id in ids]


def test_few_real_recordings_are_flagged_and_none_is_called_unusable(real_recordings):
    results = [assess(recording) for recording in real_recordings]
    assert sum(result.severity == "caution" for result in results) <= 4
    assert sum(any(flag.name == "electrodes swapped" for flag in result.flags) for result in results) <= 2
    assert all(result.usable and result.heart_rate is not None for result in results)


@pytest.mark.parametrize(
    ("swap", "least"), [*zip(SWAPS, [0.8, 0.4, 0.8, 0.8, 0.8, 0.8, 0.6, 0.6, 0.6, 0.5], strict=True)]
)
def test_swaps_of_real_electrodes_are_found_and_named(real_recordings, swap, least):
    sentences = [
        [flag.sentence for flag in assess(swapped(recording, SWAPS[swap])).flags if flag.name == "electrodes swapped"]
        for recording in real_recordings
    ]
    assert np.mean([any(swap in sentence for sentence in found) for found in sentences]) >= least


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_whole_files_are_found_and_named(real_recordings, mistake):
    assert made(real_recordings, {mistake: MISTAKES[mistake]})[mistake]["named"] >= 0.65


def test_no_real_recording_is_taken_for_a_wrong_file(real_recordings):
    results = list(map(assess, real_recordings))
    rates = false_alarms(results, {"all": np.arange(len(results))})
    assert rates["limb leads out of order"]["all"] == 0
    assert rates["any of these"]["all"] <= 1 / 40


def test_every_value_is_given_or_explained(real_recordings):
    for found in map(measure_intervals, real_recordings[:8]):
        assert set(found.reasons) == {name for name in VALUES if getattr(found, name) is None}
