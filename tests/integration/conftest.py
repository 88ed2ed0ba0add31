"""Fixtures of several test files: the server, a release of PTB-XL, networks without statements, a finished run."""

import shutil

import pytest

from tests.support.built_once import built_once
from tests.support.release_server import release, server, waits
from tests.support.server import artifacts, client, ecg, own_artifacts

__all__ = ["artifacts", "client", "ecg", "own_artifacts", "release", "server", "waits"]


@pytest.fixture(scope="session")
def without_statements(demo_data, tmp_path_factory):
    """As `served`, of one network that answers the superclasses alone, as those of release 1 did."""
    import threshold_search
    from config import BINARY_RECIPES, MULTILABEL_RECIPE
    from export_onnx import export_all
    from tools.make_examples import write_examples
    from training.cli import train_command

    def build(out):
        shared = ["--data", str(demo_data), "--out", str(out)]
        training = ["--statement-weight", "0", "--epochs", "1", "--quiet", "--threads", "1"]
        assert train_command({"multilabel": MULTILABEL_RECIPE}, "", [*shared, *training]) == 0
        for task in ("multilabel", *BINARY_RECIPES):
            assert threshold_search.main([*shared, "--task", task]) == 0
        write_examples(out / "examples")
        export_all(out)

    return built_once(tmp_path_factory, "without_statements", build)[0]


@pytest.fixture(scope="session")
def uninterrupted(demo_data, tmp_path_factory):
    """--out of a finished run of three epochs."""
    from tests.support.training import FAST, train

    def build(out):
        assert train("--data", demo_data, "--out", out, "--name", "run", *FAST) == 0

    return built_once(tmp_path_factory, "uninterrupted", build)[0]


@pytest.fixture
def finished(uninterrupted, tmp_path):
    """A copy of the finished run that the test may damage."""
    return shutil.copytree(uninterrupted, tmp_path / "finished")
