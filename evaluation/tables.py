"""Markdown tables: the one helper that writes them, and the tables of metrics files."""

from collections.abc import Iterable, Sequence

METRIC_COLUMNS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier",
    "ece": "ECE",
}
BY_SCORE_COLUMNS = {"auroc": "AUROC", "auprc": "AUPRC", "accuracy": "accuracy", "f1": "F1"}


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; cells are written with ``str``, None as a dash. Raises ValueError if a row has another length.

    >>> print(markdown_table(("lead", "mV"), [("V1", 0.1), ("V2", None)]))
    | lead | mV |
    |---|---|
    | V1 | 0.1 |
    | V2 | – |
    """
    lines = [_line(header), "|---" * len(header) + "|"]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a table of {len(header)} columns got a row of {len(row)}: {row}")
        lines.append(_line(row))
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    texts = ("–" if cell is None else str(cell).replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(texts) + " |"


def metric_cell(metric: dict) -> str:
    """A metric ``{"value": ..., "ci95": [low, high]}`` with its interval."""
    if metric["value"] is None:
        return "–"
    low, high = metric["ci95"]
    return f"{metric['value']:.3f} ({low:.3f}–{high:.3f})" if low is not None else f"{metric['value']:.3f}"


def difference_cell(difference: dict) -> str:
    """A paired difference with its sign and interval."""
    low, high = difference["ci95"]
    return "–" if low is None else f"{difference['value']:+.4f} ({low:+.4f} to {high:+.4f})"


def percent_cell(metric: dict) -> str:
    """A share with its interval, in percent."""
    low, high = metric["ci95"]
    return f"{metric['value']:.1%} ({low:.1%}–{high:.1%})"


def metrics_table(content: dict) -> str:
    """The metrics of a metrics file with their intervals, a row a class, the macro averages last.

    Below it, where there are any, the classes that are not in the macro averages.
    """
    classes = [key for key, value in content.items() if isinstance(value, dict) and "auroc" in value]
    ordered = [*(name for name in classes if name not in ("macro", "macro_all")), "macro", "macro_all"]
    names = {"macro": f"macro, labelled (n = {content['n']:,})", "macro_all": f"macro, all (n = {content['n_all']:,})"}
    rows = ([names.get(name, name), *(metric_cell(content[name][key]) for key in METRIC_COLUMNS)] for name in ordered)
    table = markdown_table(["class", *METRIC_COLUMNS.values()], rows)
    absent = [name for name in ordered[:-2] if content[name]["auroc"]["value"] is None]
    if absent:
        table += f"\n\nNo positives or no negatives of {', '.join(absent)}: left out of the macro averages."
    return table


def by_score_table(content: dict) -> str:
    """The binary network beside the multi-label one, and MI against everything."""
    columns = [key for key in BY_SCORE_COLUMNS if all(key in metrics for metrics in content["by_score"].values())]
    rows = []
    for score, metrics in content["by_score"].items():
        chosen = ", chosen on fold 9" if score == content["score"] else ""
        cells = (metric_cell(metrics[key]) for key in columns)
        rows.append([f"{score} network{chosen}", f"{content['n']:,}", *cells])
    everything = content.get("mi_against_everything")
    if everything:
        for name, metrics in everything["figures"].items():
            cells = (metric_cell(metrics[key]) if key in metrics else None for key in columns)
            rows.append([f"{name}; MI against everything", f"{everything['n']:,}", *cells])
    return markdown_table(["score", "N", *(BY_SCORE_COLUMNS[key] for key in columns)], rows)


def comparison_table(content: dict) -> str:
    """Metrics, sizes and differences of compared networks, a row a network."""
    header = ["network", "parameters", "MACs", "CPU ms", "AUROC", "AUPRC", "F1", "AUROC against the first", "p"]
    rows = []
    for network in content["networks"]:
        difference = network.get("difference", {}).get("auroc")
        rows.append(
            [
                network["name"],
                f"{network['parameters']:,}",
                f"{network['multiply_accumulates'] / 1e6:.0f} M",
                f"{network['cpu_ms']:.1f}",
                *(metric_cell(network[key]) for key in ("auroc", "auprc", "f1")),
                difference_cell(difference) if difference else None,
                f"{difference['p']:.3f}" if difference else None,
            ]
        )
    return markdown_table(header, rows)


def tasks_table(content: dict) -> str:
    """The six benchmark tasks of a statements_metrics file."""
    header = ["task", "N", "classes", "AUROC", "AUROC, 5 positives and more", "AUPRC"]
    rows = [
        [name, f"{task['n']:,}", task["classes"], *(metric_cell(task[key]) for key in ("auroc", "auroc_min5", "auprc"))]
        for name, task in content["tasks"].items()
    ]
    return markdown_table(header, rows)


def rhythm_line(content: dict) -> str:
    """The named rhythm of a statements_metrics file in one sentence."""
    rhythm = content["rhythm"]
    if rhythm["accuracy"] is None:
        return "rhythm: no recording has exactly one of the nine rhythms"
    certain = "none" if rhythm["accuracy_certain"] is None else f"{rhythm['accuracy_certain']:.1%}"
    return (
        f"rhythm, {rhythm['n']:,} recordings with exactly one of nine: {rhythm['accuracy']:.1%} named rightly, "
        f"{rhythm['uncertain']:.1%} uncertain, of the others {certain} right"
    )


def compared_tasks_table(content: dict) -> str:
    """AUROC of compared networks on the six tasks, each with its difference to the first network."""
    names = list(content["networks"][0]["tasks"])
    rows = []
    for network in content["networks"]:
        cells = []
        for name in names:
            task = network["tasks"].get(name)
            difference = task.get("difference", {}).get("auroc") if task else None
            cells.append(
                None
                if task is None
                else metric_cell(task["auroc"]) + (f"; {difference_cell(difference)}" if difference else "")
            )
        rows.append([network["name"], *cells])
    return markdown_table(["AUROC", *names], rows)
