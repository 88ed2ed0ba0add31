"""The report on one ECG: one sheet of A4 landscape, ECG at true scale, searchable text."""

import textwrap
from datetime import date

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from config import RESEARCH_ONLY, SUPERCLASS_NAMES
from ecg.intervals import Intervals
from ecg.plotting.draw import DPI, FONT, INK, MM_PER_INCH, MUTED_INK, SHADE, draw_page, export
from ecg.plotting.layout import A4_LANDSCAPE_MM, Scale, layout
from inference.diagnoser import Diagnosis
from ui.cached import ClassExplanation
from ui.html import headline, measurements, percent, screening
from ui.sources import DisplayedECG

ECG_MM = (297.0, 130.0)
ECG_BOTTOM_MM = 64.0
LEFT_MM, COLUMNS_MM = 8.5, (8.5, 112.0, 172.0, 226.0)
LINE_MM = 4.1
MOST_WARNINGS, WARNING_WIDTH = 9, 44  # lines and characters that fit


def report_pdf(
    ecg: DisplayedECG,
    diagnosis: Diagnosis,
    *,
    intervals: Intervals | None = None,
    explanation: ClassExplanation | None = None,
    arrangement: str = "3x4",
    scale: Scale | None = None,
) -> bytes:
    """The report as a PDF of one page.

    arrangement, scale: of the ECG, as for `ecg.plotting.layout.layout`; twelve rows are too many for the sheet.
    """
    width, height = A4_LANDSCAPE_MM
    figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH), dpi=DPI, facecolor="white")
    sheet = figure.add_axes((0, 0, 1, 1))
    sheet.set(xlim=(0, width), ylim=(0, height))
    sheet.set_axis_off()
    axes = figure.add_axes((0, ECG_BOTTOM_MM / height, 1, ECG_MM[1] / height))
    page = layout(ecg.recording, scale, arrangement, ECG_MM)
    caption = " · ".join(part for part in (ecg.title, ecg.patient, f"printed {date.today().isoformat()}") if part)
    spans = explanation.spans if explanation else ()
    draw_page(axes, page, ecg.recording, shading=spans, caption=caption, notice=ecg.notice)
    _text(sheet, LEFT_MM, height - 8.5, "HMT-ECGNet report", size=14, weight="bold")
    prediction = headline(diagnosis) + ("  –  UNCERTAIN" if diagnosis.uncertain else "")
    _text(sheet, LEFT_MM, height - 15.5, f"Prediction: {prediction}", size=11, weight="bold")
    _draw_probabilities(sheet, diagnosis)
    _draw_evidence(sheet, explanation)
    _draw_measurements(sheet, intervals)
    _draw_warnings(sheet, diagnosis)
    model = ", ".join(f"{task} {digest[:12]}" for task, digest in diagnosis.model.items())
    _text(sheet, LEFT_MM, 9.5, f"Model: {model} (SHA-256 of the checkpoints)", size=6.5, color=MUTED_INK)
    _text(sheet, LEFT_MM, 4.5, RESEARCH_ONLY, size=10, weight="bold")
    return export(figure, "pdf")


def _text(sheet: Axes, x_mm: float, y_mm: float, content: str, **style) -> None:
    sheet.text(x_mm, y_mm, content, **({"family": FONT, "size": 8, "color": INK, "parse_math": False} | style))


def _heading(sheet: Axes, column: int, title: str) -> float:
    """A heading at the top of a column; returns the height of the first line below (mm)."""
    _text(sheet, COLUMNS_MM[column], ECG_BOTTOM_MM - 4, title, size=9, weight="bold")
    return ECG_BOTTOM_MM - 10


def _draw_probabilities(sheet: Axes, diagnosis: Diagnosis) -> None:
    y_mm = _heading(sheet, 0, "Probabilities (line: threshold)")
    bar_mm, length_mm = LEFT_MM + 46, 40
    for name, probability in diagnosis.probabilities.items():
        threshold, yes = diagnosis.thresholds[name], name in diagnosis.predicted_classes
        weight = "bold" if yes else "normal"
        _text(sheet, LEFT_MM, y_mm, f"{name}  {SUPERCLASS_NAMES[name]}", weight=weight)
        sheet.add_patch(Rectangle((bar_mm, y_mm - 0.4), length_mm, 2.6, facecolor="#e6e6e6"))
        colour = SHADE if yes else "#8a939b"
        sheet.add_patch(Rectangle((bar_mm, y_mm - 0.4), length_mm * probability, 2.6, facecolor=colour))
        sheet.plot([bar_mm + length_mm * threshold] * 2, [y_mm - 1, y_mm + 2.8], color=INK, linewidth=1.2)
        _text(sheet, bar_mm + length_mm + 2, y_mm, percent(probability), weight=weight)
        y_mm -= 5.2
    for name, (result, outcome) in screening(diagnosis).items():
        borderline = ", borderline" if result.uncertain else ""
        details = f"{percent(result.probability)}, threshold {percent(result.threshold)}{borderline}"
        _text(sheet, LEFT_MM, y_mm, f"{name}: {outcome} ({details})")
        y_mm -= LINE_MM + 0.4


def _draw_evidence(sheet: Axes, explanation: ClassExplanation | None) -> None:
    if explanation is None:
        return
    y_mm = _heading(sheet, 1, f"Evidence for {explanation.class_name}")
    _text(sheet, COLUMNS_MM[1], y_mm, "Shares of the leads;", size=7, color=MUTED_INK)
    _text(sheet, COLUMNS_MM[1], y_mm - 3.4, "the times are shaded above.", size=7, color=MUTED_INK)
    for number, (lead, share) in enumerate(explanation.lead_shares[:6]):
        _text(sheet, COLUMNS_MM[1], y_mm - 9 - number * LINE_MM, f"{lead}   {percent(share)}")
    if not explanation.lead_shares:
        _text(sheet, COLUMNS_MM[1], y_mm - 9, "None.")


def _draw_measurements(sheet: Axes, intervals: Intervals | None) -> None:
    if intervals is None:
        return
    y_mm = _heading(sheet, 2, "Measurements")
    for number, (name, (value, _)) in enumerate(measurements(intervals).items()):
        _text(sheet, COLUMNS_MM[2], y_mm - number * LINE_MM, f"{name}  {value}")


def _draw_warnings(sheet: Axes, diagnosis: Diagnosis) -> None:
    y_mm = _heading(sheet, 3, "Warnings")
    sentences = [f"Uncertain: {reason}." for reason in diagnosis.uncertain_because] + list(diagnosis.warnings)
    lines = [line for sentence in sentences or ["None."] for line in textwrap.wrap(sentence, WARNING_WIDTH)]
    if len(lines) > MOST_WARNINGS:
        lines = [*lines[: MOST_WARNINGS - 1], "… and more on the page"]
    for number, line in enumerate(lines):
        _text(sheet, COLUMNS_MM[3], y_mm - number * LINE_MM, line, size=7.2)
