"""The tab Compare: two ECGs."""

from datetime import datetime

import streamlit as st

from config import SUPERCLASSES
from ecg.plotting.layout import Scale
from ecg.recording import RecordingError
from inference.diagnoser import Diagnosis
from ui import html
from ui.cached import artifacts, diagnose, load_archive
from ui.paper import show_paper
from ui.read import show_case
from ui.sources import EXAMPLES, Archive, Case, archive_case, example_case


def compare_tab(scale: Scale, arrangement: str) -> None:
    """Two ECGs, side by side where there is room: of one patient where PTB-XL is here, else two examples."""
    archive = load_archive()
    options = ["Two examples"]
    if isinstance(archive, Archive) and archive.repeated_patients:
        options.insert(0, "One patient over time")
    what = st.segmented_control("Compare", options, default=options[0], required=True, key="compare")
    try:
        pair, between = choose_patient_pair(archive) if what != "Two examples" else choose_example_pair()
    except (RecordingError, RuntimeError) as error:  # DatasetError is a RuntimeError
        st.error(f"This ECG cannot be read: {error}")
        return
    st.markdown(between)
    answers = [diagnose(case) for case in pair]
    for column, case in zip(st.container(key="pair").columns(2, gap="medium"), pair, strict=True):
        with column:
            show_case(case)
            show_paper(case, scale, arrangement)
    for column, case, diagnosis in zip(st.columns(2, gap="large"), pair, answers, strict=True):
        with column:
            if isinstance(diagnosis, str):
                st.warning(f"No answer to {case.title}: {diagnosis}")
            else:
                st.caption(case.title)
                st.html(html.verdict_html(diagnosis) + html.bars_html(diagnosis))
    if all(isinstance(diagnosis, Diagnosis) for diagnosis in answers):
        first, second = answers
        changes = [
            f"{name} {100 * (second.probabilities[name] - first.probabilities[name]):+.0f}" for name in SUPERCLASSES
        ]
        st.markdown(f"**Change from first to second, percentage points:** {', '.join(changes)}")


def choose_patient_pair(archive: Archive) -> tuple[list[Case], str]:
    patients = archive.repeated_patients
    dates = archive.index.table["recording_date"]
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
    return [archive_case(archive, number) for number in (first, second)], f"{apart} from first to second."


def choose_example_pair() -> tuple[list[Case], str]:
    names = list(EXAMPLES)
    left, right = st.columns(2)
    first = left.selectbox("First", names, names.index("normal"), format_func=EXAMPLES.get, key="left example")
    second = right.selectbox("Second", names, 0, format_func=EXAMPLES.get, key="right example")
    return [example_case(artifacts(), name) for name in (first, second)], "Two generated ECGs, of nobody."
