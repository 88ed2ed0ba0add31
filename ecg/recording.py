"""A 12-lead recording in the one form the rest of the project knows, and the way to it from any file.

Three doors, one result: `read_recording` for files on disk, `read_uploaded` for bytes, `from_leads` for numbers
already in memory. The formats themselves are read in `ecg.readers`; leads, units, gaps and limits are settled here,
in `assemble`, so that every format ends in the same `Recording`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np

from config import LEADS

MAX_UPLOAD_BYTES = 20_000_000
MAX_DURATION_S = 3600
MAX_SIGNALS = 64
MAX_VALUES = 24_000_000  # samples of all signals together: twelve leads, an hour, at 500 Hz and a little more
MIN_SAMPLING_RATE, MAX_SAMPLING_RATE = 50, 50_000  # Hz; below, a QRS complex is no longer visible
MAX_GAP_S = 0.2
MAX_AMPLITUDE_MV = 1e9  # beyond every mistake of units; float32 still adds such numbers without overflow
PLAUSIBLE_QRS_MV = (0.05, 10.0)
BEAT_WINDOW_S = 2.0  # holds a whole beat at 30/min

_MILLIVOLTS = {"nv": 1e-6, "uv": 1e-3, "mv": 1.0, "v": 1e3}
_UNIT_WORDS = {"nanovolt": "nv", "microvolt": "uv", "millivolt": "mv", "volt": "v"}

_LEAD_PREFIX = re.compile(r"^(?:mdc_ecg_lead|ecg|ekg|lead|[\s_:.-])+")
_NEGATED = re.compile(r"(?:^|[\s_])-")
_LEAD_NAMES = {lead.lower(): lead for lead in LEADS}
_LEAD_NAMES |= {
    "di": "I",
    "dii": "II",
    "diii": "III",
    "d1": "I",
    "d2": "II",
    "d3": "III",
}  # French, Portuguese, Spanish


class RecordingError(ValueError):
    """A recording that cannot be used; the message says what is wrong and what to do."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One 12-lead ECG.

    signal: float32 ``(12, samples)`` in mV, leads in the order of ``config.LEADS``.
    sampling_rate: Hz.
    present: ``(12,)`` bool, which leads were recorded or exactly derivable; the rest are zero.
    notes: what the reader had to do that the user should know (gaps filled, leads derived).
    """

    signal: np.ndarray
    sampling_rate: float
    present: np.ndarray
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if self.signal.ndim != 2 or self.signal.shape[0] != len(LEADS):
            raise RecordingError(f"a recording needs {len(LEADS)} leads x samples, not an array of {self.signal.shape}")
        if not self.sampling_rate > 0:
            raise RecordingError(f"the sampling rate must be positive, not {self.sampling_rate}")

    @property
    def duration(self) -> float:
        """Length in s."""
        return self.signal.shape[1] / self.sampling_rate


@dataclass(frozen=True, eq=False)
class Channels:
    """What a file holds, before leads are named and ordered.

    names, values, units: one entry a channel; values are 1-D arrays in the channel's unit, NaN where a sample
        is missing.
    sampling_rate: Hz, of all channels.
    notes: as in `Recording`.
    """

    names: Sequence[str]
    values: Sequence[np.ndarray]
    units: Sequence[str]
    sampling_rate: float
    notes: tuple[str, ...] = ()


def read_recording(
    files: str | os.PathLike | Sequence[str | os.PathLike],
    sampling_rate: float | None = None,
    units: str | None = None,
) -> Recording:
    """Read one recording from disk, in any of the formats of docs/formats.md.

    files: a path, or several that belong together (.hea and .dat). For a single WFDB header, the signal files it names
        are taken from its own folder.
    sampling_rate (Hz), units (uV, mV, V or nV): for CSV and NPY files that do not say; a file that says otherwise is
        refused.
    Raises RecordingError.
    """
    from ecg.readers import companions

    paths = [Path(file) for file in ([files] if isinstance(files, str | os.PathLike) else files)]
    contents = _read_files(paths)
    if len(paths) == 1:
        missing = companions(paths[0].name, contents[paths[0].name])
        contents |= _read_files([paths[0].with_name(name) for name in missing])
    return read_uploaded(contents, sampling_rate, units)


def read_uploaded(
    files: Mapping[str, bytes], sampling_rate: float | None = None, units: str | None = None
) -> Recording:
    """Read one recording from the files of an upload, given as ``{file name: content}``.

    A format is recognised by content; names only tell the files of one WFDB record apart. One zip archive may stand for
    the files. Nothing but these bytes is read, and nothing is written outside a private temporary folder.
    sampling_rate, units: as in `read_recording`.
    Raises RecordingError.
    """
    # on demand: the readers import this module, and training needs none of their libraries
    from ecg.readers import read_channels

    size = sum(len(content) for content in files.values())
    if size > MAX_UPLOAD_BYTES:
        raise RecordingError(f"{size / 1e6:.0f} MB are too much; at most {MAX_UPLOAD_BYTES / 1e6:.0f} MB are read")
    return assemble(read_channels(files, sampling_rate, units))


def from_leads(leads: Mapping[str, Sequence[float]], sampling_rate: float, units: str) -> Recording:
    """A recording from numbers in memory, such as the body of a request.

    leads: samples by lead name, all of one length; None and NaN stand for missing samples.
    sampling_rate: Hz. units: uV, mV, V or nV.
    Raises RecordingError.
    """
    if len(leads) > MAX_SIGNALS:
        raise RecordingError(f"{len(leads)} signals; at most {MAX_SIGNALS} are read")
    values = []
    for name, samples in leads.items():
        try:
            values.append(np.asarray(samples, dtype=float))
        except (TypeError, ValueError, OverflowError):
            raise RecordingError(f"lead {shown(name)}: the samples must be one flat list of numbers") from None
    return assemble(Channels(list(leads), values, [units] * len(leads), sampling_rate))


def assemble(channels: Channels) -> Recording:
    """The twelve leads out of a file's channels, in order, in mV, gaps filled, limb leads derived.

    Einthoven's and Goldberger's relations are exact: III = II - I, aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2.
    Raises RecordingError.
    """
    chosen = _named_leads(channels)
    samples = {values.shape for values in (channels.values[index] for index in chosen.values())}
    if len(samples) > 1 or len(next(iter(samples))) != 1:
        raise RecordingError("the leads are not flat lists of equally many samples")
    ((length,),) = samples
    check_extent(len(channels.names), length, channels.sampling_rate)

    signal = np.zeros((len(LEADS), length), np.float32)
    present = np.zeros(len(LEADS), bool)
    notes = list(channels.notes)
    for lead, index in chosen.items():
        row = LEADS.index(lead)
        with np.errstate(over="ignore", invalid="ignore"):
            values = channels.values[index]
            values_mv = values * millivolts(channels.units[index])
            if ((np.abs(values_mv) > MAX_AMPLITUDE_MV) & np.isfinite(values)).any():  # infinite: a missing sample
                raise RecordingError(
                    f"lead {lead} has amplitudes beyond {MAX_AMPLITUDE_MV:g} mV, which are no ECG; check the units"
                )
        signal[row] = values_mv
        present[row] = True
    ignored = [shown(name) for index, name in enumerate(channels.names) if index not in chosen.values()]
    if ignored:
        notes.append(f"ignored channels that are none of the 12 leads: {', '.join(ignored)}")
    notes += _fill_gaps(signal, present, channels.sampling_rate)
    notes += _derive_limb_leads(signal, present)
    if not present.all():
        notes.append(
            f"missing leads: {', '.join(lead for lead, there in zip(LEADS, present, strict=True) if not there)}"
        )
    low, high = PLAUSIBLE_QRS_MV
    amplitude = typical_amplitude(signal[present], channels.sampling_rate)
    if not low <= amplitude <= high:
        notes.append(
            f"the median QRS amplitude is {amplitude:.3g} mV, outside {low:g} to {high:g} mV: "
            "check the units and the electrodes"
        )
    return Recording(signal, float(channels.sampling_rate), present, tuple(notes))


def lead_name(label: str) -> str | None:
    """The standard name of a lead, or None if the label is none of the twelve.

    >>> [lead_name(label) for label in ("Lead avr", "MDC_ECG_LEAD_V1", "EKG-II", "DIII", "-aVR", "MLII")]
    ['aVR', 'V1', 'II', 'III', None, None]
    """
    label = label.strip().lower().removesuffix("(einthoven)").strip()
    return None if _NEGATED.search(label) else _LEAD_NAMES.get(_LEAD_PREFIX.sub("", label))


def millivolts(unit: str) -> float:
    """How many mV one of a unit is.

    >>> millivolts("µV"), millivolts("MILLIVOLTS")
    (0.001, 1.0)

    Raises RecordingError for anything that is not a voltage, such as bare ADC counts.
    """
    word = str(unit).strip().lower().replace("\u00b5", "u").replace("\u03bc", "u")
    factor = _MILLIVOLTS.get(_UNIT_WORDS.get(word.removesuffix("s"), word))
    if factor is None:
        raise RecordingError(f"the unit {shown(unit)!r} is no voltage; uV, mV, V and nV are understood")
    return factor


def check_extent(signals: int, samples: int, sampling_rate: float) -> None:
    """Refuse what is too many, too long or sampled at an absurd rate, before anything of that size is made."""
    if signals > MAX_SIGNALS:
        raise RecordingError(f"{signals} signals; at most {MAX_SIGNALS} are read")
    if samples < 1:
        raise RecordingError("there are no samples")
    if not isinstance(sampling_rate, Real) or not MIN_SAMPLING_RATE <= sampling_rate <= MAX_SAMPLING_RATE:
        raise RecordingError(
            f"a sampling rate of {shown(sampling_rate)} Hz; {MIN_SAMPLING_RATE} to {MAX_SAMPLING_RATE} Hz are read"
        )
    if samples > MAX_DURATION_S * sampling_rate or signals * samples > MAX_VALUES:
        raise RecordingError(
            f"{signals} signals of {samples / sampling_rate:.0f} s at {sampling_rate:g} Hz are too much; at most "
            f"{MAX_DURATION_S} s and {MAX_VALUES} samples are read: cut out the part that matters"
        )


def typical_amplitude(signal: np.ndarray, sampling_rate: float) -> float:
    """Median over ``(leads, samples)`` and 2-s windows of the peak-to-peak amplitude: about the size of a QRS."""
    window = min(signal.shape[1], max(1, round(BEAT_WINDOW_S * sampling_rate)))
    count = signal.shape[1] // window
    windows = signal[:, : count * window].reshape(len(signal), count, window)
    return float(np.median(windows.max(axis=2) - windows.min(axis=2)))


def shown(text: object, limit: int = 60) -> str:
    """Text from a file as it may stand in a message: printable and short."""
    text = "".join(character if character.isprintable() else "?" for character in str(text)[: limit + 1])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _read_files(paths: Sequence[Path]) -> dict[str, bytes]:
    contents, size = {}, 0
    for path in paths:
        if path.name in contents:
            raise RecordingError(f"two files are called {shown(path.name)}; give the files of one recording")
        try:
            with open(path, "rb") as file:
                contents[path.name] = file.read(MAX_UPLOAD_BYTES + 1 - size)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise RecordingError(f"{shown(path)} cannot be read: {error}") from error
        size += len(contents[path.name])
        if size > MAX_UPLOAD_BYTES:
            raise RecordingError(f"{shown(path)} is too large; at most {MAX_UPLOAD_BYTES / 1e6:.0f} MB are read")
    return contents


def _named_leads(channels: Channels) -> dict[str, int]:
    """Which channel is which lead."""
    chosen = {}
    for index, name in enumerate(channels.names):
        lead = lead_name(str(name))
        if lead is None:
            continue
        if lead in chosen:
            raise RecordingError(f"lead {lead} is there twice; leave one of them")
        chosen[lead] = index
    if not chosen:
        found = ", ".join(shown(name) for name in list(channels.names)[:MAX_SIGNALS]) or "nothing"
        raise RecordingError(f"no channel is named like one of the leads {', '.join(LEADS)}; found {found}")
    return chosen


def _fill_gaps(signal: np.ndarray, present: np.ndarray, sampling_rate: float) -> list[str]:
    """Interpolate short gaps in place; a lead without any sample counts as missing."""
    notes = []
    if np.isfinite(signal).all():
        return notes
    for row, lead in enumerate(LEADS):
        bad = ~np.isfinite(signal[row])
        if bad.all():
            signal[row], present[row] = 0, False
            continue
        if not bad.any():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[0], bad, [0]])))
        starts, lengths = edges[::2], np.diff(edges)[::2]
        longest = lengths.argmax()
        gap_s = lengths[longest] / sampling_rate
        if gap_s > MAX_GAP_S:
            raise RecordingError(
                f"lead {lead} has no samples for {gap_s:.2f} s from {starts[longest] / sampling_rate:.2f} s on; "
                f"up to {MAX_GAP_S:g} s are interpolated: cut out the part without gaps, or leave the lead out"
            )
        signal[row, bad] = np.interp(np.flatnonzero(bad), np.flatnonzero(~bad), signal[row, ~bad])
        notes.append(f"lead {lead}: {len(starts)} gap(s) of up to {gap_s * 1000:.0f} ms interpolated")
    if not present.any():
        raise RecordingError("no lead has any samples")
    return notes


def _derive_limb_leads(signal: np.ndarray, present: np.ndarray) -> list[str]:
    """Fill in, in place, the limb leads that two of I, II and III determine."""
    missing = np.flatnonzero(~present[:6])
    if not len(missing) or present[:3].sum() < 2:
        return []
    one, two, three = signal[:3]
    first = one if present[0] else two - three
    second = two if present[1] else one + three
    limb = (first, second, second - first, -(first + second) / 2, first - second / 2, second - first / 2)
    source = " and ".join([lead for lead, there in zip(LEADS, present[:3], strict=False) if there][:2])
    for row in missing:
        signal[row] = limb[row]
    present[missing] = True
    return [f"derived from {source}: {', '.join(LEADS[row] for row in missing)}"]
