"""A generated data set and a network trained on it, made once a session; the real PTB-XL where it is."""

import contextlib
import io
import shutil

import pytest
import torch
from hypothesis import settings

import eval_multilabel
import threshold_search
from config import BINARY, MULTILABEL, data_directory
from ecg.synthetic.writer import write_dataset
from export_onnx import export_all
from ptbxl.index import Index, read_index
from tests.support.real_data import unavailable
from tools.make_examples import write_examples
from training.cli import train_command

# no wall-clock limits on a busy machine, and the same examples on every run
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

FAST_TRAINING = ["--epochs", "20", "--patience", "20", "--quiet", "--threads", "1"]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Equal thread counts make equal results, and tests do not fight over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory):
    """A generated data set; tests that change files copy it."""
    directory = tmp_path_factory.mktemp("demo") / "data"
    write_dataset(directory, patients=150, seed=0, progress=False)
    return directory


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
    """--out of the three commands run on the generated data, and what each printed."""
    out = tmp_path_factory.mktemp("trained")
    printed = {}
    for name, command in (
        (
            "train",
            lambda: train_command(
                {"multilabel": MULTILABEL}, "", ["--data", str(demo_data), "--out", str(out), *FAST_TRAINING]
            ),
        ),
        ("thresholds", lambda: threshold_search.main(["--data", str(demo_data), "--out", str(out)])),
        ("val", lambda: eval_multilabel.main(["--data", str(demo_data), "--out", str(out)])),
        ("test", lambda: eval_multilabel.main(["--data", str(demo_data), "--out", str(out), "--split", "test"])),
    ):
        with contextlib.redirect_stdout(io.StringIO()) as text:
            assert command() == 0
        printed[name] = text.getvalue()
    return out, printed


@pytest.fixture(scope="session")
def served(trained, demo_data, tmp_path_factory):
    """A directory with everything inference reads, of networks trained on the generated data."""
    out = tmp_path_factory.mktemp("served")
    for name in ("multilabel_best.pth", "multilabel_thresholds.json"):
        shutil.copy(trained[0] / name, out / name)
    shared = ["--data", str(demo_data), "--out", str(out)]
    for task in BINARY:
        assert train_command(BINARY, "", [*shared, "--task", task, "--epochs", "1", "--quiet", "--threads", "1"]) == 0
        assert threshold_search.main([*shared, "--task", task, "--score", "binary"]) == 0
    write_examples(out / "examples")
    export_all(out)
    return out
