"""The pieces of the page: HTML, the monitor's loop, the PDF report."""

import io
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from config import DEFAULT_OUT, LEADS, RESEARCH_ONLY, SUPERCLASSES
from ecg.intervals import VALUES, Intervals
from ecg.plotting.layout import ARRANGEMENTS, Scale, Span, layout, traces_overlap
from ecg.quality import assess
from ecg.recording import Recording, Subject
from ecg.statements import STATEMENTS
from inference.diagnosis import BinaryResult, Diagnosis
from inference.sentences import NOT_FROM_THESE_LEADS
from ui import html
from ui.cached import ClassExplanation
from ui.monitor import last_seconds, monitor_html, seamless_loop, shown_leads, with_leads
from ui.paper import screen_size
from ui.pdf_report import place_ecg, report_pdf
from ui.sources import EXAMPLES, crop, describe_patient, example_ecg, most_shown_s

INFARCTION = Diagnosis(
    probabilities=dict(zip(SUPERCLASSES, (0.001, 0.999, 0.05, 0.24, 0.1), strict=True)),
    thresholds=dict.fromkeys(SUPERCLASSES, 0.4),
    predicted_classes=("MI",),
    mi_vs_norm=BinaryResult(probability=0.99, threshold=0.5, positive=True, uncertain=False),
    norm_vs_abnormal=BinaryResult(probability=0.6, threshold=0.5, positive=True, uncertain=True),
    uncertain_because=(),
    not_assessed=(),
    statements=(),
    subclasses=(),
    rhythm=None,
    quality=None,
    warnings=(),
    model={"multilabel": "0123456789abcdef"},
    milliseconds=1.0,
)
NOT_APPLICABLE = BinaryResult(
    probability=0.99, threshold=0.5, positive=None, uncertain=False, withheld_because="trained <on> others"
)
WITHHELD = replace(INFARCTION, predicted_classes=("CD",), mi_vs_norm=NOT_APPLICABLE)
UNUSABLE = replace(
    INFARCTION,
    predicted_classes=(),
    quality=assess(Recording(np.zeros((12, 1000), np.float32), 100, np.ones(12, bool))),
    mi_vs_norm=NOT_APPLICABLE,
    norm_vs_abnormal=NOT_APPLICABLE,
    uncertain_because=("the quality is too poor",),
    not_assessed=("The rhythm.",),
)
NOTHING_MEASURED = Intervals(**dict.fromkeys(VALUES), reasons={"pr": "no <P> wave"})


ECG = example_ecg(DEFAULT_OUT, "anterior_infarction")


def flat(samples: int) -> Recording:
    return Recording(np.zeros((12, samples), np.float32), 100, np.ones(12, bool))


def tall(millivolts: float) -> Recording:
    """All leads of the example, so high that rows meet."""
    return replace(ECG.recording, signal=ECG.recording.signal * np.float32(millivolts))


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


def test_uncertainty_and_what_is_not_assessed_stand_beside_the_headline():
    plain = html.prediction_html(INFARCTION)
    assert "Uncertain" not in plain and "Not assessed" not in plain
    doubtful = replace(INFARCTION, uncertain_because=("a < b", "c"), not_assessed=("the rhythm.", "Look <there>"))
    shown = html.prediction_html(doubtful)
    assert "<b>Uncertain.</b> A &lt; b. C." in shown
    assert "<b>Not assessed.</b> The rhythm. Look &lt;there&gt;." in shown


def test_a_withheld_result_says_that_it_does_not_apply_and_has_no_probability():
    shown = html.prediction_html(WITHHELD)
    assert "not applicable here: trained &lt;on&gt; others<" in shown
    assert "99 %" not in shown and "positive" not in shown


def test_of_an_unusable_recording_nothing_is_asserted():
    shown = html.prediction_html(UNUSABLE)
    assert "<h2>No diagnosis: recording unusable</h2>" in shown and "12 leads are lost" in shown
    assert all(word not in shown for word in ("infarction", "screening", "%", "Uncertain"))
    assert "bar-row" not in html.probabilities_html(UNUSABLE)
    assert html.unusable_because(replace(UNUSABLE, quality=None)) == ()


def test_the_meaning_of_a_class_is_what_its_label_holds():
    for name in SUPERCLASSES:
        for statement in STATEMENTS:
            listed = statement.name in html.meaning(name).split("Statements: ")[1].removesuffix(".").split("; ")
            assert listed == (statement.superclass == name)


def test_a_caliper_shows_time_voltage_and_rate():
    assert [part in html.caliper_html(800, 1.5) for part in ("800 ms", "1.50 mV", "75/min")] == [True] * 3
    assert "<b>–</b>" in html.caliper_html(0, 1.5)


def test_a_bar_marks_its_threshold_and_says_so_without_colour():
    absent, predicted = (html.probability_row_html("MI", "", 0.6, 0.3, asserted) for asserted in (False, True))
    assert "left:30.0%" in absent and "not predicted" in absent and "✓" not in absent
    assert ", predicted" in predicted and "✓" in predicted


def test_a_class_that_yields_is_not_marked_as_predicted():
    both = dict.fromkeys(SUPERCLASSES, 0.9)
    assert html.probabilities_html(replace(INFARCTION, probabilities=both)).count(", predicted") == 1


def test_what_was_not_measured_says_why():
    tiles = html.measurements_html(NOTHING_MEASURED)
    assert "PR: no &lt;P&gt; wave" in tiles and "<span>PR</span><b>–</b>" in tiles
    assert "<span>PR</span><b>160 ms</b>" in html.measurements_html(replace(NOTHING_MEASURED, pr=160.0))


@pytest.mark.parametrize(
    ("age", "sex", "expected"),
    [
        (56, "female", "woman, 56 years"),
        (300, "male", "man, over 89 years"),
        (None, "female", "woman"),
        (40, "", "40 years"),
        (7, "male", "boy, 7 years"),
        (0.5, "female", "girl, 6 months"),
        (None, "", ""),
    ],
)
def test_age_and_sex_in_plain_text(age, sex, expected):
    assert describe_patient(Subject(age=age, sex=sex)) == expected


def test_the_heading_says_whose_it_is_when_it_was_recorded_and_the_rates():
    subject = Subject(age=56, sex="female", recorded=date(2019, 2, 5))
    ecg = replace(ECG, recording=replace(flat(1000), subject=subject))
    assert "woman, 56 years · recorded 2019-02-05 · 10 s · 100 Hz" in html.heading_html(ecg)
    assert "drawn at 500 Hz, diagnosed at 100 Hz" in html.heading_html(replace(ecg, finer=ECG.recording))
    assert "age and sex unknown" in html.heading_html(ECG)


def test_a_long_recording_is_shown_ten_seconds_at_a_time():
    signal = np.tile(np.arange(3000, dtype=np.float32) / 1000, (12, 1))
    ecg = replace(ECG, recording=replace(flat(3000), signal=signal))
    part = crop(ecg, 7.5)
    assert part.recording.duration == 10 and part.recording.signal[0, 0] == signal[0, 750]
    assert part.key != crop(ecg, 8.0).key and "7.5 to 17.5 s" in part.title
    assert crop(part, 0) is part


def test_the_paper_on_the_screen_grows_until_no_traces_overlap():
    usual, high, artefact = (screen_size(replace(ECG, recording=tall(k)), Scale(), "3x4") for k in (1, 2.5, 500))
    assert usual[0] == high[0] == artefact[0] and usual[1] < high[1] and artefact == usual
    recording = tall(2.5)
    assert traces_overlap(layout(recording, Scale(), "3x4", usual), recording)
    assert not traces_overlap(layout(recording, Scale(), "3x4", high), recording)


# -- Few leads --------------------------------------------------------------------------------------------------------

OF_WATCH = replace(
    INFARCTION,
    predicted_classes=("NORM",),
    mi_vs_norm=replace(NOT_APPLICABLE, withheld_because=NOT_FROM_THESE_LEADS),
    not_assessed=("Not assessable from lead I: MI, MI against NORM.", "The rhythm."),
    leads=("I",),
    lead_set="I",
    not_assessable=("MI", "mi_vs_norm", "IMI"),
    model={"anylead": "fedcba9876543210"},
)


def test_what_the_leads_do_not_show_is_grey_and_has_no_threshold():
    rows = html.probabilities_html(OF_WATCH).split('<div class="bar-row ')[1:]
    grey = [row for row in rows if row.startswith("unassessed")]
    assert len(rows) == 5 and len(grey) == 1
    assert "MI" in grey[0] and "not assessable from these leads" in grey[0] and 'class="tick"' not in grey[0]
    assert all('class="tick"' in row for row in rows if row not in grey)
    assert "Grey, without a threshold" in html.probabilities_html(OF_WATCH)
    assert "Grey" not in html.probabilities_html(INFARCTION)


def test_what_the_leads_do_not_show_is_said_apart_from_the_rhythm():
    shown = html.prediction_html(OF_WATCH)
    assert '<p class="not-assessed">Not assessable from lead I: MI, MI against NORM.</p>' in shown
    assert "<b>MI screening:</b> not assessable from these leads</span>" in shown
    assert html.not_assessed(OF_WATCH)[1] == ("The rhythm.",)
    assert html.not_assessable(INFARCTION) == ""


def test_the_heading_names_the_leads_of_an_ecg_with_few():
    few = replace(ECG.recording, present=np.isin(LEADS, ("I", "V5")))
    assert "Leads I, V5" in html.heading_html(replace(ECG, recording=few))
    assert " leads" not in html.heading_html(ECG) and "Lead" not in html.heading_html(ECG)


def test_the_report_of_one_lead_marks_what_it_does_not_show():
    present = np.isin(LEADS, ("I",))
    one = replace(ECG.recording, signal=ECG.recording.signal * present[:, None], present=present)
    (text,) = sheets(replace(ECG, recording=one), OF_WATCH)
    assert "Not assessable from lead I: MI, MI against NORM." in text
    assert "n. a." in text and "anylead fedcba987654" in text
    assert "not recorded" not in text


def test_half_a_minute_of_a_single_lead_is_shown_at_once():
    one = replace(flat(6000), present=np.isin(LEADS, ("I",)))
    assert most_shown_s(one) == 30.0
    assert crop(replace(ECG, recording=one), 20.0).recording.duration == 30.0
    assert crop(replace(ECG, recording=flat(6000)), 20.0).recording.duration == 10.0
    wide, tall = screen_size(replace(ECG, recording=replace(one, signal=one.signal[:, :3000])), Scale(), "3x4")
    assert (wide, tall) == (screen_size(ECG, Scale(), "3x4")[0], 120.0)


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


def test_a_monitor_with_chosen_leads_has_nothing_else():
    loop = seamless_loop(ECG.recording)
    assert with_leads(loop, []) is loop
    assert shown_leads(loop, []) == ["I", "II", "V2", "V5"]
    single = with_leads(loop, ["V1"])
    assert list(single.present) == [lead == "V1" for lead in LEADS]
    assert not single.signal[~single.present].any()
    page = monitor_html(single, ["V1"])
    assert '"lead": "V1"' in page and page.count('"lead"') == 1 and "Monitor: V1, sweeping" in page
    both = with_leads(loop, ["I", "II"])
    assert both.present.tolist() == [True] * 6 + [False] * 6
    np.testing.assert_allclose(both.signal[:6], loop.signal[:6], atol=0.01)
    assert shown_leads(both, ["I", "II"]) == ["I", "II"]
    assert shown_leads(with_leads(loop, ["V1"]), []) == ["V1"]


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


def sheets(*arguments, **settings) -> list[str]:
    """The text of each sheet of a report, all of them A4 landscape."""
    pages = PdfReader(io.BytesIO(report_pdf(*arguments, **settings))).pages
    for page in pages:
        assert [float(side) / 72 * 25.4 for side in page.mediabox[2:]] == pytest.approx([297, 210], abs=0.05)
    return [" ".join(page.extract_text().split()) for page in pages]


def test_the_report_is_one_a4_sheet_with_everything_as_searchable_text():
    subject = Subject(age=61, sex="male", recorded=date(2019, 2, 5))
    ecg = replace(ECG, recording=replace(ECG.recording, subject=subject))
    doubts = {"uncertain_because": ("something is near",), "not_assessed": ("The rhythm.",)}
    diagnosis = replace(INFARCTION, warnings=("Lead V1 hums.",), **doubts)
    spans = [Span("V2", 5.0, 5.2, 1.0)]
    explanation = ClassExplanation(class_name="MI", lead_shares=[("V2", 0.4), ("V3", 0.3)], spans=spans)
    (text,) = sheets(ecg, diagnosis, intervals=replace(NOTHING_MEASURED, pr=167.0), explanation=explanation)
    for part in (
        "Prediction, UNCERTAIN: Myocardial infarction",
        ecg.title,
        "man, 61 years",
        "25 mm/s · 10 mm/mV · 500 Hz",
    ):
        assert part in text
    for part in ("Evidence for MI", "V2 40 %", "PR 167 ms", "Lead V1 hums.", "something is near", "0123456789ab"):
        assert part in text
    for part in ("recorded 2019-02-05 · printed", "Not assessed: The rhythm.", "positive, 99 %", RESEARCH_ONLY):
        assert part in text


def test_the_report_withholds_what_the_page_withholds():
    assert "MI screening: not applicable here: trained <on> others" in sheets(ECG, WITHHELD)[0]
    text = sheets(ECG, UNUSABLE)[0]
    assert "No diagnosis: recording unusable" in text and "Unusable because: 12 leads are lost" in text
    assert "infarction" not in text.replace(ECG.title, "") and "%" not in text and "UNCERTAIN" not in text


@pytest.mark.parametrize(
    ("recording", "arrangement", "gain", "count", "drawn_mm_mv", "why"),
    [
        (ECG.recording, "3x4", 10, 1, 10, ""),
        (ECG.recording, "12x1", 10, 2, 10, "The ECG is on the next sheet"),
        (tall(2), "12x1 Cabrera", 20, 2, 5, "Drawn at 5 mm/mV: at 20 mm/mV its traces would overlap."),
        (tall(50), "6x2", 10, 2, 5, "What reaches into another row is cut off."),
    ],
)
def test_the_report_keeps_the_layout_without_overlapping_traces(recording, arrangement, gain, count, drawn_mm_mv, why):
    page, _ = place_ecg(recording, Scale(25, gain), arrangement)
    leads = [lead.removeprefix("-") for column in ARRANGEMENTS[arrangement].columns for lead in column]
    assert [strip.lead for strip in page.strips][:12] == leads
    assert traces_overlap(page, recording) == ("cut off" in why)
    texts = sheets(replace(ECG, recording=recording), INFARCTION, arrangement=arrangement, scale=Scale(25, gain))
    assert len(texts) == count
    assert why in texts[0] and f"25 mm/s · {drawn_mm_mv} mm/mV" in texts[-1]


def test_a_report_without_explanation_and_intervals_is_made():
    many = replace(INFARCTION, warnings=tuple(f"warning number {k} with some text" for k in range(30)))
    (sheet,) = PdfReader(io.BytesIO(report_pdf(replace(ECG, title="a $5 name_"), many))).pages
    text = sheet.extract_text()
    assert "a $5 name_" in text and "and more on the page" in text and "number 29" not in text
