"""What only the whole recording shows: RR intervals and voltages, as evidence for each output.

A window of a few seconds cannot show that a rhythm is irregular. So heartbeats are found in the whole recording, with
operations that ONNX has too (a fixed band-pass, maxima over time, sorting), and statistics of the intervals between
them go through a small multi-layer perceptron. They are those of heart-rate variability (Task Force of the ESC and
NASPE 1996) and of prematurity, the interval before a beat against the usual one. Beside them stands the usual height
of each lead's waves: criteria of hypertrophy and of low voltage are sums of a few such numbers.
"""

import torch
from scipy.signal import firwin
from torch import nn
from torch.nn import functional as F

from config import LEADS, SAMPLING_RATE

QRS_BAND_HZ = (6, 24)
FILTER_TAPS = 41
REFRACTORY = 25  # samples: no two beats are nearer than 0.25 s
SMOOTHING = 11  # samples
LARGEST_RATIO = 2.0  # of a lead's activity to its usual peak; more is an artefact
EARLY, LATE = 0.85, 1.15  # intervals relative to the median beyond which a beat is premature or late
LEAST_VOLTAGE = 0.05  # input scales, about 0.012 mV
RR_STATISTICS = (
    "log median RR",
    "log mean RR",
    "standard deviation",
    "RMSSD",
    "mean successive difference / median",
    "RMSSD / median",
    "median successive difference / median",
    "largest successive difference / median",
    "shortest / median",
    "longest / median",
    "share of early beats",
    "share of late beats",
    "correlation with the next",
    "correlation with the next but one",
    "beats a second",
    "log contrast",
    "spread of beat heights",
)


class BeatDetector(nn.Module):
    """Heartbeats of recordings ``(batch, 12, samples)`` at 100 Hz, in any unit; leads of zeros do not take part.

    Returns the QRS activity ``(batch, samples)``, whether each sample is a beat, and the contrast ``(batch,)``, the
    usual height of a beat over the mean activity.
    """

    def __init__(self):
        super().__init__()
        taps = firwin(FILTER_TAPS, QRS_BAND_HZ, pass_zero=False, fs=SAMPLING_RATE)
        self.register_buffer("taps", torch.tensor(taps, dtype=torch.float32)[None, None], persistent=False)

    def forward(self, signals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.find(self.merge_leads(*self.of_each_lead(signals)))

    def find(self, activity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Beats where the QRS activity ``(batch, samples)`` peaks; what `forward` returns."""
        samples = activity.shape[1]
        peaks = activity >= maximum(activity[:, None], 2 * REFRACTORY + 1, 1, REFRACTORY)[:, 0]
        each_second = maximum(activity[:, None], SAMPLING_RATE, SAMPLING_RATE)[:, 0].sort(1).values
        floor = 0.3 * each_second.narrow(1, each_second.shape[1] * 3 // 4, 1)
        heights = torch.where(peaks, activity, 0.0).topk(samples // REFRACTORY + 1, 1).values
        upper_middle = ((heights > floor).sum(1, keepdim=True) // 3).clamp_max(samples // REFRACTORY)
        usual = heights.gather(1, upper_middle)  # the median of the higher two thirds of the peaks
        beats = peaks & (activity > 0.45 * usual) & (activity > floor)
        return activity, beats, usual[:, 0] / (row_sum(activity) / samples).clamp_min(1e-6)

    def of_each_lead(self, signals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rectified QRS band of each lead relative to its usual peak ``(batch, 12, samples)``, and that peak."""
        batch, leads, samples = signals.shape
        band = F.conv1d(signals.reshape(batch * leads, 1, samples), self.taps, padding=FILTER_TAPS // 2)
        band = band.reshape(batch, leads, samples).abs()
        each_second = maximum(band, SAMPLING_RATE, SAMPLING_RATE).sort(2).values
        usual_peak = each_second.narrow(2, each_second.shape[2] // 2, 1)
        return (band / usual_peak.clamp_min(1e-6)).clamp_max(LARGEST_RATIO), usual_peak

    def merge_leads(self, relative: torch.Tensor, usual_peak: torch.Tensor) -> torch.Tensor:
        """QRS activity ``(batch, samples)``: the mean over leads that show any, over 0.11 s."""
        alive = (usual_peak > 0.05 * usual_peak.amax(1, keepdim=True)).to(relative.dtype)
        mean = alive.transpose(1, 2) @ relative / alive.sum(1, keepdim=True).clamp_min(1.0)
        return F.avg_pool1d(mean, SMOOTHING, 1, SMOOTHING // 2)[:, 0]


def maximum(x: torch.Tensor, size: int, stride: int, padding: int = 0) -> torch.Tensor:
    """Maximum over windows in time of ``(batch, channels, samples)``; in 2-D, since 1-D exports one length only."""
    return F.max_pool2d(x, (1, size), (1, stride), (0, padding))


def row_sum(x: torch.Tensor) -> torch.Tensor:
    """Sums of the rows of ``(batch, n)``, the same to the last bit in every batch.

    As a product of matrices a row: ONNX Runtime's own sums depend on where a row lies in memory, and on how many are.
    """
    return (x[:, None] @ torch.ones_like(x)[:, :, None])[:, 0, 0]


def rr_statistics(activity: torch.Tensor, beats: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """``RR_STATISTICS`` of recordings, ``(batch, 17)``, always finite, in s; arguments from `BeatDetector`."""
    samples = activity.shape[1]
    number = beats.sum(1).to(activity.dtype)
    times = torch.where(beats, torch.arange(samples, device=beats.device), 2 * samples)
    times = times.topk(samples // REFRACTORY + 1, 1, largest=False, sorted=True).values
    rr_s, valid = (times[:, 1:] - times[:, :-1]) / SAMPLING_RATE, (times[:, 1:] < samples).to(activity.dtype)
    rr_s, intervals = rr_s * valid, valid.sum(1).clamp_min(1.0)
    mean = row_sum(rr_s) / intervals
    median = torch.where(number > 1, masked_median(rr_s, valid), 0.8).clamp(0.2, 5.0)
    deviation = (rr_s - mean[:, None]) * valid
    variance = row_sum(deviation.square())
    both = valid[:, 1:]  # an interval and the one before it
    successive = (rr_s[:, 1:] - rr_s[:, :-1]).abs() * both
    pairs = both.sum(1).clamp_min(1.0)
    rmssd = (row_sum(successive.square()) / pairs).sqrt()
    relative = torch.where(valid > 0, rr_s / median[:, None], 1.0)
    height = row_sum(torch.where(beats, activity, 0.0)) / number.clamp_min(1)
    spread = row_sum(torch.where(beats, activity - height[:, None], 0.0).square()) / number.clamp_min(1)
    # four a recording: ONNX Runtime takes four at a time, and what is left over in another way
    logarithms = torch.stack((median, mean.clamp(0.2, 5.0), contrast.clamp(1.0, 100.0), median), 1).log()
    columns = (
        logarithms[:, 0],
        logarithms[:, 1],
        (variance / intervals).sqrt().clamp_max(2.0),
        rmssd.clamp_max(2.0),
        (row_sum(successive) / pairs / median).clamp_max(2.0),
        (rmssd / median).clamp_max(2.0),
        masked_median(successive, both).clamp_max(3.0) / median,
        (successive.amax(1) / median).clamp_max(3.0),
        relative.amin(1),
        relative.amax(1).clamp_max(4.0),
        ((relative < EARLY) * valid).sum(1) / intervals,
        ((relative > LATE) * valid).sum(1) / intervals,
        row_sum(deviation[:, 1:] * deviation[:, :-1]) / variance.clamp_min(1e-4),
        row_sum(deviation[:, 2:] * deviation[:, :-2]) / variance.clamp_min(1e-4),
        number / (samples / SAMPLING_RATE),
        logarithms[:, 2],
        spread.sqrt() / height.clamp_min(1e-6),
    )
    return torch.stack(columns, 1)


def masked_median(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Median of the values ``(batch, n)`` where valid is 1, ``(batch,)``; the mean of the middle two, as in numpy.

    Without any valid value the result is arbitrary.
    """
    ordered = torch.where(valid > 0, values, torch.inf).sort(1).values
    count = valid.sum(1, keepdim=True).long().clamp_min(1)
    middle = ordered.gather(1, torch.cat([(count - 1) // 2, count // 2], 1).clamp_max(values.shape[1] - 1))
    return torch.where(middle.isinf(), 0.0, middle).mean(1)


def voltages(signals: torch.Tensor) -> torch.Tensor:
    """Logarithms of how far each lead usually goes above and below its mean within a second, ``(batch, 24)``.

    signals: ``(batch, 12, samples)`` in input scales. Usually: the median over seconds.
    """
    mean = F.avg_pool2d(signals, (1, SAMPLING_RATE), (1, SAMPLING_RATE))
    above = maximum(signals, SAMPLING_RATE, SAMPLING_RATE) - mean
    below = mean + maximum(-signals, SAMPLING_RATE, SAMPLING_RATE)
    heights = torch.cat([above, below], 1).sort(2).values
    return heights.narrow(2, heights.shape[2] // 2, 1)[:, :, 0].clamp_min(LEAST_VOLTAGE).log()


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
        return torch.cat([rr_statistics(*self.detector(signals)), voltages(signals)], 1)

    def evidence(self, statistics: torch.Tensor) -> torch.Tensor:
        """``(batch, outputs)`` from ``(batch, 41)``."""
        return self.perceptron(self.normalise(statistics).clamp(-5.0, 5.0))

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        return self.evidence(self.statistics(signals))
