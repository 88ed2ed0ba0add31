"""The ECG on the same millimetre paper as `ecg.paper` draws, to zoom, pan and measure in a browser.

Scale, arrangement and every position come from `ecg.paper.layout`; only the drawing is Plotly's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ecg.plotting.draw import DENSEST_SHADE, FINE_LINE, INK, MUTED_INK, PAPER, SHADE, STRONG_LINE, Span, badge_y_mm
from ecg.plotting.layout import SQUARE_MM, Page, Strip, calibration_mm, trace_mm
from ecg.recording import Recording

PX_PER_MM = 3.6


@dataclass(frozen=True)
class Caliper:
    """What a rectangle on the paper measures: its width in ms, its height in mV."""

    milliseconds: float
    millivolts: float

    @property
    def beats_per_minute(self) -> float | None:
        """The heart rate if the width is one heartbeat."""
        return 60_000 / self.milliseconds if self.milliseconds > 0 else None


def measure_box(page: Page, box: Mapping[str, Sequence[float]]) -> Caliper:
    """A rectangle drawn on the chart, ``{"x": [mm, mm], "y": [mm, mm]}``, in ms and mV."""
    width_mm, height_mm = (max(box[axis]) - min(box[axis]) for axis in ("x", "y"))
    return Caliper(1000 * width_mm / page.scale.speed_mm_s, height_mm / page.scale.gain_mm_mv)


def draw_interactive(recording: Recording, page: Page, shading: Sequence[Span] = ()) -> go.Figure:
    """A laid-out page as a Plotly figure; both axes are mm, and pointing at a trace tells lead, ms and mV."""
    figure = go.Figure()
    traces = {strip: trace_mm(page, strip, recording) for strip in page.strips if strip.present}
    for strip, points in traces.items():
        seconds = strip.start_s + (points[:, 0] - strip.x_mm) / page.scale.speed_mm_s
        millivolts = strip.baseline_mv + strip.sign * (points[:, 1] - strip.y_mm) / page.scale.gain_mm_mv
        figure.add_scatter(
            x=points[:, 0].astype(np.float32),
            y=points[:, 1].astype(np.float32),
            customdata=np.column_stack([1000 * seconds, millivolts]).astype(np.float32),
            mode="lines",
            line={"color": INK, "width": 1.3},
            name=strip.label,
            hovertemplate="%{customdata[0]:.0f} ms<br>%{customdata[1]:.2f} mV",
        )
    for pulse in calibration_mm(page):
        figure.add_scatter(
            x=pulse[:, 0], y=pulse[:, 1], mode="lines", line={"color": INK, "width": 1.3}, hoverinfo="skip"
        )
    figure.update_layout(
        shapes=[_band(page, strip, span) for strip in page.strips for span in shading if _meet(strip, span)],
        annotations=[_badge(page, strip, traces.get(strip)) for strip in page.strips],
        height=round(page.grid.height_mm * PX_PER_MM),
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        plot_bgcolor=PAPER,
        paper_bgcolor=PAPER,
        showlegend=False,
        hovermode="closest",
        dragmode="select",
        modebar={"orientation": "v"},  # in the margin right of the traces, not over a lead's name
        newselection={"line": {"color": SHADE, "width": 1.5, "dash": "solid"}},
    )
    grid = page.grid
    lines = {
        "showgrid": True,
        "gridcolor": STRONG_LINE,
        "dtick": SQUARE_MM,
        "minor": {"showgrid": True, "dtick": 1, "gridcolor": FINE_LINE},
        "zeroline": False,
        "showticklabels": False,
        "ticks": "",
    }
    figure.update_xaxes(range=[grid.x_mm, grid.x_mm + grid.width_mm], tick0=grid.x_mm, **lines)
    figure.update_yaxes(
        range=[grid.y_mm, grid.y_mm + grid.height_mm], tick0=grid.y_mm, scaleanchor="x", scaleratio=1, **lines
    )
    return figure


def _meet(strip: Strip, span: Span) -> bool:
    return span.lead == strip.lead and max(span.start_s, strip.start_s) < min(span.end_s, strip.end_s)


def _band(page: Page, strip: Strip, span: Span) -> dict:
    start, end = max(span.start_s, strip.start_s), min(span.end_s, strip.end_s)
    return {
        "type": "rect",
        "x0": page.x_mm(strip, start),
        "x1": page.x_mm(strip, end),
        "y0": strip.y_mm - page.row_mm / 2,
        "y1": strip.y_mm + page.row_mm / 2,
        "fillcolor": SHADE,
        "opacity": DENSEST_SHADE * span.strength,
        "line": {"width": 0},
        "layer": "below",
    }


def _badge(page: Page, strip: Strip, trace: np.ndarray | None) -> dict:
    missing = "" if strip.present else " not recorded"
    return {
        "x": strip.x_mm + 1,
        "y": badge_y_mm(page, strip, trace),
        "text": f"<b>{strip.label}</b>{missing}",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "font": {"color": INK if strip.present else MUTED_INK, "size": 13},
    }
