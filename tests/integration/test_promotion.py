"""Where the best checkpoint of a run goes, and which shipped ones are protected."""

import shlex
from dataclasses import replace

import pytest

from config import BINARY_RECIPES, MULTILABEL_RECIPE, TINY
from models.checkpoint import load_checkpoint
from tests.support.training import FAST, train
from training.promotion import checkpoint_name, next_command, promote


@pytest.fixture
def shipped(finished, monkeypatch):
    """The finished run in the project's artifacts/, beside a shipped checkpoint."""
    directory = finished.rename(finished.parent / "artifacts")
    (directory / "multilabel_best.pth").write_bytes(b"shipped")
    monkeypatch.setattr("training.flags.DEFAULT_OUT", directory)
    monkeypatch.setattr("training.promotion.DEFAULT_OUT", directory)
    monkeypatch.chdir(directory.parent)
    (directory.parent / "link").symlink_to(directory, target_is_directory=True)
    return directory / "multilabel_best.pth"


@pytest.mark.parametrize(
    "out", [None, "artifacts", "./artifacts", "artifacts/", "artifacts/../artifacts", "link", "link/", "ABSOLUTE"]
)
def test_a_shipped_checkpoint_is_kept_without_promote_however_out_is_spelt(shipped, demo_data, capsys, out):
    spelt = [] if out is None else ["--out", str(shipped.parent) if out == "ABSOLUTE" else out]
    arguments = ["--data", demo_data, *spelt, "--name", "run", "--resume", *FAST]
    assert train(*arguments) == 0
    printed = capsys.readouterr().out
    assert shipped.read_bytes() == b"shipped" and "--promote" in printed
    words = shlex.split(printed.splitlines()[-1])
    checkpoint, out = words[words.index("--checkpoint") + 1], words[words.index("--out") + 1]
    assert load_checkpoint(checkpoint).epoch >= 1 and load_checkpoint(f"{out}/best.pth").epoch >= 1
    assert train(*arguments, "--promote") == 0
    assert load_checkpoint(shipped).epoch >= 1


@pytest.mark.parametrize(
    ("task", "model", "name"),
    [
        ("multilabel", TINY, "multilabel_tiny.pth"),
        ("multilabel", "resnet1d", "resnet_baseline.pth"),
        ("multilabel", "plain_cnn", "plain_cnn_baseline.pth"),
        ("mi_vs_norm", "hmt_ecgnet", "mi_best.pth"),
        ("norm_vs_abnormal", "hmt_ecgnet", "abnormal_best.pth"),
    ],
)
def test_every_kind_of_shipped_checkpoint_is_kept_and_other_directories_are_not(shipped, tmp_path, task, model, name):
    config = replace({"multilabel": MULTILABEL_RECIPE, **BINARY_RECIPES}[task], model=model)
    assert checkpoint_name(config) == name
    run, kept, out = shipped.parent / "runs" / "run", shipped.with_name(name), tmp_path / "elsewhere"
    kept.write_bytes(b"shipped")
    out.mkdir()
    (out / name).write_bytes(b"mine")
    assert promote(config, run, shipped.parent, replace_shipped=False) is None
    assert kept.read_bytes() == b"shipped"
    assert promote(config, run, out, replace_shipped=False) == out / name
    assert promote(config, run, shipped.parent, replace_shipped=True) == kept
    assert load_checkpoint(out / name).epoch == load_checkpoint(kept).epoch >= 1


def test_a_kept_binary_network_is_still_compared_with_the_multilabel_one(shipped):
    run = shipped.parent / "runs" / "a run"
    words = shlex.split(next_command(BINARY_RECIPES["mi_vs_norm"], run, shipped.parent, None, None))
    assert words[words.index("--multilabel") + 1] == str(shipped)
    assert words[words.index("--checkpoint") + 1] == str(run / "best.pth")
