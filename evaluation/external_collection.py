"""A labelled collection in the format of the PhysioNet/CinC Challenges 2020 and 2021: its records and their labels.

A WFDB header a recording, in any depth of folders, whose comments name SNOMED CT codes (``#Dx: 426783006,164889003``,
with or without blanks) or CPSC 2018's names, and perhaps a patient.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ecg.readers.wfdb_records import MAX_HEADER_BYTES
from ecg.recording import printable
from ecg.snomed import CPSC_2018, is_mapped

_DX = re.compile(r"#\s*Dx\s*:(.*)", re.IGNORECASE)
_PATIENT = re.compile(r"#\s*(?:patient|subject)(?:[ _-]*(?:id|number|no\.?))?\s*:\s*(\S+)\s*", re.IGNORECASE)
_NAMES = {name.lower(): code for name, code in CPSC_2018.items()}
_NO_LABEL = {"", "unknown", "nan", "none"}


class CollectionError(ValueError):
    """A collection that cannot be evaluated; the message says why and what to do."""


@dataclass(frozen=True)
class LabelledRecord:
    """One record. header: its path. codes: SNOMED CT codes, or words that are neither a code nor a known name.

    patient: as the header names it; empty if it does not.
    """

    header: Path
    codes: tuple[str, ...]
    patient: str

    @property
    def can_tell(self) -> bool:
        """Whether any of its codes says something in this project's classes."""
        return any(map(is_mapped, self.codes))


def find_records(directory: Path) -> list[LabelledRecord]:
    """Every WFDB header below a directory, by path, hidden files and folders aside. Raises CollectionError."""
    if not directory.is_dir():
        raise CollectionError(f"{directory} is no directory: name the folder of a collection")
    headers = [path for path in sorted(directory.rglob("*.hea")) if path.is_file()]
    visible = [path for path in headers if "/." not in f"/{path.relative_to(directory).as_posix()}"]
    if not visible:
        raise CollectionError(f"no WFDB header (.hea) in {directory} or below: name the folder of a collection")
    records = [read_labels(path) for path in visible]
    if not any(record.can_tell for record in records):
        raise CollectionError(
            f"none of the {len(records):,} headers in {directory} has a known label: each needs a comment such as "
            "'#Dx: 426783006', with SNOMED CT codes of the PhysioNet/CinC Challenges or names of CPSC 2018"
        )
    return records


def read_labels(header: Path) -> LabelledRecord:
    """The labels in the comments of one header; none if it cannot be read, which reading its signal will explain."""
    try:
        with open(header, "rb") as file:
            text = file.read(MAX_HEADER_BYTES).decode("utf-8", "replace")
    except OSError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.lstrip().startswith("#")]
    values = [match[1] for match in map(_DX.fullmatch, lines) if match]
    patients = [match[1] for match in map(_PATIENT.fullmatch, lines) if match]
    words = [word.strip().strip("'\"[]") for value in values for word in re.split(r"[,;\s]+", value)]
    codes = [_NAMES.get(word.lower(), printable(word)) for word in words if word.lower() not in _NO_LABEL]
    return LabelledRecord(
        header=header, codes=tuple(dict.fromkeys(codes)), patient=printable(patients[0]) if patients else ""
    )
