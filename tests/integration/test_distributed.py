"""Training by several processes that torchrun starts, on generated data."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from config import PROJECT
from models.checkpoint import load_checkpoint, load_plain
from tests.support.three_steps import three_steps
from training.distributed import join

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
EPOCHS = 3
RUN = ["--model", "hmt_ecgnet_tiny", "--epochs", str(EPOCHS), "--records", "128", "--threads", "1", "--name", "run"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(out, data, *flags, launcher=()):
    return [
        *TORCHRUN,
        *launcher,
        "train_multilabel.py",
        *RUN,
        "--data",
        str(data),
        "--out",
        str(out),
        *flags,
    ]


def start(words):
    return subprocess.Popen(
        words, cwd=PROJECT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process, timeout=300):
    """All that a run printed. One that does not end leaves no processes behind."""
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()
        pytest.fail(f"not ended after {timeout} s:\n{process.communicate()[0]}")
    return output


def epochs_done(out):
    log = out / "runs" / "run" / "log.csv"
    return len(log.read_text().splitlines()) - 1 if log.is_file() else 0


def kill_a_worker_after_an_epoch(process, out):
    """SIGKILL the second worker of torchrun once the first epoch is saved."""
    while process.poll() is None and not epochs_done(out):
        time.sleep(0.02)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[-1]), signal.SIGKILL)


def last(out):
    return load_plain(out / "runs" / "run" / "last.pth")


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def uninterrupted(demo_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("two_processes")
    process = start(command(out, demo_data))
    output = finish(process)
    assert process.returncode == 0, output
    return out, output


def test_three_steps_of_two_processes_are_those_of_one_on_the_same_batch(demo_data, tmp_path):
    alone, losses = three_steps(str(demo_data))
    script = [*TORCHRUN, "tests/support/three_steps.py", str(demo_data), str(tmp_path / "two.pth")]
    subprocess.run(script, cwd=PROJECT, env=ENVIRONMENT, check=True, capture_output=True, timeout=300)
    together = torch.load(tmp_path / "two.pth", weights_only=True)
    assert together["losses"] == pytest.approx(losses, rel=1e-5)
    moved = 0.0
    torch.manual_seed(0)
    for name, weight in alone.state_dict().items():
        torch.testing.assert_close(together["weights"][name], weight, atol=1e-5, rtol=0)
        moved = max(moved, (weight - weight.mean()).abs().max().item()) if weight.is_floating_point() else moved
    assert moved > 0.01 and losses[2] != losses[0]


def test_one_process_writes_and_prints(uninterrupted):
    out, output = uninterrupted
    assert output.count("recordings to train on") == 1 and "2 processes" in output
    assert output.count("threshold_search.py") == 1
    assert epochs_done(out) == EPOCHS
    assert load_checkpoint(out / "multilabel_tiny.pth").metrics["loss"] < 30


def test_processes_started_anew_do_not_look_for_those_of_the_attempt_before(tmp_path):
    """Without a part of the store for each attempt, three of four attempts after a lost process hang or fail."""
    process = start([*TORCHRUN, "--max-restarts", "3", "tests/support/killed_often.py", str(tmp_path)])
    output = finish(process, timeout=120)
    assert process.returncode == 0, output
    assert [(tmp_path / f"rank_{rank}").read_text() for rank in (0, 1)] == ["attempt 3, sum of ranks 1"] * 2


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"GROUP_WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "3"}, "--max-restarts works on one machine only"),
        ({"RANK": "0"}, "did not find one another"),
    ],
)
def test_what_processes_cannot_join_is_an_error_in_words(environment, words, monkeypatch):
    for name, value in {"WORLD_SIZE": "2", **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionError, match=words):
        join(torch.device("cpu"))


def test_a_killed_process_is_replaced_and_the_run_ends_as_if_it_had_not_been(uninterrupted, demo_data, tmp_path):
    process = start(command(tmp_path, demo_data, launcher=["--max-restarts", "2"]))
    kill_a_worker_after_an_epoch(process, tmp_path)
    output = finish(process)
    assert process.returncode == 0, output
    assert epochs_done(tmp_path) == EPOCHS
    ours, theirs = last(tmp_path), last(uninterrupted[0])
    assert same(ours["network"], theirs["network"]) and same(ours["average"], theirs["average"])


def test_a_killed_process_ends_the_run_and_one_process_goes_on(demo_data, tmp_path):
    process = start(command(tmp_path, demo_data))
    kill_a_worker_after_an_epoch(process, tmp_path)
    output = finish(process)
    assert process.returncode != 0
    assert "--resume" in output or "SIGKILL" in output or "Signal 9" in output
    done = epochs_done(tmp_path)
    assert 1 <= done < EPOCHS
    assert load_checkpoint(tmp_path / "runs" / "run" / "best.pth").epoch <= done
    alone = [sys.executable, "train_multilabel.py", *RUN, "--data", str(demo_data), "--out", str(tmp_path), "--resume"]
    subprocess.run(alone, cwd=PROJECT, env=ENVIRONMENT, check=True, capture_output=True, timeout=300)
    assert epochs_done(tmp_path) == EPOCHS


def test_a_batch_that_cannot_be_shared_is_refused(demo_data, tmp_path):
    process = start(command(tmp_path, demo_data, "--batch-size", "33"))
    output = finish(process)
    assert process.returncode != 0 and "cannot be shared by 2 processes" in output
    assert not (tmp_path / "runs").exists()
