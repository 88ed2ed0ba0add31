"""The page without a browser: what Streamlit is told to show, and where its ECGs and metrics come from."""

import importlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from config import DEFAULT_OUT, LEADS, PROJECT, RESEARCH_ONLY, SUPERCLASSES
from ecg.recording import RecordingError
from inference.diagnoser import Diagnoser
from ui.sources import ANY, DISAGREE, UNCERTAIN, open_fold, ptbxl_ecg, uploaded_ecg
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
    assert "<h2>Myocardial infarction</h2>" in text
    assert 'alt="12-lead ECG, Example: anterior infarction, 3x4, 25 mm/s, 10 mm/mV"' in text
    assert f">{RESEARCH_ONLY}</div>" in text
    choose(page, "shaded", "MI")
    assert "evidence for MI shaded" in shown(page) and "of the evidence" in shown(page)
    assert not page.exception


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
    assert remedy in page.info[0].value


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
        assert "<h2>Normal ECG</h2>" in shown(page) and "evidence for MI shaded" in shown(page)
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
    decisions = diagnoser.decisions["multilabel"]
    fold = open_fold(demo_data, tmp_path, decisions)
    assert fold.predictions is None
    recordings = [ptbxl_ecg(fold, int(ecg_id)).recording for ecg_id in fold.ecg_ids]
    diagnoses = [diagnoser.diagnose(recording) for recording in recordings]
    order = np.random.default_rng(1).permutation(len(recordings))
    arrays = {
        "ecg_id": fold.ecg_ids,
        "probabilities": np.array([diagnoser.probabilities(recording)["multilabel"] for recording in recordings]),
        "quality": np.array([diagnosis.quality.severity for diagnosis in diagnoses]),
    }
    path = tmp_path / "predictions" / "hmt_ecgnet_multilabel_test.npz"
    path.parent.mkdir()

    def stored(**stored_arrays) -> dict[str, list[int]]:
        np.savez(path, **stored_arrays)
        return {name: ids.tolist() for name, ids in open_fold(demo_data, tmp_path, decisions).choices.items()}

    choices = stored(**{name: array[order] for name, array in arrays.items()})
    names = [set(diagnosis.predicted_classes) for diagnosis in diagnoses]
    labels = [set(np.array(SUPERCLASSES)[label]) for label in fold.labels]
    disagree = [a != b for a, b in zip(names, labels, strict=True)]
    assert choices[DISAGREE] == fold.ecg_ids[disagree].tolist()
    assert choices[UNCERTAIN] == fold.ecg_ids[[diagnosis.uncertain for diagnosis in diagnoses]].tolist()
    assert DISAGREE not in stored(**{name: array[1:] for name, array in arrays.items()})
    del arrays["quality"]  # as files of earlier versions
    assert UNCERTAIN not in stored(**arrays)


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


def test_a_table_shows_every_class_with_its_interval():
    content = json.loads((ARTIFACTS / "multilabel_metrics_val.json").read_text())
    table = metrics_table(content)
    assert list(table.index) == [*SUPERCLASSES, "macro average"]
    value, (low, high) = content["MI"]["auroc"]["value"], content["MI"]["auroc"]["ci95"]
    assert table.loc["MI", "AUROC"] == f"{value:.3f} ({low:.3f}–{high:.3f})"
    binary = json.loads((ARTIFACTS / "mi_vs_norm_metrics_val.json").read_text())
    assert list(metrics_table(binary).index) == ["MI against normal"]
