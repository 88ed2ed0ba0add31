"""Which leads an any-leads network is shown, and that it knows which are missing."""

import numpy as np
import pytest
import torch

from config import LEADS
from ecg.lead_sets import CANONICAL_SETS, lead_left_out
from models import create_model
from tests.support.networks import ALL, narrow_network
from training.lead_subsets import RANDOM_SUBSETS, SHARES, LeadSubsets, draw_subsets, subset_statistics

ECG_IDS = np.arange(1, 501)


@pytest.fixture(scope="module")
def present():
    return draw_subsets(ECG_IDS, seed=0)


def test_every_recording_comes_with_the_canonical_sets(present):
    assert present.shape == (len(ECG_IDS), len(SHARES) + RANDOM_SUBSETS, len(LEADS))
    for column, name in enumerate(SHARES):
        for ecg_id, shown in zip(ECG_IDS[:12], present[:12, column].numpy(), strict=True):
            leads = CANONICAL_SETS[name] if name != "11" else [x for x in LEADS if x != lead_left_out(int(ecg_id))]
            np.testing.assert_array_equal(shown, np.isin(LEADS, leads))


def test_random_subsets_have_any_size_and_what_follows_from_their_limb_leads(present):
    random = present[:, len(SHARES) :].reshape(-1, len(LEADS)).numpy()
    assert random.any(axis=1).all()
    assert set(random.sum(axis=1)) >= {1, 2, 6, 9, 12}
    two_of_three = random[:, :3].sum(axis=1) >= 2
    assert two_of_three.any() and random[two_of_three][:, :6].all()
    assert len(np.unique(random, axis=0)) > 300


def test_the_same_seed_draws_the_same_subsets(present):
    assert torch.equal(draw_subsets(ECG_IDS, seed=0), present)
    assert not torch.equal(draw_subsets(ECG_IDS, seed=1), present)


def test_statistics_of_a_subset_are_those_of_the_recording_with_zeros(present):
    network, generator = narrow_network(ALL, branch=True), torch.Generator().manual_seed(0)
    signals = torch.randn(4, 12, 1000, generator=generator).cumsum(2) / 10
    statistics = subset_statistics(network, signals, present[:4])
    with torch.inference_mode():
        for column in range(present.shape[1]):
            expected = network.statistics(signals * present[:4, column, :, None].float())
            torch.testing.assert_close(statistics[:, column], expected)


def test_subsets_are_drawn_as_often_as_their_shares(present):
    shares = torch.full((present.shape[1],), 0.25 / (present.shape[1] - 1))
    shares[5] = 0.75
    number = torch.arange(present.shape[1]).float()[None, :, None].expand(len(ECG_IDS), -1, 1)
    subsets = LeadSubsets(present=present, statistics=number, shares=shares)
    rows = torch.arange(100)
    shown, chosen = subsets.draw(rows, 4, torch.Generator().manual_seed(0))
    assert 0.68 < (chosen == 5).float().mean() < 0.82
    assert torch.equal(shown, present[rows.repeat(4), chosen[:, 0].long()].float())


def test_several_subsets_at_once_give_the_logits_of_each():
    torch.manual_seed(0)
    network = create_model("hmt_ecgnet_anylead").eval()
    signals, present = torch.randn(3, 12, 250), (torch.rand(6, 12) > 0.5).float()
    with torch.no_grad():
        together = network(signals, present)
        for first in (0, 3):
            part = slice(first, first + 3)
            torch.testing.assert_close(together[part], network(signals * present[part, :, None]), atol=1e-5, rtol=1e-4)


def test_what_the_encoder_makes_of_a_missing_lead_is_left_out():
    torch.manual_seed(0)
    network = create_model("hmt_ecgnet_anylead").eval()
    for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.normal_(norm.bias)  # without it a lead of zeros gives zeros anyway
    signals = torch.randn(2, 12, 250)
    signals[:, 3:] = 0
    with torch.no_grad():
        before = network(signals)
        network.chest_group[0].weight.normal_()
        network.limb_group[0].weight[:, :, 3:].normal_()
        torch.testing.assert_close(network(signals), before)
        network.limb_group[0].weight[:, :, :3].normal_()
        assert (network(signals) - before).abs().max() > 1e-3


def test_the_network_knows_which_leads_are_missing():
    torch.manual_seed(0)
    network = create_model("hmt_ecgnet_anylead").eval()
    signals = torch.randn(1, 12, 250)
    signals[:, 6:] = 0
    with torch.no_grad():
        before = network(signals)
        network.modulation.weight[:, 11] += 1  # of V6, which is missing
        torch.testing.assert_close(network(signals), before)
        network.modulation.weight[:, 0] += 1
        assert (network(signals) - before).abs().max() > 1e-3
