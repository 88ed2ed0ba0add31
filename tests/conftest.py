"""A generated data set and a network trained on it, made once a run; the real PTB-XL where it is.

The folder of a test is its marker: unit, integration, browser or real_data, the last also for any test that asks for
`real`. Fixtures are made when first asked for, and the commands that train are imported then, so that
`pytest -m unit` starts at once.
"""

import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from config import BINARY_RECIPES, CHECKPOINT_NAMES, DEFAULT_OUT, MULTILABEL_RECIPE, data_directory
from ecg.synthetic.writer import write_dataset
from ptbxl.index import Index, read_index
from tests.support.built_once import built_once
from tests.support.required import unavailable

# no wall-clock limits on a busy machine, and the same examples on every run
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

FAST_TRAINING = ["--epochs", "20", "--patience", "20", "--quiet", "--threads", "1"]


def pytest_collection_modifyitems(items):
    for item in items:
        needs_ptbxl = "real" in getattr(item, "fixturenames", ())
        item.add_marker("real_data" if needs_ptbxl else item.path.relative_to(Path(__file__).parent).parts[0])


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Equal thread counts make equal results, and tests do not fight over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory):
    """A generated data set; tests that change files copy it."""

    def build(directory):
        write_dataset(directory / "data", patients=150, seed=0, progress=False)

    return built_once(tmp_path_factory, "demo", build)[0] / "data"


@pytest.fixture
def own_data(demo_data, tmp_path):
    """A copy of the generated data set that the test may damage."""
    return shutil.copytree(demo_data, tmp_path / "data", ignore=shutil.ignore_patterns("cache"))


@pytest.fixture(scope="session")
def real() -> Index:
    """The index of the real PTB-XL."""
    directory = data_directory()
    if not (directory / "ptbxl_database.csv").is_file():
        unavailable(f"no PTB-XL in {directory}")
    index = read_index(directory)
    assert not index.is_synthetic
    return index


@pytest.fixture(scope="session")
def trained(demo_data, tmp_path_factory):
    """--out of the commands run on the generated data, and what each printed."""
    import eval_multilabel
    import threshold_search
    from training.cli import train_command

    def build(out):
        shared = ["--data", str(demo_data), "--out", str(out)]
        commands = {
            "train": lambda: train_command({"multilabel": MULTILABEL_RECIPE}, "", [*shared, *FAST_TRAINING]),
            "thresholds": lambda: threshold_search.main(shared),
            "val": lambda: eval_multilabel.main(shared),
            "test": lambda: eval_multilabel.main([*shared, "--split", "test"]),
        }
        printed = {}
        for name, command in commands.items():
            with contextlib.redirect_stdout(io.StringIO()) as text:
                assert command() == 0
            printed[name] = text.getvalue()
        return printed

    return built_once(tmp_path_factory, "trained", build)


@pytest.fixture(scope="session")
def served(trained, demo_data, tmp_path_factory):
    """A directory with everything inference reads, of networks trained on the generated data."""
    import threshold_search
    from export_onnx import export_all
    from tools.make_examples import write_examples
    from training.cli import train_command

    def build(out):
        for name in ("multilabel_best.pth", "multilabel_thresholds.json"):
            shutil.copy(trained[0] / name, out / name)
        shared = ["--data", str(demo_data), "--out", str(out)]
        for task in BINARY_RECIPES:
            arguments = [*shared, "--task", task, "--epochs", "1", "--quiet", "--threads", "1"]
            assert train_command(BINARY_RECIPES, "", arguments) == 0
            assert threshold_search.main([*shared, "--task", task, "--score", "binary"]) == 0
        write_examples(out / "examples")
        export_all(out)

    return built_once(tmp_path_factory, "served", build)[0]


@pytest.fixture
def own_served(served, tmp_path):
    """A copy of `served` that the test may damage."""
    return shutil.copytree(served, tmp_path / "served")


@pytest.fixture(scope="session")
def served_anylead(tmp_path_factory):
    """The shipped networks for twelve leads, and one of random weights for missing leads."""
    from export_onnx import export_anylead, write_manifest
    from tests.support.lead_sets import write_anylead

    def build(out):
        listed = json.loads((DEFAULT_OUT / "manifest.json").read_text())["files"]
        of_tasks = [name for name in listed if not name.startswith("anylead")]
        for name in (*of_tasks, *CHECKPOINT_NAMES.values()):
            shutil.copy(DEFAULT_OUT / name, out / name)
        shutil.copytree(DEFAULT_OUT / "examples", out / "examples")
        write_anylead(out)
        write_manifest(out, [*of_tasks, *export_anylead(out)])

    return built_once(tmp_path_factory, "served_anylead", build)[0]
