"""The tab Compare: two ECGs and their predictions."""

from datetime import datetime

import streamlit as st

from config import SUPERCLASSES
from ecg.recording import RecordingError
from ptbxl.index import DatasetError
from ui import html
from ui.cached import artifacts, diagnose, load_fold
from ui.paper import PaperSettings, show_paper
from ui.sources import EXAMPLES, DisplayedECG, PTBXLFold, example_ecg, ptbxl_ecg

PATIENT, TWO_EXAMPLES = "One patient over time", "Two examples"


def compare_tab(paper: PaperSettings) -> None:
    """Two ECGs, side by side where there is room: of one patient where PTB-XL is installed, else two examples."""
    fold = load_fold()
    has_patients = not isinstance(fold, str) and fold.repeated_patients
    options = [PATIENT, TWO_EXAMPLES] if has_patients else [TWO_EXAMPLES]
    option = st.segmented_control("Compare", options, default=options[0], required=True, key="compare")
    try:
        pair, note = choose_patient_pair(fold) if option == PATIENT else choose_example_pair()
    except (RecordingError, DatasetError) as error:
        st.error(f"This ECG cannot be read: {error}")
        return
    st.markdown(note)
    diagnoses = [diagnose(ecg) for ecg in pair]
    for column, ecg in zip(st.container(key="pair").columns(2, gap="medium"), pair, strict=True):
        with column:
            st.html(html.heading_html(ecg))
            show_paper(ecg, paper)
    for column, ecg, diagnosis in zip(st.columns(2, gap="large"), pair, diagnoses, strict=True):
        with column:
            if isinstance(diagnosis, str):
                st.warning(f"No prediction for {ecg.title}: {diagnosis}")
            else:
                st.caption(ecg.title)
                st.html(html.prediction_html(diagnosis) + html.probabilities_html(diagnosis))
    if not any(isinstance(diagnosis, str) for diagnosis in diagnoses):
        first, second = (diagnosis.probabilities for diagnosis in diagnoses)
        changes = ", ".join(
            f"{name} {100 * (second[name] - first[name]):+.0f}".replace("-", "−") for name in SUPERCLASSES
        )
        st.markdown(f"**Change from first to second, percentage points:** {changes}")


def choose_patient_pair(fold: PTBXLFold) -> tuple[list[DisplayedECG], str]:
    """Two ECGs of a patient, and the time between them. Raises DatasetError."""
    patients = fold.repeated_patients
    dates = fold.index.table["recording_date"]
    left, middle, right = st.columns(3)
    patient = left.selectbox(
        "Patient", list(patients), format_func=lambda p: f"Patient {p} ({len(patients[p])} ECGs)", key="patient"
    )
    numbers = [int(ecg_id) for ecg_id in patients[patient]]
    name = {number: f"{number}, {str(dates[number])[:10]}" for number in numbers}
    first = middle.selectbox("First", numbers, 0, format_func=name.get, key=f"left {patient}")
    second = right.selectbox("Second", numbers, len(numbers) - 1, format_func=name.get, key=f"right {patient}")
    days = (datetime.fromisoformat(dates[second]) - datetime.fromisoformat(dates[first])).days
    apart = f"{days} days" if abs(days) < 730 else f"{days / 365.25:.1f} years"
    return [ptbxl_ecg(fold, number) for number in (first, second)], f"{apart} from first to second."


def choose_example_pair() -> tuple[list[DisplayedECG], str]:
    """Two shipped examples, and what they are. Raises RecordingError."""
    names = list(EXAMPLES)
    left, right = st.columns(2)
    first = left.selectbox("First", names, names.index("normal"), format_func=EXAMPLES.get, key="left example")
    second = right.selectbox("Second", names, 0, format_func=EXAMPLES.get, key="right example")
    return [example_ecg(artifacts(), name) for name in (first, second)], "Two generated ECGs, not from patients."
