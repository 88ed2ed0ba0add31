"""The table of predict.py: nothing lost, nothing doubled, nothing mixed, whatever stops a run."""

import json

import pandas as pd
import pytest

import inference.results_table as results_table
from inference.results_table import ResultsTable, journal_path, read_rows

SETTINGS = {"backend": "onnx", "networks": "aa", "thresholds": "bb", "sampling_rate": "from file", "units": "from file"}


def row(number: int, error: str | None = None) -> dict:
    result = {"file": f"{number:03}", "error": error, "model": "0123456789"}
    return result if error else {**result, "p_MI": number / 1000, "mi_vs_norm": number % 2 == 0, "warnings": "NA"}


def write(path, numbers, settings=SETTINGS, **choices):
    with ResultsTable(path, settings, **choices) as table:
        for number in numbers:
            table.add(row(number))


def kill(path, numbers, settings=SETTINGS, **choices):
    """Write rows as a run that is killed: nothing happens after the last one."""
    table = ResultsTable(path, settings, **choices)
    for number in numbers:
        table.add(row(number))
    table._journal.close()


def files_in(path) -> list[str]:
    return [found["file"] for found in read_rows(path)]


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
    table = ResultsTable(out, SETTINGS)
    assert list(table.rows) == ["000", "001"]
    with table:
        table.add(row(2))
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
    with pytest.raises(KeyboardInterrupt), ResultsTable(out, SETTINGS) as table:
        table.add(row(1))
        raise KeyboardInterrupt
    assert files_in(out) == ["001"] and not journal_path(out).exists()


def test_a_table_that_cannot_be_written_leaves_the_journal(tmp_path, monkeypatch):
    out = tmp_path / "results.csv"

    def no_space(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as changed:
        changed.setitem(results_table.WRITERS, ".csv", no_space)
        with pytest.raises(OSError, match="no space"):
            write(out, range(2))
    write(out, [2])
    assert files_in(out) == ["000", "001", "002"]


def test_files_with_an_error_are_tried_again(tmp_path):
    out = tmp_path / "results.csv"
    with ResultsTable(out, SETTINGS) as table:
        table.add(row(1, error="no ECG"))
        table.add(row(2))
    assert pd.read_csv(out)["error"].tolist()[0] == "no ECG"
    with ResultsTable(out, SETTINGS) as table:
        assert list(table.rows) == ["002"]
        table.add(row(1))
    assert files_in(out) == ["002", "001"] and not any(found["error"] for found in read_rows(out))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("earlier", [write, kill])
def test_other_settings_are_refused_by_name_and_lose_nothing(tmp_path, name, earlier):
    out = tmp_path / "results.csv"
    earlier(out, range(2))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=rf"other settings \({name} .* instead of 1\).*--restart"):
        ResultsTable(out, {**SETTINGS, name: "1"})
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
    with pytest.raises(ValueError, match=message):
        ResultsTable(out, SETTINGS)
    assert out.read_text() == content and not journal_path(out).exists()
    if "model" not in content:
        with pytest.raises(ValueError, match=message):
            ResultsTable(out, SETTINGS, restart=True)


def test_a_damaged_journal_is_refused_until_restart(tmp_path):
    out = tmp_path / "results.csv"
    kill(out, range(2))
    lines = journal_path(out).read_text().splitlines()
    for damaged in (["[]", *lines[1:]], ["{}", *lines[1:]], [lines[0], "\0\0", lines[2]], [lines[0], "{}"]):
        journal_path(out).write_text("\n".join(damaged) + "\n")
        with pytest.raises(ValueError, match=r"journal is damaged .*--restart"):
            ResultsTable(out, SETTINGS)
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
