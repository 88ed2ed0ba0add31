"""The tables in README.md, MODEL_CARD.md and docs/: macros of tables.md.j2, and what they are filled with."""

from jinja2.runtime import Macro

from config import DEFAULT_OUT
from ecg.statements import STATEMENTS
from evaluation.releases import Release, metrics_of_checkpoint, read_releases
from evaluation.statements import FEWEST_POSITIVES
from tools.documents import TEMPLATES, read_artifact
from tools.documents.published import PUBLISHED, PUBLISHED_TASKS


def document_tables() -> dict[str, Macro]:
    """Each table by the name that documents mark it with, as a function that writes it."""
    values = {
        "PUBLISHED": PUBLISHED,
        "PUBLISHED_TASKS": PUBLISHED_TASKS,
        "FEWEST_POSITIVES": FEWEST_POSITIVES,
        "STATEMENT_NAMES": {statement.code: statement.name for statement in STATEMENTS},
        "artifact": read_artifact,
        "tested": tested,
        "last_compared": last_compared,
        "read_releases": lambda: read_releases(DEFAULT_OUT),
    }
    module = TEMPLATES.get_template("tables.md.j2").make_module(values)
    return {name: value for name, value in vars(module).items() if isinstance(value, Macro)}


def tested(task: str) -> dict | None:
    """Test-set metrics of a task's shipped weights; None where these very weights were not tested yet."""
    shipped = read_artifact(f"{task}_metrics_val.json")["checkpoint_sha256"]
    return metrics_of_checkpoint(read_releases(DEFAULT_OUT), task, shipped)


def last_compared() -> Release:
    """The last release whose networks were compared on the test set."""
    return [release for release in read_releases(DEFAULT_OUT) if release.comparison][-1]
