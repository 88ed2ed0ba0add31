"""Networks against each other, and where they err."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import eval_multilabel
from config import DEFAULT_OUT, MULTILABEL_RECIPE, SUPERCLASSES, Outputs
from dataset import PTBXLDataset
from ecg.quality import SEVERITIES
from evaluation.comparison import multiply_accumulates
from evaluation.statements import STATEMENT_TASKS
from models import count_parameters, create_model
from models.checkpoint import load_checkpoint
from models.recording_network import make_network
from tools import analyse_errors
from training.cli import train_command
from training.objective import outputs_of

QUICK = ["--epochs", "1", "--quiet", "--threads", "1"]
NAMES = ["hmt_ecgnet", "plain_cnn", "hmt_ecgnet_seed1", "hmt_ecgnet_seed2", "hmt_ecgnet_seed3"]


@pytest.fixture(scope="module")
def compared(trained, demo_data, tmp_path_factory):
    """--out after three seeds, a baseline, their comparison on both folds and the error analysis."""
    out = tmp_path_factory.mktemp("compared")
    shared = ["--data", str(demo_data), "--out", str(out)]
    recipe = {"multilabel": MULTILABEL_RECIPE}
    assert train_command(recipe, "", [*shared, "--seeds", "4", *QUICK]) == 0
    assert train_command(recipe, "", [*shared, "--model", "plain_cnn", *QUICK]) == 0
    networks = [out / "multilabel_best.pth", out / "plain_cnn_baseline.pth"]
    networks += [out / "runs" / f"multilabel_hmt_ecgnet_seed{seed}" / "best.pth" for seed in (1, 2, 3)]
    for split in ("val", "test"):
        assert eval_multilabel.main([*shared, "--split", split, "--compare", *map(str, networks)]) == 0
    assert analyse_errors.main([*shared, "--figures", "1", "--mistakes", "5"]) == 0
    return out


def test_seeds_run_one_after_the_other_seed_0_ships_and_none_is_trained_again(compared, demo_data):
    for seed in range(4):
        assert load_checkpoint(compared / "runs" / f"multilabel_hmt_ecgnet_seed{seed}" / "best.pth").seed == seed
    assert load_checkpoint(compared / "multilabel_best.pth").seed == 0
    runs = sorted((compared / "runs").glob("*seed*/log.csv"))
    before = [path.read_text() for path in runs]
    arguments = ["--data", str(demo_data), "--out", str(compared), "--seeds", "4", *QUICK]
    assert train_command({"multilabel": MULTILABEL_RECIPE}, "", arguments) == 0
    assert [path.read_text() for path in runs] == before


def test_a_baseline_ships_in_half_precision_and_answers_the_same(compared, demo_data):
    half = load_checkpoint(compared / "plain_cnn_baseline.pth")
    full = load_checkpoint(compared / "runs" / "multilabel_plain_cnn_seed0" / "best.pth")
    assert all(w.dtype.itemsize == 2 for w in half.weights.values() if w.is_floating_point())
    split = PTBXLDataset(demo_data, "val", "multilabel", full.input_scale)
    signals = split.signals(range(3))
    logits = [checkpoint.network()(torch.from_numpy(signals)).detach().numpy() for checkpoint in (half, full)]
    np.testing.assert_allclose(*logits, atol=0.02)


def test_the_comparison_holds_what_was_promised(compared):
    for split, fold in (("val", 9), ("test", 10)):
        content = json.loads((compared / f"comparison_{split}.json").read_text())
        assert content["fold"] == fold and content["synthetic"] is True
        assert [row["name"] for row in content["networks"]] == NAMES
        for row in content["networks"]:
            trunk = create_model(row["model"], classes=len(outputs_of(MULTILABEL_RECIPE)))
            assert count_parameters(trunk) < row["parameters"] < count_parameters(trunk) + 10_000
            assert set(row["tasks"]) == set(STATEMENT_TASKS)
            assert row["cpu_ms"] > 0 and row["multiply_accumulates"] > 1e6
            with np.load(compared / "predictions" / f"{row['name']}_multilabel_{split}.npz") as arrays:
                assert set(arrays["quality"]) <= set(SEVERITIES)
        for row in content["networks"][1:]:
            difference = row["difference"]["auroc"]
            expected = row["auroc"]["value"] - content["networks"][0]["auroc"]["value"]
            assert difference["value"] == pytest.approx(expected, abs=2e-5)
            assert difference["ci95"][0] <= difference["value"] <= difference["ci95"][1]
            assert 0 < difference["p"] <= 1


def test_multiply_accumulates_are_those_of_the_layers():
    """plain_cnn keeps the time resolution, so its convolutions cost weights x samples."""

    class Network:
        def network(self):
            return make_network("plain_cnn", {}, Outputs(classes=SUPERCLASSES), 2.5, 2.5, branch=False).eval()

    kernel = 7
    widths = [12, 32, 64, 128, 256]
    convolutions = sum(a * b * kernel for a, b in zip(widths, widths[1:], strict=False)) * 250
    average = 5  # of the windows, a matrix product
    assert multiply_accumulates(Network()) == 4 * (convolutions + 256 * 128 + 128 * 5 + average)


def test_the_report_says_what_it_rests_on(compared):
    text = (compared / "analysis" / "errors.md").read_text()
    content = json.loads((compared / "analysis" / "errors.json").read_text())
    assert "SYNTHETIC DATA" in text and content["synthetic"] is True
    assert len(content["conclusions"]) == 4
    for item in content["conclusions"]:
        assert item["claim"] in text and item["verdict"].capitalize() in text
    assert set(content["checkpoints"]) == set(NAMES)
    for picture in ("groups.png", "agreement.png"):
        assert picture in text and (compared / "analysis" / picture).read_bytes()[:4] == b"\x89PNG"
    assert len(list((compared / "analysis" / "mistakes").glob("ecg_*.png"))) == 1


def test_patients_report_texts_stay_out_of_what_is_committed(compared):
    reports = pd.read_csv(compared / "analysis" / "private" / "reports.csv")
    assert len(reports) == 5
    for path in (compared / "analysis").glob("errors.*"):
        text = path.read_text()
        assert not any(report in text for report in reports["report"].dropna() if len(report) > 12)
    ignored = (DEFAULT_OUT.parent / ".gitignore").read_text().split()
    assert "/artifacts/analysis/private/" in ignored


def test_predictions_of_other_data_and_none_at_all_are_refused(compared, own_data, tmp_path, capsys):
    table = pd.read_csv(own_data / "ptbxl_database.csv")
    first = table[table["strat_fold"] == 9].index[0]
    table.drop(index=first).to_csv(own_data / "ptbxl_database.csv", index=False)
    assert analyse_errors.main(["--data", str(own_data), "--out", str(compared), "--figures", "0"]) == 1
    assert "not of this data set" in capsys.readouterr().err
    assert analyse_errors.main(["--data", str(own_data), "--out", str(tmp_path)]) == 1
    assert "eval_multilabel.py" in capsys.readouterr().err
