import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.preprocessing import model_input, resample
from ecg.recording import Recording, RecordingError
from ecg.windows import predict_probabilities, window_starts

ALL = np.ones(12, bool)


def recording(signal, rate):
    return Recording(np.broadcast_to(signal, (12, len(signal))).astype(np.float32), rate, ALL)


@given(st.integers(1, 3000), st.integers(1, 400), st.integers(1, 400))
def test_windows_cover_the_signal_without_leaving_it(samples, window, stride):
    if samples < window:
        with pytest.raises(ValueError, match="shorter than one window"):
            window_starts(samples, window, stride)
        return
    starts = window_starts(samples, window, stride)
    assert starts[0] == 0
    assert starts[-1] == samples - window
    assert all(0 < later - earlier <= stride for earlier, later in zip(starts, starts[1:], strict=False))


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


def test_probabilities_are_the_mean_over_windows():
    signals = np.random.default_rng(0).normal(size=(5, 12, 1000)).astype(np.float32)

    def logits_of(windows):
        return np.stack([windows.mean((1, 2)) * 30, windows.max((1, 2))], axis=1)

    got = predict_probabilities(logits_of, signals, 2.5, 1.25, batch_size=2)
    windows = np.stack([signals[..., start : start + 250] for start in range(0, 751, 125)])
    expected = np.mean([1 / (1 + np.exp(-logits_of(window).astype(float))) for window in windows], axis=0)
    np.testing.assert_allclose(got, expected, atol=1e-9)
