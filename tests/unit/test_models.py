import pytest
import torch

from models import ARCHITECTURES, count_parameters, create_model
from models.hmt_ecgnet import HMTECGNet, fill_up


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def network(request):
    torch.manual_seed(0)
    return create_model(request.param).eval()


def test_the_networks_have_their_size():
    assert {name: count_parameters(create_model(name)) for name in ARCHITECTURES} == {
        "hmt_ecgnet": 305_891,
        "hmt_ecgnet_tiny": 65_345,
        "hmt_ecgnet_anylead": 310_051,
        "plain_cnn": 338_725,
        "resnet1d": 8_739_973,
        "resnet1d_wang": 473_349,
    }


@pytest.mark.parametrize("samples", [200, 201, 250, 333, 1000, 5000])
def test_any_length_from_two_seconds_gives_logits(network, samples):
    logits = network(torch.randn(3, 12, samples))
    assert logits.shape == (3, 5)
    assert torch.isfinite(logits).all()


def test_a_recording_gets_the_same_logits_whatever_is_beside_it_in_the_batch(network):
    x = torch.randn(4, 12, 250)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[2:3], network(x[2:3]), atol=1e-5, rtol=1e-5)


def test_every_parameter_learns(network):
    network.train()
    network(torch.randn(8, 12, 250)).square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    network.eval()
    assert not idle


def encode(network, x):
    with torch.no_grad():
        return network.lead_encoder(torch.relu(network.stem(x[:, None])))


def test_the_lead_encoder_reads_each_lead_alone_with_the_same_weights():
    torch.manual_seed(0)
    network = create_model("hmt_ecgnet").eval()
    x = torch.randn(2, 12, 250)
    encoded = encode(network, x)
    shuffled = torch.randperm(12)
    torch.testing.assert_close(encode(network, x[:, shuffled]), encoded[:, :, shuffled])
    changed = x.clone()
    changed[:, 4] += 1
    difference = (encode(network, changed) - encoded).abs().amax((0, 1, 3))
    assert difference[4] > 0.01
    assert difference[[k for k in range(12) if k != 4]].max() < 1e-6


def test_groups_see_their_own_leads_only():
    network = create_model("hmt_ecgnet").eval()
    seen = {}
    network.limb_group.register_forward_hook(lambda module, inputs, output: seen.update(limb=output))
    network.chest_group.register_forward_hook(lambda module, inputs, output: seen.update(chest=output))
    x = torch.randn(1, 12, 250)
    with torch.no_grad():
        network(x)
        before = dict(seen)
        x[:, 7] += 1
        network(x)
    assert torch.equal(before["limb"], seen["limb"])
    assert not torch.equal(before["chest"], seen["chest"])


def test_arguments_reach_the_network_and_an_unknown_model_is_refused_by_name():
    assert create_model("hmt_ecgnet", classes=1, heart_channels=32)(torch.randn(2, 12, 250)).shape == (2, 1)
    with pytest.raises(ValueError, match="hmt_ecgnet"):
        create_model("transformer")


@pytest.mark.parametrize("any_leads", [False, True])
def test_channels_that_fill_up_change_nothing(any_leads):
    torch.manual_seed(0)
    network = HMTECGNet(3, group_channels=24, heart_channels=40, heart_kernels=(5, 3, 3), any_leads=any_leads).eval()
    for one in network.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            one.running_mean.normal_()
            one.running_var.uniform_(0.5, 2)
    wide, x = fill_up(network, 16), torch.randn(2, 12, 250)
    assert wide.heart[0].out_channels == 48 and not wide.training
    with torch.inference_mode():
        torch.testing.assert_close(wide(x), network(x), atol=1e-5, rtol=1e-5)
    assert fill_up(network, 8) is network
