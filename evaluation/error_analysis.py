"""Where and why networks err: seeds, ensembles, shared mistakes, groups of recordings.

Everything here is arithmetic on predictions of one split; arrays are ``(n, classes)`` unless said
otherwise. Decisions are cross-fitted by patient, so no threshold was chosen with the recordings it decides.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from config import SUPERCLASSES
from evaluation.bootstrap import equivalence, paired_difference, point_and_interval, value_and_replicate_weights
from evaluation.metrics import all_metrics
from evaluation.predictions import StoredPredictions
from inference.calibration import cross_fit

SMALLEST_GROUP = 50  # recordings; below, nothing is said of a group
SMALLEST_CLASS = 10  # positives and negatives a class needs inside a group
# A difference in exact match below one ECG in a hundred counts as none: two seeds of the same network differ by as
# much (standard deviation 0.007 from seed to seed, so 0.010 between two).
EXACT_MATCH_MARGIN = 0.01
HEDGES = re.compile(
    r"wahrscheinlich|möglich|moeglich|verdacht|fraglich|auszuschlie|grenzbefund|misstänkt|överväg|trolig|möjlig"
    r"|\bmay\b|possibl|probabl|suggest|cannot|exclude|consider|borderline|uncertain|likely|suspect|\?",
    re.IGNORECASE,
)
ARTEFACTS = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems", "extra_beats")
LIKELIHOODS = ("unknown", "under 50 %", "50-80 %", "100 %")
MACRO_METRICS = ("auroc", "auprc", "f1", "exact_match", "accuracy", "ece")


def ensemble(members: list[StoredPredictions], name: str) -> StoredPredictions:
    """Mean probability of several networks, decided anew."""
    first = members[0]
    probabilities = np.mean([member.probabilities for member in members], axis=0)
    calibrated, positive, _ = cross_fit(probabilities, first.targets.astype(float), first.patient_ids, "multilabel")
    return replace(first, name=name, probabilities=probabilities, calibrated=calibrated, positive=positive)


def macro_replicates(predictions: StoredPredictions) -> dict[str, np.ndarray]:
    """Each macro metric and then its bootstrap replicates, ``(1 + draws,)``."""
    weights = value_and_replicate_weights(predictions.patient_ids)
    arrays = (predictions.probabilities, predictions.calibrated, predictions.positive, predictions.targets)
    macro = all_metrics(*arrays, SUPERCLASSES, weights)["macro"]
    return {key: macro[key] for key in MACRO_METRICS}


def macro_metrics(predictions: StoredPredictions) -> dict[str, dict]:
    """Each macro metric with its interval."""
    return {key: point_and_interval(metric, key) for key, metric in macro_replicates(predictions).items()}


def seed_spread(seeds: list[StoredPredictions]) -> dict:
    """Metrics of single seeds, of their ensemble, and the paired difference of ensemble and mean single."""
    singles = [macro_replicates(seed) for seed in seeds]
    together = macro_replicates(ensemble(seeds, "ensemble"))
    rows = {}
    for key in MACRO_METRICS:
        values = np.array([single[key] for single in singles])
        rows[key] = {
            "singles": [round(float(value), 5) for value in values[:, 0]],
            "mean": round(float(values[:, 0].mean()), 5),
            "standard_deviation": round(float(values[:, 0].std(ddof=1)), 5),
            "ensemble": point_and_interval(together[key], key),
            "ensemble_minus_single": paired_difference(together[key], values.mean(0)),
        }
        if key == "exact_match":
            rows[key]["equivalence"] = equivalence(together[key], values.mean(0), EXACT_MATCH_MARGIN)
    return rows


def disagreement(pairs: Iterable[tuple[StoredPredictions, StoredPredictions]]) -> float:
    """Share of decisions on which two networks differ, mean over pairs."""
    return float(np.mean([(a.positive != b.positive).mean() for a, b in pairs]))


def stability(seeds: list[StoredPredictions]) -> dict:
    """How often decisions change from seed to seed, and from one ensemble of two seeds to a disjoint one."""
    twos = {frozenset(pair): ensemble([seeds[k] for k in pair], "two") for pair in combinations(range(len(seeds)), 2)}
    disjoint = [(twos[a], twos[b]) for a, b in combinations(twos, 2) if not a & b]
    deviation = np.std([seed.probabilities for seed in seeds], axis=0, ddof=1).mean()
    return {
        "single_against_single": round(disagreement(combinations(seeds, 2)), 5),
        "pair_against_pair": round(disagreement(disjoint), 5),
        "probability_standard_deviation": round(float(deviation), 5),
    }


def squared_error_shares(seeds: list[StoredPredictions]) -> dict:
    """Mean squared error of a seed's probabilities = that of the seeds' mean + variance among seeds.

    The identity holds per recording and class; the variance is what an ensemble of very many seeds
    could remove at most.
    """
    probabilities = np.array([seed.calibrated for seed in seeds])
    single = float(((probabilities - seeds[0].targets) ** 2).mean())
    variance = float(probabilities.var(axis=0, ddof=1).mean())
    return {
        "squared_error": round(single, 5),
        "variance": round(variance, 5),
        "variance_share": round(variance / single, 4),
    }


def accuracy_against_auroc(networks: list[StoredPredictions]) -> dict:
    """Paired differences in AUROC and in exact match between the networks of highest and lowest AUROC."""
    macro = {network.name: macro_replicates(network) for network in networks}
    best = max(macro, key=lambda name: macro[name]["auroc"][0])
    worst = min(macro, key=lambda name: macro[name]["auroc"][0])
    exact_match = (macro[best]["exact_match"], macro[worst]["exact_match"])
    return {
        "best": best,
        "worst": worst,
        "auroc_difference": paired_difference(macro[best]["auroc"], macro[worst]["auroc"]),
        "exact_match_difference": paired_difference(*exact_match),
        "exact_match_equivalence": equivalence(*exact_match, EXACT_MATCH_MARGIN),
    }


def shared_errors(networks: list[StoredPredictions]) -> dict:
    """How many wrong decisions of one network all the others make too, against what chance would give.

    By chance: errors as frequent as they are, in each class, but independent between networks.
    """
    wrong = np.array([network.wrong for network in networks])
    everywhere = wrong.all(0)
    shares = [everywhere.sum() / max(one.sum(), 1) for one in wrong]
    rates = wrong.mean(1)  # (networks, classes)
    expected = rates.prod(0).sum() / rates.mean(0).sum()
    kappas = {
        f"{a.name} | {b.name}": round(float(cohen_kappa_score(a.wrong.ravel(), b.wrong.ravel())), 4)
        for a, b in combinations(networks, 2)
    }
    return {
        "networks": [network.name for network in networks],
        "wrong_decisions": [int(one.sum()) for one in wrong],
        "wrong_in_all": int(everywhere.sum()),
        "share_wrong_in_all": round(float(np.mean(shares)), 4),
        "share_by_chance": round(float(expected), 6),
        "kappa": kappas,
    }


def group_columns(metadata: pd.DataFrame, superclasses: np.ndarray, certainty: np.ndarray) -> dict[str, pd.Series]:
    """Groupings of the recordings: name to a label for each recording, None where it has none.

    metadata: PTB-XL's columns of the recordings; groupings by a column that is empty are left out.
    superclasses: their ``(n, 5)`` labels.
    certainty: ``(n,)`` likelihood in % of the least certain diagnostic statement, 0 where one is unknown.
    """
    yes_or_no = {True: "yes", False: "no"}
    columns = {
        "least certain statement": pd.Series(likelihood_names(certainty)),
        "superclasses present": pd.Series(superclasses.sum(1)).map({0: "0", 1: "1", 2: "2"}).fillna("3 or more"),
        "report in doubt": hedges(metadata["report"]).map({True: "hedges", False: "does not"}),
        "validated by human": metadata["validated_by_human"].map({True: "by a cardiologist", False: "not"}),
        "first report by machine": metadata["initial_autogenerated_report"].map(yes_or_no),
        "second opinion": metadata["second_opinion"].map(yes_or_no),
        "validated by": metadata["validated_by"].map("reader {:.0f}".format, na_action="ignore").fillna("nobody named"),
        "infarction stadium": metadata["infarction_stadium1"],
        **age_and_sex(metadata),
        "device": metadata["device"].str.split().str.join(" "),
        "pacemaker": metadata["pacemaker"].notna().map(yes_or_no),
    }
    for column in ARTEFACTS:
        columns[column.replace("_", " ")] = metadata[column].notna().map({True: "annotated", False: "not annotated"})
    # these say "no" where nothing is noted, so without the column they would say it of every recording
    silent = {"validated by": "validated_by", "pacemaker": "pacemaker", "report in doubt": "report"}
    silent |= {column.replace("_", " "): column for column in ARTEFACTS}
    empty = {name for name, column in silent.items() if metadata[column].isna().all()}
    return {name: column for name, column in columns.items() if name not in empty and column.notna().any()}


def age_and_sex(metadata: pd.DataFrame) -> dict[str, pd.Series]:
    """Groupings by age band and sex: a label for each recording, None where it is unknown; 300 stands for over 89."""
    age = metadata["age"].mask(metadata["age"] > 89, 90)
    bands = ["under 40", "40-54", "55-69", "70 and over"]
    return {
        "age band": pd.cut(age, [0, 40, 55, 70, 120], right=False, labels=bands),
        "sex": metadata["sex"].map({0: "male", 1: "female"}),
    }


def least_certainty(statements: np.ndarray, diagnostic: np.ndarray) -> np.ndarray:
    """Likelihood in % of each recording's least certain diagnostic statement ``(n,)``, 0 where one is unknown.

    statements ``(n, 71)``: likelihoods, NaN where absent; diagnostic ``(71,)``: which name a superclass.
    """
    return np.nan_to_num(np.nanmin(np.where(diagnostic, statements, np.nan), axis=1), nan=0.0)


def likelihood_names(percent: np.ndarray) -> np.ndarray:
    """PTB-XL's likelihoods in the three bands used here; 0 means that none was given."""
    return np.select([percent == 0, percent < 50, percent <= 80], LIKELIHOODS[:3], LIKELIHOODS[3])


def hedges(reports: pd.Series) -> pd.Series:
    """Which reports put something in doubt, bool ``(n,)``."""
    return reports.fillna("").astype(str).str.contains(HEDGES)


def group_metrics(predictions: StoredPredictions, chosen: np.ndarray) -> dict:
    """Metrics of a group of recordings with intervals, or that it is too small for any.

    AUROC, AUPRC and calibration error are means over the classes that have enough positives and negatives.
    """
    n = int(chosen.sum())
    facts = {"n": n, "patients": len(np.unique(predictions.patient_ids[chosen]))}
    positives = predictions.targets[chosen].sum(0)
    enough = (positives >= SMALLEST_CLASS) & (n - positives >= SMALLEST_CLASS)
    if n < SMALLEST_GROUP or not enough.any():
        return {**facts, "too_small": True}
    weights = value_and_replicate_weights(predictions.patient_ids[chosen])
    arrays = (predictions.probabilities, predictions.calibrated, predictions.positive, predictions.targets)
    classes = tuple(np.array(SUPERCLASSES)[enough])
    macro = all_metrics(*(array[chosen][:, enough] for array in arrays), classes, weights)["macro"]
    return {
        **facts,
        "too_small": False,
        "classes": list(classes),
        "error_rate": point_and_interval(weights @ predictions.wrong[chosen].any(1) / weights.sum(1)),
        **{key: point_and_interval(macro[key], key) for key in ("auroc", "auprc", "ece")},
    }


def all_group_metrics(predictions: StoredPredictions, columns: dict[str, pd.Series]) -> dict[str, dict[str, dict]]:
    """`group_metrics` for every label of every grouping, in the order of frequency."""
    return {
        name: {
            str(label): group_metrics(predictions, (column == label).to_numpy())
            for label in column.value_counts(sort=name != "age band").index
        }
        for name, column in columns.items()
    }


def missed_by_likelihood(predictions: StoredPredictions, statements: np.ndarray, superclass_of: np.ndarray) -> dict:
    """Of the labels PTB-XL gives, how many the network misses, by the likelihood of the label.

    A label's likelihood is that of its most certain statement. statements ``(n, 71)``; superclass_of
    ``(71,)``: the superclass of each diagnostic statement, anything else for the rest.
    """
    likelihood = np.stack(
        [np.nanmax(np.where(superclass_of == name, statements, -1.0), axis=1, initial=-1.0) for name in SUPERCLASSES], 1
    )
    weights = value_and_replicate_weights(predictions.patient_ids)
    rows = {}
    for band in LIKELIHOODS:
        chosen = (predictions.targets > 0) & (likelihood_names(likelihood) == band)
        n = int(chosen.sum())
        rows[band] = {"n": n, "too_small": n < SMALLEST_GROUP, "missed": None}
        if n >= SMALLEST_GROUP:
            missed = weights @ (chosen & ~predictions.positive).sum(1) / (weights @ chosen.sum(1))
            rows[band]["missed"] = point_and_interval(missed)
    return rows


def clear_recordings(certainty: np.ndarray, superclasses: np.ndarray, report: pd.Series) -> np.ndarray:
    """ECGs without visible reason for doubt: one superclass, statements certain, a report that does not hedge."""
    return (certainty == 100) & (superclasses.sum(1) == 1) & ~hedges(report).to_numpy()


def clear_against_doubtful(predictions: StoredPredictions, clear: np.ndarray) -> dict:
    """Error rates (any class wrong) of clear and of doubtful ECGs, and how much of all error doubt can explain."""
    weights, wrong = value_and_replicate_weights(predictions.patient_ids), predictions.wrong.any(1)
    rate_clear = weights @ (wrong & clear) / (weights @ clear)
    rate_doubtful = weights @ (wrong & ~clear) / (weights @ ~clear)
    rate = weights @ wrong / weights.sum(1)
    return {
        "n_clear": int(clear.sum()),
        "n_doubtful": int((~clear).sum()),
        "error_rate_clear": point_and_interval(rate_clear),
        "error_rate_doubtful": point_and_interval(rate_doubtful),
        "difference": paired_difference(rate_doubtful, rate_clear),
        # the share of errors that would vanish if doubtful ECGs had the error rate of clear ones
        "explained_share": point_and_interval((rate - rate_clear) / rate),
        "errors_in_clear": int((wrong & clear).sum()),
        "errors": int(wrong.sum()),
    }


def confident_mistakes(predictions: StoredPredictions, count: int) -> list[tuple[int, int]]:
    """Row and class of the wrong decisions furthest from the annotation, one a recording, worst first."""
    distance = np.where(predictions.wrong, np.abs(predictions.calibrated - predictions.targets), -1.0)
    rows = np.argsort(-distance.max(1), kind="stable")[:count]
    return [(int(row), int(distance[row].argmax())) for row in rows if distance[row].max() > 0]
