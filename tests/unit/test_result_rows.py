"""One row of the results table: every column, whatever there is to say of a recording."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from config import PROJECT, SUPERCLASSES
from ecg.intervals import measure_intervals
from ecg.quality import assess
from ecg.recording import RecordingError
from ecg.rr_intervals import measure_rr_intervals
from ecg.statements import CODES, STATEMENTS
from inference.decisions import FindingDecisions
from inference.diagnosis import BinaryResult, Diagnosis
from inference.result_rows import INTERVAL_COLUMNS, LONG_COLUMNS, columns_of, long_rows, row_of
from inference.results_table import OWN_COLUMNS
from inference.summary import RhythmResult, StatementResult
from tests.support.ecgs import generated

ECG = Path("ward") / "ecg.hea"
TYPES = {"string": str, "Float64": float, "boolean": bool}


@pytest.fixture(scope="module")
def recording():
    return generated()[0]


@pytest.fixture(scope="module")
def diagnosis(recording):
    """STTC with doubts, the question of MI withheld."""
    return Diagnosis(
        probabilities=dict.fromkeys(SUPERCLASSES, 0.12345) | {"STTC": 0.9},
        thresholds=dict.fromkeys(SUPERCLASSES, 0.5),
        predicted_classes=("STTC",),
        mi_vs_norm=BinaryResult(0.7, 0.5, None, False, "not applicable beside STTC"),
        norm_vs_abnormal=BinaryResult(0.8, 0.5, True, False),
        uncertain_because=("near a threshold", "poor quality"),
        not_assessed=("No rhythm.",),
        statements=(),
        subclasses=(),
        rhythm=None,
        quality=assess(recording),
        warnings=("Short.", "Noisy."),
        model={"multilabel": "0123456789abcdef"},
        milliseconds=1.0,
    )


@pytest.mark.parametrize("intervals", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_every_row_has_every_column_in_order_and_of_its_type(recording, diagnosis, intervals, failed):
    if failed:
        row = row_of(ECG, RecordingError("too short"), None, intervals)
        assert row == dict.fromkeys(columns_of(intervals)) | {"file": str(ECG), "error": "too short"}
    else:
        row = row_of(ECG, recording, diagnosis, intervals)
    columns = columns_of(intervals)
    assert list(row) == list(columns)
    assert all(value is None or type(value) is TYPES[columns[name]] for name, value in row.items())


def test_the_document_explains_every_column():
    explained = (PROJECT / "docs" / "formats.md").read_text()
    of_statements = {f"statement_{code}" for code in CODES}
    columns = {*columns_of(intervals=True), *OWN_COLUMNS, *LONG_COLUMNS} - of_statements
    columns |= {f"statement_{CODES[0]}", f"statement_{CODES[-1]}"}  # from the first to the last
    assert [column for column in columns if f"`{column}`" not in explained] == []


def test_a_row_says_what_limits_the_diagnosis(recording, diagnosis):
    row = row_of(ECG, recording, diagnosis)
    assert row["predicted_classes"] == "STTC" and row["p_STTC"] == 0.9 and row["p_MI"] == 0.1235
    assert row["mi_vs_norm"] is None and row["p_mi_vs_norm"] == 0.7 and row["norm_vs_abnormal"] is True
    assert row["withheld"] == "mi_vs_norm: not applicable beside STTC"
    assert row["uncertain"] is True and row["uncertain_because"] == "near a threshold; poor quality"
    assert row["not_assessed"] == "No rhythm." and row["warnings"] == "Short. Noisy." and row["quality"] == "good"
    assert row["heart_rate"] == pytest.approx(diagnosis.quality.heart_rate, abs=0.05)


def finding(number, **changes):
    """A statement that is not said of the recording."""
    facts = {"probability": number / 1000, "threshold": 0.5, "asserted": False, "validated": True}
    return StatementResult(**{**asdict(STATEMENTS[number]), **facts, **changes})


@pytest.fixture(scope="module")
def with_statements(diagnosis):
    """The first statement and sinus rhythm are asserted."""
    said = (0, CODES.index("SR"))
    statements = tuple(finding(k, asserted=k in said) for k in range(len(CODES)))
    rhythm = RhythmResult(code="SR", certain=True, sentence="Sinus rhythm")
    return replace(diagnosis, statements=statements, rhythm=rhythm)


def test_statements_have_a_probability_each_and_those_asserted_are_listed(recording, with_statements):
    row = row_of(ECG, recording, with_statements)
    assert row["rhythm"] == "SR" and row["rhythm_certain"] is True and row["statements"] == f"{CODES[0]} SR"
    assert [row[f"statement_{code}"] for code in CODES] == [k / 1000 for k in range(len(CODES))]
    assert row["headline"].startswith("Sinus rhythm. ") and list(row) == list(columns_of())
    none = replace(with_statements, statements=tuple(map(finding, range(len(CODES)))))
    assert row_of(ECG, recording, none)["statements"] == "none"
    empty = assess(replace(recording, signal=np.zeros_like(recording.signal)))
    assert row_of(ECG, recording, replace(none, quality=empty))["statements"] is None


def test_a_network_without_statements_leaves_their_columns_empty(recording, diagnosis):
    row = row_of(ECG, recording, diagnosis)
    assert row["headline"] and row["rhythm"] is row["rhythm_certain"] is row["statements"] is None
    assert all(row[f"statement_{code}"] is None for code in CODES)
    table = long_rows([row], {})
    assert len(table) == 0 and list(table) == list(LONG_COLUMNS)


def test_the_long_table_has_a_row_a_statement_of_each_recording_that_was_diagnosed(recording, with_statements):
    decisions = FindingDecisions(
        names=CODES,
        calibrators=(),
        thresholds=np.linspace(0, 1, len(CODES)),
        validated=np.arange(len(CODES)) % 2 == 0,
    )
    row = row_of(ECG, recording, with_statements)
    failed = row_of(ECG, RecordingError("too short"), None)
    table = long_rows([row | {"path": "/a"}, failed, row | {"path": "/b"}], {"12": decisions})
    assert list(table["code"]) == [*CODES, *CODES] and list(table["path"]) == ["/a"] * 71 + ["/b"] * 71
    assert list(table["probability"]) == 2 * [row[f"statement_{code}"] for code in CODES]
    assert list(table["threshold"]) == 2 * list(decisions.thresholds)
    assert list(table["validated"]) == 2 * list(decisions.validated)
    assert list(table["code"][table["asserted"]]) == 2 * [CODES[0], "SR"]
    assert table.dtypes.astype(str).to_dict() == LONG_COLUMNS
    assert list(table[table["code"] == "AFIB"]["snomed_ct"]) == 2 * ["164889003"]
    assert long_rows([failed], {"12": decisions}).empty


def test_the_long_table_has_the_thresholds_of_each_recordings_leads(recording, with_statements):
    def decisions(threshold):
        thresholds, validated = np.full(len(CODES), threshold), np.ones(len(CODES), bool)
        return FindingDecisions(names=CODES, calibrators=(), thresholds=thresholds, validated=validated)

    of_watch = replace(with_statements, leads=("I",), lead_set="I", not_assessable=("MI", "IMI"))
    of_nothing = replace(with_statements, leads=("V3",), lead_set=None, lead_set_exact=False)
    rows = [row_of(ECG, recording, one) for one in (with_statements, of_watch, of_nothing)]
    table = long_rows(rows, {"12": decisions(0.5), "I": decisions(0.25)})
    assert list(table["threshold"].fillna(-1)) == [0.5] * 71 + [0.25] * 71 + [-1] * 71
    assert list(table["validated"]) == [True] * 142 + [False] * 71
    assert [row["leads"] for row in rows][1:] == ["I", "V3"]
    assert [row["lead_set"] for row in rows] == ["12", "I", None]
    assert [row["lead_set_exact"] for row in rows] == [True, True, False]
    assert [row["not_assessable"] for row in rows] == ["none", "MI IMI", "none"]


def test_intervals_are_the_measured_ones_with_the_reason_of_each_that_is_missing(recording, diagnosis):
    measured = measure_intervals(recording)
    row = row_of(ECG, recording, diagnosis, intervals=True)
    for name, column in INTERVAL_COLUMNS.items():
        assert row[column] == pytest.approx(getattr(measured, name), abs=0.05), name
    assert row["not_measured"] == "" and (row["beats"], row["early_beats"]) == (measured.beats, 0)
    cut = round((measure_rr_intervals(recording).beats_s[4] + 0.4) * recording.sampling_rate)  # after the T wave
    gone = np.s_[cut : cut + round(0.22 * recording.sampling_rate)]
    early = replace(recording, signal=np.delete(recording.signal, gone, axis=1))
    assert row_of(ECG, early, diagnosis, intervals=True)["early_beats"] == 1
    noise = np.random.default_rng(0).normal(0, 0.1, recording.signal.shape).astype(np.float32)
    row = row_of(ECG, replace(recording, signal=noise), diagnosis, intervals=True)
    assert all(row[column] is None for column in (*INTERVAL_COLUMNS.values(), "beats", "early_beats"))
    assert all(f"{name}: no reliable heartbeats" in row["not_measured"] for name in INTERVAL_COLUMNS)


def test_no_class_and_nothing_asserted_are_told_apart(recording, diagnosis):
    nothing = replace(diagnosis, predicted_classes=())
    assert row_of(ECG, recording, nothing)["predicted_classes"] == "none"
    empty = replace(recording, signal=np.zeros_like(recording.signal))
    row = row_of(ECG, empty, replace(nothing, quality=assess(empty)))
    assert row["predicted_classes"] is None and row["quality"] == "unusable" and row["heart_rate"] is None


def test_names_and_errors_that_are_not_utf_8_are_spelt_out():
    row = row_of(Path("caf\udce9.hea"), OSError("caf\udce9.hea is gone"), None)
    assert row["file"] == r"caf\xe9.hea" and row["error"] == r"caf\xe9.hea is gone"
    assert row_of(ECG, ValueError(), None)["error"] == "ValueError"
