"""Columns of numbers in delimited text, as numpy arrays."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

# what spreadsheets and programs write where a number is missing
MISSING = frozenset(("", "nan", "NaN", "-nan", "-NaN", "null", "NULL", "None", "NA", "N/A", "n/a", "<NA>"))


def read_columns(text: str, delimiter: str, columns: Sequence[int]) -> np.ndarray:
    """Some columns of a table without a header, float64 ``(rows, len(columns))``; NaN where a number is missing.

    Rows may be shorter or longer than others; blank ones are left out, and what stands behind a #.
    Raises ValueError where something else than a number stands, and for a table without rows.
    """
    if not text.strip():
        raise ValueError("there are no rows")
    try:
        return np.loadtxt(io.StringIO(text), delimiter=delimiter, usecols=columns, comments="#", ndmin=2)
    except ValueError:  # something is missing or in quotes, which takes ten times as long
        rows = csv.reader((line.partition("#")[0] for line in io.StringIO(text)), delimiter=delimiter)
        return _numbers((row for row in rows if len(row) > 1 or row and row[0].strip()), columns, MISSING)


def read_lines(text: str) -> np.ndarray:
    """One number a line, float64 ``(lines,)``; NaN for a blank line. Raises ValueError where it is no number."""
    return _numbers(([line.strip().strip('"')] for line in text.split("\n")), (0,), frozenset([""]))[:, 0]


def _numbers(rows: Iterable[Sequence[str]], columns: Sequence[int], missing: frozenset[str]) -> np.ndarray:
    return np.fromiter(_cells(rows, columns, missing), np.float64).reshape(-1, len(columns))


def _cells(rows: Iterable[Sequence[str]], columns: Sequence[int], missing: frozenset[str]) -> Iterator[float]:
    for row in rows:
        for column in columns:
            cell = row[column].strip() if column < len(row) else ""
            if "_" in cell:  # which Python would read as part of a number
                raise ValueError(f"could not convert string to float: {cell!r}")
            yield np.nan if cell in missing else float(cell)
