"""Tables of the model tab, from the JSON files in artifacts/."""

import json
from pathlib import Path

import pandas as pd

from config import SUPERCLASSES
from evaluation.tables import TABLE_COLUMNS, metric_cell

TASKS = {
    "multilabel": "Five superclasses",
    "mi_vs_norm": "MI against normal",
    "norm_vs_abnormal": "Normal against abnormal",
}
FIGURES = {"roc": "ROC", "pr": "precision and recall", "reliability": "reliability", "confusion": "confusion"}


def read_metrics(artifacts: Path, task: str) -> dict | None:
    """A task's metrics on the test fold, else on the validation fold, else None."""
    return _first_json(artifacts, f"{task}_metrics")


def read_comparison(artifacts: Path) -> dict | None:
    """Our network beside the baselines, or None."""
    return _first_json(artifacts, "comparison")


def _first_json(artifacts: Path, stem: str) -> dict | None:
    for split in ("test", "val"):
        path = artifacts / f"{stem}_{split}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
    return None


def figure_with_interval(figure: dict | float | None) -> str:
    """A value with its 95 % interval, as in the README."""
    if figure is None:
        return "–"
    if not isinstance(figure, dict):
        return f"{figure:.3f}"
    return metric_cell(figure)


def metrics_table(content: dict) -> pd.DataFrame:
    """A row a class and one for their mean, or the one row of a yes-or-no question; figures with intervals."""
    if content["task"] == "multilabel":
        rows = {name: content[name] for name in SUPERCLASSES} | {"mean of the classes": content["macro"]}
    else:
        rows = {TASKS[content["task"]]: content["macro"]}
    cells = {
        name: [figure_with_interval(row[key]) if key in row else "–" for key in TABLE_COLUMNS]
        for name, row in rows.items()
    }
    return pd.DataFrame.from_dict(cells, orient="index", columns=list(TABLE_COLUMNS.values()))


def comparison_frame(content: dict) -> pd.DataFrame:
    """A row a network: size, speed, figures, and its AUROC against the first's."""
    rows = []
    for row in content["networks"]:
        difference = row.get("difference", {}).get("auroc")
        rows.append(
            {
                "network": row["name"],
                "parameters": f"{row['parameters']:,}",
                "CPU": f"{row['cpu_ms']:.1f} ms",
                **{TABLE_COLUMNS[key]: figure_with_interval(row[key]) for key in ("auroc", "auprc", "f1")},
                "AUROC against the first": figure_with_interval(difference) if difference else "–",
            }
        )
    return pd.DataFrame(rows).set_index("network")


def figures(artifacts: Path, task: str, split: str) -> list[tuple[str, Path]]:
    """What each of a task's figures shows, and its file; those that exist."""
    paths = [(words, artifacts / "figures" / f"{task}_{kind}_{split}.png") for kind, words in FIGURES.items()]
    return [(words, path) for words, path in paths if path.is_file()]
