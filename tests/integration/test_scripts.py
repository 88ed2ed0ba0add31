"""The scripts, from the command line to their files, on generated data."""

import json
import re
import runpy
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import eval_multilabel
import threshold_search
from config import PROJECT, SUPERCLASSES
from ecg.preprocessing import model_input
from ecg.stretches import predict_probabilities
from evaluation.metrics import macro_auroc_and_auprc
from files import sha256
from models.checkpoint import load_checkpoint, probabilities_function
from ptbxl.index import read_index
from ptbxl.records import read_recording

SCRIPTS = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts): path
    for path in sorted([*PROJECT.glob("*.py"), *PROJECT.glob("tools/*.py")])
    if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
}
COMMANDS = sorted(SCRIPTS.keys() - {"app"})  # `streamlit run` starts that one
KEYS = {"checkpoint_sha256", "fold", "n", "macro", "macro_all", "date", "configuration", *SUPERCLASSES}


@pytest.mark.parametrize("script", COMMANDS)
def test_every_script_explains_itself_and_fails_on_nonsense(script, monkeypatch, capsys):
    for argument, succeeds in (("--help", True), ("--nonsense", False)):
        monkeypatch.setattr(sys, "argv", [script, argument])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS[script]), run_name="__main__")
        assert (ended.value.code in (None, 0)) is succeeds
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("script", ["train_multilabel", "train_binary"])
def test_every_training_flag_explains_itself(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPTS[script]), run_name="__main__")
    explained = re.findall(r"^  (?:-h, )?(--[a-z-]+)[^\n]*?\s{2,}(\S.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(explained) > 25
    assert not [flag for flag, text in explained if len(text.split("(default")[0].split()) < 3]


def test_imports_have_no_side_effects(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); import " + ", ".join(COMMANDS)
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stdout, list(tmp_path.iterdir())) == (0, "", []), result.stderr


def test_each_command_prints_the_next_which_runs(trained, demo_data):
    out, printed = trained
    for command, script in (("train", "threshold_search.py"), ("thresholds", "eval_multilabel.py")):
        words = shlex.split(printed[command].splitlines()[-1])
        assert words[:2] == ["python", script] and {str(out), str(demo_data)} <= set(words)
        assert subprocess.run([sys.executable, *words[1:]], cwd=PROJECT, capture_output=True).returncode == 0


def test_everything_made_of_synthetic_data_says_so_and_training_learns_from_it(trained):
    out, printed = trained
    assert all("SYNTHETIC DATA" in text for text in printed.values())
    checkpoint = load_checkpoint(out / "multilabel_best.pth")
    assert checkpoint.synthetic and checkpoint.metrics["val_auroc"] > 0.65
    for name in ("multilabel_thresholds.json", "multilabel_metrics_val.json", "multilabel_metrics_test.json"):
        assert json.loads((out / name).read_text())["synthetic"] is True


@pytest.mark.parametrize(("split", "fold"), [("val", 9), ("test", 10)])
def test_metrics_hold_the_contract_and_are_recomputed_from_the_predictions(trained, split, fold):
    out, _ = trained
    content = json.loads((out / f"multilabel_metrics_{split}.json").read_text())
    assert set(content) >= KEYS
    assert content["fold"] == fold
    assert content["checkpoint_sha256"] == sha256(out / "multilabel_best.pth")
    for group in (*SUPERCLASSES, "macro", "macro_all"):
        for key in ("auroc", "auprc", "f1", "f1_at_half", "sensitivity", "specificity", "brier", "ece"):
            metric = content[group][key]
            assert 0 <= metric["value"] <= 1 and len(metric["ci95"]) == 2
    assert {"exact_match", "hamming_loss"} <= set(content["macro"])
    arrays = predictions_of(out, split)
    labelled = arrays["labelled"]
    auroc, auprc = macro_auroc_and_auprc(arrays["probabilities"][labelled], arrays["targets"][labelled])
    exact = (arrays["positive"] == arrays["targets"])[labelled].all(1).mean()
    for key, expected in (("auroc", auroc), ("auprc", auprc), ("exact_match", exact)):
        assert content["macro"][key]["value"] == pytest.approx(expected, abs=1e-5)
    assert content["n"] == labelled.sum() <= content["n_all"] == len(arrays["ecg_id"])


def predictions_of(out, split):
    with np.load(out / "predictions" / f"hmt_ecgnet_multilabel_{split}.npz", allow_pickle=False) as saved:
        return dict(saved)


def test_the_test_split_uses_the_thresholds_of_fold_9(trained):
    out, _ = trained
    thresholds = json.loads((out / "multilabel_thresholds.json").read_text())["thresholds"]
    arrays = predictions_of(out, "test")
    assert np.array_equal(arrays["positive"], arrays["calibrated"] >= [thresholds[name] for name in SUPERCLASSES])


def test_figures_are_pictures(trained):
    pictures = sorted(path.name for path in (trained[0] / "figures").iterdir())
    assert pictures == sorted(
        f"multilabel_{kind}_{split}.png" for kind in ("roc", "pr", "reliability") for split in ("val", "test")
    )


@pytest.fixture
def arguments(trained, demo_data, tmp_path):
    """Of a script that reads the trained checkpoint and writes elsewhere."""
    checkpoint = trained[0] / "multilabel_best.pth"
    return ["--data", str(demo_data), "--out", str(tmp_path), "--checkpoint", str(checkpoint)]


def test_evaluation_changes_nothing_outside_out(trained, tmp_path, arguments):
    out, _ = trained
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert threshold_search.main(arguments) == 0
    assert eval_multilabel.main(arguments) == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert (tmp_path / "multilabel_metrics_val.json").is_file()


@pytest.mark.parametrize("split", ["train", "test"])
def test_thresholds_are_refused_from_any_fold_but_9(arguments, tmp_path, capsys, split):
    assert threshold_search.main([*arguments, "--split", split]) == 1
    assert "only be fitted on fold 9" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_thresholds_of_another_checkpoint_are_refused(trained, arguments, tmp_path, capsys):
    out, _ = trained
    arguments[-1] = str(out / "runs" / "multilabel_hmt_ecgnet_seed0" / "last.pth")
    assert eval_multilabel.main(arguments) == 1
    assert "not a checkpoint" in capsys.readouterr().err
    (tmp_path / "multilabel_thresholds.json").write_text((out / "multilabel_thresholds.json").read_text())
    other = tmp_path / "other.pth"
    other.write_bytes((out / "multilabel_best.pth").read_bytes() + b" ")
    arguments[-1] = str(other)
    assert eval_multilabel.main(arguments) == 1
    assert "another checkpoint" in capsys.readouterr().err


def test_criteria_move_the_thresholds_the_right_way(arguments, tmp_path):
    found = {}
    for criterion, floor in (("f1", "0.95"), ("sensitivity", "0.99"), ("sensitivity", "0.5")):
        assert threshold_search.main([*arguments, "--criterion", criterion, "--sensitivity-floor", floor]) == 0
        content = json.loads((tmp_path / "multilabel_thresholds.json").read_text())
        assert content["criterion"] == criterion and content["fold"] == 9
        found[criterion, floor] = content["thresholds"]["MI"]
    assert found["sensitivity", "0.99"] < found["sensitivity", "0.5"]


def test_a_missing_test_fold_is_one_sentence(arguments, own_data, capsys):
    table = pd.read_csv(own_data / "ptbxl_database.csv")
    table[table["strat_fold"] != 10].to_csv(own_data / "ptbxl_database.csv", index=False)
    arguments[1] = str(own_data)
    assert eval_multilabel.main([*arguments, "--split", "test"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip() and "signal cache" not in line]
    assert len(lines) == 1 and lines[0].startswith("error:") and "no fold 10" in lines[0]


def test_evaluation_and_a_lone_file_give_the_same_probabilities(trained, demo_data):
    """One path for the signal: the split's predictions equal those of each recording read from its own file."""
    out, _ = trained
    checkpoint = load_checkpoint(out / "multilabel_best.pth")
    index, probabilities_of = read_index(demo_data), probabilities_function(checkpoint.network())
    arrays = predictions_of(out, "val")
    for ecg_id, expected in zip(arrays["ecg_id"][:10], arrays["probabilities"][:10], strict=True):
        signal = model_input(read_recording(index, ecg_id), checkpoint.input_scale)
        alone = predict_probabilities(probabilities_of, signal[None])[0, : len(SUPERCLASSES)]
        np.testing.assert_allclose(alone, expected, atol=1e-5)


def test_the_readme_names_only_commands_that_exist():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    scripts = re.findall(r"python (\w+)\.py", text) + re.findall(r"python -m (tools\.\w+)", text)
    assert scripts and set(scripts) <= SCRIPTS.keys()
    targets = set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE))
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert targets and all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
