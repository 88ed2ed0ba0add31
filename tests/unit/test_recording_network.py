"""From windows to the probabilities of a whole recording, in PyTorch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from config import SUPERCLASSES, Outputs
from ecg.statements import BY_CODE, CODES
from models.checkpoint import load_checkpoint, save_checkpoint, with_trunk
from models.windows import cut_windows
from tests.support.ecgs import generated
from tests.support.networks import ALL, FIVE, checkpoint_of, narrow_network


@pytest.fixture(scope="module")
def network():
    return narrow_network(ALL, branch=True)


@pytest.fixture(scope="module")
def signals():
    return torch.from_numpy(np.stack([generated(seed, rate=100)[0].signal for seed in range(2)])) / 0.235


@given(samples=st.integers(1, 1500), window=st.integers(1, 400), share=st.floats(0.01, 1))
def test_windows_are_slices_that_cover_every_sample(samples, window, share):
    stride = max(1, int(share * window))
    signal = torch.arange(2 * samples).reshape(1, 2, samples)
    windows = cut_windows(signal, window, stride)
    starts = windows[0, :, 0, 0].tolist()
    length = min(window, samples)
    assert all(torch.equal(cut, signal[0, :, s : s + length]) for cut, s in zip(windows[0], starts, strict=True))
    assert starts[0] == 0 and starts[-1] == samples - length
    assert starts[:-1] == [k * stride for k in range(len(starts) - 1)]
    assert all(0 < later - earlier <= stride for earlier, later in zip(starts, starts[1:], strict=False))


def window_probabilities(network, signal):
    """Mean over windows of each output ``(outputs,)``, one window at a time."""
    logits = network.trunk(torch.stack([signal[:, start : start + 250] for start in range(0, 751, 125)]))
    if network.branch is not None:
        logits = logits + network.branch(signal[None])
    return logits.sigmoid().mean(0)


@pytest.mark.parametrize("branch", [False, True])
@torch.inference_mode()
def test_a_superclass_is_the_mean_of_its_own_output_and_of_any_of_its_statements(signals, branch):
    network = narrow_network(ALL, branch)
    for signal, merged in zip(signals, network(signals), strict=True):
        of_windows = window_probabilities(network, signal)
        statements = dict(zip(CODES, of_windows[5:76].tolist(), strict=True))
        for k, name in enumerate(SUPERCLASSES):
            own = [p for code, p in statements.items() if BY_CODE[code].superclass == name]
            expected = (of_windows[k].item() + 1 - np.prod(1 - np.array(own))) / 2
            assert merged[k].item() == pytest.approx(expected, abs=1e-5)
        torch.testing.assert_close(merged[5:], of_windows[5:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "outputs",
    [FIVE, Outputs(classes=SUPERCLASSES, statements=("AFIB", "SR")), Outputs(classes=("MI",), statements=CODES)],
    ids=["no statements", "not of every superclass", "a binary task"],
)
@torch.inference_mode()
def test_nothing_is_merged_where_statements_do_not_tell_the_classes(signals, outputs):
    network = narrow_network(outputs)
    torch.testing.assert_close(network(signals[:1])[0], window_probabilities(network, signals[0]), atol=1e-5, rtol=1e-5)


@settings(max_examples=10)
@given(samples=st.integers(300, 1500))
@torch.inference_mode()
def test_any_length_gives_probabilities(network, samples):
    probabilities = network(torch.randn(2, 12, samples))
    assert probabilities.shape == (2, 78)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@torch.inference_mode()
def test_every_window_gets_the_evidence_of_the_whole_recording(network, signals):
    statistics = network.statistics(signals)
    assert statistics.shape == (2, 41)
    evidence = network.window_logits(signals[:, :, :250], statistics) - network.trunk(signals[:, :, :250])
    torch.testing.assert_close(evidence, network.branch(signals), atol=1e-3, rtol=1e-4)
    assert evidence.abs().max() > 0.01
    torch.testing.assert_close(network.read(signals, statistics), network(signals))


def test_the_rest_of_a_recording_changes_no_other_recording(network, signals):
    with torch.inference_mode():
        alone, together = network(signals[:1]), network(signals)
    torch.testing.assert_close(alone[0], together[0], atol=1e-5, rtol=1e-5)


def test_a_checkpoint_of_an_earlier_version_gives_what_its_trunk_gives(tmp_path, signals):
    network = narrow_network()
    earlier = network.trunk.state_dict()
    assert with_trunk(earlier).keys() == network.state_dict().keys()
    save_checkpoint(tmp_path / "earlier.pth", checkpoint_of(network, weights=earlier))
    content = torch.load(tmp_path / "earlier.pth", weights_only=True)
    for name in ("statements", "binary_tasks", "branch"):
        del content[name]
    torch.save(content, tmp_path / "earlier.pth")
    checkpoint = load_checkpoint(tmp_path / "earlier.pth")
    assert checkpoint.outputs == FIVE and not checkpoint.branch
    with torch.inference_mode():
        torch.testing.assert_close(checkpoint.network()(signals), network(signals))


def test_a_checkpoint_keeps_statements_and_branch(tmp_path, network, signals):
    save_checkpoint(tmp_path / "whole.pth", checkpoint_of(network))
    checkpoint = load_checkpoint(tmp_path / "whole.pth")
    assert checkpoint.outputs == ALL and checkpoint.branch
    with torch.inference_mode():
        torch.testing.assert_close(checkpoint.network()(signals), network(signals))


def test_every_parameter_of_the_branch_learns():
    network = narrow_network(ALL, branch=True).train()
    signals = torch.randn(8, 12, 1000)
    network.window_logits(signals[:, :, :250], network.statistics(signals)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.branch.parameters())
    assert network.branch.normalise.running_mean.abs().sum() > 0
