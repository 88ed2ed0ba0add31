"""Where a network's statements err: confusions, findings by age and sex, infarctions by wall, rhythm by heart rate.

Everything here is arithmetic on the predictions of one split, all recordings of it. Asserted is what the product
asserts: validated, above a cross-fitted threshold, and not contradicted by the verdict on the superclasses.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from config import SUPERCLASSES
from ecg.statements import BY_CODE, CODES, RHYTHMS, STATEMENTS, any_present
from evaluation.bootstrap import point_and_interval, value_and_replicate_weights
from evaluation.coverage import verdict_of_network
from evaluation.metrics import auroc_and_auprc, decision_metrics
from evaluation.statements import UNCERTAIN
from inference.findings import OWNERS, RHYTHM_COLUMNS, keep_consistent
from inference.verdict import MI
from ptbxl.index import DatasetError

WALLS = ("ASMI", "IMI", "AMI", "ALMI", "ILMI", "LMI")  # of an infarction, those that fold 9 has enough of
BY_AGE_AND_SEX = ("AFIB", "ASMI", "IMI", "IRBBB", "CLBBB", "1AVB", "LVH", "ISC_")
SMALLEST_GROUP = 50  # recordings; below, nothing is said of a group
FEWEST = 10  # recordings with a finding, below which no sensitivity is given
RATE_BANDS = {  # beats/min, from and below
    "under 50": (0, 50),
    "50-59": (50, 60),
    "60-79": (60, 80),
    "80-99": (80, 100),
    "100-119": (100, 120),
    "120 and over": (120, np.inf),
}
NOT_MEASURABLE = "no reliable beats"
OTHER_WALL, NO_WALL, NO_MI = "another wall", "MI without a wall", "no MI"
MI_COLUMNS = [column for column, statement in enumerate(STATEMENTS) if statement.superclass == "MI"]


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredStatements:
    """One network's statements on all recordings of a split.

    ecg_ids, patient_ids: ``(n,)``. made, asserted: bool ``(n, 71)``. probabilities ``(n, 71)``, uncalibrated,
    calibrated ``(n, 71)``. classes: the verdict's superclasses, bool ``(n, 5)``.
    """

    ecg_ids: np.ndarray
    patient_ids: np.ndarray
    made: np.ndarray
    asserted: np.ndarray
    probabilities: np.ndarray
    calibrated: np.ndarray
    classes: np.ndarray

    @property
    def named_rhythms(self) -> np.ndarray:
        """The rhythm that is asserted, or "uncertain", text ``(n,)``."""
        rhythms = self.asserted[:, RHYTHM_COLUMNS]
        return np.where(rhythms.any(axis=1), np.array(RHYTHMS)[rhythms.argmax(axis=1)], UNCERTAIN)


def read_statements(path: Path) -> StoredStatements | None:
    """The statements in a multi-label predictions file; None if its network has none. Raises DatasetError."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "statement_codes" not in stored:
                return None
            if tuple(stored["statement_codes"]) != CODES:
                raise ValueError("it holds other statements than this version knows")
            severity, asserted = stored["quality"], stored["statement_asserted"]
            classes, _ = verdict_of_network(stored["positive"], stored["certainty"], severity, asserted)
            return StoredStatements(
                ecg_ids=stored["ecg_id"],
                patient_ids=stored["patient_id"],
                made=stored["statement_targets"],
                asserted=keep_consistent(asserted, classes, severity == "unusable"),
                probabilities=stored["statement_probabilities"].astype(float),
                calibrated=stored["statement_calibrated"].astype(float),
                classes=classes,
            )
    except (ValueError, KeyError, OSError) as error:
        raise DatasetError(f"{path} is not a file of multi-label predictions: {error}") from error


def class_confusions(statements: StoredStatements) -> dict[str, dict[str, int]]:
    """Superclasses after the rule of the verdict against the annotated ones, in recordings, by name of the class."""
    annotated = any_present(statements.made, [np.flatnonzero(OWNERS == name) for name in SUPERCLASSES])
    return {
        name: {
            "annotated, asserted": int((annotated[:, k] & statements.classes[:, k]).sum()),
            "annotated, not asserted": int((annotated[:, k] & ~statements.classes[:, k]).sum()),
            "not annotated, asserted": int((~annotated[:, k] & statements.classes[:, k]).sum()),
            "neither": int((~annotated[:, k] & ~statements.classes[:, k]).sum()),
        }
        for k, name in enumerate(SUPERCLASSES)
    }


def assertions_by_probability(statements: StoredStatements, edges: tuple[float, ...]) -> list[dict]:
    """How many statements are asserted with a probability between two edges, and how many of them are annotated."""
    rows = []
    for low, high in pairwise(edges):
        there = statements.asserted & (statements.calibrated >= low) & (statements.calibrated < high)
        rows.append({"low": low, "high": high, "n": int(there.sum()), "annotated": int(statements.made[there].sum())})
    return rows


def confusions(statements: StoredStatements, count: int) -> list[dict]:
    """The most frequent pairs of a statement that is missed and another that is wrongly asserted beside it or instead.

    Rhythms are paired with rhythms and all others with all others; what is never asserted cannot be missed.
    """
    missed = statements.made & ~statements.asserted & statements.asserted.any(axis=0)
    false = statements.asserted & ~statements.made
    pairs = missed.astype(int).T @ false.astype(int)
    rhythm = np.isin(CODES, RHYTHMS)
    pairs[rhythm[:, None] != rhythm] = 0
    order = np.argsort(-pairs, axis=None, kind="stable")[:count]
    return [
        {
            "annotated": CODES[row],
            "asserted": CODES[column],
            "n": int(pairs[row, column]),
            "missed": int(missed[:, row].sum()),
            "annotated_n": int(statements.made[:, row].sum()),
        }
        for row, column in zip(*np.unravel_index(order, pairs.shape), strict=True)
        if pairs[row, column]
    ]


def by_age_and_sex(statements: StoredStatements, columns: dict[str, pd.Series]) -> dict[str, dict[str, dict]]:
    """`finding_metrics_of_group` of ``BY_AGE_AND_SEX`` for all recordings and every label of the groupings.

    columns: name to a label for each recording, None where it has none (an unknown age is in no group).
    """
    groups = {"all": np.ones(len(statements.made), bool)}
    for name, column in columns.items():
        for label in column.dropna().unique() if column.dtype == object else column.cat.categories:
            groups[f"{name}: {label}"] = (column == label).to_numpy()
    return {
        code: {name: finding_metrics_of_group(statements, code, chosen) for name, chosen in groups.items()}
        for code in BY_AGE_AND_SEX
    }


def finding_metrics_of_group(statements: StoredStatements, code: str, chosen: np.ndarray) -> dict:
    """AUROC, sensitivity, specificity and PPV of one statement in a group of recordings, with intervals by patient."""
    column = CODES.index(code)
    made, asserted = statements.made[chosen, column], statements.asserted[chosen, column]
    facts = {"n": int(chosen.sum()), "n_positive": int(made.sum()), "n_asserted": int(asserted.sum())}
    if facts["n"] < SMALLEST_GROUP or min(facts["n_positive"], facts["n"] - facts["n_positive"]) < FEWEST:
        return {**facts, "too_small": True}
    weights = value_and_replicate_weights(statements.patient_ids[chosen])
    auroc, _ = auroc_and_auprc(statements.probabilities[chosen, column], made, weights)
    decided = decision_metrics(asserted, made, weights)
    draws = {"auroc": auroc, **{key: decided[key] for key in ("sensitivity", "specificity", "ppv")}}
    return {**facts, "too_small": False, **{key: point_and_interval(values) for key, values in draws.items()}}


def infarction_walls(statements: StoredStatements) -> dict:
    """How often an infarction of each wall is found at all, in its region, and by its own statement.

    The region is PTB-XL's diagnostic subclass (AMI, IMI, LMI, PMI). In the matrix are recordings
    with exactly one of the infarction statements: a row the annotated wall, a column the most probable one asserted.
    """
    rows = {}
    for code in WALLS:
        chosen = statements.made[:, CODES.index(code)]
        region = [column for column in MI_COLUMNS if STATEMENTS[column].subclass == BY_CODE[code].subclass]
        found = {
            "mi": statements.classes[:, MI],
            "region": statements.asserted[:, region].any(axis=1),
            "wall": statements.asserted[:, CODES.index(code)],
        }
        n = int(chosen.sum())
        rows[code] = {"n": n, "region": BY_CODE[code].subclass, "too_small": n < FEWEST}
        if not rows[code]["too_small"]:
            weights = value_and_replicate_weights(statements.patient_ids[chosen])
            shares = {key: weights @ there[chosen] / weights.sum(1) for key, there in found.items()}
            rows[code]["sensitivity"] = {key: point_and_interval(share) for key, share in shares.items()}
    named, columns = named_walls(statements), [*WALLS, OTHER_WALL, NO_WALL, NO_MI]
    alone = statements.made[:, MI_COLUMNS].sum(axis=1) == 1
    no_mi = ~statements.made[:, MI_COLUMNS].any(axis=1)
    picked = {code: alone & statements.made[:, CODES.index(code)] for code in WALLS} | {NO_MI: no_mi}
    return {
        "walls": rows,
        "columns": columns,
        "matrix": {
            name: [int((named[chosen] == column).sum()) for column in columns] for name, chosen in picked.items()
        },
    }


def named_walls(statements: StoredStatements) -> np.ndarray:
    """The most probable infarction statement that is asserted, or what stands in its place, text ``(n,)``."""
    asserted = statements.asserted[:, MI_COLUMNS]
    best = np.where(asserted, statements.calibrated[:, MI_COLUMNS], -1.0).argmax(axis=1)
    codes = np.array([CODES[column] if CODES[column] in WALLS else OTHER_WALL for column in MI_COLUMNS])[best]
    without = np.where(statements.classes[:, MI], NO_WALL, NO_MI)
    return np.where(asserted.any(axis=1), codes, without)


def rhythm_by_heart_rate(statements: StoredStatements, heart_rates: np.ndarray) -> dict[str, dict]:
    """How often the rhythm is missed, uncertain or wrong, by heart rate, on recordings with exactly one of the nine.

    heart_rates ``(n,)`` in beats/min, NaN without reliable beats. missed of a rhythm: annotated and not named; false:
    named and not annotated. The share of wrong ones counts uncertain rhythms apart.
    """
    truth = statements.made[:, RHYTHM_COLUMNS]
    chosen, annotated = truth.sum(axis=1) == 1, np.array(RHYTHMS)[truth.argmax(axis=1)]
    named = statements.named_rhythms
    bands = {name: (heart_rates >= low) & (heart_rates < high) for name, (low, high) in RATE_BANDS.items()}
    rows = {}
    for band, there in {"all": np.ones(len(chosen), bool), **bands, NOT_MEASURABLE: np.isnan(heart_rates)}.items():
        inside = chosen & there
        a, b = annotated[inside], named[inside]
        rows[band] = {
            "n": int(inside.sum()),
            "too_small": bool(inside.sum() < SMALLEST_GROUP),
            "rhythms": {
                code: {
                    "n": int((a == code).sum()),
                    "missed": int(((a == code) & (b != code)).sum()),
                    "false": int(((a != code) & (b == code)).sum()),
                }
                for code in RHYTHMS
            },
        }
        if not rows[band]["too_small"]:
            weights = value_and_replicate_weights(statements.patient_ids[inside])
            total, unsure = weights.sum(1), b == UNCERTAIN
            rows[band]["wrong"] = point_and_interval(weights @ ((a != b) & ~unsure) / total)
            rows[band]["uncertain"] = point_and_interval(weights @ unsure / total)
    return rows


def analyse_statements(
    statements: StoredStatements, columns: dict[str, pd.Series], heart_rates: np.ndarray, count: int
) -> dict:
    """All of the above; columns: "sex" and "age band" of all recordings, heart_rates as `rhythm_by_heart_rate`."""
    return {
        "n": len(statements.made),
        "confusions": confusions(statements, count),
        "by_age_and_sex": by_age_and_sex(statements, columns),
        "infarctions": infarction_walls(statements),
        "rhythm_by_heart_rate": rhythm_by_heart_rate(statements, heart_rates),
    }
