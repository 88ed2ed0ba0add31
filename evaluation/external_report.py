"""The evaluation of a collection to read: a Markdown report and its figures, from `evaluate_collection`."""

import json
from collections import Counter
from pathlib import Path

from matplotlib.figure import Figure

from config import RESEARCH_ONLY, SYNTHETIC_NOTICE
from evaluation.external import FEWEST_FOR_MACRO, EvaluatedClass
from evaluation.figures import COLOURS, reliability_curve
from evaluation.tables import markdown_table
from files import replacing, write_text

LEVEL_TITLES = {
    "superclass": "Superclasses",
    "subclass": "Subclasses",
    "statement": "Statements",
    "group": "Codes that stand for several statements",
}
LISTED = 20  # refused recordings in the report; the metrics file has all
FAR_OFF = 2  # classes predicted so many times as often, or as seldom, as they are labelled are named in the figure


def write_evaluation(out: Path, content: dict, classes: list[EvaluatedClass]) -> list[Path]:
    """Metrics file, figures and report; returns their paths."""
    name = content["collection"]
    metrics, report = out / f"external_metrics_{name}.json", out / f"external_report_{name}.md"
    write_text(metrics, json.dumps(content, indent=1) + "\n")
    figures = {"auroc": draw_auroc(content), "drift": draw_drift(content), "reliability": draw_reliability(classes)}
    pictures = {}
    for kind, figure in figures.items():
        if content["synthetic"]:
            figure.suptitle("SYNTHETIC DATA", fontsize=10)
        pictures[kind] = out / "figures" / f"external_{kind}_{name}.png"
        with replacing(pictures[kind]) as unfinished:
            figure.savefig(unfinished, dpi=130)
    write_text(report, markdown(content, {kind: path.relative_to(out) for kind, path in pictures.items()}))
    return [metrics, report, *pictures.values()]


def all_classes(content: dict) -> dict[str, dict[str, dict]]:
    """Level to class to entry, in the order of `LEVEL_TITLES`."""
    entries = [*content["classes"].items(), *content["subclasses"].items()]
    levels = {level: {key: entry for key, entry in entries if entry["level"] == level} for level in LEVEL_TITLES}
    return {level: of_level for level, of_level in levels.items() if of_level}


def markdown(content: dict, pictures: dict[str, Path]) -> str:
    """The whole report."""
    parts = [f"# {content['collection']}", *_introduction(content)]
    for level, entries in all_classes(content).items():
        parts += [f"## {LEVEL_TITLES[level]}", _performance(entries)]
        if level in content["macro"]:
            macro = content["macro"][level]
            parts.append(
                f"Mean of the {macro['classes']} with at least {FEWEST_FOR_MACRO} positives: AUROC "
                f"{_interval(macro['auroc'])}, AUPRC {_interval(macro['auprc'])}."
            )
        parts += [_after_fitting(entries), _drift(entries)]
    parts += [f"![{kind}]({path.as_posix()})" for kind, path in pictures.items()]
    parts += ["## Labels", *_labels(content), "## Recordings", *_recordings(content), RESEARCH_ONLY]
    return "\n\n".join(parts) + "\n"


def _introduction(content: dict) -> list[str]:
    lines = [SYNTHETIC_NOTICE] if content["synthetic"] else []
    n_patients = f" of {content['n_patients']:,} patients" if content["n_patients"] else ""
    lines.append(
        f"{content['n']:,} recordings{n_patients}, of {content['n_records']:,} in the collection: "
        f"{content['n_refused']:,} were refused, {content['n_without_known_label']:,} have no label known here. "
        f"Network {content['model']}, checkpoint `{content['checkpoint_sha256'][:12]}`, {content['date']}."
    )
    lines.append(
        f"Intervals: {content['intervals']}. Sensitivity, specificity and calibration: {content['decisions']}; "
        f"recalibrated: {content['recalibrated']}. A class counts only on the recordings whose labels tell it."
    )
    if "statement" in content["levels"]:
        lines.append(
            "Decisions are those of the thresholds alone, before the rule of docs/verdict.md: what is not validated is "
            "never asserted by the product."
        )
    else:
        lines.append("This network answers the superclasses only, so subclasses and statements are left out.")
    return lines


def _performance(entries: dict[str, dict]) -> str:
    rows = [
        [f"{key}{_spelt_out(key, entry)}", f"{entry['n_positive']:,} of {entry['n']:,}"]
        + [_interval(entry[metric]) for metric in ("auroc", "auprc", "sensitivity", "specificity", "ppv")]
        for key, entry in entries.items()
    ]
    return markdown_table(["class", "positive", "AUROC", "AUPRC", "sensitivity", "specificity", "PPV"], rows)


def _spelt_out(key: str, entry: dict) -> str:
    name = f", {entry['name']}" if entry["name"] != key else ""
    return name if entry["validated"] else f"{name} (not validated)"


def _after_fitting(entries: dict[str, dict]) -> str:
    """Decisions before and after calibration and threshold were fitted on the collection."""
    rows = [
        [key]
        + [_interval(entry["recalibrated"][metric]) for metric in ("sensitivity", "specificity", "ppv", "f1", "ece")]
        + [_interval(entry["f1"]), _interval(entry["ece"])]
        for key, entry in entries.items()
        if entry["recalibrated"]
    ]
    names = ["sensitivity", "specificity", "PPV", "F1", "calibration error", "F1 as shipped", "error as shipped"]
    table = markdown_table(["class", *names], rows)
    return f"Recalibrated by cross-fitting:\n\n{table}" if rows else "Too few to recalibrate."


def _drift(entries: dict[str, dict]) -> str:
    rows = [
        [
            key,
            f"{_number(entry['observed']['value'])}",
            f"{_number(entry['predicted']['value'])}",
            _interval(entry["drift"]),
            f"{entry['calibration_slope']:.2f}",
            f"{entry['calibration_intercept']:.2f}",
        ]
        for key, entry in entries.items()
    ]
    names = ["observed", "mean predicted", "difference", "slope", "intercept"]
    table = markdown_table(["class", *names], rows)
    return f"Calibration drift, as shipped (slope 1 and intercept 0: none):\n\n{table}"


def _labels(content: dict) -> list[str]:
    mapped = [[code, facts["name"], f"{facts['n']:,}"] for code, facts in content["codes"].items()]
    unmapped = [[code, facts["name"], f"{facts['n']:,}"] for code, facts in content["unmapped_codes"].items()]
    lines = [markdown_table(["SNOMED CT code", "name", "recordings"], mapped)]
    if unmapped:
        lines += ["Not mapped, so not evaluated:", markdown_table(["label", "name", "recordings"], unmapped)]
    reasons = Counter(content["not_evaluated"].values())
    lines += ["Classes not evaluated:"] if reasons else []
    for reason in reasons:
        names = [name for name, why in content["not_evaluated"].items() if why == reason]
        lines.append(f"- {reason}: {', '.join(names)}")
    return lines


def _recordings(content: dict) -> list[str]:
    duration, quality = content["duration_s"], content["quality"]
    rates = ", ".join(f"{rate} Hz ({n:,})" for rate, n in content["sampling_rates"].items())
    lines = [
        f"{rates}; {duration['shortest']:g} to {duration['longest']:g} s, median {duration['median']:g} s.",
        "Quality: " + ", ".join(f"{severity} {n:,}" for severity, n in quality["severity"].items() if n) + ".",
    ]
    if quality["flags"]:
        rows = [[name, f"{n:,}"] for name, n in quality["flags"].items()]
        lines.append(markdown_table(["quality flag", "recordings"], rows))
    refused = content["refused"]
    if refused:
        rows = [[one["file"], one["reason"]] for one in refused[:LISTED]]
        lines += ["Refused:", markdown_table(["file", "reason"], rows)]
    if len(refused) > LISTED:
        lines.append(f"and {len(refused) - LISTED:,} more, all in the metrics file.")
    return lines


def _interval(metric: dict) -> str:
    low, high = metric["ci95"]
    value = _number(metric["value"])
    return value if low is None or metric["value"] is None else f"{value} ({_number(low)} to {_number(high)})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def draw_auroc(content: dict) -> Figure:
    """AUROC of every class with its interval, level by level."""
    rows = [
        (key, entry, COLOURS[number])
        for number, entries in enumerate(all_classes(content).values())
        for key, entry in entries.items()
    ]
    figure = Figure(figsize=(6.4, 1.2 + 0.22 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for position, (_, entry, colour) in enumerate(rows):
        low, high = entry["auroc"]["ci95"]
        if low is not None:
            axes.plot([low, high], [position, position], color=colour, linewidth=1.2)
        axes.plot(entry["auroc"]["value"], position, "o", color=colour, markersize=3.5)
    axes.set_yticks(range(len(rows)), [f"{key} ({entry['n_positive']:,})" for key, entry, _ in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(0.5, color="0.6", linewidth=0.8, zorder=0)
    axes.set(xlabel="AUROC (positives in brackets)", title=f"{content['collection']}, n = {content['n']:,}")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_drift(content: dict) -> Figure:
    """Share of recordings labelled with each class against the mean calibrated probability, on logarithmic axes.

    Superclasses are named, and others that are `FAR_OFF`.
    """
    figure = Figure(figsize=(5.4, 5.4), layout="constrained")
    axes = figure.subplots()
    for number, (level, entries) in enumerate(all_classes(content).items()):
        points = [(key, entry["predicted"]["value"], entry["observed"]["value"]) for key, entry in entries.items()]
        axes.plot(*zip(*(point[1:] for point in points), strict=True), "o", color=COLOURS[number], label=level)
        for key, predicted, observed in points:
            if level == "superclass" or not 1 / FAR_OFF < predicted / observed < FAR_OFF:
                axes.annotate(key, (predicted, observed), (4, 3), textcoords="offset points", fontsize=7)
    low = min(min(axes.get_xlim()[0], axes.get_ylim()[0]), 0.1)
    axes.plot([1e-4, 1], [1e-4, 1], color="0.7", linewidth=0.8, zorder=0)
    limits = (max(low, 5e-4), 1.1)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    axes.set(xlabel="mean calibrated probability", ylabel="share labelled", title=content["collection"])
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_reliability(classes: list[EvaluatedClass]) -> Figure:
    """Frequency against calibrated probability of each superclass; dashed after fitting on the collection."""
    figure = Figure(figsize=(5.4, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
    superclasses = [one for one in classes if one.label_class.level == "superclass"]
    for one, colour in zip(superclasses, COLOURS, strict=False):
        axes.plot(
            *reliability_curve(one.calibrated, one.targets),
            "o-",
            markersize=3.5,
            color=colour,
            label=one.label_class.name,
        )
        if one.refitted:
            axes.plot(*reliability_curve(one.refitted[0], one.targets), "--", linewidth=1, color=colour)
    axes.set(xlabel="calibrated probability (dashed: refitted here)", ylabel="frequency", aspect="equal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    if superclasses:
        axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
