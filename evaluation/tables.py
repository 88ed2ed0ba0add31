"""Metrics as Markdown tables."""

BY_SCORE_COLUMNS = {"auroc": "AUROC", "auprc": "AUPRC", "accuracy": "accuracy", "f1": "F1"}


def by_score_table(content: dict) -> str:
    """The binary network beside the multi-label one, and MI against everything, as Markdown."""
    columns = [key for key in BY_SCORE_COLUMNS if all(key in figures for figures in content["by_score"].values())]
    lines = [
        "| answered by | N | " + " | ".join(BY_SCORE_COLUMNS[key] for key in columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for score, figures in content["by_score"].items():
        chosen = ", chosen on fold 9" if score == content["score"] else ""
        cells = " | ".join(metric_cell(figures[key]) for key in columns)
        lines.append(f"| {score} network{chosen} | {content['n']:,} | {cells} |")
    everything = content.get("mi_against_everything")
    if everything:
        rest = " | –" * (len(columns) - 2)
        for name, figures in everything["figures"].items():
            cells = f"{metric_cell(figures['auroc'])} | {metric_cell(figures['auprc'])}"
            lines.append(f"| {name}; MI against everything | {everything['n']:,} | {cells}{rest} |")
    return "\n".join(lines)


def comparison_table(content: dict) -> str:
    """Figures, sizes and differences as Markdown, a row a network."""
    lines = [
        "| network | parameters | MACs | CPU ms | AUROC | AUPRC | F1 | AUROC against the first | p |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in content["networks"]:
        cells = [
            row["name"],
            f"{row['parameters']:,}",
            f"{row['multiply_accumulates'] / 1e6:.0f} M",
            f"{row['cpu_ms']:.1f}",
            *(metric_cell(row[key]) for key in ("auroc", "auprc", "f1")),
        ]
        difference = row.get("difference", {}).get("auroc")
        if difference:
            low, high = difference["ci95"]
            cells += [f"{difference['value']:+.4f} ({low:+.4f} to {high:+.4f})", f"{difference['p']:.3f}"]
        else:
            cells += ["–", "–"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def metrics_table(content: dict) -> str:
    """The figures of a metrics file with their intervals, a row a class."""
    classes = [key for key, value in content.items() if isinstance(value, dict) and "auroc" in value]
    ordered = [*(name for name in classes if name not in ("macro", "macro_all", "in_sample")), "macro", "macro_all"]
    n = {"macro": f"macro, labelled (n = {content['n']:,})", "macro_all": f"macro, all (n = {content['n_all']:,})"}
    lines = [
        "| class | " + " | ".join(TABLE_COLUMNS.values()) + " |",
        "|---" * (len(TABLE_COLUMNS) + 1) + "|",
    ]
    for name in ordered:
        lines.append(
            f"| {n.get(name, name)} | " + " | ".join(metric_cell(content[name][key]) for key in TABLE_COLUMNS) + " |"
        )
    return "\n".join(lines)


TABLE_COLUMNS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier",
    "ece": "ECE",
}


def metric_cell(figure: dict) -> str:
    """A figure with its interval, for a table."""
    if figure["value"] is None:
        return "–"
    low, high = figure["ci95"]
    return f"{figure['value']:.3f} ({low:.3f}–{high:.3f})" if low is not None else f"{figure['value']:.3f}"
