"""What only the whole recording shows: RR intervals and voltages, as evidence for each output.

A window of a few seconds cannot show that a rhythm is irregular. So heartbeats are found in the whole recording, with
operations that ONNX has too (a fixed band-pass, maxima over time, sorting), and statistics of the intervals between
them go through a small multi-layer perceptron. They are those of heart-rate variability (Task Force of the ESC and
NASPE 1996) and of prematurity, the interval before a beat against the usual one. Beside them stands the usual height
of each lead's waves: criteria of hypertrophy and of low voltage are sums of a few such numbers.
"""

import math
from typing import NamedTuple

import torch
from scipy.signal import firwin
from torch import nn
from torch.nn import functional as F

from config import LEADS, SAMPLING_RATE

QRS_BAND_HZ = (6, 24)
FILTER_TAPS = 41
PHASES = 16  # samples that are filtered at once
PADDING = FILTER_TAPS // 2 + PHASES - 1  # samples, on both sides of a signal
REFRACTORY = 25  # samples: no two beats are nearer than 0.25 s
NO_BEAT = 1 << 40  # samples: later than any beat
SMOOTHING = 11  # samples
LARGEST_RATIO = 2.0  # of a lead's activity to its usual peak; more is an artefact
EARLY, LATE = 0.85, 1.15  # intervals relative to the median beyond which a beat is premature or late
LEAST_VOLTAGE = 0.05  # input scales, about 0.012 mV
RR_STATISTICS = {  # and the largest value of each
    "log median RR": math.inf,
    "log mean RR": math.inf,
    "standard deviation": 2.0,
    "RMSSD": 2.0,
    "mean successive difference / median": 2.0,
    "RMSSD / median": 2.0,
    "median successive difference / median": math.inf,
    "largest successive difference / median": 3.0,
    "shortest / median": math.inf,
    "longest / median": 4.0,
    "share of early beats": math.inf,
    "share of late beats": math.inf,
    "correlation with the next": math.inf,
    "correlation with the next but one": math.inf,
    "beats a second": math.inf,
    "log contrast": math.inf,
    "spread of beat heights": math.inf,
}
LARGEST = list(RR_STATISTICS.values())


class Beats(NamedTuple):
    """Heartbeats of recordings of equal length.

    times: ``(batch, 1, n)`` the sample of each, in order, then `NO_BEAT` where a recording has fewer.
    heights: ``(batch, 1, n)`` of the QRS activity there. contrast: ``(batch, 1, 1)``, the usual height of a beat over
    the mean activity. seconds: that the recordings last.
    """

    times: torch.Tensor
    heights: torch.Tensor
    contrast: torch.Tensor
    seconds: float


class BeatDetector(nn.Module):
    """Heartbeats of recordings ``(batch, 12, samples)`` at 100 Hz, in any unit; leads of zeros do not take part.

    Returns `Beats`.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("filters", shifted_filters(), persistent=False)
        self.register_buffer("smoothing", torch.full((1, 1, 1, SMOOTHING), 1 / SMOOTHING), persistent=False)

    def forward(self, signals: torch.Tensor) -> Beats:
        return self.find(self.merge_leads(*self.of_each_lead(signals)))

    def find(self, activity: torch.Tensor) -> Beats:
        """Beats where the QRS activity ``(batch, 1, 1, samples)`` peaks."""
        samples = activity.shape[3]
        peaks = activity >= maximum(activity, 2 * REFRACTORY + 1, 1, REFRACTORY)
        floor = 0.3 * ranked(maximum(activity, SAMPLING_RATE, SAMPLING_RATE), samples // SAMPLING_RATE * 3 // 4)
        heights, places = torch.where(peaks, activity, 0.0).topk(samples // REFRACTORY + 1, 3)
        upper_middle = (floats(heights > floor).sum(3, keepdim=True) / 3).long().clamp_max(samples // REFRACTORY)
        usual = heights.gather(3, upper_middle)  # the median of the higher two thirds of the peaks
        beats = heights > torch.maximum(0.45 * usual, floor)
        times, order = torch.where(beats, places, NO_BEAT).sort(3)
        contrast = usual / (row_sums(activity) / samples).clamp_min(1e-6)
        return Beats(times[:, 0], heights.gather(3, order)[:, 0], contrast[:, 0], samples / SAMPLING_RATE)

    def of_each_lead(self, signals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rectified QRS band of each lead relative to its usual peak ``(batch, 1, 12, samples)``, and that peak."""
        samples = signals.shape[2]
        band = F.conv2d(signals[:, None], self.filters, stride=(1, PHASES), padding=(0, PADDING))
        band = band.permute(0, 2, 3, 1).flatten(2)[:, None, :, :samples].abs()
        usual_peak = ranked(maximum(band, SAMPLING_RATE, SAMPLING_RATE), samples // SAMPLING_RATE // 2)
        return (band / usual_peak.clamp_min(1e-6)).clamp_max(LARGEST_RATIO), usual_peak

    def merge_leads(self, relative: torch.Tensor, usual_peak: torch.Tensor) -> torch.Tensor:
        """QRS activity ``(batch, 1, 1, samples)``: the mean over leads that show any, over 0.11 s."""
        alive = floats(usual_peak > 0.05 * usual_peak.amax(2, keepdim=True))
        weights = (alive / alive.sum(2, keepdim=True).clamp_min(1.0)).transpose(2, 3)
        return F.conv2d(weights @ relative, self.smoothing, padding=(0, SMOOTHING // 2))


def shifted_filters() -> torch.Tensor:
    """The band-pass for QRS complexes, ``PHASES`` times, each one sample later: ``(PHASES, 1, 1, taps)``.

    Strided by as many samples they filter a signal as one filter does, each channel its share of the samples, five
    times as fast: a convolution with one output channel leaves most of a vector unit idle.
    """
    taps = torch.tensor(firwin(FILTER_TAPS, QRS_BAND_HZ, pass_zero=False, fs=SAMPLING_RATE), dtype=torch.float32)
    filters = torch.zeros(PHASES, 1, 1, 2 * PADDING + 1)
    for phase in range(PHASES):
        first = PADDING - FILTER_TAPS // 2 + phase
        filters[phase, 0, 0, first : first + FILTER_TAPS] = taps
    return filters


def maximum(x: torch.Tensor, size: int, stride: int, padding: int = 0) -> torch.Tensor:
    """Maximum over windows in time of ``(batch, channels, leads, samples)``."""
    return F.max_pool2d(x, (1, size), (1, stride), (0, padding))


def ranked(x: torch.Tensor, rank: int) -> torch.Tensor:
    """The value of this rank, 0 the smallest, in each row of ``(..., n)``: ``(..., 1)``."""
    return x.topk(rank + 1, -1, largest=False).values[..., -1:]


def floats(condition: torch.Tensor) -> torch.Tensor:
    """True as 1, False as 0."""
    return condition.to(torch.float32)


def row_sums(x: torch.Tensor) -> torch.Tensor:
    """Sums of the rows of ``(..., rows, n)``, the same to the last bit in every batch: ``(..., rows, 1)``.

    As a product of matrices a recording: ONNX Runtime's own sums depend on where a row lies in memory, and on how many
    are.
    """
    return x @ torch.ones_like(x[..., :1, :]).transpose(-1, -2)


def before(x: torch.Tensor, beats: int = 1) -> torch.Tensor:
    """Rows moved on by one beat or more, zeros first: what was there before."""
    return F.pad(x, (beats, -beats))


def rr_statistics(beats: Beats) -> torch.Tensor:
    """``RR_STATISTICS`` of recordings, ``(batch, 17)``, always finite, in s.

    Written for few operations on many rows at once: in ONNX Runtime the number of operations is what it costs.
    """
    found = beats.times < NO_BEAT
    valid = found & before(found)  # an interval ends at each beat but the first
    both = valid & before(valid)  # an interval and the one before it
    rr_s = (beats.times - before(beats.times)) / SAMPLING_RATE
    masks = floats(torch.cat([found, valid, both], 1))
    there, between = masks.split([2, 1], 1)
    values = torch.cat([beats.heights, rr_s], 1) * there
    rr_s = values[:, 1:]
    # how many beats, intervals and pairs of intervals there are; the sums of heights and of intervals
    sums = row_sums(torch.cat([masks, values], 1))
    number = sums[:, :1]
    counts, totals = sums[:, :3].clamp_min(1.0), sums[:, 3:]
    means = totals / counts[:, :2]

    successive = (rr_s - before(rr_s)).abs() * between
    medians = masked_median(torch.cat([rr_s, successive], 1), masks[:, 1:], counts[:, 1:])
    logarithmic = torch.cat([torch.where(number > 1, medians[:, :1], 0.8), means[:, 1:]], 1).clamp(0.2, 5.0)
    median = logarithmic[:, :1]
    relative = torch.where(valid, rr_s / median, 1.0)
    unusual = floats(torch.cat([relative < EARLY, relative > LATE], 1))  # only where an interval is valid

    roots, shares = spread_and_shares((values - means) * there, successive, between, unusual, counts)
    in_medians = torch.cat([shares[:, :1], roots[:, 2:], medians[:, 1:].clamp_max(3.0)], 1)
    in_medians = torch.cat([in_medians, successive.amax(2, keepdim=True)], 1) / median
    # four a recording: ONNX Runtime takes four at a time, and what is left over in another way
    logarithms = torch.cat([logarithmic, beats.contrast.clamp(1.0, 100.0), median], 1).log()
    columns = (
        logarithms[:, :2],
        roots[:, 1:],
        in_medians,
        relative.amin(2, keepdim=True),
        relative.amax(2, keepdim=True),
        shares[:, 3:],
        shares[:, 1:3],
        number / beats.seconds,
        logarithms[:, 2:3],
        roots[:, :1] / means[:, :1].clamp_min(1e-6),
    )
    return torch.minimum(torch.cat(columns, 1)[:, :, 0], torch.tensor(LARGEST, device=number.device))


def spread_and_shares(
    centred: torch.Tensor, successive: torch.Tensor, between: torch.Tensor, unusual: torch.Tensor, counts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Roots of mean squares ``(batch, 3, 1)``: of heights, of intervals (standard deviations), of successive
    differences (RMSSD); and shares ``(batch, 5, 1)``: mean successive difference, correlation of an interval with the
    next and with the next but one, early and late beats.

    centred: heights and intervals without their means ``(batch, 2, n)``. successive: differences ``(batch, 1, n)``,
    between: 1 where there is one. unusual: 1 at early and at late beats ``(batch, 2, n)``. counts: of beats, intervals
    and successive differences ``(batch, 3, 1)``, at least 1.
    """
    deviation = centred[:, 1:]
    left = torch.cat([centred, successive, successive, deviation, deviation], 1)
    right = torch.cat([centred, successive, between, before(deviation), before(deviation, 2)], 1)
    sums = row_sums(torch.cat([left * right, unusual], 1))
    variance, intervals = sums[:, 1:2].clamp_min(1e-4), counts[:, 1:2]
    of = torch.cat([counts, counts[:, 2:], variance, variance, intervals, intervals], 1)
    squares, shares = (sums / of).split([3, 5], 1)
    return squares.sqrt(), shares


def masked_median(values: torch.Tensor, mask: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Medians of rows ``(batch, rows, n)`` where the mask is 1, ``(batch, rows, 1)``.

    The mean of the middle two, as in numpy; 0 without any value. counts: of the values, ``(batch, rows, 1)``, at
    least 1.
    """
    ordered = torch.where(mask > 0, values, torch.inf).sort(2).values
    half = counts / 2
    middle = ordered.gather(2, torch.cat([half.ceil() - 1, half.floor()], 2).long().clamp_max(values.shape[2] - 1))
    return torch.where(middle.isinf(), 0.0, middle).mean(2, keepdim=True)


def voltages(signals: torch.Tensor) -> torch.Tensor:
    """Logarithms of how far each lead usually goes above and below its mean within a second, ``(batch, 24)``.

    signals: ``(batch, 12, samples)`` in input scales. Usually: the median over seconds.
    """
    batch, leads, samples = signals.shape
    count = samples // SAMPLING_RATE
    seconds = signals[:, :, : count * SAMPLING_RATE].reshape(batch, leads * count, SAMPLING_RATE)
    mean = row_sums(seconds)[..., 0] / SAMPLING_RATE
    heights = torch.cat([seconds.amax(2) - mean, mean - seconds.amin(2)], 1).unflatten(1, (2 * leads, count))
    usual = ranked(heights, count // 2)
    return usual.flatten(1).clamp_min(LEAST_VOLTAGE).log()


class RecordingBranch(nn.Module):
    """Evidence for each output from whole recordings, to be added to its logit.

    Input: float ``(batch, 12, samples)`` at 100 Hz in input scales, at least 3 s. Output: ``(batch, outputs)``.
    """

    def __init__(self, outputs: int, hidden: int = 48):
        super().__init__()
        inputs = len(RR_STATISTICS) + 2 * len(LEADS)
        self.detector = BeatDetector()
        self.normalise = nn.BatchNorm1d(inputs, affine=False)
        self.perceptron = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, outputs)
        )

    def statistics(self, signals: torch.Tensor) -> torch.Tensor:
        """`rr_statistics` and `voltages` of recordings, ``(batch, 41)``; nothing in it is trained."""
        signals = signals.float()
        return torch.cat([rr_statistics(self.detector(signals)), voltages(signals)], 1)

    def evidence(self, statistics: torch.Tensor) -> torch.Tensor:
        """``(batch, outputs)`` from ``(batch, 41)``."""
        return self.perceptron(self.normalise(statistics).clamp(-5.0, 5.0))

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        return self.evidence(self.statistics(signals))
