"""The page: an ECG on its paper, the networks' answer to it, and the reasons.

    streamlit run app.py          # opens on a shipped example; PTB-XL and uploads are one click away

HMT_ARTIFACTS names another directory of networks than artifacts/, PTBXL_DIR another data set than data/ptbxl.
"""

import logging
import os
import random
import threading
import time
from base64 import b64encode
from datetime import datetime
from html import escape
from pathlib import Path

import streamlit as st

from config import DEFAULT_OUT, RESEARCH_ONLY, SAMPLING_RATE, SUPERCLASS_NAMES, SUPERCLASSES, data_directory
from ecg import paper
from ecg.interactive import draw_interactive, measure
from ecg.preprocessing import FULL_DURATION_S
from ecg.quality import Intervals, intervals
from ecg.readers import FORMATS
from ecg.recording import MAX_UPLOAD_BYTES, Recording, RecordingError
from inference import Diagnoser, Diagnosis, InferenceError
from page import results, words
from page.monitor import last_seconds, monitor_html, seamless_loop
from page.report import Reasons, report_pdf
from page.sources import (
    EXAMPLES,
    SHOWN_S,
    Archive,
    Case,
    archive_case,
    cut,
    example_case,
    label_words,
    open_archive,
    uploaded_case,
)

LAYOUTS = ("3x4", "6x2", "12x1")
SCREEN_HEIGHT_MM = {"3x4": 145.0, "6x2": 180.0, "12x1": 240.0}
MARGIN_MM = 2 * 8.5 + paper.LEAD_IN_MM + paper.LEAD_OUT_MM  # of a page, beside the traces
EXAMPLE, ARCHIVE, UPLOAD = "Example", "PTB-XL", "Your file"
TABS = ("Read", "Live", "Compare", "Model")
STYLE = Path(__file__).parent / "page" / "style.css"
log = logging.getLogger("app")


# -- What is loaded or computed once ----------------------------------------------------------------------------------


def artifacts() -> Path:
    """Where the networks and their figures lie."""
    return Path(os.environ.get("HMT_ARTIFACTS") or DEFAULT_OUT)


@st.cache_resource(show_spinner="Loading the networks …")
def verified_diagnoser(directory: Path) -> Diagnoser:
    return Diagnoser.load(directory)


def load_diagnoser() -> Diagnoser | str:
    """The networks, or why there are none; a failure is not remembered, so that it can be repaired."""
    try:
        return verified_diagnoser(artifacts())
    except InferenceError as error:
        return str(error)


@st.cache_resource(show_spinner="Opening PTB-XL …")
def verified_archive(data: Path, directory: Path) -> Archive:
    from dataset import DatasetError

    diagnoser = load_diagnoser()
    archive = open_archive(
        data, directory, diagnoser.decisions["multilabel"] if isinstance(diagnoser, Diagnoser) else None
    )
    if archive is None:
        raise DatasetError(
            "PTB-XL is not here. `python dataset.py download` fetches it, `make demo` makes a generated set; "
            "the examples need neither."
        )
    return archive


def load_archive() -> Archive | str:
    """The fold of PTB-XL to choose from, or why there is none."""
    from dataset import DatasetError  # loads PyTorch, which the examples do without

    try:
        return verified_archive(data_directory(), artifacts())
    except DatasetError as error:
        return str(error)


@st.cache_resource(show_spinner=False)
def load_network(directory: Path):
    """The multi-label network as PyTorch, which explanations need, with its checkpoint."""
    from training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(directory / "multilabel_best.pth")
    return checkpoint, checkpoint.network()


@st.cache_resource
def warm_up(directory: Path) -> None:
    """Load the slow libraries behind reasons and measurements while the reader looks at the first ECG."""

    def load() -> None:
        try:
            case = example_case(directory, next(iter(EXAMPLES)))
            intervals(case.recording)
            reasons_of(case, SUPERCLASSES[0], directory)
        except Exception:  # whatever is wrong is told when it is asked for
            log.info("warming up failed", exc_info=True)

    threading.Thread(target=load, daemon=True).start()


@st.cache_data(max_entries=64, show_spinner=False)
def answered(key: str, directory: Path, _case: Case, _diagnoser: Diagnoser) -> Diagnosis | str:
    """The answer to a case, or why it cannot be judged. key: the case's."""
    try:
        return _diagnoser.diagnose(_case.recording)
    except RecordingError as error:
        return str(error)


def diagnose(case: Case) -> Diagnosis | str:
    """The answer to a case, or why there is none."""
    diagnoser = load_diagnoser()
    return diagnoser if isinstance(diagnoser, str) else answered(case.key, artifacts(), case, diagnoser)


@st.cache_data(max_entries=64, show_spinner=False)
def measured(key: str, _case: Case) -> Intervals | str:
    """Intervals of a case, or why there are none."""
    try:
        return intervals(_case.recording)
    except RecordingError as error:
        return str(error)


def reasons_of(case: Case, name: str, directory: Path) -> Reasons:
    """What speaks for a class in a recording."""
    from ecg.preprocessing import model_input
    from explain import explain

    checkpoint, network = load_network(directory)
    signal = model_input(case.recording, checkpoint.input_scale)
    classes = tuple(checkpoint.classes)
    why = explain(network, signal, classes, checkpoint.window_s, checkpoint.stride_s, explained=(name,))
    return Reasons(name, why.ranked_leads(name), why.spans(name))


@st.cache_data(max_entries=64, show_spinner="Asking the network why …")
def explained(key: str, _case: Case, name: str, directory: Path) -> Reasons | str:
    """What speaks for a class, or why that cannot be told."""
    try:
        return reasons_of(_case, name, directory)
    except ValueError as error:  # RecordingError and CheckpointError are such
        return str(error)


@st.cache_data(max_entries=32, show_spinner=False)
def drawn(key: str, _case: Case, scale: paper.Scale, arrangement: str, shaded: str, _reasons: Reasons | None) -> str:
    """The ECG on its paper as a data URI; ``shaded`` names the class whose reasons are marked."""
    return svg_uri(_case, scale, arrangement, _reasons)


# -- Drawing ----------------------------------------------------------------------------------------------------------


def screen_size(case: Case, scale: paper.Scale, arrangement: str) -> tuple[float, float]:
    """A page in mm that shows all of a case at its scale, without the empty margins of A4."""
    width = MARGIN_MM + min(case.recording.duration, SHOWN_S) * scale.speed_mm_s
    return max(width, 160.0), SCREEN_HEIGHT_MM[arrangement.split()[0]] * max(1.0, scale.gain_mm_mv / 12)


def svg_uri(case: Case, scale: paper.Scale, arrangement: str, reasons: Reasons | None) -> str:
    """An ECG drawn for the screen, as a data URI of an SVG."""
    figure = paper.draw(
        case.recording,
        scale,
        arrangement,
        shading=reasons.spans if reasons else (),
        caption=" · ".join(part for part in (case.title, case.patient) if part),
        notice=" ".join(part for part in (case.notice, RESEARCH_ONLY) if part),
        size_mm=screen_size(case, scale, arrangement),
    )
    return "data:image/svg+xml;base64," + b64encode(paper.export(figure, "svg")).decode()


def show_paper(case: Case, scale: paper.Scale, arrangement: str, reasons: Reasons | None = None) -> None:
    """The ECG as a picture, as wide as there is room; on a phone it scrolls sideways."""
    shaded = reasons.name if reasons else ""
    uri = drawn(case.key, case, scale, arrangement, shaded, reasons)
    about = f"12-lead ECG, {case.title}, {arrangement}, {scale.speed_mm_s:g} mm/s, {scale.gain_mm_mv:g} mm/mV"
    about += f", shaded for {shaded}" if shaded else ""
    st.html(
        f'<div class="paper-scroll" tabindex="0" role="group" aria-label="ECG paper">'
        f'<img alt="{escape(about)}" src="{uri}"></div>'
    )


def show_interactive(case: Case, scale: paper.Scale, arrangement: str, reasons: Reasons | None) -> None:
    """The ECG to zoom into and measure."""
    page = paper.layout(case.recording, scale, arrangement, screen_size(case, scale, arrangement))
    figure = draw_interactive(case.recording, page, reasons.spans if reasons else ())
    with st.container(key="chart"):
        event = st.plotly_chart(
            figure,
            theme=None,
            key=f"chart {case.key} {scale} {arrangement}",
            on_select="rerun",
            selection_mode="box",
            config={"displaylogo": False, "displayModeBar": True, "scrollZoom": True},
            alt=f"12-lead ECG, {case.title}, to zoom and measure",
        )
    st.caption(f"{page.statement} · {case.notice}".removesuffix(" · "))
    boxes = event.selection.box
    if not boxes:
        st.caption(
            "Drag a rectangle to measure: its width in ms and beats/min, its height in mV. The bar above the chart "
            "has zoom and pan; double-click shows everything again. Point at a trace for time and voltage."
        )
        return
    caliper = measure(page, boxes[-1])
    rate = caliper.beats_per_minute
    st.html(
        "<div class='tiles' role='status'>"
        f"<div class='tile'><span>Caliper, time</span><b>{caliper.milliseconds:.0f} ms</b></div>"
        f"<div class='tile'><span>voltage</span><b>{caliper.millivolts:.2f} mV</b></div>"
        f"<div class='tile'><span>rate, if one beat</span><b>{f'{rate:.0f}/min' if rate else '–'}</b></div></div>"
    )


# -- Sidebar: which ECG, on which paper -------------------------------------------------------------------------------


def choose_case() -> Case | str:
    """The ECG the reader chose, or why there is none."""
    source = st.segmented_control("ECG from", (EXAMPLE, ARCHIVE, UPLOAD), default=EXAMPLE, required=True, key="source")
    case = {EXAMPLE: choose_example, ARCHIVE: choose_from_archive, UPLOAD: choose_upload}[source]()
    if isinstance(case, Case) and case.recording.duration > SHOWN_S:
        latest = float(case.recording.duration - SHOWN_S)
        return cut(case, st.slider("Show and judge from (s)", 0.0, latest, 0.0, 0.5, key=f"start {case.key}"))
    return case


def choose_example() -> Case | str:
    name = st.selectbox("Example", list(EXAMPLES), format_func=EXAMPLES.get, key="example")
    st.caption("Generated by our own code: textbook cases, no patients.")
    try:
        return example_case(artifacts(), name)
    except RecordingError as error:
        return f"The example cannot be read: {error}. `python make_examples.py` writes it again."


def choose_from_archive() -> Case | str:
    archive = load_archive()
    if isinstance(archive, str):
        return archive
    from dataset import DatasetError

    choice = st.selectbox(
        "Which", list(archive.choices), format_func=lambda name: f"{name} ({len(archive.choices[name]):,})", key="which"
    )
    numbers = [int(ecg_id) for ecg_id in archive.choices[choice]]
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
    st.caption(archive.notice)
    try:
        return archive_case(archive, ecg_id)
    except DatasetError as error:
        return f"This ECG cannot be read: {error}"


def go_to(ecg_id: int) -> None:
    st.session_state["ecg_id"] = ecg_id


def choose_upload() -> Case | str:
    uploads = st.file_uploader(
        "One recording",
        accept_multiple_files=True,
        key="upload",
        help=f"A WFDB record is its .hea and .dat together, or a zip of them. At most {MAX_UPLOAD_BYTES / 1e6:.0f} MB. "
        "Files stay in this server's memory and are stored nowhere.",
    )
    with st.expander("My file does not state its rate or unit"):
        rate = st.number_input("Sampling rate (Hz)", min_value=1.0, value=None, placeholder="as in the file")
        unit = st.selectbox("Unit", ("uV", "mV", "V", "nV"), index=None, placeholder="as in the file")
    if not uploads:
        return f"Choose a file in the panel. These formats are read: {FORMATS}."
    try:
        return uploaded_case({upload.name: upload.getvalue() for upload in uploads}, rate, unit)
    except RecordingError as error:
        return f"This file cannot be used: {error}."


def choose_paper() -> tuple[paper.Scale, str, bool]:
    """Scale, arrangement, and whether to show the interactive view."""
    st.subheader("Paper", divider="gray")
    order = st.segmented_control("Layout", LAYOUTS, default="3x4", required=True, key="layout")
    cabrera = st.toggle("Cabrera order", key="cabrera", help="aVL, I, −aVR, II, aVF, III: by direction in the body")
    speed = st.segmented_control(
        "Speed (mm/s)", paper.SPEEDS_MM_S, default=25.0, required=True, format_func="{:g}".format, key="speed"
    )
    gain = st.segmented_control(
        "Gain (mm/mV)", paper.GAINS_MM_MV, default=10.0, required=True, format_func="{:g}".format, key="gain"
    )
    interactive = st.toggle("Zoom and measure", key="interactive", help="An interactive view with calipers")
    return paper.Scale(speed, gain), f"{order} Cabrera" if cabrera else order, interactive


# -- Read -------------------------------------------------------------------------------------------------------------


def show_case(case: Case) -> None:
    """Whose ECG this is."""
    facts = [case.patient or "age and sex unknown", f"{case.recording.duration:.0f} s", case.notice]
    st.html(
        f'<div class="case"><b>{escape(case.title)}</b><span>'
        + " · ".join(escape(fact) for fact in facts if fact)
        + "</span></div>"
    )


def read_tab(case: Case, scale: paper.Scale, arrangement: str, interactive: bool) -> None:
    diagnosis = diagnose(case)
    show_case(case)
    if isinstance(diagnosis, str):
        st.warning(f"No answer: {diagnosis}")
        show_paper(case, scale, arrangement)
        return
    answer, question = st.columns((3, 2), gap="small", vertical_alignment="bottom")
    answer.html(words.verdict_html(diagnosis))
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
    st.html(f"<p class='note'>{escape(found)}</p>" if isinstance(found, str) else words.measurements_html(found))
    left, right = st.columns((3, 2), gap="large")
    with left:
        st.subheader("Probabilities")
        st.html(words.bars_html(diagnosis))
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
    st.html(words.leads_html(reasons.ranked))
    st.caption(
        "Shares of the evidence, by integrated gradients: what the network used, which need not be what a "
        "cardiologist would use."
    )


def show_meanings() -> None:
    with st.popover("What do the classes mean?"):
        for name, meaning in words.MEANINGS.items():
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


def show_downloads(case: Case, diagnosis: Diagnosis, scale: paper.Scale, arrangement: str, shaded: str | None) -> None:
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
        return paper.export(
            paper.draw(case.recording, scale, arrangement, shading=spans, caption=case.title, notice=notice), form
        )

    st.subheader("Take along", divider="gray")
    with st.container(horizontal=True):
        for label, content, name, kind in (
            ("Report (PDF)", report, f"{stem}_report.pdf", "application/pdf"),
            ("ECG (PDF)", lambda: sheet("pdf"), f"{stem}.pdf", "application/pdf"),
            ("ECG (PNG)", lambda: sheet("png"), f"{stem}.png", "image/png"),
        ):
            st.download_button(label, content, name, kind, on_click="ignore", key=label)
    st.caption("At true scale: print at 100 % on A4 landscape, and 25 mm on the paper are what the foot says.")


# -- Live -------------------------------------------------------------------------------------------------------------


def live_tab(case: Case) -> None:
    """The ECG as a bedside monitor would meet it."""
    show_case(case)
    running = st.toggle("Running", value=True, key="running")
    if not running:
        st.session_state.pop("live", None)
        st.caption("Stopped. Running starts the recording anew.")
        return
    loop = seamless_loop(case.recording)
    if st.session_state.get("live", ("", 0))[0] != case.key:
        st.session_state["live"] = (case.key, time.time())
    st.iframe(monitor_html(loop), height=400, alt="Bedside monitor")
    live_answer(loop)
    st.caption(
        f"The recording plays in a loop of {loop.duration:.1f} s, cut between heartbeats. Each second the networks "
        f"judge the last {FULL_DURATION_S:g} s, 25 mm/s and 10 mm/mV on the monitor."
    )


@st.fragment(run_every=1.0)
def live_answer(loop: Recording) -> None:
    """The answer to the last seconds, anew each second."""
    now_s = time.time() - st.session_state.get("live", ("", time.time()))[1]
    memory = last_seconds(loop, now_s)
    if memory is None:
        st.info(f"Collecting: {now_s:.0f} of 5 s until the first answer.")
        return
    diagnoser = load_diagnoser()
    if isinstance(diagnoser, str):
        st.warning(diagnoser)
        return
    try:
        diagnosis = diagnoser.diagnose(memory)
    except RecordingError as error:
        st.warning(f"No answer: {error}")
        return
    rate = diagnosis.quality.heart_rate
    left, right = st.columns((1, 3), gap="large")
    left.html(
        f'<p class="note">Heart rate</p><div class="big">{f"{rate:.0f}" if rate else "–"}</div>'
        f'<p class="note">/min · {now_s:.0f} s since start</p>'
    )
    with right:
        st.html(words.verdict_html(diagnosis) + words.bars_html(diagnosis))


# -- Compare ----------------------------------------------------------------------------------------------------------


def compare_tab(scale: paper.Scale, arrangement: str) -> None:
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
                st.html(words.verdict_html(diagnosis) + words.bars_html(diagnosis))
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


# -- Model ------------------------------------------------------------------------------------------------------------


def model_tab() -> None:
    """How good the networks are, and what they are not."""
    directory = artifacts()
    st.markdown(
        f"A convolutional network of about 0.3 million parameters reads twelve leads at {SAMPLING_RATE} Hz, in mV, "
        "with one encoder for every lead. Trained on PTB-XL folds 1 to 8; fold 9 chose epoch, calibration and "
        "thresholds; figures that need a threshold are cross-fitted by patient. 95 % intervals in brackets."
    )
    for task, title in results.TASKS.items():
        content = results.read_metrics(directory, task)
        if content is None:
            continue
        st.subheader(title)
        if content.get("synthetic"):
            st.warning("Measured on synthetic data: it says nothing about accuracy.")
        st.caption(f"PTB-XL fold {content['fold']}, {content['n']:,} recordings, {content.get('decisions', '')}")
        st.table(results.metrics_table(content))
        found = results.figures(directory, task, content["split"])
        for column, (caption, path) in zip(st.columns(len(found) or 1), found, strict=False):
            column.image(str(path), caption=f"{title}: {caption}", width="stretch")
    comparison = results.read_comparison(directory)
    if comparison:
        st.subheader("Beside the baselines")
        st.caption(f"PTB-XL fold {comparison['fold']}, {comparison['n']:,} recordings, {comparison['intervals']}")
        st.table(results.comparison_frame(comparison))
    groups = directory / "analysis" / "groups.png"
    if groups.is_file():
        st.subheader("By group of patients")
        st.image(str(groups), caption="Errors by age, sex and other groups", width=900)
    st.subheader("What it is not")
    st.markdown(
        "- **No medical device.** Nobody has tested it in care.\n"
        "- **One collection, one era, one maker of devices.** Performance elsewhere is unknown.\n"
        "- **No rhythms.** Atrial fibrillation, extra beats or pacing are no answer it can give.\n"
        "- **Broad classes.** “MI” does not say acute or old, “CD” not which block.\n"
        "- **Labels are opinions.** To disagree with one is not always an error.\n"
        "- **Hypertrophy is its weakest class**, as in the published work."
    )


# -- The page ---------------------------------------------------------------------------------------------------------


def main() -> None:
    st.set_page_config("HMT-ECGNet", "🫀", layout="wide")
    st.html(STYLE)
    st.html(f'<div class="disclaimer" role="note">{RESEARCH_ONLY}</div>')
    st.html('<div class="brand"><b>HMT-ECGNet</b><span>reads a 12-lead ECG and shows why</span></div>')
    diagnoser = load_diagnoser()
    if isinstance(diagnoser, str):
        st.error(f"The networks cannot be used: {diagnoser}")
    with st.sidebar:
        case = choose_case()
        scale, arrangement, interactive = choose_paper()
    read, live, compare, model = st.tabs(TABS, on_change="rerun", key="tab")
    if read.open or live.open:
        with read if read.open else live:
            if isinstance(case, str):
                st.info(case)
            elif read.open:
                read_tab(case, scale, arrangement, interactive)
            else:
                live_tab(case)
    if not live.open:
        st.session_state.pop("live", None)  # the monitor starts anew when it is seen again
    if compare.open:
        with compare:
            compare_tab(scale, arrangement)
    if model.open:
        with model:
            model_tab()
    warm_up(artifacts())


def run() -> None:
    """The page; a defect ends in a sentence and a line in the log, never in a stack trace."""
    try:
        main()
    except Exception:
        log.exception("the page failed")
        st.error("Something went wrong here, and the server's log says what. Choose another ECG or reload the page.")


if __name__ == "__main__":
    run()
