"""README.md, MODEL_CARD.md and docs/ from the files in artifacts/: Jinja templates and what fills them."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from config import DEFAULT_OUT
from evaluation.tables import (
    by_score_table,
    compared_tasks_table,
    comparison_table,
    difference_cell,
    metric_cell,
    metrics_table,
    percent_cell,
    tasks_table,
)

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters |= {
    "as": lambda value, style: "–" if value is None else format(value, style),
    "percent": lambda share: "–" if share is None else f"{100 * share:.1f} %",
    "metric": metric_cell,
    "difference": difference_cell,
    "share": percent_cell,
    "metrics_table": metrics_table,
    "by_score_table": by_score_table,
    "comparison_table": comparison_table,
    "tasks_table": tasks_table,
    "compared_tasks_table": compared_tasks_table,
}


def read_artifact(name: str) -> dict:
    """One of the JSON files in artifacts/. Raises FileNotFoundError."""
    return json.loads((DEFAULT_OUT / name).read_text(encoding="utf-8"))


def filled(template: str, **values) -> str:
    """A document from its template; UndefinedError if a value is missing. None is written as a dash."""
    return TEMPLATES.get_template(template).render(values)
