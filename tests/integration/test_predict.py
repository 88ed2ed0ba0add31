"""predict.py: every file gets its line, and a table is continued only with what it was begun with."""

import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import predict
from config import LEADS, PROJECT
from inference.results_table import read_rows
from tests.support.ecgs import demo_recordings
from tests.support.manifests import edit_json, list_again


@pytest.fixture
def files(demo_data, tmp_path):
    """A directory of three good recordings, in two formats, and one file that is none."""
    directory = tmp_path / "ecgs"
    (directory / "ward").mkdir(parents=True)
    for header in sorted(demo_data.rglob("*_hr.hea"))[:2]:
        for path in (header, header.with_suffix(".dat")):
            shutil.copy(path, directory / "ward")
    recording = demo_recordings(demo_data, 3)[2]
    table = pd.DataFrame(recording.signal.T.astype(float), columns=[f"{lead} (mV)" for lead in LEADS])
    table.insert(0, "time (s)", np.arange(len(table)) / 500)
    table.to_csv(directory / "three.csv", index=False)
    (directory / "letter.txt").write_text("Dear colleague")
    return directory


@pytest.fixture
def counted(monkeypatch):
    """The files that were diagnosed, in order."""
    diagnosed, original = [], predict.diagnose_file
    monkeypatch.setattr(
        predict, "diagnose_file", lambda d, path, *rest: (diagnosed.append(path), original(d, path, *rest))[1]
    )
    return diagnosed


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_directory_is_diagnosed_and_the_bad_file_listed(files, served, tmp_path, suffix, capsys):
    out = tmp_path / f"results{suffix}"
    assert predict.main([str(files), "--artifacts", str(served), "--out", str(out)]) == 2
    rows = {row["file"]: row for row in read_rows(out)}
    assert len(rows) == 4
    assert rows.pop(str(files / "letter.txt"))["error"]
    assert all(not row["error"] and 0 <= float(row["p_MI"]) <= 1 for row in rows.values())
    assert "letter.txt" in capsys.readouterr().err


def test_a_second_run_goes_on_where_the_first_stopped(files, served, counted, capsys):
    out = files / "results.csv"  # the table and its journal are no recordings
    arguments = ["--artifacts", str(served), "--out", str(out)]
    assert predict.main([str(files / "ward"), *arguments]) == 0
    (files / "letter.txt").unlink()
    counted.clear()
    assert predict.main([str(files), *arguments]) == 0
    assert counted == [files / "three.csv"]
    assert len(pd.read_csv(out)) == 3
    assert "2 of 3 files" in capsys.readouterr().out


KILLED_AT_THE_THIRD_FILE = """
import os, signal, sys, predict
original, files = predict.diagnose_file, []
def diagnose_file(diagnoser, path, *rest):
    files.append(path)
    if len(files) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(diagnoser, path, *rest)
predict.diagnose_file = diagnose_file
predict.main(sys.argv[1:])
"""


def test_a_killed_run_loses_and_doubles_nothing(files, served, tmp_path, counted):
    out = tmp_path / "results.csv"
    arguments = [str(files), "--artifacts", str(served), "--out", str(out)]
    killed = subprocess.run([sys.executable, "-c", KILLED_AT_THE_THIRD_FILE, *arguments], cwd=PROJECT)
    assert killed.returncode == -signal.SIGKILL and not out.exists()
    first, second, *rest = predict.find_files([str(files)])
    assert first.name == "letter.txt"  # which failed, and is tried again
    assert predict.main(arguments) == 2
    assert counted == [first, *rest]
    assert sorted(row["file"] for row in read_rows(out)) == sorted(map(str, [first, second, *rest]))


def change_thresholds(served):
    """Other thresholds, as after threshold_search.py and export_onnx.py; no further arguments."""
    name = "mi_vs_norm_thresholds.json"
    edit_json(served / name, lambda content: content["thresholds"].update(MI=0.123))
    list_again(served, name)
    return []


def change_binary_network(served):
    """Another binary network, as after train_binary.py, threshold_search.py and export_onnx.py."""
    path = served / "mi_best.onnx"
    path.write_bytes(path.read_bytes() + b"\x1a\x00")  # an unknown empty field: the same network in another file
    list_again(served, path.name)
    return []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (change_thresholds, "thresholds"),
        (change_binary_network, "networks"),
        (lambda _: ["--units", "mV"], "units"),
        (lambda _: ["--sampling-rate", "500"], "sampling_rate"),
        (lambda _: ["--backend", "pytorch"], "backend"),
    ],
)
def test_a_table_of_other_settings_is_not_continued(files, own_served, tmp_path, capsys, change, name):
    out = tmp_path / "results.csv"
    arguments = ["--artifacts", str(own_served), "--out", str(out)]
    assert predict.main([str(files / "ward"), *arguments]) == 0
    before = out.read_bytes()
    arguments += change(own_served)
    assert predict.main([str(files / "ward"), *arguments]) == 1
    message = capsys.readouterr().err
    assert f"{name} " in message and "--restart" in message
    assert out.read_bytes() == before
    assert predict.main([str(files / "three.csv"), *arguments, "--restart"]) == 0
    assert [row["file"] for row in read_rows(out)] == [str(files / "three.csv")]


def test_one_file_is_printed(files, served, capsys):
    signal_file = next(files.rglob("*.dat"))
    assert predict.main([str(signal_file), "--artifacts", str(served)]) == 0
    printed = capsys.readouterr().out
    assert signal_file.with_suffix(".hea").name in printed and "not for clinical use" in printed


def test_wrong_arguments_are_one_sentence(files, served, tmp_path, capsys):
    assert predict.main([str(files), "--artifacts", str(served), "--out", str(tmp_path / "results.xlsx")]) == 1
    assert predict.main([str(tmp_path / "nowhere"), "--artifacts", str(served)]) == 1
    assert predict.main([str(files), "--artifacts", str(tmp_path)]) == 1
    (tmp_path / "empty").mkdir()
    assert predict.main([str(tmp_path / "empty"), "--artifacts", str(served)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 4 and all(line.startswith("error:") for line in lines)
