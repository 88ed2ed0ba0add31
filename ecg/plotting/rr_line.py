"""The line of RR intervals at the foot of the paper: geometry only, in mm as in `ecg.plotting.layout`.

Time runs on from column to column in every arrangement, so one line below the last row fits all of them. Where one lead
runs on over several rows, it is the last one's.
"""

from dataclasses import dataclass
from itertools import pairwise

from ecg.plotting.layout import LEAD_IN_MM, Page
from ecg.rr_intervals import RRIntervals

RR_LINE_MM = 8.0  # of the paper, kept free by ``layout(..., foot_mm=RR_LINE_MM)``
DIGIT_MM = 1.55  # of a number
EARLY_MARK = "▼"


@dataclass(frozen=True)
class BeatMark:
    """One beat: where it is on the page, and whether it comes early."""

    x_mm: float
    early: bool


@dataclass(frozen=True)
class IntervalMark:
    """The number (ms, as text) of the RR interval between two beats, where it stands, and whether its end is early."""

    x_mm: float
    text: str
    early: bool


def beat_marks(page: Page, rr: RRIntervals) -> list[BeatMark]:
    """The beats that are in the last row."""
    start_mm = page.grid.x_mm + LEAD_IN_MM
    return [
        BeatMark(x_mm=start_mm + float(second - page.last_row_s) * page.scale.speed_mm_s, early=bool(early))
        for second, early in zip(rr.beats_s, rr.early, strict=True)
        if page.last_row_s <= second <= page.shown_s
    ]


def interval_marks(page: Page, rr: RRIntervals) -> list[IntervalMark]:
    """The RR intervals in the last row with room for their number."""
    marks, first = [], int((rr.beats_s < page.last_row_s).sum())
    for (left, right), milliseconds in zip(pairwise(beat_marks(page, rr)), rr.milliseconds[first:], strict=False):
        text = f"{milliseconds:.0f}"
        if right.x_mm - left.x_mm >= DIGIT_MM * len(text):
            marks.append(IntervalMark(x_mm=(left.x_mm + right.x_mm) / 2, text=text, early=right.early))
    return marks
