"""A 12-lead recording in the one form that the whole project knows."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from config import LEADS


class RecordingError(ValueError):
    """A recording that cannot be used; the message says what is wrong and what to do."""


class DeclarationError(RecordingError):
    """A sampling rate or unit that neither the file nor the caller gives, or both in different ways."""


@dataclass(frozen=True)
class Subject:
    """Whom a recording is of and when it was made, as far as its source says.

    age: years; 300 stands for over 89, as in PTB-XL. sex: "female", "male" or "". recorded: the day.
    """

    age: float | None = None
    sex: str = ""
    recorded: date | None = None


@dataclass(frozen=True, eq=False)
class Recording:
    """One 12-lead ECG.

    signal: float32 ``(12, samples)`` in mV, leads in the order of ``config.LEADS``.
    sampling_rate: Hz.
    present: ``(12,)`` bool, which leads were recorded or exactly derivable; the rest are zero.
    notes: what the reader had to do that the user should know (gaps filled, leads derived).
    subject: for whoever reads the ECG; no network is told.
    """

    signal: np.ndarray
    sampling_rate: float
    present: np.ndarray
    notes: tuple[str, ...] = ()
    subject: Subject = Subject()

    def __post_init__(self):
        if self.signal.ndim != 2 or self.signal.shape[0] != len(LEADS):
            raise RecordingError(f"a recording needs {len(LEADS)} leads x samples, not an array of {self.signal.shape}")
        if not self.sampling_rate > 0:
            raise RecordingError(f"the sampling rate must be positive, not {self.sampling_rate}")

    @property
    def duration(self) -> float:
        """Length in s."""
        return self.signal.shape[1] / self.sampling_rate


def printable(text: object, limit: int = 60) -> str:
    """Text from a file as it may stand in a message: printable and short."""
    text = "".join(character if character.isprintable() else "?" for character in str(text)[: limit + 1])
    return text if len(text) <= limit else text[: limit - 3] + "..."
