"""Signal quality: can this recording be trusted, and if not, why not?

    quality = assess(recording)         # takes a few ms
    quality.usable, [flag.sentence for flag in quality.flags]

Every flag carries the measurement behind it, its unit and its limit. `tools/measure_quality.py` chose the limits on
folds 1-8 and reports them on fold 9 in docs/quality.md.
"""

from dataclasses import dataclass

import numpy as np

from config import LEADS, LIMB_LEADS, described
from ecg.bands import Bands
from ecg.beats import QRS
from ecg.electrode_swaps import measure_right_leg, measure_wiring, normalised_waves
from ecg.heart_rate import MINIMUM_CONTRAST, mean_heart_rate
from ecg.heartbeats import Heartbeats, find_heartbeats
from ecg.lead_order import measure_limb_order, measure_orientation
from ecg.medians import median
from ecg.recording import Recording
from ecg.time_scale import measure_time_scale

EDGE = 20  # samples at either end of a band, left out of noise: there the filter has seen both ends of the recording
WINDOW = 80  # samples in which a burst of noise must fill the half
NORMAL_MEDIAN = 0.6745  # median of the absolute value over the standard deviation, of normal noise


@dataclass(frozen=True)
class Check:
    """The limit of a measurement. low: too little is the fault. severity: "note", "caution" or "unusable"."""

    unit: str
    limit: float
    sentence: str  # with {what} (a lead or electrodes) and {value}, to be filled in
    severity: str = "caution"
    low: bool = False


SEVERITIES = ("good", "note", "caution", "unusable")
LEAD_CHECKS = {
    "flat": Check("mV", 0.05, "Lead {what} shows no heartbeat: its electrode or cable is probably off.", low=True),
    "saturated": Check(
        "s", 0.1, "Lead {what} is stuck at its highest or lowest value for {value:.1f} s: the amplifier was overdriven."
    ),
    "clipped": Check("%", 0.8, "The peaks of lead {what} are cut off: they went beyond what the device can record."),
    "detached": Check("s", 1.0, "Lead {what} falls silent for {value:.1f} s: its electrode seems to have come off."),
    "mains": Check(
        "mV",
        0.03,
        "Lead {what} hums with the mains ({value:.2f} mV): move cables away from power, check the electrode.",
    ),
    "wander": Check(
        "mV",
        3.5,
        "The baseline of lead {what} drifts by {value:.1f} mV: check the electrode, let the patient lie still.",
    ),
    "muscle noise": Check(
        "mV", 0.023, "Lead {what} trembles ({value:.3f} mV): the patient is tense, shivering or moving."
    ),
    "bursts": Check("times", 2.3, "Lead {what} is disturbed for a moment, {value:.1f} times its usual noise."),
    "low signal-to-noise": Check(  # noise alone in ten beats seldom looks like more than -9 dB
        "dB", -9.0, "In lead {what} the heartbeats barely rise above the noise ({value:.0f} dB).", low=True
    ),
}
LOST = ("flat", "saturated", "detached")  # a lead with one of these says nothing of the heart, at least for a while
RECORD_CHECKS = {
    "leads lost": Check("leads", 2, "{value:.0f} leads are lost: check the cables, record again.", severity="unusable"),
    "no heartbeat": Check(
        "times", MINIMUM_CONTRAST,
        "No regular heartbeats stand out: check the electrodes, the file and its sampling rate, or record again.",
        severity="unusable", low=True,
    ),
    "units too large": Check(
        "mV", 10.0,
        "The QRS is {value:.3g} mV high: the numbers are probably in another unit; give them in mV or name it.",
        severity="unusable",
    ),
    "units too small": Check(
        "mV", 0.05,
        "The QRS is only {value:.2g} mV high: the numbers are probably in another unit; give them in mV or name it.",
        severity="unusable", low=True,
    ),
    "limb leads out of order": Check(
        "times", 2.0,
        "The limb leads contradict each other (aVR is not -(I + II)/2, or III not II - I): leads in another order? "
        "Those named I, II, III, aVR, aVL, aVF look like {what}.",
    ),
    "sampling rate too low": Check(
        "log odds", 4.7,
        "At {what} the heart is improbably slow for such broad waves: check the sampling rate, it is probably higher.",
    ),
    "sampling rate too high": Check(
        "log odds", 4.9,
        "At {what} the heart is improbably fast for such narrow waves: check the sampling rate, it is probably lower.",
    ),
    "polarity inverted": Check(
        "log odds", 3.5, "All leads seem to be upside down: check the polarity (sign) of the signal."
    ),
    "chest leads reversed": Check(
        "log odds", 3.7, "The chest leads seem to run from V6 to V1: check the order of the leads and the wires."
    ),
    "electrodes swapped": Check(
        "log odds", 2.5, "{what} seem to be swapped: check the wires and record again."
    ),
    "right leg swapped": Check(
        "%", 10.0, "Lead {what} is almost empty, as when the right-leg electrode is swapped with one on an arm: "
        "check the wires.", low=True,
    ),
    "paced?": Check("mV", 0.08, "Sharp spikes before the QRS: the patient may have a pacemaker.", severity="note"),
}  # fmt: skip
WRONG_FILE = ("limb leads out of order", "sampling rate too low", "sampling rate too high")
ORIENTATION = ("polarity inverted", "chest leads reversed")
BY_SHAPE = (*ORIENTATION, "electrodes swapped", "right leg swapped", "paced?")  # meaningless in a wrong file


@dataclass(frozen=True)
class Flag:
    """Something wrong with the recording."""

    name: str = described("which check: flat, mains, muscle noise, electrodes swapped and so on")
    lead: str | None = described("the lead concerned; null if it is the whole recording")
    value: float = described("what was measured, in `unit`")
    unit: str = described("of `value` and `limit`")
    limit: float = described("the value is beyond this limit")
    severity: str = described("note, caution or unusable")
    sentence: str = described("what is wrong and what to do, for the person beside the patient")


@dataclass(frozen=True, eq=False)
class Quality:
    """The quality of one recording.

    flags: the gravest first.
    measured: each of `LEAD_CHECKS` to its values ``(12,)`` in its unit, NaN where it cannot be assessed.
    record: each of `RECORD_CHECKS` that can be assessed to its value.
    not_judged: sentences on what cannot be assessed.
    heart_rate: mean beats/min, None without reliable beats.
    average_beat: the median beat ``(12, 90)`` in mV at 100 Hz, R peak at sample 40; None without reliable beats.
    """

    flags: tuple[Flag, ...]
    measured: dict[str, np.ndarray]
    record: dict[str, float]
    not_judged: tuple[str, ...]
    heart_rate: float | None
    average_beat: np.ndarray | None

    @property
    def severity(self) -> str:
        """The worst of all flags; "good" without any."""
        return max((flag.severity for flag in self.flags), key=SEVERITIES.index, default="good")

    @property
    def usable(self) -> bool:
        return self.severity != "unusable"


def assess(recording: Recording, heartbeats: Heartbeats | None = None) -> Quality:
    """Measure the quality of one recording and flag what is beyond its limit.

    heartbeats: where the caller has found them already.
    Raises RecordingError if the recording is shorter than 5 s, sampled below 100 Hz or has samples that are not
    numbers.
    """
    found = heartbeats or find_heartbeats(recording)
    bands, beats, peaks, contrast = found.bands, found.beats, found.peaks, found.contrast
    signal = np.asarray(recording.signal, np.float32)
    average = median(beats, axis=1) if found.reliable else None
    heart_rate = mean_heart_rate(peaks) if found.reliable else None
    measured = measure_leads(signal, recording.sampling_rate, bands, beats, average)
    measured = {name: np.where(recording.present, values, np.nan) for name, values in measured.items()}
    flags = _lead_flags(measured)
    lost = {flag.lead for flag in flags if flag.name in LOST}
    record = {"leads lost": (len(lost), None), "no heartbeat": (contrast, None)}
    record |= _measure_inputs(recording, beats, average, heart_rate, lost)
    if average is not None:
        record["paced?"] = (_spike(bands.noise[recording.present], peaks), None)
    flags += [
        _flag(name, RECORD_CHECKS[name], what, value)
        for name, (value, what) in record.items()
        if _fails(RECORD_CHECKS[name], value)
    ]
    flags = _without_consequences(flags, int(recording.present.sum()))
    return Quality(
        flags=tuple(sorted(flags, key=lambda flag: -SEVERITIES.index(flag.severity))),
        measured=measured,
        record={name: float(value) for name, (value, _) in record.items()},
        not_judged=tuple(_not_judged(recording, measured, average, lost)),
        heart_rate=heart_rate,
        average_beat=average,
    )


def _measure_inputs(
    recording: Recording, beats: np.ndarray, average: np.ndarray | None, heart_rate: float | None, lost: set[str]
) -> dict[str, tuple[float, str | None]]:
    """Evidence for wrong units, order of leads, sampling rate and wires, as check to value and what it concerns."""
    limb_present = recording.present[: len(LIMB_LEADS)].all()
    if average is None:
        return {}
    height = float(median(np.ptp(average[recording.present][:, QRS], axis=1)))
    record = dict.fromkeys(("units too large", "units too small"), (height, None))
    if limb_present and not lost & set(LIMB_LEADS):
        record |= measure_limb_order(beats[: len(LIMB_LEADS)])
    if recording.present.all():
        record |= measure_time_scale(average, heart_rate, recording.sampling_rate)
    if recording.present.all() and not lost:
        waves = normalised_waves(average)
        record |= measure_orientation(waves) | measure_wiring(waves)
    if limb_present:
        record |= measure_right_leg(average)
    return record


def _not_judged(
    recording: Recording, measured: dict[str, np.ndarray], average: np.ndarray | None, lost: set[str]
) -> list[str]:
    """Sentences on what cannot be assessed."""
    sentences = []
    if average is None:
        sentences.append("Units, sampling rate and electrode positions: no regular heartbeats were found.")
    elif not recording.present.all():
        sentences.append("Swapped electrodes, polarity and sampling rate: not all twelve leads were recorded.")
    elif lost:
        sentences.append("Swapped electrodes and polarity: not all twelve leads have a signal.")
    if np.isnan(measured["mains"]).all():
        sentences.append(f"Mains hum: it cannot be seen at {recording.sampling_rate:g} Hz.")
    return sentences


def _without_consequences(flags: list[Flag], leads: int) -> list[Flag]:
    """The flags without those that follow from a graver mistake. leads: how many are present."""
    units = [flag for flag in flags if flag.name.startswith("units")]
    if units:  # then no other number means anything
        return units
    names = {flag.name for flag in flags}
    dropped = set()
    if names & set(WRONG_FILE):
        dropped |= set(BY_SHAPE)
    elif names & set(ORIENTATION):
        likelier = max((flag for flag in flags if flag.name in ORIENTATION), key=lambda flag: flag.value)
        dropped |= {*ORIENTATION, "electrodes swapped"} - {likelier.name}
    if "leads lost" in names and sum(flag.name in LOST for flag in flags) == leads:
        dropped |= set(LOST)
    return [flag for flag in flags if flag.name not in dropped]


def _fails(check: Check, value: float | np.ndarray) -> bool | np.ndarray:
    return value < check.limit if check.low else value > check.limit


def _flag(name: str, check: Check, what: str | None, value: float) -> Flag:
    return Flag(
        name=name,
        lead=what if what in LEADS else None,
        value=float(value),
        unit=check.unit,
        limit=check.limit,
        severity=check.severity,
        sentence=check.sentence.format(what=what, value=value),
    )


def _lead_flags(measured: dict[str, np.ndarray]) -> list[Flag]:
    """Flags of all leads; what follows from a worse fault of the same lead is not said again."""
    failed = {name: _fails(check, measured[name]) for name, check in LEAD_CHECKS.items()}
    empty, saturated = failed["flat"], failed["saturated"]
    failed["flat"] = empty & ~saturated
    failed["detached"] = failed["detached"] & ~empty & ~saturated
    failed["clipped"] = failed["clipped"] & ~saturated & ~failed["detached"]
    for name in set(failed) - set(LOST):
        failed[name] = failed[name] & ~empty
    return [
        _flag(name, LEAD_CHECKS[name], LEADS[number], measured[name][number])
        for name in LEAD_CHECKS
        for number in np.flatnonzero(failed[name])
    ]


def measure_leads(
    signal: np.ndarray, sampling_rate: float, bands: Bands, beats: np.ndarray, average: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Each of `LEAD_CHECKS` for all leads ``(12,)``, in its unit."""
    noise, bursts = _noise(bands.noise)
    saturated, clipped = _stuck(signal, sampling_rate)
    return {
        "flat": np.ptp(bands.heart, axis=1),
        "saturated": saturated,
        "clipped": clipped,
        "detached": _longest_silence(signal, sampling_rate),
        "mains": bands.mains,
        "wander": np.ptp(bands.slow, axis=1),
        "muscle noise": noise,
        "bursts": bursts,
        "low signal-to-noise": np.full(len(signal), np.nan) if average is None else _signal_to_noise(beats, average),
    }


def _stuck(signal: np.ndarray, sampling_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Longest stay at a lead's extreme value (s), if beyond 1 mV, and share of samples there (%), if off its mean."""
    held = round(0.15 * sampling_rate)  # some recorders end with their last value, held for 0.1 s
    signal = signal[:, held:-held]
    longest, share = np.zeros(len(signal)), np.zeros(len(signal))
    middle = signal.mean(1)
    for extreme in (signal.max(1), signal.min(1)):
        there = signal == extreme[:, None]
        count = there.sum(1)
        share = np.maximum(share, np.where(np.abs(extreme - middle) > 0.3, 100 * count / signal.shape[1], 0))
        for lead in np.flatnonzero((np.abs(extreme) > 1) & (count >= 0.05 * sampling_rate)):
            longest[lead] = max(longest[lead], _longest_run(there[lead : lead + 1])[0] / sampling_rate)
    return longest, share


def _longest_run(mask: np.ndarray) -> np.ndarray:
    """Longest run of True in each row."""
    position = np.arange(mask.shape[1])
    return (position - np.maximum.accumulate(np.where(mask, -1, position), axis=1)).max(axis=1)


def _longest_silence(signal: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Longest stretch in s whose tenths of a second each stay within 5 uV."""
    block = round(0.1 * sampling_rate)
    blocks = signal[:, : signal.shape[1] // block * block].reshape(len(signal), -1, block)
    blocks = np.ascontiguousarray(blocks.transpose(2, 0, 1))  # extremes over the first axis are found much faster
    return _longest_run(np.ptp(blocks, axis=0) <= 0.005) * block / sampling_rate


def _noise(noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Usual noise between the QRS complexes (mV rms of normal noise), and the worst 0.8 s over the usual."""
    inner = np.abs(noise[:, EDGE : noise.shape[1] - EDGE])
    windows = median(inner[:, : inner.shape[1] // WINDOW * WINDOW].reshape(len(inner), -1, WINDOW), axis=2)
    usual = median(windows, axis=1)
    return usual / NORMAL_MEDIAN, windows.max(1) / (usual + 0.002)


def _signal_to_noise(beats: np.ndarray, average: np.ndarray) -> np.ndarray:
    """Variance of the average beat over the usual beat's departure from it, dB; never below -30 dB.

    What noise leaves in a median of n beats, pi / 2n of its variance, is taken off.
    """
    departure = median(np.square(beats - average[:, None]).mean(2), axis=1) + 1e-9
    heart = average.var(1) - np.pi / 2 / beats.shape[1] * departure
    return 10 * np.log10(np.maximum(heart / departure, 1e-3))


def _spike(noise: np.ndarray, peaks: np.ndarray) -> float:
    """Fastest deflection (mV) in the 300 to 70 ms before the usual R peak, in the lead with the third largest.

    A pacemaker's spike of 2 ms is smeared by the band, so its true height is far above.
    """
    before = peaks[peaks >= 30, None] + np.arange(-30, -6)
    rank = len(noise) - min(3, len(noise))
    third = np.partition(np.abs(noise), rank, axis=0)[rank]
    return float(median(third[before], axis=0).max())
