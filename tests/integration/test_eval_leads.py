import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from config import LEADS, MULTILABEL_RECIPE, PROJECT, TINY
from files import sha256
from models import create_model
from models.checkpoint import load_checkpoint
from tools import eval_leads
from tools.eval_leads import LEAD_SETS, FewerLeads
from training.cli import train_command


def test_a_missing_lead_tells_nothing():
    network = FewerLeads(create_model("hmt_ecgnet"), ("I", "II", "V2")).eval()
    x = torch.randn(2, 12, 250)
    other = x.clone()
    other[:, LEADS.index("V6")] = 9.0
    with torch.no_grad():
        torch.testing.assert_close(network(x), network(other))
        other[:, LEADS.index("V2")] = 9.0
        assert not torch.allclose(network(x), network(other))


def test_two_limb_leads_are_evaluated_with_all_six_they_determine():
    assert set(LEAD_SETS["I, II"]) == set(LEADS[:6]) and LEAD_SETS["twelve leads"] == LEADS


@pytest.mark.parametrize("how", [["tools/eval_leads.py"], ["-m", "tools.eval_leads"]], ids=["as a file", "as a module"])
def test_it_runs_from_the_repository_root(how):
    ran = subprocess.run([sys.executable, *how, "--help"], cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0 and "--split" in ran.stdout, ran.stderr


def test_lead_sets_are_written_with_what_they_were_measured_on(trained, demo_data):
    out, _ = trained
    assert eval_leads.main(["--data", str(demo_data), "--out", str(out)]) == 0
    content = json.loads((out / "lead_sets_val.json").read_text())
    metrics = json.loads((out / "multilabel_metrics_val.json").read_text())
    assert content["checkpoint_sha256"] == sha256(out / "multilabel_best.pth")
    assert content["data_sha256"] == metrics["data_sha256"] and content["synthetic"]
    assert list(content["lead_sets"]) == list(LEAD_SETS)
    for metric in ("auroc", "auprc"):
        twelve = content["lead_sets"]["twelve leads"][metric]
        np.testing.assert_allclose(twelve["value"], metrics["macro"][metric]["value"], atol=1e-4)
        assert twelve["ci95"][0] <= twelve["value"] <= twelve["ci95"][1]


def test_lead_sets_of_a_missing_checkpoint_end_in_a_sentence(demo_data, tmp_path, capsys):
    assert eval_leads.main(["--data", str(demo_data), "--out", str(tmp_path)]) == 1
    assert "multilabel_best.pth" in capsys.readouterr().err


def test_the_tiny_sibling_is_trained_by_the_same_command(demo_data, tmp_path):
    arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--model", TINY, "--epochs", "1", "--quiet"]
    assert train_command({"multilabel": MULTILABEL_RECIPE}, "", [*arguments, "--threads", "1"]) == 0
    checkpoint = load_checkpoint(tmp_path / "multilabel_tiny.pth")
    assert checkpoint.model == TINY and checkpoint.training["auxiliary_weight"] == MULTILABEL_RECIPE.auxiliary_weight
    assert all(w.dtype != torch.float16 for w in checkpoint.weights.values())
