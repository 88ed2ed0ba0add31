"""The page without a browser: what Streamlit is told to show, and where its ECGs and metrics come from."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from config import DEFAULT_OUT, LEADS, PROJECT, RESEARCH_ONLY, SUPERCLASSES
from ecg.recording import RecordingError
from inference.diagnoser import Diagnoser
from ptbxl.records import record_path
from tools.measure_verdict import product_verdicts
from ui.sources import ANY, DISAGREE, UNCERTAIN, example_ecg, open_fold, ptbxl_ecg, uploaded_ecg
from ui.tab_compare import PATIENT, TWO_EXAMPLES
from ui.tab_model import metrics_table, read_comparisons, read_metrics, split_title

ARTIFACTS = Path(os.environ.get("HMT_ARTIFACTS") or DEFAULT_OUT)


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


def test_it_opens_on_an_ecg_with_its_prediction_and_the_disclaimer_and_explains_a_class(page):
    page.run()
    text = shown(page)
    assert not page.exception and not page.error
    assert ">Sinus rhythm. Anteroseptal myocardial infarction." in text
    assert 'alt="12-lead ECG, Example: anterior infarction, 3x4, 25 mm/s, 10 mm/mV, 500 Hz"' in text
    assert f">{RESEARCH_ONLY}</div>" in text
    choose(page, "shaded", "MI")
    assert "evidence for MI shaded" in shown(page) and "of the evidence" in shown(page)
    assert not page.exception


def test_an_asserted_statement_is_explained_by_leads_and_the_rhythm_by_its_rr_intervals(page):
    page.run()
    choose(page, "shaded", "ASMI")
    assert "evidence for ASMI shaded" in shown(page)
    assert [title.value for title in page.subheader if "ASMI" in title.value] == [
        "Evidence for anteroseptal myocardial infarction (ASMI) by lead"
    ]
    choose(page, "shaded", "Rhythm")
    text = shown(page)
    assert (
        "shaded" not in text and "RR intervals: RR intervals from 750 to 790 ms; none of 13 beats comes early" in text
    )
    assert "<b>SR</b> sinus rhythm" in text and not page.exception
    choose(page, "example", "left_bundle_branch_block")
    assert not page.exception and page.session_state["shaded"] == "Rhythm"
    choose(page, "shaded", "CLBBB")
    choose(page, "example", "normal")  # of which CLBBB is not asserted
    assert not page.exception and page.session_state["shaded"] is None and "shaded" not in shown(page)


def test_all_statements_can_be_searched_by_group_and_word(page):
    page.run()

    def rows() -> list[str]:
        return re.findall(r'<th scope="row">([^<]+)</th>', shown(page))

    assert len(rows()) == 71 and rows()[:2] == ["SR", "ASMI"]
    choose(page, "statement group", "rhythm")
    assert len(rows()) == 12 and {"AFIB", "SR"} < set(rows())
    choose(page, "statement search", "FIBRILLATION")
    assert rows() == ["AFIB"]
    choose(page, "statement search", "nothing of that name")
    assert "No statement matches" in shown(page) and not page.exception


def test_without_networks_the_ecg_is_drawn_and_the_page_says_what_is_missing(page, monkeypatch, tmp_path):
    shutil.copytree(ARTIFACTS / "examples", tmp_path / "empty" / "examples")
    monkeypatch.setenv("HMT_ARTIFACTS", str(tmp_path / "empty"))
    page.run()
    assert not page.exception
    assert "export_onnx.py" in page.error[0].value
    assert 'class="paper-scroll"' in shown(page) and "<h2>" not in shown(page)


@pytest.mark.parametrize(
    ("artifacts", "source", "remedy"),
    [("", "Example", "tools.make_examples"), (ARTIFACTS, "PTB-XL", "dataset.py download")],
)
def test_without_ecgs_it_says_where_to_get_them(page, monkeypatch, tmp_path, artifacts, source, remedy):
    monkeypatch.setenv("HMT_ARTIFACTS", str(artifacts or tmp_path))
    choose(page.run(), "source", source)
    assert not page.exception
    assert remedy in page.error[-1].value


def test_a_generated_set_is_called_so_hides_its_labels_and_is_gone_through_with_next(page, monkeypatch, demo_data):
    monkeypatch.setenv("PTBXL_DIR", str(demo_data))
    choose(page.run(), "source", "PTB-XL")
    assert "Generated demonstration set, fold 10" in shown(page)
    assert "**Label:**" not in shown(page)
    (toggle,) = [toggle for toggle in page.toggle if toggle.key == "label"]
    toggle.set_value(True).run()
    assert "**Label:**" in shown(page)
    assert not page.exception and not page.error
    choose(page, "which", "Labelled HYP")
    (numbers,) = [box for box in page.selectbox if box.key == "ecg_id"]
    seen = []
    for _ in numbers.options:
        seen.append(str(page.session_state["ecg_id"]))
        next(button for button in page.button if button.label == "Next ›").click().run()
    assert [*seen, str(page.session_state["ecg_id"])] == [*numbers.options, numbers.options[0]]


def test_missing_choices_are_explained(page, monkeypatch, demo_data):
    page.run()
    page.session_state["tab"] = "Compare"
    choose(page, "compare", PATIENT)
    assert "dataset.py download" in page.error[0].value and TWO_EXAMPLES in page.error[0].value
    monkeypatch.setenv("PTBXL_DIR", str(demo_data))
    page.session_state["tab"] = "Read"
    choose(page, "source", "PTB-XL")
    assert "No filter for what the network says" in shown(page)
    choose(page, "source", "Your file")
    assert not page.error and "Choose a file under “One recording” in the sidebar" in page.info[0].value


def test_an_unusable_recording_gets_no_diagnosis(page, monkeypatch):
    silent = replace(example_ecg(ARTIFACTS, "normal"), key="silent")
    signal = np.zeros_like(silent.recording.signal)
    silent = replace(silent, recording=replace(silent.recording, signal=signal))
    monkeypatch.setattr("ui.sidebar.example_ecg", lambda *arguments: silent)
    page.run()
    text = shown(page)
    assert "<h2>No diagnosis: recording unusable</h2>" in text and 'class="bar-row' not in text
    assert 'class="statements"' not in text
    assert not page.exception and not page.error
    assert "shaded" not in [group.key for group in page.get("button_group")]


def test_app_py_run_as_a_script_says_how_to_start_the_page():
    command = [sys.executable, "app.py", "--help"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "streamlit run app.py" in done.stdout and not done.stderr
    done = subprocess.run(command[:2], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 2 and "streamlit run app.py" in done.stderr


def test_the_page_listens_on_this_machine_only():
    settings = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["server"]["address"] == "localhost"


def test_an_unexpected_error_is_no_stack_trace(page, monkeypatch):
    monkeypatch.setattr("ui.html.prediction_html", lambda diagnosis: 1 / 0)
    page.run()
    assert not page.exception
    assert "Something went wrong" in page.error[0].value


def test_the_page_goes_on_when_a_module_was_edited(page, monkeypatch):
    choose(page.run(), "shaded", "MI")
    for name in [name for name in sys.modules if name.split(".")[0] in ("ui", "inference", "ecg", "ptbxl")]:
        monkeypatch.delitem(sys.modules, name)  # as Streamlit does when a source file changes
    importlib.import_module("ui.cached")
    try:
        choose(page, "example", "normal")
        assert not page.exception and not page.error
        assert "<h2>Sinus rhythm. Normal ECG.</h2>" in shown(page) and "evidence for MI shaded" in shown(page)
    finally:
        streamlit.cache_resource.clear()


# -- Where the ECGs come from -----------------------------------------------------------------------------------------


def test_an_upload_is_known_by_its_content_and_settings():
    rows = "\n".join([",".join(LEADS)] + [",".join(["0.1"] * 12)] * 600)
    other = rows.replace("0.1", "0.2")
    uploads = ((rows, 100), (rows, 100), (other, 100), (rows, 200))
    keys = [uploaded_ecg({"ecg.csv": content.encode()}, rate, "mV").key for content, rate in uploads]
    assert keys[0] == keys[1] and len(set(keys)) == 3
    with pytest.raises(RecordingError):
        uploaded_ecg({"ecg.csv": b"no ECG"}, 100, "mV")


@pytest.mark.parametrize(
    ("names", "title"), [(("a.hea", "a.dat"), "a"), (("a.csv",), "a.csv"), (("a.hea", "b.dat"), "a.hea, b.dat")]
)
def test_an_upload_is_called_by_its_record_or_its_files(monkeypatch, names, title):
    monkeypatch.setattr("ui.sources.read_uploaded", lambda files, rate, units: None)
    assert uploaded_ecg(dict.fromkeys(names, b""), None, None).title == title


def test_ecgs_are_drawn_from_their_finest_file_and_diagnosed_from_the_one_of_evaluation(own_data):
    fold = open_fold(own_data, ARTIFACTS, None)
    ecg_id = int(fold.ecg_ids[0])
    ecg = ptbxl_ecg(fold, ecg_id)
    assert (ecg.drawn.sampling_rate, ecg.recording.sampling_rate) == (500, 100)
    assert ecg.patient and ecg.recorded == f"recorded {fold.index.table.at[ecg_id, 'recording_date'][:10]}"
    signal_file = record_path(fold.index, ecg_id, 500).with_suffix(".dat")
    signal_file.write_bytes(signal_file.read_bytes()[:-100])
    ecg = ptbxl_ecg(fold, ecg_id)
    assert ecg.drawn is ecg.recording and "the 500-Hz file is damaged" in ecg.notice
    record_path(fold.index, ecg_id, 500).with_suffix(".hea").unlink()
    ecg = ptbxl_ecg(fold, ecg_id)
    assert ecg.drawn is ecg.recording and ecg.notice == fold.notice


def test_the_generated_set_stands_in_for_ptb_xl_and_filters_narrow_its_ecgs_by_label(demo_data, tmp_path, monkeypatch):
    monkeypatch.setattr("ui.sources.DEMONSTRATION_DATA", tmp_path)
    assert open_fold(tmp_path, ARTIFACTS, None) is None
    monkeypatch.setattr("ui.sources.DEMONSTRATION_DATA", demo_data)
    fold = open_fold(tmp_path, ARTIFACTS, None)
    assert fold.name == "Generated set" and fold.fold == 10 and fold.predictions is None
    assert len(fold.choices[ANY]) == len(fold.ecg_ids)
    for k, name in enumerate(SUPERCLASSES):
        assert fold.choices[f"Labelled {name}"].tolist() == fold.ecg_ids[fold.labels[:, k]].tolist()
    ecg = ptbxl_ecg(fold, int(fold.ecg_ids[0]))
    assert ecg.label == tuple(np.array(SUPERCLASSES)[fold.labels[0]])


def test_stored_disagreement_and_uncertainty_are_what_the_page_says_of_each_ecg(demo_data, tmp_path, monkeypatch):
    monkeypatch.setattr("ptbxl.index.Index.is_synthetic", False)
    diagnoser = Diagnoser.load(ARTIFACTS)
    fold = open_fold(demo_data, tmp_path, diagnoser.files)
    assert fold.predictions is None
    diagnoses = [diagnoser.diagnose(ptbxl_ecg(fold, int(ecg_id)).recording) for ecg_id in fold.ecg_ids]
    order = np.random.default_rng(1).permutation(len(diagnoses))
    path = tmp_path / "predictions" / "verdicts_test.npz"
    path.parent.mkdir()

    def choices(rows: np.ndarray, files: dict[str, str]) -> dict[str, list[int]]:
        chosen = [diagnoses[row] for row in rows]
        np.savez(path, **product_verdicts(chosen, fold.ecg_ids[rows], files))
        return {name: ids.tolist() for name, ids in open_fold(demo_data, tmp_path, diagnoser.files).choices.items()}

    found = choices(order, diagnoser.files)
    names = [set(diagnosis.predicted_classes) for diagnosis in diagnoses]
    labels = [set(np.array(SUPERCLASSES)[label]) for label in fold.labels]
    disagree = [a != b for a, b in zip(names, labels, strict=True)]
    assert found[DISAGREE] == fold.ecg_ids[disagree].tolist()
    assert found[UNCERTAIN] == fold.ecg_ids[[diagnosis.uncertain for diagnosis in diagnoses]].tolist()
    assert DISAGREE not in choices(order[1:], diagnoser.files)
    assert UNCERTAIN not in choices(order, diagnoser.files | {"multilabel_thresholds.json": "of other thresholds"})


# -- Metrics ----------------------------------------------------------------------------------------------------------


def test_test_results_are_shown_for_the_checkpoint_in_use_only(tmp_path):
    assert read_metrics(tmp_path, "multilabel") == read_comparisons(tmp_path) == []
    (tmp_path / "multilabel_metrics_val.json").write_text('{"fold": 9, "split": "val"}')
    (tmp_path / "multilabel_thresholds.json").write_text('{"checkpoint_sha256": "of release 1"}')
    for release in (1, 2):
        checkpoint = {"checkpoint_sha256": f"of release {release}"}
        facts = {"fold": 10, "split": "test", "release": release, "source": "external"}
        directory = tmp_path / "test_results" / f"release{release}"
        directory.mkdir(parents=True)
        (directory / "multilabel_metrics_test.json").write_text(json.dumps(facts | checkpoint))
        (directory / "comparison_test.json").write_text(json.dumps(facts | {"networks": [checkpoint]}))
    titles = [split_title(content) for content in read_metrics(tmp_path, "multilabel")]
    assert titles == ["Test set (fold 10), release 1", "Validation set (fold 9)"]
    assert [content["release"] for content in read_comparisons(tmp_path)] == [1]
    for release in (2, 1):
        compared = facts | {"split": "val", "networks": [{"checkpoint_sha256": f"of release {release}"}]}
        (tmp_path / "comparison_val.json").write_text(json.dumps(compared))
        assert len(read_comparisons(tmp_path)) == (2 if release == 1 else 1)


def test_a_table_shows_every_class_with_its_interval():
    content = json.loads((ARTIFACTS / "multilabel_metrics_val.json").read_text())
    table = metrics_table(content)
    assert list(table.index) == [*SUPERCLASSES, "macro average"]
    value, (low, high) = content["MI"]["auroc"]["value"], content["MI"]["auroc"]["ci95"]
    assert table.loc["MI", "AUROC"] == f"{value:.3f} ({low:.3f}–{high:.3f})"
    binary = json.loads((ARTIFACTS / "mi_vs_norm_metrics_val.json").read_text())
    assert list(metrics_table(binary).index) == ["MI against normal"]
