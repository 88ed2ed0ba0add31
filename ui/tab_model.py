"""The tab Model: how good the networks are, from the JSON files in artifacts/, and what they cannot do."""

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from config import ANYLEAD, SAMPLING_RATE, SUPERCLASSES
from ecg.statements import BY_CODE, RHYTHMS
from evaluation.releases import comparison_of_checkpoint, metrics_of_checkpoint, read_releases
from evaluation.statements import FEWEST_POSITIVES, LEAST_AUROC
from evaluation.tables import METRIC_COLUMNS, difference_cell, metric_cell
from ui.cached import artifacts

TASKS = {
    "multilabel": "Five superclasses",
    "mi_vs_norm": "MI against normal",
    "norm_vs_abnormal": "Normal against abnormal",
}
STATEMENT_METRICS = {
    name: METRIC_COLUMNS.get(name, "PPV") for name in ("auroc", "auprc", "sensitivity", "specificity", "ppv")
}
FIGURES = {"roc": "ROC", "pr": "precision and recall", "reliability": "reliability", "confusion": "confusion"}
INTRODUCTION = f"""
A convolutional network of about 0.3 million parameters reads twelve leads at {SAMPLING_RATE} Hz, in mV, with one
encoder for all leads. It was trained on PTB-XL folds 1 to 8. 95 % intervals are in brackets. Where leads are missing, a
second network of the same kind answers, which was trained without some of them.

- **Validation set (fold 9):** architecture, loss, epoch, calibration and thresholds were chosen on it, so it favours
  this network over the baselines. Metrics that need a threshold are cross-fitted by patient.
- **Test set (fold 10):** not used in development; nothing was chosen by its results. The calibration and thresholds of
  fold 9 apply.
"""
LIMITS = """
- **Not a medical device.** It has not been tested in care.
- **One data set, one era, one manufacturer.** Performance elsewhere is unknown.
- **Only labelled statements.** “STTC” is not every change of the ST segment or T wave: PTB-XL counts ST depression,
  ST elevation and inverted T waves that are only described, without a diagnosis, to no class.
- **Labels are opinions.** Disagreeing with one is not always an error.
- **Hypertrophy is the weakest class**, as in the published work.
- **Fewer leads show less.** What the leads of a recording do not show well enough is grey and never asserted. A normal
  result then means: as far as these leads show it.
"""
OFTEN_MISSED = 0.6  # share found, below which a rhythm is listed
LIMITS_OF_CLASSES = """
- **No rhythms.** It cannot report atrial fibrillation, extra beats or pacing.
- **Broad classes.** “MI” does not say acute or old, “CD” does not say which block.
"""
GROUPS_OF_TASKS = {
    "super": "5 superclasses",
    "sub": "subclasses",
    "diagnostic": "diagnostic statements",
    "form": "form statements",
    "rhythm": "rhythm statements",
    "all": "all statements",
}


def model_tab() -> None:
    directory = artifacts()
    st.markdown(INTRODUCTION)
    for task, title in TASKS.items():
        contents = read_metrics(directory, task)
        if contents:
            st.subheader(title)
        for content in contents:
            show_metrics(content)
        drawn = [found for split in ("test", "val") for found in figures(directory, task, split)]
        for column, (caption, path) in zip(st.columns(len(drawn) or 1), drawn, strict=False):
            column.image(str(path), caption=f"{title}: {caption}", width="stretch")
    statements = read_splits(directory, "statements_metrics")
    for content in statements:
        show_statement_metrics(content)
    comparisons = read_comparisons(directory)
    if comparisons:
        st.subheader("Comparison with the baselines")
    for content in comparisons:
        st.markdown(f"**{split_title(content)}**")
        st.caption(f"{content['n']:,} recordings; intervals: {content['intervals']}")
        st.table(comparison_table(content))
    for content in read_lead_sets(directory):
        show_lead_sets(content)
    groups = directory / "analysis" / "groups.png"
    if groups.is_file():
        st.subheader("Errors by group of patients")
        st.image(str(groups), caption="Validation set: share of ECGs with any class wrong", width=900)
    st.subheader("Limits")
    st.markdown(LIMITS + (limits_of_statements(statements[-1]) if statements else LIMITS_OF_CLASSES))


def limits_of_statements(content: dict) -> str:
    """What a network that names statements and rhythms cannot do, from its metrics file."""
    unvalidated = [
        f"{BY_CODE[code].name} ({code})" for code, one in content["statements"].items() if not one["validated"]
    ]
    named = {code: content["statements"].get(code, {}).get("validated") for code in RHYTHMS}
    rhythms = [BY_CODE[code].name for code in RHYTHMS if named[code]]
    never = [BY_CODE[code].name for code in RHYTHMS if not named[code]]
    found = {code: content["rhythm"]["sensitivity"].get(code) or 0 for code in RHYTHMS if named[code]}
    missed = [f"{BY_CODE[code].name} ({part:.0%} found)" for code, part in found.items() if part < OFTEN_MISSED]
    return f"""
- **Rhythms:** it names {"; ".join(rhythms)}. It never names {"; ".join(never) or "others"}:
  at best the rhythm is then called uncertain. Often missed: {"; ".join(missed) or "none"}.
- **Ten seconds.** A rhythm that comes and goes is missed between attacks.
- **Infarction:** its wall is named, its age is not.
- **Not validated:** {len(unvalidated)} of {len(content["statements"])} statements are never asserted, because the
  validation set has fewer than {FEWEST_POSITIVES} examples, or because their AUROC may lie below
  {LEAST_AUROC:.2f}: {"; ".join(unvalidated) or "none"}.
"""


def show_statement_metrics(content: dict) -> None:
    """The six tasks, the rhythm's confusion matrix, and every statement."""
    st.subheader("Statements and rhythms")
    st.markdown(f"**{split_title(content)}**")
    if content.get("synthetic"):
        st.warning("Measured on synthetic data: it says nothing about accuracy.")
    st.caption(f"{content['n_all']:,} recordings; {content['decisions']}")
    st.table(tasks_table(content))
    rhythm = content["rhythm"]
    st.markdown("**Rhythm**: annotated (rows) against named (columns)")
    st.html(confusion_html(rhythm))
    st.caption(
        f"{rhythm['n']:,} recordings with exactly one of the nine rhythms: {rhythm['accuracy']:.1%} named rightly, "
        f"{rhythm['uncertain']:.1%} called uncertain. Of the rhythms that are named, {rhythm['accuracy_certain']:.1%} "
        "are right."
    )
    with st.expander(f"All {len(content['statements'])} statements"):
        st.table(statements_table(content))


def tasks_table(content: dict) -> pd.DataFrame:
    """A row for each of the six tasks: number of classes and macro metrics with intervals."""
    rows = {
        name: {
            "outputs": str(content["tasks"][task]["classes"]),
            "recordings": f"{content['tasks'][task]['n']:,}",
            "macro AUROC": metric_cell(content["tasks"][task]["auroc"]),
            "with 5 or more positives": metric_cell(content["tasks"][task]["auroc_min5"]),
            "macro AUPRC": metric_cell(content["tasks"][task]["auprc"]),
        }
        for task, name in GROUPS_OF_TASKS.items()
        if task in content["tasks"]
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def statements_table(content: dict) -> pd.DataFrame:
    """A row for each statement: positives, whether it is validated, metrics with intervals."""
    rows = {}
    for code, one in content["statements"].items():
        cells = {name: metric_cell(one[name]) if one.get(name) else "–" for name in STATEMENT_METRICS}
        validated = "yes" if one["validated"] else "not validated"
        rows[f"{code} {BY_CODE[code].name}"] = {"positive": str(one["n_positive"]), "validated": validated} | cells
    return pd.DataFrame.from_dict(rows, orient="index").rename(columns=STATEMENT_METRICS)


def confusion_html(rhythm: dict) -> str:
    """The rhythm's confusion matrix; each cell is as dark as its share of the row."""
    labels = rhythm["labels"]
    head = "".join(f'<th scope="col">{label}</th>' for label in labels)
    rows = []
    for number, counts in enumerate(rhythm["confusion"]):
        code, total = labels[number], sum(counts)
        cells = "".join(
            f'<td{" class=right" if column == number else ""} style="--share:{count / max(total, 1):.2f}">{count}</td>'
            for column, count in enumerate(counts)
        )
        sensitivity, ppv = (share(rhythm[name].get(code)) for name in ("sensitivity", "ppv"))
        rows.append(
            f'<tr><th scope="row">{code} {BY_CODE[code].name}</th>{cells}<td>{total}</td>'
            f"<td>{sensitivity}</td><td>{ppv}</td></tr>"
        )
    head = f"<tr><th>annotated</th>{head}<th>all</th><th>sensitivity</th><th>PPV</th></tr>"
    return (
        '<div class="confusion" tabindex="0" role="region" aria-label="Confusion matrix of the rhythm">'
        f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def show_metrics(content: dict) -> None:
    st.markdown(f"**{split_title(content)}**")
    if content.get("synthetic"):
        st.warning("Measured on synthetic data: it says nothing about accuracy.")
    st.caption("; ".join(part for part in (f"{content['n']:,} recordings", content.get("decisions")) if part))
    st.table(metrics_table(content))


def show_lead_sets(content: dict) -> None:
    """What the network for missing leads reaches with each set of leads."""
    st.subheader("Missing leads")
    st.markdown(f"**{split_title(content)}**")
    st.caption(
        f"{content['n']:,} recordings, only some of whose leads the network sees; limb: the six limb leads, which two "
        "of I, II and III give; 11: any one chest lead missing"
    )
    st.table(lead_sets_table(content))


def lead_sets_table(content: dict) -> pd.DataFrame:
    """A row for each set of leads: macro metrics with intervals, and the AUROC of atrial fibrillation alone."""
    rows = {
        name: {METRIC_COLUMNS[key]: metric_cell(row[key]) for key in ("auroc", "auprc", "f1")}
        | {"AUROC of atrial fibrillation": metric_cell(row["afib_auroc"]) if "afib_auroc" in row else "–"}
        for name, row in content["lead_sets"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def read_lead_sets(directory: Path) -> list[dict]:
    """Evaluations of the network for missing leads that is in use."""
    in_use = checkpoint_in_use(directory, ANYLEAD)
    return [content for content in read_splits(directory, "lead_sets") if content["checkpoint_sha256"] == in_use]


def split_title(content: dict) -> str:
    """Which records a metrics file is about, such as "Test set (fold 10), release 1"."""
    name = {"test": "Test set", "val": "Validation set"}[content["split"]]
    release = f", release {content['release']}" if "release" in content else ""
    return f"{name} (fold {content['fold']}){release}"


def read_metrics(directory: Path, task: str) -> list[dict]:
    """A task's metrics on the test set and the validation set; released ones of the checkpoint in use only."""
    released = metrics_of_checkpoint(read_releases(directory), task, checkpoint_in_use(directory, task))
    return [released] * bool(released) + read_splits(directory, f"{task}_metrics")


def read_comparisons(directory: Path) -> list[dict]:
    """As `read_metrics`, of the network in use beside the baselines; none that was made with earlier weights."""
    in_use = checkpoint_in_use(directory, "multilabel")
    released = comparison_of_checkpoint(read_releases(directory), in_use)
    here = [c for c in read_splits(directory, "comparison") if c["networks"][0]["checkpoint_sha256"] == in_use]
    return [released] * bool(released) + here


def read_splits(directory: Path, stem: str) -> list[dict]:
    paths = [directory / f"{stem}_{split}.json" for split in ("test", "val")]
    return [read_json(path) for path in paths if path.is_file()]


def checkpoint_in_use(directory: Path, task: str) -> str:
    """SHA-256 of the checkpoint that decides a task, from its thresholds; empty without them."""
    path = directory / f"{task}_thresholds.json"
    return read_json(path)["checkpoint_sha256"] if path.is_file() else ""


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def metrics_table(content: dict) -> pd.DataFrame:
    """A row for each class and one for their mean, or the one row of a binary task; metrics with intervals."""
    if content["task"] == "multilabel":
        rows = {name: content[name] for name in SUPERCLASSES} | {"macro average": content["macro"]}
    else:
        rows = {TASKS[content["task"]]: content["macro"]}
    cells = {
        name: [metric_cell(metrics[key]) if metrics.get(key) else "–" for key in METRIC_COLUMNS]
        for name, metrics in rows.items()
    }
    return pd.DataFrame.from_dict(cells, orient="index", columns=list(METRIC_COLUMNS.values()))


def comparison_table(content: dict) -> pd.DataFrame:
    """A row for each network: size, speed, metrics, and the difference of its AUROC from the first network's."""
    rows = []
    for network in content["networks"]:
        difference = network.get("difference", {}).get("auroc")
        rows.append(
            {
                "network": network["name"],
                "parameters": f"{network['parameters']:,}",
                "CPU": f"{network['cpu_ms']:.1f} ms",
                **{METRIC_COLUMNS[key]: metric_cell(network[key]) for key in ("auroc", "auprc", "f1")},
                "AUROC against the first": difference_cell(difference) if difference else "–",
            }
        )
    return pd.DataFrame(rows).set_index("network")


def figures(directory: Path, task: str, split: str) -> list[tuple[str, Path]]:
    """Caption and file of each figure of a task; those that exist."""
    paths = {name: directory / "figures" / f"{task}_{kind}_{split}.png" for kind, name in FIGURES.items()}
    title = {"test": "test set", "val": "validation set"}[split]
    return [(f"{name}, {title}", path) for name, path in paths.items() if path.is_file()]
