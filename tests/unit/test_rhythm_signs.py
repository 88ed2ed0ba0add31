"""Signs against sinus rhythm, on generated recordings."""

from dataclasses import replace

import numpy as np
import pytest

from ecg.recording import RecordingError
from ecg.rhythm_signs import MOST_IRREGULAR, P_CONSISTENCY, RhythmSigns, irregularity, measure_rhythm
from tests.support.ecgs import generated


@pytest.mark.parametrize("rate", [100, 500])
def test_fibrillation_is_doubted_and_sinus_rhythm_is_not(rate):
    fibrillation = [measure_rhythm(generated(seed, rate, rhythm="AFIB")[0]) for seed in range(8)]
    sinus = [measure_rhythm(generated(seed, rate, heart_rate=50 + 10 * seed)[0]) for seed in range(8)]
    assert sum(bool(signs.doubts) for signs in fibrillation) >= 7
    assert sum(bool(signs.doubts) for signs in sinus) == 0


def test_a_premature_beat_is_not_an_irregular_rhythm_and_a_changing_one_is():
    regular = np.arange(12) * 85
    assert irregularity(regular) == 0
    premature = regular.copy()
    premature[6] -= 30
    assert 0 < irregularity(premature[:12]) < 0.5
    long = np.arange(20) * 85
    long[9] -= 30
    assert irregularity(long) <= MOST_IRREGULAR
    alternating = np.cumsum([85, 60] * 6)
    assert irregularity(alternating) == 1


def test_each_sign_is_named_beyond_its_limit_only():
    assert RhythmSigns(irregularity=MOST_IRREGULAR, p_consistency=P_CONSISTENCY).doubts == ()
    (irregular,) = RhythmSigns(irregularity=MOST_IRREGULAR + 0.01, p_consistency=1.0).doubts
    (without_p,) = RhythmSigns(irregularity=0.0, p_consistency=P_CONSISTENCY - 0.01).doubts
    assert "RR" in irregular and "P wave" in without_p


def test_without_heartbeats_there_are_no_signs_and_too_short_a_recording_is_refused():
    good = generated()[0]
    assert measure_rhythm(replace(good, signal=np.zeros_like(good.signal))) is None
    with pytest.raises(RecordingError, match=r"4\.0 s"):
        measure_rhythm(replace(good, signal=good.signal[:, :2000]))
