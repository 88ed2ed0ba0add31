"""The tab Live: an ECG as a bedside monitor would meet it."""

import time

import streamlit as st

from ecg.preprocessing import FULL_DURATION_S
from ecg.recording import Recording, RecordingError
from ui import html
from ui.cached import load_diagnoser
from ui.monitor import last_seconds, monitor_html, seamless_loop
from ui.read import show_case
from ui.sources import Case


def live_tab(case: Case) -> None:
    """The ECG as a bedside monitor would meet it."""
    show_case(case)
    running = st.toggle("Running", value=True, key="running")
    if not running:
        st.session_state.pop("live", None)
        st.caption("Stopped. Running starts the recording anew.")
        return
    loop = seamless_loop(case.recording)
    if st.session_state.get("live", ("", 0))[0] != case.key:
        st.session_state["live"] = (case.key, time.time())
    st.iframe(monitor_html(loop), height=400, alt="Bedside monitor")
    live_answer(loop)
    st.caption(
        f"The recording plays in a loop of {loop.duration:.1f} s, cut between heartbeats. Each second the networks "
        f"judge the last {FULL_DURATION_S:g} s, 25 mm/s and 10 mm/mV on the monitor."
    )


@st.fragment(run_every=1.0)
def live_answer(loop: Recording) -> None:
    """The answer to the last seconds, anew each second."""
    now_s = time.time() - st.session_state.get("live", ("", time.time()))[1]
    memory = last_seconds(loop, now_s)
    if memory is None:
        st.info(f"Collecting: {now_s:.0f} of 5 s until the first answer.")
        return
    diagnoser = load_diagnoser()
    if isinstance(diagnoser, str):
        st.warning(diagnoser)
        return
    try:
        diagnosis = diagnoser.diagnose(memory)
    except RecordingError as error:
        st.warning(f"No answer: {error}")
        return
    rate = diagnosis.quality.heart_rate
    left, right = st.columns((1, 3), gap="large")
    left.html(
        f'<p class="note">Heart rate</p><div class="big">{f"{rate:.0f}" if rate else "–"}</div>'
        f'<p class="note">/min · {now_s:.0f} s since start</p>'
    )
    with right:
        st.html(html.verdict_html(diagnosis) + html.bars_html(diagnosis))
