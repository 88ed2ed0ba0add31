"""The table of predict.py: nothing lost, nothing doubled, nothing mixed, whatever stops a run."""

import json
import subprocess
import sys
import textwrap

import pandas as pd
import pytest

import inference.results_table as results_table
from config import PROJECT
from inference.results_table import ResultsTable, TableError, journal_path, lock_path, open_table, read_rows

SETTINGS = {"backend": "onnx", "networks": "aa", "thresholds": "bb", "sampling_rate": "from file", "units": "from file"}
COLUMNS = {
    "file": "string", "error": "string", "p_MI": "Float64", "mi_vs_norm": "boolean", "warnings": "string",
    "model": "string",
}  # fmt: skip
ALL_COLUMNS = [*COLUMNS, "path", "version", "settings"]


def row(number: int, error: str | None = None) -> dict:
    result = {"file": f"{number:03}", "error": error, "model": "0123456789"}
    return result if error else {**result, "p_MI": number / 1000, "mi_vs_norm": number % 2 == 0, "warnings": "NA"}


def add(table, numbers, version="1", error=None):
    for number in numbers:
        table.add(row(number, error), f"/ecgs/{number:03}", version)


def write(path, numbers, settings=SETTINGS, **choices):
    with open_table(path, COLUMNS, settings, **choices) as table:
        add(table, numbers)


def kill(path, numbers, settings=SETTINGS, **choices):
    """Write rows as a run that is killed: nothing happens after the last one."""
    table = ResultsTable(path, COLUMNS, settings, **choices)
    add(table, numbers)
    table._journal.close()


def rows_in(path) -> list[dict]:
    return read_rows(path, COLUMNS)


def files_in(path) -> list[str]:
    return [found["file"] for found in rows_in(path)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_continuing_gives_the_table_of_one_run(tmp_path, suffix):
    whole, parts = tmp_path / f"whole{suffix}", tmp_path / f"parts{suffix}"
    write(whole, range(6))
    write(parts, range(2))
    kill(parts, range(2, 4))
    write(parts, range(4, 6))
    assert parts.read_text(errors="replace") == whole.read_text(errors="replace")
    assert files_in(parts) == [f"{number:03}" for number in range(6)]
    assert set(tmp_path.iterdir()) == {whole, parts}


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_was_being_written_is_left_out_and_written_again(tmp_path, cut):
    out = tmp_path / "results.csv"
    kill(out, range(3))
    journal = journal_path(out)
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert not out.exists()
    with open_table(out, COLUMNS, SETTINGS) as table:
        assert list(table.rows) == ["/ecgs/000", "/ecgs/001"]
        add(table, [2])
    assert files_in(out) == ["000", "001", "002"]


def test_a_run_killed_between_the_table_and_the_end_of_its_journal_doubles_nothing(tmp_path):
    out = tmp_path / "results.csv"
    kill(out, range(3))
    kept = journal_path(out).read_bytes()
    write(out, [])
    journal_path(out).write_bytes(kept)
    write(out, [3])
    assert files_in(out) == ["000", "001", "002", "003"]


def test_an_interrupted_run_leaves_its_table(tmp_path):
    out = tmp_path / "results.csv"
    with pytest.raises(KeyboardInterrupt), open_table(out, COLUMNS, SETTINGS) as table:
        add(table, [1])
        raise KeyboardInterrupt
    assert files_in(out) == ["001"] and set(tmp_path.iterdir()) == {out}


def test_a_table_that_cannot_be_written_leaves_the_journal(tmp_path, monkeypatch):
    out = tmp_path / "results.csv"

    def no_space(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as changed:
        changed.setitem(results_table.WRITERS, ".csv", no_space)
        with pytest.raises(TableError, match="no space"):
            write(out, range(2))
    write(out, [2])
    assert files_in(out) == ["000", "001", "002"]


@pytest.mark.parametrize("stopped", [write, kill])
def test_failed_and_replaced_files_are_made_again_in_their_old_place(tmp_path, stopped):
    out = tmp_path / "results.csv"
    with open_table(out, COLUMNS, SETTINGS) as table:
        add(table, [1], error="no ECG")
        add(table, [2, 3])
    assert pd.read_csv(out)["error"].tolist()[0] == "no ECG"
    stopped(out, [4])
    with open_table(out, COLUMNS, SETTINGS) as table:
        done = [table.is_done(f"/ecgs/{number:03}", "1") for number in range(1, 6)]
        assert done == [False, True, True, True, False] and not table.is_done("/ecgs/002", "2")
        add(table, [2], version="2")
        add(table, [1])
    assert files_in(out) == ["001", "002", "003", "004"]
    assert [found["version"] for found in rows_in(out)] == ["1", "2", "1", "1"]
    assert not any(found["error"] for found in rows_in(out))


def test_rows_that_are_forgotten_are_not_written(tmp_path):
    out = tmp_path / "results.csv"
    write(out, range(3))
    with open_table(out, COLUMNS, SETTINGS) as table:
        table.forget(["/ecgs/001"])
    assert files_in(out) == ["000", "002"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_columns_and_their_types_do_not_depend_on_the_rows(tmp_path, suffix):
    out = tmp_path / f"results{suffix}"
    for error in ("no ECG", None):  # a first file that failed, then a table that goes on from text
        with open_table(out, COLUMNS, SETTINGS) as table:
            add(table, [1], error=error)
        found = results_table._read(out, COLUMNS)
        assert list(found) == ALL_COLUMNS
    assert rows_in(out)[0]["mi_vs_norm"] is False and rows_in(out)[0]["p_MI"] == 0.001
    if suffix == ".parquet":
        assert found.dtypes.astype(str).to_dict() == {**COLUMNS, **dict.fromkeys(ALL_COLUMNS[-3:], "string")}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_table_without_rows_has_its_columns_and_can_be_continued(tmp_path, suffix):
    out = tmp_path / f"results{suffix}"
    write(out, [])
    assert list(results_table._read(out, COLUMNS))[: len(COLUMNS)] == list(COLUMNS)
    write(out, [1])
    assert files_in(out) == ["001"]


def test_a_column_that_someone_added_is_kept(tmp_path):
    out = tmp_path / "results.csv"
    write(out, range(2))
    pd.read_csv(out, dtype=str).assign(ward=["A", "B"]).to_csv(out, index=False)
    write(out, [2])
    table = pd.read_csv(out)
    assert list(table) == [*ALL_COLUMNS, "ward"] and table["ward"].fillna("").tolist() == ["A", "B", ""]


HOLDS_THE_TABLE = """
    import sys
    from tests.unit.test_results_table import COLUMNS, SETTINGS, open_table, row
    with open_table(sys.argv[1], COLUMNS, SETTINGS) as table:
        table.add(row(1), "/ecgs/001", "1")
        print("ready", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has written one row of a table and holds it."""
    command = [sys.executable, "-c", textwrap.dedent(HOLDS_THE_TABLE), str(tmp_path / "results.csv")]
    process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("restart", [False, True])
def test_a_second_process_is_told_who_writes_the_table(tmp_path, holder, restart):
    out = tmp_path / "results.csv"
    (tmp_path / "folder").symlink_to(tmp_path)
    journal = journal_path(out).read_bytes()
    with pytest.raises(TableError, match=f"written by process {holder.pid} on "):
        write(tmp_path / "folder" / "results.csv", [2], restart=restart)
    assert journal_path(out).read_bytes() == journal
    holder.communicate("")
    assert files_in(out) == ["001"]
    write(out, [2])
    assert files_in(out) == ["001", "002"] and not lock_path(out).exists()


def test_a_killed_process_holds_nothing(tmp_path, holder):
    out = tmp_path / "results.csv"
    holder.kill()
    holder.wait()
    write(out, [2])
    assert files_in(out) == ["001", "002"] and not lock_path(out).exists()


def test_a_refused_table_is_not_left_locked(tmp_path):
    out = tmp_path / "results.csv"
    write(out, [1])
    for _ in range(2):
        with pytest.raises(TableError, match="other settings"):
            write(out, [2], {**SETTINGS, "units": "mV"})
    assert set(tmp_path.iterdir()) == {out}


def test_a_link_to_a_table_stays_one(tmp_path):
    out, link = tmp_path / "results.csv", tmp_path / "link.csv"
    out.touch()
    link.symlink_to(out)
    out.unlink()
    write(link, [1])
    assert link.is_symlink() and files_in(out) == ["001"]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("earlier", [write, kill])
def test_other_settings_are_refused_by_name_and_lose_nothing(tmp_path, name, earlier):
    out = tmp_path / "results.csv"
    earlier(out, range(2))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TableError, match=rf"other settings \({name} .* instead of 1\).*--restart"):
        write(out, [], {**SETTINGS, name: "1"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    write(out, [5], {**SETTINGS, name: "1"}, restart=True)
    assert files_in(out) == ["005"]


def test_a_killed_restart_goes_on_without_the_old_table(tmp_path):
    out = tmp_path / "results.csv"
    write(out, range(3))
    other = {**SETTINGS, "units": "mV"}
    kill(out, [1], other, restart=True)
    kill(out, [2], other)
    write(out, [5], other)
    assert files_in(out) == ["001", "002", "005"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("I,II\n1,2\n", "not a results file"), ("", "cannot be read"), ("file,error,model\na,,b\n", "does not say")],
)
def test_a_file_of_someone_else_is_never_replaced(tmp_path, content, message):
    out = tmp_path / "results.csv"
    out.write_text(content)
    with pytest.raises(TableError, match=message):
        write(out, [])
    assert out.read_text() == content and not journal_path(out).exists()
    if "model" not in content:
        with pytest.raises(TableError, match=message):
            write(out, [], restart=True)


def test_a_damaged_journal_is_refused_until_restart(tmp_path):
    out = tmp_path / "results.csv"
    kill(out, range(2))
    lines = journal_path(out).read_text().splitlines()
    for damaged in (["[]", *lines[1:]], ["{}", *lines[1:]], [lines[0], "\0\0", lines[2]], [lines[0], "{}"]):
        journal_path(out).write_text("\n".join(damaged) + "\n")
        with pytest.raises(TableError, match=r"journal is damaged .*--restart"):
            write(out, [])
    write(out, [1], restart=True)
    assert files_in(out) == ["001"]


def test_each_row_is_written_once_to_the_journal_and_the_table_once(tmp_path, monkeypatch):
    tables, out = [], tmp_path / "results.csv"
    monkeypatch.setitem(results_table.WRITERS, ".csv", lambda table, path: tables.append(len(table)) or path.touch())
    kill(out, range(50))
    rows = journal_path(out).read_text().splitlines()[1:]
    assert [json.loads(line)["file"] for line in rows] == [f"{number:03}" for number in range(50)]
    write(out, [])
    assert tables == [50]


def test_a_json_table_that_was_cut_short_is_called_so_and_kept(tmp_path):
    out = tmp_path / "results.json"
    write(out, range(3))
    cut = out.read_bytes()[:-100]
    out.write_bytes(cut)
    with pytest.raises(TableError, match="cut short"):
        write(out, [3], restart=True)
    assert out.read_bytes() == cut


def test_rows_of_a_table_without_paths_belong_to_the_files_they_name(tmp_path, monkeypatch):
    out = tmp_path / "results.csv"
    write(out, range(2))
    pd.read_csv(out, dtype=str).drop(columns=["path", "version"]).to_csv(out, index=False)
    monkeypatch.chdir(tmp_path)
    with open_table(out, COLUMNS, SETTINGS) as table:
        assert list(table.rows) == [str(tmp_path / "000"), str(tmp_path / "001")]
        assert not table.is_done(str(tmp_path / "000"), "1")


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TableError, match="cannot be written"):
        write(tmp_path / "file" / "results.csv", [1])
