"""Leads that show nothing are set aside, and the limb leads that hang on them."""

from dataclasses import replace

import numpy as np
import pytest

from config import LEADS, LIMB_LEADS
from ecg.lost_leads import set_lost_leads_aside, without_leads
from ecg.preprocessing import resample
from ecg.quality import assess
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise


@pytest.fixture(scope="module")
def recording():
    return synthesise(example_cases()["NORM"], 100, np.random.default_rng(1))[0]


def flattened(recording, *leads, since_s=0.0):
    signal = recording.signal.copy()
    signal[np.isin(LEADS, leads), round(since_s * recording.sampling_rate) :] = 0
    return replace(recording, signal=signal)


def resampled(recording, rate):
    signal = resample(recording.signal, recording.sampling_rate, rate).astype(np.float32)
    return replace(recording, signal=signal, sampling_rate=rate)


def names(recording):
    return {lead for lead, there in zip(LEADS, recording.present, strict=True) if there}


def test_a_good_recording_stays_as_it_is(recording):
    quality = assess(recording)
    seen, same = set_lost_leads_aside(recording, quality)
    assert seen is recording
    assert same is quality


@pytest.mark.parametrize("since_s", [0.0, 5.0])
def test_a_lost_chest_lead_is_treated_as_missing(recording, since_s):
    broken = flattened(recording, "V3", since_s=since_s)
    before = assess(broken)
    assert before.severity == "caution"
    seen, quality = set_lost_leads_aside(broken, before)
    assert names(seen) == set(LEADS) - {"V3"}
    assert not seen.signal[LEADS.index("V3")].any()
    assert quality.severity == "note"
    (flag,) = [flag for flag in quality.flags if flag.lead == "V3"]
    assert flag.sentence.endswith("It was treated as missing.")
    assert quality.measured["flat"][LEADS.index("V3")] == before.measured["flat"][LEADS.index("V3")]


def test_many_lost_leads_no_longer_make_a_recording_unusable(recording):
    broken = flattened(recording, "V1", "V2", "V3", "V4")
    assert not assess(broken).usable
    seen, quality = set_lost_leads_aside(broken, assess(broken))
    assert names(seen) == {*LIMB_LEADS, "V5", "V6"}
    assert quality.usable


def test_nothing_is_set_aside_in_a_file_with_a_wrong_sampling_rate(recording):
    stretched = replace(resampled(recording, 250), sampling_rate=100)
    broken = flattened(stretched, "V3")
    before = assess(broken)
    assert {"sampling rate too low", "flat"} <= {flag.name for flag in before.flags}
    seen, quality = set_lost_leads_aside(broken, before)
    assert seen is broken and quality is before


def test_nothing_is_set_aside_if_nothing_would_remain(recording):
    broken = flattened(recording, *LEADS)
    quality = assess(broken)
    assert set_lost_leads_aside(broken, quality) == (broken, quality)


@pytest.mark.parametrize("lead", ["I", "II", "III", "aVR", "aVL", "aVF"])
def test_one_lost_channel_of_the_limb_leads_is_rebuilt(recording, lead):
    broken = flattened(recording, lead)
    seen, quality = set_lost_leads_aside(broken, assess(broken))
    assert seen.present.all()
    np.testing.assert_allclose(seen.signal, recording.signal, atol=0.02)
    assert any("rebuilt from the other limb leads" in flag.sentence for flag in quality.flags)


def test_leads_computed_from_a_flat_one_go_with_it(recording):
    # lead I is flat and the recorder computed the others from it and II
    signal = recording.signal.copy()
    one, two = np.zeros(signal.shape[1], np.float32), signal[1]
    signal[:6] = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    seen = without_leads(replace(recording, signal=signal), np.isin(LEADS, ("I",)))
    assert names(seen) == {"II", *LEADS[6:]}
    assert np.array_equal(seen.signal[1], two)


def test_two_lost_limb_leads_take_the_augmented_ones_along(recording):
    seen = without_leads(recording, np.isin(LEADS, ("I", "III")))
    assert names(seen) == {"II", *LEADS[6:]}


def test_leads_that_were_not_recorded_stay_missing(recording):
    only = replace(
        recording,
        signal=recording.signal * np.isin(LEADS, ("I", "V5"))[:, None],
        present=np.isin(LEADS, ("I", "V5")),
    )
    seen, _ = set_lost_leads_aside(flattened(only, "V5"), assess(flattened(only, "V5")))
    assert names(seen) == {"I"}
