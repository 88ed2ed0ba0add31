"""RR intervals and voltages that the network measures itself, held against the beats of `ecg.beats` and the truth."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecg.bands import split_bands
from ecg.beats import find_beats
from models.recording_branch import (
    LEAST_VOLTAGE,
    NO_BEAT,
    REFRACTORY,
    RR_STATISTICS,
    BeatDetector,
    Beats,
    RecordingBranch,
    rr_statistics,
    voltages,
)
from tests.support.beats import agreement, beats_of, statistics_of
from tests.support.ecgs import generated

RHYTHMS = {
    "sinus": {},
    "bradycardia": {"heart_rate": 42},
    "tachycardia": {"heart_rate": 150},
    "sinus arrhythmia": {"respiratory_arrhythmia": 0.15},
    "atrial fibrillation": {"rhythm": "AFIB", "heart_rate": 95},
    "paced": {"rhythm": "PACE"},
    "noisy": {"noise": 4.0},
    "low voltage": {"voltage": 0.4},
}


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("seed", range(3))
def test_beats_and_rr_intervals_are_those_of_numpy_and_of_the_truth(rhythm, seed):
    recording, truth = generated(seed, rate=100, **RHYTHMS[rhythm])
    found = beats_of(recording.signal)
    numpy_beats, _ = find_beats(split_bands(recording.signal, 100).qrs)
    inside = truth.r_peaks[(truth.r_peaks > 0.3) & (truth.r_peaks < 9.7)] * 100
    assert agreement(numpy_beats, found) >= 0.9 and agreement(found, numpy_beats) >= 0.9
    assert agreement(inside, found) == 1
    statistics = statistics_of(recording.signal)
    rr = np.diff(numpy_beats) / 100
    assert np.exp(statistics["log median RR"]) == pytest.approx(np.median(rr), abs=0.02)
    assert statistics["beats a second"] == pytest.approx(len(truth.r_peaks) / 10, abs=0.11)


def statistics_of_beats(times_s, samples: int = 1000) -> dict[str, float]:
    """`rr_statistics` of beats at these times, all of one height."""
    times = torch.full((1, 1, samples // REFRACTORY + 1), NO_BEAT)
    times[0, 0, : len(times_s)] = torch.from_numpy(np.round(100 * np.asarray(times_s)).astype(int))
    beats = Beats(times, torch.ones(times.shape), torch.tensor([[[5.0]]]), samples / 100)
    return dict(zip(RR_STATISTICS, rr_statistics(beats)[0].tolist(), strict=True))


def test_the_statistics_are_what_they_are_called():
    times = np.array([0.5, 1.3, 2.15, 2.7, 3.9, 4.7, 5.52, 6.3, 7.15])  # the beat at 2.7 s is premature
    rr = np.diff(np.round(times, 2))
    median, successive = np.median(rr), np.abs(np.diff(rr))
    deviation = rr - rr.mean()
    expected = {
        "log median RR": np.log(median),
        "log mean RR": np.log(rr.mean()),
        "standard deviation": rr.std(),
        "RMSSD": np.sqrt((successive**2).mean()),
        "mean successive difference / median": successive.mean() / median,
        "RMSSD / median": np.sqrt((successive**2).mean()) / median,
        "median successive difference / median": np.median(successive) / median,
        "largest successive difference / median": successive.max() / median,
        "shortest / median": rr.min() / median,
        "longest / median": rr.max() / median,
        "share of early beats": (rr / median < 0.85).mean(),
        "share of late beats": (rr / median > 1.15).mean(),
        "correlation with the next": (deviation[1:] * deviation[:-1]).sum() / (deviation**2).sum(),
        "correlation with the next but one": (deviation[2:] * deviation[:-2]).sum() / (deviation**2).sum(),
        "beats a second": len(times) / 10,
        "log contrast": np.log(5),
        "spread of beat heights": 0,
    }
    assert expected["share of early beats"] == expected["share of late beats"] == 1 / 8
    assert statistics_of_beats(times) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_any_number_of_beats_has_finite_statistics(count):
    statistics = statistics_of_beats(np.arange(count) * 0.25)
    assert np.isfinite(list(statistics.values())).all()
    assert np.exp(statistics["log median RR"]) == pytest.approx(0.8 if count < 2 else 0.25)


def a_signal(kind: str, samples: int, seed: int) -> np.ndarray:
    """Signals ``(12, samples)`` in input scales that no heart made."""
    rng = np.random.default_rng(seed)
    signal = np.zeros((12, samples), np.float32)
    if kind == "constant":
        signal += rng.normal(size=(12, 1)) * 10
    elif kind == "spikes":
        signal[:, rng.integers(0, samples, 3)] = rng.normal(size=(12, 3)) * 1e4
    elif kind == "one lead":
        signal[rng.integers(12)] = rng.normal(size=samples)
    elif kind == "noise":
        signal += rng.normal(size=signal.shape) * 10.0 ** rng.uniform(-6, 4)
    elif kind == "step":
        signal[:, samples // 2 :] = 1e5
    return signal


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["zeros", "constant", "spikes", "one lead", "noise", "step"]),
    samples=st.integers(300, 6000),
    seed=st.integers(0, 1000),
)
def test_statistics_and_evidence_are_finite_whatever_is_recorded(kind, samples, seed):
    branch = RecordingBranch(3).eval()
    signals = torch.from_numpy(a_signal(kind, samples, seed))[None]
    with torch.inference_mode():
        assert branch.statistics(signals).isfinite().all()
        assert branch(signals).isfinite().all() and branch(signals).abs().max() < 1e3


@settings(max_examples=40)
@given(arrays(np.float32, (12, 300), elements=st.floats(-1e6, 1e6, width=32)))
def test_statistics_of_any_numbers_are_finite(signal):
    assert RecordingBranch(1).statistics(torch.from_numpy(signal)[None]).isfinite().all()


def test_a_recording_has_the_same_statistics_whatever_is_beside_it():
    branch = RecordingBranch(1)
    signals = torch.from_numpy(np.stack([generated(seed, rate=100)[0].signal for seed in range(3)])) / 0.235
    together = branch.statistics(torch.cat([signals, torch.zeros(1, 12, 1000)]))
    torch.testing.assert_close(together[1:2], branch.statistics(signals[1:2]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("factor", [0.5, 2.0, 10.0])
def test_voltages_scale_with_the_signal_and_beats_do_not(factor):
    signal = torch.from_numpy(generated(0, rate=100)[0].signal)[None] / 0.235
    plain, scaled = voltages(signal), voltages(factor * signal)
    larger = plain > np.log(LEAST_VOLTAGE / min(factor, 1))
    assert larger.float().mean() > 0.9
    torch.testing.assert_close(scaled[larger], plain[larger] + np.log(factor), atol=1e-4, rtol=1e-4)
    detector = BeatDetector()
    assert torch.equal(detector(signal).times, detector(factor * signal).times)
    rr = [rr_statistics(detector(one)) for one in (signal, factor * signal)]
    torch.testing.assert_close(*rr, atol=1e-3, rtol=1e-3)


def test_a_voltage_is_the_usual_height_above_and_below_the_mean_of_a_second():
    signal = torch.zeros(1, 12, 1000)
    signal[0, 3, 50::100], signal[0, 3, 60::100] = 2.0, -1.0
    signal[0, 3, 450] = 50.0  # one artefact changes nothing
    above, below = voltages(signal)[0, [3, 15]].exp().tolist()
    assert (above, below) == pytest.approx((2.0 - 0.01, 1.0 + 0.01), abs=1e-3)
    assert voltages(signal)[0, 4].item() == pytest.approx(np.log(LEAST_VOLTAGE))


def test_a_lost_lead_does_not_hide_the_beats():
    recording, _ = generated(1, rate=100)
    signal = recording.signal.copy()
    signal[:7] = 0
    assert agreement(beats_of(recording.signal), beats_of(signal)) >= 0.9
