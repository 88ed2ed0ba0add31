"""The tab Live: an ECG as on a bedside monitor, with a prediction every second."""

import time
from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from config import LEADS
from ecg.preprocessing import FULL_DURATION_S, MINIMUM_DURATION_S
from ecg.recording import Recording, RecordingError
from ecg.rr_intervals import measure_rr_intervals
from inference.diagnosis import Diagnosis
from ui import html
from ui.cached import load_diagnoser
from ui.monitor import CHOICES, last_seconds, monitor_html, seamless_loop, shown_leads, with_leads
from ui.sources import DisplayedECG

LEAST_HEIGHT, TRACE_HEIGHT = 160, 100  # CSS pixels of the monitor, and of each of its traces


def live_tab(ecg: DisplayedECG) -> None:
    st.html(html.heading_html(ecg))
    switch, leads = st.columns((1, 4), vertical_alignment="center")
    running = switch.toggle("Running", value=True, key="running")
    recorded = [lead for lead in CHOICES if ecg.recording.present[LEADS.index(lead)]]
    chosen = choose_leads(leads, recorded) if len(recorded) > 1 else []
    if not running:
        st.session_state.pop("live", None)
        st.caption("Stopped. Switch on to start the recording again.")
        return
    loop = with_leads(seamless_loop(ecg.recording), chosen)
    if st.session_state.get("live", ("", 0))[0] != ecg.key:
        st.session_state["live"] = (ecg.key, time.time())
    traces = len(shown_leads(loop, chosen))
    st.iframe(monitor_html(loop, chosen), height=max(LEAST_HEIGHT, TRACE_HEIGHT * traces), alt="Bedside monitor")
    live_prediction(loop)
    st.caption(
        f"Monitor: 25 mm/s, 10 mm/mV. The recording repeats every {loop.duration:.1f} s, cut between heartbeats. "
        f"The prediction is renewed every second, from the last {FULL_DURATION_S:g} s."
    )


def choose_leads(place: DeltaGenerator, recorded: list[str]) -> list[str]:
    """The leads that the monitor has alone; none for all that were recorded."""
    return place.pills(
        "Leads on the monitor",
        recorded,
        selection_mode="multi",
        key="monitor leads",
        help="The network sees just these; with I and II all limb leads follow. None chosen: all that were recorded",
    )


@st.fragment(run_every=1.0)
def live_prediction(loop: Recording) -> None:
    """The prediction from the last seconds, renewed every second."""
    now_s = time.time() - st.session_state.get("live", ("", time.time()))[1]
    latest = last_seconds(loop, now_s)
    if latest is None:
        st.info(f"Recording: {now_s:.0f} of {MINIMUM_DURATION_S:g} s until the first prediction.")
        return
    diagnoser = load_diagnoser()
    if isinstance(diagnoser, str):
        st.error(diagnoser)
        return
    try:
        diagnosis = diagnoser.diagnose(latest)
    except RecordingError as error:
        st.error(f"No prediction: {error}")
        return
    rate = diagnosis.quality.heart_rate
    left, right = st.columns((1, 3), gap="large")
    left.html(
        f'<p class="note">Heart rate</p><div class="big">{f"{rate:.0f}" if rate else "–"}</div>'
        f'<p class="note">/min · {now_s:.0f} s since start</p>{rhythm_html(diagnosis, latest)}'
    )
    right.html(html.prediction_html(diagnosis) + html.probabilities_html(diagnosis))


def rhythm_html(diagnosis: Diagnosis, latest: Recording) -> str:
    """The rhythm, and how many of the last heartbeats come early; empty for networks that do not name the rhythm."""
    if diagnosis.rhythm is None:
        return ""
    rr = None if html.unusable_because(diagnosis) else measure_rr_intervals(latest)
    early = f'<p class="note">{rr.early_sentence}</p>' if rr else ""
    return f'<p class="note">Rhythm</p><p class="live-rhythm">{escape(diagnosis.rhythm.sentence)}</p>{early}'
