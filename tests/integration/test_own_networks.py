"""A user's own network, from data to server, with the commands of the documents in an empty directory."""

import os
import shlex
import subprocess
import sys

import pytest

import export_onnx
from config import PROJECT, TASK_CLASSES
from inference.diagnoser import Diagnoser, only_leads
from inference.manifest import self_test_recording
from tests.support.server import client_with


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


def run(command, directory, expected=0):
    """A command of the documents in a directory that is not the project's; what it printed."""
    script, *words = shlex.split(command)
    result = subprocess.run(
        [sys.executable, str(PROJECT / script), *words],
        cwd=directory,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert result.returncode == expected, result.stderr
    return result


def follow(printed, directory):
    """Run the command that another one's last line names, from the same directory."""
    interpreter, *words = shlex.split(printed.stdout.splitlines()[-1])
    assert interpreter == "python"
    return subprocess.run([sys.executable, *words], cwd=directory, capture_output=True, text=True, check=True)


def test_a_network_is_trained_tuned_exported_and_served_in_an_empty_directory(empty, ecg):
    run("dataset.py demo data --patients 100", empty)
    trained = run("train_multilabel.py --data data --out 'my run' --epochs 4 --quiet --threads 1", empty)
    evaluated = follow(follow(trained, empty), empty)
    assert "macro" in evaluated.stdout
    early = run("export_onnx.py --out 'my run'", empty, expected=1)
    assert not list(empty.glob("my run/*.onnx"))  # nothing half exported
    suggested = [line.strip() for line in early.stderr.splitlines() if line.startswith("  python")]
    assert len(suggested) == len(TASK_CLASSES) - 1
    for command in suggested:
        tuned = subprocess.run(
            [sys.executable, *shlex.split(command)[1:], "--data", "data"], cwd=empty, capture_output=True, text=True
        )
        assert tuned.returncode == 0, tuned.stderr
        follow(tuned, empty)
    exported = run("export_onnx.py --out 'my run'", empty)
    assert "torchvision" not in exported.stderr
    predicted = run("predict.py --artifacts 'my run' 'my run/examples/normal.hea'", empty)
    assert "normal.hea" in predicted.stdout
    with client_with(empty / "my run") as client:
        assert client.get("/ready").status_code == 200
        response = client.post("/predict", json=ecg)
    assert response.status_code == 200
    assert set(response.json()["probabilities"]) == set(TASK_CLASSES["multilabel"])
    assert 0 <= response.json()["mi_vs_norm"]["probability"] <= 1


def test_an_export_with_thresholds_of_another_network_replaces_nothing(own_served):
    before = {path.name: path.read_bytes() for path in own_served.iterdir() if path.is_file()}
    retrained = own_served / "multilabel_best.pth"
    retrained.write_bytes((own_served / "mi_best.pth").read_bytes())
    refused = run(f"export_onnx.py --out {own_served}", own_served, expected=1)
    assert "another checkpoint" in refused.stderr
    for name, content in before.items():
        assert name == retrained.name or (own_served / name).read_bytes() == content


def test_the_tiny_network_becomes_a_product_of_its_own(tmp_path, capsys):
    out = tmp_path / "tiny"
    assert export_onnx.main(["--tiny", str(out)]) == 0
    assert f"--artifacts {out}" in capsys.readouterr().out
    tiny, recording = Diagnoser.load(out), self_test_recording()
    assert list(tiny.networks) == ["multilabel"] and tiny.networks["multilabel"].model == "hmt_ecgnet_tiny"
    diagnosis = tiny.diagnose(recording)
    assert list(diagnosis.predicted_classes) == ["NORM"]
    assert diagnosis.mi_vs_norm.positive is False and diagnosis.rhythm.code == "SR"
    assert tiny.diagnose(only_leads(recording)).lead_set == "I,II,V2"
    assert export_onnx.main(["--tiny", str(out)]) == 0  # made again


def test_the_tiny_network_replaces_no_other(own_served, tmp_path, capsys):
    before = (own_served / "multilabel_best.pth").read_bytes()
    assert export_onnx.main(["--tiny", str(own_served)]) == 1
    assert "is another network" in capsys.readouterr().err
    assert (own_served / "multilabel_best.pth").read_bytes() == before
    assert export_onnx.main(["--out", str(own_served), "--tiny", str(tmp_path / "new")]) == 1
    assert "has no tiny network" in capsys.readouterr().err and not (tmp_path / "new").exists()
