"""Defects made in generated recordings are found, in the lead they are in; good recordings are left alone."""

from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from config import LEADS, LIMB_LEADS
from ecg.electrode_swaps import SWAPS
from ecg.intervals import VALUES, measure_intervals
from ecg.leads import derive_limb_leads
from ecg.preprocessing import resample
from ecg.quality import LEAD_CHECKS, RECORD_CHECKS, SEVERITIES, assess
from ecg.recording import Recording, RecordingError
from ecg.synthetic.pathology import Finding
from tests.support.ecgs import generated
from tools.quality.defects import clip_peaks, come_off, hum, in_units, rail, right_leg_swapped, swapped, with_lead
from tools.quality.mistakes import CABRERA, MISTAKES, declared, exchanged, limb_order
from tools.quality.tolerance import DISTURBANCES, disturbed, is_flagged

RATE = 500
LEAD = "V3"  # the one that tools/quality/defects.py damages


@pytest.fixture(scope="module")
def good() -> Recording:
    return generated()[0]


def names(recording: Recording) -> list[str]:
    return [flag.name for flag in assess(recording).flags]


def at_rate(recording: Recording, rate: float) -> Recording:
    return replace(recording, signal=resample(recording.signal, recording.sampling_rate, rate), sampling_rate=rate)


# -- Good recordings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [100, 128, 250, 257, 360, 500, 1000])
@pytest.mark.parametrize("seconds", [5, 10])
def test_a_good_recording_has_no_flags_and_the_right_heart_rate_at_any_rate_and_length(rate, seconds):
    recording, truth = generated(seed=1)
    recording = at_rate(replace(recording, signal=recording.signal[:, : seconds * RATE]), rate)
    result = assess(recording)
    assert result.flags == () and result.usable and result.severity == "good"
    beats = truth.r_peaks[truth.r_peaks < seconds]
    assert result.heart_rate == pytest.approx(60 / np.diff(beats).mean(), rel=0.03)


@pytest.mark.parametrize("heart_rate", [40, 110, 150])
def test_heart_rate_from_slow_to_fast(heart_rate):
    recording, truth = generated(heart_rate=heart_rate)
    assert assess(recording).heart_rate == pytest.approx(truth.heart_rate, rel=0.02)


def test_measurements_are_the_same_at_100_and_500_hz_but_for_mains_hum(good):
    coarse, fine = assess(at_rate(good, 100)), assess(good)
    for name in ("flat", "wander", "muscle noise", "bursts"):
        assert coarse.measured[name] == pytest.approx(fine.measured[name], rel=0.15), name
    assert np.isnan(coarse.measured["mains"]).all()
    assert any("100 Hz" in sentence for sentence in coarse.not_judged)
    assert not any("Mains" in sentence for sentence in fine.not_judged)


def test_an_offset_of_the_amplifier_is_no_fault(good):
    shifted = replace(good, signal=good.signal + np.arange(12, dtype=np.float32)[:, None])
    assert assess(shifted).flags == ()


# -- One bad lead -----------------------------------------------------------------------------------------------------


def _noise(samples: int, rows: int = 1) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((rows, samples)).squeeze()


def _drift(lead: np.ndarray) -> np.ndarray:
    return lead + 3 * np.sin(2 * np.pi * 0.2 * np.arange(len(lead)) / RATE)


def _burst(lead: np.ndarray) -> np.ndarray:
    noise = 0.3 * _noise(len(lead))
    noise[: 4 * RATE] = noise[6 * RATE :] = 0
    return lead + noise


def _drown(lead: np.ndarray) -> np.ndarray:
    """Slow random noise that hides the heartbeats without trembling."""
    slow = sosfilt(butter(4, 8, fs=RATE, output="sos"), _noise(len(lead)))
    return lead + 2 * slow / slow.std()


MADE = {
    "flat": np.zeros_like,
    "saturated": rail,
    "clipped": clip_peaks,
    "detached": come_off,
    "mains": partial(hum, amplitude=0.1),
    "wander": _drift,
    "muscle noise": lambda lead: lead + 0.1 * _noise(len(lead)),
    "bursts": _burst,
    "low signal-to-noise": _drown,
}


@pytest.mark.parametrize("name", LEAD_CHECKS)
def test_a_defect_is_flagged_in_its_lead_with_its_measurement(good, name):
    result = assess(with_lead(good, lambda lead: MADE[name](lead).astype(np.float32)))
    flags = [flag for flag in result.flags if flag.name == name]
    assert [flag.lead for flag in flags] == [LEAD]
    flag, check = flags[0], LEAD_CHECKS[name]
    assert flag.value == result.measured[name][LEADS.index(LEAD)]
    assert (flag.value < flag.limit) if check.low else (flag.value > flag.limit)
    assert (flag.unit, flag.limit) == (check.unit, check.limit)
    assert LEAD in flag.sentence and "{" not in flag.sentence
    assert {other.lead for other in result.flags} <= {LEAD, None}
    assert result.usable  # eleven leads are good


@pytest.mark.parametrize(
    ("name", "change", "millivolts"),
    [
        ("mains", partial(hum, amplitude=0.05, hertz=50), 0.05),
        ("mains", partial(hum, amplitude=0.05, hertz=60), 0.05),
        ("wander", _drift, 6),
    ],
)
def test_hum_and_drift_are_measured_in_mv(good, name, change, millivolts):
    value = assess(with_lead(good, change)).measured[name][LEADS.index(LEAD)]
    assert value == pytest.approx(millivolts, rel=0.1)


def test_the_end_held_by_some_recorders_is_not_saturation(good):
    signal = good.signal.copy()
    signal[:, -round(0.11 * RATE) :] = 2.5
    assert not {"saturated", "clipped", "detached"} & set(names(replace(good, signal=signal)))


def test_a_silent_lead_has_one_flag_not_several(good):
    assert names(with_lead(good, np.zeros_like)) == ["flat"]
    assert names(with_lead(good, lambda lead: np.full_like(lead, 5.0))) == ["saturated"]


def test_three_lost_leads_make_a_recording_unusable(good):
    signal = good.signal.copy()
    signal[6:8] = 0
    assert assess(replace(good, signal=signal)).usable
    signal[8] = 0
    result = assess(replace(good, signal=signal))
    assert not result.usable and result.flags[0].name == "leads lost" and result.flags[0].value == 3


def test_a_fault_of_the_only_lead_is_said(good):
    present = np.array([lead == LEAD for lead in LEADS])
    only = replace(good, signal=good.signal * present[:, None].astype(np.float32), present=present)
    assert "saturated" in names(with_lead(only, rail))
    assert "detached" in names(with_lead(only, come_off))


def test_absent_leads_are_not_assessed(good):
    present = np.array([lead not in ("V2", "V3") for lead in LEADS])
    result = assess(replace(good, signal=good.signal * present[:, None].astype(np.float32), present=present))
    assert result.flags == () and result.usable
    assert all(np.isnan(values[~present]).all() for values in result.measured.values())
    assert any("Swapped" in sentence for sentence in result.not_judged)
    assert "electrodes swapped" not in result.record


# -- The recording as a whole -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "name"), [(1000, "units too large"), (0.001, "units too small")])
def test_another_unit_is_recognised_and_nothing_else_is_said(good, factor, name):
    recording = in_units(good, factor)
    assert names(recording) == [name] and not assess(recording).usable


@pytest.mark.parametrize("kind", ["nothing", "noise", "drift"])
def test_without_heartbeats_there_is_no_heart_rate_and_no_use(kind):
    noise = np.random.default_rng(0).standard_normal((12, 5000))
    signal = {"nothing": 0 * noise, "noise": 0.2 * noise, "drift": 0.02 * noise.cumsum(axis=1)}[kind]
    recording = Recording(signal.astype(np.float32), RATE, np.ones(12, bool))
    result = assess(recording)
    assert result.heart_rate is None and not result.usable
    assert "no heartbeat" in names(recording)
    assert set(measure_intervals(recording).reasons) == set(VALUES)


def test_a_pacemaker_is_noted_without_calling_the_recording_bad():
    paced = generated(rhythm="PACE", findings=(Finding("PACE", 0.8),))[0]
    assert "paced?" in names(paced) and assess(paced).severity == "note"


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        (Recording(np.zeros((12, 400), np.float32), 100, np.ones(12, bool)), "4.0 s"),
        (Recording(np.zeros((12, 800), np.float32), 80, np.ones(12, bool)), "80 samples/s"),
        (Recording(np.full((12, 1000), np.nan, np.float32), 100, np.ones(12, bool)), "V6"),
    ],
)
@pytest.mark.parametrize("function", [assess, measure_intervals])
def test_what_cannot_be_assessed_is_refused_with_the_reason(function, recording, reason):
    with pytest.raises(RecordingError, match=reason):
        function(recording)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.floats(100, 1000),
    seconds=st.floats(5, 12),
    scale=st.sampled_from([0, 1e-6, 0.001, 0.3, 5, 1e5]),
    steps=st.booleans(),
    present=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_no_signal_crashes_it_and_every_flag_is_beyond_its_limit(seed, rate, seconds, scale, steps, present):
    signal = scale * np.random.default_rng(seed).standard_normal((12, int(np.ceil(rate * seconds)) + 1))
    signal = np.round(signal) if steps else signal
    present = np.array(present)
    result = assess(Recording(np.where(present[:, None], signal, 0).astype(np.float32), rate, present))
    for flag in result.flags:
        check = (LEAD_CHECKS | RECORD_CHECKS)[flag.name]
        assert (flag.value < flag.limit) if check.low else (flag.value > flag.limit)
        assert flag.lead is None or present[LEADS.index(flag.lead)]
    assert result.usable == all(flag.severity != "unusable" for flag in result.flags)
    severities = [SEVERITIES.index(flag.severity) for flag in result.flags]
    assert severities == sorted(severities, reverse=True)


# -- Swapped electrodes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("swap", "leads"),
    [  # what each of I, II, III, aVR, aVL, aVF shows, by the textbook
        ("The right-arm and left-arm electrodes", ("-I", "III", "II", "aVL", "aVR", "aVF")),
        ("The left-arm and left-leg electrodes", ("II", "I", "-III", "aVR", "aVF", "aVL")),
        ("The right-arm and left-leg electrodes", ("-III", "-II", "-I", "aVF", "aVL", "aVR")),
    ],
)
def test_limb_swaps_follow_the_textbook_and_leave_the_chest_alone(good, swap, leads):
    after = swapped(good, SWAPS[swap]).signal
    expected = [good.signal[LEADS.index(lead.lstrip("-"))] * (-1 if lead.startswith("-") else 1) for lead in leads]
    np.testing.assert_allclose(after, [*expected, *good.signal[6:]], atol=1e-5)


def test_moving_the_limb_electrodes_on_and_back_changes_nothing():
    on, back = list(SWAPS.values())[3:5]
    assert on @ back == pytest.approx(np.eye(8)) and not np.allclose(on, back)


@pytest.mark.parametrize(("arm", "empty"), [("RA", "II"), ("LA", "III")])
def test_an_arm_swapped_with_the_right_leg_empties_one_lead(good, arm, empty):
    changed = right_leg_swapped(good, arm)
    assert changed.signal[LEADS.index(empty)] == pytest.approx(np.zeros(5000), abs=1e-5)
    noisy = replace(changed, signal=changed.signal + 0.004 * _noise(5000, rows=12).astype(np.float32))
    result = assess(noisy)
    assert any(empty in flag.sentence and flag.name in ("flat", "right leg swapped") for flag in result.flags)


# -- Wrong files that look right --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", list(combinations(LIMB_LEADS, 2)), ids="-".join)
def test_any_two_limb_leads_exchanged_are_found_and_named(good, pair):
    flags = assess(limb_order(good, exchanged(*pair))).flags
    assert [flag.name for flag in flags] == ["limb leads out of order"]
    assert flags[0].severity == "caution" and ", ".join(exchanged(*pair)) in flags[0].sentence


@pytest.mark.parametrize("order", [CABRERA, tuple(lead.lstrip("-") for lead in CABRERA)])
@pytest.mark.parametrize("rate", [100, 500])
def test_cabrera_order_is_found_and_named(good, order, rate):
    flags = assess(limb_order(at_rate(good, rate), order)).flags
    assert [flag.name for flag in flags] == ["limb leads out of order"]
    assert f"look like {', '.join(order)}." in flags[0].sentence


@pytest.mark.parametrize("name", DISTURBANCES)
def test_limb_leads_that_were_filtered_one_by_one_are_told_from_leads_in_another_order(good, name):
    changed = disturbed(good, name)
    assert not is_flagged(changed)
    assert is_flagged(limb_order(changed, exchanged("aVR", "aVL")))


def test_limb_leads_with_noise_of_their_own_are_not_called_out_of_order(good):
    noise = 0.05 * _noise(5000, rows=12).astype(np.float32)
    assert "limb leads out of order" not in names(replace(good, signal=good.signal + noise))
    assert "limb leads out of order" not in names(
        replace(good, signal=good.signal * np.linspace(0.9, 1.1, 12)[:, None])
    )


def test_derived_limb_leads_are_never_out_of_order(good):
    """Nothing can be said of I and II when the others were made of them, whatever they are."""
    signal, present = good.signal.copy(), np.ones(12, bool)
    signal[:2], present[2:6] = good.signal[[1, 3]], False
    derive_limb_leads(signal, present)
    assert "limb leads out of order" not in names(replace(good, signal=signal, present=present))


@pytest.mark.parametrize(
    ("rate", "flag"), [(250, "sampling rate too low"), (100, "sampling rate too low"), (1000, "sampling rate too high")]
)
def test_a_wrong_sampling_rate_is_asked_for(rate, flag):
    found = [assess(declared(generated(seed)[0], rate)).flags for seed in range(5)]
    right = [next((one for one in flags if one.name == flag), None) for flags in found]
    assert sum(one is not None for one in right) >= 4
    assert all(one.severity == "caution" and f"{rate} Hz" in one.sentence for one in right if one)


@pytest.mark.parametrize("name", ["all leads inverted", "V1-V6 reversed"])
def test_inverted_and_reversed_leads_are_named_and_nothing_else_is_blamed(name):
    (mistake,) = MISTAKES[name]
    found = [names(mistake.change(generated(seed)[0])) for seed in range(5)]
    assert sum(mistake.flag in flags for flags in found) >= 4
    assert not any("electrodes swapped" in flags for flags in found if mistake.flag in flags)


@pytest.mark.parametrize("value", [0, 0.001, 1, -5])
def test_a_file_without_any_signal_is_unusable_and_says_so_briefly(value):
    result = assess(Recording(np.full((12, 5000), value, np.float32), RATE, np.ones(12, bool)))
    assert not result.usable
    assert {flag.name for flag in result.flags} == {"leads lost", "no heartbeat"}
