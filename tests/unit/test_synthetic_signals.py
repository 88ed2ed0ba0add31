"""Generated signals: equations, and shapes a cardiologist would recognise, found in the signal itself."""

import math
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import neurokit2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import decimate

from config import LEADS
from ecg.synthetic.beat import frontal_axis, template
from ecg.synthetic.case import FEMALE, MALE, Artefact, Case
from ecg.synthetic.noise import draw_artefacts
from ecg.synthetic.pathology import EFFECTS, Finding
from ecg.synthetic.simulation import diseased_beat, normal_beat, simulate, synthesise

CLEAN = Case(age=55, sex=MALE, heart_rate=70, axis=45, noise=0)


def with_findings(*findings, **changes):
    return replace(CLEAN, findings=findings, **changes)


def mean_beat(case, seed=0):
    """QRS width and lead amplitudes of the mean beat, found in the signal itself (only the R times are given)."""
    signal, truth = simulate(case, np.random.default_rng(seed))
    peaks = [p for p in np.round(truth.r_peaks * 500).astype(int) if 200 <= p < signal.shape[1] - 250]
    beat = np.mean([signal[:, p - 200 : p + 250] for p in peaks], axis=0)
    speed = np.linalg.norm(np.gradient(beat, axis=1), axis=0)
    quiet = np.flatnonzero(np.convolve(speed > 0.05 * speed[150:280].max(), np.ones(5), "same") == 0)  # for 10 ms
    onset, j = quiet[quiet < 200].max() + 2, quiet[quiet > 200].min() - 2
    beat -= beat[:, onset - 4 : onset].mean(axis=1, keepdims=True)
    qrs, late = beat[:, onset:j], beat[:, j + 60 : j + 190]
    by_lead = lambda values: dict(zip(LEADS, values, strict=True))  # noqa: E731
    return SimpleNamespace(
        truth=truth,
        qrs_ms=2 * (j - onset),
        r=by_lead(qrs.max(axis=1)),
        s=by_lead(qrs.min(axis=1)),
        early=by_lead(beat[:, onset : onset + 18].min(axis=1)),  # the first 36 ms, where Q waves are
        end=by_lead(beat[:, j - 25 : j].mean(axis=1)),  # the last 50 ms of the QRS
        st=by_lead(beat[:, j + 30]),
        t=by_lead(late[np.arange(12), np.abs(late).argmax(axis=1)]),
    )


def test_100_hz_shows_the_same_heartbeats_as_500_hz():
    case = Case(age=40, sex=FEMALE, heart_rate=75)
    high, truth_high = synthesise(case, 500, np.random.default_rng(5))
    low, truth_low = synthesise(case, 100, np.random.default_rng(5))
    assert high.signal.shape == (12, 5000) and low.signal.shape == (12, 1000)
    np.testing.assert_array_equal(truth_high.r_peaks, truth_low.r_peaks)
    elsewhere = decimate(high.signal.astype(float), 5, ftype="fir", axis=1)
    assert np.sqrt(np.mean((low.signal - elsewhere)[:, 20:-20] ** 2)) < 0.01


@settings(max_examples=60, deadline=None)
@given(
    age=st.floats(16, 95),
    sex=st.sampled_from([MALE, FEMALE]),
    heart_rate=st.floats(30, 200),
    code=st.sampled_from(sorted(EFFECTS)),
    severity=st.floats(0, 1),
    stage=st.sampled_from(["I", "II", "III"]),
    seed=st.integers(0, 1000),
)
def test_any_person_gives_a_possible_signal(age, sex, heart_rate, code, severity, stage, seed):
    case = Case(age=age, sex=sex, heart_rate=heart_rate, findings=(Finding(code, severity, stage),))
    recording, truth = synthesise(case, 500, np.random.default_rng(seed))
    assert np.isfinite(recording.signal).all()
    assert 0.1 < np.abs(recording.signal).max() < 10
    assert truth.heart_rate == pytest.approx(heart_rate, rel=0.1)
    assert 0 < truth.pr_ms < 330 and 70 <= truth.qrs_ms < 175 and truth.qrs_ms < truth.qt_ms < 800


@pytest.mark.parametrize(
    "make",
    [
        lambda: Finding("XYZ"),
        lambda: Finding("IMI", severity=1.2),
        lambda: Finding("IMI", stage="IV"),
        lambda: replace(CLEAN, heart_rate=0),
        lambda: replace(CLEAN, rhythm="VT"),
        lambda: synthesise(CLEAN, 250, np.random.default_rng(0)),
    ],
)
def test_findings_cases_and_rates_are_checked(make):
    with pytest.raises(ValueError):
        make()


# -- Normal hearts


def test_neurokit_measures_what_the_truth_says():
    # V5, because in II neurokit2 often takes the P wave for the start of the QRS, in PTB-XL's normal recordings too
    errors = []
    for k in range(8):
        case = Case(age=25 + 7 * k, sex=k % 2, heart_rate=58 + 4 * k, axis=45, noise=0.3)
        recording, truth = synthesise(case, 500, np.random.default_rng(k))
        v5 = recording.signal[LEADS.index("V5")].astype(float)
        _, found = neurokit2.ecg_peaks(v5, sampling_rate=500)
        peaks = found["ECG_R_Peaks"]
        _, waves = neurokit2.ecg_delineate(v5, found, sampling_rate=500, method="dwt")
        ms = {name: 2 * np.asarray(times, dtype=float) for name, times in waves.items()}
        t_peaks = [p for p in waves["ECG_T_Peaks"] if not math.isnan(p)]
        baseline = np.median(v5)
        errors.append(
            {
                "PR": np.nanmedian(ms["ECG_R_Onsets"] - ms["ECG_P_Onsets"]) - truth.pr_ms,
                "QRS": np.nanmedian(ms["ECG_R_Offsets"] - ms["ECG_R_Onsets"]) - truth.qrs_ms,
                "QT": np.nanmedian(ms["ECG_T_Offsets"] - ms["ECG_R_Onsets"]) - truth.qt_ms,
                "R time": 1000 * np.median([np.abs(truth.r_peaks - p / 500).min() for p in peaks]),
                "R": np.median(v5[peaks] - baseline) / truth.r_mv[10] - 1,
                "T": np.median(v5[t_peaks] - baseline) / truth.t_mv[10] - 1,
                "rate": 60 / np.median(np.diff(peaks) / 500) - truth.heart_rate,
            }
        )
    error = pd.DataFrame(errors).abs().max()  # of the worst case
    assert (error[["PR", "QRS", "QT", "R time"]] < 20).all(), error
    assert (error[["R", "T"]] < 0.15).all(), error
    assert error["rate"] < 2


@pytest.mark.parametrize("sex", [MALE, FEMALE])
def test_normal_hearts_stay_within_normal_limits(sex):
    truths = [
        simulate(Case(age=age, sex=sex, heart_rate=68), np.random.default_rng(age))[1] for age in range(20, 88, 3)
    ]
    for truth in truths:
        assert 110 <= truth.pr_ms <= 200 and 70 <= truth.qrs_ms <= 110
        assert truth.qt_ms / (60 / 68) ** (1 / 3) < (450 if sex == MALE else 460)
        assert -35 <= truth.axis <= 95
    assert np.mean([truth.sokolow_mv < 3.5 for truth in truths]) > 0.95


def test_women_have_shorter_qrs_and_longer_qt_and_the_axis_turns_left_with_age():
    def mean(measured, **change):
        case = Case(**{"age": 50, "sex": MALE, "heart_rate": 70} | change)
        return np.mean([measured(normal_beat(case, np.random.default_rng(k))) for k in range(20)])

    assert mean(lambda beat: beat.qrs_ms, sex=FEMALE) < mean(lambda beat: beat.qrs_ms) - 3
    assert mean(lambda beat: beat.qt_ms, sex=FEMALE) > mean(lambda beat: beat.qt_ms) + 5
    assert mean(frontal_axis, age=80) < mean(frontal_axis, age=25) - 15


def test_normal_chest_leads_progress_from_s_to_r():
    beats = [mean_beat(CLEAN, seed) for seed in range(8)]
    ratio = [np.median([b.r[lead] / -b.s[lead] for b in beats]) for lead in LEADS[6:]]
    assert ratio[0] < 0.7 and ratio[5] > 2
    assert all(later > earlier for earlier, later in zip(ratio[1:3], ratio[2:4], strict=True))
    for lead in ("I", "II", "III", "aVF", "V2", "V3", "V4", "V5", "V6"):
        assert np.median([b.t[lead] for b in beats]) > 0.05
    assert np.median([b.t["aVR"] for b in beats]) < -0.05


def test_breathing_moves_the_rate_of_the_young_only_as_far_as_asked():
    def spread(swing):
        _, truth = simulate(replace(CLEAN, respiratory_arrhythmia=swing), np.random.default_rng(1))
        return np.std(np.diff(truth.r_peaks)) / np.mean(np.diff(truth.r_peaks))

    assert spread(0.0) < 0.005
    assert 0.05 < spread(0.12) < 0.12


# -- Disease


@pytest.mark.parametrize(
    ("findings", "criteria"),  # lead and mV, with Δ: more than normal; end, early: last 50, first 36 ms of the QRS
    [
        ([Finding("AMI", 0.6, "I")], "st V2 > 0.2, st V3 > 0.2, st V4 > 0.2, st III < 0, t V3 > 0.3"),
        ([Finding("IMI", 0.6, "I")], "st II > 0.1, st III > 0.1, st aVF > 0.1, st aVL < -0.1"),
        ([Finding("LMI", 0.6, "I")], "st I > 0.1, st aVL > 0.1, st V5 > 0.1, st V6 > 0.1, st III < -0.1"),
        ([Finding("AMI", 0.7, "II")], "st V3 > 0.05, st V3 < 0.2, t V3 < -0.1"),
        *(
            (
                [Finding(code, 0.8, "III")],
                f"early {lead} < -0.15, Δearly {lead} < -0.1, st {lead} < 0.1, st {lead} > -0.1",
            )
            for code, leads in {"IMI": "III aVF", "ASMI": "V1 V2", "LMI": "I aVL", "AMI": "V2 V3"}.items()
            for lead in leads.split()
        ),
        *(  # half a millimetre on paper, the usual criterion
            ([Finding(code, 0.8)], f"Δst {lead} < -0.05, t {lead} < 0")
            for code, leads in {"ISCAL": "V4 V5", "ISCIN": "III aVF", "ISCAS": "V2 V3", "ISC_": "V5 V6"}.items()
            for lead in leads.split()
        ),
        ([Finding("CLBBB", 0.4)], "s V1 < -0.7, r V1 < 0.3, r V6 > 0.5, early V6 > -0.02, early I > -0.02"),
        ([Finding("CLBBB", 0.4)], "t V6 < -0.1, t V1 > 0.1, st V1 > 0.05"),
        ([Finding("CRBBB", 0.4)], "end V1 > 0.2, r V1 > 0.4, end I < -0.1, end V6 < -0.1, t V1 < 0"),
        ([Finding("IRBBB", 0.8)], "Δend V1 > 0.1"),
        ([Finding("RVH", 0.7)], "s V6 < -0.3, t V1 < 0"),
        ([Finding("LVH", 0.7), Finding("ISC_", 0.8)], "r V5 > 1.5, st V5 < -0.05, t V5 < -0.1"),
        ([Finding("LVH", 0.7), Finding("ISC_", 0.8)], "r V6 > 1.5, st V6 < -0.05, t V6 < -0.1"),
    ],
)
def test_textbook_criteria(findings, criteria):
    normal, beat = mean_beat(CLEAN), mean_beat(with_findings(*findings))
    for criterion in criteria.split(", "):
        wave, lead, relation, limit = criterion.split()
        name = wave.removeprefix("Δ")
        value = getattr(beat, name)[lead] - (getattr(normal, name)[lead] if wave != name else 0)
        assert value > float(limit) if relation == ">" else value < float(limit), f"{criterion}, not {value:.2f}"


@pytest.mark.parametrize("code", ["CLBBB", "CRBBB"])
def test_only_complete_blocks_are_wider_than_120_ms_and_prolong_qt(code):
    normal, widths = mean_beat(CLEAN), []
    for severity in (0, 0.5, 1):
        beat = mean_beat(with_findings(Finding(code, severity)))
        assert beat.truth.qt_ms > normal.truth.qt_ms + 10
        widths.append(beat.qrs_ms)
    assert 120 < widths[0] < widths[1] < widths[2] < 185
    assert mean_beat(with_findings(Finding("IRBBB", 0.8))).qrs_ms < 122


@pytest.mark.parametrize(
    ("code", "least", "gross", "positive", "negative"),
    [("LAFB", -47, -72, "aVL", "III"), ("LPFB", 101, 125, "III", "aVL"), ("RVH", 96, 130, "V1", "I")],
)
def test_fascicular_blocks_and_right_hypertrophy_reach_their_axis_in_any_heart(code, least, gross, positive, negative):
    for severity, axis in ((0, least), (1, gross)):
        finding = Finding(code, severity)
        for seed in range(20):
            case = Case(age=25 + 3 * seed, sex=seed % 2, heart_rate=70, findings=(finding,))
            assert frontal_axis(diseased_beat(case, np.random.default_rng(seed))) == pytest.approx(axis, abs=3)
    for severity in (0, 0.5, 1):
        beat = mean_beat(with_findings(Finding(code, severity)))
        assert beat.qrs_ms < 122
        assert beat.r[positive] > -beat.s[positive] and beat.r[negative] < -beat.s[negative]


def test_first_degree_av_block_prolongs_pr():
    def p_to_r_ms(case):
        signal, truth = simulate(case, np.random.default_rng(0))
        r_peak = round(truth.r_peaks[2] * 500)
        window = slice(r_peak - 180, r_peak - 45)  # from 360 to 90 ms before R
        return 2 * (180 - np.argmax(signal[LEADS.index("II"), window])), truth.pr_ms

    normal_distance, normal_pr = p_to_r_ms(CLEAN)
    for severity in (0, 0.5, 1):
        distance, pr = p_to_r_ms(with_findings(Finding("1AVB", severity)))
        assert 200 < pr <= 312
        assert distance - normal_distance == pytest.approx(pr - normal_pr, abs=6)


def test_left_hypertrophy_meets_sokolow_lyon_and_stays_in_human_bounds_with_a_block():
    for severity in (0.4, 0.7, 1.0):
        beat = mean_beat(with_findings(Finding("LVH", severity)))
        index = -beat.s["V1"] + max(beat.r["V5"], beat.r["V6"])
        assert index >= 3.5 and index == pytest.approx(beat.truth.sokolow_mv, rel=0.1)
    for block, seed in product(("LAFB", "LPFB", "CRBBB", "CLBBB"), range(20)):
        case = with_findings(Finding("LVH", 1.0), Finding(block, 0.7), voltage=0.6 + 0.04 * seed, axis=None)
        assert 1.5 < np.abs(template(diseased_beat(case, np.random.default_rng(seed)))).max() < 6


def test_nonspecific_changes_are_smaller_than_ischaemia():
    normal, flat = mean_beat(CLEAN), mean_beat(with_findings(Finding("NDT", 0.5)))
    assert abs(flat.t["V4"]) < 0.5 * normal.t["V4"]
    ischaemic, sagging = (mean_beat(with_findings(finding)) for finding in (Finding("ISCAL", 0.8), Finding("NST_")))
    assert ischaemic.st["V4"] < sagging.st["V4"]


def test_pacing_starts_with_a_spike_and_runs_upwards():
    signal, truth = simulate(with_findings(Finding("PACE", 0.5), rhythm="PACE"), np.random.default_rng(0))
    assert math.isnan(truth.pr_ms) and -100 < truth.axis < -45
    steepest = np.flatnonzero(np.abs(np.diff(signal[1])) > 0.2) / 500
    before = [np.min(r - steepest[steepest < r]) for r in truth.r_peaks[1:]]
    assert max(before) < truth.qrs_ms / 1000


def test_atrial_fibrillation_is_irregular_without_pr():
    _, truth = simulate(replace(CLEAN, rhythm="AFIB"), np.random.default_rng(0))
    assert math.isnan(truth.pr_ms) and np.std(np.diff(truth.r_peaks)) > 0.1 * np.mean(np.diff(truth.r_peaks))


# -- Artefacts


def test_artefacts_stay_where_they_arise():
    clean, _ = simulate(CLEAN, np.random.default_rng(0))

    def added(column, electrode):
        case = replace(CLEAN, artefacts=(Artefact(column, (electrode,), "as in PTB-XL"),))
        return simulate(case, np.random.default_rng(0))[0] - clean

    drift = added("baseline_drift", "V6")
    assert np.ptp(drift[11]) > 0.2 and np.abs(drift[:11]).max() < 1e-12
    assert np.abs(np.diff(drift[11])).max() < 0.01  # slow
    arm = added("static_noise", "LA")
    assert np.std(arm[0]) > 0.02 and np.abs(arm[1]).max() < 1e-12  # lead II does without the left arm
    assert np.std(arm[6]) == pytest.approx(np.std(arm[0]) / 3, rel=1e-6)  # through Wilson's terminal
    burst = np.flatnonzero(np.abs(added("burst_noise", "V2")[7]) > 0.05)
    assert len(burst) and (burst[-1] - burst[0]) / 500 <= 2
    lost = (clean + added("electrodes_problems", "V3"))[:, -1000:]
    assert np.ptp(lost[8]) < 0.02 < np.ptp(lost[7])


def test_artefact_columns_are_filled_at_ptb_xls_rates():
    drawn = [draw_artefacts(np.random.default_rng(k)) for k in range(3000)]
    for column, share in {"baseline_drift": 0.07, "static_noise": 0.15, "burst_noise": 0.03}.items():
        found = np.mean([any(a.column == column for a in artefacts) for artefacts in drawn])
        assert found == pytest.approx(share, rel=0.25)
