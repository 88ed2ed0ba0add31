"""The results table of predict.py: a journal while it grows, one .csv, .parquet or .json file when it is done.

    with ResultsTable("results.csv", settings) as table:    # continues what a stopped run has left
        table.add({"file": "a.hea", "error": None, ...})

The journal lies beside the table (``results.csv.journal``) and holds one JSON object a line: first the settings of the
run, then the rows, each written as soon as it is known. A killed run loses no more than the line it was writing, and
every row is written twice, however many there are. The table replaces an older one as a whole; then the journal is
deleted.
"""

import json
from pathlib import Path

import pandas as pd

from files import replacing

WRITERS = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
    ".json": lambda table, path: table.to_json(path, orient="records", indent=1),
}
READERS = {
    ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False),
    ".parquet": pd.read_parquet,
    ".json": lambda path: pd.DataFrame(json.loads(path.read_text(encoding="utf-8")), dtype=object),
}


class ResultsTable:
    """Rows by file, kept in a journal and written as a table at the end; use it as a context manager.

    rows: file to row, those of an earlier run first. Rows with an error are dropped on continuing: such files are
    tried again.
    """

    def __init__(self, path: Path | str, settings: dict[str, str], restart: bool = False):
        """Open the table for one run.

        settings: whatever decides a row's content; every row gets them as text. restart: forget earlier rows.
        Raises ValueError if the earlier rows were made with other settings or the file is no results table.
        """
        self.path, self.settings = Path(path), settings
        self.journal_path = journal_path(self.path)
        if self.path.suffix.lower() not in WRITERS:
            raise ValueError(f"--out {path} must end in {', '.join(WRITERS)}")
        in_table = read_rows(self.path)
        header, in_journal, complete_bytes = ({}, [], 0) if restart else read_journal(self.journal_path)
        replaces = bool(header.get("replaces_table", restart))
        if header:
            require_same_settings(self.journal_path, header["settings"], settings)
        if replaces:
            in_table = []
        for made_with in {str(row["settings"] or "") for row in in_table}:
            require_same_settings(self.path, parse_settings(made_with), settings)
        rows = {row["file"]: row for row in [*in_table, *in_journal]}
        self.rows = {file: row for file, row in rows.items() if not row["error"]}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._journal = open(self.journal_path, "a", encoding="utf-8")  # noqa: SIM115, closed when the block ends
        self._journal.truncate(complete_bytes)
        if not header:
            self._append({"settings": settings, "replaces_table": replaces})

    def add(self, row: dict) -> None:
        """Keep one row, which names its ``file`` and its ``error`` or None."""
        row = {**row, "settings": settings_text(self.settings)}
        self._append(row)
        self.rows[row["file"]] = row

    def __enter__(self) -> "ResultsTable":
        return self

    def __exit__(self, *_) -> None:
        """Write the table, of what there is if the run was interrupted."""
        self._journal.close()
        if self.rows:
            with replacing(self.path) as unfinished:
                WRITERS[self.path.suffix.lower()](pd.DataFrame(list(self.rows.values())), unfinished)
        self.journal_path.unlink()

    def _append(self, line: dict) -> None:
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()


def journal_path(table: Path) -> Path:
    """Where the rows of an unfinished run lie."""
    return table.with_name(table.name + ".journal")


def read_rows(table: Path) -> list[dict]:
    """Rows of a finished table, missing values as None; empty without a file. Raises ValueError for any other file."""
    if not table.exists():
        return []
    try:
        content = READERS[table.suffix.lower()](table)
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{table} cannot be read as a results table ({error}): choose another --out") from error
    if not {"file", "error", "model"} <= set(content):
        raise ValueError(f"{table} is not a results file of predict.py: choose another --out")
    if "settings" not in content:
        content["settings"] = ""
    return content.astype(object).where(content.notna(), None).to_dict("records")


def read_journal(path: Path) -> tuple[dict, list[dict], int]:
    """First line, rows and number of bytes of a journal, without a last line that was cut off. Raises ValueError."""
    if not path.exists():
        return {}, [], 0
    content = path.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    try:
        lines = [json.loads(line) for line in complete.splitlines()]
        header, rows = (lines[0], lines[1:]) if lines else ({}, [])
        if lines and not (isinstance(header["settings"], dict) and all({"file", "error"} <= set(row) for row in rows)):
            raise ValueError("entries are missing")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}): choose another --out, or --restart to diagnose all again"
        ) from error
    return header, rows, len(complete)


def require_same_settings(path: Path, made_with: dict[str, str], settings: dict[str, str]) -> None:
    """Raise ValueError that names what differs between the settings of earlier rows and of this run."""
    ways_out = "choose another --out, or --restart to diagnose all again"
    if not made_with:
        raise ValueError(f"{path} does not say with which settings it was made: {ways_out}")
    different = [
        f"{name} {made_with.get(name, 'unknown')} instead of {settings.get(name, 'unknown')}"
        for name in {**made_with, **settings}
        if made_with.get(name) != settings.get(name)
    ]
    if different:
        raise ValueError(f"{path} was made with other settings ({', '.join(different)}): {ways_out}")


def settings_text(settings: dict[str, str]) -> str:
    """Settings as they stand in the table."""
    return "; ".join(f"{name}={value}" for name, value in settings.items())


def parse_settings(text: str) -> dict[str, str]:
    """The reverse of `settings_text`; empty for the text of no settings."""
    return dict(part.split("=", 1) for part in text.split("; ") if "=" in part)
