from itertools import product

import numpy as np
import pytest

from config import CHEST_LEADS, LEADS, LIMB_LEADS
from ecg.lead_sets import CANONICAL_SETS, FITTED_SETS, choose_lead_set, lead_left_out, presence, seen_leads

AUROC = {"12": 0.94, "11": 0.94, "limb": 0.91, "I,II,V2": 0.93, "I,II,V5": 0.92, "I": 0.85, "II": 0.84, "V1": 0.8}
AUROC["V5"] = 0.86
ALL_SUBSETS = [np.array(bits, bool) for bits in product((False, True), repeat=12) if any(bits)]


def leads(*names: str) -> np.ndarray:
    return np.isin(LEADS, names)


def as_names(seen: np.ndarray) -> set[str]:
    return {lead for lead, there in zip(LEADS, seen, strict=True) if there}


def test_every_subset_gets_the_largest_canonical_set_it_contains():
    assert len(ALL_SUBSETS) == 4095
    variants = {name: [set(CANONICAL_SETS[name])] for name in FITTED_SETS}
    variants["11"] = [set(LEADS) - {lead} for lead in CHEST_LEADS]
    for present in ALL_SUBSETS:
        seen = as_names(seen_leads(present))
        inside = {name: len(one) for name, sets in variants.items() for one in sets if one <= seen}
        name, exact = choose_lead_set(present, AUROC)
        if not inside:
            assert (name, exact) == (None, False)
            continue
        largest = [one for one, size in inside.items() if size == max(inside.values())]
        assert name == max(largest, key=AUROC.get)
        assert exact == (seen in variants[name])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (LEADS, ("12", True)),
        (("I", "II", *CHEST_LEADS), ("12", True)),
        (("I", "II", "V1", "V2", "V3", "V5", "V6"), ("11", True)),
        (("II", "III"), ("limb", True)),
        (("I", "III", "V2"), ("I,II,V2", True)),
        (("I", "II", "V2", "V5"), ("I,II,V2", False)),
        (("I", "II", "V4"), ("limb", False)),
        (("I", "V1"), ("I", False)),
        (("V1", "V5", "II"), ("V5", False)),
        (CHEST_LEADS, ("V5", False)),
        (("V5",), ("V5", True)),
        (("V3",), (None, False)),
        (("aVR", "III"), (None, False)),
    ],
)
def test_lead_set_of(given, expected):
    assert choose_lead_set(leads(*given), AUROC) == expected


def test_ties_go_to_the_higher_auroc():
    present = leads("I", "II", "V2", "V5")
    assert choose_lead_set(present, AUROC | {"I,II,V5": 0.99})[0] == "I,II,V5"
    assert choose_lead_set(present, AUROC)[0] == "I,II,V2"


def test_sets_without_calibration_are_passed_over():
    assert choose_lead_set(leads("I", "II", "V2"), {"limb": 0.9}) == ("limb", False)
    assert choose_lead_set(leads("I"), {}) == (None, False)


def test_two_of_the_bipolar_leads_give_all_six_limb_leads():
    for pair in (("I", "II"), ("I", "III"), ("II", "III")):
        assert as_names(seen_leads(leads(*pair, "V3"))) == {*LIMB_LEADS, "V3"}
    assert as_names(seen_leads(leads("I", "aVF"))) == {"I", "aVF"}


def test_seen_leads_leaves_its_argument_alone():
    present = leads("I", "II")
    seen_leads(present)
    assert present.sum() == 2


def test_presence_of_each_record():
    ecg_ids = np.arange(1, 13)
    for name in CANONICAL_SETS:
        masks = presence(name, ecg_ids)
        assert masks.shape == (12, 12)
        if name != "11":
            assert all(as_names(mask) == set(CANONICAL_SETS[name]) for mask in masks)
    eleven = presence("11", ecg_ids)
    missing = [as_names(~mask) for mask in eleven]
    assert missing == [{lead_left_out(ecg_id)} for ecg_id in ecg_ids]
    assert set.union(*missing) == set(CHEST_LEADS)
