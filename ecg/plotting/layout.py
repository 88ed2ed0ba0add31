"""Where everything goes on a page of ECG paper: geometry only, shared by every view.

All positions are in mm from the page's lower left corner, y upwards.

Nothing is filtered. Each lead is moved up or down as a whole, so that its median lies on its baseline: the offset
of an amplifier says nothing about the heart and could push a trace off the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor

import numpy as np

from config import CHEST_LEADS, LEADS
from ecg.recording import Recording

SPEEDS_MM_S = (12.5, 25.0, 50.0)
GAINS_MM_MV = (5.0, 10.0, 20.0)
A4_LANDSCAPE_MM = (297.0, 210.0)
SQUARE_MM = 5  # between two strong lines
SIDE_MM, TOP_MM, BOTTOM_MM = 8, 11, 14  # least distance of the grid from the page's edges; text lies above and below
LEAD_IN_MM, LEAD_OUT_MM = 20, 10  # grid before the traces (the calibration pulse stands there) and after them
CALIBRATION_MV, CALIBRATION_S = 1.0, 0.2
LEAD_NAME_MM = (9.0, 3.0)  # room for the name of a lead: width, height
LEAST_ROW_MM = 8  # between two baselines, with room for a name
COLUMN_MM = 0.5  # two traces meet where they cross within this width


@dataclass(frozen=True)
class Scale:
    """Paper speed in mm/s and gain in mm/mV."""

    speed_mm_s: float = 25.0
    gain_mm_mv: float = 10.0

    def __post_init__(self):
        if self.speed_mm_s not in SPEEDS_MM_S:
            raise ValueError(f"the paper speed is one of {SPEEDS_MM_S} mm/s, not {self.speed_mm_s}")
        if self.gain_mm_mv not in GAINS_MM_MV:
            raise ValueError(f"the gain is one of {GAINS_MM_MV} mm/mV, not {self.gain_mm_mv}")


@dataclass(frozen=True)
class Arrangement:
    """Which leads stand where: columns of leads, then one full-width row for each rhythm lead. "-aVR" is inverted.

    continued: how many full-width rows of the one lead there is follow each other in time.
    """

    columns: tuple[tuple[str, ...], ...]
    rhythm: tuple[str, ...] = ()
    continued: int = 1

    @property
    def rows(self) -> int:
        return max(map(len, self.columns)) * self.continued + len(self.rhythm)


CABRERA_LEADS = ("aVL", "I", "-aVR", "II", "aVF", "III") + CHEST_LEADS


def _in_columns(leads: tuple[str, ...], rows: int) -> Arrangement:
    columns = tuple(leads[first : first + rows] for first in range(0, len(leads), rows))
    return Arrangement(columns=columns, rhythm=("II",) if rows == 3 else ())


MOST_CONTINUED = 3  # rows of a single lead: half a minute, as watches print it
STANDARD_FROM = 8  # as many leads keep their usual places, so that the gaps show which are missing
MOST_BELOW_EACH_OTHER = 3  # leads that each get the full width
ROWS = {"3x4": 3, "6x2": 6, "12x1": 12}
ARRANGEMENTS = {name: _in_columns(LEADS, rows) for name, rows in ROWS.items()}
ARRANGEMENTS |= {f"{name} Cabrera": _in_columns(CABRERA_LEADS, rows) for name, rows in ROWS.items()}


def arrange(present: np.ndarray, name: str, duration_s: float, row_s: float) -> Arrangement:
    """An arrangement with only what was recorded.

    present: bool ``(12,)``. name: a key of ``ARRANGEMENTS``. row_s: how much of the recording a full row can hold.
    One lead runs on over up to three rows; two or three get the full width each; from four leads on they stand in
    columns, and from eight on in their usual places.
    """
    whole = ARRANGEMENTS[name]
    if present.sum() >= STANDARD_FROM or not present.any():
        return whole
    recorded = {lead for lead, there in zip(LEADS, present, strict=True) if there}
    leads = tuple(one for column in whole.columns for one in column if one.removeprefix("-") in recorded)
    if len(leads) == 1:
        return Arrangement(columns=(leads,), continued=int(np.clip(ceil(duration_s / row_s - 0.01), 1, MOST_CONTINUED)))
    if len(leads) <= MOST_BELOW_EACH_OTHER:
        return Arrangement(columns=(leads,))
    rows = ROWS[name.split()[0]]
    columns = tuple(leads[first : first + rows] for first in range(0, len(leads), rows))
    rhythm = whole.rhythm if len(columns) > 1 and set(whole.rhythm) <= recorded else ()
    return Arrangement(columns=columns, rhythm=rhythm)


@dataclass(frozen=True)
class Box:
    """A rectangle in mm: lower left corner and size."""

    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float


@dataclass(frozen=True)
class Span:
    """A part of one lead to be shaded: from ``start_s`` to ``end_s`` (s), strength from 0 (invisible) to 1."""

    lead: str
    start_s: float
    end_s: float
    strength: float

    def __post_init__(self):
        if self.lead not in LEADS:
            raise ValueError(f"no lead {self.lead!r}; choose from {', '.join(LEADS)}")
        if not self.start_s <= self.end_s or not 0 <= self.strength <= 1:
            raise ValueError(f"a span ends after it starts and its strength is from 0 to 1, unlike {self}")


@dataclass(frozen=True)
class Strip:
    """A part of one lead on the page.

    lead: as in ``config.LEADS``. sign: -1 where the lead is drawn inverted, else 1. row: from the top.
    start_s, end_s: the part shown, in s of the recording.
    x_mm: where it starts. y_mm: its baseline, where ``baseline_mv`` (mV, the lead's median) is drawn.
    present: whether the lead was recorded.
    """

    lead: str
    sign: int
    row: int
    start_s: float
    end_s: float
    x_mm: float
    y_mm: float
    baseline_mv: float
    present: bool

    @property
    def label(self) -> str:
        """The lead's name as printed."""
        return self.lead if self.sign > 0 else f"\N{MINUS SIGN}{self.lead}"


@dataclass(frozen=True)
class Page:
    """A laid-out page: its size, where the grid lies, the strips, and the rows they stand in.

    duration_s, sampling_rate (Hz): of the recording; shown_s: how much of it is on the page, from its start.
    baselines_mm: y of each row's baseline, from the top. last_row_s: when the last row starts.
    """

    width_mm: float
    height_mm: float
    grid: Box
    scale: Scale
    strips: tuple[Strip, ...]
    baselines_mm: tuple[float, ...]
    duration_s: float
    sampling_rate: float
    shown_s: float
    last_row_s: float = 0.0

    def x_mm(self, strip: Strip, seconds: float | np.ndarray) -> float | np.ndarray:
        """Where a time of the recording (s) lies on a strip."""
        return strip.x_mm + (seconds - strip.start_s) * self.scale.speed_mm_s

    def y_mm(self, strip: Strip, millivolts: float | np.ndarray) -> float | np.ndarray:
        """Where a voltage of the strip's lead (mV) lies."""
        return strip.y_mm + strip.sign * (millivolts - strip.baseline_mv) * self.scale.gain_mm_mv

    def band_mm(self, row: int) -> tuple[float, float]:
        """Bottom and top of a row: half way to its neighbours."""
        distances = [above - below for above, below in pairwise(self.baselines_mm)]
        if not distances:
            return self.grid.y_mm, self.grid.y_mm + self.grid.height_mm
        above, below = distances[max(row - 1, 0)], distances[min(row, len(distances) - 1)]
        return self.baselines_mm[row] - below / 2, self.baselines_mm[row] + above / 2

    @property
    def scale_text(self) -> str:
        """Speed, gain, filter, sampling rate and time shown, for the foot of the page."""
        shown, total = f"{round(self.shown_s, 2):g} s", f"{round(self.duration_s, 2):g} s"
        time = total if shown == total else f"first {shown} of {total}"
        scale = f"{self.scale.speed_mm_s:g} mm/s · {self.scale.gain_mm_mv:g} mm/mV"
        return f"{scale} · {self.sampling_rate:g} Hz · no filter · {time}"


def layout(
    recording: Recording,
    scale: Scale | None = None,
    arrangement: str = "3x4",
    size_mm: tuple[float, float] = A4_LANDSCAPE_MM,
    foot_mm: float = 0.0,
) -> Page:
    """Place the leads of a recording on a page.

    Time runs on from column to column, so a rhythm strip shows the same beats as the leads above it. A recording
    longer than the row is shown from its start; a shorter one gives each column its share, so no lead is left out.
    Of fewer than eight leads only those that were recorded are placed, see `arrange`.

    scale: 25 mm/s and 10 mm/mV unless given.
    arrangement: a key of ``ARRANGEMENTS``.
    size_mm: width and height of the page. foot_mm: of the grid, kept free below the last row.
    Raises ValueError for an unknown arrangement or a page that is too small.
    """
    scale = scale or Scale()
    if arrangement not in ARRANGEMENTS:
        raise ValueError(f"no arrangement {arrangement!r}; choose from {', '.join(ARRANGEMENTS)}")
    grid = _grid(size_mm)
    room_mm = grid.width_mm - LEAD_IN_MM - LEAD_OUT_MM
    row_s = room_mm / scale.speed_mm_s
    if room_mm <= 0:
        raise ValueError(f"a page of {size_mm[0]:g} x {size_mm[1]:g} mm is too small for an ECG")
    arranged = arrange(recording.present, arrangement, recording.duration, row_s)
    if grid.height_mm < arranged.rows * SQUARE_MM:
        raise ValueError(f"a page of {size_mm[0]:g} x {size_mm[1]:g} mm is too small for an ECG")
    shown_s = min(recording.duration, row_s * arranged.continued)
    page = Page(
        width_mm=size_mm[0],
        height_mm=size_mm[1],
        grid=grid,
        scale=scale,
        strips=_strips(recording, grid, scale, arranged, shown_s),
        baselines_mm=(0.0,) * arranged.rows,
        duration_s=recording.duration,
        sampling_rate=recording.sampling_rate,
        shown_s=shown_s,
        last_row_s=shown_s / arranged.continued * (arranged.continued - 1),
    )
    return _with_baselines(page, recording, foot_mm)


def _strips(
    recording: Recording, grid: Box, scale: Scale, arrangement: Arrangement, shown_s: float
) -> tuple[Strip, ...]:
    """The strips in their columns; `_with_baselines` gives them their heights."""
    columns, rhythm = arrangement.columns, arrangement.rhythm
    edges_s = np.linspace(0, shown_s, len(columns) * arrangement.continued + 1).tolist()
    places = [
        (name, row, edges_s[column], edges_s[column + 1], edges_s[column])
        for column, names in enumerate(columns)
        for row, name in enumerate(names)
    ]
    if arrangement.continued > 1:
        ((name,),) = columns
        places = [(name, row, *part, 0.0) for row, part in enumerate(pairwise(edges_s))]
    first = arrangement.rows - len(rhythm)
    places += [(name, row, 0.0, shown_s, 0.0) for row, name in enumerate(rhythm, start=first)]
    strips = []
    for name, row, start_s, end_s, from_left_s in places:
        lead = name.removeprefix("-")
        strip = Strip(
            lead=lead,
            sign=-1 if name.startswith("-") else 1,
            row=row,
            start_s=start_s,
            end_s=end_s,
            x_mm=grid.x_mm + LEAD_IN_MM + from_left_s * scale.speed_mm_s,
            y_mm=0.0,
            baseline_mv=_median(_samples(recording, lead, 0, shown_s)[1]),
            present=bool(recording.present[LEADS.index(lead)]),
        )
        strips.append(strip)
    return tuple(strips)


def _with_baselines(page: Page, recording: Recording, foot_mm: float) -> Page:
    """Place the rows, with room above the first and below the last for their own tallest waves.

    The rows are spread evenly. If tall waves would then meet and there is room elsewhere, each gets the room it needs.
    """
    grid, rows = page.grid, len(page.baselines_mm)
    lowest, highest = _reach_mm(page, recording)

    def edges_mm(least: float) -> tuple[int, int]:
        """Head and foot."""
        reaches = max(highest[0].max(), CALIBRATION_MV * page.scale.gain_mm_mv), -lowest[-1].min()
        # Beyond a quarter of the paper it is an artefact or a spike, which may be cut.
        head, foot = (ceil(np.clip(reach + 1, least, grid.height_mm / 4)) for reach in reaches)
        return head, foot + ceil(foot_mm)

    needed = np.ceil((highest[1:] - lowest[:-1]).max(axis=1) + 1)
    head, foot = edges_mm(grid.height_mm / rows / 2)
    room = int(grid.height_mm) - head - foot
    distances = np.full(rows - 1, room // max(rows - 1, 1))  # whole mm keep every baseline on a grid line
    if (needed > distances).any():
        least = min(LEAST_ROW_MM, distances[0])
        tight_head, tight_foot = edges_mm(least / 2)
        tight_room = int(grid.height_mm) - tight_head - tight_foot
        needed = needed.clip(least)
        if needed.sum() <= tight_room:
            head, room, distances = tight_head, tight_room, needed + (tight_room - needed.sum()) // (rows - 1)
    top = grid.y_mm + grid.height_mm - head - (room - distances.sum()) // 2
    baselines = tuple((top - np.concatenate([[0], distances.cumsum()])).tolist())
    strips = tuple(replace(strip, y_mm=baselines[strip.row]) for strip in page.strips)
    return replace(page, strips=strips, baselines_mm=baselines)


def _reach_mm(page: Page, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest y (mm) of each row in columns of the page, ``(rows, columns)``; +inf and -inf where empty.

    On a page without baselines they are relative to the row's own.
    """
    width_mm = max(COLUMN_MM, page.scale.speed_mm_s / recording.sampling_rate)  # no column between two samples
    lowest = np.full((len(page.baselines_mm), int(page.width_mm / width_mm) + 1), np.inf)
    highest = -lowest
    every, later, earlier = slice(None), slice(1, None), slice(-1)
    for strip in page.strips:
        if strip.present:
            x, y = trace_mm(page, strip, recording).T
            column = (x / width_mm).astype(int)
            for here, end in ((every, every), (later, earlier), (earlier, later)):
                np.fmin.at(lowest[strip.row], column[here], y[end])  # a line belongs to the columns of both its ends
                np.fmax.at(highest[strip.row], column[here], y[end])
    return lowest, highest


def traces_overlap(page: Page, recording: Recording) -> bool:
    """Whether the trace of any row meets one of a row above it."""
    lowest, highest = _reach_mm(page, recording)
    return bool((highest[1:] >= np.minimum.accumulate(lowest)[:-1]).any())


def _grid(size_mm: tuple[float, float]) -> Box:
    """The largest grid of whole 5 mm squares between the margins."""
    width, height = size_mm
    across = floor((width - 2 * SIDE_MM) / SQUARE_MM) * SQUARE_MM
    up = floor((height - TOP_MM - BOTTOM_MM) / SQUARE_MM) * SQUARE_MM
    return Box(x_mm=(width - across) / 2, y_mm=BOTTOM_MM, width_mm=across, height_mm=up)


def _samples(recording: Recording, lead: str, start_s: float, end_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Times (s) and voltages (mV) of a lead's samples from ``start_s`` to ``end_s``, both included."""
    rounding = 1e-6  # in samples
    first = ceil(start_s * recording.sampling_rate - rounding)
    last = floor(end_s * recording.sampling_rate + rounding)
    millivolts = recording.signal[LEADS.index(lead), first : last + 1]
    return (first + np.arange(len(millivolts))) / recording.sampling_rate, millivolts


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0


def trace_mm(page: Page, strip: Strip, recording: Recording) -> np.ndarray:
    """The points of a strip's trace, ``(samples, 2)`` in mm; NaN where the recording has no number."""
    seconds, millivolts = _samples(recording, strip.lead, strip.start_s, strip.end_s)
    heights = page.y_mm(strip, np.where(np.isfinite(millivolts), millivolts, np.nan))
    return np.column_stack([page.x_mm(strip, seconds), heights])


def calibration_mm(page: Page) -> list[np.ndarray]:
    """The calibration pulses (1 mV, 200 ms), each ``(6, 2)`` in mm: one a row, or only the lowest if they touched."""
    height = CALIBRATION_MV * page.scale.gain_mm_mv
    end = page.grid.x_mm + LEAD_IN_MM - SQUARE_MM
    start = end - CALIBRATION_S * page.scale.speed_mm_s
    xs = [start - 2, start, start, end, end, end + 2]
    closest = min((above - below for above, below in pairwise(page.baselines_mm)), default=page.grid.height_mm)
    rows = page.baselines_mm if height < closest else page.baselines_mm[-1:]
    return [np.column_stack([xs, np.array([0, 0, height, height, 0, 0]) + y_mm]) for y_mm in rows]


def shaded_boxes(page: Page, spans: Sequence[Span]) -> list[tuple[Box, float]]:
    """Where the spans lie on the page, with their strengths: one box for every strip that shows a part of a span."""
    boxes = []
    for strip in page.strips:
        for span in spans:
            start, end = max(span.start_s, strip.start_s), min(span.end_s, strip.end_s)
            if span.lead == strip.lead and start < end:
                left, right = page.x_mm(strip, start), page.x_mm(strip, end)
                bottom, top = np.clip(page.band_mm(strip.row), page.grid.y_mm, page.grid.y_mm + page.grid.height_mm)
                box = Box(x_mm=left, y_mm=bottom, width_mm=right - left, height_mm=top - bottom)
                boxes.append((box, span.strength))
    return boxes


def lead_name_y_mm(page: Page, strip: Strip, trace: np.ndarray | None) -> float:
    """Where a lead's name stands: 5 mm above the baseline, or over the first wave as far as the row above allows.

    trace: of the strip, as `trace_mm` returns it; None if the lead was not recorded.
    """
    near = [] if trace is None else trace[trace[:, 0] < strip.x_mm + LEAD_NAME_MM[0], 1]
    wave = np.nanmax([strip.y_mm + 4, *near]) + 1
    row_above = 2 * page.band_mm(strip.row)[1] - strip.y_mm - 2
    return min(wave, row_above - LEAD_NAME_MM[1], page.grid.y_mm + page.grid.height_mm - LEAD_NAME_MM[1])
