"""The tab Read: an ECG, its prediction, measurements and explanation."""

from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from config import RESEARCH_ONLY, SUPERCLASS_NAMES, SUPERCLASSES
from ecg.plotting.draw import draw, export
from inference.diagnoser import Diagnosis
from ui import html
from ui.cached import ClassExplanation, diagnose, explanation, intervals
from ui.paper import PaperSettings, show_interactive, show_paper
from ui.pdf_report import report_pdf
from ui.sources import DisplayedECG, describe_label


def read_tab(ecg: DisplayedECG, paper: PaperSettings) -> None:
    diagnosis = diagnose(ecg)
    st.html(html.heading_html(ecg))
    if isinstance(diagnosis, str):
        st.error(f"No prediction: {diagnosis}. Choose another ECG under “ECG from”, in the sidebar.")
        show_paper(ecg, paper)
        return
    prediction, choice = st.columns((3, 2), gap="small", vertical_alignment="bottom")
    prediction.html(html.prediction_html(diagnosis))
    show_warnings(diagnosis)
    unusable = html.unusable_because(diagnosis)
    class_name = None if unusable else choose_class(choice)
    explained = explanation(ecg, class_name) if class_name else None
    if isinstance(explained, str):
        st.error(f"No explanation: {explained}")
        explained = None
    if paper.interactive:
        show_interactive(ecg, paper, explained)
    else:
        show_paper(ecg, paper, explained)
    found = intervals(ecg)
    st.html(f"<p class='note'>{escape(found)}</p>" if isinstance(found, str) else html.measurements_html(found))
    left, right = st.columns((3, 2), gap="large")
    with left:
        st.subheader("Probabilities")
        st.html(html.probabilities_html(diagnosis))
        show_meanings()
    with right:
        if not unusable:
            show_explanation(explained)
        show_label(ecg, diagnosis)
    show_downloads(ecg, diagnosis, paper, class_name)


def show_warnings(diagnosis: Diagnosis) -> None:
    """What the headline does not say already, in one box."""
    warnings = [warning for warning in diagnosis.warnings if warning not in html.unusable_because(diagnosis)]
    if warnings:
        mark = "- " if len(warnings) > 1 else ""
        st.warning("\n".join(f"{mark}{html.sentence(warning)}" for warning in warnings), icon="⚠️")


def choose_class(place: DeltaGenerator) -> str | None:
    """The class to explain."""
    return place.segmented_control(
        "Explain", SUPERCLASSES, key="shaded", help="Shades the leads and times that raised the class’s probability"
    )


def show_meanings() -> None:
    with st.popover("What do the classes mean?"):
        st.caption("A class is present where PTB-XL’s cardiologists stated any of its statements.")
        for name in SUPERCLASSES:
            st.markdown(f"**{name}: {SUPERCLASS_NAMES[name]}.** {html.meaning(name)}")


def show_explanation(explained: ClassExplanation | None) -> None:
    """The leads with the most evidence, or how to get them."""
    if explained is None:
        st.subheader("Explanation")
        st.caption("Choose a class above the ECG to see which leads and times raised its probability.")
        return
    st.subheader(f"Evidence for {explained.class_name} by lead")
    st.html(html.leads_html(explained.lead_shares))
    st.caption(
        "Shares of the evidence by integrated gradients: what the network used, which is not necessarily what a "
        "cardiologist would use."
    )


def show_label(ecg: DisplayedECG, diagnosis: Diagnosis) -> None:
    """The annotation, only on request, so that readers can form their own opinion first."""
    if ecg.label is None:
        st.caption("No label to compare with: only PTB-XL’s ECGs are annotated.")
        return
    if not st.toggle("Show the annotated label", key="label"):
        return
    agrees = "agrees" if set(ecg.label) == set(diagnosis.predicted_classes) else "disagrees"
    network = "The network gives no diagnosis" if html.unusable_because(diagnosis) else f"The network {agrees}"
    st.markdown(
        f"**Label:** {describe_label(ecg.label)}. {network}."
        + "".join(f"\n- {statement}" for statement in ecg.statements)
    )


def show_downloads(ecg: DisplayedECG, diagnosis: Diagnosis, paper: PaperSettings, class_name: str | None) -> None:
    """Files are made when their button is pressed. class_name: the class explained on the page."""

    def report() -> bytes:
        likeliest = max(diagnosis.probabilities, key=diagnosis.probabilities.get)
        explained = "" if html.unusable_because(diagnosis) else explanation(ecg, class_name or likeliest)
        found = intervals(ecg)
        return report_pdf(
            ecg,
            diagnosis,
            intervals=None if isinstance(found, str) else found,
            explanation=None if isinstance(explained, str) else explained,
            arrangement=paper.arrangement,
            scale=paper.scale,
        )

    def sheet(file_format: str) -> bytes:
        explained = explanation(ecg, class_name) if class_name else None
        figure = draw(
            ecg.drawn,
            paper.scale,
            paper.arrangement,
            shading=explained.spans if isinstance(explained, ClassExplanation) else (),
            caption=ecg.caption,
            notice=f"{ecg.notice} {RESEARCH_ONLY}",
        )
        return export(figure, file_format)

    stem = "".join(c if c.isalnum() else "_" for c in ecg.title)[:60]
    st.subheader("Downloads", divider="gray")
    with st.container(horizontal=True):
        for label, content, name, kind in (
            ("Report (PDF)", report, f"{stem}_report.pdf", "application/pdf"),
            ("ECG (PDF)", lambda: sheet("pdf"), f"{stem}.pdf", "application/pdf"),
            ("ECG (PNG)", lambda: sheet("png"), f"{stem}.png", "image/png"),
        ):
            st.download_button(label, content, name, kind, on_click="ignore", key=label)
    st.caption("A4 landscape. Printed at 100 %, the ECG has the speed and gain stated below it.")
