"""The tools that measure and write documents, on generated data."""

import json
from dataclasses import replace

import numpy as np
import torch

from config import DEFAULT_OUT
from models import create_model
from models.checkpoint import load_checkpoint, save_checkpoint
from tools import measure_explanations, measure_quality
from tools.explanations import curves, elevations

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
