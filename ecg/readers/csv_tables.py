"""CSV and TSV: columns of numbers, whose sampling rate and units the file or the caller must give.

A header row of lead names and samples down the rows, separated by comma, semicolon (then decimal commas are fine) or
tab. The rate comes from a comment above the header (``# sampling_rate: 500``), a time column whose name has a unit
(``time_s``, ``Time [ms]``) or the caller; units from the names of columns (``I (mV)``), a comment (``# units: mV``) or
the caller.
"""

import csv
import re

import numpy as np

from ecg.leads import lead_name
from ecg.readers.channels import MAX_SIGNALS, MAX_VALUES, Channels, declared_or_given, lead_channels
from ecg.readers.library_errors import library_errors_refused
from ecg.readers.number_tables import read_columns
from ecg.recording import RecordingError, printable

MAX_HEADER_CHARACTERS = 10_000
MAX_NAME_CHARACTERS = 100
MAX_COMMENT_LINES = 100
MAX_COLUMNS = 4 * MAX_SIGNALS

UNIT_IN_BRACKETS = re.compile(r"([^(\[]+)[(\[]([^)\]]*)[)\]]")
UNIT_AFTER = re.compile(r"(.+?)[\s_/]+([numµμ]?[vs])", re.IGNORECASE)
RATE_COMMENT = re.compile(
    r"(?:sampl\w*[ _-]?(?:rate|freq\w*)|fs|freq\w*)(?:[ _(\[]*hz[)\]]?)?\s*[:=,;]\s*(\d+(?:\.\d+)?)\s*(k?hz)?\W*",
    re.IGNORECASE,
)
UNITS_COMMENT = re.compile(r"units?\s*[:=,;]\s*(\w+)\W*", re.IGNORECASE)
SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6}
_ROW_OF_NUMBERS = re.compile(r"\s*\"?[+-]?[\d.,][\d.,;\t \"eE+-]*")
_WHAT_A_TABLE_NEEDS = "a table needs a header row of lead names and samples down the rows"


def is_text(content: bytes) -> bool:
    """Whether the bytes could be a table in text: no binary zeros, unless in UTF-16."""
    return content[:2] in (b"\xff\xfe", b"\xfe\xff") or (bool(content.strip()) and b"\0" not in content)


def read_text(content: bytes, sampling_rate: float | None, units: str | None) -> Channels:
    """The lead columns of a CSV or TSV file. Raises RecordingError if rate or units are neither there nor given."""
    comments, header, body = _parts(decoded(content))
    delimiter = max(",;\t", key=header.count)
    with library_errors_refused("csv"):
        names = [name.strip()[:MAX_NAME_CHARACTERS] for name in next(csv.reader([header], delimiter=delimiter))]
    if not 1 <= len(names) <= MAX_COLUMNS:
        raise RecordingError(f"{len(names)} columns; at most {MAX_COLUMNS} are read")
    columns = [_name_and_unit(name) for name in names]
    if not any(lead_name(name) for name, _ in columns) and not _is_row_of_numbers(body):
        # the names are not quoted: text that is no table may hold a patient's
        raise RecordingError(f"no lead is named at the top of the file, no numbers are below; {_WHAT_A_TABLE_NEEDS}")
    times = [index for index, (name, _) in enumerate(columns) if name.lower() in ("time", "t", *SECONDS)]
    chosen, notes = lead_channels(
        ["" if index in times else name for index, (name, _) in enumerate(columns)],
        hint=f"; {_WHAT_A_TABLE_NEEDS}",
    )
    table = _numbers(body, delimiter, sorted([*chosen.values(), *times[:1]]))
    declared = _rate_in(comments) or (_rate_of(table[times[0]], *columns[times[0]]) if times else None)
    rate = declared_or_given("sampling rate", declared, sampling_rate, "as sampling_rate=, in Hz")
    common = _units_in(comments)
    lead_units = [
        declared_or_given(f"unit of {lead}", columns[index][1] or common, units, "as units=, such as mV")
        for lead, index in chosen.items()
    ]
    return Channels(
        names=list(chosen),
        values=[table[index] for index in chosen.values()],
        units=lead_units,
        sampling_rate=rate,
        notes=notes,
    )


def decoded(content: bytes) -> str:
    """Text in UTF-16 with its mark, UTF-8 or else Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # spreadsheets of the West write the sign of micro so


def _parts(text: str) -> tuple[list[str], str, str]:
    """Comment lines, header row, and the rows below."""
    comments = []
    for _ in range(MAX_COMMENT_LINES):
        line, _, text = text.partition("\n")
        line = line.strip("\r\f\v ")
        if len(line) > MAX_HEADER_CHARACTERS:
            break
        if line.startswith("#"):
            comments.append(line[:MAX_NAME_CHARACTERS].strip("# \t\"'"))
        elif line.strip():
            return comments, line, text
    raise RecordingError("no header row of lead names is found at the top of the file")


def _is_row_of_numbers(body: str) -> bool:
    first = next((line for line in body[:MAX_HEADER_CHARACTERS].splitlines() if line.strip()), "")
    return _ROW_OF_NUMBERS.fullmatch(first) is not None


def _name_and_unit(column: str) -> tuple[str, str | None]:
    """
    >>> _name_and_unit("aVR (mV)"), _name_and_unit("time_ms"), _name_and_unit("V1")
    (('aVR', 'mV'), ('time', 'ms'), ('V1', None))
    """
    match = UNIT_IN_BRACKETS.fullmatch(column) or UNIT_AFTER.fullmatch(column)
    return (match[1].strip(), match[2].strip()) if match else (column, None)


def _numbers(body: str, delimiter: str, columns: list[int]) -> dict[int, np.ndarray]:
    rows = max(body.count("\n"), body.count("\r"))
    if rows * len(columns) > MAX_VALUES:
        raise RecordingError(f"{rows} rows are too many; at most {MAX_VALUES} numbers are read")
    if delimiter == ";" and "." not in body[:MAX_HEADER_CHARACTERS]:
        body = body.replace(",", ".")
    with library_errors_refused("csv", "the table has something else than numbers in the lead columns"):
        table = read_columns(body, delimiter, columns)
    return dict(zip(columns, table.T, strict=True))


def _rate_in(comments: list[str]) -> float | None:
    for comment in comments:
        if match := RATE_COMMENT.fullmatch(comment):
            return float(match[1]) * (1000 if (match[2] or "").lower() == "khz" else 1)
    return None


def _units_in(comments: list[str]) -> str | None:
    return next((match[1] for comment in comments if (match := UNITS_COMMENT.fullmatch(comment))), None)


def _rate_of(times: np.ndarray, name: str, unit: str | None) -> float | None:
    """The rate in Hz of an even time column; None if its name has no unit of time."""
    second = SECONDS.get((unit or name).lower())
    if second is None:
        return None
    if len(times) < 2 or not np.isfinite(times).all() or times[-1] <= times[0]:
        raise RecordingError(f"the time column {printable(name)} does not rise throughout")
    even = np.linspace(times[0], times[-1], len(times))
    step = even[1] - even[0]
    if np.abs(times - even).max() > step:
        raise RecordingError(f"the time column {printable(name)} is uneven: samples are missing, or the rate changes")
    return float(np.round(1 / (step * second), 3))
