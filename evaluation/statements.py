"""The six benchmark tasks, every statement, and the named rhythm (Strodthoff et al. 2021).

A task is evaluated on the recordings with at least one label of it. `STATEMENT_TASKS` name their classes: super 5,
sub 23, diagnostic 44, form 19, rhythm 12, all 71.
"""

from dataclasses import dataclass

import numpy as np

from config import SUPERCLASSES
from ecg.statements import (
    CODES,
    GROUPS,
    RHYTHMS,
    SUBCLASSES,
    any_present,
    any_probability,
    columns_of_group,
    subclass_columns,
)
from evaluation.bootstrap import BOOTSTRAP_DRAWS, point_and_interval, value_and_replicate_weights
from evaluation.metrics import auroc_and_auprc, decision_metrics, mean_of_finite
from inference.findings import NamedRhythms, implied_superclasses

STATEMENT_TASKS = ("super", "sub", "diagnostic", "form", "rhythm", "all")
FEWEST_POSITIVES = 15  # recordings of fold 9 with a statement, for it ever to be asserted
LEAST_AUROC = 0.80  # that its 95 % interval on fold 9 must not reach below
FEWEST_IN_TASK = 5  # positives of a class for it to count in auroc_min5
UNCERTAIN = "uncertain"  # the rhythm of a recording for which none is asserted


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """One of the six tasks on a split: names of its classes, bool targets and uncalibrated scores ``(n, classes)``."""

    names: tuple[str, ...]
    targets: np.ndarray
    scores: np.ndarray

    @property
    def labelled(self) -> np.ndarray:
        """Which recordings belong to the task, bool ``(n,)``."""
        return self.targets.any(axis=1)


def benchmark_tasks(
    superclasses: np.ndarray, made: np.ndarray, superclass_scores: np.ndarray, statement_scores: np.ndarray
) -> dict[str, Task]:
    """The six tasks.

    superclasses: bool ``(n, 5)``. made: bool ``(n, 71)``. superclass_scores ``(n, 5)`` and statement_scores
    ``(n, 71)``: uncalibrated probabilities of the network; without statements, only "super".
    """
    if not statement_scores.shape[1]:
        return {"super": Task(names=SUPERCLASSES, targets=superclasses.astype(bool), scores=superclass_scores)}
    groups = {group: columns_of_group(group) for group in GROUPS}
    tasks = {
        "super": Task(names=SUPERCLASSES, targets=superclasses.astype(bool), scores=superclass_scores),
        "sub": Task(
            names=SUBCLASSES,
            targets=any_present(made, subclass_columns()),
            scores=any_probability(statement_scores, subclass_columns()),
        ),
    }
    for name in STATEMENT_TASKS[2:]:
        columns = groups.get(name, list(range(len(CODES))))
        codes = tuple(CODES[column] for column in columns)
        tasks[name] = Task(names=codes, targets=made[:, columns], scores=statement_scores[:, columns])
    return tasks


def task_draws(task: Task, patient_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Macro AUROC, the same over classes with five positives and more, and macro AUPRC; ``(1 + draws,)`` each.

    The value itself comes first, then bootstrap replicates by patient; a replicate without a positive skips the class.
    NaN where there is nothing to measure.
    """
    chosen, missing = task.labelled, np.full(1 + BOOTSTRAP_DRAWS, np.nan)
    if not chosen.any():
        return dict.fromkeys(("auroc", "auroc_min5", "auprc"), missing)
    targets, scores = task.targets[chosen], task.scores[chosen]
    weights = value_and_replicate_weights(patient_ids[chosen])
    positives = targets.sum(0)
    columns = np.flatnonzero((positives > 0) & (positives < len(targets)))
    pairs = [auroc_and_auprc(scores[:, k], targets[:, k], weights) for k in columns]
    common = [pair[0] for pair, k in zip(pairs, columns, strict=True) if positives[k] >= FEWEST_IN_TASK]
    return {
        "auroc": mean_of_finite([pair[0] for pair in pairs]) if pairs else missing,
        "auroc_min5": mean_of_finite(common) if common else missing,
        "auprc": mean_of_finite([pair[1] for pair in pairs]) if pairs else missing,
    }


def task_metrics(tasks: dict[str, Task], patient_ids: np.ndarray) -> dict[str, dict]:
    """`task_draws` of each task as values with intervals, and how many recordings and classes are behind them."""
    return {
        name: {
            **{key: point_and_interval(draws) for key, draws in task_draws(task, patient_ids).items()},
            "n": int(task.labelled.sum()),
            "classes": len(task.names),
            "classes_min5": int((task.targets.sum(0) >= FEWEST_IN_TASK).sum()),
        }
        for name, task in tasks.items()
    }


def finding_metrics(
    names: tuple[str, ...], scores: np.ndarray, targets: np.ndarray, positive: np.ndarray, patient_ids: np.ndarray
) -> dict[str, dict]:
    """Metrics of each statement or subclass on all recordings; what cannot be computed is null.

    scores ``(n, names)`` uncalibrated, targets and positive bool: made by the annotator, at or above the threshold.
    """
    weights = value_and_replicate_weights(patient_ids)
    rows = {}
    for k, name in enumerate(names):
        auroc, auprc = auroc_and_auprc(scores[:, k], targets[:, k], weights)
        decided = decision_metrics(positive[:, k], targets[:, k], weights)
        draws = {"auroc": auroc, "auprc": auprc, **{key: decided[key] for key in ("sensitivity", "specificity", "ppv")}}
        rows[name] = {
            "n_positive": int(targets[:, k].sum()),
            **{key: point_and_interval(values) for key, values in draws.items()},
        }
    return rows


def ranking_by_name(names: tuple[str, ...], scores: np.ndarray, targets: np.ndarray, patient_ids: np.ndarray) -> dict:
    """Positives and AUROC of each statement or subclass on all recordings; arrays ``(n, names)``."""
    weights = value_and_replicate_weights(patient_ids)
    return {
        name: {
            "n_positive": int(targets[:, k].sum()),
            "auroc": point_and_interval(auroc_and_auprc(scores[:, k], targets[:, k], weights)[0]),
        }
        for k, name in enumerate(names)
    }


def validated(metrics: dict[str, dict]) -> np.ndarray:
    """Which rows of `ranking_by_name` may be asserted, bool ``(names,)``: enough positives, ranked well enough."""
    return np.array(
        [
            one["n_positive"] >= FEWEST_POSITIVES
            and one["auroc"]["ci95"][0] is not None
            and one["auroc"]["ci95"][0] >= LEAST_AUROC
            for one in metrics.values()
        ]
    )


def rhythm_metrics(named: NamedRhythms, made: np.ndarray) -> dict:
    """The named rhythm against the annotated one, on the recordings with exactly one of the nine rhythms.

    accuracy counts an uncertain rhythm as wrong; accuracy_certain is of the asserted ones. ppv of a rhythm that is
    never asserted is null. confusion: a row an annotated rhythm, a column a named one, the last "uncertain".
    """
    truth = made[:, [CODES.index(code) for code in RHYTHMS]]
    chosen = truth.sum(1) == 1
    annotated = np.array(RHYTHMS)[truth[chosen].argmax(1)]
    answer = np.where(named.certain, named.code, UNCERTAIN)[chosen]
    certain = answer != UNCERTAIN
    right = answer == annotated
    labels = [*RHYTHMS, UNCERTAIN]
    matrix = np.array([[((annotated == row) & (answer == column)).sum() for column in labels] for row in RHYTHMS])
    asserted = matrix.sum(0)
    return {
        "n": int(chosen.sum()),
        "accuracy": _share(right),
        "accuracy_certain": _share(right[certain]),
        "uncertain": _share(~certain),
        "ppv": {
            code: round(float(matrix[k, k] / asserted[k]), 4) if asserted[k] else None for k, code in enumerate(RHYTHMS)
        },
        "sensitivity": {
            code: round(float(matrix[k, k] / matrix[k].sum()), 4) if matrix[k].any() else None
            for k, code in enumerate(RHYTHMS)
        },
        "labels": labels,
        "confusion": matrix.tolist(),
    }


def _share(there: np.ndarray) -> float | None:
    return round(float(there.mean()), 4) if len(there) else None


def consistency(above: np.ndarray, classes: np.ndarray, asserted: np.ndarray, kept: np.ndarray) -> dict[str, int]:
    """How often findings and superclasses had to be made to agree, in recordings.

    above: superclasses at or above their threshold ``(n, 5)``; classes: the verdict's. asserted: statements before,
    kept: after `inference.findings.keep_consistent` ``(n, 71)``. All bool.
    """
    norm, implied = SUPERCLASSES.index("NORM"), implied_superclasses(asserted)
    others = np.delete(above, norm, axis=1).any(axis=1)
    return {
        "a statement adds its superclass": int((implied & ~above).any(axis=1).sum()),
        "NORM yields to a superclass above its threshold": int((above[:, norm] & others).sum()),
        "NORM yields to a statement alone": int((above[:, norm] & ~others & implied.any(axis=1)).sum()),
        "a statement is dropped": int((asserted & ~kept).any(axis=1).sum()),
        "no superclass, no diagnostic statement": int((~classes.any(axis=1)).sum()),
    }
