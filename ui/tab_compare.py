"""The tab Compare: two ECGs and their predictions."""

from datetime import datetime

import streamlit as st

from config import SUPERCLASSES
from ecg.recording import RecordingError
from inference.diagnosis import Diagnosis
from ptbxl.index import DatasetError
from ui import html
from ui.cached import artifacts, diagnose, load_fold
from ui.paper import PaperSettings, show_paper
from ui.sources import EXAMPLES, DisplayedECG, NoECG, PTBXLFold, example_ecg, ptbxl_ecg
from ui.statements import differences
from ui.uploads import choose_upload, say_why

PATIENT, TWO_EXAMPLES, TWO_FILES = "One patient", "Examples", "Your files"


def compare_tab(paper: PaperSettings) -> None:
    """Two ECGs, side by side where there is room."""
    fold = load_fold()
    has_patients = not isinstance(fold, str) and fold.repeated_patients
    default = PATIENT if has_patients else TWO_EXAMPLES
    options = (PATIENT, TWO_EXAMPLES, TWO_FILES)
    option = st.segmented_control("Compare", options, default=default, required=True, key="compare")
    if option == PATIENT and not has_patients:
        why = fold if isinstance(fold, str) else f"{fold.name} fold {fold.fold} has no patient with several ECGs."
        st.error(f"{why.rstrip('.')}. Choose “{TWO_EXAMPLES}” or “{TWO_FILES}” above.")
        return
    choose = {PATIENT: lambda: choose_patient_pair(fold), TWO_EXAMPLES: choose_example_pair, TWO_FILES: choose_uploads}
    try:
        pair, note = choose[option]()
    except (RecordingError, DatasetError) as error:
        st.error(f"This ECG cannot be read: {error}. Choose another above.")
        return
    if note:
        st.markdown(note)
    missing = [ecg for ecg in pair if isinstance(ecg, NoECG)]
    if not missing:
        show_pair(pair, paper)


def show_pair(pair: list[DisplayedECG], paper: PaperSettings) -> None:
    """Both papers, both predictions, and what changed."""
    for column, ecg in zip(st.container(key="pair").columns(2, gap="medium"), pair, strict=True):
        with column:
            st.html(html.heading_html(ecg))
            show_paper(ecg, paper)
    diagnoses = [diagnose(ecg) for ecg in pair]
    for column, ecg, diagnosis in zip(st.columns(2, gap="large"), pair, diagnoses, strict=True):
        with column:
            if isinstance(diagnosis, str):
                st.error(f"No prediction for {ecg.title}: {diagnosis}. Choose another ECG above.")
            else:
                st.caption(ecg.title)
                st.html(html.prediction_html(diagnosis) + html.probabilities_html(diagnosis))
    show_changes(diagnoses)


def show_changes(diagnoses: list[Diagnosis | str]) -> None:
    """How the probabilities and asserted statements of two diagnoses differ, where both mean something."""
    if any(isinstance(diagnosis, str) or html.unusable_because(diagnosis) for diagnosis in diagnoses):
        return
    first, second = (diagnosis.probabilities for diagnosis in diagnoses)
    left_out = {name for diagnosis in diagnoses for name in diagnosis.not_assessable}
    points = {name: round(100 * (second[name] - first[name])) for name in SUPERCLASSES if name not in left_out}
    changes = ", ".join(f"{name} {change:+d}".replace("-", "−") for name, change in points.items()) or "none to tell"
    st.markdown(f"**Change from first to second, percentage points:** {changes}")
    if all(diagnosis.statements for diagnosis in diagnoses):
        found = differences(*diagnoses)
        lines = [f"- **{where}:** {'; '.join(names) or 'none'}" for where, names in found.items()]
        st.markdown("**Asserted statements**\n" + "\n".join(lines))


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


def choose_uploads() -> tuple[list[DisplayedECG | NoECG], str]:
    """Two uploads, each with its controls and what is wrong with it below them; no note."""
    pair = []
    for column, name in zip(st.columns(2, gap="large"), ("First", "Second"), strict=True):
        with column:
            ecg = choose_upload(f"compare {name}", f"{name} recording", "above")
            if isinstance(ecg, NoECG):
                say_why(ecg)
            pair.append(ecg)
    return pair, ""
