"""predict.py: every file gets its line, and a table is continued only with what it was begun with."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

import inference.results_table as results_table
import predict
from archive import scoring
from archive.listing import LISTED
from config import LEADS, PROJECT
from ecg.statements import CODES
from files import sha256
from inference.result_rows import LONG_COLUMNS, columns_of
from inference.results_table import lock_path, read_rows
from tests.support.ecgs import demo_recordings
from tests.support.manifests import edit_json, list_again


def rows_in(table) -> list[dict]:
    return read_rows(table, columns_of())


@pytest.fixture
def files(demo_data, tmp_path):
    """A directory of three good recordings in two formats, one that was cut short, and a letter."""
    directory = tmp_path / "ecgs"
    (directory / "ward").mkdir(parents=True)
    for header in sorted(demo_data.rglob("*_hr.hea"))[:2]:
        for path in (header, header.with_suffix(".dat")):
            shutil.copy(path, directory / "ward")
    recording = demo_recordings(demo_data, 3)[2]
    table = pd.DataFrame(recording.signal.T.astype(float), columns=[f"{lead} (mV)" for lead in LEADS])
    table.insert(0, "time (s)", np.arange(len(table)) / 500)
    table.to_csv(directory / "three.csv", index=False)
    (directory / "cut.edf").write_bytes(b"0       ")
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
def test_a_directory_is_diagnosed_and_the_damaged_file_listed(files, served, tmp_path, suffix, capsys):
    out = tmp_path / f"results{suffix}"
    assert predict.main([str(files), "--artifacts", str(served), "--out", str(out)]) == predict.UNREADABLE_FILES
    rows = {row["file"]: row for row in rows_in(out)}
    assert len(rows) == 4
    assert rows.pop(str(files / "cut.edf"))["error"]
    assert all(not row["error"] and 0 <= float(row["p_MI"]) <= 1 for row in rows.values())
    assert all(row["heart_rate"] > 20 and row["headline"] and row["quality"] for row in rows.values())
    printed = capsys.readouterr().err
    assert "cut.edf" in printed and "letter.txt: text without leads" in printed


def test_a_second_run_goes_on_where_the_first_stopped(files, served, counted, capsys):
    out = files / "results.csv"  # the table and its journal are no recordings
    arguments = ["--artifacts", str(served), "--out", str(out)]
    assert predict.main([str(files / "ward"), *arguments]) == predict.SUCCESS
    (files / "cut.edf").unlink()
    counted.clear()
    assert predict.main([str(files), *arguments]) == predict.SUCCESS
    assert counted == [files / "three.csv"]
    assert len(pd.read_csv(out)) == 3
    printed = capsys.readouterr()
    assert "2 of 3 files" in printed.out and "results.csv" not in printed.err


def test_the_same_files_by_another_path_are_done(files, served, tmp_path, counted, monkeypatch):
    out = tmp_path / "results.csv"
    arguments = ["--artifacts", str(served), "--out", str(out)]
    (tmp_path / "link").symlink_to(files)
    predict.main([str(files / "ward"), *arguments])
    before, counted[:] = out.read_bytes(), []
    monkeypatch.chdir(files)
    for other in ("ward", "./ward/../ward", str(tmp_path / "link" / "ward")):
        assert predict.main([other, *arguments]) == predict.SUCCESS
    assert counted == [] and out.read_bytes() == before


def test_a_replaced_file_is_diagnosed_again_and_a_failed_one_that_is_gone_forgotten(files, served, tmp_path, counted):
    out = tmp_path / "results.csv"
    arguments = [str(files), "--artifacts", str(served), "--out", str(out)]
    predict.main(arguments)
    before, counted[:] = rows_in(out), []
    first, second = sorted((files / "ward").glob("*.dat"))
    shutil.copyfile(second, first)  # of equal size, under the name of the header's signal file
    (files / "cut.edf").unlink()
    assert predict.main(arguments) == predict.SUCCESS
    assert counted == [first.with_suffix(".hea")]
    after = rows_in(out)
    assert [row["file"] for row in after] == [row["file"] for row in before if not row["error"]]
    probabilities = {row["file"]: row["p_NORM"] for row in after}
    assert probabilities[str(first.with_suffix(".hea"))] == probabilities[str(second.with_suffix(".hea"))]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_folder_without_recordings_has_an_empty_table(served, tmp_path, suffix, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "LICENSE").write_text("Free")
    out = tmp_path / f"results{suffix}"
    arguments = [str(tmp_path / "empty"), "--artifacts", str(served)]
    assert predict.main([*arguments, "--out", str(out)]) == predict.SUCCESS
    assert rows_in(out) == []
    if suffix == ".csv":
        assert set(columns_of()) < set(pd.read_csv(out))
    assert predict.main(arguments) == predict.SUCCESS
    assert "no recordings in" in capsys.readouterr().out


def test_intervals_are_columns_when_asked_for_and_decide_what_goes_on(files, served, tmp_path, capsys):
    out = tmp_path / "results.csv"
    arguments = [str(files / "ward"), "--artifacts", str(served), "--out", str(out)]
    assert predict.main([*arguments, "--intervals"]) == predict.SUCCESS
    table = pd.read_csv(out)
    assert list(columns_of(intervals=True)) == list(table)[:-3] and (table["qrs_ms"] > 40).all()
    assert predict.main(arguments) == predict.TABLE_UNUSABLE
    assert "intervals yes instead of no" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_the_long_table_goes_on_with_the_table(files, served, tmp_path, counted, suffix):
    out, long = tmp_path / f"results{suffix}", tmp_path / f"results_statements{suffix}"
    arguments = ["--artifacts", str(served), "--out", str(out), "--long"]
    assert predict.main([str(files / "ward"), *arguments]) == predict.SUCCESS
    counted.clear()
    assert predict.main([str(files), *arguments]) == predict.UNREADABLE_FILES
    assert counted == [files / "cut.edf", files / "three.csv"]
    table, rows = results_table._read(long, LONG_COLUMNS), [row for row in rows_in(out) if not row["error"]]
    assert list(table) == list(LONG_COLUMNS) and list(table["code"]) == [*CODES] * 3
    assert list(table["path"]) == [row["path"] for row in rows for _ in CODES]
    assert list(table["probability"].astype(float)) == [
        float(row[f"statement_{code}"]) for row in rows for code in CODES
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"ecgs", out.name, long.name}


def test_a_long_table_replaces_nothing_else_and_needs_its_table(files, served, tmp_path, capsys):
    use, out = [str(files / "ward"), "--artifacts", str(served)], ["--out", str(tmp_path / "results.csv")]
    other = tmp_path / "other.csv"
    other.write_text("path,ward\n1,A\n")
    assert predict.main([*use, *out, "--long", str(other)]) == predict.TABLE_UNUSABLE
    assert other.read_text() == "path,ward\n1,A\n"
    long = str(tmp_path / "long.csv")
    for wrong in ([*use, "--long", long], [*use, *out, "--long", out[1]], [*use, *out, "--long", long + "x"]):
        assert predict.main(wrong) == predict.WRONG_ARGUMENTS
    with FileLock(lock_path(tmp_path / "long.csv")):
        assert predict.main([*use, *out, "--long", long]) == predict.TABLE_UNUSABLE
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".csv") == ["other.csv"]
    capsys.readouterr()
    assert predict.main([*use, "--long"]) == predict.SUCCESS
    printed = capsys.readouterr().out
    assert all(code in printed for code in CODES)


def test_a_network_without_statements_has_the_same_columns(files, without_statements, tmp_path):
    out, long = tmp_path / "results.csv", tmp_path / "long.csv"
    arguments = ["--artifacts", str(without_statements), "--out", str(out), "--long", str(long)]
    for _ in range(2):
        assert predict.main([str(files / "ward"), *arguments]) == predict.SUCCESS
    assert list(columns_of()) == list(pd.read_csv(out))[:-3] and len(pd.read_csv(long)) == 0
    rows = rows_in(out)
    assert all(row["headline"] and not row["statements"] and row["statement_AFIB"] is None for row in rows)


def heed_ctrl_c():
    """In a new process, whether or not these tests run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# A run that stops itself at the third file: by a signal, or by waiting for one.
STOPS_AT_THE_THIRD_FILE = """
import os, signal, sys, time, predict
original, files = predict.diagnose_file, []
def diagnose_file(diagnoser, path, *rest):
    files.append(path)
    if len(files) == 3:
        print("third", flush=True)
        os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == "kill" else time.sleep(60)
    return original(diagnoser, path, *rest)
predict.diagnose_file = diagnose_file
sys.exit(predict.main(sys.argv[2:]))
"""


def stopped_run(how: str, arguments: list[str]) -> subprocess.Popen:
    """A run at its third file: killed there, or waiting."""
    command = [sys.executable, "-c", STOPS_AT_THE_THIRD_FILE, how, *arguments]
    process = subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    )
    for line in process.stdout:
        if line == "third\n":
            return process
    raise AssertionError(process.stderr.read())


def test_a_killed_run_loses_and_doubles_nothing_and_keeps_its_order(files, served, tmp_path, counted):
    out, whole = tmp_path / "results.csv", tmp_path / "whole.csv"
    arguments = [str(files), "--artifacts", str(served), "--out"]
    killed = stopped_run("kill", [*arguments, str(out)])
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL and not out.exists()
    assert predict.main([*arguments, str(out)]) == predict.UNREADABLE_FILES
    first, second, *rest = predict.find_recordings([str(files)])[0]
    assert first.name == "cut.edf"  # which failed, and is tried again
    assert counted == [first, *rest]
    assert predict.main([*arguments, str(whole)]) == predict.UNREADABLE_FILES
    assert out.read_bytes() == whole.read_bytes()
    assert [row["file"] for row in rows_in(out)] == list(map(str, [first, second, *rest]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ecgs", "results.csv", "whole.csv"]


def test_an_interrupted_run_says_so_and_goes_on(files, served, tmp_path, counted):
    out = tmp_path / "results.csv"
    arguments = [str(files), "--artifacts", str(served), "--out", str(out)]
    process = stopped_run("wait", arguments)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == predict.INTERRUPTED
    assert "interrupted" in printed and "Traceback" not in printed
    assert len(rows_in(out)) == 2
    assert predict.main(arguments) == predict.UNREADABLE_FILES
    assert [row["file"] for row in rows_in(out)] == [str(path) for path in predict.find_recordings([str(files)])[0]]
    assert len(counted) == 3


def test_ctrl_c_while_the_libraries_load_leaves_no_traceback(tmp_path):
    slow = tmp_path / "tqdm.py"
    slow.write_text("print('loading', flush=True); import time; time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "predict.py", "ecg.hea"], cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c,
    )  # fmt: skip
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT and printed == ""


def test_a_table_that_another_process_writes_is_refused(files, served, tmp_path, capsys):
    out = tmp_path / "results.csv"
    arguments = [str(files), "--artifacts", str(served), "--out", str(out)]
    process = stopped_run("wait", arguments)
    try:
        assert predict.main(arguments) == predict.TABLE_UNUSABLE
        assert f"process {process.pid} on" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()
    assert predict.main(arguments) == predict.UNREADABLE_FILES
    assert len(rows_in(out)) == 4


def test_a_defect_that_one_file_shows_does_not_stop_the_others(files, served, tmp_path, monkeypatch, capsys):
    original = scoring.read_recording

    def read_recording(path, *rest):
        if path.suffix == ".csv":
            raise ZeroDivisionError("by zero")
        return original(path, *rest)

    monkeypatch.setattr(scoring, "read_recording", read_recording)
    out = tmp_path / "results.csv"
    arguments = [str(files), "--artifacts", str(served), "--out", str(out)]
    assert predict.main(arguments) == predict.UNREADABLE_FILES
    errors = {os.path.basename(row["file"]): row["error"] for row in rows_in(out)}
    assert "ZeroDivisionError" in errors["three.csv"] and sum(map(bool, errors.values())) == 2
    assert "Traceback" in capsys.readouterr().err


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
    assert predict.main([str(files / "ward"), *arguments]) == predict.SUCCESS
    before = out.read_bytes()
    arguments += change(own_served)
    assert predict.main([str(files / "ward"), *arguments]) == predict.TABLE_UNUSABLE
    message = capsys.readouterr().err
    assert f"{name} " in message and "--restart" in message
    assert out.read_bytes() == before
    assert predict.main([str(files / "three.csv"), *arguments, "--restart"]) == predict.SUCCESS
    assert [row["file"] for row in rows_in(out)] == [str(files / "three.csv")]


def test_a_table_of_other_code_is_not_continued(files, served, tmp_path, capsys, monkeypatch):
    arguments = [str(files / "ward"), "--artifacts", str(served), "--out", str(tmp_path / "results.csv")]
    assert predict.main(arguments) == predict.SUCCESS
    monkeypatch.setattr(scoring, "sha256", lambda path: "edited" if path.name == "verdict.py" else sha256(path))
    assert predict.main(arguments) == predict.TABLE_UNUSABLE
    assert "other settings (code " in capsys.readouterr().err


def test_one_file_is_printed(files, served, capsys):
    signal_file = next(files.rglob("*.dat"))
    assert predict.main([str(signal_file), "--artifacts", str(served)]) == predict.SUCCESS
    printed = capsys.readouterr().out
    assert signal_file.with_suffix(".hea").name in printed and "not for clinical use" in printed


@pytest.mark.parametrize("count", [1, 2])
def test_what_limits_a_diagnosis_is_printed_beside_it(count, capsys):
    row = {name: 0.5 if kind == "Float64" else None for name, kind in columns_of().items()}
    row |= {"headline": "Pacemaker.", "statements": "PACE IVCD", "statement_PACE": 0.7654}
    row |= {"leads": "I II"}
    row |= {"file": "a.hea", "predicted_classes": "CD", "uncertain_because": "doubtful", "warnings": "Noisy."}
    row |= {"withheld": "mi_vs_norm: not here", "not_assessed": "No rhythm.", "norm_vs_abnormal": True}
    predict.print_rows([row, row | {"file": "b.hea", "predicted_classes": None}][:count])
    printed = capsys.readouterr().out
    assert printed.index("Pacemaker.") < printed.index("CD") < printed.index("0.765")
    for part in ("CD", "doubtful", "mi_vs_norm: not here", "No rhythm.", "Noisy."):
        assert part in printed
    assert ("no class asserted" in printed) == (count == 2)
    if count == 2:  # each recording has its own
        assert "a.hea: not assessed: No rhythm." in printed and "b.hea: not assessed: No rhythm." in printed
    if count == 1:
        assert "NORM or MI" not in printed and "abnormal, probability" in printed  # no number for what is withheld


def test_many_files_passed_over_are_counted(tmp_path, capsys):
    skipped = {tmp_path / f"{number}.txt": "text without leads" for number in range(LISTED + 7)}
    predict.list_skipped(skipped)
    printed = capsys.readouterr().err
    assert "(27)" in printed and "7 more" in printed
    predict.list_skipped({})
    assert capsys.readouterr().err == ""


def test_wrong_arguments_are_one_sentence_each_with_its_status(files, served, tmp_path, capsys):
    use = ["--artifacts", str(served)]
    refused = [
        ([str(files), *use, "--out", str(tmp_path / "results.xlsx")], predict.WRONG_ARGUMENTS),
        ([str(tmp_path / "nowhere"), *use], predict.WRONG_ARGUMENTS),
        ([str(files), "--artifacts", str(tmp_path)], predict.NETWORKS_UNUSABLE),
        ([str(files), *use, "--out", str(files / "three.csv")], predict.TABLE_UNUSABLE),
    ]
    for arguments, status in refused:
        assert predict.main(arguments) == status
        message = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert len(message) == 1
    with pytest.raises(SystemExit) as stopped:
        predict.main(["--no-such-flag"])
    assert stopped.value.code == predict.WRONG_ARGUMENTS
