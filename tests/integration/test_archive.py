"""predict.py on archives: partitions, manifests, and processes that die. With the shipped networks, which need no
training; the recordings are generated."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import predict
from archive import scoring
from archive.directory import ABOUT, QUARANTINE, RECORDINGS
from config import DEFAULT_OUT, PROJECT
from ecg.synthetic.writer import write_record
from inference.results_table import TableError, lock_path, read_rows
from tests.support.ecgs import generated

COUNT = 40  # recordings


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Forty records at 100 Hz in two folders, one that was cut short, and a licence. The reader leaves it as it is."""
    place = tmp_path_factory.mktemp("archive") / "ecgs"
    signals = [generated(seed, 100, heart_rate=55 + 5 * seed)[0].signal for seed in range(8)]
    for number in range(COUNT):
        folder = place / ("first" if number < 15 else "second")
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder / f"{number:02}", signals[number % 8] * (0.8 + number / 100), 100)
    whole = (place / "first" / "03.dat").read_bytes()
    (place / "first" / "03.dat").write_bytes(whole[: len(whole) // 2])
    (place / "LICENSE").write_text("Free")
    return place


def command(*arguments) -> list[str]:
    return [*map(str, arguments), "--partition-size", "8"]


def here(*arguments) -> int:
    """predict.py in this process alone."""
    return predict.main(["--workers", "0", *map(str, arguments)])


def rows_of(out: Path, kind: str = RECORDINGS) -> pd.DataFrame:
    """All rows in the order of the partitions, whose paths stand for the files."""
    parts = sorted((out / kind).glob("*.parquet"))
    return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True) if parts else pd.DataFrame()


@pytest.fixture(scope="module")
def by_one_process(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "results"
    assert here(*command(archive, "--out", out)) == predict.UNREADABLE_FILES
    return out


@pytest.fixture
def read(monkeypatch):
    """The names of the files that are read."""
    names, original = [], scoring.read_recording
    monkeypatch.setattr(
        scoring, "read_recording", lambda path, *rest: (names.append(path.name), original(path, *rest))[1]
    )
    return names


# --------------------------------------------------------------------------- processes that die

# Loaded by each worker before it starts, as a library that crashes on one file and a machine that loses a process once.
DANGEROUS = """
    import os, signal, time
    from pathlib import Path
    from archive import scoring
    from ecg.readers import read_recording as original  # this file is loaded more than once

    once = Path({once!r})

    def read_recording(path, *rest):
        time.sleep(0.02)
        if path.name == "11.hea" or path.name == "22.hea" and not once.exists():
            once.touch() if path.name == "22.hea" else None
            os.kill(os.getpid(), signal.SIGKILL)
        return original(path, *rest)

    scoring.read_recording = read_recording
"""


def heed_ctrl_c():
    """In a new process, whether or not these tests run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path):
    """Starts predict.py with workers that die of the file 11, and once of 22."""
    preload, started = tmp_path / "dangerous.py", []
    preload.write_text(textwrap.dedent(DANGEROUS).format(once=str(tmp_path / "once")))
    environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__PRELOAD": str(preload), "PYTHONPATH": str(PROJECT)}

    def start_one(*arguments) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "predict.py", *command(*arguments), "--workers", "2"], cwd=PROJECT, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=heed_ctrl_c,
        )  # fmt: skip
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def test_nothing_is_lost_or_doubled_by_dying_workers_and_a_killed_job(archive, by_one_process, tmp_path, start):
    out = tmp_path / "results"
    killed = start(archive, "--out", out)
    while len(list((out / RECORDINGS).glob("part-*.parquet"))) < 2:
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)  # its workers see that it is gone
    killed.communicate()
    before = {part: part.stat().st_mtime_ns for part in (out / RECORDINGS).glob("part-*.parquet")}
    assert 2 <= len(before) < 5
    again = start(archive, "--out", out)
    printed, errors = again.communicate()
    assert again.returncode == predict.UNREADABLE_FILES, errors
    assert "dashboard: http://" in printed and "passed over, no recordings (1):" in errors
    expected = rows_of(by_one_process)
    expected = expected[~expected["file"].str.endswith("11.hea")].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows_of(out), expected)
    quarantine = rows_of(out, QUARANTINE)
    assert [Path(file).name for file in quarantine["file"]] == ["03.hea", "11.hea"]
    assert "cut short" in quarantine["reason"][0] and "kills the process" in quarantine["reason"][1]
    complete = [part for part in before if part.name not in ("part-000000.parquet", "part-000001.parquet")]
    assert all(part.stat().st_mtime_ns == before[part] for part in complete)
    assert (tmp_path / "once").exists() and not lock_path(out).exists()
    assert not list(out.rglob("*.tmp*"))


def test_ctrl_c_ends_a_job_and_its_workers_with_a_sentence(archive, tmp_path, start):
    out = tmp_path / "results"
    process = start(archive / "second", "--out", out)
    assert process.stdout.readline().startswith("dashboard: http://")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it, to all of them
    _, errors = process.communicate(timeout=300)
    assert process.returncode == predict.INTERRUPTED
    assert f"what was diagnosed is in {out}" in errors and "Traceback" not in errors
    assert not lock_path(out).exists()


# --------------------------------------------------------------------------- a directory of partitions


def test_partitions_hold_the_rows_of_one_table_in_order(archive, by_one_process, tmp_path):
    table = tmp_path / "table.parquet"
    assert here(archive, "--out", table) == predict.UNREADABLE_FILES
    whole = pd.read_parquet(table)
    failed = whole["error"].notna()
    pd.testing.assert_frame_equal(rows_of(by_one_process), whole[~failed].reset_index(drop=True))
    quarantine = rows_of(by_one_process, QUARANTINE)
    assert list(quarantine["path"]) == list(whole["path"][failed])
    assert list(quarantine["reason"]) == list(whole["error"][failed])
    assert len(list((by_one_process / RECORDINGS).iterdir())) == COUNT // 8


def test_a_second_run_reads_only_what_is_new_replaced_or_failed(archive, tmp_path, read):
    ecgs, out = shutil.copytree(archive, tmp_path / "ecgs"), tmp_path / "results"
    assert here(*command(ecgs, "--out", out)) == predict.UNREADABLE_FILES
    assert len(read) == COUNT
    read.clear()
    shutil.copy(ecgs / "second" / "20.dat", ecgs / "second" / "30.dat")
    shutil.copy(ecgs / "first" / "02.dat", ecgs / "first" / "03.dat")
    for suffix in (".hea", ".dat"):
        shutil.copy(ecgs / "second" / f"39{suffix}", ecgs / "second" / f"40{suffix}")
    header = ecgs / "second" / "40.hea"
    header.write_text(header.read_text().replace("39", "40"))
    assert here(ecgs, "--out", out) == predict.SUCCESS  # the partitions' size is that of the first run
    assert read == ["03.hea", "30.hea", "40.hea"]
    names = [Path(file).stem for file in rows_of(out)["file"]]
    assert names == [f"{number:02}" for number in range(COUNT + 1)] and rows_of(out, QUARANTINE).empty
    for number in range(30, COUNT + 1):
        (ecgs / "second" / f"{number:02}.hea").unlink()
        (ecgs / "second" / f"{number:02}.dat").unlink()
    read.clear()
    assert here(ecgs, "--out", out) == predict.SUCCESS
    assert read == [] and len(rows_of(out)) == 30 and len(list((out / RECORDINGS).iterdir())) == 4


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_manifest_names_the_recordings(archive, by_one_process, tmp_path, suffix):
    listed = archive.parent / f"list{suffix}"  # whose relative paths start beside it
    paths = ["ecgs/second/39.hea", "ecgs/first/03", str(archive / "first" / "00.dat"), "ecgs/nowhere.hea", ""]
    table = pd.DataFrame({"id": range(5), "ecg": paths})
    table.to_csv(listed, index=False) if suffix == ".csv" else table.to_parquet(listed)
    out = tmp_path / "results"
    assert here("--manifest", listed, "--column", "ecg", "--out", out) == predict.UNREADABLE_FILES
    rows, quarantine = rows_of(out), rows_of(out, QUARANTINE)
    assert list(rows["path"]) == [str(archive / name) for name in ("second/39.hea", "first/00.hea")]
    assert list(quarantine["path"]) == [
        str(archive / "first" / "03.hea"), str(archive / "nowhere.hea"), str(archive.parent)
    ]  # fmt: skip
    expected = rows_of(by_one_process).set_index("path").loc[rows["path"]]
    assert list(rows["p_MI"]) == list(expected["p_MI"])
    one = tmp_path / "one.csv"
    assert here("--manifest", listed, "--column", "ecg", "--out", one) == predict.UNREADABLE_FILES
    assert [row["path"] for row in read_rows(one, {})] == [
        rows["path"][0], quarantine["path"][0], rows["path"][1], *quarantine["path"][1:]
    ]  # fmt: skip


def test_what_a_directory_cannot_go_on_with_is_refused(archive, by_one_process, tmp_path, capsys):
    out = shutil.copytree(by_one_process, tmp_path / "results")
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("Dear colleague\n")
    refused = [
        ([archive / "first", "--out", out], predict.TABLE_UNUSABLE, "holds results of"),
        ([archive, "--out", out, "--no-quality"], predict.TABLE_UNUSABLE, "quality yes instead of no"),
        ([archive, "--out", out, "--partition-size", "9"], predict.TABLE_UNUSABLE, "partitions of 8"),
        ([archive, "--out", other], predict.TABLE_UNUSABLE, "not a directory of results"),
        ([archive, "--out", out, "--long"], predict.WRONG_ARGUMENTS, "--long"),
        ([archive, "--out", out, "--partition-size", "0"], predict.WRONG_ARGUMENTS, "at least one"),
        ([archive, "--out", out, "--workers", "-1"], predict.WRONG_ARGUMENTS, "--workers -1"),
        ([archive, "--manifest", "x.csv", "--out", out], predict.WRONG_ARGUMENTS, "or a --manifest"),
        (["--manifest", other / "letter.txt", "--out", out], predict.WRONG_ARGUMENTS, "no column 'path'"),
    ]
    for arguments, status, message in refused:
        assert here(*arguments) == status
        assert message in capsys.readouterr().err
    pd.testing.assert_frame_equal(rows_of(out), rows_of(by_one_process))
    assert here(archive / "second", "--out", out, "--restart", "--no-quality") == predict.SUCCESS
    assert json.loads((out / ABOUT).read_text())["partition_size"] == 1000
    rows = rows_of(out)
    assert len(rows) == 25 and rows["quality"].isna().all() and rows["heart_rate"].isna().all()


def test_a_directory_taken_over_by_another_job_is_not_written(archive, by_one_process, tmp_path):
    out = shutil.copytree(by_one_process, tmp_path / "results")
    job = scoring.Job(artifacts=str(DEFAULT_OUT), backend="onnx")
    inputs = json.loads((out / ABOUT).read_text())["inputs"]
    settings = json.loads((out / ABOUT).read_text())["settings"]
    with predict.open_directory(out, job, settings, inputs, None, False) as (directory, _):
        about = json.loads((out / ABOUT).read_text())
        about["settings"]["units"] = "mV"
        (out / ABOUT).write_text(json.dumps(about))
        with pytest.raises(TableError, match="units"):
            directory.update(0, ["gone.hea"])


# --------------------------------------------------------------------------- together and alone


def test_recordings_diagnosed_together_get_what_each_gets_alone(archive):
    job = scoring.Job(artifacts=str(DEFAULT_OUT), backend="onnx")
    diagnoser = scoring.Diagnoser.load(DEFAULT_OUT)
    paths = sorted(archive.rglob("*.hea"))[:20]
    short = archive.parent / "short"
    short.mkdir(exist_ok=True)
    write_record(short / "s", generated(0, 100)[0].signal[:, :400], 100)
    write_record(short / "t", generated(0, 100)[0].signal[:, :700], 100)
    write_record(short / "u", np.tile(generated(0, 100)[0].signal, 4), 100)
    paths = [*paths[:5], *sorted(short.glob("*.hea")), *paths[5:]]
    rows = scoring.score([str(path) for path in paths], job, scoring.settings_of(diagnoser, job))
    alone = [scoring.diagnose_file(diagnoser, path, job) for path in paths]
    assert [{name: row[name] for name in alone[0]} for row in rows] == alone
    assert sum(bool(row["error"]) for row in rows) == 2


def test_probabilities_of_recordings_read_together_are_the_same_to_the_last_bit():
    diagnoser = scoring.Diagnoser.load(DEFAULT_OUT)
    recordings = [generated(seed, 100)[0] for seed in range(9)]
    together = diagnoser.diagnose_many(recordings)
    for recording, one in zip(recordings, together, strict=True):
        alone = diagnoser.diagnose(recording)
        assert alone.probabilities == one.probabilities and alone.mi_vs_norm == one.mi_vs_norm
        assert [s.probability for s in alone.statements] == [s.probability for s in one.statements]
        assert [s.probability for s in alone.subclasses] == [s.probability for s in one.subclasses]
