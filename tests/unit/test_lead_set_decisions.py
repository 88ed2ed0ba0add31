"""Calibration and thresholds a lead set: how a recording's are found, kept in a file, read again and refused."""

import json

import numpy as np
import pytest

from config import BINARY_TASKS, LEADS, SUPERCLASSES
from ecg.lead_sets import FITTED_SETS
from ecg.statements import BY_CODE, CODES, SUBCLASSES
from evaluation.lead_set_fits import fit_lead_set, is_assessable
from evaluation.predictions import predict_split
from inference.calibration import fit_decisions
from inference.decisions import ThresholdsError
from inference.lead_sets import (
    leads_phrase,
    load_lead_sets,
    save_lead_sets,
)
from tests.support.lead_sets import lead_sets
from tests.support.networks import ALL, FIVE, narrow_network

CHECKPOINT = "a" * 64


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "anylead_thresholds.json"
    save_lead_sets(path, lead_sets({"12": ("AFIB", "IMI")}), CHECKPOINT, 9, {"n": 5}, {"I": {"n": 7}})
    return path


def present(*leads):
    return np.isin(LEADS, leads)


def test_the_file_holds_every_set(path):
    loaded = load_lead_sets(path, CHECKPOINT)
    assert tuple(loaded.by_name) == FITTED_SETS
    one = loaded.by_name["I"]
    assert one.auroc == pytest.approx(lead_sets().by_name["I"].auroc)
    assert one.not_assessable == ("MI", "mi_vs_norm")
    assert one.decisions["multilabel"].classes == SUPERCLASSES
    assert one.decisions["multilabel"].statements.names == CODES
    assert loaded.by_name["12"].decisions["multilabel"].statements.validated.sum() == 2
    content = json.loads(path.read_text())
    assert content["fold"] == 9
    assert content["n"] == 5
    assert content["lead_sets"]["I"]["n"] == 7


def test_another_checkpoint_is_refused(path):
    with pytest.raises(ThresholdsError, match="another checkpoint"):
        load_lead_sets(path, "b" * 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": 10}, "fold 10"),
        ({"lead_sets": {}}, "lacks the lead sets 12; 11"),
        ({"lead_sets": {"I": {}}}, "not a thresholds file"),
        ({"lead_sets": [1]}, "not a thresholds file"),
    ],
)
def test_another_fold_or_a_malformed_file_is_refused(path, change, message):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ThresholdsError, match=message):
        load_lead_sets(path, CHECKPOINT)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ThresholdsError, match="--task anylead"):
        load_lead_sets(tmp_path / "anylead_thresholds.json", CHECKPOINT)


def test_an_unknown_set_is_refused(path):
    content = json.loads(path.read_text())
    content["lead_sets"]["III"] = content["lead_sets"]["I"]
    path.write_text(json.dumps(content))
    with pytest.raises(ThresholdsError, match="'III' is none"):
        load_lead_sets(path, CHECKPOINT)


def test_the_decisions_of_a_recording(path):
    loaded = load_lead_sets(path, CHECKPOINT)
    assert loaded.choose(present("I"))[0].name == "I"
    assert loaded.choose(present("I"))[1]
    chosen, exact = loaded.choose(present("I", "II", "V2", "V5"))
    assert (chosen.name, exact) == ("I,II,V2", False)
    nothing, exact = loaded.choose(present("V3"))
    assert nothing.name == ""
    assert not exact
    assert nothing.not_assessable == (*SUPERCLASSES, *BINARY_TASKS)
    sure = np.full((1, 5), 0.99)
    assert not nothing.decisions["multilabel"].decide(sure).any()
    assert not nothing.decisions["multilabel"].uncertain(sure).any()
    assert np.allclose(nothing.decisions["multilabel"].calibrate(sure), sure)
    assert not nothing.decisions["multilabel"].statements.validated.any()


def test_statements_that_fewer_leads_do_not_show():
    sets = lead_sets({"12": ("AFIB", "IMI"), "I": ("AFIB",)})
    assert sets.statements_not_assessable(sets.by_name["I"]) == ("IMI",)
    assert sets.statements_not_assessable(sets.by_name["12"]) == ()
    assert sets.statements_not_assessable(sets.without_calibration) == tuple(
        code for code in CODES if code in ("AFIB", "IMI")
    )


def test_what_is_not_assessable_is_never_decided_and_never_makes_uncertain():
    rng = np.random.default_rng(0)
    scores = rng.random((400, 5))
    targets = rng.random((400, 5)) < scores
    decisions = fit_decisions(scores, targets, np.arange(400), "multilabel", not_assessable=("MI",))
    calibrated = decisions.calibrate(scores)
    mi = SUPERCLASSES.index("MI")
    assert not decisions.decide(calibrated)[:, mi].any()
    assert decisions.decide(calibrated).any(0).sum() == 4
    assert np.isinf(decisions.distances(calibrated)[:, mi]).all()
    # the margin leaves four fifths certain of what is decided
    assert decisions.uncertain(calibrated).mean() == pytest.approx(0.2, abs=0.01)


def test_leads_in_words():
    assert leads_phrase(present("V5")) == "lead V5"
    assert leads_phrase(present("I", "V1")) == "leads I, V1"
    assert leads_phrase(present(*LEADS[:6])) == "the limb leads"
    assert leads_phrase(present(*LEADS)) == "all twelve leads"


# -- Fitting ----------------------------------------------------------------------------------------------------------


class Split:
    """Recordings whose network output is their label, more or less."""

    def __init__(self, n=400):
        rng = np.random.default_rng(1)
        self.superclasses = rng.random((n, 5)) < 0.3
        self.labelled = self.superclasses.any(1)
        self.patient_ids = self.ecg_ids = np.arange(n)
        self._made = rng.random((n, len(CODES))) < 0.2
        self._signals = rng.normal(size=(n, 12, 500)).astype(np.float32)

    def __len__(self):
        return len(self.ecg_ids)

    def made(self, codes):
        assert codes == CODES
        return self._made

    def signals(self, numbers):
        return self._signals[numbers]


@pytest.fixture(scope="module")
def fitted():
    split, rng = Split(), np.random.default_rng(2)
    truth = np.hstack([split.superclasses, split.made(CODES), split.superclasses[:, [1, 1]]]).astype(float)
    outputs = 1 / (1 + np.exp(-(rng.normal(size=truth.shape) + 4 * truth - 2)))
    outputs[:, SUPERCLASSES.index("MI")] = rng.random(len(split))  # these leads do not show MI
    return fit_lead_set("I", narrow_network(ALL), split, outputs, "f1", 0.95)


def test_a_class_that_the_leads_do_not_show_is_not_assessable(fitted):
    one = fitted.decisions
    assert one.decisions["multilabel"].not_assessable == ("MI",)
    assert "MI" in one.not_assessable
    assert not is_assessable(fitted.facts["multilabel"]["auroc_by_class"]["MI"])
    assert is_assessable(fitted.facts["multilabel"]["auroc_by_class"]["CD"])
    assert fitted.facts["auroc"]["value"] == one.auroc
    assert 0 < fitted.facts["f1"]["value"] < 1


def test_statements_of_such_a_class_are_not_validated(fitted):
    decisions = fitted.decisions.decisions["multilabel"]
    validated = dict(zip(CODES, decisions.statements.validated, strict=True))
    assert validated["AFIB"]
    assert validated["CLBBB"]
    assert not any(yes for code, yes in validated.items() if BY_CODE[code].superclass == "MI")
    subclasses = dict(zip(SUBCLASSES, decisions.subclasses.validated, strict=True))
    assert not subclasses["IMI"]
    assert subclasses["CLBBB"]


def test_the_network_sees_only_the_leads_given():
    split, network = Split(n=20), narrow_network(FIVE)
    every, masks = np.arange(20), np.tile(present("I"), (20, 1))
    outputs = predict_split(network, split, every, masks)
    assert outputs.shape == (20, 5)
    split._signals[:, 1:] = 7
    assert np.array_equal(predict_split(network, split, every, masks), outputs)
    assert not np.allclose(predict_split(network, split, every), outputs)


def test_the_statement_norm_is_not_listed_beside_its_class():
    sets = lead_sets({"12": ("NORM", "IMI")})
    assert sets.statements_not_assessable(sets.by_name["I"]) == ("IMI",)
