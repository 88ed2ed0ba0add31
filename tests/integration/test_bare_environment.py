"""The inference part in an environment of requirements-inference.txt alone, made once and kept in pytest's cache."""

import csv
import json
import os
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import requests
from filelock import FileLock

from config import DEFAULT_OUT, LEADS, PROJECT, SUPERCLASSES
from ecg.readers import read_recording
from inference.diagnoser import Diagnoser
from tools.server_process import ready_server

REQUIREMENTS = PROJECT / "requirements-inference.txt"
HEAVY = ("torch", "captum", "streamlit", "sklearn", "neurokit2", "onnx")
DIAGNOSE = """
import json, sys, time
from importlib.util import find_spec
began = time.perf_counter()
from ecg.readers import read_recording
from inference.diagnoser import Diagnoser
import_s = time.perf_counter() - began
diagnoser, said = Diagnoser.load(), {}
for path in sys.argv[1:4]:
    options = {} if path.endswith(".hea") else {"sampling_rate": 100, "units": "mV"}
    diagnosis = diagnoser.diagnose(read_recording(path, **options))
    said[path] = [diagnosis.probabilities, diagnosis.headline]
loaded = [name for name in ("pandas", "matplotlib", "wfdb", "torch") if name in sys.modules]
from ecg.intervals import measure_intervals
intervals = vars(measure_intervals(read_recording(sys.argv[1])))
print(json.dumps({"import_s": import_s, "said": said, "loaded": loaded, "intervals": intervals}))
"""


def install(directory: Path, *requirements: str) -> Path:
    """A new environment with these requirements, unless it is there already; returns its Python."""
    python, ready = directory / "bin" / "python", directory / "ready"
    directory.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{directory}.lock"):
        if not ready.is_file():
            venv.create(directory, clear=True)
            pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
            command = [*pip, "install", "--no-compile", *requirements]
            subprocess.run(command, check=True)
            ready.touch()
    return python


def run(python: Path, *arguments: object) -> str:
    """What a command of this environment prints; the project is found as a library is, not by its folder."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [python, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=python.parent, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environments(request) -> Path:
    """Where environments are kept: a changed list of requirements makes a new one."""
    digest = sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return Path(request.config.cache.mkdir("environments")) / digest


@pytest.fixture(scope="module")
def bare(environments) -> Path:
    return install(environments / "inference", "-r", str(REQUIREMENTS))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """One recording as WFDB, CSV and NPY."""
    folder, wfdb = tmp_path_factory.mktemp("files"), DEFAULT_OUT / "examples" / "anterior_infarction.hea"
    signal = read_recording(wfdb).signal
    if signal.shape[1] > 1000:
        signal = signal[:, :: signal.shape[1] // 1000]
    np.save(folder / "ecg.npy", signal)
    np.savetxt(folder / "ecg.csv", signal.T, "%.4f", delimiter=",", header=",".join(LEADS), comments="")
    return [wfdb, folder / "ecg.csv", folder / "ecg.npy"]


def test_recordings_are_diagnosed_without_what_is_heavy(bare, files, record_property, capsys):
    found = run(bare, "-c", f"from importlib.util import find_spec\nprint(*[n for n in {HEAVY} if find_spec(n)])")
    assert found.strip() == ""
    given = json.loads(run(bare, "-c", DIAGNOSE, *files))
    assert given["loaded"] == []
    diagnoser = Diagnoser.load()
    for path in files:
        options = {} if path.suffix == ".hea" else {"sampling_rate": 100, "units": "mV"}
        expected = diagnoser.diagnose(read_recording(path, **options))
        probabilities, headline = given["said"][str(path)]
        assert probabilities == pytest.approx(expected.probabilities, abs=1e-6)
        assert headline == list(expected.headline)
    size_mb = sum(file.stat().st_size for file in bare.parents[1].rglob("*") if file.is_file()) / 1e6
    record_property("size_mb", round(size_mb))
    record_property("import_s", round(given["import_s"], 2))
    with capsys.disabled():
        print(f"\nrequirements-inference.txt: {size_mb:.0f} MB installed, imported in {given['import_s']:.1f} s")


def test_intervals_say_what_to_install(bare, files):
    intervals = json.loads(run(bare, "-c", DIAGNOSE, *files))["intervals"]
    assert intervals["qrs"] and intervals["heart_rate"]
    assert intervals["pr"] is None and "pip install neurokit2" in intervals["reasons"]["pr"]


def test_predict_writes_a_table(bare, files, tmp_path):
    run(bare, PROJECT / "predict.py", files[0], "--out", tmp_path / "table.csv")
    run(
        bare, PROJECT / "predict.py", *files[1:], "--sampling-rate", 100, "--units", "mV", "--out", tmp_path / "two.csv"
    )
    rows = [*csv.DictReader((tmp_path / "table.csv").open()), *csv.DictReader((tmp_path / "two.csv").open())]
    assert len(rows) == 3 and not any(row["error"] for row in rows)
    assert all("MI" in row["predicted_classes"] for row in rows)


def test_the_server_runs(bare):
    signal = read_recording(DEFAULT_OUT / "examples" / "normal.hea")
    body = {
        "sampling_rate": signal.sampling_rate,
        "units": "mV",
        "leads": dict(zip(LEADS, signal.signal.tolist(), strict=True)),
    }
    with ready_server(DEFAULT_OUT, python=bare) as server:
        response = requests.post(f"{server.url}/predict", json=body, timeout=60)
    assert response.status_code == 200, response.text
    assert list(response.json()["probabilities"]) == list(SUPERCLASSES)


def test_numpy_and_onnxruntime_alone_are_enough_for_the_example(environments, files):
    pins = [line for line in REQUIREMENTS.read_text().splitlines() if line.startswith(("numpy==", "onnxruntime=="))]
    python = install(environments / "onnx_only", *pins)
    printed = run(python, PROJECT / "examples" / "onnx_only.py", DEFAULT_OUT / "multilabel_best.onnx", files[1])
    expected = Diagnoser.load().diagnose(read_recording(files[1], sampling_rate=100, units="mV"), quality=False)
    lines = printed.splitlines()
    asserted = {line.split()[0] for line in lines if line.endswith("asserted")}
    assert asserted == {*expected.predicted_classes, *(one.code for one in expected.statements if one.asserted)}
    assert lines[0].split()[1] == expected.rhythm.code
    for name, probability in expected.probabilities.items():
        assert any(line.startswith(f"{name:6} {probability:.3f}") for line in lines)
