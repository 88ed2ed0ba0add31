"""The sidebar: which ECG is shown."""

import random

import streamlit as st

from ecg.readers import MAX_UPLOAD_BYTES
from ecg.readers.formats import FORMATS
from ecg.recording import RecordingError
from ptbxl.index import DatasetError
from ui.cached import artifacts, load_fold
from ui.sources import EXAMPLES, SHOWN_S, DisplayedECG, crop, example_ecg, ptbxl_ecg, uploaded_ecg

EXAMPLE, PTBXL, UPLOAD = "Example", "PTB-XL", "Your file"


def choose_ecg() -> DisplayedECG | str:
    """The ECG the reader chose, or why there is none."""
    source = st.segmented_control("ECG from", (EXAMPLE, PTBXL, UPLOAD), default=EXAMPLE, required=True, key="source")
    ecg = {EXAMPLE: choose_example, PTBXL: choose_from_ptbxl, UPLOAD: choose_upload}[source]()
    if isinstance(ecg, str) or ecg.recording.duration <= SHOWN_S:
        return ecg
    latest = float(ecg.recording.duration - SHOWN_S)
    label = f"Show {SHOWN_S:g} s from (s)"
    return crop(ecg, st.slider(label, 0.0, latest, 0.0, 0.5, key=f"start {ecg.key}"))


def choose_example() -> DisplayedECG | str:
    name = st.selectbox("Example", list(EXAMPLES), format_func=EXAMPLES.get, key="example")
    st.caption("Generated textbook cases, not from patients.")
    try:
        return example_ecg(artifacts(), name)
    except RecordingError as error:
        return f"The example cannot be read: {error}. `python -m tools.make_examples` writes it again."


def choose_from_ptbxl() -> DisplayedECG | str:
    fold = load_fold()
    if isinstance(fold, str):
        return fold
    choice = st.selectbox(
        "Filter", list(fold.choices), format_func=lambda name: f"{name} ({len(fold.choices[name]):,})", key="which"
    )
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
        return f"This ECG cannot be read: {error}"


def go_to(ecg_id: int) -> None:
    st.session_state["ecg_id"] = ecg_id


def choose_upload() -> DisplayedECG | str:
    uploads = st.file_uploader(
        "One recording",
        accept_multiple_files=True,
        key="upload",
        help=f"A WFDB record is its .hea and .dat together, or a zip of them. At most {MAX_UPLOAD_BYTES / 1e6:.0f} MB. "
        "Files stay in this server's memory and are not stored.",
    )
    with st.expander("My file does not state its rate or unit"):
        rate = st.number_input("Sampling rate (Hz)", min_value=1.0, value=None, placeholder="as in the file")
        unit = st.selectbox("Unit", ("uV", "mV", "V", "nV"), index=None, placeholder="as in the file")
    if not uploads:
        return f"Choose a file in the sidebar. Supported formats: {FORMATS}."
    try:
        return uploaded_ecg({upload.name: upload.getvalue() for upload in uploads}, rate, unit)
    except RecordingError as error:
        return f"This file cannot be used: {error}."
