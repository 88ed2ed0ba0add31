"""Apple Health's export of a watch's ECG: a CSV whose header is in the language of the phone.

    Name,...                                     Name,...
    Date of Birth,...                            Geburtstag,...
    Recorded Date,2020-03-01 10:15:00 +0100      Aufzeichnungsdatum,2020-03-01 10:15:00 +0100
    Sample Rate,512.844 hertz                    Messrate,511,562 Hertz

    Lead,Lead I                                  Ableitung,Ableitung I
    Unit,µV                                      Einheit,µV

    -48.673                                      57,992

It is known by its structure, as every word may be translated: above the first line without a letter, one value is a
number and a word, the rate; one is a unit of voltage; its neighbour names the lead. Of the other lines only the day of
the recording is kept. No message quotes the header, which holds the name and the date of birth.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

import numpy as np

from ecg.beats import MINIMUM_RATE
from ecg.leads import lead_name, millivolts
from ecg.readers.channels import MAX_SAMPLING_RATE, MAX_VALUES, Channels
from ecg.readers.csv_tables import decoded
from ecg.readers.number_tables import read_lines
from ecg.recording import RecordingError, Subject

HEAD_BYTES = 16_384
MAX_HEADER_LINES = 40
MIN_HEADER_LINES = 3
MAX_LINE_CHARACTERS = 300

_LETTER = re.compile(r"[^\W\d_]")
_QUANTITY = re.compile(r"(\d+(?:[.,]\d+)?)\s*([^\W\d_][^\d\s]{0,19})")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d) \d\d:\d\d:\d\d [+-]\d{4}")
# the word tells the rate from other quantities, such as a heart rate, in the languages where it is known
HERTZ = re.compile(r"hz|h?er[tc]|герц|хер|赫|ヘルツ|헤르츠|हर्ट्ज|هر?تز|הרץ|χερτζ", re.IGNORECASE)
_BEHIND_VALUES = re.compile(r"(?<![ \t;,])[ \t;,]+$", re.MULTILINE)  # tried once a run


@dataclass(frozen=True)
class Header:
    """What the lines above the samples say, None for what they do not; ``lines`` is how many there are."""

    sampling_rate: float | None
    unit: str | None
    lead: str | None
    recorded: date | None
    lines: int


def is_export(content: bytes) -> bool:
    """Whether the bytes start like such an export: two of rate, unit and moment of the recording in a header."""
    head = content[:HEAD_BYTES]
    if len(content) > HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1]  # not within a character
    header = _header(_lines(decoded(head)))
    if header is None:
        return False
    return sum(found is not None for found in (header.sampling_rate, header.unit, header.recorded)) >= 2


def read(content: bytes) -> Channels:
    """The one lead of an export. Raises RecordingError."""
    lines = _lines(decoded(content))
    header = _header(lines)
    if header is None:  # bytes further down may have changed how the header is decoded
        raise _refusal("no lines of keys and values")
    if header.sampling_rate is None:
        raise _refusal("no sampling rate, a number with the word for Hz behind it")
    if header.unit is None:
        raise _refusal("no unit of the samples, such as µV")
    if header.lead is None:
        raise _refusal("no lead beside the unit, such as Lead I")
    return Channels(
        names=[header.lead],
        values=[_samples("\n".join(lines[header.lines :]).strip())],
        units=[header.unit],
        sampling_rate=header.sampling_rate,
        subject=Subject(recorded=header.recorded),
    )


def _refusal(missing: str) -> RecordingError:
    return RecordingError(
        f"the file is built like an ECG exported from Apple Health, but its header has {missing}; export it again"
    )


def _lines(text: str) -> list[str]:
    """The first lines, and all the rest as the last entry."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n", MAX_HEADER_LINES)


def _header(lines: list[str]) -> Header | None:
    """What stands above the first line of digits without a letter; None if that is no header of keys and values."""
    short = [line[:MAX_LINE_CHARACTERS].strip(" \t;,") for line in lines]
    above = next((i for i, line in enumerate(short) if line and not _LETTER.search(line)), len(lines))
    values = [_value(line) for line in short[: min(above, MAX_HEADER_LINES)] if line]
    if len(values) < MIN_HEADER_LINES or short[0].startswith("#"):
        return None
    unit_at = max((i for i, value in enumerate(values) if _is_voltage(value)), default=None)
    return Header(
        sampling_rate=_rate(values),
        unit=None if unit_at is None else values[unit_at],
        lead=None if unit_at is None else _lead(values[max(unit_at - 1, 0) : unit_at + 2]),
        recorded=_day(values),
        lines=above,
    )


def _value(line: str) -> str:
    """What stands behind the key, in plain spaces, letters and signs of micro."""
    return re.split("[,;\t]", unicodedata.normalize("NFKC", line), maxsplit=1)[-1].strip(' \t;,"')


def _rate(values: list[str]) -> float | None:
    """The one quantity that can be a sampling rate in Hz, one in words for hertz first."""
    quantities = [(float(match[1].replace(",", ".")), match[2]) for match in map(_QUANTITY.fullmatch, values) if match]
    possible = [(rate, word) for rate, word in quantities if MINIMUM_RATE <= rate <= MAX_SAMPLING_RATE]
    rates = {rate for rate, word in possible if HERTZ.match(word)} or {rate for rate, _ in possible}
    return rates.pop() if len(rates) == 1 else None


def _is_voltage(value: str) -> bool:
    try:
        millivolts(value)
    except RecordingError:
        return False
    return True


def _lead(values: list[str]) -> str | None:
    """The one lead that is named in Latin letters, whatever the script of the words around it."""
    words = [word for value in values for word in re.findall("-?[0-9A-Za-z]+", value)]
    leads = {lead_name(word) for word in words} - {None}
    return leads.pop() if len(leads) == 1 else None


def _day(values: list[str]) -> date | None:
    """The day of the one moment: a date of birth has no time."""
    days = [match[1] for match in map(_MOMENT.fullmatch, values) if match]
    try:
        return date.fromisoformat(days[0]) if len(days) == 1 else None
    except ValueError:
        return None


def _samples(body: str) -> np.ndarray:
    """The samples, one a line, NaN for an empty line; in the file's unit."""
    if body.count("\n") >= MAX_VALUES:
        raise RecordingError(f"the watch's ECG has more than {MAX_VALUES} lines; at most so many are read")
    if not body:
        return np.empty(0)
    body = _BEHIND_VALUES.sub("", body)
    try:
        return read_lines(body.replace(",", "."))
    except (ValueError, OverflowError):  # the message would quote the file
        raise RecordingError(
            "below its header a watch's ECG must have one number a line, all with a decimal point or all with a comma; "
            "export it again"
        ) from None
