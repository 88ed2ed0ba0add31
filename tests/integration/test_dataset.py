"""The data set from its files: splits and tasks, the signal cache, damage, and the command `python dataset.py`."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from config import PROJECT, SUPERCLASSES
from dataset import PTBXLDataset
from ptbxl import cache, download
from ptbxl.cache import open_cache
from ptbxl.cli import main
from ptbxl.index import DatasetError, read_index, task_targets
from ptbxl.records import read_record, record_path


@contextmanager
def edited_table(directory):
    """The table of recordings, written back with the changes made to it."""
    table = pd.read_csv(directory / "ptbxl_database.csv")
    yield table
    table.to_csv(directory / "ptbxl_database.csv", index=False)


def cached(directory):
    return open_cache(read_index(directory), progress=False)


# --- splits, tasks


def test_splits_hold_their_folds_and_share_no_patient(demo_data):
    splits = {name: PTBXLDataset(demo_data, name, input_scale=0.2) for name in ("train", "val", "test")}
    assert set(splits["train"].metadata["strat_fold"]) == set(range(1, 9))
    assert set(splits["val"].metadata["strat_fold"]) == {9}
    assert set(splits["test"].metadata["strat_fold"]) == {10}
    patients = [set(split.patient_ids) for split in splits.values()]
    assert not patients[0] & patients[1] and not patients[0] & patients[2] and not patients[1] & patients[2]
    assert all(split.is_synthetic for split in splits.values())
    assert {"age", "sex", "device", "baseline_drift"} <= set(splits["val"].metadata)


def test_targets_of_the_tasks():
    superclasses = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0] * 5], bool)
    mi, belongs = task_targets(superclasses, "mi_vs_norm")
    assert belongs.tolist() == [True, True, False, True, False]
    assert mi[belongs, 0].tolist() == [0, 1, 0]
    abnormal, belongs = task_targets(superclasses, "norm_vs_abnormal")
    assert belongs.tolist() == [True, True, True, True, False]
    assert abnormal[belongs, 0].tolist() == [0, 1, 1, 1]
    everything, belongs = task_targets(superclasses, "multilabel")
    assert belongs.all() and np.array_equal(everything, superclasses)


def test_a_superclass_counts_whatever_its_likelihood_and_other_statements_do_not(own_data):
    with edited_table(own_data) as table:
        table.loc[0, "scp_codes"] = "{'IMI': 0.0, 'SR': 100.0, 'ABQRS': 100.0}"
    assert read_index(own_data).superclasses[0].tolist() == [name == "MI" for name in SUPERCLASSES]


def test_crops_are_pieces_of_the_recording(demo_data):
    split = PTBXLDataset(demo_data, "val", input_scale=0.2)
    whole, crops = split.signals([0, 2]), split.signals([0, 2], [10, 700], 250)
    assert np.array_equal(crops[0], whole[0, :, 10:260])
    assert np.array_equal(crops[1], whole[1, :, 700:950])


def test_importing_the_dataset_loads_no_library_that_training_does_not_need():
    unneeded = {"pydicom", "pyedflib", "ecgdatakit", "wfdb", "matplotlib", "pooch", "requests", "ecg.synthetic"}
    program = f"import sys, dataset; print({unneeded} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "set()"


# --- the cache


def test_the_cache_is_reused_until_a_file_changes(own_data):
    first = cached(own_data)
    files = {path: path.stat().st_mtime_ns for path in (own_data / "cache").iterdir()}
    cached(own_data)
    assert files == {path: path.stat().st_mtime_ns for path in (own_data / "cache").iterdir()}
    index = read_index(own_data)
    swapped = [record_path(index, ecg_id, 100) for ecg_id in index.table.index[:2]]
    for suffix in (".dat", ".hea"):
        text = swapped[1].with_suffix(suffix).read_bytes().replace(swapped[1].name.encode(), swapped[0].name.encode())
        swapped[0].with_suffix(suffix).write_bytes(text)
    again = cached(own_data)
    assert np.array_equal(again.signals[0], again.signals[1])
    assert not np.array_equal(first.signals[0], first.signals[1])
    assert len(list((own_data / "cache").glob("*.npy"))) == 1


def test_the_digest_of_a_fold_depends_on_content_not_on_dates(demo_data, own_data):
    assert cached(demo_data).fold_sha256 == cached(own_data).fold_sha256
    with edited_table(own_data) as table:
        table.loc[(table["strat_fold"] == 9).idxmax(), "scp_codes"] = "{'LVH': 100.0, 'CLBBB': 100.0}"
    before, after = cached(demo_data).fold_sha256, cached(own_data).fold_sha256
    assert {fold for fold in before if before[fold] != after[fold]} == {9}


def test_an_unfinished_cache_is_never_used(own_data, monkeypatch):
    index = read_index(own_data)
    monkeypatch.setattr(cache, "_finish_cache", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        open_cache(index, progress=False)
    monkeypatch.undo()
    assert not list((own_data / "cache").glob("signals_*"))
    killed = own_data / "cache" / "signals_0123456789abcdef.tmp"
    killed.write_bytes(b"half")
    assert not open_cache(index, progress=False).unreadable
    assert not killed.exists()


def test_a_cache_that_cannot_be_written_says_where_else_it_may_go(own_data):
    (own_data / "cache").write_text("in the way")
    with pytest.raises(DatasetError, match="PTBXL_CACHE"):
        cached(own_data)


def test_data_sets_share_a_directory_of_caches_without_deleting_each_others(own_data, tmp_path, monkeypatch):
    monkeypatch.setenv("PTBXL_CACHE", str(tmp_path / "caches"))
    other_data = shutil.copytree(own_data, tmp_path / "other" / "data")
    own, other = cached(own_data).signals.filename, cached(other_data).signals.filename
    with edited_table(own_data) as table:
        table.drop(table.index[-1], inplace=True)
    changed = cached(own_data).signals.filename
    assert set((tmp_path / "caches").rglob("*.npy")) == {Path(other), Path(changed)}
    assert changed != own and not (own_data / "cache").exists()


# --- damage


def paths_of_fold(directory, fold):
    index = read_index(directory)
    ids = index.table.index[index.folds == fold]
    return [record_path(index, ecg_id, 100) for ecg_id in ids]


DAMAGE = {
    "missing": lambda path: path.with_suffix(".dat").unlink(),
    "cut short": lambda path: os.truncate(path.with_suffix(".dat"), 12_000),
    "altered": lambda path: path.with_suffix(".dat").write_bytes(path.with_suffix(".dat").read_bytes()[::-1]),
    "no header": lambda path: path.with_suffix(".hea").write_text("not a header"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_recording_is_named_and_only_its_split_suffers(own_data, damage, capsys):
    path = paths_of_fold(own_data, 9)[0]
    DAMAGE[damage](path)
    with pytest.raises(DatasetError, match=path.name):
        read_record(path)
    assert main(["check", "--data", str(own_data)]) == 1
    report = capsys.readouterr().out
    assert path.name in report and "NOT WHOLE" in report and "1 recordings are missing or unreadable" in report
    assert main(["cache", "--data", str(own_data)]) == 1
    assert "left out" in (printed := capsys.readouterr().out) and path.name in printed
    with pytest.raises(DatasetError, match=rf"lacks 1 of \d+ recordings.*{path.name}"):
        PTBXLDataset(own_data, "val", input_scale=0.2)
    assert len(PTBXLDataset(own_data, "test", input_scale=0.2)) > 0


def test_leads_are_ordered_by_name(own_data):
    path = paths_of_fold(own_data, 9)[0]
    before = read_record(path).signal
    lines = path.with_suffix(".hea").read_text().splitlines()
    signals = np.fromfile(path.with_suffix(".dat"), "<i2").reshape(-1, 12)
    path.with_suffix(".dat").write_bytes(np.ascontiguousarray(signals[:, ::-1]).tobytes())
    path.with_suffix(".hea").write_text("\n".join([lines[0], *lines[12:0:-1], *lines[13:]]) + "\n")
    assert np.array_equal(before, read_record(path).signal)


@pytest.mark.parametrize(("length", "filled"), [(20, True), (21, False)])
def test_missing_samples_are_filled_up_to_200_ms_as_in_an_upload(own_data, length, filled):
    path = paths_of_fold(own_data, 9)[0]
    signals = np.fromfile(path.with_suffix(".dat"), "<i2").reshape(-1, 12)
    signals[100 : 100 + length, 0] = -32768
    path.with_suffix(".dat").write_bytes(signals.tobytes())
    header = path.with_suffix(".hea").read_text().splitlines()
    fields = header[1].split()
    fields[6] = str(int(signals[:, 0].sum(dtype=int)) & 0xFFFF)
    path.with_suffix(".hea").write_text("\n".join([header[0], " ".join(fields), *header[2:]]) + "\n")
    if not filled:
        with pytest.raises(DatasetError, match="lead I has no samples"):
            read_record(path)
        return
    recording = read_record(path)
    assert recording.signal[0, 99:121].min() > -10
    assert recording.notes == ("lead I: 1 gap(s) of up to 200 ms interpolated",)


def test_a_missing_fold_and_a_patient_in_two_folds_are_named(own_data, capsys):
    with edited_table(own_data) as table:
        table.drop(table.index[table["strat_fold"] == 10], inplace=True)
        table.loc[table["strat_fold"] == 9, "patient_id"] = table.loc[table["strat_fold"] == 1, "patient_id"].iloc[0]
    with pytest.raises(DatasetError, match="no fold 10, which split 'test' needs"):
        PTBXLDataset(own_data, "test", input_scale=0.2)
    assert len(PTBXLDataset(own_data, "val", input_scale=0.2)) > 0
    assert main(["check", "--data", str(own_data)]) == 1
    report = capsys.readouterr().out
    assert "fold 10 is missing: `--split test` cannot run" in report
    assert "1 patients are in more than one fold (leakage)" in report


@pytest.mark.parametrize("text", ["", "ecg_id,x\n1,2\n", "ecg_id,patient_id,scp_codes\n1,1,{broken\n"])
def test_a_table_that_is_not_ptbxls_is_refused(own_data, text, capsys):
    (own_data / "ptbxl_database.csv").write_text(text)
    assert main(["check", "--data", str(own_data)]) == 2
    assert "not PTB-XL's" in capsys.readouterr().err


# --- commands


def test_check_calls_a_whole_data_set_whole(demo_data, capsys):
    assert main(["check", "--data", str(demo_data)]) == 0
    report = capsys.readouterr().out
    assert "Whole" in report and "SYNTHETIC" in report


def test_commands_that_fail_say_why_and_what_to_do(tmp_path, capsys):
    assert main(["check", "--data", str(tmp_path)]) == 2
    assert "python dataset.py download" in capsys.readouterr().err
    assert main(["download", "--dest", str(tmp_path / "new"), "--from", str(tmp_path / "absent.zip")]) == 2
    assert "absent.zip" in capsys.readouterr().err


def test_demo_writes_a_set_that_loads(tmp_path, capsys):
    assert main(["demo", str(tmp_path / "set"), "--patients", "10"]) == 0
    assert "SYNTHETIC" in capsys.readouterr().out
    index = read_index(tmp_path / "set")
    assert index.is_synthetic and set(index.folds) == set(range(1, 11))
    readme = (tmp_path / "set" / "README.md").read_text()
    for name in SUPERCLASSES:
        assert f"examples/{name}.png" in readme
        assert (tmp_path / "set" / "examples" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "function", "handed_over"),
    [
        (["--url", "http://host/", "--rate", "both"], "fetch_release", ("both", "http://host/", 8)),
        (["--from", "release.zip"], "extract_release", ("100",)),
    ],
)
def test_download_hands_over_its_arguments_then_checks_and_caches(
    demo_data, tmp_path, monkeypatch, capsys, arguments, function, handed_over
):
    def stand_in(*given):
        assert given[-len(handed_over) :] == handed_over
        shutil.copytree(demo_data, tmp_path / "downloaded", ignore=shutil.ignore_patterns("cache"))

    monkeypatch.setattr(download, function, stand_in)
    assert main(["download", "--dest", str(tmp_path / "downloaded"), *arguments]) == 0
    assert "Whole" in capsys.readouterr().out and (tmp_path / "downloaded" / "cache").is_dir()
