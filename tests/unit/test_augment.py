import torch

from training.augment import Augmentation, augment

SIGNALS = torch.randn(8, 12, 250, generator=torch.Generator().manual_seed(1))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_zero_strengths_change_nothing():
    assert torch.equal(augment(SIGNALS, Augmentation(0, 0, 0), seeded()), SIGNALS)


def test_the_same_generator_gives_the_same_view_and_the_input_is_left_alone():
    before = SIGNALS.clone()
    first = augment(SIGNALS, Augmentation(), seeded())
    assert torch.equal(first, augment(SIGNALS, Augmentation(), seeded()))
    assert not torch.equal(first, augment(SIGNALS, Augmentation(), seeded(1)))
    assert torch.equal(before, SIGNALS)


def test_gain_scales_each_lead_by_one_factor():
    view = augment(SIGNALS, Augmentation(0.2, 0, 0), seeded())
    factors = view / SIGNALS
    torch.testing.assert_close(factors, factors[..., :1].expand_as(factors), rtol=1e-3, atol=1e-3)
    assert 0.1 < factors[..., 0].log().std() < 0.3


def test_wander_is_slow_and_bounded():
    wander = augment(torch.zeros(64, 12, 1000), Augmentation(0, 0, 0.4), seeded())
    assert wander.abs().max() <= 0.4
    power = torch.fft.rfft(wander).abs().square().mean((0, 1))
    hertz = torch.fft.rfftfreq(1000, 1 / 100)
    assert power[hertz > 2].sum() < 0.02 * power.sum()
