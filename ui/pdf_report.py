"""The answer to one ECG on one sheet of paper: A4 landscape, ECG at true scale, text that can be searched."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from config import RESEARCH_ONLY, SUPERCLASS_NAMES
from ecg.intervals import Intervals
from ecg.plotting.draw import DPI, FONT, INK, MM_PER_INCH, MUTED_INK, SHADE, Span, draw_page, export
from ecg.plotting.layout import A4_LANDSCAPE_MM, Scale, layout
from ecg.recording import Recording
from inference.diagnoser import Diagnosis
from ui.html import headline, measurements, percent, screening

ECG_MM = (297.0, 130.0)
ECG_BOTTOM_MM = 64.0
LEFT_MM, COLUMNS_MM = 8.5, (8.5, 112.0, 172.0, 226.0)
LINE_MM = 4.1
MOST_WARNINGS, WARNING_WIDTH = 9, 44  # lines and characters that fit


@dataclass(frozen=True, eq=False)
class Reasons:
    """Why a class got its probability: its ranked leads with shares, and the stretches to shade."""

    name: str
    ranked: Sequence[tuple[str, float]]
    spans: Sequence[Span]


def report_pdf(
    recording: Recording,
    diagnosis: Diagnosis,
    *,
    title: str,
    patient: str = "",
    notice: str = "",
    intervals: Intervals | None = None,
    reasons: Reasons | None = None,
    arrangement: str = "3x4",
    scale: Scale | None = None,
) -> bytes:
    """The report as a PDF of one page.

    title, patient, notice: whose ECG it is, and what its origin means.
    arrangement, scale: of the ECG, as for `ecg.paper.layout`; 12 rows do not fit beside the answer.
    """
    width, height = A4_LANDSCAPE_MM
    figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH), dpi=DPI, facecolor="white")
    sheet = figure.add_axes((0, 0, 1, 1))
    sheet.set(xlim=(0, width), ylim=(0, height))
    sheet.set_axis_off()
    ecg = figure.add_axes((0, ECG_BOTTOM_MM / height, 1, ECG_MM[1] / height))
    page = layout(recording, scale, arrangement, ECG_MM)
    caption = " · ".join(part for part in (title, patient, f"printed {date.today().isoformat()}") if part)
    draw_page(ecg, page, recording, shading=reasons.spans if reasons else (), caption=caption, notice=notice)
    _text(sheet, LEFT_MM, height - 8.5, "HMT-ECGNet report", size=14, weight="bold")
    answer = headline(diagnosis) + ("  –  UNCERTAIN" if diagnosis.uncertain else "")
    _text(sheet, LEFT_MM, height - 15.5, f"Answer of the network: {answer}", size=11, weight="bold")
    _draw_answer(sheet, diagnosis)
    _draw_reasons(sheet, reasons)
    _draw_measurements(sheet, intervals)
    _draw_warnings(sheet, diagnosis)
    model = ", ".join(f"{task} {digest[:12]}" for task, digest in diagnosis.model.items())
    _text(sheet, LEFT_MM, 9.5, f"Model: {model} (SHA-256 of the checkpoints)", size=6.5, color=MUTED_INK)
    _text(sheet, LEFT_MM, 4.5, RESEARCH_ONLY, size=10, weight="bold")
    return export(figure, "pdf")


def _text(sheet: Axes, x_mm: float, y_mm: float, words: str, **style) -> None:
    sheet.text(x_mm, y_mm, words, **({"family": FONT, "size": 8, "color": INK, "parse_math": False} | style))


def _heading(sheet: Axes, column: int, words: str) -> float:
    """A heading at the top of a column; returns where its first line stands."""
    _text(sheet, COLUMNS_MM[column], ECG_BOTTOM_MM - 4, words, size=9, weight="bold")
    return ECG_BOTTOM_MM - 10


def _draw_answer(sheet: Axes, diagnosis: Diagnosis) -> None:
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
    for name, (answer, words) in screening(diagnosis).items():
        close = ", close call" if answer.uncertain else ""
        details = f"{percent(answer.probability)}, threshold {percent(answer.threshold)}{close}"
        _text(sheet, LEFT_MM, y_mm, f"{name}: {words} ({details})")
        y_mm -= LINE_MM + 0.4


def _draw_reasons(sheet: Axes, reasons: Reasons | None) -> None:
    if reasons is None:
        return
    y_mm = _heading(sheet, 1, f"What speaks for {reasons.name}")
    _text(sheet, COLUMNS_MM[1], y_mm, "Leads by share of the evidence;", size=7, color=MUTED_INK)
    _text(sheet, COLUMNS_MM[1], y_mm - 3.4, "its milliseconds are shaded above.", size=7, color=MUTED_INK)
    for number, (lead, share) in enumerate(list(reasons.ranked)[:6]):
        _text(sheet, COLUMNS_MM[1], y_mm - 9 - number * LINE_MM, f"{lead}   {percent(share)}")
    if not reasons.ranked:
        _text(sheet, COLUMNS_MM[1], y_mm - 9, "Nothing in the recording.")


def _draw_measurements(sheet: Axes, intervals: Intervals | None) -> None:
    if intervals is None:
        return
    y_mm = _heading(sheet, 2, "Measurements")
    for number, (name, (value, _)) in enumerate(measurements(intervals).items()):
        _text(sheet, COLUMNS_MM[2], y_mm - number * LINE_MM, f"{name}  {value}")


def _draw_warnings(sheet: Axes, diagnosis: Diagnosis) -> None:
    y_mm = _heading(sheet, 3, "Warnings")
    sentences = [f"Uncertain: {reason}." for reason in diagnosis.uncertain_because] + list(diagnosis.warnings)
    lines = [line for words in sentences or ["None."] for line in textwrap.wrap(words, WARNING_WIDTH)]
    if len(lines) > MOST_WARNINGS:
        lines = [*lines[: MOST_WARNINGS - 1], "… and more, on the page"]
    for number, line in enumerate(lines):
        _text(sheet, COLUMNS_MM[3], y_mm - number * LINE_MM, line, size=7.2)
