"""Heart rate, PR, QRS, QT, QTc and frontal axes, in about 0.1 s."""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

from config import LEADS, described
from ecg.bands import BAND_RATE, Bands, split_bands
from ecg.beats import AFTER, BEFORE, P_WAVE, QRS, cut_beats, find_beats, require_measurable
from ecg.electrode_swaps import INDEPENDENT
from ecg.heart_rate import are_reliable, mean_heart_rate
from ecg.preprocessing import resample
from ecg.quality import LEAD_CHECKS
from ecg.recording import Recording
from ecg.rhythm_signs import P_CONSISTENCY, p_consistency
from ecg.rr_intervals import rr_intervals_of
from ecg.warnings_lock import caught_warnings

DELINEATION_RATE = 500  # Hz
DELINEATION_LEADS = ("I", "II", "V2", "V5", "V6")
WAVE_ENDS = ("ECG_P_Onsets", "ECG_T_Offsets")
PLAUSIBLE_MS = {"pr": (80, 400), "qrs": (50, 240), "qt": (220, 700)}
MOST_SPREAD_MS = 50  # between the quartiles of the leads
QRS_VELOCITY = 0.06  # of the greatest: the QRS lasts while the leads move faster
QRS_PAUSE_MS = 24  # at most, between two parts of a QRS
NOT_INSTALLED = "measuring it needs the package neurokit2, which is not installed: pip install neurokit2"
VALUES = ("heart_rate", "pr", "qrs", "qt", "qtc_bazett", "qtc_fridericia", "p_axis", "qrs_axis")


@dataclass(frozen=True)
class Intervals:
    """Measurements of the usual heartbeat; null where unreliable."""

    heart_rate: float | None = described("mean, beats/min")
    pr: float | None = described("PR interval, ms")
    qrs: float | None = described("QRS duration, ms")
    qt: float | None = described("QT interval, ms")
    qtc_bazett: float | None = described("QT / √RR, ms")
    qtc_fridericia: float | None = described("QT / ∛RR, ms")
    p_axis: float | None = described("frontal axis of the P wave, degrees")
    qrs_axis: float | None = described("frontal axis of the QRS, degrees")
    reasons: dict[str, str] = described("why, for each value that is null")
    beats: int | None = described("heartbeats found", default=None)
    early_beats: int | None = described("of these, those after less than 0.85 of the usual RR interval", default=None)


def measure_intervals(recording: Recording) -> Intervals:
    """Heart rate, PR, QRS, QT, QTc and frontal axes of the usual heartbeat.

    QRS onset and end are global (CSE Working Party, Eur Heart J 1985;6:815): where the leads of the average beat start
    and stop to move fast. P onset and T end are neurokit2's in five leads (method "prominence"; Makowski et al., Behav
    Res Methods 2021;53:1689): the P onset that a quarter of the leads precede, since P is global too but some lead
    always errs, and the median T end. A value is None, with a reason, where the leads disagree, where it is
    implausible or where what it needs is missing; all are None without reliable heartbeats.
    Raises RecordingError as `assess` does.
    """
    require_measurable(recording)
    bands = split_bands(np.asarray(recording.signal, np.float32), recording.sampling_rate)
    peaks, contrast = find_beats(bands.qrs)
    beats = cut_beats(bands.heart, peaks)
    if not are_reliable(beats, contrast):
        return Intervals(**dict.fromkeys(VALUES), reasons=dict.fromkeys(VALUES, "no reliable heartbeats"))
    heart_rate = mean_heart_rate(peaks)
    average = np.median(beats, axis=1)
    found = _measure_waves(recording, bands, peaks, average) | _measure_axes(average, recording.present)
    if p_consistency(beats) < P_CONSISTENCY:
        found |= dict.fromkeys(("pr", "p_axis"), "no P wave stands out before the QRS complexes")
    for name, root in (("qtc_bazett", 2), ("qtc_fridericia", 3)):
        qt = found["qt"]
        found[name] = float(qt * (heart_rate / 60) ** (1 / root)) if isinstance(qt, float) else qt
    reasons = {name: value for name, value in found.items() if isinstance(value, str)}
    values = {name: None if name in reasons else value for name, value in found.items()}
    early = rr_intervals_of(peaks / BAND_RATE).early
    return Intervals(heart_rate=heart_rate, **values, reasons=reasons, beats=len(early), early_beats=int(early.sum()))


def _measure_waves(
    recording: Recording, bands: Bands, peaks: np.ndarray, average: np.ndarray
) -> dict[str, float | str]:
    """PR, QRS and QT in ms, or why not."""
    alive = recording.present & (np.ptp(bands.heart, axis=1) >= LEAD_CHECKS["flat"].limit)
    leads = [LEADS.index(lead) for lead in DELINEATION_LEADS if alive[LEADS.index(lead)]]
    if len(leads) < 3:
        return dict.fromkeys(PLAUSIBLE_MS, f"fewer than three of leads {', '.join(DELINEATION_LEADS)} have a signal")
    qrs_onset, qrs_end = qrs_ends(average[[lead for lead in INDEPENDENT if alive[lead]]])
    qrs = _agreed("qrs", np.full(len(leads), qrs_end - qrs_onset))
    if isinstance(qrs, str):
        return {"qrs": qrs} | dict.fromkeys(("pr", "qt"), f"the QRS could not be measured: {qrs}")
    if find_spec("neurokit2") is None:
        return {"qrs": qrs} | dict.fromkeys(("pr", "qt"), NOT_INSTALLED)
    signal = resample(recording.signal[leads], recording.sampling_rate, DELINEATION_RATE)
    inside = peaks[(peaks >= BEFORE) & (peaks + AFTER <= bands.heart.shape[1])] * (DELINEATION_RATE // BAND_RATE)
    p_onset, t_end = np.array([_wave_ends(lead, inside) for lead in signal]).T
    return {
        "pr": _agreed("pr", qrs_onset - p_onset, 0.75),
        "qrs": qrs,
        "qt": _agreed("qt", t_end - qrs_onset),
    }


def _agreed(name: str, by_lead: np.ndarray, quantile: float = 0.5) -> float | str:
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
    import neurokit2  # takes seconds to import: the page opens and the server starts without

    try:
        with caught_warnings():
            cleaned = neurokit2.ecg_clean(lead, sampling_rate=DELINEATION_RATE)
            _, waves = neurokit2.ecg_delineate(cleaned, peaks, sampling_rate=DELINEATION_RATE, method="prominence")
        return [_median_ms(np.asarray(waves[name], float) - peaks) for name in WAVE_ENDS]
    except (ValueError, IndexError, ZeroDivisionError):  # what it raises, or returns of another length, without waves
        return [np.nan] * len(WAVE_ENDS)


def _median_ms(samples: np.ndarray) -> float:
    found = samples[np.isfinite(samples)]
    return float(np.median(found)) * 1000 / DELINEATION_RATE if 2 * len(found) > len(samples) else np.nan


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
