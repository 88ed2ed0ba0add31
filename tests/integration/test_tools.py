"""The tools that measure and write documents, on generated data."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from config import DEFAULT_OUT
from models import create_model
from models.checkpoint import load_checkpoint, save_checkpoint
from tools import measure_explanations, measure_quality
from tools.explanations import curves, elevations
from tools.update_docs import filled_in, update_documents, update_drawing

NARROW = {"lead_channels": (2, 4), "group_channels": 8, "heart_channels": 16, "heart_kernels": (3,)}


def narrow_checkpoint(path):
    """A checkpoint with a small network of random weights, whose probabilities are far from 0.5."""
    torch.manual_seed(0)
    network = create_model("hmt_ecgnet", **NARROW)
    with torch.no_grad():
        network.head.weight *= 300
    changes = {"model_arguments": NARROW, "weights": network.state_dict(), "synthetic": True}
    save_checkpoint(path, replace(load_checkpoint(DEFAULT_OUT / "multilabel_best.pth"), **changes))
    return path


def test_explanations_are_measured_and_written(demo_data, tmp_path, monkeypatch):
    checkpoint = narrow_checkpoint(tmp_path / "narrow.pth")
    monkeypatch.setattr(measure_explanations, "RANDOMISED_RECORDS", 1)
    monkeypatch.setattr(measure_explanations, "TIMED_RECORDS", 1)
    monkeypatch.setattr(elevations, "CASES", 1)
    monkeypatch.setattr(elevations, "ELEVATIONS_MV", (0.0, 0.8))
    monkeypatch.setattr(curves, "FRACTIONS", np.linspace(0, 1, 4))
    arguments = ["--data", str(demo_data), "--checkpoint", str(checkpoint), "--out", str(tmp_path)]
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


def test_what_is_missing_is_one_sentence(tmp_path, capsys):
    assert measure_explanations.main(["--checkpoint", str(tmp_path / "none.pth"), "--out", str(tmp_path)]) == 1
    assert "no checkpoint at" in capsys.readouterr().err
    assert measure_quality.main(["--data", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "ptbxl_database.csv" in capsys.readouterr().err


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
