"""The exported files decide by themselves as the product does."""

import json

import numpy as np
import onnx
import pytest

from config import DEFAULT_OUT, LEADS
from ecg.preprocessing import model_input
from ecg.synthetic.case import MALE
from files import sha256
from inference.decision_network import DecisionNetwork
from inference.decisions import thresholds_path
from inference.diagnoser import Diagnoser
from inference.export import export_network
from tests.support.ecgs import generated
from tests.support.exported_files import ExportedFiles, assert_same

CASES = (
    {},
    {"rhythm": "AFIB", "heart_rate": 110},
    {"heart_rate": 45, "age": 80, "sex": MALE},
    {"heart_rate": 130, "axis": -60},
)


@pytest.fixture(params=["generated", "shipped"])
def directory(request):
    return DEFAULT_OUT if request.param == "shipped" else request.getfixturevalue("served")


@pytest.mark.parametrize("seconds", [5, 7.77, 10, 15, 15.01, 25, 35, 65])
def test_exported_files_decide_as_the_product(directory, seconds):
    files, diagnoser = ExportedFiles(directory), Diagnoser.load(directory)
    for seed, case in enumerate(CASES):
        recording = generated(seed, 100, **case)[0]
        copies = np.tile(recording.signal, 7)[:, : round(seconds * 100)]
        recording = type(recording)(**{**vars(recording), "signal": copies.astype(np.float32)})
        answers = files.answers(model_input(recording, 1.0)[None])
        assert_same(answers, 0, diagnoser.diagnose(recording, quality=False), files)


def test_a_batch_is_decided_row_by_row(directory):
    files = ExportedFiles(directory)
    signals = np.stack([generated(seed, 100, **case)[0].signal for seed, case in enumerate(CASES)]).astype(np.float32)
    together = files.answers(signals)
    for row in range(len(signals)):
        alone = files.answers(signals[row : row + 1])
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][row], values[0], atol=1e-5, err_msg=name)


def test_the_metadata_names_what_the_file_is_of(directory):
    facts = ExportedFiles(directory).facts
    assert facts["leads"] == list(LEADS) and facts["sampling_rate"] == 100
    assert facts["checkpoint_sha256"] == sha256(directory / "multilabel_best.pth")
    for task, decided in facts["decisions"].items():
        path = thresholds_path(directory, task)
        content = json.loads(path.read_text())
        assert decided["thresholds_sha256"] == sha256(path)
        assert decided["thresholds"] == list(content["thresholds"].values()) and decided["margin"] == content["margin"]
        for level in ("statements", "subclasses"):
            assert (level in decided) == bool(content[level])
            for number, (name, one) in enumerate((content[level] or {}).items()):
                found = [decided[level][key][number] for key in ("names", "thresholds", "validated")]
                assert found == [name, one["threshold"], one["validated"]]
    answered = {*facts["decisions"], *facts["other_files"]}
    assert answered == {"multilabel", "mi_vs_norm", "norm_vs_abnormal"}


def test_nothing_inside_is_newer_than_browsers_run(directory):
    for path in directory.glob("*.onnx"):
        model = onnx.load(path)
        assert {(one.domain, one.version <= 20) for one in model.opset_import} == {("", True)}
        assert not model.functions


def test_a_file_that_differs_from_pytorch_is_not_written(served, tmp_path, monkeypatch):
    from models.checkpoint import load_checkpoint

    monkeypatch.setattr("inference.export.largest_difference", lambda path, network: 0.1)
    (tmp_path / "old.onnx").write_bytes(b"old")
    checkpoint = load_checkpoint(served / "mi_best.pth")
    with pytest.raises(Exception, match="differs from PyTorch"):
        export_network(tmp_path / "old.onnx", DecisionNetwork(checkpoint.network(), 1.0, {}).eval(), {})
    assert (tmp_path / "old.onnx").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
