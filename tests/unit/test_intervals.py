"""Heart rate, intervals and axes of generated recordings, whose true values are known."""

from dataclasses import replace

import numpy as np
import pytest

from config import LEADS
from ecg.intervals import measure_intervals
from ecg.synthetic.case import MALE
from tests.support.ecgs import generated
from tools.quality.intervals import found_and_true, frontally_turned, turn


@pytest.mark.parametrize("rate", [100, 500])
def test_intervals_come_near_the_truth_of_generated_recordings(rate):
    cases = (generated(seed, rate, heart_rate=55 + 5 * seed, sex=seed % 2, age=30 + 5 * seed) for seed in range(8))
    found, true = found_and_true(list(cases))
    errors = (found - true).abs()
    assert (errors.count() >= 6).all()
    assert (errors.median() < [1, 20, 25, 25, 15, 12]).all()  # heart rate, PR, QRS, QT, axes of P and QRS


def test_corrected_qt_follows_its_formulas():
    found = measure_intervals(generated(heart_rate=90)[0])
    rr = 60 / found.heart_rate
    assert found.qtc_bazett == pytest.approx(found.qt / rr**0.5)
    assert found.qtc_fridericia == pytest.approx(found.qt / rr ** (1 / 3))


def test_fibrillation_has_no_pr_interval_but_a_qrs():
    found = [measure_intervals(generated(seed, rhythm="AFIB", sex=MALE)[0]) for seed in range(6)]
    assert sum(result.pr is None and "P wave" in result.reasons["pr"] for result in found) >= 5
    assert sum(result.qrs is not None for result in found) >= 4


def test_intervals_need_three_leads_with_a_signal():
    good = generated()[0]
    present = np.array([lead in ("I", "aVF", "V1", "V5") for lead in LEADS])
    found = measure_intervals(replace(good, signal=good.signal * present[:, None].astype(np.float32), present=present))
    assert found.qrs is None and "three" in found.reasons["qrs"] and found.qrs_axis is not None


@pytest.mark.parametrize("degrees", [-150, -90, 0, 90, 180])
def test_axes_follow_the_heart_round_the_frontal_plane(degrees):
    recording = generated(seed=2)[0]
    upright, turned = measure_intervals(recording), measure_intervals(frontally_turned(recording, degrees))
    for axis in ("p_axis", "qrs_axis"):
        assert turn(getattr(turned, axis) - getattr(upright, axis) - degrees) == pytest.approx(0, abs=15), axis
