"""The ECG on the page: drawn on its paper, or interactive."""

from base64 import b64encode
from html import escape

import streamlit as st

from config import RESEARCH_ONLY
from ecg.plotting.draw import draw, export
from ecg.plotting.interactive import draw_interactive, measure_box
from ecg.plotting.layout import GAINS_MM_MV, LEAD_IN_MM, LEAD_OUT_MM, SPEEDS_MM_S, Scale, layout
from ui.pdf_report import Reasons
from ui.sources import SHOWN_S, Case

LAYOUTS = ("3x4", "6x2", "12x1")
SCREEN_HEIGHT_MM = {"3x4": 145.0, "6x2": 180.0, "12x1": 240.0}
MARGIN_MM = 2 * 8.5 + LEAD_IN_MM + LEAD_OUT_MM  # of a page, beside the traces


@st.cache_data(max_entries=32, show_spinner=False)
def drawn(key: str, _case: Case, scale: Scale, arrangement: str, shaded: str, _reasons: Reasons | None) -> str:
    """The ECG on its paper as a data URI; ``shaded`` names the class whose reasons are marked."""
    return svg_uri(_case, scale, arrangement, _reasons)


def screen_size(case: Case, scale: Scale, arrangement: str) -> tuple[float, float]:
    """A page in mm that shows all of a case at its scale, without the empty margins of A4."""
    width = MARGIN_MM + min(case.recording.duration, SHOWN_S) * scale.speed_mm_s
    return max(width, 160.0), SCREEN_HEIGHT_MM[arrangement.split()[0]] * max(1.0, scale.gain_mm_mv / 12)


def svg_uri(case: Case, scale: Scale, arrangement: str, reasons: Reasons | None) -> str:
    """An ECG drawn for the screen, as a data URI of an SVG."""
    figure = draw(
        case.recording,
        scale,
        arrangement,
        shading=reasons.spans if reasons else (),
        caption=" · ".join(part for part in (case.title, case.patient) if part),
        notice=" ".join(part for part in (case.notice, RESEARCH_ONLY) if part),
        size_mm=screen_size(case, scale, arrangement),
    )
    return "data:image/svg+xml;base64," + b64encode(export(figure, "svg")).decode()


def show_paper(case: Case, scale: Scale, arrangement: str, reasons: Reasons | None = None) -> None:
    """The ECG as a picture, as wide as there is room; on a phone it scrolls sideways."""
    shaded = reasons.name if reasons else ""
    uri = drawn(case.key, case, scale, arrangement, shaded, reasons)
    about = f"12-lead ECG, {case.title}, {arrangement}, {scale.speed_mm_s:g} mm/s, {scale.gain_mm_mv:g} mm/mV"
    about += f", shaded for {shaded}" if shaded else ""
    st.html(
        f'<div class="paper-scroll" tabindex="0" role="group" aria-label="ECG paper">'
        f'<img alt="{escape(about)}" src="{uri}"></div>'
    )


def show_interactive(case: Case, scale: Scale, arrangement: str, reasons: Reasons | None) -> None:
    """The ECG to zoom into and measure."""
    page = layout(case.recording, scale, arrangement, screen_size(case, scale, arrangement))
    figure = draw_interactive(case.recording, page, reasons.spans if reasons else ())
    with st.container(key="chart"):
        event = st.plotly_chart(
            figure,
            theme=None,
            key=f"chart {case.key} {scale} {arrangement}",
            on_select="rerun",
            selection_mode="box",
            config={"displaylogo": False, "displayModeBar": True, "scrollZoom": True},
            alt=f"12-lead ECG, {case.title}, to zoom and measure",
        )
    st.caption(f"{page.statement} · {case.notice}".removesuffix(" · "))
    boxes = event.selection.box
    if not boxes:
        st.caption(
            "Drag a rectangle to measure: its width in ms and beats/min, its height in mV. The bar above the chart "
            "has zoom and pan; double-click shows everything again. Point at a trace for time and voltage."
        )
        return
    caliper = measure_box(page, boxes[-1])
    rate = caliper.beats_per_minute
    st.html(
        "<div class='tiles' role='status'>"
        f"<div class='tile'><span>Caliper, time</span><b>{caliper.milliseconds:.0f} ms</b></div>"
        f"<div class='tile'><span>voltage</span><b>{caliper.millivolts:.2f} mV</b></div>"
        f"<div class='tile'><span>rate, if one beat</span><b>{f'{rate:.0f}/min' if rate else '–'}</b></div></div>"
    )


def choose_paper() -> tuple[Scale, str, bool]:
    """Scale, arrangement, and whether to show the interactive view."""
    st.subheader("Paper", divider="gray")
    order = st.segmented_control("Layout", LAYOUTS, default="3x4", required=True, key="layout")
    cabrera = st.toggle("Cabrera order", key="cabrera", help="aVL, I, −aVR, II, aVF, III: by direction in the body")
    speed = st.segmented_control(
        "Speed (mm/s)", SPEEDS_MM_S, default=25.0, required=True, format_func="{:g}".format, key="speed"
    )
    gain = st.segmented_control(
        "Gain (mm/mV)", GAINS_MM_MV, default=10.0, required=True, format_func="{:g}".format, key="gain"
    )
    interactive = st.toggle("Zoom and measure", key="interactive", help="An interactive view with calipers")
    return Scale(speed, gain), f"{order} Cabrera" if cabrera else order, interactive
