import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.preprocessing import model_input, resample
from ecg.recording import Recording, RecordingError
from ecg.stretches import predict_probabilities, stretch_starts

ALL = np.ones(12, bool)


def recording(signal, rate):
    return Recording(np.broadcast_to(signal, (12, len(signal))).astype(np.float32), rate, ALL)


@given(st.integers(300, 400_000))
def test_stretches_have_about_ten_seconds_and_cover_every_sample_without_leaving_the_recording(samples):
    starts, length = stretch_starts(samples)
    assert starts[0] == 0 and starts[-1] == samples - length
    assert all(0 < later - earlier <= length for earlier, later in zip(starts, starts[1:], strict=False))
    assert (starts, length) == ([0], samples) if samples <= 1500 else 700 < length < 1300


@pytest.mark.parametrize("rate", [125, 200, 250, 257, 360, 500, 1000])
def test_a_slow_wave_survives_resampling_and_a_fast_one_is_removed(rate):
    t, t100 = np.arange(10 * rate) / rate, np.arange(1000) / 100
    slow = model_input(recording(np.sin(2 * np.pi * 5 * t), rate), 1.0)[0]
    middle = slice(100, min(900, len(slow)))
    assert abs(len(slow) - 1000) <= 1
    np.testing.assert_allclose(slow[middle], np.sin(2 * np.pi * 5 * t100)[middle], atol=0.03)
    fast = 0.4 * rate if 0.4 * rate > 65 else 0.55 * rate / 1.1 * 0.99
    if fast > 65:
        assert np.abs(model_input(recording(np.sin(2 * np.pi * fast * t), rate), 1.0)[0][middle]).max() < 0.1


@given(st.floats(0.05, 5), st.floats(-3, 3))
def test_amplitude_and_offset_reach_the_network(gain, offset):
    wave = np.sin(np.arange(5000) / 40)
    plain = model_input(recording(wave, 500), 0.5)
    changed = model_input(recording(gain * wave + offset, 500), 0.5)
    np.testing.assert_allclose(changed, gain * plain + 2 * offset, atol=1e-3)


def test_an_offset_does_not_ring_at_the_edges():
    np.testing.assert_allclose(resample(np.full((12, 5000), 3.0), 500, 100), 3.0, atol=1e-9)


def test_short_or_broken_recordings_are_refused_with_the_reason():
    with pytest.raises(RecordingError, match=r"4\.0 s; at least 5 s"):
        model_input(recording(np.zeros(400), 100), 1.0)
    signal = np.zeros((12, 1000), np.float32)
    signal[3, 5] = np.nan
    with pytest.raises(RecordingError, match="lead aVR"):
        model_input(Recording(signal, 100.0, ALL), 1.0)
    with pytest.raises(RecordingError, match="12 leads"):
        Recording(signal[1:], 100.0, ALL)
    with pytest.raises(RecordingError, match="positive"):
        Recording(signal, 0.0, ALL)


@pytest.mark.parametrize("samples", [500, 1000, 1500, 1501, 3700])
def test_probabilities_are_the_mean_over_stretches(samples):
    signals = np.random.default_rng(0).normal(size=(5, 12, samples)).astype(np.float32)

    def probabilities_of(stretches):
        return np.stack([stretches.mean((1, 2)), stretches.max((1, 2))], axis=1)

    got = predict_probabilities(probabilities_of, signals, batch_size=2)
    starts, length = stretch_starts(samples)
    expected = np.mean([probabilities_of(signals[..., s : s + length]).astype(float) for s in starts], axis=0)
    np.testing.assert_allclose(got, expected, atol=1e-6)
