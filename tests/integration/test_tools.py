"""The tools that measure and write documents, on generated data."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import eval_multilabel
import threshold_search
from config import LEADS, MULTILABEL_RECIPE, PROJECT
from dataset import PTBXLDataset
from ecg.lead_sets import CANONICAL_SETS
from evaluation.metrics import macro_auroc_and_auprc
from evaluation.predictions import predict_split
from files import sha256
from models.checkpoint import save_checkpoint
from ptbxl.index import read_index
from tests.support.networks import ALL, NARROW, NARROW_ANY_LEADS, checkpoint_of, narrow_network
from tools import (
    eval_leads,
    measure_explanations,
    measure_lost_leads,
    measure_quality,
    measure_synthetic,
    measure_verdict,
)
from tools.explanations import curves, elevations
from tools.measure_lost_leads import Case
from tools.update_docs import filled_in, update_documents, update_drawing


def test_explanations_are_measured_and_written(demo_data, tmp_path, monkeypatch):
    path = tmp_path / "narrow.pth"
    save_checkpoint(path, checkpoint_of(narrow_network(ALL, branch=True)))
    monkeypatch.setattr(measure_explanations, "RANDOMISED_RECORDS", 1)
    monkeypatch.setattr(measure_explanations, "TIMED_RECORDS", 1)
    monkeypatch.setattr(elevations, "CASES", 1)
    monkeypatch.setattr(elevations, "ELEVATIONS_MV", (0.0, 0.8))
    monkeypatch.setattr(curves, "FRACTIONS", np.linspace(0, 1, 4))
    arguments = ["--data", str(demo_data), "--checkpoint", str(path), "--out", str(tmp_path)]
    assert measure_explanations.main([*arguments, "--records", "2"]) == 0
    content = json.loads((tmp_path / "explanations.json").read_text())
    assert content["synthetic"] and content["curves"]["recordings"] == 2
    for order in curves.ORDERS:
        for area in content["curves"]["area"][order].values():
            assert 0 <= area["ci95"][0] <= area["value"] <= area["ci95"][1] <= 1
    text = (tmp_path / "explanations.md").read_text()
    assert "SYNTHETIC" in text and content["checkpoint_sha256"][:12] in text
    for name in ("curves", "randomisation", "known_answer"):
        assert f"(figures/explain_{name}.png)" in text
        assert (tmp_path / "figures" / f"explain_{name}.png").stat().st_size > 10_000


def test_the_generated_data_set_is_compared_both_ways(demo_data, tmp_path, monkeypatch):
    def copied(directory, patients, seed):
        shutil.copytree(demo_data, directory)
        return len(read_index(directory).table)

    checkpoint, page = tmp_path / "narrow.pth", tmp_path / "synthetic.md"
    save_checkpoint(checkpoint, checkpoint_of(narrow_network(ALL, branch=True)))
    monkeypatch.setattr(measure_synthetic, "write_dataset", copied)
    monkeypatch.setattr(measure_synthetic, "MULTILABEL_RECIPE", replace(MULTILABEL_RECIPE, epochs=1))
    arguments = ["--data", str(demo_data), "--work", str(tmp_path), "--checkpoint", str(checkpoint), "--out", str(page)]
    assert measure_synthetic.main(arguments) == 0
    rows = [line.split(" | ") for line in page.read_text().splitlines() if " folds 1–8 | " in line]
    assert len(rows) == 4 and sha256(checkpoint)[:12] in page.read_text()
    split = PTBXLDataset(demo_data, "val", input_scale=0.235)
    probabilities = predict_split(narrow_network(ALL, branch=True), split, np.flatnonzero(split.labelled))
    auroc = macro_auroc_and_auprc(probabilities[:, :5], split.targets[split.labelled])[0]
    assert rows[0][-1] == f"{auroc:.3f} |"


@pytest.mark.parametrize("split", ["val", "test"])
def test_lead_sets_are_written_with_what_they_were_measured_on(trained, demo_data, tmp_path, split):
    """The network of the demo takes the any-leads one's place, so both have the same figures."""
    for name in ("multilabel_best.pth", "anylead_best.pth"):
        shutil.copy(trained[0] / "multilabel_best.pth", tmp_path / name)
    shared = ["--data", str(demo_data), "--out", str(tmp_path)]
    assert threshold_search.main([*shared, "--task", "anylead"]) == 0
    assert threshold_search.main([*shared, "--task", "multilabel"]) == 0
    assert eval_multilabel.main([*shared, "--split", split]) == 0
    assert eval_leads.main([*shared, "--split", split]) == 0
    content = json.loads((tmp_path / f"lead_sets_{split}.json").read_text())
    metrics = json.loads((tmp_path / f"multilabel_metrics_{split}.json").read_text())
    tasks = json.loads((tmp_path / f"statements_metrics_{split}.json").read_text())["tasks"]
    assert content["checkpoint_sha256"] == sha256(tmp_path / "anylead_best.pth")
    assert content["data_sha256"] == metrics["data_sha256"] and content["synthetic"]
    assert list(content["lead_sets"]) == list(content["zeroed"]) == list(CANONICAL_SETS)
    assert content["lead_sets"]["limb"]["leads"] == list(LEADS[:6])  # the six that two limb leads determine
    for of_network in (content["lead_sets"], content["zeroed"]):
        for name in ("12", "8"):
            for metric in ("auroc", "auprc"):
                np.testing.assert_allclose(
                    of_network[name][metric]["value"], metrics["macro"][metric]["value"], atol=1e-4
                )
            assert of_network[name]["tasks"] == tasks
            afib = of_network[name]["afib_auroc"]
            assert afib["value"] is None or afib["ci95"][0] <= afib["value"] <= afib["ci95"][1]
    np.testing.assert_allclose(content["lead_sets"]["12"]["f1"]["value"], metrics["macro"]["f1"]["value"], atol=1e-4)


def test_lost_leads_are_measured_both_ways(demo_data, tmp_path):
    for name, arguments in (("multilabel_best.pth", NARROW), ("anylead_best.pth", NARROW_ANY_LEADS)):
        network = narrow_network(ALL, branch=True, arguments=arguments)
        save_checkpoint(tmp_path / name, checkpoint_of(network, model_arguments=arguments))
    assert measure_lost_leads.main(["--data", str(demo_data), "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "lost_leads.json").read_text())
    assert content["multilabel_sha256"] == sha256(tmp_path / "multilabel_best.pth") and content["synthetic"]
    assert list(content["cases"]) == list(measure_lost_leads.CASES)
    for row in content["cases"].values():
        difference = row["treated_as_missing"]["value"] - row["left_to_twelve_leads"]["value"]
        assert row["difference"]["value"] == pytest.approx(difference, abs=2e-5)
        assert row["left_to_twelve_leads"] != content["nothing_lost"]


def test_leads_are_lost_as_a_recorder_loses_them():
    cases = measure_lost_leads.CASES
    signals = np.random.default_rng(0).normal(size=(4, 12, 1000)).astype(np.float32)
    three, half, limb = cases["3 chest leads flat"], Case(chest=1, since=0.5), Case(limb=True)
    lost = measure_lost_leads.lost_leads(three, 4)
    assert (lost.sum(axis=1) == 3).all() and not lost[:, :6].any()
    flat = measure_lost_leads.with_lost_leads(signals, lost, three)
    assert not flat[lost].any() and np.array_equal(flat[~lost], signals[~lost])
    lost = measure_lost_leads.lost_leads(half, 4)
    silent = measure_lost_leads.with_lost_leads(signals, lost, half)
    assert not silent[lost][:, 500:].any() and np.array_equal(silent[lost][:, :500], signals[lost][:, :500])
    lost = measure_lost_leads.lost_leads(limb, 4)
    computed = measure_lost_leads.with_lost_leads(signals, lost, limb)
    assert not computed[:, 0].any() and np.array_equal(computed[:, 1], signals[:, 1])
    assert np.array_equal(computed[:, 2], signals[:, 1]) and np.array_equal(computed[:, 6:], signals[:, 6:])
    assert lost[0].tolist() == [lead in ("I", "III", "aVR", "aVL", "aVF") for lead in LEADS]


def test_metrics_hold_what_the_rule_of_the_verdict_makes_of_the_thresholded_classes(trained):
    metrics = json.loads((trained[0] / "multilabel_metrics_val.json").read_text())
    with np.load(trained[0] / "predictions" / f"{metrics['model']}_multilabel_val.npz") as stored:
        labelled, positive, targets = stored["labelled"], stored["positive"].copy(), stored["targets"] > 0
        unusable = stored["quality"] == "unusable"
    positive[positive[:, 1:].any(axis=1), 0] = False
    positive[unusable] = False
    exact = (positive == targets)[labelled].all(axis=1).mean()
    assert metrics["verdict"]["exact_match"]["value"] == pytest.approx(exact, abs=1e-4)
    assert set(metrics["verdict"]) == {"f1", "sensitivity", "specificity", "exact_match"}


def test_lead_sets_run_as_a_file_too():
    command = [sys.executable, "tools/eval_leads.py", "--help"]
    assert "--split" in subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_rule_of_the_verdict_leaves_no_contradiction(own_served, demo_data, monkeypatch, split):
    out, arguments = own_served, ["--data", str(demo_data), "--out", str(own_served), "--split", split]
    assert measure_verdict.main(arguments) == 1  # generated ECGs show nothing
    monkeypatch.setattr("ptbxl.index.Index.is_ptbxl", True)
    assert measure_verdict.main(arguments) == 0
    content = json.loads((out / f"verdict_{split}.json").read_text())
    assert set(content["contradictions"]["after"].values()) == {0}
    assert all(sum(reasons.values()) == content["n"] for reasons in content["withheld"].values())
    with np.load(out / "predictions" / f"verdicts_{split}.npz") as stored:
        assert stored["classes"].shape == (content["n"], 5) and len(stored["uncertain"]) == content["n"]
        assert json.loads(str(stored["files"])) == content["files"]
        assert not (stored["classes"][:, 0] & stored["classes"][:, 1:].any(axis=1)).any()


@pytest.mark.parametrize(
    ("tool", "missing"),
    [
        (measure_explanations, "no checkpoint at"),
        (measure_quality, "ptbxl_database.csv"),
        (measure_verdict, "ptbxl_database.csv"),
        (eval_leads, "checkpoint"),
        (measure_lost_leads, "checkpoint"),
    ],
)
def test_what_is_missing_is_one_sentence(tool, missing, tmp_path, capsys):
    assert tool.main(["--data", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert missing in capsys.readouterr().err


DOCUMENT = "Before\n<!-- table:speed -->\nold\n<!-- end -->\nafter"


def test_marked_tables_are_filled_in_and_the_rest_is_left_alone(tmp_path):
    problems = []
    text = filled_in(DOCUMENT, {"speed": lambda: "| new |", "other": lambda: 1 / 0}, problems)
    assert text == DOCUMENT.replace("old", "| new |") and not problems
    path = tmp_path / "README.md"
    path.write_text(DOCUMENT)
    assert update_documents({path: text}, check=True) == ["README.md"] and path.read_text() == DOCUMENT
    assert update_documents({path: text}, check=False) == ["README.md"] and path.read_text() == text
    assert update_documents({path: text}, check=True) == []


@pytest.mark.parametrize(("tables", "reason"), [({}, "'speed'"), ({"speed": lambda: {}["p50"]}, "'p50'")])
def test_a_table_that_cannot_be_made_is_named_and_left_alone(tables, reason):
    problems = []
    assert filled_in(DOCUMENT, tables, problems) == DOCUMENT
    assert len(problems) == 1 and problems[0].startswith("table speed") and reason in problems[0]


def test_a_stale_drawing_is_noticed_and_renewed(tmp_path):
    path = tmp_path / "architecture.png"
    assert update_drawing(path, check=True) == ["architecture.png"] and not path.exists()
    assert update_drawing(path, check=False) == ["architecture.png"]
    assert update_drawing(path, check=True) == []
