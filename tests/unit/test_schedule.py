"""Learning rate, moving average of the weights, weight decay, and which epoch is the best."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from config import MULTILABEL_RECIPE
from models import create_model
from training.loop import best_epoch, stopped_improving
from training.schedule import make_average, make_optimizer, make_schedule


@pytest.mark.parametrize(
    ("scores", "best", "stopped"),
    [
        ([0.8, 0.9, 0.89, 0.88], 1, True),
        ([0.8, 0.9, 0.89], 1, False),
        ([0.8, 0.9, 0.7, 0.9], 3, False),
        ([math.nan] * 4, 3, False),
    ],
)
def test_the_best_epoch_is_the_last_of_the_highest_and_patience_counts_from_it(scores, best, stopped):
    history = [{"val_score": score} for score in scores]
    assert best_epoch(history) == best and stopped_improving(history, 2) is stopped
    assert not stopped_improving([], 1)


@pytest.mark.parametrize("warm_up", [0.0, 0.15])
def test_the_learning_rate_follows_the_closed_form(warm_up):
    config, steps = replace(MULTILABEL_RECIPE, warm_up=warm_up), 100
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule = make_schedule(optimizer, config, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    x = np.arange(steps) / steps
    falling = 0.5 + 0.5 * np.cos(np.pi * (x - warm_up) / (1 - warm_up))
    rising = 0.04 + 0.96 * (0.5 - 0.5 * np.cos(np.pi * x / warm_up)) if warm_up else falling
    np.testing.assert_allclose(rates, config.learning_rate * np.where(x < warm_up, rising, falling), rtol=1e-12)


def test_the_average_of_weights_and_batch_statistics_follows_the_closed_form():
    torch.manual_seed(0)
    network = create_model("hmt_ecgnet").train()
    average = make_average(network, decay=0.3)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(5):
        network(torch.randn(16, 12, 250) * 3 + 1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1
        average.update_parameters(network)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * value for name, value in network.state_dict().items()}
    assert not average.module.training
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name])
    assert (average.module.stem[1].running_mean != network.stem[1].running_mean).any()


def test_only_matrices_are_decayed():
    network = create_model("hmt_ecgnet")
    decayed, spared = make_optimizer(network, replace(MULTILABEL_RECIPE, weight_decay=0.1)).param_groups
    assert decayed["weight_decay"] == 0.1 and spared["weight_decay"] == 0
    assert all(p.ndim > 1 for p in decayed["params"]) and all(p.ndim == 1 for p in spared["params"])
