"""What training learns from: statements, binary tasks, whole recordings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from config import BINARY_RECIPES, BINARY_TASKS, MULTILABEL_RECIPE, SUPERCLASSES
from dataset import PTBXLDataset
from ecg.statements import CODES, columns_of_group
from models.checkpoint import load_checkpoint, save_checkpoint
from tests.support.networks import ALL, checkpoint_of, narrow_network
from tests.support.training import train
from training.cli import train_command
from training.objective import make_objective, statement_weights
from training.transfer import start_from


def test_statements_binary_tasks_and_branch_can_be_left_out(demo_data, tmp_path):
    out = ["--data", demo_data, "--out", tmp_path, "--epochs", "1", "--quiet", "--threads", "1"]
    assert train(*out, "--statement-weight", 0, "--binary-weight", 0, "--no-branch") == 0
    checkpoint = load_checkpoint(tmp_path / "multilabel_best.pth")
    assert (checkpoint.outputs.lengths, checkpoint.branch) == ((5, 0, 0), False)
    assert {name.split(".")[0] for name in checkpoint.weights} == {"trunk"}
    assert checkpoint.network()(torch.zeros(1, 12, 1000)).shape == (1, len(SUPERCLASSES))


@pytest.mark.parametrize("weight", [20.0, 0.0])
@pytest.mark.parametrize("task", BINARY_TASKS)
def test_a_binary_network_starts_where_the_multilabel_one_is(uninterrupted, demo_data, task, weight):
    path = uninterrupted / "multilabel_best.pth"
    config, binary, input_scale = start_from(path, replace(BINARY_RECIPES[task], statement_weight=weight))
    multilabel = load_checkpoint(path).network()
    assert config.branch and input_scale == load_checkpoint(path).input_scale
    assert binary.outputs.lengths == (1, 71 if weight else 0, 0)
    signals = torch.from_numpy(PTBXLDataset(demo_data, "val", task, input_scale).signals([0, 1, 2]))
    with torch.inference_mode():
        statistics = multilabel.statistics(signals)
        ours, theirs = (one.eval().window_logits(signals[:, :, :250], statistics) for one in (binary, multilabel))
    own_output = theirs[:, 76 + BINARY_TASKS.index(task)]
    torch.testing.assert_close(ours[:, 0], own_output, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours[:, 1:], theirs[:, 5:76] if weight else theirs[:, :0], atol=1e-4, rtol=1e-4)


def test_a_binary_network_is_trained_from_one_without_statements_and_branch(demo_data, tmp_path):
    save_checkpoint(tmp_path / "multilabel_best.pth", checkpoint_of(narrow_network()))
    arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--task", "mi_vs_norm", "--epochs", "1", "--quiet"]
    assert train_command(BINARY_RECIPES, "", arguments) == 0
    checkpoint = load_checkpoint(tmp_path / "mi_best.pth")
    assert (checkpoint.outputs.lengths, checkpoint.branch) == ((1, 0, 0), False)


@pytest.fixture(scope="module")
def objective(demo_data):
    """The losses of a narrow network on the generated data, and the training recordings."""
    train_split = PTBXLDataset(demo_data, "train")
    return make_objective(narrow_network(ALL, branch=True), train_split, MULTILABEL_RECIPE), train_split


def test_a_binary_output_learns_nothing_from_recordings_outside_its_task(objective):
    made, split = objective
    superclasses = split.superclasses > 0
    norm, mi = superclasses[:, 0], superclasses[:, 1]
    outside = np.flatnonzero(norm == mi)[:8]
    assert len(outside) and not made.binary_mask[outside, 0].any()
    assert made.binary_mask[np.flatnonzero(norm != mi), 0].all()
    gradient = head_gradient(made, split, outside)
    assert not gradient[5 + 71].any() and gradient[:76].any(axis=1).all()
    labelled = np.flatnonzero(superclasses.any(1))[:8]
    assert head_gradient(made, split, labelled)[5 + 72].any()


def head_gradient(made, split, batch):
    made.network.zero_grad()
    signals = torch.from_numpy(split.signals(batch)[:, :, :250])
    made.loss(signals, torch.from_numpy(split.targets[batch]), batch, False, torch.Generator()).backward()
    return made.network.trunk.head.weight.grad.numpy().copy()


def test_the_branch_sees_whole_recordings_while_the_trunk_sees_crops(objective):
    made, split = objective
    signals = torch.from_numpy(split.signals([3, 30]))
    torch.testing.assert_close(made.statistics[[3, 30]], made.network.statistics(signals))
    assert (made.statistics[3] - made.network.statistics(signals[:1, :, :300])[0]).abs().max() > 0.1


def test_statements_are_learnt_whatever_their_likelihood(objective):
    made, split = objective
    column = split.statement_table.index.get_loc("SR")
    there = ~np.isnan(split.statements[:, column])
    assert there.any() and np.array_equal(made.statements[:, CODES.index("SR")].numpy() > 0, there)


def test_a_recording_without_any_statement_of_form_counts_less_for_those_of_form_alone(objective):
    made, _ = objective
    rows = np.flatnonzero(~made.statements[:, columns_of_group("form")].bool().any(1).numpy())
    others = np.flatnonzero(made.statements[:, columns_of_group("form")].bool().any(1).numpy())
    assert len(rows) and len(others)
    trust = made.trust(torch.from_numpy(rows[:2]))
    alone = [k for k in columns_of_group("form") if k not in columns_of_group("diagnostic")]
    rest = [k for k in range(len(CODES)) if k not in alone]
    assert (trust[:, alone] == MULTILABEL_RECIPE.form_unlabelled).all() and (trust[:, rest] == 1).all()
    assert (made.trust(torch.from_numpy(others[:2])) == 1).all()


@pytest.mark.parametrize("balance", [0.0, 0.2, 0.5])
def test_the_weights_of_statements_keep_the_weight_of_the_whole(balance):
    made = torch.zeros(1000, 4)
    made[:400, 0] = made[:40, 1] = made[:10, 2] = 1
    config = replace(MULTILABEL_RECIPE, statement_balance=balance, statement_weight=7.0)
    weights = statement_weights(made, config)
    share = torch.tensor([0.4, 0.04, 0.01, 0.005])  # one that was never made counts as one of five recordings
    entropy = -(share * share.log() + (1 - share) * (1 - share).log())
    assert (weights * entropy).sum() / entropy.sum() == pytest.approx(7, rel=1e-4)
    ratio = (share[2] * (1 - share[2]) / (share[0] * (1 - share[0]))) ** -balance
    assert weights[2] / weights[0] == pytest.approx(ratio.item(), rel=1e-4)
