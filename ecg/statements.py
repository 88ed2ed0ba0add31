"""The 71 SCP-ECG statements of PTB-XL: what they are called and what they belong to.

A statement is diagnostic, of form, of rhythm, or two of them. Every diagnostic statement belongs to one of 23
subclasses and one of the five superclasses (Wagner et al. 2020).
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from config import described

GROUPS = ("diagnostic", "form", "rhythm")
# The statements that name the rhythm of a whole recording; the other three rhythm statements come beside one of them.
RHYTHMS = ("SR", "AFIB", "AFLT", "STACH", "SBRAD", "SARRH", "PACE", "SVTAC", "PSVT")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One of the SCP-ECG statements of PTB-XL."""

    code: str = described("in PTB-XL, such as AFIB or IMI")
    name: str = described("in plain words")
    groups: tuple[str, ...] = described("diagnostic, form or rhythm, or two of them")
    subclass: str = described("one of the 23 diagnostic subclasses; empty unless it is diagnostic")
    superclass: str = described("NORM, MI, STTC, CD or HYP; empty unless it is diagnostic")
    snomed_ct: str = described(
        "SNOMED CT code of the PhysioNet/CinC Challenges, often a broader one; empty if they have none"
    )


def _read_statements() -> tuple[Statement, ...]:
    folder = Path(__file__).parent
    with open(folder / "statement_names.csv", encoding="utf-8", newline="") as file:
        named = {row["code"]: row for row in csv.DictReader(file)}
    with open(folder / "scp_statements.csv", encoding="utf-8", newline="") as file:
        return tuple(
            Statement(
                code=row[""],
                name=named[row[""]]["name"],
                groups=tuple(group for group in GROUPS if row[group]),
                subclass=row["diagnostic_subclass"],
                superclass=row["diagnostic_class"],
                snomed_ct=named[row[""]]["snomed_ct"],
            )
            for row in csv.DictReader(file)
        )


STATEMENTS = _read_statements()  # in the order of PTB-XL's scp_statements.csv
CODES = tuple(statement.code for statement in STATEMENTS)
BY_CODE = {statement.code: statement for statement in STATEMENTS}
SUBCLASSES = tuple(sorted({statement.subclass for statement in STATEMENTS} - {""}))
SUBCLASS_OWNERS = tuple(  # the superclass of each
    next(statement.superclass for statement in STATEMENTS if statement.subclass == name) for name in SUBCLASSES
)


def columns_of_group(group: str) -> list[int]:
    """Which of the 71 statements are "diagnostic" (44), "form" (19) or "rhythm" (12)."""
    return [number for number, statement in enumerate(STATEMENTS) if group in statement.groups]


@cache
def subclass_columns() -> list[list[int]]:
    """For each of ``SUBCLASSES``, the numbers of its statements."""
    return [[n for n, one in enumerate(STATEMENTS) if one.subclass == name] for name in SUBCLASSES]


def any_present(present: np.ndarray, columns: list[list[int]]) -> np.ndarray:
    """Which (sub- or super-)classes have any of their statements, bool ``(n, len(columns))``; present ``(n, 71)``."""
    return np.stack([present[:, members].any(axis=1) for members in columns], axis=1)


def any_probability(probabilities: np.ndarray, columns: list[list[int]]) -> np.ndarray:
    """1 - ∏(1 - p) over the statements of each class, ``(n, len(columns))``; probabilities ``(n, 71)``.

    The probability that any of them is there if they were independent; as a score it ranks recordings well.
    """
    return np.stack([1 - np.prod(1 - probabilities[:, members], axis=1) for members in columns], axis=1)
