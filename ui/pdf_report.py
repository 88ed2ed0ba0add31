"""The report on one ECG: A4 landscape, ECG at true scale, searchable text.

The ECG keeps the layout chosen on the page. Where its traces would overlap beside the text, it gets a sheet of its own,
and where they would even there, a lower gain.
"""

import textwrap
from dataclasses import replace
from datetime import date

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from config import RESEARCH_ONLY, SUPERCLASS_NAMES
from ecg.intervals import Intervals
from ecg.plotting.draw import DPI, FONT, INK, MM_PER_INCH, MUTED_INK, SHADE, draw_page, export_pdf
from ecg.plotting.layout import A4_LANDSCAPE_MM, GAINS_MM_MV, Page, Scale, layout, traces_overlap
from ecg.plotting.rr_line import RR_LINE_MM
from ecg.recording import Recording
from ecg.rr_intervals import RRIntervals
from inference.diagnosis import Diagnosis
from inference.summary import capitalised
from ui.cached import ClassExplanation
from ui.html import (
    asserted_statements,
    headline,
    measurements,
    not_assessable,
    not_assessed,
    percent,
    screening,
    sentence,
    unusable_because,
)
from ui.sources import DisplayedECG

ECG_MM = (297.0, 130.0)  # beside the text
ECG_BOTTOM_MM = 64.0
LEFT_MM = 8.5
PROBABILITIES, STATEMENTS, EVIDENCE, MEASUREMENTS, WARNINGS = range(5)
COLUMNS_MM = (8.5, 93.0, 164.0, 200.0, 233.0)
LINE_MM = 4.1
MOST_STATEMENTS, STATEMENT_WIDTH, STATEMENT_MM = 13, 44, 3.45  # lines and characters that fit; a line's height
MOST_WARNINGS, WARNING_WIDTH = 10, 39
TITLE_MM = 202.0  # first line of the headline
TITLE_SIZES = ((11.5, 104), (9, 134))  # points and characters of a line; the first size that takes two lines at most
HEAD_WIDTH = 205  # characters of a line below the headline
OWN_SHEET = "The ECG is on the next sheet: beside this text, traces of its layout would overlap."


def report_pdf(
    ecg: DisplayedECG,
    diagnosis: Diagnosis,
    *,
    intervals: Intervals | None = None,
    explanation: ClassExplanation | None = None,
    rr: RRIntervals | None = None,
    arrangement: str = "3x4",
    scale: Scale | None = None,
) -> bytes:
    """The report as a PDF of one page, or of two where the ECG needs one for itself.

    rr: RR intervals to write below the traces; None without reliable heartbeats.
    arrangement, scale: of the ECG, as for `ecg.plotting.layout.layout`.
    """
    page, why = place_ecg(ecg.drawn, scale or Scale(), arrangement, RR_LINE_MM if rr else 0.0)
    beside_text = page.height_mm == ECG_MM[1]
    figure, sheet = _sheet()
    _text(sheet, 288.5, TITLE_MM, "HMT-ECGNet report", size=9, color=MUTED_INK, ha="right")
    _draw_head(sheet, diagnosis)
    top_mm = ECG_BOTTOM_MM if beside_text else 170.0
    _draw_probabilities(sheet, diagnosis, top_mm)
    _draw_statements(sheet, diagnosis, top_mm)
    _draw_evidence(sheet, explanation, top_mm)
    _draw_measurements(sheet, intervals, rr, top_mm)
    _draw_warnings(sheet, diagnosis, top_mm)
    model = ", ".join(f"{task} {digest[:12]}" for task, digest in diagnosis.model.items())
    _text(sheet, LEFT_MM, 9.5, f"Model: {model} (SHA-256 of the checkpoints)", size=6.5, color=MUTED_INK)
    _text(sheet, LEFT_MM, 4.5, RESEARCH_ONLY, size=10, weight="bold")
    caption = f"{ecg.caption} · printed {date.today().isoformat()}"
    drawing = {
        "shading": explanation.spans if explanation else (),
        "caption": caption,
        "cut_rows": why.endswith(CUT),
        "rr": rr,
    }
    if beside_text:
        axes = figure.add_axes((0, ECG_BOTTOM_MM / A4_LANDSCAPE_MM[1], 1, ECG_MM[1] / A4_LANDSCAPE_MM[1]))
        draw_page(axes, page, ecg.drawn, notice=ecg.notice, **drawing)
        return export_pdf([figure])
    _text(sheet, LEFT_MM, 186, caption, weight="bold")
    _text(sheet, LEFT_MM, 181.5, " ".join(part for part in (OWN_SHEET, why) if part))
    second, axes = _sheet()
    notice = " ".join(part for part in (why, ecg.notice, RESEARCH_ONLY) if part)
    draw_page(axes, page, ecg.drawn, notice=notice, **drawing)
    return export_pdf([figure, second])


MORE = " … and more below"
CUT = "What reaches into another row is cut off."


def place_ecg(recording: Recording, scale: Scale, arrangement: str, foot_mm: float = 0.0) -> tuple[Page, str]:
    """The ECG laid out without overlapping traces, and why it is not as chosen; empty if it is.

    Beside the text if it fits there, else on a sheet of its own, there at the largest gain that fits.
    foot_mm: as for `ecg.plotting.layout.layout`.
    """
    page = layout(recording, scale, arrangement, ECG_MM, foot_mm)
    if not traces_overlap(page, recording):
        return page, ""
    chosen = scale.gain_mm_mv
    for gain in sorted((gain for gain in GAINS_MM_MV if gain <= chosen), reverse=True):
        page = layout(recording, replace(scale, gain_mm_mv=gain), arrangement, foot_mm=foot_mm)
        why = f"Drawn at {gain:g} mm/mV: at {chosen:g} mm/mV its traces would overlap." if gain < chosen else ""
        if not traces_overlap(page, recording):
            return page, why
    return page, f"{why} {CUT}".strip()


def _sheet() -> tuple[Figure, Axes]:
    """An empty sheet whose axes are in mm."""
    width, height = A4_LANDSCAPE_MM
    figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH), dpi=DPI, facecolor="white")
    sheet = figure.add_axes((0, 0, 1, 1))
    sheet.set(xlim=(0, width), ylim=(0, height))
    sheet.set_axis_off()
    return figure, sheet


def _text(sheet: Axes, x_mm: float, y_mm: float, content: str, **style) -> None:
    sheet.text(x_mm, y_mm, content, **({"family": FONT, "size": 8, "color": INK, "parse_math": False} | style))


def _heading(sheet: Axes, column: int, top_mm: float, title: str) -> float:
    """A heading at the top of a column; returns the height of the first line below (mm)."""
    _text(sheet, COLUMNS_MM[column], top_mm - 4, title, size=9, weight="bold")
    return top_mm - 10


def _draw_head(sheet: Axes, diagnosis: Diagnosis) -> None:
    """The headline on one line or two, and below it why there is no prediction, or what it leaves out."""
    unusable = unusable_because(diagnosis)
    text = headline(diagnosis)
    if not unusable:
        text = f"Prediction{', UNCERTAIN' if diagnosis.uncertain else ''}: {text}"
    size, width = next((fit for fit in TITLE_SIZES if len(textwrap.wrap(text, fit[1])) <= 2), TITLE_SIZES[-1])
    titles = textwrap.wrap(text, width, max_lines=2, placeholder=MORE)
    for number, line in enumerate(titles):
        _text(sheet, LEFT_MM, TITLE_MM - 5 * number, line, size=size, weight="bold")
    title, reasons = ("Unusable because", unusable) if unusable else not_assessed(diagnosis)
    notes = [f"{title}: {' '.join(map(sentence, reasons))}"] if reasons else []
    notes += [not_assessable(diagnosis)] if not_assessable(diagnosis) and not unusable else []
    lines = textwrap.wrap(" ".join(notes), HEAD_WIDTH)
    for number, line in enumerate(lines[:2]):
        _text(sheet, LEFT_MM, TITLE_MM - 5 * len(titles) - 0.5 - 3.6 * number, line, size=7.5)


def _draw_probabilities(sheet: Axes, diagnosis: Diagnosis, top_mm: float) -> None:
    if unusable_because(diagnosis):
        _heading(sheet, PROBABILITIES, top_mm, "No probabilities: the recording is unusable")
        return
    y_mm = _heading(sheet, PROBABILITIES, top_mm, "Probabilities (line: threshold)")
    bar_mm, length_mm = LEFT_MM + 46, 24
    for name, probability in diagnosis.probabilities.items():
        threshold, yes = diagnosis.thresholds[name], name in diagnosis.predicted_classes
        assessable = name not in diagnosis.not_assessable
        style = {"weight": "bold" if yes else "normal", "color": INK if assessable else MUTED_INK}
        _text(sheet, LEFT_MM, y_mm, f"{name}  {SUPERCLASS_NAMES[name]}", **style)
        sheet.add_patch(Rectangle((bar_mm, y_mm - 0.4), length_mm, 2.6, facecolor="#e6e6e6"))
        colour = SHADE if yes else "#8a939b" if assessable else "#c8cdd1"
        sheet.add_patch(Rectangle((bar_mm, y_mm - 0.4), length_mm * probability, 2.6, facecolor=colour))
        if assessable:
            sheet.plot([bar_mm + length_mm * threshold] * 2, [y_mm - 1, y_mm + 2.8], color=INK, linewidth=1.2)
        _text(sheet, bar_mm + length_mm + 2, y_mm, percent(probability) if assessable else "n. a.", **style)
        y_mm -= 5.2
    for name, result in screening(diagnosis).items():
        for line in textwrap.wrap(f"{name}: {result}", 60):
            _text(sheet, LEFT_MM, y_mm, line, size=7.2)
            y_mm -= 3.6
        y_mm -= 0.8


def _draw_statements(sheet: Axes, diagnosis: Diagnosis, top_mm: float) -> None:
    """The asserted statements, the likeliest first; nothing for a network without statements."""
    if not diagnosis.statements or unusable_because(diagnosis):
        return
    y_mm = _heading(sheet, STATEMENTS, top_mm, "Asserted statements")
    lines = []
    for one in asserted_statements(diagnosis):
        text = f"{capitalised(one.name)} ({one.code}), {percent(one.probability)}"
        lines += textwrap.wrap(text, STATEMENT_WIDTH, subsequent_indent="   ")
    if len(lines) > MOST_STATEMENTS:
        lines = [*lines[: MOST_STATEMENTS - 1], "… and more on the page"]
    for number, line in enumerate(lines or ["None."]):
        _text(sheet, COLUMNS_MM[STATEMENTS], y_mm - number * STATEMENT_MM, line, size=7.2)


def _draw_evidence(sheet: Axes, explanation: ClassExplanation | None, top_mm: float) -> None:
    if explanation is None:
        return
    y_mm = _heading(sheet, EVIDENCE, top_mm, f"Evidence for {explanation.class_name}")
    _text(sheet, COLUMNS_MM[EVIDENCE], y_mm, "Shares of the leads; the", size=7, color=MUTED_INK)
    _text(sheet, COLUMNS_MM[EVIDENCE], y_mm - 3.4, "times are shaded above.", size=7, color=MUTED_INK)
    for number, (lead, share) in enumerate(explanation.lead_shares[:6]):
        _text(sheet, COLUMNS_MM[EVIDENCE], y_mm - 9 - number * LINE_MM, f"{lead}   {percent(share)}")
    if not explanation.lead_shares:
        _text(sheet, COLUMNS_MM[EVIDENCE], y_mm - 9, "None.")


def _draw_measurements(sheet: Axes, intervals: Intervals | None, rr: RRIntervals | None, top_mm: float) -> None:
    if intervals is None and rr is None:
        return
    y_mm = _heading(sheet, MEASUREMENTS, top_mm, "Measurements")
    lines = [f"{name}  {value}" for name, (value, _) in measurements(intervals).items()] if intervals else []
    if rr:
        lines += [
            f"RR  {rr.milliseconds.min():.0f}–{rr.milliseconds.max():.0f} ms",
            *textwrap.wrap(rr.early_sentence, 22),
        ]
    for number, line in enumerate(lines):
        _text(sheet, COLUMNS_MM[MEASUREMENTS], y_mm - number * LINE_MM, line, size=7.2)


def _draw_warnings(sheet: Axes, diagnosis: Diagnosis, top_mm: float) -> None:
    y_mm = _heading(sheet, WARNINGS, top_mm, "Warnings")
    unusable = unusable_because(diagnosis)
    doubts = () if unusable else diagnosis.uncertain_because
    sentences = [sentence(f"Uncertain: {reason}") for reason in doubts]
    sentences += [sentence(warning) for warning in diagnosis.warnings if warning not in unusable]
    lines = [line for text in sentences or ["None."] for line in textwrap.wrap(text, WARNING_WIDTH)]
    if len(lines) > MOST_WARNINGS:
        lines = [*lines[: MOST_WARNINGS - 1], "… and more on the page"]
    for number, line in enumerate(lines):
        _text(sheet, COLUMNS_MM[WARNINGS], y_mm - number * LINE_MM, line, size=7.2)
