"""The files of an archive one after another: the same as all at once, and manifests of every kind."""

import tracemalloc

import pandas as pd
import pytest

from archive.listing import LISTED, Skipped, count_listed, partitions, recordings_below, recordings_listed
from ecg.readers.folders import find_recordings

HEADER = "{name} 12 100 1000\n" + "".join(f"{{name}}.dat 16 1000/mV 16 0 0 0 0 V{n}\n" for n in range(12))


def write_record(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".hea").write_text(HEADER.format(name=path.stem))
    path.with_suffix(".dat").write_bytes(bytes(24_000))


@pytest.fixture
def folder(tmp_path):
    """Records in and beside folders of similar names, other formats, a lone signal file, hidden and foreign files."""
    place = tmp_path / "ecgs"
    for name in ("a/1", "a/2", "a.b/1", "b", "a", "c/d/e"):
        write_record(place / name)
    (place / "c" / "lone.dat").write_bytes(b"\0\1")
    (place / "c" / "table.csv").write_text("I,II\n1,2\n")
    (place / "c" / "notes.txt").write_text("Dear colleague")
    (place / ".hidden").mkdir()
    write_record(place / ".hidden" / "x")
    (place / "link").symlink_to(place / "c")
    (place / "nowhere.edf").symlink_to(tmp_path / "gone.edf")
    return place


def test_files_one_after_another_are_those_found_at_once(folder):
    skipped = Skipped()
    streamed = list(recordings_below([folder], skipped))
    found, passed_over = find_recordings([folder])
    assert streamed == found and len(found) == 9
    assert skipped.first == passed_over


def test_folders_given_twice_or_inside_another_count_once(folder):
    expected = list(recordings_below([folder], Skipped()))
    inputs = [folder, folder / "a", folder.parent / "ecgs" / "." / "c" / "d", folder / "c" / "table.csv"]
    assert list(recordings_below(inputs, Skipped())) == expected
    assert list(recordings_below([folder / "a" / "1.dat"], Skipped())) == [folder / "a" / "1.hea"]
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        list(recordings_below([folder / "nowhere"], Skipped()))


def test_files_passed_over_are_counted_and_the_results_left_out(tmp_path):
    skipped = Skipped(own=tmp_path / "results")
    skipped.add(tmp_path / "results" / "archive.json", "JSON")
    assert list(skipped.lines()) == []
    for number in range(LISTED + 7):
        skipped.add(tmp_path / f"{number}.txt", "text without leads")
    lines = list(skipped.lines())
    assert len(lines) == LISTED + 2 and "(27)" in lines[0] and "7 more" in lines[-1]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("paths", [[], ["ecgs/a/1", "ecgs/b.dat", "/elsewhere/x.edf", "ecgs/none", 'a "b", c.csv']])
def test_a_manifest_is_read_in_its_order(folder, suffix, paths):
    manifest = folder.parent / f"list{suffix}"
    table = pd.DataFrame({"id": range(len(paths)), "file": pd.Series(paths, dtype="string")})
    table.to_csv(manifest, index=False) if suffix == ".csv" else table.to_parquet(manifest)
    names = ["ecgs/a/1.hea", "ecgs/b.hea", "/elsewhere/x.edf", "ecgs/none", 'a "b", c.csv']
    expected = [folder.parent / name for name in names[: len(paths)]]
    assert list(recordings_listed(manifest, "file")) == expected
    assert count_listed(manifest, "file") == len(paths)


@pytest.mark.parametrize("content", [b"", b"file\nx.hea\ny.hea,2\n", b"\0\1\2", None])
@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_a_manifest_that_cannot_be_read_is_a_sentence(tmp_path, content, name):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        list(recordings_listed(tmp_path / name, "file"))


def test_a_column_that_is_not_there_is_named(tmp_path):
    (tmp_path / "list.csv").write_text("id,file\n1,a.hea\n")
    with pytest.raises(ValueError, match="no column 'path': name one of id, file with --column"):
        count_listed(tmp_path / "list.csv", "path")


def test_a_long_manifest_is_never_whole_in_memory(tmp_path):
    manifest = tmp_path / "list.csv"
    with open(manifest, "w") as file:
        file.write("path\n")
        file.writelines(f"{'x' * 40}/{number:09}.hea\n" for number in range(300_000))
    next(iter(partitions(recordings_listed(manifest, "path"), 1000)))  # what is loaded on first use does not count
    tracemalloc.start()
    count = sum(len(paths) for _, paths in partitions(recordings_listed(manifest, "path"), 1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 6 to 18 MB however long the list is, most of it the interpreter's table of the names that pathlib has met; all
    # paths at once would be 60 MB
    assert count == 300_000 and peak < 24e6
