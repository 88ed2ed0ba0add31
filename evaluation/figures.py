"""Figures: ROC, precision-recall, reliability, confusion, comparison of networks, errors by group and by network."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from evaluation.metrics import CALIBRATION_BINS

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito: safe for the colour-blind
FEWEST_IN_BIN = 10  # recordings, for a bin to be drawn


def draw_comparison(content: dict) -> Figure:
    """Macro AUROC with its interval against the number of parameters."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    first_seeds = {row["model"]: row for row in reversed(content["networks"])}.values()  # one point an architecture
    for number, row in enumerate(sorted(first_seeds, key=lambda row: row["parameters"])):
        value, (low, high) = row["auroc"]["value"], row["auroc"]["ci95"]
        colour = COLOURS[number % len(COLOURS)]
        axes.errorbar(row["parameters"], value, [[value - low], [high - value]], fmt="o", color=colour, capsize=3)
        place = (8, 6) if number % 2 else (8, -14)  # neighbours of like size do not write over each other
        axes.annotate(row["model"], (row["parameters"], value), place, textcoords="offset points", fontsize=9)
    axes.set(xscale="log", xlabel="parameters", ylabel=f"macro AUROC, fold {content['fold']}")
    axes.margins(x=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if content["synthetic"]:
        axes.set_title("SYNTHETIC DATA")
    return figure


def draw_roc(content: dict, predictions: dict) -> Figure:
    """ROC curve of each class on labelled recordings."""
    figure, axes = _square("1 - specificity", "sensitivity", content)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
    for scores, targets, style in _classes(content, predictions, "probabilities", "auroc"):
        fallout, recall, _ = roc_curve(targets, scores)
        axes.plot(fallout, recall, **style)
    axes.legend(title="AUROC", loc="lower right", frameon=False)
    return figure


def draw_precision_recall(content: dict, predictions: dict) -> Figure:
    """Precision against recall of each class on labelled recordings."""
    figure, axes = _square("sensitivity (recall)", "positive predictive value (precision)", content)
    for scores, targets, style in _classes(content, predictions, "probabilities", "auprc"):
        precision, recall, _ = precision_recall_curve(targets, scores)
        axes.plot(recall, precision, **style)
    axes.legend(title="AUPRC", loc="lower left", frameon=False)
    return figure


def draw_reliability(content: dict, predictions: dict) -> Figure:
    """Frequency against calibrated probability in bins, see `reliability_curve`."""
    figure, axes = _square("calibrated probability", "frequency", content)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
    for scores, targets, style in _classes(content, predictions, "calibrated", "ece"):
        axes.plot(*reliability_curve(scores, targets), "o-", markersize=3.5, **style)
    axes.legend(title="calibration error", loc="upper left", frameon=False)
    return figure


def reliability_curve(probabilities: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability and frequency in each bin with enough recordings; probabilities and targets ``(n,)``."""
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts, sums, positives = (np.bincount(bins, weights) for weights in (None, probabilities, targets))
    filled = counts >= FEWEST_IN_BIN
    return sums[filled] / counts[filled], positives[filled] / counts[filled]


def draw_confusion(content: dict, predictions: dict) -> Figure:
    """Decisions against annotations: counts, shaded by the share of their row."""
    counts = content["confusion"]
    yes, no = {"mi_vs_norm": ("MI", "NORM"), "norm_vs_abnormal": ("abnormal", "NORM")}[content["task"]]
    table = np.array(
        [
            [counts["true_positive"], counts["false_negative"]],
            [counts["false_positive"], counts["true_negative"]],
        ]
    )
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.1)
    for (row, column), count in np.ndenumerate(table):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:,}\n{shares[row, column]:.1%}", ha="center", va="center", color=ink)
    axes.set_xticks([0, 1], [f"says {yes}", f"says {no}"])
    axes.set_yticks([0, 1], [f"labelled {yes}", f"labelled {no}"], rotation=90, va="center")
    axes.set_title(_title(content), fontsize=10)
    return figure


def draw_groups(content: dict) -> Figure:
    """Error rate of every group that is large enough, with its interval; the line is that of all recordings."""
    rows = [
        (f"{name}: {label} ({facts['n']:,})", facts["error_rate"])
        for name, groups in content["groups"].items()
        for label, facts in groups.items()
        if not facts["too_small"]
    ]
    figure = Figure(figsize=(7, 0.8 + 0.19 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for position, (_, rate) in enumerate(rows):
        low, high = rate["ci95"]
        axes.plot([low, high], [position, position], color=COLOURS[0], linewidth=1.2)
        axes.plot(rate["value"], position, "o", color=COLOURS[0], markersize=3.5)
    everyone = content["clear_and_doubtful"]["errors"] / content["n"]
    axes.axvline(everyone, color="0.6", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set(xlabel="share of ECGs with any class wrong", title="SYNTHETIC DATA" if content["synthetic"] else None)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_agreement(content: dict) -> Figure:
    """Cohen's kappa between the errors of every two networks: seeds among themselves, and architectures."""
    kappas = {**content["architectures"]["kappa"], **content.get("seed_errors", {}).get("kappa", {})}
    names = list(content["metrics"])
    table = np.full((len(names), len(names)), np.nan)
    for pair, kappa in kappas.items():
        a, b = (names.index(name) for name in pair.split(" | "))
        table[a, b] = table[b, a] = kappa
    figure = Figure(figsize=(2.2 + 0.55 * len(names), 1.6 + 0.55 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1)
    for (row, column), kappa in np.ndenumerate(table):
        if np.isfinite(kappa):
            axes.text(column, row, f"{kappa:.2f}", ha="center", va="center", color="white" if kappa > 0.6 else "black")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_title("SYNTHETIC DATA" if content["synthetic"] else "Agreement of errors (kappa)", fontsize=10)
    return figure


def _classes(content: dict, predictions: dict, key: str, metric: str):
    """Scores and targets of each class on labelled recordings, and the colour and label of its curve.

    A class without positives or without negatives has no curve.
    """
    chosen = predictions["labelled"]
    for name, colour, scores, targets in zip(
        predictions["classes"], COLOURS, predictions[key][chosen].T, predictions["targets"][chosen].T, strict=False
    ):
        if 0 < (targets > 0).mean() < 1:
            yield scores, targets, {"color": colour, "label": f"{name}  {content[name][metric]['value']:.3f}"}


def _square(x: str, y: str, content: dict) -> tuple[Figure, object]:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_title(_title(content), fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _title(content: dict) -> str:
    title = f"{content['model']}, {content['task']}, fold {content['fold']}, n = {content['n']:,}"
    return f"SYNTHETIC DATA: {title}" if content["synthetic"] else title
