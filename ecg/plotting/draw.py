"""A 12-lead ECG on millimetre paper, at true scale, as a cardiologist reads it.

    figure = draw(recording, Scale(25, 10), "3x4", caption="PTB-XL 1, woman of 56", notice=RESEARCH_ONLY)
    save(figure, "ecg.pdf")  # A4 landscape: print at 100 %, and 25 mm on the paper are 1 s

`ecg.plotting.layout` decides where everything goes; this module draws it with matplotlib.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ecg.plotting.layout import (
    A4_LANDSCAPE_MM,
    BOTTOM_MM,
    LEAD_IN_MM,
    LEAD_NAME_MM,
    SQUARE_MM,
    TOP_MM,
    Box,
    Page,
    Scale,
    Span,
    Strip,
    calibration_mm,
    layout,
    lead_name_y_mm,
    shaded_boxes,
    trace_mm,
)
from ecg.plotting.rr_line import EARLY_MARK, RR_LINE_MM, beat_marks, interval_marks
from ecg.recording import Recording
from ecg.rr_intervals import RRIntervals
from files import replacing

MM_PER_INCH, POINTS_PER_MM = 25.4, 72 / 25.4
DPI = 254  # 10 pixels a mm, so that grid lines fall on whole pixels
FONT = "DejaVu Sans"  # comes with matplotlib
PAPER, FINE_LINE, STRONG_LINE, INK, MUTED_INK = "#fffcfb", "#f8dcdc", "#ecabab", "#000000", "#5a5a5a"
SHADE = "#0072b2"  # blue stands out from pink for colour-blind readers too
EARLY_INK = "#a83200"  # of early beats, which a triangle marks as well
DENSEST_SHADE = 0.5  # opacity at strength 1, with the grid still visible
SEARCHABLE = {"pdf.fonttype": 42}  # text that can be searched and copied
TRACE_MM, FINE_LINE_MM, STRONG_LINE_MM = 0.28, 0.1, 0.18


def draw(
    recording: Recording,
    scale: Scale | None = None,
    arrangement: str = "3x4",
    *,
    shading: Sequence[Span] = (),
    caption: str = "",
    notice: str = "",
    size_mm: tuple[float, float] = A4_LANDSCAPE_MM,
    rr: RRIntervals | None = None,
) -> Figure:
    """Draw a recording on a page of its own; `layout` explains the first three arguments and ``size_mm``.

    shading: spans to mark, in every strip of their lead.
    caption: one line above the grid, such as what the recording is.
    notice: one line at the foot, such as "synthetic" or "research only".
    rr: the RR intervals to write below the last row, early beats marked.
    """
    page = layout(recording, scale, arrangement, size_mm, RR_LINE_MM if rr else 0.0)
    figure = Figure(figsize=np.divide(size_mm, MM_PER_INCH), dpi=DPI, facecolor="white")
    draw_page(figure.add_axes((0, 0, 1, 1)), page, recording, shading=shading, caption=caption, notice=notice, rr=rr)
    return figure


def draw_page(
    axes: Axes,
    page: Page,
    recording: Recording,
    *,
    shading: Sequence[Span] = (),
    caption: str = "",
    notice: str = "",
    cut_rows: bool = False,
    rr: RRIntervals | None = None,
) -> None:
    """Draw a laid-out page on axes of ``page.width_mm`` by ``page.height_mm``, for example a part of a report.

    cut_rows: leave out what of a trace is outside its row, where rows would meet.
    rr: to write at the foot of the grid, of which the page keeps `ecg.plotting.rr_line.RR_LINE_MM` free.
    """
    axes.set(xlim=(0, page.width_mm), ylim=(0, page.height_mm))
    axes.set_axis_off()
    paper = _draw_grid(axes, page.grid)
    _draw_shading(axes, page, shading)
    traces = {strip: trace_mm(page, strip, recording) for strip in page.strips if strip.present}
    if cut_rows:
        traces = {strip: _cut(trace, *page.band_mm(strip.row)) for strip, trace in traces.items()}
    lines = _draw_lines(axes, [*traces.values(), *calibration_mm(page)], INK, TRACE_MM, zorder=4)
    lines.set_clip_path(paper)  # tall waves run over their neighbours, as on real paper, but end with the grid
    for strip in page.strips:
        _draw_lead_name(axes, page, strip, traces.get(strip))
    if rr:
        _draw_rr_line(axes, page, rr)
    _draw_text_line(axes, page, page.height_mm - TOP_MM + 2.5, caption, size=8, weight="bold")
    _draw_text_line(axes, page, BOTTOM_MM - 4.5, page.scale_text, size=7.5)
    _draw_text_line(axes, page, BOTTOM_MM - 8.5, notice, size=7.5, weight="bold")


def _cut(trace: np.ndarray, bottom: float, top: float) -> np.ndarray:
    """A trace with gaps where it lies outside."""
    x, y = trace.T
    return np.column_stack([x, np.where((y > bottom) & (y < top), y, np.nan)])


def _draw_lines(axes: Axes, lines: list, colour: str, width_mm: float, zorder: float) -> LineCollection:
    width = width_mm * POINTS_PER_MM
    collection = LineCollection(lines, colors=colour, linewidths=width, joinstyle="round", zorder=zorder)
    return axes.add_collection(collection, autolim=False)


def _draw_grid(axes: Axes, grid: Box) -> Rectangle:
    right, top = grid.x_mm + grid.width_mm, grid.y_mm + grid.height_mm
    paper = Rectangle((grid.x_mm, grid.y_mm), grid.width_mm, grid.height_mm, facecolor=PAPER, edgecolor="none")
    axes.add_patch(paper)
    columns = [[(grid.x_mm + k, grid.y_mm), (grid.x_mm + k, top)] for k in range(int(grid.width_mm) + 1)]
    rows = [[(grid.x_mm, grid.y_mm + k), (right, grid.y_mm + k)] for k in range(int(grid.height_mm) + 1)]
    _draw_lines(axes, columns + rows, FINE_LINE, FINE_LINE_MM, zorder=1)
    _draw_lines(axes, columns[::SQUARE_MM] + rows[::SQUARE_MM], STRONG_LINE, STRONG_LINE_MM, zorder=1.1)
    return paper


def _draw_shading(axes: Axes, page: Page, shading: Sequence[Span]) -> None:
    bands, colours = [], []
    for box, strength in shaded_boxes(page, shading):
        left, right, bottom, top = box.x_mm, box.x_mm + box.width_mm, box.y_mm, box.y_mm + box.height_mm
        bands.append([(left, bottom), (left, top), (right, top), (right, bottom)])
        colours.append((*to_rgb(SHADE), DENSEST_SHADE * strength))
    # Smoothed edges would show as seams between spans that touch.
    patches = PolyCollection(bands, facecolors=colours, edgecolors="none", antialiased=False, zorder=2)
    axes.add_collection(patches, autolim=False)


def _draw_lead_name(axes: Axes, page: Page, strip: Strip, trace: np.ndarray | None) -> None:
    """The lead's name at the start of its strip, and "not recorded" where there is no trace."""
    halo = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
    style = {"family": FONT, "bbox": halo, "zorder": 3}
    y_mm = lead_name_y_mm(page, strip, trace)
    axes.text(strip.x_mm + 1, y_mm, strip.label, size=8, weight="bold", **style)
    # a change of lead is marked up beside the name, where it is not taken for a pacing spike
    if strip.x_mm > page.grid.x_mm + LEAD_IN_MM:
        ends = [(strip.x_mm, y_mm - 0.6), (strip.x_mm, y_mm + LEAD_NAME_MM[1] - 0.3)]
        _draw_lines(axes, [ends], MUTED_INK, STRONG_LINE_MM, zorder=3)
    if not strip.present:
        width_mm = page.x_mm(strip, strip.end_s) - strip.x_mm
        middle = strip.x_mm + width_mm / 2, strip.y_mm
        text = axes.text(*middle, "not recorded", size=7, color=MUTED_INK, ha="center", va="center", **style)
        _shrink(text, width_mm - 2)


def _draw_rr_line(axes: Axes, page: Page, rr: RRIntervals) -> None:
    """A tick at every beat, early ones with a triangle, and between them the RR intervals in ms."""
    foot, middle = page.grid.y_mm, page.grid.y_mm + 2.5
    style = {"family": FONT, "ha": "center", "va": "center", "zorder": 5}
    halo = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
    axes.text(page.grid.x_mm + 1, middle, "RR, ms", **style | {"ha": "left"}, size=7, weight="bold", bbox=halo)
    for early, colour in ((False, MUTED_INK), (True, EARLY_INK)):
        marks = [mark for mark in beat_marks(page, rr) if mark.early == early]
        ticks = [[(mark.x_mm, foot + 0.8), (mark.x_mm, foot + 4.4)] for mark in marks]
        _draw_lines(axes, ticks, colour, TRACE_MM, zorder=5)
        for mark in marks if early else ():
            axes.text(mark.x_mm, foot + 5.6, EARLY_MARK, **style, size=7, color=colour)
    for mark in interval_marks(page, rr):
        emphasis = {"color": EARLY_INK, "weight": "bold"} if mark.early else {"color": INK}
        axes.text(mark.x_mm, middle, mark.text, **style | emphasis, size=6.5, bbox=halo)


def _draw_text_line(axes: Axes, page: Page, y_mm: float, content: str, **style) -> None:
    """One line as wide as the grid at most."""
    line = " ".join(content.split())
    text = axes.text(page.grid.x_mm, y_mm, line, family=FONT, color=INK, parse_math=False, zorder=5, **style)
    _shrink(text, page.grid.width_mm)


def _shrink(text: Text, width_mm: float) -> None:
    """Make a text smaller if it is wider than ``width_mm``."""
    drawn_mm = text.get_window_extent().width / text.get_figure(root=True).dpi * MM_PER_INCH
    if drawn_mm > width_mm > 0:
        text.set_fontsize(text.get_fontsize() * width_mm / drawn_mm)


def save(figure: Figure, path: Path | str) -> None:
    """Write a drawing whole or not at all; the ending, such as .pdf, .png (254 dpi) or .svg, says as what."""
    with replacing(path) as unfinished:
        _write(figure, unfinished, Path(path).suffix.removeprefix("."))


def export(figure: Figure, file_format: str) -> bytes:
    """A drawing as the bytes of a "pdf", "png" (254 dpi) or "svg"."""
    content = io.BytesIO()
    _write(figure, content, file_format)
    return content.getvalue()


def export_pdf(figures: Sequence[Figure]) -> bytes:
    """Drawings as the pages of one PDF."""
    content = io.BytesIO()
    with rc_context(SEARCHABLE), PdfPages(content) as pages:
        for figure in figures:
            pages.savefig(figure, dpi=DPI)
    return content.getvalue()


def _write(figure: Figure, target: Path | io.BytesIO, file_format: str) -> None:
    with rc_context(SEARCHABLE):
        figure.savefig(target, format=file_format, dpi=DPI)
