"""The ECG on the page: drawing on paper, interactive view with caliper, and the sidebar's paper settings."""

from base64 import b64encode
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st

from config import RESEARCH_ONLY
from ecg.plotting.draw import draw, export
from ecg.plotting.interactive import draw_interactive, measure_rectangle
from ecg.plotting.layout import (
    GAINS_MM_MV,
    LEAD_IN_MM,
    LEAD_OUT_MM,
    SPEEDS_MM_S,
    Scale,
    arrange,
    layout,
    traces_overlap,
)
from ecg.plotting.rr_line import RR_LINE_MM
from ecg.rr_intervals import RRIntervals
from ui import html
from ui.cached import ClassExplanation
from ui.sources import SHOWN_S, DisplayedECG

LAYOUTS = ("3x4", "6x2", "12x1")
SCREEN_ROWS, SCREEN_HEIGHTS_MM = (1, 2, 3, 4, 6, 12), (70.0, 95.0, 120.0, 145.0, 180.0, 240.0)
HEIGHT_GROWTH = (1.0, 1.25, 1.5, 2.0)  # tried in turn
MARGIN_MM = 2 * 8.5 + LEAD_IN_MM + LEAD_OUT_MM  # of a page, beside the traces


@dataclass(frozen=True)
class PaperSettings:
    """How ECGs are drawn: scale, arrangement as in `ecg.plotting.layout`, and whether to zoom and measure."""

    scale: Scale
    arrangement: str
    interactive: bool


def choose_paper() -> PaperSettings:
    """The paper settings in the sidebar."""
    st.subheader("Paper", divider="gray")
    order = st.segmented_control("Layout", LAYOUTS, default="3x4", required=True, key="layout")
    cabrera = st.toggle("Cabrera order", key="cabrera", help="aVL, I, −aVR, II, aVF, III: by direction in the body")
    speed = st.segmented_control(
        "Speed (mm/s)", SPEEDS_MM_S, default=25.0, required=True, format_func="{:g}".format, key="speed"
    )
    gain = st.segmented_control(
        "Gain (mm/mV)", GAINS_MM_MV, default=10.0, required=True, format_func="{:g}".format, key="gain"
    )
    interactive = st.toggle("Zoom and measure", key="interactive", help="An interactive view with a caliper")
    return PaperSettings(
        scale=Scale(speed, gain), arrangement=f"{order} Cabrera" if cabrera else order, interactive=interactive
    )


def show_paper(
    ecg: DisplayedECG,
    paper: PaperSettings,
    explanation: ClassExplanation | None = None,
    rr: RRIntervals | None = None,
) -> None:
    """The ECG as a picture: 10 s at 25 mm/s fill the width, what is longer scrolls at the same size.

    rr: RR intervals to write below the traces.
    """
    shaded = explanation.class_name if explanation else ""
    width_mm, _ = screen_size(ecg, paper.scale, paper.arrangement, rr is not None)
    uri = svg_uri(ecg.key, ecg, paper.scale, paper.arrangement, shaded, rr is not None, explanation, rr)
    about = f"{lead_count(ecg)} ECG, {ecg.title}, {paper.arrangement}, "
    about += f"{paper.scale.speed_mm_s:g} mm/s, {paper.scale.gain_mm_mv:g} mm/mV"
    about += f", {ecg.drawn.sampling_rate:g} Hz"
    about += f", evidence for {shaded} shaded" if shaded else ""
    about += f", RR intervals: {html.rr_sentence(rr)}" if rr else ""
    st.html(
        f'<div class="paper-scroll" tabindex="0" role="group" aria-label="ECG paper">'
        f'<img alt="{escape(about)}" src="{uri}" style="--mm:{width_mm:g}"></div>'
    )


@st.cache_resource(max_entries=32, show_spinner=False)
def svg_uri(
    key: str,
    _ecg: DisplayedECG,
    scale: Scale,
    arrangement: str,
    shaded: str,
    with_rr: bool,
    _explanation: ClassExplanation | None,
    _rr: RRIntervals | None,
) -> str:
    """The ECG on its paper as a data URI of an SVG. key: the ECG's. shaded: the class of the explanation."""
    figure = draw(
        _ecg.drawn,
        scale,
        arrangement,
        shading=_explanation.spans if _explanation else (),
        caption=_ecg.caption,
        notice=" ".join(part for part in (_ecg.notice, RESEARCH_ONLY) if part),
        size_mm=screen_size(_ecg, scale, arrangement, with_rr),
        rr=_rr,
    )
    return "data:image/svg+xml;base64," + b64encode(export(figure, "svg")).decode()


def lead_count(ecg: DisplayedECG) -> str:
    """How many leads an ECG has, as an adjective."""
    return f"{ecg.recording.present.sum()}-lead"


def screen_size(ecg: DisplayedECG, scale: Scale, arrangement: str, with_rr: bool = False) -> tuple[float, float]:
    """A page in mm that shows all of an ECG at its scale, as high as its traces need so as not to overlap.

    with_rr: it has a line of RR intervals below the traces as well.
    """
    foot = RR_LINE_MM if with_rr else 0.0
    width = max(160.0, MARGIN_MM + min(ecg.recording.duration, SHOWN_S) * scale.speed_mm_s)
    rows = arrange(ecg.recording.present, arrangement, ecg.recording.duration, SHOWN_S).rows
    height = float(np.interp(rows, SCREEN_ROWS, SCREEN_HEIGHTS_MM)) * max(1.0, scale.gain_mm_mv / 12)
    for growth in HEIGHT_GROWTH:
        size = width, growth * height + foot
        if not traces_overlap(layout(ecg.drawn, scale, arrangement, size, foot), ecg.drawn):
            return size
    return width, height + foot  # artefacts, which no height keeps apart


def show_interactive(
    ecg: DisplayedECG, paper: PaperSettings, explanation: ClassExplanation | None, rr: RRIntervals | None = None
) -> None:
    """The ECG to zoom into and measure."""
    size = screen_size(ecg, paper.scale, paper.arrangement, rr is not None)
    page = layout(ecg.drawn, paper.scale, paper.arrangement, size, RR_LINE_MM if rr else 0.0)
    figure = draw_interactive(ecg.drawn, page, explanation.spans if explanation else (), rr)
    st.html(f"<style>.st-key-chart {{ --mm: {page.width_mm:g} }}</style>")
    with st.container(key="chart"):
        event = st.plotly_chart(
            figure,
            theme=None,
            key=f"chart {ecg.key} {paper.scale} {paper.arrangement}",
            on_select="rerun",
            selection_mode="box",
            config={"displaylogo": False, "displayModeBar": True, "scrollZoom": True},
            alt=f"{lead_count(ecg)} ECG, {ecg.title}, to zoom and measure",
        )
    st.caption(f"{page.scale_text} · {ecg.notice}".removesuffix(" · "))
    if event.selection.box:
        st.html(html.caliper_html(*measure_rectangle(paper.scale, event.selection.box[-1])))
    else:
        st.caption(
            "Drag a rectangle to measure time (ms), rate (/min) and voltage (mV). Point at a trace to read time and "
            "voltage. The buttons at the right end zoom and pan; double-click resets the view."
        )
