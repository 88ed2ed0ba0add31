"""Evaluation of a collection: which recordings count for which class, scores of groups, refitting, intervals."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from config import SUPERCLASSES
from ecg.statements import CODES, SUBCLASSES
from evaluation.external import evaluate_collection
from evaluation.external_collection import LabelledRecord, read_labels
from evaluation.external_predictions import EvaluatedNetwork, column_of
from evaluation.external_report import markdown, write_evaluation

CLASSES = {"superclass": SUPERCLASSES, "subclass": SUBCLASSES, "statement": CODES}
MI, ANTERIOR_MI, AFIB, AFLT, SINUS = "164865005", "54329005", "164889003", "164890007", "426783006"
EITHER = "195080001"  # atrial fibrillation or flutter
CHOICES = ([MI], [ANTERIOR_MI], [AFIB], [AFLT], [EITHER], [SINUS], [SINUS, MI])
LABELS = CHOICES * 30


@pytest.fixture
def network(tmp_path) -> EvaluatedNetwork:
    """A network that answers all levels; its calibration squares probabilities, and its thresholds are 0.25."""
    thresholds = tmp_path / "thresholds.json"
    thresholds.write_text("{}")
    return EvaluatedNetwork(
        checkpoint=Path("network.pth"),
        thresholds_path=thresholds,
        sha256="0" * 64,
        model="fake",
        synthetic=False,
        classes=CLASSES,
        thresholds={level: (0.25,) * len(names) for level, names in CLASSES.items()},
        validated={level: tuple(name != "LVOLT" for name in names) for level, names in CLASSES.items()},
        criterion="f1",
        sensitivity_floor=0.95,
        probabilities_of=lambda recording: {},
        calibrate=lambda level, probabilities: probabilities**2,
    )


def records_of(labels: list[list[str]], patients: int = 0) -> list[LabelledRecord]:
    """Records with these labels, of so many patients in turn, or of patients that no header names."""
    return [
        LabelledRecord(header=Path(f"{n}.hea"), codes=tuple(codes), patient=str(n % patients) if patients else "")
        for n, codes in enumerate(labels)
    ]


def rows_of(labels: list[list[str]], seed: int = 0) -> list[dict]:
    """Lines of a network that knows little more than chance, with a low probability of everything but AFIB and AFLT."""
    rng = np.random.default_rng(seed)
    rows = []
    for codes in labels:
        row = {column_of(level, name): rng.uniform(0, 0.4) for level, names in CLASSES.items() for name in names}
        row |= {"file": "x.hea", "error": None, "quality": "good", "flags": "wander; bursts"}
        row |= {"sampling_rate": 500.0, "duration_s": 10.0}
        for code, name in ((AFIB, "AFIB"), (AFLT, "AFLT")):
            row[column_of("statement", name)] = 0.8 if code in codes else rng.uniform(0, 0.9)
        rows.append(row)
    return rows


def evaluated(network, labels=LABELS, patients=0, rows=None):
    """Metrics of labels and lines."""
    return evaluate_collection(network, "clinic", records_of(labels, patients), rows or rows_of(labels))[0]


def test_levels_are_kept_apart_and_open_labels_left_out(network):
    content = evaluated(network)
    assert content["classes"]["MI"]["level"] == "superclass"
    assert content["classes"]["MI"]["n_positive"] == 90
    assert content["classes"]["AMI"]["level"] == "statement"
    assert content["subclasses"]["AMI"]["level"] == "subclass"
    for entry in (content["classes"]["AMI"], content["subclasses"]["AMI"]):
        assert (entry["n"], entry["n_positive"], entry["n_left_open"]) == (150, 30, 60)
        assert entry["labels"] == [ANTERIOR_MI]
    assert content["classes"]["AFIB"]["n_left_open"] == 30


def test_a_group_is_evaluated_by_the_probability_of_any_of_its_statements(network):
    rows = rows_of(LABELS)
    entry = evaluated(network, rows=rows)["classes"]["AFIB+AFLT"]
    afib, aflt = (np.array([row[column_of("statement", name)] for row in rows]) for name in ("AFIB", "AFLT"))
    targets = np.array([bool({AFIB, AFLT, EITHER} & set(codes)) for codes in LABELS])
    assert entry["auroc"]["value"] == pytest.approx(roc_auc_score(targets, 1 - (1 - afib) * (1 - aflt)), abs=1e-4)
    asserted = (afib**2 >= 0.25) | (aflt**2 >= 0.25)
    assert entry["sensitivity"]["value"] == pytest.approx(asserted[targets].mean(), abs=1e-4)
    assert entry["specificity"]["value"] == pytest.approx((~asserted[~targets]).mean(), abs=1e-4)
    assert entry["threshold"] is None


def test_refitting_mends_calibration_and_is_never_fitted_on_what_it_judges(network):
    entry = evaluated(network, patients=40)["classes"]["MI"]
    shipped, refitted = entry, entry["recalibrated"]
    assert abs(refitted["drift"]["value"]) < 0.02 < abs(shipped["drift"]["value"])
    assert refitted["brier"]["value"] < shipped["brier"]["value"]
    # the scores are chance: a fit that had seen the recordings it is tested on would seem to know something
    assert refitted["sensitivity"]["value"] + refitted["specificity"]["value"] == pytest.approx(1, abs=0.15)


def test_few_positives_are_not_refitted_and_one_patient_is_no_basis(network):
    few = [[AFIB]] * 5 + [[SINUS]] * 50
    assert evaluated(network, few)["classes"]["AFIB"]["recalibrated"] is None
    of_one = records_of([[AFIB]] * 20 + [[SINUS]] * 50)
    of_one = [LabelledRecord(r.header, r.codes, "one" if AFIB in r.codes else "") for r in of_one]
    content = evaluate_collection(network, "clinic", of_one, rows_of([[AFIB]] * 20 + [[SINUS]] * 50))[0]
    assert content["classes"]["AFIB"]["recalibrated"] is None


def test_intervals_are_wider_where_recordings_are_of_few_patients(network):
    wide, narrow = (evaluated(network, patients=n)["classes"]["AFIB"]["specificity"]["ci95"] for n in (14, 0))
    assert wide != narrow
    assert all(low < high for low, high in (wide, narrow))


def test_the_mean_over_classes_leaves_out_those_with_few_positives(network):
    content = evaluated(network, [*LABELS, ["251146004"], ["251146004"]])  # low voltage
    classes = [entry for entry in content["classes"].values() if entry["level"] == "statement"]
    counted = [entry["auroc"]["value"] for entry in classes if entry["n_positive"] >= 5]
    assert len(counted) == len(classes) - 1
    assert content["macro"]["statement"]["classes"] == len(counted)
    assert content["macro"]["statement"]["auroc"]["value"] == pytest.approx(np.mean(counted), abs=1e-4)


def test_the_weights_of_the_bootstrap_in_parts_are_as_many(network, monkeypatch):
    monkeypatch.setattr("evaluation.external.VALUES_AT_A_TIME", 20_000)
    content = evaluated(network)
    monkeypatch.undo()
    whole = evaluated(network)
    for name in ("MI", "AFIB"):
        (low, high), (other_low, other_high) = (c["classes"][name]["auroc"]["ci95"] for c in (content, whole))
        assert content["classes"][name]["auroc"]["value"] == whole["classes"][name]["auroc"]["value"]
        assert (low, high) == pytest.approx((other_low, other_high), abs=0.02)


def test_the_report_can_be_written_for_all_levels_and_is_plain_json(network, tmp_path):
    labels = [*LABELS, ["strange|label"]]
    content, classes = evaluate_collection(network, "clinic", records_of(labels), rows_of(labels))
    paths = write_evaluation(tmp_path / "out", content, classes)
    assert all(path.is_file() for path in paths)
    assert json.loads(paths[0].read_text()) == json.loads(json.dumps(content, allow_nan=False))
    report = markdown(content, {})
    assert all(f"\n| {name}" in report for name in ("MI", "AMI", "AFIB+AFLT"))
    assert "strange\\|label" in report


def test_what_may_not_be_asserted_is_said_to_be_not_validated(network):
    content = evaluated(network, [*LABELS, *[["251146004"]] * 8])  # low voltage
    assert not content["classes"]["LVOLT"]["validated"]
    assert content["classes"]["AFIB"]["validated"]
    (line,) = (line for line in markdown(content, {}).splitlines() if line.startswith("| LVOLT,"))
    assert "not validated" in line


@pytest.mark.parametrize(
    ("comment", "codes"),
    [
        ("#Dx: 426783006,164889003", (SINUS, AFIB)),
        ("# Dx: 426783006, 164889003", (SINUS, AFIB)),
        ("  # dx : AF", (AFIB,)),
        ("#Dx: Normal", (SINUS,)),
        ("#Dx: Unknown", ()),
        ("#Dx:", ()),
        ("#Dx: 426783006,426783006", (SINUS,)),
        ("#Dx: 123,heart", ("123", "heart")),
        ("# Diagnosis: 426783006", ()),
        ("Dx: 426783006", ()),
    ],
)
def test_labels_of_a_header(tmp_path, comment, codes):
    header = tmp_path / "a.hea"
    header.write_text(f"a 1 500 10\na.dat 16 1000/mV 16 0 0 0 0 I\n#Age: 7\n{comment}\n# Patient ID: p7\r\n")
    record = read_labels(header)
    assert record.codes == codes
    assert record.patient == "p7"


@given(content=st.binary(max_size=200))
def test_labels_of_whatever_lies_behind_the_name_are_words_that_print(tmp_path_factory, content):
    header = tmp_path_factory.getbasetemp() / "any.hea"
    header.write_bytes(b"#Dx: " + content)
    assert all(code.isprintable() and 0 < len(code) <= 60 for code in read_labels(header).codes)


def test_a_header_that_is_not_there_has_no_labels(tmp_path):
    assert read_labels(tmp_path / "absent.hea").codes == ()
