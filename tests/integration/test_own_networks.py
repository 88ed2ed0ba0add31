"""A user's own network, from data to server, with the commands of the documents in an empty directory."""

import os
import shlex
import subprocess
import sys

import pytest

from config import PROJECT, TASK_CLASSES
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
