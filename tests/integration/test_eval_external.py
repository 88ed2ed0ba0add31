"""eval_external.py on collections of generated ECGs, written as the PhysioNet/CinC Challenges write them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import eval_external
from config import DEFAULT_OUT
from ecg.statements import CODES
from evaluation import external_predictions
from files import sha256
from inference.decisions import apply_calibrator, load_decisions
from tests.support.challenge_files import at_rate, write_challenge_record
from tests.support.ecgs import generated

SINUS, AFIB, PVC, UNKNOWN = "426783006", "164889003", "427172004", "999999"
CHECKPOINT = DEFAULT_OUT / "multilabel_best.pth"


def write_collection(directory: Path, patients: bool = False) -> Path:
    """24 records in two folders: sinus rhythm or atrial fibrillation, .mat or .dat, three rates, both spellings."""
    for number in range(24):
        irregular = number % 3 == 0
        recording, _ = generated(number, rhythm="AFIB" if irregular else "SR", noise=3.0)
        rate = (257, 500, 1000)[number % 3 if number < 12 else (number + 1) % 3]
        write_challenge_record(
            directory / f"g{number % 2}",
            f"A{number:04d}",
            at_rate(recording.signal, 500, rate),
            rate,
            ["AF" if number == 3 else AFIB] if irregular else [SINUS, UNKNOWN] if number == 1 else [SINUS],
            suffix=".mat" if number % 4 < 2 else ".dat",
            style=2020 if number % 5 < 2 else 2021,
            comments=[f"Patient: {number // 2}"] if patients else [],
        )
    return directory


@pytest.fixture(autouse=True)
def same_code(monkeypatch):
    """Records are predicted again once the code is another: here it is not, whoever edits it while the tests run."""
    monkeypatch.setattr(external_predictions, "_code_version", lambda: "the same")


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """The records of `write_collection`, and after them some that cannot be read."""
    directory = write_collection(tmp_path_factory.mktemp("collections") / "clinic")
    recording, _ = generated(0)
    damaged = directory / "damaged"
    write_challenge_record(damaged, "short", recording.signal[:, :2400], 500, [SINUS])
    write_challenge_record(damaged, "cut", recording.signal, 500, [SINUS])
    (damaged / "cut.mat").write_bytes((damaged / "cut.mat").read_bytes()[:5000])
    write_challenge_record(damaged, "alone", recording.signal, 500, [AFIB])
    (damaged / "alone.mat").unlink()
    (damaged / "letter.hea").write_bytes(b"Dear colleague\n#Dx: 426783006\n\xff\xfe")
    write_challenge_record(damaged, "eleven", recording.signal, 500, [SINUS])
    text = (damaged / "eleven.hea").read_text()
    (damaged / "eleven.hea").write_text(text.replace(" 0 V6", " 0 MCL1"))
    write_challenge_record(damaged, "unlabelled", recording.signal, 500, ["Unknown"])
    return directory


@pytest.fixture(scope="module")
def evaluated(collection, tmp_path_factory):
    """--out of one evaluation, its exit status and metrics."""
    out = tmp_path_factory.mktemp("out")
    before = {path: sha256(path) for path in DEFAULT_OUT.glob("*.*") if path.is_file()}
    files = set(collection.rglob("*"))
    status = eval_external.main([str(collection), "--out", str(out)])
    assert {path: sha256(path) for path in before} == before
    assert set(collection.rglob("*")) == files
    return out, status, json.loads((out / "external_metrics_clinic.json").read_text())


def predictions_of(out: Path) -> pd.DataFrame:
    """The lines of the evaluated records."""
    lines = pd.read_csv(out / "external_predictions_clinic.csv")
    return lines[lines["error"].isna() & ~lines["file"].str.contains("unlabelled")]


def test_every_good_record_counts_and_every_bad_one_is_refused_with_its_reason(evaluated):
    _, status, content = evaluated
    assert status == 0
    assert (content["n"], content["n_records"], content["n_refused"]) == (24, 30, 5)
    reasons = {Path(one["file"]).name: one["reason"] for one in content["refused"]}
    for name, reason in {"short": "4.8 s", "cut": "cut short", "alone": "alone.mat", "eleven": "V6"}.items():
        assert reason in reasons[f"{name}.hea"]
    assert reasons["letter.hea"]
    assert content["n_without_known_label"] == 1
    assert set(content["sampling_rates"]) == {"257", "500", "1000"}
    assert sum(content["quality"]["severity"].values()) == 24


def test_labels_are_counted_and_unknown_ones_listed(evaluated):
    _, _, content = evaluated
    assert content["codes"][AFIB]["n"] == 9  # "AF" of CPSC 2018 and the record without its signal among them
    assert content["unmapped_codes"] == {UNKNOWN: {"n": 1, "name": "not among the Challenges' codes"}}


def test_metrics_are_those_of_scikit_learn_on_the_records_that_tell_the_class(evaluated):
    out, _, content = evaluated
    lines, norm = predictions_of(out), content["classes"]["NORM"]
    numbers = lines["file"].str.extract(r"A(\d+)\.hea")[0].astype(int)
    told = (numbers != 1).to_numpy()  # what an unknown code beside sinus rhythm means is open
    targets, scores = (numbers % 3 != 0).to_numpy()[told], lines["p_superclass_NORM"].to_numpy()[told]
    assert (norm["n"], norm["n_positive"], norm["n_left_open"]) == (23, 15, 1)
    assert norm["auroc"]["value"] == pytest.approx(roc_auc_score(targets, scores), abs=1e-4)
    assert norm["auprc"]["value"] == pytest.approx(average_precision_score(targets, scores), abs=1e-4)
    low, high = norm["auroc"]["ci95"]
    assert low <= norm["auroc"]["value"] <= high
    assert norm["drift"]["value"] == pytest.approx(norm["predicted"]["value"] - norm["observed"]["value"], abs=1e-4)
    assert norm["observed"]["value"] == pytest.approx(15 / 23, abs=1e-4)


def test_statements_are_evaluated_by_the_networks_own_answer_and_threshold(evaluated):
    out, _, content = evaluated
    lines, afib = predictions_of(out), content["classes"]["AFIB"]
    targets = lines["file"].str.extract(r"A(\d+)\.hea")[0].astype(int) % 3 == 0
    assert (afib["level"], afib["n"], afib["n_positive"]) == ("statement", 24, 8)
    assert afib["auroc"]["value"] == pytest.approx(roc_auc_score(targets, lines["p_statement_AFIB"]), abs=1e-4)
    thresholds = DEFAULT_OUT / "multilabel_thresholds.json"
    decisions = load_decisions(thresholds, "multilabel", {"multilabel": sha256(CHECKPOINT)})
    column = CODES.index("AFIB")
    assert afib["threshold"] == pytest.approx(decisions.statements.thresholds[column])
    calibrated = apply_calibrator(decisions.statements.calibrators[column], lines["p_statement_AFIB"].to_numpy())
    found = (calibrated >= afib["threshold"])[targets.to_numpy()].mean()
    assert afib["sensitivity"]["value"] == pytest.approx(found, abs=1e-4)


def test_a_class_without_a_label_in_the_collection_is_not_evaluated(evaluated):
    _, _, content = evaluated
    assert not {"MI", "STTC", "CD", "HYP"} & set(content["classes"])
    assert "no recording is labelled with it" in content["not_evaluated"]["superclass MI"]


def test_metrics_report_and_figures_name_the_checkpoint_and_one_another(evaluated):
    out, _, content = evaluated
    assert content["checkpoint_sha256"] == sha256(CHECKPOINT)
    report = (out / "external_report_clinic.md").read_text(encoding="utf-8")
    pictures = [line.split("](")[1].rstrip(")") for line in report.splitlines() if line.startswith("![")]
    assert pictures
    assert all((out / picture).stat().st_size > 5000 for picture in pictures)
    assert "cut short" in report
    assert UNKNOWN in report


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(collection, evaluated, tmp_path, monkeypatch):
    original, predicted = external_predictions.predict_record, []

    def stopped_at_the_tenth(network, header):
        if len(predicted) == 9:
            raise KeyboardInterrupt
        predicted.append(header)
        return original(network, header)

    monkeypatch.setattr(external_predictions, "predict_record", stopped_at_the_tenth)
    assert eval_external.main([str(collection), "--out", str(tmp_path)]) == 130
    assert not (tmp_path / "external_metrics_clinic.json").exists()
    again = []
    monkeypatch.setattr(
        external_predictions, "predict_record", lambda n, header: (again.append(header), original(n, header))[1]
    )
    assert eval_external.main([str(collection), "--out", str(tmp_path)]) == 0
    good = set(predictions_of(tmp_path)["file"].map(Path))
    assert not set(predicted) & set(again) & good
    assert good <= set(predicted) | set(again)
    assert json.loads((tmp_path / "external_metrics_clinic.json").read_text()) == evaluated[2]


def test_a_record_that_was_mended_is_predicted_anew_and_labels_are_read_anew(tmp_path, capsys):
    directory = write_collection(tmp_path / "clinic")
    assert eval_external.main([str(directory), "--out", str(tmp_path)]) == 0
    header = directory / "g1" / "A0001.hea"
    header.write_text(header.read_text().replace(UNKNOWN, PVC))
    assert eval_external.main([str(directory), "--out", str(tmp_path)]) == 0
    assert "23 of 24 records were predicted before" in capsys.readouterr().out
    content = json.loads((tmp_path / "external_metrics_clinic.json").read_text())
    assert content["unmapped_codes"] == {}
    assert content["codes"][PVC]["n"] == 1


def test_other_code_predicts_every_record_again(tmp_path, monkeypatch, capsys):
    directory = write_collection(tmp_path / "clinic")
    for code in ("one", "another"):
        monkeypatch.setattr(external_predictions, "_code_version", lambda code=code: code)
        assert eval_external.main([str(directory), "--out", str(tmp_path)]) == 0
    assert "predicted before" not in capsys.readouterr().out


def test_intervals_are_by_patient_where_headers_name_one(tmp_path):
    directory = write_collection(tmp_path / "clinic", patients=True)
    assert eval_external.main([str(directory), "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "external_metrics_clinic.json").read_text())
    assert content["n_patients"] == 12
    assert "by patient" in content["intervals"]


def test_what_cannot_be_evaluated_is_said_in_a_sentence(collection, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    empty, unlabelled, unreadable = tmp_path / "empty", tmp_path / "unlabelled", tmp_path / "unreadable"
    empty.mkdir()
    for directory, name in ((unlabelled, "unlabelled"), (unreadable, "cut")):
        directory.mkdir()
        for path in (collection / "damaged").glob(f"{name}.*"):
            shutil.copy(path, directory)
    other = tmp_path / "other.pth"
    other.write_bytes(b"nothing")
    binary = DEFAULT_OUT / "mi_best.pth"
    cases = {
        "is no directory": [str(tmp_path / "nowhere")],
        "no WFDB header": [str(empty)],
        "has a known label": [str(unlabelled)],
        "no recording of unreadable can be evaluated": [str(unreadable)],
        "other.pth": [str(collection), "--checkpoint", str(other)],
        "trained for task mi_vs_norm": [str(collection), "--checkpoint", str(binary)],
        "no thresholds at": [str(collection), "--thresholds", str(tmp_path / "none.json")],
    }
    for sentence, arguments in cases.items():
        assert eval_external.main([*arguments, *out]) == 1
        assert sentence in capsys.readouterr().err


def test_another_network_does_not_go_on_with_the_predictions_of_the_first(collection, evaluated, tmp_path, capsys):
    out, onnx = shutil.copytree(evaluated[0], tmp_path / "out"), str(CHECKPOINT.with_suffix(".onnx"))
    assert eval_external.main([str(collection), "--out", str(out), "--checkpoint", onnx]) == 1
    assert "--restart" in capsys.readouterr().err


def test_the_exported_network_says_the_same(collection, evaluated, tmp_path):
    onnx = str(CHECKPOINT.with_suffix(".onnx"))
    assert eval_external.main([str(collection), "--out", str(tmp_path), "--checkpoint", onnx]) == 0
    ours, theirs = predictions_of(evaluated[0]), predictions_of(tmp_path)
    columns = [name for name in ours if name.startswith("p_")]
    assert columns
    np.testing.assert_allclose(ours[columns], theirs[columns], atol=1e-3)


def test_a_defect_that_one_record_shows_costs_that_record_only(tmp_path, monkeypatch):
    directory = write_collection(tmp_path / "clinic")
    original = external_predictions.read_recording

    def read(path):
        if path.stem == "A0002":
            raise ZeroDivisionError("a defect")
        return original(path)

    monkeypatch.setattr(external_predictions, "read_recording", read)
    assert eval_external.main([str(directory), "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "external_metrics_clinic.json").read_text())
    assert content["n"] == 23
    assert "internal error" in content["refused"][0]["reason"]


def test_half_an_hour_goes_through_the_network_a_few_stretches_at_a_time(tmp_path, monkeypatch):
    original, sizes = external_predictions.load_network, []

    def load(*arguments):
        network = original(*arguments)
        watched = lambda signals: (sizes.append(signals.shape), network.probabilities_of(signals))[1]  # noqa: E731
        return replace(network, probabilities_of=watched)

    recording, _ = generated(0)
    ten_seconds = at_rate(recording.signal, 500, 257)
    write_challenge_record(tmp_path / "clinic", "I01", np.tile(ten_seconds, 180), 257, [SINUS])
    write_challenge_record(tmp_path / "clinic", "I02", ten_seconds, 257, [AFIB])
    monkeypatch.setattr(external_predictions, "load_network", load)
    assert eval_external.main([str(tmp_path / "clinic"), "--out", str(tmp_path)]) == 0
    assert max(stretches for stretches, _, _ in sizes) <= 16 < sum(stretches for stretches, _, _ in sizes)
    assert max(samples for _, _, samples in sizes) <= 1500
    half_an_hour, short = predictions_of(tmp_path).to_dict("records")
    assert (half_an_hour["duration_s"], short["duration_s"]) == (1800, 10)
    assert half_an_hour["p_superclass_NORM"] == pytest.approx(short["p_superclass_NORM"], abs=0.1)
