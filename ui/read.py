"""The tab Read: an ECG, its diagnosis and the reasons."""

from html import escape

import streamlit as st

from config import RESEARCH_ONLY, SUPERCLASS_NAMES, SUPERCLASSES
from ecg.intervals import Intervals
from ecg.plotting.draw import draw, export
from ecg.plotting.layout import Scale
from inference.diagnoser import Diagnosis
from ui import html
from ui.cached import artifacts, diagnose, explained, measured
from ui.paper import show_interactive, show_paper
from ui.pdf_report import Reasons, report_pdf
from ui.sources import Case, label_words


def show_case(case: Case) -> None:
    """Whose ECG this is."""
    facts = [case.patient or "age and sex unknown", f"{case.recording.duration:.0f} s", case.notice]
    st.html(
        f'<div class="case"><b>{escape(case.title)}</b><span>'
        + " · ".join(escape(fact) for fact in facts if fact)
        + "</span></div>"
    )


def read_tab(case: Case, scale: Scale, arrangement: str, interactive: bool) -> None:
    diagnosis = diagnose(case)
    show_case(case)
    if isinstance(diagnosis, str):
        st.warning(f"No answer: {diagnosis}")
        show_paper(case, scale, arrangement)
        return
    answer, question = st.columns((3, 2), gap="small", vertical_alignment="bottom")
    answer.html(html.verdict_html(diagnosis))
    for warning in diagnosis.warnings:
        st.warning(warning[0].upper() + warning[1:], icon="⚠️")
    shaded = question.segmented_control(
        "Shade what speaks for", SUPERCLASSES, key="shaded", help="Which leads and milliseconds drove the probability"
    )
    reasons = explained(case.key, case, shaded, artifacts()) if shaded else None
    if isinstance(reasons, str):
        st.warning(f"No reasons: {reasons}")
        reasons = None
    if interactive:
        show_interactive(case, scale, arrangement, reasons)
    else:
        show_paper(case, scale, arrangement, reasons)
    found = measured(case.key, case)
    st.html(f"<p class='note'>{escape(found)}</p>" if isinstance(found, str) else html.measurements_html(found))
    left, right = st.columns((3, 2), gap="large")
    with left:
        st.subheader("Probabilities")
        st.html(html.bars_html(diagnosis))
        show_meanings()
    with right:
        show_reasons(reasons)
        show_label(case, diagnosis)
    show_downloads(case, diagnosis, scale, arrangement, shaded)


def show_reasons(reasons: Reasons | None) -> None:
    """The ranked leads, or how to get them."""
    if reasons is None:
        st.subheader("Reasons")
        st.caption("Choose a class above the ECG, and the milliseconds and leads that speak for it are marked.")
        return
    st.subheader(f"Leads that speak for {reasons.name}")
    st.html(html.leads_html(reasons.ranked))
    st.caption(
        "Shares of the evidence, by integrated gradients: what the network used, which need not be what a "
        "cardiologist would use."
    )


def show_meanings() -> None:
    with st.popover("What do the classes mean?"):
        for name, meaning in html.MEANINGS.items():
            title = SUPERCLASS_NAMES[name]
            st.markdown(f"**{name}: {title}.** {meaning}")


def show_label(case: Case, diagnosis: Diagnosis) -> None:
    """The annotation, on request, so that the reader can judge first."""
    if case.label is None:
        return
    if not st.toggle("Show the annotated label", key="label"):
        return
    agrees = set(case.label) == set(diagnosis.predicted_classes)
    st.markdown(
        f"**Label:** {label_words(case.label)}. The network {'agrees' if agrees else 'disagrees'}."
        + "".join(f"\n- {statement}" for statement in case.statements)
    )


def show_downloads(case: Case, diagnosis: Diagnosis, scale: Scale, arrangement: str, shaded: str | None) -> None:
    directory, stem = artifacts(), "".join(c if c.isalnum() else "_" for c in case.title)[:60]

    def report() -> bytes:
        name = shaded or max(diagnosis.probabilities, key=diagnosis.probabilities.get)
        why, found = explained(case.key, case, name, directory), measured(case.key, case)
        return report_pdf(
            case.recording,
            diagnosis,
            title=case.title,
            patient=case.patient,
            notice=case.notice,
            intervals=found if isinstance(found, Intervals) else None,
            reasons=why if isinstance(why, Reasons) else None,
            arrangement="6x2" if arrangement.startswith("12x1") else arrangement,
            scale=scale,
        )

    def sheet(form: str) -> bytes:
        why = explained(case.key, case, shaded, directory) if shaded else None
        spans = why.spans if isinstance(why, Reasons) else ()
        notice = f"{case.notice} {RESEARCH_ONLY}"
        return export(draw(case.recording, scale, arrangement, shading=spans, caption=case.title, notice=notice), form)

    st.subheader("Take along", divider="gray")
    with st.container(horizontal=True):
        for label, content, name, kind in (
            ("Report (PDF)", report, f"{stem}_report.pdf", "application/pdf"),
            ("ECG (PDF)", lambda: sheet("pdf"), f"{stem}.pdf", "application/pdf"),
            ("ECG (PNG)", lambda: sheet("png"), f"{stem}.png", "image/png"),
        ):
            st.download_button(label, content, name, kind, on_click="ignore", key=label)
    st.caption("At true scale: print at 100 % on A4 landscape, and 25 mm on the paper are what the foot says.")
