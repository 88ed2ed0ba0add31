"""Statements and rhythms on the page: headline, table, rhythm, comparison, limits, and in the PDF report."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from pypdf import PdfReader

from config import DEFAULT_OUT
from ecg.rr_intervals import rr_intervals_of
from ecg.statements import BY_CODE, CODES
from inference.diagnoser import Diagnoser
from inference.diagnosis import Diagnosis
from inference.summary import RhythmResult
from ui import html
from ui.pdf_report import report_pdf
from ui.sources import example_ecg
from ui.statements import ORDERS, arrange, differences, likeliest_rhythms_html, statements_html
from ui.tab_live import rhythm_html
from ui.tab_model import (
    confusion_html,
    lead_sets_table,
    limits_of_statements,
    read_lead_sets,
    statements_table,
    tasks_table,
)

ECG = example_ecg(DEFAULT_OUT, "anterior_infarction")


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    """Of the example of an anterior infarction, with the statements asserted that a test needs."""
    return Diagnoser.load(DEFAULT_OUT).diagnose(ECG.recording)


def asserting(diagnosis: Diagnosis, rhythm: RhythmResult | None = None, **probabilities: float) -> Diagnosis:
    """The diagnosis with just these statements asserted, at these probabilities."""
    statements = tuple(
        replace(one, asserted=one.code in probabilities, probability=probabilities.get(one.code, 0.01))
        for one in diagnosis.statements
    )
    return replace(diagnosis, statements=statements, rhythm=rhythm or diagnosis.rhythm)


def codes(found) -> list[str]:
    return [one.code for one in found]


def test_the_headline_is_a_summary_with_the_rhythm_first_and_what_is_only_possible_set_apart(diagnosis):
    fibrillation = RhythmResult(code="AFIB", certain=True, sentence="Atrial fibrillation")
    found = asserting(diagnosis, fibrillation, AFIB=0.9, ASMI=0.8, LMI=0.05)
    assert html.headline(found) == (
        "Atrial fibrillation. Anteroseptal myocardial infarction. Possible lateral myocardial infarction."
    )
    shown = html.prediction_html(found)
    assert '<span class="possible">Possible lateral myocardial infarction.</span></h2>' in shown
    assert 'class="possible">Atrial' not in shown and 'class="possible">Anteroseptal' not in shown


@pytest.mark.parametrize(
    ("rhythm", "notes", "expected"),
    [
        (
            RhythmResult(code="AFLT", certain=False, sentence="Rhythm uncertain (possibly atrial flutter)"),
            ("Rhythm uncertain (possibly atrial flutter).",),
            "<b>Rhythm not asserted.</b> Atrial flutter is likeliest, but not validated.",
        ),
        (
            RhythmResult(code="", certain=False, sentence="Rhythm uncertain"),
            ("Rhythm uncertain.", "Have the rhythm checked: x."),
            "<b>Rhythm not asserted.</b> No rhythm reaches its threshold. Have the rhythm checked: x.",
        ),
        (
            RhythmResult(code="SR", certain=True, sentence="Sinus rhythm"),
            ("Have the rhythm checked: x.",),
            "<b>Rhythm.</b> Have the rhythm checked: x.",
        ),
    ],
)
def test_what_is_open_about_the_rhythm_stands_below_the_headline(diagnosis, rhythm, notes, expected):
    assert expected in html.prediction_html(replace(diagnosis, rhythm=rhythm, not_assessed=notes))


def test_leads_without_thresholds_name_no_rhythm(diagnosis):
    rhythm = RhythmResult(code="", certain=False, sentence="Rhythm not assessed")
    shown = html.prediction_html(replace(diagnosis, rhythm=rhythm, lead_set=None))
    assert "<b>Rhythm not asserted.</b> No thresholds were fitted for these leads." in shown


def test_statements_are_found_by_group_and_words_and_sorted(diagnosis):
    statements = diagnosis.statements
    assert codes(arrange(statements))[:2] == ["SR", "ASMI"]
    assert set(codes(arrange(statements, group="rhythm"))) == {c for c in CODES if "rhythm" in BY_CODE[c].groups}
    assert codes(arrange(statements, " Inferior  INFARCTION")) == ["IMI"]
    assert codes(arrange(statements, "164889003")) == ["AFIB"]
    assert set(codes(arrange(statements, "mi", "diagnostic"))) > {"IMI", "ASMI"}
    assert codes(arrange(statements, order="Code")) == sorted(CODES)
    probabilities = [one.probability for one in arrange(statements, order="Probability")]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(sorted(codes(arrange(statements, order=order))) == sorted(CODES) for order in ORDERS)


def test_the_table_marks_what_is_asserted_what_is_possible_and_what_is_not_validated(diagnosis):
    found = asserting(diagnosis, SR=0.99, PVC=0.3)
    table = statements_html(found.statements)
    rows = {code: row for row in table.split("<tr")[1:] for code in re.findall('<th scope="row">([^<]+)', row)}
    assert set(rows) == set(CODES)
    assert "✓ yes" in rows["SR"] and "✓ possible" in rows["PVC"] and "✓" not in rows["AFIB"]
    assert "not validated" in rows["WPW"] and 'class="unvalidated"' in rows["WPW"]
    assert 'class="yes"' in rows["SR"] and "unvalidated" not in rows["AFIB"]
    assert "Clear the search" in statements_html([])


def test_the_table_tells_what_the_leads_do_not_show_from_what_is_never_asserted(diagnosis):
    statements = [replace(one, validated=False) for one in diagnosis.statements]
    table = statements_html(statements, ("IMI",))
    rows = {code: row for row in table.split("<tr")[1:] for code in re.findall('<th scope="row">([^<]+)', row)}
    assert "not assessable from these leads" in rows["IMI"] and "not validated" in rows["ASMI"]


def test_reasons_for_a_rhythm_are_the_likeliest_rhythms(diagnosis):
    shown = likeliest_rhythms_html(asserting(diagnosis, AFIB=0.8, AFLT=0.5))
    names = re.findall("<b>([A-Z]+)</b>", shown)
    assert names[:2] == ["AFIB", "AFLT"] and len(names) == 4
    assert "atrial flutter <i>(not validated)</i>" in shown and shown.count(", predicted") == 2


def test_rr_intervals_are_said_with_the_early_beats():
    regular, early = (rr_intervals_of(np.array(beats)) for beats in ([0.0, 1, 2, 3], [0, 1, 1.6, 3, 4]))
    assert html.rr_sentence(regular) == "RR intervals from 1000 to 1000 ms; none of 4 beats comes early."
    assert html.rr_sentence(early) == "RR intervals from 600 to 1400 ms; 1 of 5 beats comes early."


def test_two_diagnoses_differ_by_what_only_one_asserts(diagnosis):
    first, second = asserting(diagnosis, SR=0.9, PVC=0.9), asserting(diagnosis, SR=0.9, LAFB=0.9)
    assert differences(first, second) == {
        "Only in the first": ["Ventricular premature complex"],
        "Only in the second": ["Left anterior fascicular block"],
        "In both": ["Sinus rhythm"],
    }


def test_the_live_view_names_the_rhythm_and_counts_early_beats(diagnosis):
    shown = rhythm_html(diagnosis, ECG.recording)
    assert ">Sinus rhythm<" in shown and "None of 13 beats comes early" in shown
    assert rhythm_html(replace(diagnosis, rhythm=None), ECG.recording) == ""


def test_the_report_has_the_summary_the_statements_and_the_rr_intervals(diagnosis):
    rr = rr_intervals_of(np.array([0.5, 1.5, 2.1, 3.5, 4.5]))
    many = asserting(diagnosis, **dict.fromkeys([code for code in CODES if BY_CODE[code].groups == ("form",)], 0.9))
    (sheet,) = PdfReader(io.BytesIO(report_pdf(ECG, asserting(diagnosis, SR=0.99, ASMI=0.9, LMI=0.2), rr=rr))).pages
    text = " ".join(sheet.extract_text().split())
    assert "Prediction: Sinus rhythm. Anteroseptal myocardial infarction. Possible lateral" in text
    assert "Asserted statements Sinus rhythm (SR), 99 %" in text and "Lateral myocardial infarction (LMI), 20 %" in text
    assert "RR 600–1400 ms" in text and "1 of 5 beats comes early" in text and "RR, ms" in text
    assert "and more" in PdfReader(io.BytesIO(report_pdf(ECG, many))).pages[0].extract_text()


# -- Metrics ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def metrics() -> dict:
    return json.loads((DEFAULT_OUT / "statements_metrics_val.json").read_text(encoding="utf-8"))


def test_limits_name_what_is_never_asserted_and_which_rhythms_are_missed(metrics):
    limits = limits_of_statements(metrics)
    for code, one in metrics["statements"].items():
        assert (f"({code})" in limits) == (not one["validated"])
    assert "it names sinus rhythm; atrial fibrillation;" in limits
    assert "It never names atrial flutter;" in limits and "sinus arrhythmia (34% found)" in limits


def test_metrics_of_tasks_statements_and_rhythms_become_tables(metrics):
    tasks = tasks_table(metrics)
    assert list(tasks["outputs"]) == ["5", "23", "44", "19", "12", "71"]
    statements = statements_table(metrics)
    assert len(statements) == 71
    assert statements.loc["WPW Wolff-Parkinson-White pattern", "validated"] == "not validated"
    assert statements.loc["AFIB atrial fibrillation", "AUROC"].startswith("0.99")
    confusion = confusion_html(metrics["rhythm"])
    assert confusion.count('scope="row"') == 9 and confusion.count("class=right") == 9


def test_only_evaluations_of_the_network_in_use_are_shown_of_missing_leads(tmp_path):
    metric = {"value": 0.9, "ci95": [0.8, 0.95]}
    row = dict.fromkeys(("auroc", "auprc", "f1", "afib_auroc"), metric)
    lead_sets = {"12": row, "I": {key: value for key, value in row.items() if key != "afib_auroc"}}
    table = lead_sets_table({"lead_sets": lead_sets})
    assert list(table.index) == ["12", "I"] and list(table["AUROC of atrial fibrillation"])[1] == "–"
    for split, digest in (("val", "a"), ("test", "b")):
        content = json.dumps({"checkpoint_sha256": digest, "split": split})
        (tmp_path / f"lead_sets_{split}.json").write_text(content)
    assert read_lead_sets(tmp_path) == []
    (tmp_path / "anylead_thresholds.json").write_text(json.dumps({"checkpoint_sha256": "a"}))
    assert [content["split"] for content in read_lead_sets(tmp_path)] == ["val"]
