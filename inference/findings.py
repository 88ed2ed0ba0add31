"""From thresholded statements to findings: which are asserted, which rhythm is named. numpy only.

The rule of docs/verdict.md, for n recordings at a time; `Diagnoser` and evaluation call the same functions. ``above``
says which statements ``(n, 71)`` or subclasses ``(n, 23)`` are at or above their threshold, ``validated`` which of them
may be asserted at all, see `inference.decisions.FindingDecisions`.
"""

from dataclasses import dataclass

import numpy as np

from config import SUPERCLASSES
from ecg.statements import CODES, RHYTHMS, STATEMENTS, SUBCLASS_OWNERS, any_present, subclass_columns

RHYTHM_COLUMNS = [CODES.index(code) for code in RHYTHMS]
OWNERS = np.array([statement.superclass for statement in STATEMENTS])  # "" of what is not diagnostic


@dataclass(frozen=True, eq=False, kw_only=True)
class NamedRhythms:
    """The rhythm of n recordings.

    code: ``(n,)`` the most probable of `ecg.statements.RHYTHMS` at or above its threshold, "" if none is.
    certain: bool ``(n,)``, whether that statement is validated, so that the rhythm is asserted.
    """

    code: np.ndarray
    certain: np.ndarray


def name_rhythm(calibrated: np.ndarray, above: np.ndarray, validated: np.ndarray) -> NamedRhythms:
    """The most probable of the nine rhythms above its threshold; calibrated: of all statements ``(n, 71)``."""
    candidates = np.where(above[:, RHYTHM_COLUMNS], calibrated[:, RHYTHM_COLUMNS], -1.0)
    best, found = candidates.argmax(axis=1), candidates.max(axis=1) >= 0
    return NamedRhythms(
        code=np.where(found, np.array(RHYTHMS)[best], ""), certain=found & validated[RHYTHM_COLUMNS][best]
    )


def assert_statements(calibrated: np.ndarray, above: np.ndarray, validated: np.ndarray) -> np.ndarray:
    """Which statements are asserted, bool ``(n, 71)``, before they are held against the superclasses.

    Those that are validated and reach their threshold; of the nine rhythms only the one that is named.
    """
    asserted = above & validated
    rhythm = name_rhythm(calibrated, above, validated)
    asserted[:, RHYTHM_COLUMNS] = (rhythm.code[:, None] == np.array(RHYTHMS)) & rhythm.certain[:, None]
    return asserted


def implied_superclasses(statements: np.ndarray) -> np.ndarray:
    """The superclasses of asserted statements other than NORM, bool ``(n, 5)``."""
    columns = [np.flatnonzero(OWNERS == name) if name != "NORM" else np.zeros(0, int) for name in SUPERCLASSES]
    return any_present(statements, columns)


def keep_consistent(statements: np.ndarray, classes: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    """Asserted statements without those that the verdict contradicts, bool ``(n, 71)``.

    classes: the verdict's superclasses, bool ``(n, 5)``; a diagnostic statement needs its own. unusable: bool ``(n,)``,
    recordings of which nothing is asserted.
    """
    kept = statements & ~unusable[:, None]
    for number, name in enumerate(SUPERCLASSES):
        kept[:, OWNERS == name] &= classes[:, [number]]
    return kept


def assert_subclasses(
    above: np.ndarray, validated: np.ndarray, classes: np.ndarray, statements: np.ndarray
) -> np.ndarray:
    """Which subclasses are asserted, bool ``(n, 23)``.

    Those of asserted statements, and those that are validated and reach their threshold beside their superclass.
    classes, statements: what the verdict asserts.
    """
    owner = [SUPERCLASSES.index(name) for name in SUBCLASS_OWNERS]
    return any_present(statements, subclass_columns()) | (above & validated & classes[:, owner])
