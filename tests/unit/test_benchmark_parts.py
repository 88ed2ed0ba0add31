"""The arithmetic of tools.benchmark: turns, medians, ratios, operators, parts that are measured once."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from config import SAMPLING_RATE
from tests.support.networks import ALL, checkpoint_of, narrow_network
from tools.benchmark import networks, operators, turns
from tools.benchmark.__main__ import measure


def test_contenders_take_turns():
    called = []
    steps = {name: lambda name=name: called.append(name) for name in ("a", "b")}
    seconds = turns.take_turns(steps, rounds=2, repetitions=3, description="")
    assert called == ["a", "b"] + 2 * (["a"] * 3 + ["b"] * 3), "one call each that does not count"
    assert {name: times.shape for name, times in seconds.items()} == {"a": (2, 2, 3), "b": (2, 2, 3)}
    assert all((times >= 0).all() for times in seconds.values())


def test_medians_and_spread():
    clock = np.array([[0.001, 0.002, 0.003], [0.004, 0.005, 0.006]])
    found = turns.latency(np.stack([clock, clock / 2]))
    assert found["p50_ms"] == pytest.approx(3.5) and found["processor_p50_ms"] == pytest.approx(1.75)
    assert found["p95_ms"] == pytest.approx(5.75)
    assert found["p50_quartiles_ms"] == pytest.approx([2.75, 4.25]), "of the rounds' medians, 2 and 5"
    rate = turns.rate(np.stack([clock, clock]), items=10)
    assert rate["per_s"] == pytest.approx((10 / 0.002 + 10 / 0.005) / 2)


def test_a_ratio_is_of_the_same_rounds():
    mine = np.ones((2, 3, 1)) * np.array([1, 10, 1])[:, None]  # the second round was disturbed, for both alike
    found = turns.ratio(mine, 4 * mine)
    assert found["times_faster"] == found["times_faster_by_clock"] == 4
    assert found["times_faster_quartiles"] == [4, 4]


def test_processor_time_leaves_out_what_others_took():
    mine, reference = np.ones((2, 3, 2)), np.full((2, 3, 2), 10.0)
    mine[0] *= 2  # by the clock alone
    found = turns.ratio(mine, reference)
    assert (found["times_faster"], found["times_faster_by_clock"]) == (10, 5)


def test_the_share_of_the_peak():
    # 1 ms for 10⁶ multiply-accumulates are 2·10⁹ operations per second
    assert turns.share_of_peak(1_000_000, 1.0, peak=20) == pytest.approx(0.1)
    seconds = np.full((2, 2, 2), 0.5)
    assert turns.peak_gflops(seconds) == pytest.approx(2 * turns.MATRIX**3 / 0.5 / 1e9)
    assert turns.matrix_product()().shape == (turns.MATRIX, turns.MATRIX)


def test_multiply_accumulates_are_counted():
    class Line(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(7, 12))

        def forward(self, signals):
            return nn.functional.conv1d(signals, self.weight[:, :, None])

    assert networks.multiply_accumulates(Line()) == 7 * 12 * 10 * SAMPLING_RATE
    network = checkpoint_of(narrow_network(ALL, branch=True)).network().eval()
    assert networks.multiply_accumulates(network) > 0


def event(name: str, operator: str, duration: int, start: int = 0) -> dict:
    return {"cat": "Node", "name": name, "ts": start, "dur": duration, "args": {"op_name": operator}}


def test_operators_are_added_up():
    events = [
        event("trunk1_kernel_time", "Conv", 600),
        event("read436_nchwc_kernel_time", "Conv", 200),
        event("read7_kernel_time", "Gather", 100),
        event("reorder_kernel_time", "ReorderOutput", 100),
        event("trunk1_fence_before", "Conv", 10_000),
    ]
    found = operators.summary(events, repetitions=1, produced_by={"read436": "trunk2"})
    assert found["milliseconds"] == 1
    assert found["operators"][0] == {"operator": "Conv", "calls": 2, "share": 0.8}
    assert [(row["part"], row["share"]) for row in found["parts"]] == [("trunk", 0.8), ("read", 0.1), ("other", 0.1)]


def test_a_disturbed_run_does_not_count():
    durations = (100, 100, 90_000)
    events = [event("trunk1_kernel_time", "Conv", duration) for duration in durations]
    events += [event("read1_kernel_time", "Add", 100) for _ in durations]
    found = operators.summary(events, repetitions=3, produced_by={})
    assert found["milliseconds"] == pytest.approx(0.2) and found["operators"][0]["share"] == 0.5


def test_what_was_measured_is_not_measured_again(tmp_path):
    state, called = tmp_path / "parts.json", []

    def part(name, fails=False):
        def step():
            called.append(name)
            if fails:
                raise RuntimeError("stopped")
            return {"name": name}

        return step

    with pytest.raises(RuntimeError):
        measure({"one": part("one"), "two": part("two", fails=True)}, state, {"rounds": 1})
    both = {"one": part("one"), "two": part("two")}
    done = measure(both, state, {"rounds": 1})
    assert called == ["one", "two", "two"]
    assert done["parts"] == {"one": {"name": "one"}, "two": {"name": "two"}}
    assert set(done["load_average"]) == {"one", "two"} and json.loads(state.read_text()) == done
    measure(both, state, {"rounds": 2})
    assert called[3:] == ["one", "two"], "another kind of run begins anew"
