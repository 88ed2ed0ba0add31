"""The tab Read: an ECG, its prediction, measurements and explanation."""

from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from config import RESEARCH_ONLY, SUPERCLASS_NAMES, SUPERCLASSES
from ecg.plotting.draw import draw, export
from ecg.rr_intervals import RRIntervals
from ecg.statements import BY_CODE
from inference.diagnosis import Diagnosis
from ui import html
from ui.cached import ClassExplanation, diagnose, explanation, intervals, rr_intervals
from ui.paper import PaperSettings, show_interactive, show_paper
from ui.pdf_report import report_pdf
from ui.sources import DisplayedECG, describe_label
from ui.statements import likeliest_rhythms_html, show_statements

RHYTHM = "Rhythm"  # explained by RR intervals instead of shaded leads
PREMATURE = ("PAC", "PVC", "PRC(S)")  # statements on early beats, explained by both


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
    chosen = None if unusable else choose_explained(choice, diagnosis)
    explained = explanation(ecg, chosen) if chosen not in (None, RHYTHM) else None
    if isinstance(explained, str):
        st.error(f"No explanation: {explained}")
        explained = None
    rr = None if unusable else rr_intervals(ecg)
    show_drawn = show_interactive if paper.interactive else show_paper
    show_drawn(ecg, paper, explained, rr if chosen in (RHYTHM, *PREMATURE) else None)
    show_measurements(ecg, rr)
    left, right = st.columns((3, 2), gap="large")
    with left:
        st.subheader("Probabilities")
        st.html(html.probabilities_html(diagnosis))
        show_meanings()
    with right:
        if not unusable:
            show_explanation(diagnosis, chosen, explained, rr)
        show_label(ecg, diagnosis)
    if diagnosis.statements and not unusable:
        show_statements(diagnosis)
    show_downloads(ecg, diagnosis, paper, explained, chosen)


def show_measurements(ecg: DisplayedECG, rr: RRIntervals | None) -> None:
    found = intervals(ecg)
    st.html(f"<p class='note'>{escape(found)}</p>" if isinstance(found, str) else html.measurements_html(found))
    if rr:
        st.html(f"<p class='note'>{html.rr_sentence(rr)}</p>")


def show_warnings(diagnosis: Diagnosis) -> None:
    """What the headline does not say already, in one box."""
    warnings = [warning for warning in diagnosis.warnings if warning not in html.unusable_because(diagnosis)]
    if warnings:
        mark = "- " if len(warnings) > 1 else ""
        st.warning("\n".join(f"{mark}{html.sentence(warning)}" for warning in warnings), icon="⚠️")


def choose_explained(place: DeltaGenerator, diagnosis: Diagnosis) -> str | None:
    """The class or asserted statement to explain, or the rhythm."""
    codes = [one.code for one in html.asserted_statements(diagnosis) if "rhythm" not in one.groups]
    classes = [name for name in SUPERCLASSES if name not in diagnosis.not_assessable]
    options = [*classes, *([RHYTHM] if diagnosis.rhythm else []), *(c for c in codes if c not in SUPERCLASSES)]
    if st.session_state.get("shaded") not in options:  # another ECG has other statements
        st.session_state.pop("shaded", None)
    return place.pills(
        "Explain",
        options,
        key="shaded",
        wrap=True,
        help="A class or an asserted statement shades the leads and times that raised its probability; the rhythm "
        "writes the RR intervals below the traces",
    )


def show_meanings() -> None:
    with st.popover("What do the classes mean?"):
        st.caption("A class is present where PTB-XL’s cardiologists stated any of its statements.")
        for name in SUPERCLASSES:
            st.markdown(f"**{name}: {SUPERCLASS_NAMES[name]}.** {html.meaning(name)}")


def show_explanation(
    diagnosis: Diagnosis, chosen: str | None, explained: ClassExplanation | None, rr: RRIntervals | None
) -> None:
    """What speaks for what was chosen, or how to choose."""
    if chosen == RHYTHM:
        show_rhythm(diagnosis, rr)
    elif explained is None:
        st.subheader("Explanation")
        what = "a class, a statement or the rhythm" if diagnosis.statements else "a class"
        st.caption(f"Choose {what} under “Explain”, above the ECG, to see what raised its probability.")
    else:
        name = explained.class_name
        said = name if name in SUPERCLASSES else f"{BY_CODE[name].name} ({name})"
        st.subheader(f"Evidence for {said} by lead")
        st.html(html.leads_html(explained.lead_shares))
        st.caption(
            "Shares of the evidence by integrated gradients: what the network used, which is not necessarily what a "
            "cardiologist would use."
        )
        if name in PREMATURE and rr:
            st.caption(f"{html.rr_sentence(rr)} ▼ marks early beats.")


def show_rhythm(diagnosis: Diagnosis, rr: RRIntervals | None) -> None:
    """The RR intervals in words and the likeliest rhythms."""
    st.subheader("Rhythm: RR intervals")
    st.markdown(html.rr_sentence(rr) if rr else "No heartbeats stand out clearly enough to measure RR intervals.")
    st.html(likeliest_rhythms_html(diagnosis))
    st.caption(
        "The network reads the rhythm from the RR intervals of the whole recording and from its waves. ▼ below the "
        "traces marks early beats: those after an RR interval shorter than 85 % of the median."
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


def show_downloads(
    ecg: DisplayedECG,
    diagnosis: Diagnosis,
    paper: PaperSettings,
    explained: ClassExplanation | None,
    chosen: str | None,
) -> None:
    """Files are made when their button is pressed. explained, chosen: what the page explains, and what was asked."""
    rr = None if html.unusable_because(diagnosis) else rr_intervals(ecg)

    def report() -> bytes:
        shown = {n: p for n, p in diagnosis.probabilities.items() if n not in diagnosis.not_assessable}
        silent = html.unusable_because(diagnosis) or not shown
        reasons = explained or ("" if silent else explanation(ecg, max(shown, key=shown.get)))
        found = intervals(ecg)
        return report_pdf(
            ecg,
            diagnosis,
            intervals=None if isinstance(found, str) else found,
            explanation=None if isinstance(reasons, str) else reasons,
            rr=rr,
            arrangement=paper.arrangement,
            scale=paper.scale,
        )

    def sheet(file_format: str) -> bytes:
        figure = draw(
            ecg.drawn,
            paper.scale,
            paper.arrangement,
            shading=explained.spans if explained else (),
            caption=ecg.caption,
            notice=f"{ecg.notice} {RESEARCH_ONLY}",
            rr=rr if chosen in (RHYTHM, *PREMATURE) else None,
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
