"""Networks against each other, and where they err."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import eval_multilabel
from config import DEFAULT_OUT, MULTILABEL_RECIPE, SUPERCLASSES
from dataset import PTBXLDataset
from evaluation.bootstrap import paired_difference
from evaluation.comparison import ComparedNetwork, compare_networks, multiply_accumulates
from evaluation.error_analysis import (
    HEDGES,
    NetworkPredictions,
    clear_against_doubtful,
    confident_mistakes,
    group_metrics,
    likelihood_name,
    missed_by_likelihood,
    seed_spread,
    shared_errors,
    squared_error_shares,
    stability,
)
from models import count_parameters, create_model
from models.checkpoint import load_checkpoint
from tools import analyse_errors
from training.cli import train_command

QUICK = ["--epochs", "1", "--quiet", "--threads", "1"]


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


def test_seeds_run_one_after_the_other_and_seed_0_ships(compared):
    for seed in range(4):
        assert load_checkpoint(compared / "runs" / f"multilabel_hmt_ecgnet_seed{seed}" / "best.pth").seed == seed
    assert load_checkpoint(compared / "multilabel_best.pth").seed == 0


def test_finished_seeds_are_not_trained_again(compared, demo_data):
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
        names = [row["name"] for row in content["networks"]]
        assert names == ["hmt_ecgnet", "plain_cnn", "hmt_ecgnet_seed1", "hmt_ecgnet_seed2", "hmt_ecgnet_seed3"]
        for row in content["networks"]:
            assert row["parameters"] == count_parameters(create_model(row["model"]))
            assert row["cpu_ms"] > 0 and row["multiply_accumulates"] > 1e6
            assert (compared / "predictions" / f"{row['name']}_multilabel_{split}.npz").is_file()
        for row in content["networks"][1:]:
            difference = row["difference"]["auroc"]
            expected = row["auroc"]["value"] - content["networks"][0]["auroc"]["value"]
            assert difference["value"] == pytest.approx(expected, abs=2e-5)
            assert difference["ci95"][0] <= difference["value"] <= difference["ci95"][1]
            assert 0 < difference["p"] <= 1


def test_multiply_accumulates_are_those_of_the_layers():
    """plain_cnn keeps the time resolution, so its convolutions cost weights x samples."""

    class Network:
        window_s, stride_s = 2.5, 2.5

        def network(self):
            return create_model("plain_cnn").eval()

    kernel = 7
    widths = [12, 32, 64, 128, 256]
    convolutions = sum(a * b * kernel for a, b in zip(widths, widths[1:], strict=False)) * 250
    assert multiply_accumulates(Network()) == 4 * (convolutions + 256 * 128 + 128 * 5)


def made_up(name="hmt_ecgnet", n=400, noise=1.0, seed=0):
    """Predictions whose quality is known: targets and noisy scores of them."""
    rng = np.random.default_rng(7)
    targets = (rng.random((n, 5)) < 0.35).astype(np.uint8)
    logits = 3 * targets - 1.5 + noise * np.random.default_rng(seed).normal(size=targets.shape)
    probabilities = 1 / (1 + np.exp(-logits))
    ids = np.arange(n)
    return NetworkPredictions(name, "", ids, ids // 2, targets, probabilities, probabilities, probabilities >= 0.5)


def recordings_of(predictions):
    class Recordings:
        targets, patient_ids, classes = predictions.targets.astype(float), predictions.patient_ids, SUPERCLASSES

    return Recordings()


def test_a_better_network_is_told_from_a_worse_one_and_from_itself():
    good, bad = made_up(noise=1.0), made_up(noise=3.0, seed=1)
    answers = [
        ComparedNetwork(name, one.probabilities, one.calibrated, one.positive, np.ones(400))
        for name, one in (("good", good), ("bad", bad), ("same", good))
    ]
    _, worse, same = compare_networks(answers, recordings_of(good), np.ones(400, bool))
    assert worse["difference"]["auroc"]["ci95"][1] < 0 and worse["difference"]["auroc"]["p"] < 0.01
    assert same["difference"]["auroc"] == {"value": 0.0, "ci95": [0.0, 0.0], "p": 1.0}


def test_the_p_value_is_two_sided_and_never_zero():
    figures = np.concatenate([[1.0], np.linspace(0.5, 1.5, 999)])
    assert paired_difference(figures, np.zeros(1000))["p"] == pytest.approx(2 / 1000)
    assert paired_difference(np.zeros(1000), figures)["p"] == pytest.approx(2 / 1000)
    centred = np.concatenate([[0.0], np.linspace(-1, 1, 999)])
    assert paired_difference(centred, np.zeros(1000))["p"] == 1.0


# --------------------------------------------------------------------------- errors


def test_the_report_says_what_it_rests_on(compared):
    text = (compared / "analysis" / "errors.md").read_text()
    content = json.loads((compared / "analysis" / "errors.json").read_text())
    assert "SYNTHETIC DATA" in text and content["synthetic"] is True
    assert len(content["conclusions"]) == 4
    for item in content["conclusions"]:
        assert item["claim"] in text and item["verdict"].capitalize() in text
    assert set(content["checkpoints"]) == {
        "hmt_ecgnet",
        "plain_cnn",
        "hmt_ecgnet_seed1",
        "hmt_ecgnet_seed2",
        "hmt_ecgnet_seed3",
    }
    for picture in ("groups.png", "agreement.png"):
        assert picture in text and (compared / "analysis" / picture).read_bytes()[:4] == b"\x89PNG"
    assert len(list((compared / "analysis" / "mistakes").glob("ecg_*.png"))) == 1


def test_patients_report_texts_stay_out_of_what_is_committed(compared, demo_data):
    reports = pd.read_csv(compared / "analysis" / "private" / "reports.csv")
    assert len(reports) == 5
    for path in (compared / "analysis").glob("errors.*"):
        text = path.read_text()
        assert not any(report in text for report in reports["report"].dropna() if len(report) > 12)
    ignored = (DEFAULT_OUT.parent / ".gitignore").read_text().split()
    assert "/artifacts/analysis/private/" in ignored


def test_predictions_without_their_data_set_are_refused(compared, own_data, capsys):
    table = pd.read_csv(own_data / "ptbxl_database.csv")
    first = table[table["strat_fold"] == 9].index[0]
    table.drop(index=first).to_csv(own_data / "ptbxl_database.csv", index=False)
    assert analyse_errors.main(["--data", str(own_data), "--out", str(compared), "--figures", "0"]) == 1
    assert "not of this data set" in capsys.readouterr().err


def test_without_predictions_the_way_to_them_is_named(demo_data, tmp_path, capsys):
    assert analyse_errors.main(["--data", str(demo_data), "--out", str(tmp_path)]) == 1
    assert "eval_multilabel.py" in capsys.readouterr().err


def test_equal_seeds_share_every_error_and_have_no_variance():
    one = made_up(noise=2.0)
    shared = shared_errors([one, one])
    assert shared["share_wrong_in_all"] == 1.0 and list(shared["kappa"].values()) == [1.0]
    assert squared_error_shares([one, one])["variance_share"] == 0.0


def test_independent_errors_are_recognised_as_such():
    """Networks that differ by chance alone: what they share is what chance gives, and variance is large."""
    networks = [made_up(f"hmt_ecgnet_seed{seed}", n=4000, noise=2.0, seed=seed) for seed in range(4)]
    shared = shared_errors(networks[:2])
    assert shared["share_wrong_in_all"] == pytest.approx(shared["share_by_chance"], rel=0.2)
    assert squared_error_shares(networks)["variance_share"] > 0.4
    stable = stability(networks)
    assert stable["pair_against_pair"] < stable["single_against_single"]
    gain = seed_spread(networks)["auroc"]["ensemble_minus_single"]
    assert gain["ci95"][0] > 0


def test_a_group_too_small_to_judge_says_so():
    one = made_up()
    assert group_metrics(one, one.ecg_ids < 49)["too_small"] is True
    facts = group_metrics(one, one.ecg_ids < 200)
    assert facts["n"] == 200 and facts["patients"] == 100 and facts["classes"] == list(SUPERCLASSES)
    wrong = (one.positive != one.targets)[:200].any(1).mean()
    assert facts["error_rate"]["value"] == pytest.approx(wrong, abs=1e-5)


def test_doubt_that_explains_everything_is_found_to():
    one = made_up(noise=0.0)
    positive = one.positive.copy()
    positive[:100] = ~positive[:100]
    blamed = NetworkPredictions(
        "x", "", one.ecg_ids, one.patient_ids, one.targets, one.probabilities, one.calibrated, positive
    )
    facts = clear_against_doubtful(blamed, one.ecg_ids >= 100)
    assert facts["error_rate_clear"]["value"] == 0 and facts["error_rate_doubtful"]["value"] == 1
    assert facts["explained_share"]["value"] == 1 and facts["errors_in_clear"] == 0


def test_labels_are_missed_as_counted():
    one = made_up(n=300, noise=2.0)
    superclass_of = np.array([*SUPERCLASSES, "form"], dtype=object)
    statements = np.full((300, 6), np.nan, np.float32)
    statements[:, :5][one.targets > 0] = 100.0
    rows = missed_by_likelihood(one, statements, superclass_of)
    missed = ((one.targets > 0) & ~one.positive).sum() / (one.targets > 0).sum()
    assert rows["100 %"]["n"] == (one.targets > 0).sum()
    assert rows["100 %"]["missed"]["value"] == pytest.approx(missed, abs=1e-5)
    assert rows["under 50 %"]["too_small"]


def test_likelihood_bands():
    assert [likelihood_name(x) for x in (0, 15, 35, 50, 80, 100)] == [
        "unknown",
        "under 50 %",
        "under 50 %",
        "50-80 %",
        "50-80 %",
        "100 %",
    ]


def test_the_most_confident_mistakes_come_first():
    one = made_up(noise=2.0)
    listed = confident_mistakes(one, 10)
    distances = [abs(one.calibrated[row, column] - one.targets[row, column]) for row, column in listed]
    assert distances == sorted(distances, reverse=True)
    assert all(one.wrong[row, column] for row, column in listed)
    assert len({row for row, _ in listed}) == 10


def test_hedging_words_are_found_in_three_languages():
    for words in ("wahrscheinlich alter Infarkt", "may be due to ischaemia", "bör övervägas", "infarkt?"):
        assert HEDGES.search(words)
    assert not HEDGES.search("sinusrhythmus. normales ekg")
