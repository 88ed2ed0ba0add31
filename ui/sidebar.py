"""The sidebar: which ECG is shown."""

import random

import streamlit as st

from ecg.recording import RecordingError
from ptbxl.index import DatasetError
from ui.cached import artifacts, load_fold
from ui.sources import DISAGREE, EXAMPLES, DisplayedECG, NoECG, example_ecg, ptbxl_ecg
from ui.uploads import choose_seconds, choose_upload

EXAMPLE, PTBXL, UPLOAD = "Example", "PTB-XL", "Your file"


def choose_ecg() -> DisplayedECG | NoECG:
    """The ECG the reader chose, or why there is none."""
    source = st.segmented_control("ECG from", (EXAMPLE, PTBXL, UPLOAD), default=EXAMPLE, required=True, key="source")
    if source == UPLOAD:
        return choose_upload("upload", "One recording", "in the sidebar")
    return choose_seconds(choose_example() if source == EXAMPLE else choose_from_ptbxl())


def choose_example() -> DisplayedECG | NoECG:
    name = st.selectbox("Example", list(EXAMPLES), format_func=EXAMPLES.get, key="example")
    st.caption("Generated textbook cases, not from patients.")
    try:
        return example_ecg(artifacts(), name)
    except RecordingError as error:
        return NoECG(f"The example cannot be read: {error}. `python -m tools.make_examples` writes it again.")


def choose_from_ptbxl() -> DisplayedECG | NoECG:
    fold = load_fold()
    if isinstance(fold, str):
        return NoECG(f"{fold.rstrip('.')}. Another source: “ECG from”, in the sidebar.")
    choice = st.selectbox(
        "Filter", list(fold.choices), format_func=lambda name: f"{name} ({len(fold.choices[name]):,})", key="which"
    )
    if DISAGREE not in fold.choices:
        st.caption(f"No filter for what the network says: {fold.no_predictions_because}")
    numbers = [int(ecg_id) for ecg_id in fold.choices[choice]]
    if st.session_state.get("ecg_id") not in numbers:
        st.session_state["ecg_id"] = numbers[0]
    place = numbers.index(st.session_state["ecg_id"])
    with st.container(horizontal=True, gap="xsmall", wrap=False):
        for label, number in (
            ("‹ Back", numbers[place - 1]),
            ("Random", random.choice(numbers)),
            ("Next ›", numbers[(place + 1) % len(numbers)]),
        ):
            st.button(label, on_click=go_to, args=(number,), width="stretch")
    ecg_id = st.selectbox("ECG number", numbers, key="ecg_id", help="Type to search")
    st.caption(fold.notice)
    try:
        return ptbxl_ecg(fold, ecg_id)
    except DatasetError as error:
        return NoECG(
            f"This ECG cannot be read: {error}. Choose another under “ECG number”; `python dataset.py check` lists "
            "what is damaged."
        )


def go_to(ecg_id: int) -> None:
    st.session_state["ecg_id"] = ecg_id
