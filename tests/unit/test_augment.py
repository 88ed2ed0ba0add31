import torch

from training.augment import augment

SIGNALS = torch.randn(8, 12, 250, generator=torch.Generator().manual_seed(1))


def view(signals, seed=0, lead_gain=0.0, noise=0.0, wander=0.0):
    return augment(signals, torch.Generator().manual_seed(seed), lead_gain=lead_gain, noise=noise, wander=wander)


def test_zero_strengths_change_nothing():
    assert torch.equal(view(SIGNALS), SIGNALS)


def test_the_same_generator_gives_the_same_view_and_the_input_is_left_alone():
    before = SIGNALS.clone()
    strengths = {"lead_gain": 0.1, "noise": 0.1, "wander": 0.4}
    first = view(SIGNALS, **strengths)
    assert torch.equal(first, view(SIGNALS, **strengths))
    assert not torch.equal(first, view(SIGNALS, seed=1, **strengths))
    assert torch.equal(before, SIGNALS)


def test_gain_scales_each_lead_by_one_factor():
    factors = view(SIGNALS, lead_gain=0.2) / SIGNALS
    torch.testing.assert_close(factors, factors[..., :1].expand_as(factors), rtol=1e-3, atol=1e-3)
    assert 0.1 < factors[..., 0].log().std() < 0.3


def test_wander_is_slow_and_bounded():
    wander = view(torch.zeros(64, 12, 1000), wander=0.4)
    assert wander.abs().max() <= 0.4
    power = torch.fft.rfft(wander).abs().square().mean((0, 1))
    hertz = torch.fft.rfftfreq(1000, 1 / 100)
    assert power[hertz > 2].sum() < 0.02 * power.sum()
