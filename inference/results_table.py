"""The results table of predict.py: a journal while it grows, one .csv, .parquet or .json file when it is done.

    with open_table("results.csv", columns, settings) as table:    # continues what a stopped run has left
        if not table.is_done(path, version):
            table.add({"file": "a.hea", "error": None, ...}, path, version)

The journal lies beside the table (``results.csv.journal``) and holds one JSON object a line: first the settings of the
run, then the rows, each written as soon as it is known. A killed run loses no more than the line it was writing, and
every row is written twice, however many there are. The table replaces an older one as a whole; then the journal is
deleted. A lock (``results.csv.lock``) keeps a second process away for as long.
"""

import json
import os
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from files import replacing

WRITERS = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
    ".json": lambda table, path: table.to_json(path, orient="records", indent=1),
}
OWN_COLUMNS = {"path": "string", "version": "string", "settings": "string"}  # behind those of the caller


class TableError(ValueError):
    """A results table that cannot be used; the message says why and what to do."""


@contextmanager
def open_table(
    path: Path | str, columns: dict[str, str], settings: dict[str, str], restart: bool = False
) -> Iterator["ResultsTable"]:
    """The table for one run, locked; written when the block ends, with what there is if it ends early.

    Arguments and errors are those of `ResultsTable`; TableError also while another process has the table.
    """
    path = Path(os.path.realpath(path))  # one lock and one journal, by whatever path
    with locked(path):
        table = ResultsTable(path, columns, settings, restart)
        try:
            yield table
        finally:
            table.finish()


@contextmanager
def open_long_table(path: Path | str, columns: Iterable[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    """What replaces a table that is made anew at the end of each run, locked until the block ends.

    columns: of every such table. Raises TableError if the file is another table, another process writes it, or it
    cannot be written.
    """
    path = Path(os.path.realpath(path))
    with locked(path):
        require_columns(path, list(columns))
        yield partial(_replace_table, path)


def require_columns(path: Path, columns: list[str]) -> None:
    """Raise TableError if a file is there that is no table of these columns."""
    if not path.exists():
        return
    try:
        found = list(_read(path, dict.fromkeys(columns, "string")))
    except (ValueError, TypeError, OSError) as error:
        raise TableError(f"{path} cannot be read as a long table ({error}): choose another --long") from error
    if found != columns:
        raise TableError(f"{path} is not a long table of predict.py: choose another --long")


def _replace_table(path: Path, table: pd.DataFrame) -> None:
    with writable(path), replacing(path) as unfinished:
        WRITERS[path.suffix.lower()](table, unfinished)


class ResultsTable:
    """Rows by resolved path, kept in a journal and written as a table at the end.

    rows: resolved path to row, those of an earlier run first; a row that is made again keeps its place.
    """

    def __init__(self, path: Path | str, columns: dict[str, str], settings: dict[str, str], restart: bool = False):
        """Continue a table, or begin one. `open_table` does so under a lock.

        columns: name to pandas type, of every row; ``file`` and ``error`` are among them. settings: whatever decides a
        row's content; every row gets them as text. restart: forget earlier rows.
        Raises TableError if the earlier rows were made with other settings, the file is no results table, or it cannot
        be written.
        """
        self.path, self.settings, self.columns = Path(path), settings, columns | OWN_COLUMNS
        self.journal_path = journal_path(self.path)
        in_table = read_rows(self.path, columns)
        header, in_journal, complete_bytes = ({}, [], 0) if restart else read_journal(self.journal_path)
        replaces = bool(header.get("replaces_table", restart))
        if header:
            require_same_settings(self.journal_path, header["settings"], settings)
        if replaces:
            in_table = []
        for made_with in {str(row["settings"] or "") for row in in_table}:
            require_same_settings(self.path, parse_settings(made_with), settings)
        self.rows = {row["path"]: row for row in [*in_table, *in_journal]}
        with writable(self.path):
            self._journal = open(self.journal_path, "a", encoding="utf-8")  # noqa: SIM115, closed by finish
            self._journal.truncate(complete_bytes)
            if not header:
                self._append({"settings": settings, "replaces_table": replaces})

    def is_done(self, path: str, version: str) -> bool:
        """Whether this version of a file has its row; one with an error is tried again."""
        row = self.rows.get(path)
        return row is not None and not row["error"] and row["version"] == version

    def add(self, row: dict, path: str, version: str) -> None:
        """Keep one row. path: resolved. version: another text once the file was replaced."""
        row = {**row, "path": path, "version": version, "settings": settings_text(self.settings)}
        with writable(self.path):
            self._append(row)
        self.rows[path] = row

    def forget(self, paths: Iterable[str]) -> None:
        """Leave rows out, such as those of files that failed and are gone."""
        for path in paths:
            del self.rows[path]

    def finish(self) -> None:
        """Write the table and delete the journal, which stays if that fails. Raises TableError."""
        with writable(self.path):
            self._journal.close()
            with replacing(self.path) as unfinished:
                WRITERS[self.path.suffix.lower()](self._frame(), unfinished)
            self.journal_path.unlink()

    def _frame(self) -> pd.DataFrame:
        """The rows with all columns, typed, and behind them columns that someone added to the earlier table."""
        added = dict.fromkeys(name for row in self.rows.values() for name in row if name not in self.columns)
        return typed_table(list(self.rows.values()), self.columns, added)

    def _append(self, line: dict) -> None:
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()


def typed_table(rows: list[dict], columns: dict[str, str], added: Iterable[str] = ()) -> pd.DataFrame:
    """Rows as a table. columns: name to pandas type. added: names of columns of any type behind them."""
    return pd.DataFrame(rows, columns=[*columns, *added], dtype=object).astype(columns)


def journal_path(table: Path) -> Path:
    """Where the rows of an unfinished run lie."""
    return table.with_name(table.name + ".journal")


def lock_path(table: Path) -> Path:
    """What the process that writes a table holds; it says which process that is."""
    return table.with_name(table.name + ".lock")


@contextmanager
def locked(table: Path) -> Iterator[None]:
    """The table for this process alone. Raises TableError."""
    lock = FileLock(lock_path(table), timeout=0)
    with writable(table):
        table.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise TableError(
                f"{table} is being written by {_holder(table)}: wait until it ends, or choose another --out"
            ) from None
    # in a file system without locks filelock makes do with a marker file, whose text is its own
    own_text = type(lock) is FileLock
    try:
        if own_text:
            holder = f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%Y-%m-%d %H:%M:%S}"
            lock_path(table).write_text(holder, encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # while it is held, so that nobody else can hold this file; Windows does not allow it
            if own_text:
                lock_path(table).unlink()
        lock.release()


def _holder(table: Path) -> str:
    """Who writes a table, as far as can be read."""
    try:
        return lock_path(table).read_text(encoding="utf-8") or "another process"
    except (OSError, ValueError):
        return "another process"


@contextmanager
def writable(table: Path) -> Iterator[None]:
    """Turn failures to write into TableError."""
    try:
        yield
    except OSError as error:
        raise TableError(
            f"{table} cannot be written: {error}. Check permissions and free space, or choose another --out; "
            "the same command goes on where this one stopped"
        ) from error


def read_rows(table: Path, columns: dict[str, str]) -> list[dict]:
    """Rows of a finished table, missing values as None; empty without a file. Raises TableError for any other file.

    columns: name to pandas type, for a .csv file that does not say.
    """
    if not table.exists():
        return []
    try:
        content = _read(table, columns)
    except (ValueError, TypeError, OSError) as error:
        raise TableError(f"{table} cannot be read as a results table ({error}): choose another --out") from error
    if not {"file", "error", "model"} <= set(content):
        raise TableError(f"{table} is not a results file of predict.py: choose another --out")
    rows = content.astype(object).where(content.notna(), None).to_dict("records")
    for row in rows:
        row.setdefault("settings", None)
        row.setdefault("version", None)
        row["path"] = row.get("path") or os.path.realpath(row["file"])
    return rows


def _read(table: Path, columns: dict[str, str]) -> pd.DataFrame:
    """The content of a file as a table, with the columns of none if it is an empty JSON list."""
    suffix = table.suffix.lower()
    if suffix == ".parquet":
        return pd.read_parquet(table)
    if suffix == ".csv":
        types = {name: kind for name, kind in columns.items() if kind != "string"}
        missing = dict.fromkeys(types, [""])
        return pd.read_csv(table, dtype=defaultdict(lambda: str, types), keep_default_na=False, na_values=missing)
    text = table.read_text(encoding="utf-8")
    try:
        return pd.DataFrame(json.loads(text) or {name: [] for name in columns}, dtype=object)
    except json.JSONDecodeError as error:
        if not text.startswith("[") or text.rstrip().endswith("]"):
            raise
        raise ValueError("it is cut short: its JSON does not end") from error


def read_journal(path: Path) -> tuple[dict, list[dict], int]:
    """First line, rows and number of bytes of a journal, without a last line that was cut off. Raises TableError."""
    if not path.exists():
        return {}, [], 0
    content = path.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    try:
        lines = [json.loads(line) for line in complete.splitlines()]
        header, rows = (lines[0], lines[1:]) if lines else ({}, [])
        needed = {"file", "error", *OWN_COLUMNS}
        if lines and not (isinstance(header["settings"], dict) and all(needed <= set(row) for row in rows)):
            raise ValueError("entries are missing")
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(
            f"{path} is damaged ({error}): choose another --out, or --restart to diagnose all again"
        ) from error
    return header, rows, len(complete)


def require_same_settings(path: Path, made_with: dict[str, str], settings: dict[str, str]) -> None:
    """Raise TableError that names what differs between the settings of earlier rows and of this run."""
    ways_out = "choose another --out, or --restart to diagnose all again"
    if not made_with:
        raise TableError(f"{path} does not say with which settings it was made: {ways_out}")
    different = [
        f"{name} {made_with.get(name, 'unknown')} instead of {settings.get(name, 'unknown')}"
        for name in {**made_with, **settings}
        if made_with.get(name) != settings.get(name)
    ]
    if different:
        raise TableError(f"{path} was made with other settings ({', '.join(different)}): {ways_out}")


def settings_text(settings: dict[str, str]) -> str:
    """Settings as they stand in the table."""
    return "; ".join(f"{name}={value}" for name, value in settings.items())


def parse_settings(text: str) -> dict[str, str]:
    """The reverse of `settings_text`; empty for the text of no settings."""
    return dict(part.split("=", 1) for part in text.split("; ") if "=" in part)
