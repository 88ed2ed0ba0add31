"""The page: an ECG on its paper, the networks' answer to it, and the reasons.

    streamlit run app.py          # opens on a shipped example; PTB-XL and uploads are one click away

HMT_ARTIFACTS names another directory of networks than artifacts/, PTBXL_DIR another data set than data/ptbxl.
"""

from pathlib import Path

import streamlit as st

from config import RESEARCH_ONLY
from ui.cached import artifacts, load_diagnoser, log, warm_up
from ui.compare import compare_tab
from ui.live import live_tab
from ui.model import model_tab
from ui.paper import choose_paper
from ui.read import read_tab
from ui.sidebar import choose_case

TABS = ("Read", "Live", "Compare", "Model")
STYLE = Path(__file__).parent / "ui" / "style.css"


def main() -> None:
    st.set_page_config("HMT-ECGNet", "🫀", layout="wide")
    st.html(STYLE)
    st.html(f'<div class="disclaimer" role="note">{RESEARCH_ONLY}</div>')
    st.html('<div class="brand"><b>HMT-ECGNet</b><span>reads a 12-lead ECG and shows why</span></div>')
    diagnoser = load_diagnoser()
    if isinstance(diagnoser, str):
        st.error(f"The networks cannot be used: {diagnoser}")
    with st.sidebar:
        case = choose_case()
        scale, arrangement, interactive = choose_paper()
    read, live, compare, model = st.tabs(TABS, on_change="rerun", key="tab")
    if read.open or live.open:
        with read if read.open else live:
            if isinstance(case, str):
                st.info(case)
            elif read.open:
                read_tab(case, scale, arrangement, interactive)
            else:
                live_tab(case)
    if not live.open:
        st.session_state.pop("live", None)  # the monitor starts anew when it is seen again
    if compare.open:
        with compare:
            compare_tab(scale, arrangement)
    if model.open:
        with model:
            model_tab()
    warm_up(artifacts())


def run() -> None:
    """The page; a defect ends in a sentence and a line in the log, never in a stack trace."""
    try:
        main()
    except Exception:
        log.exception("the page failed")
        st.error("Something went wrong here, and the server's log says what. Choose another ECG or reload the page.")


if __name__ == "__main__":
    run()
