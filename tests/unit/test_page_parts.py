"""The pieces of the page: HTML, the monitor's loop, the PDF report."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from config import DEFAULT_OUT, RESEARCH_ONLY, SUPERCLASSES
from ecg.intervals import VALUES, Intervals
from ecg.plotting.layout import Span
from ecg.recording import Recording
from inference.diagnoser import BinaryResult, Diagnosis
from ui import html
from ui.cached import ClassExplanation
from ui.monitor import last_seconds, monitor_html, seamless_loop
from ui.pdf_report import report_pdf
from ui.sources import EXAMPLES, crop, describe_patient, example_ecg

INFARCTION = Diagnosis(
    probabilities=dict(zip(SUPERCLASSES, (0.001, 0.999, 0.05, 0.24, 0.1), strict=True)),
    thresholds=dict.fromkeys(SUPERCLASSES, 0.4),
    predicted_classes=("MI",),
    mi_vs_norm=BinaryResult(probability=0.99, threshold=0.5, positive=True, uncertain=False),
    norm_vs_abnormal=BinaryResult(probability=0.6, threshold=0.5, positive=True, uncertain=True),
    uncertain_because=(),
    not_assessed=(),
    quality=None,
    warnings=(),
    model={"multilabel": "0123456789abcdef"},
    milliseconds=1.0,
)
NOTHING_MEASURED = Intervals(**dict.fromkeys(VALUES), reasons={"pr": "no <P> wave"})


ECG = example_ecg(DEFAULT_OUT, "anterior_infarction")


def flat(samples: int) -> Recording:
    return Recording(np.zeros((12, samples), np.float32), 100, np.ones(12, bool))


# -- HTML -------------------------------------------------------------------------------------------------------------


@given(st.floats(0, 1))
def test_no_probability_is_shown_as_certain(probability):
    assert html.percent(probability) not in ("0 %", "100 %")


def test_a_prediction_has_its_classes_and_screening_results():
    shown = html.prediction_html(INFARCTION)
    assert "<h2>Myocardial infarction</h2>" in shown and "positive, 99 %<" in shown
    assert "abnormal, 60 % (borderline)" in shown
    assert html.headline(replace(INFARCTION, predicted_classes=())) == "None of the five classes"
    both = html.headline(replace(INFARCTION, predicted_classes=("MI", "CD")))
    assert both == "Myocardial infarction + conduction disturbance"


def test_uncertainty_has_its_reason_and_a_contradiction_its_explanation():
    plain = html.prediction_html(INFARCTION)
    assert "Uncertain" not in plain and "other diseases" not in plain
    assert "<b>Uncertain.</b> A &lt; b." in html.prediction_html(replace(INFARCTION, uncertain_because=("a < b",)))
    assert "other diseases" in html.prediction_html(replace(INFARCTION, predicted_classes=("STTC",)))


def test_a_caliper_shows_time_voltage_and_rate():
    assert [part in html.caliper_html(800, 1.5) for part in ("800 ms", "1.50 mV", "75/min")] == [True] * 3
    assert "<b>–</b>" in html.caliper_html(0, 1.5)


def test_a_bar_marks_its_threshold_and_says_so_without_colour():
    below, at = (html.probability_row_html("MI", "", probability, 0.3) for probability in (0.299, 0.3))
    assert "left:30.0%" in below and "absent" in below and "✓" not in below
    assert "present" in at and "✓" in at


def test_what_was_not_measured_says_why():
    tiles = html.measurements_html(NOTHING_MEASURED)
    assert "PR: no &lt;P&gt; wave" in tiles and "<span>PR</span><b>–</b>" in tiles
    assert "<span>PR</span><b>160 ms</b>" in html.measurements_html(replace(NOTHING_MEASURED, pr=160.0))


@pytest.mark.parametrize(
    ("age", "sex", "expected"),
    [(56, 1, "woman, 56 years"), (300, 0, "man, over 89 years"), (np.nan, 1, "woman"), (40, np.nan, "40 years")],
)
def test_age_and_sex_in_plain_text(age, sex, expected):
    assert describe_patient(age, sex) == expected


def test_a_long_recording_is_shown_ten_seconds_at_a_time():
    signal = np.tile(np.arange(3000, dtype=np.float32) / 1000, (12, 1))
    ecg = replace(ECG, recording=replace(flat(3000), signal=signal))
    part = crop(ecg, 7.5)
    assert part.recording.duration == 10 and part.recording.signal[0, 0] == signal[0, 750]
    assert part.key != crop(ecg, 8.0).key and "7.5 to 17.5 s" in part.title
    assert crop(part, 0) is part


# -- Monitor ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_loop_of_every_example_has_no_jump(name):
    loop = seamless_loop(example_ecg(DEFAULT_OUT, name).recording)
    assert 7 < loop.duration < 10
    seam = np.abs(loop.signal[:, 0] - loop.signal[:, -1])
    assert (seam <= np.abs(np.diff(loop.signal, axis=1)).max(axis=1)).all()
    assert (seam < 0.05).all()


def test_the_monitor_gets_its_samples_even_of_a_recording_without_beats():
    recording = flat(1000)
    assert seamless_loop(recording) is recording
    page = monitor_html(replace(recording, sampling_rate=500))
    assert '"FACTS"' not in page and '"rate": 250.0, "traces": [{"lead": "I"' in page


@pytest.mark.parametrize(("now_s", "seconds"), [(4.9, None), (5, 5), (7.5, 7.5), (10, 10), (27, 10)])
def test_a_prediction_uses_the_last_five_to_ten_seconds(now_s, seconds):
    loop = replace(flat(800), signal=np.tile(np.arange(800, dtype=np.float32), (12, 1)))
    latest = last_seconds(loop, now_s)
    assert (latest and latest.duration) == seconds
    if latest is None:
        return
    assert latest.signal[0, -1] == (round(now_s * 100) - 1) % 800
    assert latest.signal[0, 0] == round((now_s - seconds) * 100) % 800


# -- PDF report -------------------------------------------------------------------------------------------------------


def test_the_report_is_one_a4_sheet_with_everything_as_searchable_text():
    ecg = replace(ECG, patient="man, 61 years")
    diagnosis = replace(INFARCTION, warnings=("Lead V1 hums.",), uncertain_because=("something is near",))
    spans = [Span("V2", 5.0, 5.2, 1.0)]
    explanation = ClassExplanation(class_name="MI", lead_shares=[("V2", 0.4), ("V3", 0.3)], spans=spans)
    intervals = replace(NOTHING_MEASURED, pr=167.0)
    (sheet,) = PdfReader(io.BytesIO(report_pdf(ecg, diagnosis, intervals=intervals, explanation=explanation))).pages
    assert [float(side) / 72 * 25.4 for side in sheet.mediabox[2:]] == pytest.approx([297, 210], abs=0.05)
    text = " ".join(sheet.extract_text().split())
    for part in ("Myocardial infarction – UNCERTAIN", ecg.title, "man, 61 years", "25 mm/s · 10 mm/mV"):
        assert part in text
    for part in ("Evidence for MI", "V2 40 %", "PR 167 ms", "Lead V1 hums.", "something is near", "0123456789ab"):
        assert part in text
    assert RESEARCH_ONLY in text


def test_a_report_without_explanation_and_intervals_is_made():
    many = replace(INFARCTION, warnings=tuple(f"warning number {k} with some text" for k in range(30)))
    (sheet,) = PdfReader(io.BytesIO(report_pdf(replace(ECG, title="a $5 name_"), many))).pages
    text = sheet.extract_text()
    assert "a $5 name_" in text and "and more on the page" in text and "number 29" not in text
