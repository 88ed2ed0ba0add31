"""The ECG on the same millimetre paper as `ecg.plotting.draw` draws, to zoom, pan and measure with a caliper.

Scale, arrangement and every position come from `ecg.plotting.layout`; only the drawing is Plotly's.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from ecg.plotting.draw import DENSEST_SHADE, EARLY_INK, FINE_LINE, INK, MUTED_INK, PAPER, SHADE, STRONG_LINE
from ecg.plotting.layout import (
    LEAD_IN_MM,
    SQUARE_MM,
    Box,
    Page,
    Scale,
    Span,
    Strip,
    calibration_mm,
    lead_name_y_mm,
    shaded_boxes,
    trace_mm,
)
from ecg.plotting.rr_line import EARLY_MARK, beat_marks, interval_marks
from ecg.recording import Recording
from ecg.rr_intervals import RRIntervals

PX_PER_MM = 3.6
LINE = {"color": INK, "width": 1.3}
AXIS = {
    "showgrid": True,
    "gridcolor": STRONG_LINE,
    "dtick": SQUARE_MM,
    "minor": {"showgrid": True, "dtick": 1, "gridcolor": FINE_LINE},
    "zeroline": False,
    "showticklabels": False,
    "ticks": "",
}


def draw_interactive(
    recording: Recording, page: Page, shading: Sequence[Span] = (), rr: RRIntervals | None = None
) -> go.Figure:
    """A laid-out page as a Plotly figure; both axes are mm, and pointing at a trace shows ms and mV.

    shading, rr: as for `ecg.plotting.draw.draw_page`.
    """
    figure = go.Figure()
    traces = {strip: trace_mm(page, strip, recording) for strip in page.strips if strip.present}
    for strip, points in traces.items():
        figure.add_scatter(**_trace(page, strip, points))
    for pulse in calibration_mm(page):
        figure.add_scatter(x=pulse[:, 0], y=pulse[:, 1], mode="lines", line=LINE, hoverinfo="skip")
    grid = page.grid
    figure.update_layout(
        shapes=[_band(box, strength) for box, strength in shaded_boxes(page, shading)],
        annotations=[_lead_name(page, strip, traces.get(strip)) for strip in page.strips] + _rr_line(page, rr),
        height=round(grid.height_mm * PX_PER_MM),
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        plot_bgcolor=PAPER,
        paper_bgcolor=PAPER,
        showlegend=False,
        hovermode="closest",
        dragmode="select",
        modebar={"orientation": "v"},  # in the margin right of the traces, not over a lead's name
        newselection={"line": {"color": SHADE, "width": 1.5, "dash": "solid"}},
    )
    figure.update_xaxes(range=[grid.x_mm, grid.x_mm + grid.width_mm], tick0=grid.x_mm, **AXIS)
    figure.update_yaxes(range=[grid.y_mm, grid.y_mm + grid.height_mm], tick0=grid.y_mm, **AXIS)
    figure.update_yaxes(scaleanchor="x", scaleratio=1)
    return figure


def measure_rectangle(scale: Scale, rectangle: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Width (ms) and height (mV) of a rectangle on the paper, ``{"x": [mm, mm], "y": [mm, mm]}``, in any order.

    >>> measure_rectangle(Scale(25, 10), {"x": [50, 70], "y": [100, 115]})
    (800.0, 1.5)
    """
    width_mm, height_mm = (max(rectangle[axis]) - min(rectangle[axis]) for axis in ("x", "y"))
    return 1000 * width_mm / scale.speed_mm_s, height_mm / scale.gain_mm_mv


def _trace(page: Page, strip: Strip, points: np.ndarray) -> dict:
    seconds = strip.start_s + (points[:, 0] - strip.x_mm) / page.scale.speed_mm_s
    millivolts = strip.baseline_mv + strip.sign * (points[:, 1] - strip.y_mm) / page.scale.gain_mm_mv
    return {
        "x": points[:, 0].astype(np.float32),
        "y": points[:, 1].astype(np.float32),
        "customdata": np.column_stack([1000 * seconds, millivolts]).astype(np.float32),
        "mode": "lines",
        "line": LINE,
        "name": strip.label,
        "hovertemplate": "%{customdata[0]:.0f} ms<br>%{customdata[1]:.2f} mV",
    }


def _band(box: Box, strength: float) -> dict:
    return {
        "type": "rect",
        "x0": box.x_mm,
        "x1": box.x_mm + box.width_mm,
        "y0": box.y_mm,
        "y1": box.y_mm + box.height_mm,
        "fillcolor": SHADE,
        "opacity": DENSEST_SHADE * strength,
        "line": {"width": 0},
        "layer": "below",
    }


def _lead_name(page: Page, strip: Strip, trace: np.ndarray | None) -> dict:
    missing = "" if strip.present else " not recorded"
    return {
        "x": strip.x_mm + 1,
        "y": lead_name_y_mm(page, strip, trace),
        "text": f"<b>{strip.label}</b>{missing}",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "font": {"color": INK if strip.present else MUTED_INK, "size": 13},
    }


def _rr_line(page: Page, rr: RRIntervals | None) -> list[dict]:
    """The RR intervals in ms between bars at the beats, early ones with a triangle."""
    if rr is None:
        return []
    places = [(page.grid.x_mm + LEAD_IN_MM / 2, "<b>RR, ms</b>", False)]
    places += [(mark.x_mm, f"<b>{EARLY_MARK}</b>" if mark.early else "│", mark.early) for mark in beat_marks(page, rr)]
    places += [(mark.x_mm, mark.text, mark.early) for mark in interval_marks(page, rr)]
    return [
        {
            "x": x_mm,
            "y": page.grid.y_mm + 3,
            "text": text,
            "showarrow": False,
            "font": {"color": EARLY_INK if early else INK, "size": 11},
        }
        for x_mm, text, early in places
    ]
