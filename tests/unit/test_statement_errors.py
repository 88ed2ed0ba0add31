"""Where statements err, on statements whose errors are known."""

import numpy as np
import pandas as pd
import pytest

from config import SUPERCLASSES
from ecg.statements import CODES
from evaluation.error_analysis import age_and_sex
from evaluation.predictions import read_predictions
from evaluation.statement_errors import (
    NO_MI,
    NO_WALL,
    NOT_MEASURABLE,
    OTHER_WALL,
    StoredStatements,
    assertions_by_probability,
    by_age_and_sex,
    class_confusions,
    confusions,
    infarction_walls,
    named_walls,
    read_statements,
    rhythm_by_heart_rate,
)
from ptbxl.index import DatasetError
from tools.analyse_errors import without_other_seeds


def codes(*rows: tuple[str, ...]) -> np.ndarray:
    return np.array([[code in row for code in CODES] for row in rows])


def statements_of(made: list, asserted: list, mi: list[bool] | None = None, **changes) -> StoredStatements:
    n = len(made)
    classes = np.zeros((n, 5), bool)
    classes[:, SUPERCLASSES.index("MI")] = False if mi is None else mi
    arrays = {"made": codes(*made), "asserted": codes(*asserted), "classes": classes}
    arrays |= {"probabilities": arrays["asserted"] * 0.9, "calibrated": arrays["asserted"] * 0.9}
    return StoredStatements(ecg_ids=np.arange(n), patient_ids=np.arange(n), **{**arrays, **changes})


def test_a_missed_statement_is_paired_with_what_was_asserted_instead_and_rhythms_with_rhythms():
    made = [("IMI", "AFIB"), ("IMI", "SR"), ("IMI", "SR"), ("WPW",)]
    asserted = [("NORM", "SR"), ("NORM", "SR"), ("IMI", "AFIB"), ("LVH",)]
    assert confusions(statements_of(made, asserted), 10) == [
        {"annotated": "IMI", "asserted": "NORM", "n": 2, "missed": 2, "annotated_n": 3},
        {"annotated": "SR", "asserted": "AFIB", "n": 1, "missed": 1, "annotated_n": 2},
        {"annotated": "AFIB", "asserted": "SR", "n": 1, "missed": 1, "annotated_n": 1},
    ]  # WPW is never asserted


def test_superclasses_are_counted_against_those_of_the_annotated_statements():
    made = [("IMI", "SR"), ("ASMI", "IMI"), ("NORM",), ("PVC",)]
    counts = class_confusions(statements_of(made, [()] * 4, mi=[True, False, True, False]))
    assert set(counts) == set(SUPERCLASSES) and all(sum(of_class.values()) == 4 for of_class in counts.values())
    assert list(counts["MI"].values()) == [1, 1, 1, 1]
    assert list(counts["NORM"].values()) == [0, 1, 0, 3]


def test_assertions_are_counted_by_their_probability():
    made, asserted = [("IMI", "SR"), ("SR",)], [("IMI", "SR")] * 2
    statements = statements_of(made, asserted, calibrated=np.where(codes(("IMI",)), 0.5, 0.9).repeat(2, axis=0))
    rows = assertions_by_probability(statements, (0, 0.5, 0.9, 1.01))
    assert [(row["n"], row["annotated"]) for row in rows] == [(0, 0), (2, 1), (2, 2)]


def test_an_unknown_age_is_in_no_group_and_300_is_old():
    table = pd.DataFrame({"age": [np.nan] * 60 + [300.0] * 60 + [30.0] * 60, "sex": [0, 1] * 90})
    made = [("AFIB",)] * 15 + [()] * 45
    statements = statements_of(made * 3, [("AFIB",)] * 12 + [()] * 48 + made + [()] * 60)
    groups = by_age_and_sex(statements, age_and_sex(table))["AFIB"]
    assert groups["age band: 70 and over"]["n"] == groups["age band: under 40"]["n"] == 60
    assert groups["all"]["n"] == 180 and groups["sex: male"]["n"] == 90
    assert groups["age band: 40-54"] == {"n": 0, "n_positive": 0, "n_asserted": 0, "too_small": True}
    assert groups["age band: 70 and over"]["sensitivity"]["value"] == 1
    assert groups["age band: under 40"]["sensitivity"]["value"] == 0
    assert groups["all"]["sensitivity"]["value"] == pytest.approx(27 / 45, abs=1e-4)


def test_the_named_wall_is_the_most_probable_infarction_that_is_asserted():
    asserted = [("IMI", "ASMI"), ("IPMI",), (), ()]
    calibrated = codes(*asserted) * 0.5
    calibrated[0, CODES.index("ASMI")] = 0.8
    calibrated[0, CODES.index("LMI")] = 0.9  # not asserted
    statements = statements_of([()] * 4, asserted, mi=[True, True, True, False], calibrated=calibrated)
    assert named_walls(statements).tolist() == ["ASMI", OTHER_WALL, NO_WALL, NO_MI]


def test_an_infarction_can_be_found_in_its_region_or_only_as_an_infarction():
    made = [("ILMI",)] * 10 + [("IMI", "ASMI")] + [()]
    asserted = [("ILMI",)] * 4 + [("IMI",)] * 3 + [("ASMI",)] * 2 + [()] * 2 + [("IMI",)]
    found = infarction_walls(statements_of(made, asserted, mi=[True] * 9 + [False] * 2 + [True]))
    shares = {key: share["value"] for key, share in found["walls"]["ILMI"]["sensitivity"].items()}
    assert shares == pytest.approx({"mi": 0.9, "region": 0.7, "wall": 0.4})
    assert found["walls"]["IMI"] == {"n": 1, "region": "IMI", "too_small": True}
    matrix = {name: dict(zip(found["columns"], counts, strict=True)) for name, counts in found["matrix"].items()}
    assert matrix["ILMI"] == {**dict.fromkeys(found["columns"], 0), "ILMI": 4, "IMI": 3, "ASMI": 2, NO_MI: 1}
    assert sum(matrix["IMI"].values()) == 0 and matrix[NO_MI]["IMI"] == 1  # two walls are no row of one


def test_rhythms_are_missed_or_false_where_the_heart_rate_is():
    made = [("AFIB",)] * 60 + [("SR",)] * 2 + [("SR", "AFIB")]
    asserted = [("AFIB",)] * 30 + [("SR",)] * 20 + [()] * 10 + [("AFIB",)] * 2 + [("SR",)]
    rates = np.array([72.0] * 60 + [120.0, np.nan, 72.0])
    rows = rhythm_by_heart_rate(statements_of(made, asserted), rates)
    assert rows["60-79"]["n"] == 60 and rows["all"]["n"] == 62  # one has two rhythms
    assert rows["60-79"]["rhythms"]["AFIB"] == {"n": 60, "missed": 30, "false": 0}
    assert rows["60-79"]["rhythms"]["SR"] == {"n": 0, "missed": 0, "false": 20}
    assert rows["60-79"]["wrong"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert rows["60-79"]["uncertain"]["value"] == pytest.approx(1 / 6, abs=1e-4)
    for band in ("120 and over", NOT_MEASURABLE):
        assert rows[band]["too_small"] and rows[band]["rhythms"]["AFIB"]["false"] == 1


def stored(path, statements: bool) -> None:
    n, made = 3, codes(("NORM", "SR"), ("IMI", "AFIB"), ("IMI", "SR"))
    positive = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0]], bool)
    arrays = {
        "ecg_id": np.arange(n),
        "patient_id": np.arange(n),
        "labelled": np.ones(n, bool),
        "classes": np.array(SUPERCLASSES),
        "checkpoint_sha256": np.array(""),
        "targets": positive.astype(np.uint8),
        "probabilities": positive * 0.9,
        "calibrated": positive * 0.9,
        "positive": positive,
        "certainty": np.full(n, 2.0),
        "quality": np.array(["good", "good", "unusable"]),
    }
    if statements:
        arrays |= {"statement_codes": np.array(CODES), "statement_targets": made, "statement_asserted": made}
        arrays |= {"statement_probabilities": made * 0.9, "statement_calibrated": made * 0.9}
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)


def test_what_is_read_is_what_the_product_asserts(tmp_path):
    path = tmp_path / "hmt_ecgnet_multilabel_val.npz"
    stored(path, statements=True)
    statements = read_statements(path)
    assert statements.named_rhythms.tolist() == ["SR", "AFIB", "uncertain"]
    assert not statements.asserted[2].any() and not statements.classes[2].any()  # unusable
    stored(path, statements=False)
    assert read_statements(path) is None
    path.write_bytes(b"PK")
    with pytest.raises(DatasetError, match="predictions"):
        read_statements(path)


def test_seeds_of_a_recipe_without_statements_are_not_mixed_with_one_that_has_them(tmp_path, capsys):
    names = {"hmt_ecgnet": True, "hmt_ecgnet_seed1": False, "hmt_ecgnet_seed2": True, "plain_cnn": False}
    for name, statements in names.items():
        stored(tmp_path / f"{name}_multilabel_val.npz", statements)
    networks = [read_predictions(tmp_path / f"{name}_multilabel_val.npz") for name in names]
    kept = [network.name for network in without_other_seeds(networks, tmp_path, "val")]
    assert kept == ["hmt_ecgnet", "hmt_ecgnet_seed2", "plain_cnn"]
    assert "hmt_ecgnet_seed1" in capsys.readouterr().out
