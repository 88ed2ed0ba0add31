"""The page: an ECG on paper, the networks' prediction and its explanation.

    streamlit run app.py          # opens on a shipped example; PTB-XL and uploads are one click away

It listens on this machine only (.streamlit/config.toml) and asks for no password. To show it to your network:
streamlit run app.py --server.address 0.0.0.0

HMT_ARTIFACTS names another directory of networks than artifacts/, PTBXL_DIR another data set than data/ptbxl.
"""

import sys
from pathlib import Path

import streamlit as st
from streamlit import runtime

from config import RESEARCH_ONLY
from ui.cached import artifacts, load_diagnoser, log, warm_up
from ui.paper import choose_paper
from ui.sidebar import choose_ecg
from ui.sources import NoECG
from ui.tab_compare import compare_tab
from ui.tab_live import live_tab
from ui.tab_model import model_tab
from ui.tab_read import read_tab
from ui.uploads import say_why

TABS = ("Read", "Live", "Compare", "Model")
STYLE = Path(__file__).parent / "ui" / "style.css"


def main() -> None:
    st.set_page_config("HMT-ECGNet", "🫀", layout="wide")
    st.html(STYLE)
    st.html(f'<div class="disclaimer" role="note">{RESEARCH_ONLY}</div>')
    st.html('<div class="brand"><b>HMT-ECGNet</b><span>reads an ECG of one to twelve leads and shows why</span></div>')
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
                if isinstance(ecg, NoECG):
                    say_why(ecg)
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


def how_to_start() -> int:
    """Say how the page is started, to whoever runs this file as a script; the exit code is 0 for --help, else 2."""
    asked = bool({"-h", "--help"} & set(sys.argv))
    print(f"This page is started with: streamlit run app.py\n\n{__doc__}", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    if not runtime.exists():
        sys.exit(how_to_start())
    run()
