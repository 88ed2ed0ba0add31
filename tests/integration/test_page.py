"""The page without a browser: what Streamlit is told to show, and the functions behind it."""

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader
from streamlit.testing.v1 import AppTest

from config import DEFAULT_OUT, LEADS, PROJECT, RESEARCH_ONLY, SUPERCLASSES, data_directory
from ecg.intervals import Intervals, measure_intervals
from ecg.plotting.draw import Span
from ecg.plotting.interactive import draw_interactive, measure_box
from ecg.plotting.layout import GAINS_MM_MV, SPEEDS_MM_S, Scale, layout
from ecg.recording import Recording, RecordingError
from ecg.synthetic.writer import write_dataset
from inference.diagnoser import Diagnoser
from ui import html
from ui.monitor import last_seconds, monitor_html, seamless_loop
from ui.pdf_report import Reasons, report_pdf
from ui.results import metrics_table, read_metrics
from ui.sources import ANY, EXAMPLES, archive_case, cut, example_case, open_archive, patient_words, uploaded_case

ARTIFACTS = Path(os.environ.get("HMT_ARTIFACTS") or DEFAULT_OUT)


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """A small generated data set: eight ECGs in fold 10, three of them of one patient."""
    directory = tmp_path_factory.mktemp("generated")
    write_dataset(directory, patients=60, seed=0, progress=False)
    return directory


@pytest.fixture(scope="module")
def diagnoser() -> Diagnoser:
    return Diagnoser.load(ARTIFACTS)


@pytest.fixture(scope="module")
def infarction(diagnoser):
    """The first example and its answer."""
    case = example_case(ARTIFACTS, "anterior_infarction")
    return case, diagnoser.diagnose(case.recording)


@pytest.fixture
def page(monkeypatch, tmp_path):
    """The page with the shipped networks and no data set, not yet run."""
    monkeypatch.setenv("HMT_ARTIFACTS", str(ARTIFACTS))
    monkeypatch.setenv("PTBXL_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("ui.sources.DEMONSTRATION_DATA", tmp_path / "nothing")
    return AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)


def shown(page: AppTest) -> str:
    """All HTML and Markdown of the page."""
    return " ".join(
        [element.body for element in page.get("html")] + [element.value for element in (*page.markdown, *page.caption)]
    )


def choose(page: AppTest, key: str, value) -> AppTest:
    """Set a widget and run the page."""
    page.session_state[key] = value
    return page.run()


# -- The page ---------------------------------------------------------------------------------------------------------


def test_it_opens_on_an_ecg_with_its_answer_and_the_disclaimer(page):
    page.run()
    text = shown(page)
    assert not page.exception and not page.error
    assert "<h2>Myocardial infarction</h2>" in text
    assert 'alt="12-lead ECG, Example: anterior infarction, 3x4, 25 mm/s, 10 mm/mV"' in text
    assert f">{RESEARCH_ONLY}</div>" in text


def test_without_networks_the_ecg_is_drawn_and_the_page_says_what_is_missing(page, monkeypatch, tmp_path):
    shutil.copytree(ARTIFACTS / "examples", tmp_path / "empty" / "examples")
    monkeypatch.setenv("HMT_ARTIFACTS", str(tmp_path / "empty"))
    page.run()
    assert not page.exception
    assert "export_onnx.py" in page.error[0].value
    assert 'class="paper-scroll"' in shown(page) and "<h2>" not in shown(page)


def test_without_examples_it_says_how_to_make_them(page, monkeypatch, tmp_path):
    monkeypatch.setenv("HMT_ARTIFACTS", str(tmp_path))
    page.run()
    assert not page.exception
    assert "make_examples.py" in page.info[0].value


def test_without_ptb_xl_it_says_where_to_get_it(page):
    choose(page.run(), "source", "PTB-XL")
    assert not page.exception
    assert "dataset.py download" in page.info[0].value


def test_a_generated_set_is_called_so_and_the_label_is_hidden_until_asked_for(page, monkeypatch, generated):
    monkeypatch.setenv("PTBXL_DIR", str(generated))
    choose(page.run(), "source", "PTB-XL")
    assert "Generated demonstration set, fold 10" in shown(page)
    assert "**Label:**" not in shown(page)
    (toggle,) = [toggle for toggle in page.toggle if toggle.key == "label"]
    toggle.set_value(True).run()
    assert "**Label:**" in shown(page)
    assert not page.exception and not page.error


def test_next_goes_through_the_chosen_ecgs_and_round(page, monkeypatch, generated):
    monkeypatch.setenv("PTBXL_DIR", str(generated))
    choose(page.run(), "source", "PTB-XL")
    choose(page, "which", "Labelled NORM")
    (numbers,) = [box for box in page.selectbox if box.key == "ecg_id"]
    met = []
    for _ in numbers.options:
        met.append(str(page.session_state["ecg_id"]))
        next(button for button in page.button if button.label == "Next ›").click().run()
    assert met == list(numbers.options)
    assert str(page.session_state["ecg_id"]) == met[0]


@pytest.mark.parametrize("layout", ["6x2", "12x1"])
def test_layouts_reach_the_paper(page, layout):
    choose(page.run(), "layout", layout)
    assert f", {layout}, 25 mm/s" in shown(page)


def test_reasons_shade_the_paper_and_rank_the_leads(page):
    choose(page.run(), "shaded", "MI")
    assert "shaded for MI" in shown(page)
    assert "of the evidence" in shown(page)
    assert not page.exception


def test_a_defect_ends_in_a_sentence(page, monkeypatch):
    monkeypatch.setattr("ui.html.verdict_html", lambda diagnosis: 1 / 0)
    page.run()
    assert not page.exception
    assert "Something went wrong" in page.error[0].value


# -- Sources ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_can_be_read(name):
    case = example_case(ARTIFACTS, name)
    assert case.recording.duration == 10 and case.label is None


def test_an_upload_is_known_by_its_content_and_settings():
    rows = "\n".join([",".join(LEADS)] + [",".join(["0.1"] * 12)] * 600)
    other = rows.replace("0.1", "0.2")
    contents = [rows, other, rows]
    cases = [uploaded_case({"ecg.csv": content.encode()}, 100, "mV") for content in contents]
    assert cases[0].key == cases[2].key != cases[1].key
    assert uploaded_case({"ecg.csv": rows.encode()}, 200, "mV").key != cases[0].key
    with pytest.raises(RecordingError):
        uploaded_case({"ecg.csv": b"no ECG"}, 100, "mV")


def test_a_long_recording_is_shown_ten_seconds_at_a_time():
    signal = np.tile(np.arange(3000, dtype=np.float32) / 1000, (12, 1))
    case = replace(example_case(ARTIFACTS, "normal"), recording=Recording(signal, 100, np.ones(12, bool)))
    part = cut(case, 7.5)
    assert part.recording.duration == 10 and part.recording.signal[0, 0] == signal[0, 750]
    assert part.key != cut(case, 8.0).key and "7.5 to 17.5 s" in part.title
    short = example_case(ARTIFACTS, "normal")
    assert cut(short, 0) is short


def test_choices_narrow_the_ecgs_by_label(generated):
    archive = open_archive(generated, ARTIFACTS, None)
    assert archive.fold == 10 and archive.positive is None
    assert len(archive.choices[ANY]) == len(archive.ecg_ids)
    for k, name in enumerate(SUPERCLASSES):
        expected = archive.ecg_ids[archive.labels[:, k]]
        assert archive.choices.get(f"Labelled {name}", expected).tolist() == expected.tolist()
    case = archive_case(archive, int(archive.ecg_ids[0]))
    assert case.label == tuple(np.array(SUPERCLASSES)[archive.labels[0]])


def test_disagreement_and_doubt_are_the_pages_own(generated, tmp_path, diagnoser, monkeypatch):
    archive = open_archive(generated, ARTIFACTS, None)
    decisions = diagnoser.decisions["multilabel"]
    probabilities = np.random.default_rng(0).random((len(archive.ecg_ids), 5))
    (tmp_path / "predictions").mkdir()
    path = tmp_path / "predictions" / "hmt_ecgnet_multilabel_test.npz"
    shuffled = np.random.default_rng(1).permutation(len(archive.ecg_ids))
    np.savez(path, ecg_id=archive.ecg_ids[shuffled], probabilities=probabilities[shuffled])
    monkeypatch.setattr("ptbxl.index.Index.is_synthetic", False)
    known = open_archive(generated, tmp_path, decisions)
    calibrated = decisions.calibrate(probabilities)
    wrong = (decisions.decide(calibrated) != archive.labels).any(axis=1)
    assert known.choices["Network and label disagree"].tolist() == archive.ecg_ids[wrong].tolist()
    doubtful = archive.ecg_ids[decisions.uncertain(calibrated)]
    assert known.choices["Network is uncertain"].tolist() == doubtful.tolist()
    np.savez(path, ecg_id=archive.ecg_ids[1:], probabilities=probabilities[1:])
    assert open_archive(generated, tmp_path, decisions).positive is None


def test_the_real_archive_is_the_unseen_fold(real, diagnoser):
    archive = open_archive(data_directory(), ARTIFACTS, diagnoser.decisions["multilabel"])
    assert archive.fold == (10 if (real.folds == 10).any() else 9)
    assert archive.name == "PTB-XL" and f"fold {archive.fold}" in archive.notice
    dates = real.table["recording_date"]
    for ecg_ids in list(archive.repeated_patients.values())[:20]:
        assert len(ecg_ids) > 1 and real.table.loc[ecg_ids, "patient_id"].nunique() == 1
        assert list(dates[ecg_ids]) == sorted(dates[ecg_ids])


def test_no_data_set_is_no_archive(tmp_path, monkeypatch):
    monkeypatch.setattr("ui.sources.DEMONSTRATION_DATA", tmp_path)
    assert open_archive(tmp_path, ARTIFACTS, None) is None


def test_the_generated_set_stands_in_for_ptb_xl(generated, tmp_path, monkeypatch):
    monkeypatch.setattr("ui.sources.DEMONSTRATION_DATA", generated)
    assert open_archive(tmp_path, ARTIFACTS, None).name == "Generated set"


@pytest.mark.parametrize(
    ("age", "sex", "expected"),
    [(56, 1, "woman, 56 years"), (300, 0, "man, over 89 years"), (np.nan, 1, "woman"), (40, np.nan, "40 years")],
)
def test_age_and_sex_in_words(age, sex, expected):
    assert patient_words(age, sex) == expected


# -- Words ------------------------------------------------------------------------------------------------------------


@given(st.floats(0, 1))
def test_no_probability_is_a_certainty(probability):
    assert html.percent(probability) not in ("0 %", "100 %")


def test_no_class_and_several_classes_have_words(infarction):
    _, diagnosis = infarction
    assert html.headline(replace(diagnosis, predicted_classes=())) == "None of the five classes"
    both = html.headline(replace(diagnosis, predicted_classes=("MI", "CD")))
    assert both == "Myocardial infarction + conduction disturbance"


def test_doubt_is_told_with_its_reason(infarction):
    _, diagnosis = infarction
    assert "Uncertain" not in html.verdict_html(diagnosis)
    assert "<b>Uncertain.</b> A &lt; b." in html.verdict_html(replace(diagnosis, uncertain_because=("a < b",)))


def test_screening_that_contradicts_the_classes_is_explained(infarction):
    _, diagnosis = infarction
    assert "other disease" not in html.verdict_html(diagnosis)
    assert "other disease" in html.verdict_html(replace(diagnosis, predicted_classes=("STTC",)))


def test_a_bar_marks_its_threshold_and_says_so_without_colour():
    below, at = html.bar_row("MI", "", 0.299, 0.3), html.bar_row("MI", "", 0.3, 0.3)
    assert "left:30.0%" in below and "absent" in below and "✓" not in below
    assert "present" in at and "✓" in at


def test_what_was_not_measured_says_why(infarction):
    found = replace(measure_intervals(infarction[0].recording), pr=None, reasons={"pr": "no P wave"})
    tiles = html.measurements_html(found)
    assert "PR: no P wave" in tiles and "<span>PR</span><b>–</b>" in tiles


# -- Interactive paper ------------------------------------------------------------------------------------------------


@given(
    st.floats(1, 5000),
    st.floats(0, 10),
    st.sampled_from(SPEEDS_MM_S),
    st.sampled_from(GAINS_MM_MV),
)
def test_calipers_measure_what_the_paper_shows(milliseconds, millivolts, speed, gain):
    page = layout(Recording(np.zeros((12, 1000), np.float32), 100, np.ones(12, bool)), Scale(speed, gain))
    (strip, *_) = page.strips
    box = {
        "x": [page.x_mm(strip, strip.start_s + milliseconds / 1000), page.x_mm(strip, strip.start_s)],
        "y": [page.y_mm(strip, 0.0), page.y_mm(strip, millivolts)],
    }
    caliper = measure_box(page, box)
    assert caliper.milliseconds == pytest.approx(milliseconds, rel=1e-6)
    assert caliper.millivolts == pytest.approx(millivolts, abs=1e-9)
    assert caliper.beats_per_minute == pytest.approx(60_000 / milliseconds, rel=1e-6)


def test_pointing_at_a_trace_tells_the_recordings_own_numbers(infarction):
    recording = infarction[0].recording
    page = layout(recording, arrangement="3x4 Cabrera")
    figure = draw_interactive(recording, page, [Span("V2", 5.0, 5.2, 0.6)])
    for strip, trace in zip(page.strips, figure.data, strict=False):
        number = len(trace.x) // 2
        milliseconds, millivolts = trace.customdata[number]
        sample = round(milliseconds / 1000 * recording.sampling_rate)
        assert millivolts == pytest.approx(recording.signal[LEADS.index(strip.lead), sample], abs=1e-4)
        assert trace.x[number] == pytest.approx(page.x_mm(strip, milliseconds / 1000), abs=1e-3)
        assert trace.y[number] == pytest.approx(page.y_mm(strip, millivolts), abs=1e-3)
    assert figure.layout.yaxis.scaleanchor == "x" and figure.layout.yaxis.scaleratio == 1
    assert {axis.minor.dtick for axis in (figure.layout.xaxis, figure.layout.yaxis)} == {1}
    (band,) = figure.layout.shapes
    assert band.x1 - band.x0 == pytest.approx(0.2 * 25)


def test_a_missing_lead_has_no_trace_but_its_name(infarction):
    recording = infarction[0].recording
    present = np.array([lead != "V3" for lead in LEADS])
    recording = replace(recording, present=present)
    figure = draw_interactive(recording, layout(recording, arrangement="12x1"))
    assert "V3" not in [trace.name for trace in figure.data]
    assert "<b>V3</b> not recorded" in [note.text for note in figure.layout.annotations]


# -- Monitor ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_loop_has_no_jump(name):
    recording = example_case(ARTIFACTS, name).recording
    loop = seamless_loop(recording)
    assert 7 < loop.duration < 10
    seam = np.abs(loop.signal[:, 0] - loop.signal[:, -1])
    assert (seam <= np.abs(np.diff(loop.signal, axis=1)).max(axis=1)).all()
    assert (seam < 0.05).all()


def test_a_recording_without_beats_is_played_as_it_is():
    recording = Recording(np.zeros((12, 1000), np.float32), 100, np.ones(12, bool))
    assert seamless_loop(recording) is recording


@pytest.mark.parametrize(("now_s", "seconds"), [(5, 5), (7.5, 7.5), (10, 10), (27, 10)])
def test_the_monitor_remembers_ten_seconds(now_s, seconds):
    loop = Recording(np.tile(np.arange(800, dtype=np.float32), (12, 1)), 100, np.ones(12, bool))
    memory = last_seconds(loop, now_s)
    assert memory.duration == seconds
    assert memory.signal[0, -1] == (round(now_s * 100) - 1) % 800
    assert memory.signal[0, 0] == round((now_s - seconds) * 100) % 800


def test_the_monitor_waits_for_five_seconds():
    loop = Recording(np.zeros((12, 800), np.float32), 100, np.ones(12, bool))
    assert last_seconds(loop, 4.9) is None


def test_the_monitor_gets_its_numbers():
    html = monitor_html(example_case(ARTIFACTS, "normal").recording)
    assert '"FACTS"' not in html and '"rate": 250.0, "traces": [{"lead": "I"' in html


# -- Report and results -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(infarction) -> PdfReader:
    case, diagnosis = infarction
    diagnosis = replace(diagnosis, warnings=("Lead V1 hums.",), uncertain_because=("something is near",))
    reasons = Reasons("MI", [("V2", 0.4), ("V3", 0.3)], [Span("V2", 5.0, 5.2, 1.0)])
    found = measure_intervals(case.recording)
    content = report_pdf(
        case.recording, diagnosis, title=case.title, patient="man, 61 years", intervals=found, reasons=reasons
    )
    return PdfReader(io.BytesIO(content))


def test_the_report_is_one_sheet_of_a4(report):
    (sheet,) = report.pages
    assert [float(side) / 72 * 25.4 for side in sheet.mediabox[2:]] == pytest.approx([297, 210], abs=0.05)


def test_the_report_has_everything_as_searchable_text(report, infarction):
    case, diagnosis = infarction
    text = " ".join(report.pages[0].extract_text().split())
    for part in (
        "Myocardial infarction – UNCERTAIN",
        case.title,
        "man, 61 years",
        "25 mm/s · 10 mm/mV",
        "What speaks for MI",
        "V2 40 %",
        f"PR {measure_intervals(case.recording).pr:.0f} ms",
        "Lead V1 hums.",
        "something is near",
        diagnosis.model["multilabel"][:12],
        RESEARCH_ONLY,
    ):
        assert part in text, part


def test_a_report_without_reasons_and_intervals_is_made(infarction):
    case, diagnosis = infarction
    many = replace(diagnosis, warnings=tuple(f"warning number {k} with some words" for k in range(30)))
    text = PdfReader(io.BytesIO(report_pdf(case.recording, many, title="a $5 name_"))).pages[0].extract_text()
    assert "a $5 name_" in text and "and more, on the page" in text and "number 29" not in text


def test_results_prefer_the_test_fold(tmp_path):
    assert read_metrics(tmp_path, "multilabel") is None
    (tmp_path / "multilabel_metrics_val.json").write_text('{"fold": 9}')
    assert read_metrics(tmp_path, "multilabel")["fold"] == 9
    (tmp_path / "multilabel_metrics_test.json").write_text('{"fold": 10}')
    assert read_metrics(tmp_path, "multilabel")["fold"] == 10


def test_a_table_shows_every_class_with_its_interval():
    content = read_metrics(ARTIFACTS, "multilabel")
    table = metrics_table(content)
    assert list(table.index) == [*SUPERCLASSES, "mean of the classes"]
    value, (low, high) = content["MI"]["auroc"]["value"], content["MI"]["auroc"]["ci95"]
    assert table.loc["MI", "AUROC"] == f"{value:.3f} ({low:.3f}–{high:.3f})"


def test_a_yes_or_no_question_has_one_row():
    content = read_metrics(ARTIFACTS, "mi_vs_norm")
    assert list(metrics_table(content).index) == ["MI against normal"]


def test_intervals_have_every_value_that_is_shown():
    empty = Intervals(*[None] * 8, dict.fromkeys(("pr",), "why"))
    assert {value for value, _ in html.measurements(empty).values()} == {"–"}
