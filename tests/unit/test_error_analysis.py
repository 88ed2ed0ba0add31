"""Where networks err, and what may be concluded, on predictions whose quality is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from config import SUPERCLASSES
from evaluation.error_analysis import (
    clear_against_doubtful,
    confident_mistakes,
    group_metrics,
    hedges,
    likelihood_names,
    missed_by_likelihood,
    seed_spread,
    shared_errors,
    squared_error_shares,
    stability,
)
from evaluation.error_claims import ensembles_claim, saturation_claim
from evaluation.predictions import StoredPredictions


def simulated(name="hmt_ecgnet", n=400, noise=1.0, seed=0):
    rng = np.random.default_rng(7)
    targets = (rng.random((n, 5)) < 0.35).astype(np.uint8)
    logits = 3 * targets - 1.5 + noise * np.random.default_rng(seed).normal(size=targets.shape)
    probabilities = 1 / (1 + np.exp(-logits))
    return StoredPredictions(
        name=name,
        checkpoint_sha256="",
        ecg_ids=np.arange(n),
        patient_ids=np.arange(n) // 2,
        targets=targets,
        probabilities=probabilities,
        calibrated=probabilities,
        positive=probabilities >= 0.5,
    )


def test_equal_seeds_share_every_error_and_have_no_variance():
    one = simulated(noise=2.0)
    shared = shared_errors([one, one])
    assert shared["share_wrong_in_all"] == 1.0 and list(shared["kappa"].values()) == [1.0]
    assert squared_error_shares([one, one])["variance_share"] == 0.0


def test_independent_errors_are_recognised_as_such(monkeypatch):
    """Networks that differ by chance alone: what they share is what chance gives, and variance is large."""
    monkeypatch.setattr("evaluation.error_analysis.cross_fit", lambda p, *_: (p, p >= 0.5, None))
    networks = [simulated(f"hmt_ecgnet_seed{seed}", n=2000, noise=2.0, seed=seed) for seed in range(4)]
    shared = shared_errors(networks[:2])
    assert shared["share_wrong_in_all"] == pytest.approx(shared["share_by_chance"], rel=0.2)
    assert squared_error_shares(networks)["variance_share"] > 0.4
    stable = stability(networks)
    assert stable["pair_against_pair"] < stable["single_against_single"]
    gain = seed_spread(networks)["auroc"]["ensemble_minus_single"]
    assert gain["ci95"][0] > 0


def test_a_group_that_is_too_small_says_so():
    one = simulated()
    assert group_metrics(one, one.ecg_ids < 49)["too_small"] is True
    facts = group_metrics(one, one.ecg_ids < 200)
    assert facts["n"] == 200 and facts["patients"] == 100 and facts["classes"] == list(SUPERCLASSES)
    wrong = (one.positive != one.targets)[:200].any(1).mean()
    assert facts["error_rate"]["value"] == pytest.approx(wrong, abs=1e-5)


def test_doubt_that_explains_everything_is_found_to():
    one = simulated(noise=0.0)
    positive = one.positive.copy()
    positive[:100] = ~positive[:100]
    facts = clear_against_doubtful(replace(one, positive=positive), one.ecg_ids >= 100)
    assert facts["error_rate_clear"]["value"] == 0 and facts["error_rate_doubtful"]["value"] == 1
    assert facts["explained_share"]["value"] == 1 and facts["errors_in_clear"] == 0


def test_labels_are_missed_as_counted():
    one = simulated(n=300, noise=2.0)
    superclass_of = np.array([*SUPERCLASSES, "form"], dtype=object)
    statements = np.full((300, 6), np.nan, np.float32)
    statements[:, :5][one.targets > 0] = 100.0
    rows = missed_by_likelihood(one, statements, superclass_of)
    missed = ((one.targets > 0) & ~one.positive).sum() / (one.targets > 0).sum()
    assert rows["100 %"]["n"] == (one.targets > 0).sum()
    assert rows["100 %"]["missed"]["value"] == pytest.approx(missed, abs=1e-5)
    assert rows["under 50 %"]["too_small"]


def test_likelihood_bands():
    bands = {0: "unknown", 15: "under 50 %", 35: "under 50 %", 50: "50-80 %", 80: "50-80 %", 100: "100 %"}
    assert list(likelihood_names(np.array(list(bands)))) == list(bands.values())


def test_the_most_confident_mistakes_come_first():
    one = simulated(noise=2.0)
    listed = confident_mistakes(one, 10)
    distances = [abs(one.calibrated[row, column] - one.targets[row, column]) for row, column in listed]
    assert distances == sorted(distances, reverse=True)
    assert all(one.wrong[row, column] for row, column in listed)
    assert len({row for row, _ in listed}) == 10


def test_hedging_is_found_in_three_languages():
    reports = pd.Series(["wahrscheinlich alter Infarkt", "may be due to ischaemia", "bör övervägas", "infarkt?"])
    assert hedges(reports).all()
    assert not hedges(pd.Series(["sinusrhythmus. normales ekg", None])).any()


def difference(low, high):
    return {"value": (low + high) / 2, "ci95": [low, high], "p": 0.5}


def equivalence_of(low, high, margin=0.01):
    return {"margin": margin, "ci90": [low, high], "equivalent": -margin < low and high < margin}


@pytest.mark.parametrize(
    ("auroc", "accuracy", "ninety", "verdict"),
    [
        ((0.002, 0.008), (-0.009, 0.022), (-0.006, 0.020), "cannot be told"),  # not significant is not equivalent
        ((0.002, 0.008), (-0.006, 0.008), (-0.005, 0.007), "holds"),
        ((0.002, 0.008), (0.011, 0.031), (0.013, 0.029), "does not hold"),
        ((-0.002, 0.008), (-0.006, 0.008), (-0.005, 0.007), "cannot be told"),  # AUROC does not differ either
    ],
)
def test_accuracy_saturates_only_within_the_equivalence_margin(auroc, accuracy, ninety, verdict):
    content = {
        "accuracy_and_auroc": {
            "best": "a",
            "worst": "b",
            "auroc_difference": difference(*auroc),
            "exact_match_difference": difference(*accuracy),
            "exact_match_equivalence": equivalence_of(*ninety),
        },
        "metrics": {"a": {"auroc": {"value": 0.94}, "exact_match": {"value": 0.62}}},
    }
    assert saturation_claim(content)["verdict"] == verdict


@pytest.mark.parametrize(
    ("pair", "gain", "ninety", "verdict"),
    [
        (0.02, (-0.018, -0.001), (-0.017, -0.002), "holds"),
        (0.02, (-0.010, 0.016), (-0.008, 0.014), "cannot be told"),
        (0.02, (0.002, 0.016), (0.004, 0.014), "holds in part"),
        (0.04, (-0.018, -0.001), (-0.017, -0.002), "does not hold"),
    ],
)
def test_an_ensembles_gain_must_be_excluded_not_only_unproven(pair, gain, ninety, verdict):
    content = {
        "stability": {"single_against_single": 0.03, "pair_against_pair": pair},
        "seeds": {
            "exact_match": {"ensemble_minus_single": difference(*gain), "equivalence": equivalence_of(*ninety)},
            "auroc": {"ensemble_minus_single": difference(0.001, 0.002)},
        },
    }
    assert ensembles_claim(content)["verdict"] == verdict
