"""Can this recording be trusted, and if not, why not?

    quality = assess(recording)         # a few ms: what is wrong with the recording, in words
    quality.usable, [flag.sentence for flag in quality.flags]
    intervals(recording)                # about 0.1 s: heart rate, PR, QRS, QT, QTc and axes

Every flag carries the measurement behind it, its unit and its limit. One Fourier transform of the recording gives a
slow, a heartbeat, a QRS and a noise band, all at 100 Hz whatever the recording's own rate, so that a limit chosen on
PTB-XL at 100 Hz holds at every rate. `measure_quality.py` chose the limits on folds 1-8 and reports them on fold 9 in
docs/quality.md.

Interchanged electrodes: the leads of one heart go together in a limited number of ways (Kors and van Herpen, Am J
Cardiol 2001;88:396, predict each lead from the others). Here the lead-by-lead products of the average P wave, QRS and
T wave are weighed with matrices learnt from PTB-XL, and a recording whose score would rise steeply if two electrodes
were exchanged back is flagged.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from config import LEADS, LIMB_LEADS
from ecg.preprocessing import MINIMUM_DURATION_S, resample
from ecg.recording import Recording, RecordingError

MINIMUM_RATE = 100  # Hz
BAND_RATE = 100  # Hz, of the bands below
EDGE = 20  # samples at either end of a band, left out of noise: there the filter has seen both ends of the recording
WINDOW = 80  # samples in which a burst of noise must fill the half
NORMAL_MEDIAN = 0.6745  # median of the absolute value over the standard deviation, of normal noise

# -- What is measured, and when it is too much ------------------------------------------------------------------------


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
    "leads lost": Check("leads", 2, "{value:.0f} leads are lost: record the ECG again.", "unusable"),
    "no heartbeat": Check("times", 2.5, "No regular heartbeats stand out of the recording.", "unusable", low=True),
    "units too large": Check(
        "mV", 10.0, "The QRS is {value:.3g} mV high: the numbers are probably in another unit than mV.", "unusable"
    ),
    "units too small": Check(
        "mV", 0.05, "The QRS is only {value:.2g} mV high: the numbers are probably in another unit than mV.",
        "unusable", low=True,
    ),
    "electrodes swapped": Check(
        "log odds", 2.5, "{what} seem to be swapped: check the wires and record again."
    ),
    "right leg swapped": Check(
        "%", 10.0, "Lead {what} is almost empty, as when the right-leg electrode is swapped with one on an arm: "
        "check the wires.", low=True,
    ),
    "paced?": Check("mV", 0.08, "Sharp spikes before the QRS: the patient may have a pacemaker.", "note"),
}  # fmt: skip

MAINS_HZ = (50, 60)
LOWEST_RATE_FOR_MAINS = 150  # Hz


@dataclass(frozen=True)
class Flag:
    """Something wrong with the recording. lead: None if it concerns the whole. sentence: for the person beside it."""

    name: str
    lead: str | None
    value: float
    unit: str
    limit: float
    severity: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Quality:
    """What `assess` found.

    flags: the gravest first.
    measured: each of `LEAD_CHECKS` to its values ``(12,)``, NaN where not judged, in the units there.
    record: each of `RECORD_CHECKS` that could be judged to its value.
    not_judged: sentences on what could not be looked at.
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


def assess(recording: Recording) -> Quality:
    """Everything measured on one recording and what of it is beyond its limit.

    Raises RecordingError if the recording is shorter than 5 s, sampled below 100 Hz or has samples that are not
    numbers.
    """
    require_judgeable(recording)
    signal = np.asarray(recording.signal, np.float32)
    bands = split_bands(signal, recording.sampling_rate)
    peaks, contrast = find_beats(bands.qrs)
    beats = cut_beats(bands.heart, peaks)
    reliable = _reliable(beats, contrast)
    average = np.median(beats, axis=1) if reliable else None
    measured = measure_leads(signal, recording.sampling_rate, bands, beats, average)
    measured = {name: np.where(recording.present, values, np.nan) for name, values in measured.items()}
    flags = _lead_flags(measured)
    lost = {flag.lead for flag in flags if flag.name in LOST}
    record = {"leads lost": (len(lost), None), "no heartbeat": (contrast, None)}
    not_judged = []
    if average is None:
        not_judged.append("Units and electrode positions: no regular heartbeats were found.")
    else:
        record |= _measure_average(average, recording.present, bands.noise, peaks)
        if recording.present[: len(LIMB_LEADS)].all():
            record |= _measure_right_leg(average)
        if recording.present.all() and not lost:
            record |= _measure_wiring(average)
        else:
            not_judged.append("Swapped electrodes: not all twelve leads have a signal.")
    if np.isnan(measured["mains"]).all():
        not_judged.append(f"Mains hum: it cannot be seen at {recording.sampling_rate:g} Hz.")
    flags += [
        _flag(name, RECORD_CHECKS[name], what, value)
        for name, (value, what) in record.items()
        if _fails(RECORD_CHECKS[name], value)
    ]
    if any(flag.name.startswith("units") for flag in flags):  # then no other number means anything
        flags = [flag for flag in flags if flag.name.startswith("units")]
    return Quality(
        flags=tuple(sorted(flags, key=lambda flag: -SEVERITIES.index(flag.severity))),
        measured=measured,
        record={name: float(value) for name, (value, _) in record.items()},
        not_judged=tuple(not_judged),
        heart_rate=_heart_rate(peaks) if reliable else None,
        average_beat=average,
    )


def require_judgeable(recording: Recording) -> None:
    """Raise RecordingError if a recording is too short, too coarse or has samples that are not numbers."""
    if recording.duration < MINIMUM_DURATION_S:
        raise RecordingError(
            f"the recording lasts {recording.duration:.1f} s; at least {MINIMUM_DURATION_S:g} s are needed"
        )
    if recording.sampling_rate < MINIMUM_RATE:
        raise RecordingError(
            f"the recording has {recording.sampling_rate:g} samples/s; at least {MINIMUM_RATE} are needed"
        )
    finite = np.isfinite(recording.signal).all(axis=1)
    if not finite.all():
        bad = ", ".join(lead for lead, good in zip(LEADS, finite, strict=True) if not good)
        raise RecordingError(f"missing samples (NaN or infinite) in lead {bad}: fill or cut them first")


def _fails(check: Check, value: float | np.ndarray) -> bool | np.ndarray:
    return value < check.limit if check.low else value > check.limit


def _flag(name: str, check: Check, what: str | None, value: float) -> Flag:
    sentence = check.sentence.format(what=what, value=value)
    lead = what if what in LEADS else None
    return Flag(name, lead, float(value), check.unit, check.limit, check.severity, sentence)


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


# -- Bands and heartbeats ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Bands:
    """One recording, taken apart; each ``(12, n)`` in mV at 100 Hz.

    slow: baseline, below 0.8 Hz. heart: 0.5 to 45 Hz. qrs: 8 to 25 Hz. noise: 25 to 45 Hz.
    mains: ``(12,)`` amplitude in mV at 50 or 60 Hz, NaN where the sampling rate is too low to see them.
    """

    slow: np.ndarray
    heart: np.ndarray
    qrs: np.ndarray
    noise: np.ndarray
    mains: np.ndarray


@lru_cache(maxsize=8)
def _responses(bins: int, duration: float) -> np.ndarray:
    """Magnitude responses of the four bands ``(4, 1, bins)``: Butterworth's, and steep before the mains."""
    hertz = np.arange(bins) / duration
    with np.errstate(divide="ignore", over="ignore"):
        high_pass = {hz: 1 / np.sqrt(1 + (hz / hertz) ** (2 * order)) for hz, order in ((0.5, 2), (8, 4), (25, 4))}
        low_pass = {hz: 1 / np.sqrt(1 + (hertz / hz) ** (2 * order)) for hz, order in ((0.8, 4), (25, 8), (44, 30))}
    rows = (low_pass[0.8], high_pass[0.5] * low_pass[44], high_pass[8] * low_pass[25], high_pass[25] * low_pass[44])
    return np.stack(rows).astype(np.float32)[:, None]


def split_bands(signal: np.ndarray, sampling_rate: float) -> Bands:
    """Bands of a signal ``(12, samples)`` in mV, by one Fourier transform.

    The straight line between the signal's two ends is taken off first, so that the periodic transform does not ring,
    and given back to the slow band.
    """
    samples = signal.shape[1]
    duration = samples / sampling_rate
    edge = round(0.1 * sampling_rate)
    first, last = signal[:, :edge].mean(1, keepdims=True), signal[:, -edge:].mean(1, keepdims=True)
    spectrum = scipy.fft.rfft(signal - (first + (last - first) * np.linspace(0, 1, samples, dtype=np.float32)))
    length = round(duration * BAND_RATE)
    kept = spectrum[:, : length // 2 + 1] * np.float32(length / samples)
    slow, heart, qrs, noise = scipy.fft.irfft(kept * _responses(kept.shape[1], duration), n=length)
    slow = slow + first + (last - first) * np.linspace(0, 1, length, dtype=np.float32)
    return Bands(slow, heart, qrs, noise, _mains(spectrum, samples, sampling_rate))


def _mains(spectrum: np.ndarray, samples: int, sampling_rate: float) -> np.ndarray:
    """Amplitude in mV of a hum within 0.3 Hz of 50 or 60 Hz, less what the neighbouring frequencies have."""
    if sampling_rate < LOWEST_RATE_FOR_MAINS:
        return np.full(len(spectrum), np.nan)
    duration = samples / sampling_rate
    amplitudes = []
    for hertz in MAINS_HZ:
        first = round((hertz - 4) * duration)
        power = np.abs(spectrum[:, first : round((hertz + 4) * duration) + 1]) ** 2
        near = np.abs(np.arange(first, first + power.shape[1]) / duration - hertz) <= 0.3
        hum = power[:, near].sum(1) - near.sum() * np.median(power[:, ~near], axis=1)
        amplitudes.append(2 / samples * np.sqrt(np.maximum(hum, 0)))
    return np.max(amplitudes, axis=0)


def find_beats(qrs: np.ndarray) -> tuple[np.ndarray, float]:
    """Heartbeats in the QRS band ``(leads, n)``: their samples, and how far they stand out (times the background).

    The leads' rectified signals are added, each scaled to its own peaks so that no lead drowns the others.
    """
    rectified = np.abs(qrs)
    rank = int(0.97 * rectified.shape[1])
    peak_of_lead = np.partition(rectified, rank, axis=1)[:, rank]
    alive = peak_of_lead > 0.05 * peak_of_lead.max()
    if not alive.any():
        return np.zeros(0, int), 0.0
    activity = np.minimum(rectified[alive] / peak_of_lead[alive, None], 3).mean(0)
    activity = uniform_filter1d(activity, 10)
    peaks, found = find_peaks(activity, distance=25, height=0.3 * np.quantile(activity, 0.98))
    heights = found["peak_heights"]
    if not len(peaks):
        return peaks, 0.0
    usual = np.median(np.sort(heights)[len(heights) // 3 :])
    beats = heights > 0.45 * usual
    return peaks[beats], float(usual / np.median(activity))


MINIMUM_BEATS = 3
BEFORE, AFTER = 40, 50  # samples of an average beat around the R peak
P_WAVE, QRS, T_WAVE = slice(10, 30), slice(32, 50), slice(52, 88)  # in an average beat


def cut_beats(heart: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """The heartbeats ``(12, beats, 90)`` that lie wholly inside the recording."""
    inside = peaks[(peaks >= BEFORE) & (peaks + AFTER <= heart.shape[1])]
    return heart[:, inside[:, None] + np.arange(-BEFORE, AFTER)]


def _reliable(beats: np.ndarray, contrast: float) -> bool:
    return bool(beats.shape[1] >= MINIMUM_BEATS and not _fails(RECORD_CHECKS["no heartbeat"], contrast))


def _heart_rate(peaks: np.ndarray) -> float:
    """Mean beats/min."""
    return float(60 * BAND_RATE / np.diff(peaks).mean())


# -- Measurements of the leads ----------------------------------------------------------------------------------------


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
    return _longest_run(np.ptp(blocks, axis=2) <= 0.005) * block / sampling_rate


def _noise(noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Usual noise between the QRS complexes (mV rms of normal noise), and the worst 0.8 s over the usual."""
    inner = np.abs(noise[:, EDGE : noise.shape[1] - EDGE])
    windows = np.median(inner[:, : inner.shape[1] // WINDOW * WINDOW].reshape(len(inner), -1, WINDOW), axis=2)
    usual = np.median(windows, axis=1)
    return usual / NORMAL_MEDIAN, windows.max(1) / (usual + 0.002)


def _signal_to_noise(beats: np.ndarray, average: np.ndarray) -> np.ndarray:
    """Variance of the average beat over the usual beat's departure from it, dB; never below -30 dB.

    What noise leaves in a median of n beats, pi / 2n of its variance, is taken off.
    """
    departure = np.median(np.square(beats - average[:, None]).mean(2), axis=1) + 1e-9
    heart = average.var(1) - np.pi / 2 / beats.shape[1] * departure
    return 10 * np.log10(np.maximum(heart / departure, 1e-3))


# -- Measurements of the recording ------------------------------------------------------------------------------------


def _measure_average(
    average: np.ndarray, present: np.ndarray, noise: np.ndarray, peaks: np.ndarray
) -> dict[str, tuple[float, str | None]]:
    """Size of the QRS and of what comes before it, as check to value and lead."""
    height = float(np.median(np.ptp(average[present][:, QRS], axis=1)))
    return {
        "units too large": (height, None),
        "units too small": (height, None),
        "paced?": (_spike(noise[present], peaks), None),
    }


def _spike(noise: np.ndarray, peaks: np.ndarray) -> float:
    """Fastest deflection (mV) in the 300 to 70 ms before the usual R peak, in the lead with the third largest.

    A pacemaker's spike of 2 ms is smeared by the band, so its true height is far above.
    """
    before = peaks[peaks >= 30, None] + np.arange(-30, -6)
    third = np.sort(np.abs(noise), axis=0)[-min(3, len(noise))]
    return float(np.median(third[before], axis=0).max())


INDEPENDENT = tuple(LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))


def _limb_swap(*electrodes: int) -> np.ndarray:
    """What the independent leads show when the cables RA, LA, LL sit on these electrodes instead."""
    ra, la, ll = np.array([[0, 0], [1, 0], [0, 1]])[list(electrodes)]  # potentials over RA, in terms of I and II
    change = np.eye(8)
    change[:2, :2] = [la - ra, ll - ra]
    return change


def _chest_swap(first: int) -> np.ndarray:
    order = np.arange(8)
    order[[first + 1, first + 2]] = first + 2, first + 1
    return np.eye(8)[order]


SWAPS = {
    "The right-arm and left-arm electrodes": _limb_swap(1, 0, 2),
    "The left-arm and left-leg electrodes": _limb_swap(0, 2, 1),
    "The right-arm and left-leg electrodes": _limb_swap(2, 1, 0),
    "The limb electrodes (RA on the left leg, LA on the right arm, LL on the left arm)": _limb_swap(2, 0, 1),
    "The limb electrodes (RA on the left arm, LA on the left leg, LL on the right arm)": _limb_swap(1, 2, 0),
    **{f"The electrodes V{first} and V{first + 1}": _chest_swap(first) for first in range(1, 6)},
}

# Weights of the products of leads I, II, V1-V6; neighbours on the chest should go together. From measure_quality.py.
WIRING = np.array([
    [
        [-1.2, -0.1, -2.4, 1.3, -0.4, -0.4, 0.2, 0.5],
        [-0.1, 0.9, 1.0, -0.9, 0.8, 0.8, 0.5, 0.6],
        [-2.4, 1.0, 0.4, 4.7, 0.7, -0.8, -1.6, -2.7],
        [1.3, -0.9, 4.7, -0.4, 3.0, -0.4, -0.9, -1.9],
        [-0.4, 0.8, 0.7, 3.0, -0.1, 2.8, -0.9, -0.9],
        [-0.4, 0.8, -0.8, -0.4, 2.8, -0.1, 2.3, -0.3],
        [0.2, 0.5, -1.6, -0.9, -0.9, 2.3, 0.7, 1.0],
        [0.5, 0.6, -2.7, -1.9, -0.9, -0.3, 1.0, 0.7],
    ],  # P wave
    [
        [-0.7, -0.8, -1.6, 0.4, -0.2, 0.0, 0.5, 0.7],
        [-0.8, -0.7, 0.5, -1.0, 0.1, 0.6, 0.3, 0.7],
        [-1.6, 0.5, 0.1, 1.3, 0.0, -0.3, -1.0, -2.1],
        [0.4, -1.0, 1.3, 1.0, 1.7, -0.1, -0.6, -1.5],
        [-0.2, 0.1, 0.0, 1.7, 0.6, 2.0, -0.6, -1.1],
        [0.0, 0.6, -0.3, -0.1, 2.0, 0.1, 2.1, -1.5],
        [0.5, 0.3, -1.0, -0.6, -0.6, 2.1, -2.7, 2.8],
        [0.7, 0.7, -2.1, -1.5, -1.1, -1.5, 2.8, -4.3],
    ],  # QRS
    [
        [-0.9, -0.5, -0.8, 0.7, 0.0, -0.1, 0.4, 0.4],
        [-0.5, 0.0, 0.5, -0.1, 0.1, 0.2, 0.1, 0.8],
        [-0.8, 0.5, 0.2, 1.3, 0.1, -0.4, -0.2, -0.7],
        [0.7, -0.1, 1.3, 0.6, 1.0, -0.3, -0.3, -0.5],
        [0.0, 0.1, 0.1, 1.0, 0.0, 1.5, -1.0, -0.9],
        [-0.1, 0.2, -0.4, -0.3, 1.5, -0.9, 0.8, -2.0],
        [0.4, 0.1, -0.2, -0.3, -1.0, 0.8, -2.2, 0.5],
        [0.4, 0.8, -0.7, -0.5, -0.9, -2.0, 0.5, -2.8],
    ],  # T wave
])  # fmt: skip


def wave_products(average: np.ndarray) -> np.ndarray:
    """Lead-by-lead mean products ``(3, 8, 8)`` of P wave, QRS and T wave in an average beat ``(12, 90)``.

    Each is divided by the mean square of I, II, III and V1-V6, which no exchange of electrodes changes.
    """
    level = np.median(average, axis=1, keepdims=True)
    p_wave = average[:, P_WAVE]
    products = []
    for wave in (p_wave - p_wave.mean(1, keepdims=True), average[:, QRS] - level, average[:, T_WAVE] - level):
        mean_square = (np.square(wave[:3]).sum() + np.square(wave[6:]).sum()) / (9 * wave.shape[1])
        wave = wave[list(INDEPENDENT)]
        products.append(wave @ wave.T / wave.shape[1] / (mean_square + 0.02**2))
    return np.stack(products)


def swap_gains(wiring: np.ndarray) -> np.ndarray:
    """Weights ``(10, 3, 8, 8)`` of `wave_products` in what undoing each of `SWAPS` adds to the wiring score."""
    undone = np.stack([np.linalg.inv(change) for change in SWAPS.values()])
    return undone.swapaxes(1, 2)[:, None] @ wiring @ undone[:, None] - wiring


SWAP_GAINS = swap_gains(WIRING)


def swap_scores(products: np.ndarray, gains: np.ndarray = SWAP_GAINS) -> np.ndarray:
    """How much likelier each of `SWAPS` is than right wiring, log odds ``(..., 10)``, of `wave_products`."""
    return np.tensordot(products, gains, axes=([-3, -2, -1], [1, 2, 3]))


def _measure_wiring(average: np.ndarray) -> dict[str, tuple[float, str | None]]:
    """Evidence for the likeliest exchange of electrodes, as check to value and electrodes."""
    scores = swap_scores(wave_products(average))
    best = int(np.argmax(scores))
    return {"electrodes swapped": (scores[best], list(SWAPS)[best])}


def _measure_right_leg(average: np.ndarray) -> dict[str, tuple[float, str | None]]:
    """Height of the emptiest of I, II and III over that of the fullest limb lead, as check to value and lead.

    Both legs have nearly the same potential: with RA on the right leg II is empty, with LA on it III, with both I.
    """
    heights = np.ptp(average[: len(LIMB_LEADS)], axis=1)
    emptiest = int(np.argmin(heights[:3]))
    return {"right leg swapped": (100 * heights[emptiest] / max(heights.max(), 1e-6), LIMB_LEADS[emptiest])}


# -- Intervals --------------------------------------------------------------------------------------------------------

DELINEATION_RATE = 500  # Hz
DELINEATION_LEADS = ("I", "II", "V2", "V5", "V6")
WAVE_ENDS = ("ECG_P_Onsets", "ECG_T_Offsets")
PLAUSIBLE_MS = {"pr": (80, 400), "qrs": (50, 240), "qt": (220, 700)}
MOST_SPREAD_MS = 50  # between the quartiles of the leads
QRS_VELOCITY = 0.06  # of the greatest: the QRS lasts while the leads move faster
QRS_PAUSE_MS = 24  # at most, between two parts of a QRS
P_CONSISTENCY = 0.65
VALUES = ("heart_rate", "pr", "qrs", "qt", "qtc_bazett", "qtc_fridericia", "p_axis", "qrs_axis")


@dataclass(frozen=True)
class Intervals:
    """Heart rate (mean, beats/min), intervals (ms) and frontal axes (degrees); None where unreliable.

    qtc_bazett: QT / sqrt(RR). qtc_fridericia: QT / cbrt(RR), RR in s.
    reasons: the name of each value that is None to why.
    """

    heart_rate: float | None
    pr: float | None
    qrs: float | None
    qt: float | None
    qtc_bazett: float | None
    qtc_fridericia: float | None
    p_axis: float | None
    qrs_axis: float | None
    reasons: dict[str, str]


def intervals(recording: Recording) -> Intervals:
    """Heart rate, PR, QRS, QT, QTc and frontal axes of the usual heartbeat.

    QRS onset and end are global (CSE Working Party, Eur Heart J 1985;6:815): where the leads of the average beat start
    and stop to move fast. P onset and T end are neurokit2's in five leads (method "prominence"; Makowski et al., Behav
    Res Methods 2021;53:1689): the P onset that a quarter of the leads precede, since P is global too but some lead
    always errs, and the median T end. A value is None, with a reason, where the leads disagree, where it is
    implausible or where what it needs is missing; all are None without reliable heartbeats.
    Raises RecordingError as `assess` does.
    """
    require_judgeable(recording)
    bands = split_bands(np.asarray(recording.signal, np.float32), recording.sampling_rate)
    peaks, contrast = find_beats(bands.qrs)
    beats = cut_beats(bands.heart, peaks)
    if not _reliable(beats, contrast):
        return Intervals(*[None] * 8, dict.fromkeys(VALUES, "no reliable heartbeats"))
    heart_rate = _heart_rate(peaks)
    average = np.median(beats, axis=1)
    found = _measure_waves(recording, bands, peaks, average) | _measure_axes(average, recording.present)
    if _p_consistency(beats) < P_CONSISTENCY:
        found |= dict.fromkeys(("pr", "p_axis"), "no P wave stands out before the QRS complexes")
    for name, root in (("qtc_bazett", 2), ("qtc_fridericia", 3)):
        qt = found["qt"]
        found[name] = float(qt * (heart_rate / 60) ** (1 / root)) if isinstance(qt, float) else qt
    reasons = {name: value for name, value in found.items() if isinstance(value, str)}
    values = {name: None if name in reasons else value for name, value in found.items()}
    return Intervals(heart_rate, **values, reasons=reasons)


def _measure_waves(
    recording: Recording, bands: Bands, peaks: np.ndarray, average: np.ndarray
) -> dict[str, float | str]:
    """PR, QRS and QT in ms, or why not."""
    alive = recording.present & (np.ptp(bands.heart, axis=1) >= LEAD_CHECKS["flat"].limit)
    leads = [LEADS.index(lead) for lead in DELINEATION_LEADS if alive[LEADS.index(lead)]]
    if len(leads) < 3:
        return dict.fromkeys(PLAUSIBLE_MS, f"fewer than three of leads {', '.join(DELINEATION_LEADS)} have a signal")
    qrs_onset, qrs_end = qrs_ends(average[[lead for lead in INDEPENDENT if alive[lead]]])
    qrs = _judged("qrs", np.full(len(leads), qrs_end - qrs_onset))
    if isinstance(qrs, str):
        return {"qrs": qrs} | dict.fromkeys(("pr", "qt"), f"the QRS could not be measured: {qrs}")
    signal = resample(recording.signal[leads], recording.sampling_rate, DELINEATION_RATE)
    inside = peaks[(peaks >= BEFORE) & (peaks + AFTER <= bands.heart.shape[1])] * (DELINEATION_RATE // BAND_RATE)
    p_onset, t_end = np.array([_wave_ends(lead, inside) for lead in signal]).T
    return {
        "pr": _judged("pr", qrs_onset - p_onset, 0.75),
        "qrs": qrs,
        "qt": _judged("qt", t_end - qrs_onset),
    }


def _judged(name: str, by_lead: np.ndarray, quantile: float = 0.5) -> float | str:
    """A quantile of one interval's values in each lead (ms), or why not."""
    by_lead = by_lead[np.isfinite(by_lead)]
    if len(by_lead) < 3:
        return "the waves could not be told apart"
    first, value, last = np.quantile(by_lead, (0.25, quantile, 0.75))
    if last - first > MOST_SPREAD_MS:
        return f"the leads disagree ({first:.0f} to {last:.0f} ms)"
    low, high = PLAUSIBLE_MS[name]
    return float(value) if low <= value <= high else f"{value:.0f} ms is implausible"


def qrs_ends(average: np.ndarray) -> tuple[float, float]:
    """Onset and end of the QRS in ms from the R peak, of an average beat ``(leads, 90)`` at 100 Hz.

    The leads' velocities, each over the lead's range so that small leads count too, are added as vectors.
    """
    samples = average.shape[1]
    line = average[:, :1] + (average[:, -1:] - average[:, :1]) * np.linspace(0, 1, samples)
    factor = DELINEATION_RATE // BAND_RATE
    fine = scipy.fft.irfft(scipy.fft.rfft(average - line) * factor, n=samples * factor)
    velocity = np.gradient(fine, axis=1) / (np.ptp(average, axis=1, keepdims=True) + 0.1)
    speed = uniform_filter1d(np.sqrt(np.square(velocity).sum(0)), 3)
    peak = BEFORE * factor
    fastest = peak - 50 + int(np.argmax(speed[peak - 50 : peak + 60]))
    rest = np.quantile(speed[peak - 130 : peak + 150], 0.2)
    fast = np.flatnonzero(speed > rest + QRS_VELOCITY * (speed[fastest] - rest))
    part = np.cumsum(np.diff(fast, prepend=fast[0]) > QRS_PAUSE_MS * DELINEATION_RATE / 1000)
    qrs = fast[part == part[np.searchsorted(fast, fastest)]]
    return tuple((qrs[[0, -1]] - peak) * 1000 / DELINEATION_RATE)


def _wave_ends(lead: np.ndarray, peaks: np.ndarray) -> list[float]:
    """Onset of P and end of T in ms from the R peak, medians over beats of one lead at 500 Hz."""
    import neurokit2  # takes seconds to load, and `assess` does without

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cleaned = neurokit2.ecg_clean(lead, sampling_rate=DELINEATION_RATE)
            _, waves = neurokit2.ecg_delineate(cleaned, peaks, sampling_rate=DELINEATION_RATE, method="prominence")
        return [_median_ms(np.asarray(waves[name], float) - peaks) for name in WAVE_ENDS]
    except (ValueError, IndexError, ZeroDivisionError):  # what it raises, or returns of another length, without waves
        return [np.nan] * len(WAVE_ENDS)


def _median_ms(samples: np.ndarray) -> float:
    found = samples[np.isfinite(samples)]
    return float(np.median(found)) * 1000 / DELINEATION_RATE if 2 * len(found) > len(samples) else np.nan


def _p_consistency(beats: np.ndarray) -> float:
    """How alike the stretches before the QRS are, the usual correlation of a beat's with the average's (all leads)."""
    p_waves = beats[:, :, P_WAVE] - beats[:, :, P_WAVE].mean(2, keepdims=True)
    average = np.median(p_waves, axis=1, keepdims=True)
    energy = np.square(p_waves).sum((0, 2)) * np.square(average).sum() + 1e-12
    return float(np.median((p_waves * average).sum((0, 2)) / np.sqrt(energy)))


def _measure_axes(average: np.ndarray, present: np.ndarray) -> dict[str, float | str]:
    """Frontal axes in degrees from the net amplitudes in I and aVF, or why not."""
    i, avf = LEADS.index("I"), LEADS.index("aVF")
    if not present[[i, avf]].all():
        return dict.fromkeys(("p_axis", "qrs_axis"), "leads I and aVF are needed")
    average = average[[i, avf]]
    qrs = average[:, QRS] - np.median(average, axis=1, keepdims=True)
    p_wave = average[:, P_WAVE] - np.median(average[:, P_WAVE], axis=1, keepdims=True)
    axes = {}
    for name, wave, least_mv in (("p_axis", p_wave, 0.03), ("qrs_axis", qrs, 0.15)):
        x, y = (wave.max(1) + wave.min(1)) * (1, 2 / np.sqrt(3))
        small = np.hypot(x, y) < least_mv
        axes[name] = "too small to have a direction" if small else float(np.degrees(np.arctan2(y, x)))
    return axes
