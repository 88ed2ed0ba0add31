"""The tables in README.md, MODEL_CARD.md and docs/: macros of `TABLES`, and what they are filled with."""

import numpy as np
from jinja2.runtime import Macro

from config import DEFAULT_OUT
from ecg.statements import STATEMENTS
from evaluation.releases import Release, metrics_of_checkpoint, read_releases
from evaluation.statement_errors import (
    StoredStatements,
    assertions_by_probability,
    class_confusions,
    read_statements,
)
from evaluation.statements import FEWEST_POSITIVES
from tools.documents import TEMPLATES, read_artifact
from tools.documents.published import PUBLISHED, PUBLISHED_TASKS

TABLES = ("tables.md.j2", "benchmark_tables.md.j2")


def document_tables() -> dict[str, Macro]:
    """Each table by the name that documents mark it with, as a function that writes it."""
    values = {
        "PUBLISHED": PUBLISHED,
        "PUBLISHED_TASKS": PUBLISHED_TASKS,
        "FEWEST_POSITIVES": FEWEST_POSITIVES,
        "STATEMENT_NAMES": {statement.code: statement.name for statement in STATEMENTS},
        "artifact": read_artifact,
        "stored_statements": stored_statements,
        "class_confusions": class_confusions,
        "assertions_by_probability": assertions_by_probability,
        "tested": tested,
        "last_compared": last_compared,
        "read_releases": lambda: read_releases(DEFAULT_OUT),
    }
    modules = [TEMPLATES.get_template(name).make_module(values) for name in TABLES]
    macros = {name: value for module in modules for name, value in vars(module).items()}
    return {name: value for name, value in macros.items() if isinstance(value, Macro)}


def tested(task: str) -> dict | None:
    """Test-set metrics of a task's shipped weights; None where these very weights were not tested yet."""
    shipped = read_artifact(f"{task}_metrics_val.json")["checkpoint_sha256"]
    return metrics_of_checkpoint(read_releases(DEFAULT_OUT), task, shipped)


def stored_statements() -> StoredStatements:
    """The shipped network's statements on the validation set. Raises ValueError where the file is of other weights."""
    content = read_artifact("multilabel_metrics_val.json")
    path = DEFAULT_OUT / "predictions" / f"{content['model']}_multilabel_val.npz"
    statements = read_statements(path)
    with np.load(path) as stored:
        if statements is None or str(stored["checkpoint_sha256"]) != content["checkpoint_sha256"]:
            raise ValueError(f"{path} is of other weights than the metrics: python eval_multilabel.py")
    return statements


def last_compared() -> Release:
    """The last release whose networks were compared on the test set."""
    return [release for release in read_releases(DEFAULT_OUT) if release.comparison][-1]
