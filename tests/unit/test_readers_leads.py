"""From named channels to a recording: lead names, units, derived leads, gaps, amplitudes, limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from config import LEADS
from ecg.beats import MINIMUM_RATE
from ecg.leads import LIMB_FROM_I_II, TWELVE_FROM_EIGHT, lead_name, millivolts
from ecg.quality import assess
from ecg.readers.channels import MAX_SAMPLING_RATE, MAX_SIGNALS, from_leads
from ecg.recording import RecordingError
from tests.support.ecg_files import RATE, TRUTH_MV, leads_of


@pytest.mark.parametrize(
    "label", ["{}", " lead {} ", "Lead_{}", "ECG {}", "EKG-{}", "ECG Lead {}", "MDC_ECG_LEAD_{}", "{} (Einthoven)"]
)
def test_a_lead_is_known_by_its_usual_labels_in_any_case(label):
    for lead in LEADS:
        for spelled in (lead, lead.upper(), lead.lower()):
            assert lead_name(label.format(spelled)) == lead


@pytest.mark.parametrize(
    "label", ["-aVR", "Lead -aVR", "aVR-", "aVR (-)", "V7", "V3R", "MLII", "C3", "1", "", "ECG", "II_2", "VR"]
)
def test_what_is_no_standard_lead_is_not_taken_for_one(label):
    assert lead_name(label) is None


@pytest.mark.parametrize(
    ("unit", "factor"), [("uV", 1e-3), ("µV", 1e-3), ("μV", 1e-3), ("MV", 1), ("Volts", 1e3), ("nV", 1e-6)]
)
def test_units_are_understood_in_their_usual_spellings(unit, factor):
    assert millivolts(unit) == factor
    recording = from_leads({lead: row / factor for lead, row in leads_of().items()}, RATE, unit)
    np.testing.assert_allclose(recording.signal, TRUTH_MV, rtol=1e-5, atol=1e-6)


def test_the_matrices_are_einthovens_and_goldbergers_equations():
    one, two = np.array([3.0, 7.0])
    expected = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    np.testing.assert_array_equal(LIMB_FROM_I_II @ [one, two], expected)
    np.testing.assert_array_equal(TWELVE_FROM_EIGHT @ [one, two, *range(6)], [*expected, *range(6)])


@given(
    st.lists(st.sampled_from(LEADS[3:6]), unique=True),
    st.sampled_from([("I", "II"), ("I", "III"), ("II", "III"), ("I", "II", "III")]),
    hnp.arrays(np.int16, (2, 60), elements=st.integers(-5000, 5000)),
)
def test_two_of_three_limb_leads_give_all_six(augmented, bipolar, microvolts):
    limb = dict(zip(LEADS[:6], LIMB_FROM_I_II @ microvolts, strict=True))
    recording = from_leads({lead: limb[lead] for lead in (*bipolar, *augmented)}, RATE, "uV")
    np.testing.assert_allclose(recording.signal[:6], np.stack(list(limb.values())) / 1000, atol=2e-6)
    np.testing.assert_array_equal(recording.present, [True] * 6 + [False] * 6)
    derived = set(LEADS[:6]) - {*bipolar, *augmented}
    notes = [note for note in recording.notes if note.startswith("derived")]
    assert len(notes) == bool(derived) and all(lead in notes[0] for lead in derived)


def test_leads_that_cannot_be_derived_are_marked_missing_and_other_channels_named():
    recording = from_leads(leads_of(names=("II", "aVF", "V5")) | {"SpO2": np.ones(5000)}, RATE, "mV")
    assert [lead for lead, there in zip(LEADS, recording.present, strict=True) if there] == ["II", "aVF", "V5"]
    assert not recording.signal[~recording.present].any()
    assert "missing leads: I, III, aVR, aVL, V1, V2, V3, V4, V6" in recording.notes
    assert any("SpO2" in note for note in recording.notes)


ABSURD_RATES = (0, -500, 1, 1e9, float("nan"), float("inf"), None, "500", True, [500])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leads": {}}, "no channel is named"),
        ({"leads": {"X": [1.0] * 500}}, "no channel is named .* found X"),
        ({"leads": leads_of() | {"Lead V1": TRUTH_MV[6]}}, "V1 is there twice"),
        ({"leads": leads_of() | {"V6": TRUTH_MV[11, :-1]}}, "equally many"),
        ({"leads": {"I": []}}, "no samples"),
        ({"leads": {"I": [[1.0, 2.0]]}}, "flat list"),
        ({"leads": {"I": [1.0, [2.0]]}}, "flat list"),
        ({"leads": {"I": ["high", "low"]}}, "flat list"),
        ({"leads": {"I": [10**400]}}, "flat list"),
        ({"leads": {"I": [1e300, -1e300] * 300}}, "lead I has amplitudes beyond"),
        ({"leads": {"I": [np.nan] * 5000}}, "no lead has any samples"),
        ({"leads": {"I": [0.0] * 1000 + [None] * 101 + [0.0] * 500}}, r"I has no samples for 0\.20 s from 2\.00 s"),
        ({"leads": {f"V{number}": [0.0] for number in range(MAX_SIGNALS + 1)}}, "at most 64"),
        ({"leads": {"I": np.zeros(3601 * 100)}, "sampling_rate": 100}, "at most 3600 s"),
        *(({"units": unit}, "no voltage") for unit in ("", "adu", "counts", "mmHg", "s", None)),
        *(({"sampling_rate": rate}, "sampling rate") for rate in ABSURD_RATES),
    ],
)
def test_leads_that_make_no_recording_are_refused(changes, message):
    with pytest.raises(RecordingError, match=message):
        from_leads(**{"leads": leads_of(), "sampling_rate": RATE, "units": "mV"} | changes)


def test_an_hour_is_kept_whole():
    assert from_leads({"I": np.zeros(3600 * 100, np.float32)}, 100, "mV").duration == 3600


@given(st.integers(0, 4999), st.integers(1, 100), st.sampled_from([np.nan, np.inf, -np.inf, None]))
def test_a_gap_of_up_to_200_ms_is_interpolated_and_reported(start, length, hole):
    values = np.linspace(-1, 1, 5000)
    broken = values.tolist()
    broken[start : start + length] = [hole] * len(broken[start : start + length])
    recording = from_leads(leads_of() | {"V2": broken}, RATE, "mV")
    # at the ends the nearest sample is repeated
    known = slice(length if start == 0 else 0, start if start + length >= 5000 else None)
    np.testing.assert_allclose(recording.signal[7, known], values[known], atol=1e-6)
    assert np.isfinite(recording.signal).all()
    assert any(note.startswith("lead V2: 1 gap") for note in recording.notes)


def test_a_lead_without_any_sample_counts_as_missing_and_is_derived_where_possible():
    nothing = np.full(5000, np.nan)
    recording = from_leads(leads_of() | {"III": nothing, "V4": nothing}, RATE, "mV")
    np.testing.assert_allclose(recording.signal[2], TRUTH_MV[1] - TRUTH_MV[0], atol=1e-6)
    assert [lead for lead, there in zip(LEADS, recording.present, strict=True) if not there] == ["V4"]


@pytest.mark.parametrize(("factor", "plausible"), [(1000, False), (0.001, False), (0, False), (1, True), (0.2, True)])
@pytest.mark.parametrize("baseline_mv", [0, -3, 100])
def test_an_absurd_amplitude_is_kept_and_reported_whatever_the_baseline(factor, plausible, baseline_mv):
    signal = TRUTH_MV * factor + baseline_mv
    recording = from_leads(leads_of(signal), RATE, "mV")
    np.testing.assert_allclose(recording.signal, signal, rtol=1e-5, atol=1e-6)
    assert assess(recording).usable == plausible


@pytest.mark.parametrize("sampling_rate", [MINIMUM_RATE, MAX_SAMPLING_RATE])
def test_a_recording_is_read_at_the_rates_at_which_its_quality_can_be_assessed(sampling_rate):
    leads = {lead: np.resize(samples, 10 * sampling_rate) for lead, samples in leads_of(names=("I", "II")).items()}
    assess(from_leads(leads, sampling_rate, "mV"))
    with pytest.raises(RecordingError, match=f"{MINIMUM_RATE} to {MAX_SAMPLING_RATE} Hz are read"):
        from_leads(leads, MINIMUM_RATE - 0.1, "mV")
