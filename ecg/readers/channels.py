"""From a file's channels to a `Recording`: leads named and ordered, units converted, gaps filled, limits kept.

Every format ends in `assemble`; `from_leads` is for numbers already in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from config import LEADS
from ecg.beats import MINIMUM_RATE
from ecg.leads import derive_limb_leads, lead_name, millivolts
from ecg.readers.gaps import fill_gaps
from ecg.recording import DeclarationError, Recording, RecordingError, Subject, printable

MISSING_LEADS = "missing leads: "  # how the note on them begins
MAX_DURATION_S = 3600
MAX_SIGNALS = 64
MAX_VALUES = 24_000_000  # samples of all signals together: twelve leads, an hour, at 500 Hz and a little more
MAX_SAMPLING_RATE = 50_000  # Hz
MAX_AMPLITUDE_MV = 1e9  # beyond every mistake of units; float32 still adds such numbers without overflow


@dataclass(frozen=True, eq=False)
class Channels:
    """What a file holds, before leads are named and ordered.

    names, values, units: one entry a channel; values are 1-D arrays in the channel's unit, NaN where a sample
        is missing.
    sampling_rate: Hz, of all channels.
    notes, subject: as in `Recording`.
    """

    names: Sequence[str]
    values: Sequence[np.ndarray]
    units: Sequence[str]
    sampling_rate: float
    notes: tuple[str, ...] = ()
    subject: Subject = Subject()


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
            raise RecordingError(f"lead {printable(name)}: the samples must be one flat list of numbers") from None
    return assemble(Channels(names=list(leads), values=values, units=[units] * len(leads), sampling_rate=sampling_rate))


def assemble(channels: Channels) -> Recording:
    """The twelve leads out of a file's channels, in order, in mV, gaps filled, limb leads derived.

    Einthoven's and Goldberger's relations are exact: III = II - I, aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2.
    Raises RecordingError.
    """
    chosen, ignored = lead_channels(channels.names)
    length = common_length({lead: channels.values[index] for lead, index in chosen.items()})
    check_extent(len(channels.names), length, channels.sampling_rate)

    signal = np.zeros((len(LEADS), length), np.float32)
    present = np.zeros(len(LEADS), bool)
    notes = [*channels.notes, *ignored]
    for lead, index in chosen.items():
        row = LEADS.index(lead)
        with np.errstate(over="ignore", invalid="ignore"):
            values = channels.values[index]
            values_mv = values * millivolts(channels.units[index])
            beyond = np.abs(values_mv) > MAX_AMPLITUDE_MV
            if beyond.any() and (beyond & np.isfinite(values)).any():  # infinite: a missing sample
                raise RecordingError(
                    f"lead {lead} has amplitudes beyond {MAX_AMPLITUDE_MV:g} mV, which are no ECG; check the units"
                )
        signal[row] = values_mv
        present[row] = True
    notes += fill_gaps(signal, present, channels.sampling_rate)
    notes += derive_limb_leads(signal, present)
    if not present.all():
        notes.append(f"{MISSING_LEADS}{', '.join(LEADS[row] for row in np.flatnonzero(~present))}")
    return Recording(
        signal=signal,
        sampling_rate=float(channels.sampling_rate),
        present=present,
        notes=tuple(notes),
        subject=channels.subject,
    )


def common_length(leads: Mapping[str, np.ndarray]) -> int:
    """How many samples each lead has. Raises RecordingError unless all have equally many in one dimension."""
    shapes = {lead: values.shape for lead, values in leads.items()}
    if nested := [lead for lead, shape in shapes.items() if len(shape) != 1]:
        raise RecordingError(f"lead {', '.join(nested)}: the samples must be one flat list of numbers")
    lengths = {lead: shape[0] for lead, shape in shapes.items()}
    if len(set(lengths.values())) > 1:
        named = ", ".join(f"{lead} {length}" for lead, length in lengths.items())
        raise RecordingError(f"the leads have different lengths ({named} samples); they must hold equally many samples")
    return next(iter(lengths.values()))


def lead_channels(names: Sequence[object], hint: str = "") -> tuple[dict[str, int], tuple[str, ...]]:
    """Which channel is which lead, and a note on the channels that are none; unnamed ones are passed over.

    hint: what to do if there is none, for the refusal.
    Raises RecordingError if no channel is a lead, or a lead is there twice.
    """
    chosen, others = {}, []
    for index, name in enumerate(names):
        lead = lead_name(str(name))
        if lead in chosen:
            raise RecordingError(f"lead {lead} is there twice; leave one of them")
        if lead:
            chosen[lead] = index
        elif name:
            others.append(printable(name))
    found = ", ".join(others[:MAX_SIGNALS])
    if not chosen:
        raise RecordingError(
            f"no channel is named like one of the leads {', '.join(LEADS)}; found {found or 'nothing'}{hint}"
        )
    return chosen, ((f"ignored channels that are none of the 12 leads: {found}",) if others else ())


def check_extent(signals: int, samples: int, sampling_rate: float) -> None:
    """Refuse what is too many, too long or sampled at an absurd rate, before anything of that size is made."""
    if signals > MAX_SIGNALS:
        raise RecordingError(f"{signals} signals; at most {MAX_SIGNALS} are read")
    if samples < 1:
        raise RecordingError("there are no samples")
    if not isinstance(sampling_rate, Real) or not MINIMUM_RATE <= sampling_rate <= MAX_SAMPLING_RATE:
        raise RecordingError(
            f"a sampling rate of {printable(sampling_rate)} Hz; {MINIMUM_RATE} to {MAX_SAMPLING_RATE} Hz are read"
        )
    if samples > MAX_DURATION_S * sampling_rate or signals * samples > MAX_VALUES:
        raise RecordingError(
            f"{signals} signals of {samples / sampling_rate:.0f} s at {sampling_rate:g} Hz are too much; at most "
            f"{MAX_DURATION_S} s and {MAX_VALUES} samples are read: cut out the part that matters"
        )


def declared_or_given(what: str, declared: float | str | None, given: float | str | None, how="") -> float | str:
    """What the file declares or else the caller gives; both only if they agree. how: the way to give it."""
    if declared is None and given is None:
        raise DeclarationError(f"the {what} is not in the file; give it {how}")
    if declared is None:
        return given
    if given is not None and _comparable(declared) != _comparable(given):
        raise DeclarationError(
            f"the {what} is {printable(declared)} in the file and {printable(given)} by request; leave one out"
        )
    return declared


def _comparable(value: float | str) -> float:
    return millivolts(value) if isinstance(value, str) else value
