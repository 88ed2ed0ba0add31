"""The page: an ECG on paper, the networks' prediction and its explanation.

    streamlit run app.py          # opens on a shipped example; PTB-XL and uploads are one click away

HMT_ARTIFACTS names another directory of networks than artifacts/, PTBXL_DIR another data set than data/ptbxl.
"""

from pathlib import Path

import streamlit as st

from config import RESEARCH_ONLY
from ui.cached import artifacts, load_diagnoser, log, warm_up
from ui.paper import choose_paper
from ui.sidebar import choose_ecg
from ui.tab_compare import compare_tab
from ui.tab_live import live_tab
from ui.tab_model import model_tab
from ui.tab_read import read_tab

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
        ecg = choose_ecg()
        paper = choose_paper()
    read, live, compare, model = st.tabs(TABS, on_change="rerun", key="tab")
    if not live.open:
        st.session_state.pop("live", None)  # the monitor starts again when its tab is opened again
    for tab in (read, live):
        if tab.open:
            with tab:
                if isinstance(ecg, str):
                    st.info(ecg)
                elif tab is read:
                    read_tab(ecg, paper)
                else:
                    live_tab(ecg)
    if compare.open:
        with compare:
            compare_tab(paper)
    if model.open:
        with model:
            model_tab()
    warm_up(artifacts())


def run() -> None:
    """The page; an unexpected error shows a message and is logged, never a stack trace."""
    try:
        main()
    except Exception:
        log.exception("the page failed")
        st.error("Something went wrong; the server's log has the details. Choose another ECG or reload the page.")


if __name__ == "__main__":
    run()
