"""The six benchmark tasks, what counts as validated, and the named rhythm, held against scikit-learn and counting."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from config import SUPERCLASSES
from ecg.statements import BY_CODE, CODES, GROUPS, RHYTHMS, SUBCLASSES
from evaluation.statements import (
    STATEMENT_TASKS,
    benchmark_tasks,
    consistency,
    finding_metrics,
    rhythm_metrics,
    task_metrics,
    validated,
)
from inference.findings import NamedRhythms

N = 400
RARE = "PSVT"


@pytest.fixture(scope="module")
def split():
    """Superclasses, statements, the network's scores of both, and patients, of recordings that may have no label."""
    rng = np.random.default_rng(0)
    made = rng.random((N, len(CODES))) < rng.uniform(0.01, 0.1, len(CODES))
    made[:, CODES.index(RARE)] = np.arange(N) < 3
    made[rng.random(N) < 0.1] = False
    superclasses = np.array(
        [[any(made[n, k] and BY_CODE[CODES[k]].superclass == name for k in range(71)) for name in SUPERCLASSES]
         for n in range(N)]
    )  # fmt: skip
    scores = np.clip(0.3 * made + rng.random(made.shape) * 0.7, 0, 0.999)
    superclass_scores = 0.3 * superclasses + rng.random(superclasses.shape) * 0.7
    return superclasses, made, superclass_scores, scores, rng.integers(0, 300, N)


@pytest.fixture(scope="module")
def tasks(split):
    return benchmark_tasks(*split[:4])


@pytest.fixture(scope="module")
def metrics(tasks, split):
    return task_metrics(tasks, split[4])


def targets_and_scores(split, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Of a task's labelled recordings, from the statements' own properties."""
    superclasses, made, superclass_scores, scores, _ = split
    if task == "super":
        targets, predicted = superclasses, superclass_scores
    elif task == "sub":
        members = [[k for k, code in enumerate(CODES) if BY_CODE[code].subclass == name] for name in SUBCLASSES]
        targets = np.stack([made[:, columns].any(1) for columns in members], 1)
        predicted = np.stack([1 - np.prod(1 - scores[:, columns], axis=1) for columns in members], 1)
    else:
        columns = [k for k, code in enumerate(CODES) if task == "all" or task in BY_CODE[code].groups]
        targets, predicted = made[:, columns], scores[:, columns]
    labelled = targets.any(1)
    return targets[labelled], predicted[labelled]


def test_the_tasks_have_the_classes_of_the_benchmark(tasks):
    assert tuple(tasks) == STATEMENT_TASKS
    assert [len(task.names) for task in tasks.values()] == [5, 23, 44, 19, 12, 71]
    assert all(set(tasks[group].names) <= set(CODES) for group in GROUPS)


@pytest.mark.parametrize("task", STATEMENT_TASKS)
def test_macro_metrics_are_scikit_learns_on_the_recordings_with_a_label_of_the_task(split, metrics, task):
    targets, scores = targets_and_scores(split, task)
    assert metrics[task]["n"] == len(targets) < N
    assert metrics[task]["auroc"]["value"] == pytest.approx(roc_auc_score(targets, scores, average="macro"), abs=1e-4)
    assert metrics[task]["auprc"]["value"] == pytest.approx(average_precision_score(targets, scores), abs=1e-4)
    common = targets.sum(0) >= 5
    assert metrics[task]["classes_min5"] == common.sum()
    expected = roc_auc_score(targets[:, common], scores[:, common], average="macro")
    assert metrics[task]["auroc_min5"]["value"] == pytest.approx(expected, abs=1e-4)
    low, high = metrics[task]["auroc"]["ci95"]
    assert low < metrics[task]["auroc"]["value"] < high


def test_rare_classes_count_in_one_mean_and_not_in_the_other(metrics, tasks):
    assert metrics["rhythm"]["classes_min5"] < metrics["rhythm"]["classes"]
    assert metrics["rhythm"]["auroc"]["value"] != metrics["rhythm"]["auroc_min5"]["value"]
    assert metrics["super"]["auroc"] == metrics["super"]["auroc_min5"]


def test_a_network_without_statements_has_the_superclasses_only(split):
    superclasses, made, superclass_scores, _, patients = split
    tasks = benchmark_tasks(superclasses, made, superclass_scores, np.zeros((N, 0)))
    assert list(tasks) == ["super"]
    assert task_metrics(tasks, patients)["super"]["n"] == superclasses.any(1).sum()


def test_a_task_without_any_label_has_no_metrics(split):
    nothing = np.zeros((N, len(CODES)), bool)
    tasks = benchmark_tasks(split[0], nothing, split[2], split[3])
    content = task_metrics({"rhythm": tasks["rhythm"]}, split[4])["rhythm"]
    assert content["n"] == 0 and content["auroc"]["value"] is None and content["auprc"]["value"] is None


def test_each_statement_is_measured_on_all_recordings(split):
    _, made, _, scores, patients = split
    positive = scores > 0.5
    rows = finding_metrics(CODES[:6], scores[:, :6], made[:, :6], positive[:, :6], patients)
    for k, code in enumerate(CODES[:6]):
        truth, decided = made[:, k], positive[:, k]
        assert rows[code]["n_positive"] == truth.sum()
        assert rows[code]["auroc"]["value"] == pytest.approx(roc_auc_score(truth, scores[:, k]), abs=1e-4)
        for key, share in (
            ("sensitivity", decided[truth].mean()),
            ("specificity", (~decided)[~truth].mean()),
            ("ppv", truth[decided].mean()),
        ):
            assert rows[code][key]["value"] == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize(
    ("positives", "lowest", "expected"),
    [(15, 0.80, True), (14, 0.99, False), (500, 0.7999, False), (500, None, False), (0, None, False)],
)
def test_validated_is_what_fold_9_has_enough_of_and_tells_apart_well(positives, lowest, expected):
    row = {"n_positive": positives, "auroc": {"value": 0.9, "ci95": [lowest, 0.95]}}
    assert validated({"X": row}).tolist() == [expected]


def test_the_named_rhythm_is_evaluated_where_exactly_one_is_annotated():
    #              annotated         named     certain
    recordings = [
        (("SR",), "SR", True),
        (("SR",), "SR", True),
        (("SR",), "AFIB", True),
        (("AFIB",), "AFIB", True),
        (("AFIB",), "AFLT", False),  # uncertain
        (("AFLT", "PVC"), "AFIB", True),
        (("SR", "AFIB"), "SR", True),  # two rhythms: not evaluated
        (("PVC",), "SR", True),  # none
        ((), "", False),
        (("PACE",), "", False),
    ]
    made = np.array([[code in annotated for code in CODES] for annotated, _, _ in recordings])
    named = NamedRhythms(
        code=np.array([code for _, code, _ in recordings]), certain=np.array([sure for _, _, sure in recordings])
    )
    content = rhythm_metrics(named, made)
    assert content["n"] == 7
    assert content["accuracy"] == pytest.approx(3 / 7, abs=1e-4)
    assert content["uncertain"] == pytest.approx(2 / 7, abs=1e-4)
    assert content["accuracy_certain"] == pytest.approx(3 / 5, abs=1e-4)
    assert content["ppv"]["SR"] == 1 and content["ppv"]["AFIB"] == pytest.approx(1 / 3, abs=1e-4)
    assert content["ppv"]["AFLT"] is None and content["sensitivity"]["AFLT"] == 0
    assert content["sensitivity"]["SR"] == pytest.approx(2 / 3, abs=1e-4) and content["sensitivity"]["PSVT"] is None
    confusion = np.array(content["confusion"])
    assert confusion.shape == (9, 10) and confusion.sum() == 7
    assert content["labels"] == [*RHYTHMS, "uncertain"]
    assert confusion[RHYTHMS.index("AFIB")].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert confusion[RHYTHMS.index("PACE"), -1] == 1


def test_a_split_without_any_single_rhythm_has_no_rhythm_metrics():
    content = rhythm_metrics(NamedRhythms(code=np.array(["SR"]), certain=np.array([True])), np.zeros((1, 71), bool))
    assert (content["n"], content["accuracy"], content["accuracy_certain"]) == (0, None, None)


def test_conflicts_between_statements_and_superclasses_are_counted():
    def rows(names, *of_each):
        return np.array([[name in given for name in names] for given in of_each])

    above = rows(SUPERCLASSES, ("NORM",), ("NORM", "CD"), ("MI",), (), ())
    classes = rows(SUPERCLASSES, ("MI",), ("CD",), ("MI",), ("STTC",), ())
    asserted = rows(CODES, ("IMI", "NORM"), (), ("IMI",), ("NDT",), ("SR",))
    kept = rows(CODES, ("IMI",), (), ("IMI",), ("NDT",), ("SR",))
    assert consistency(above, classes, asserted, kept) == {
        "a statement adds its superclass": 2,
        "NORM yields to a superclass above its threshold": 1,
        "NORM yields to a statement alone": 1,
        "a statement is dropped": 1,
        "no superclass, no diagnostic statement": 1,
    }
