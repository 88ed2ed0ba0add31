"""Controls for an ECG from the reader's own files, in the sidebar and in Compare."""

import streamlit as st

from ecg.readers import MAX_UPLOAD_BYTES
from ecg.readers.formats import FORMATS
from ecg.recording import DeclarationError, RecordingError
from ui.sources import DisplayedECG, NoECG, crop, most_shown_s, uploaded_ecg

DECLARATION = "My file does not state its rate or unit"


def choose_upload(key: str, label: str, place: str) -> DisplayedECG | NoECG:
    """The reader's own ECG, or why there is none.

    key: keeps the controls of several uploads apart. place: of the controls, for messages.
    """
    uploads = st.file_uploader(
        label,
        accept_multiple_files=True,
        key=key,
        help=f"A WFDB record is its .hea and .dat together, or a zip of them. At most {MAX_UPLOAD_BYTES / 1e6:.0f} MB. "
        "Files stay in this server's memory and are not stored.",
    )
    rate, unit = (st.session_state.get(f"{key} {name}") for name in ("rate", "unit"))
    ecg, opened = NoECG(f"Choose a file under “{label}” {place}. Supported formats: {FORMATS}.", is_error=False), False
    if uploads:
        try:
            ecg = uploaded_ecg({upload.name: upload.getvalue() for upload in uploads}, rate, unit)
        except DeclarationError as error:
            opened = True
            what = str(error).split(";")[0]  # what follows is for programs
            ecg = NoECG(f"This file cannot be used yet: {what}. Set or clear it under “{DECLARATION}” {place}.")
        except RecordingError as error:
            ecg = NoECG(f"This file cannot be used: {error}. Choose another under “{label}” {place}.")
    with st.expander(DECLARATION, expanded=bool(opened or rate or unit)):
        st.number_input("Sampling rate (Hz)", 1.0, value=None, placeholder="as in the file", key=f"{key} rate")
        st.selectbox("Unit", ("uV", "mV", "V", "nV"), None, placeholder="as in the file", key=f"{key} unit")
    return choose_seconds(ecg)


def say_why(missing: NoECG) -> None:
    """Errors look like errors."""
    show = st.error if missing.is_error else st.info
    show(missing.message)


def choose_seconds(ecg: DisplayedECG | NoECG) -> DisplayedECG | NoECG:
    """The part to show of a longer ECG."""
    if isinstance(ecg, NoECG) or ecg.recording.duration <= most_shown_s(ecg.recording):
        return ecg
    length_s = most_shown_s(ecg.recording)
    latest = float(ecg.recording.duration - length_s)
    return crop(ecg, st.slider(f"Show {length_s:g} s from (s)", 0.0, latest, 0.0, 0.5, key=f"start {ecg.key}"))
