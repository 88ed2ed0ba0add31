"""Tables of the validation set (fold 9)."""

from config import BINARY_TASKS
from evaluation.tables import by_score_table, comparison_table, markdown_table, metric_cell, metrics_table
from tools.documents import read_artifact

SUMMARY_METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "exact_match": "exact match",
    "hamming_loss": "Hamming loss",
}
BINARY_NAMES = {"mi_vs_norm": "MI against NORM", "norm_vs_abnormal": "NORM against abnormal"}
BINARY_METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "accuracy",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "brier": "Brier",
    "ece": "ECE",
}


def metrics_with_facts(content: dict) -> str:
    """The metrics of one file a class, below what they were measured on."""
    facts = (
        f"Fold {content['fold']}, {content['n']:,} recordings with a superclass ({content['n_all']:,} in all), "
        f"{content['parameters']:,} parameters, {content['decisions']}; {content['intervals']}; checkpoint "
        f"`{content['checkpoint_sha256'][:12]}`."
    )
    return f"{facts}\n\n{metrics_table(content)}"


def summary() -> str:
    """Macro metrics, a row a protocol."""
    content = read_artifact("multilabel_metrics_val.json")
    rows = (
        [name, f"{content[n]:,}", *(metric_cell(content[group][key]) for key in SUMMARY_METRICS)]
        for group, n, name in (
            ("macro", "n", "recordings with a superclass"),
            ("macro_all", "n_all", "all recordings"),
        )
    )
    header = (f"fold {content['fold']}, macro over five superclasses", "N", *SUMMARY_METRICS.values())
    return markdown_table(header, rows)


def uncertain() -> str:
    """What the uncertain verdict is worth: metrics with and without the ECGs it holds back."""
    content = read_artifact("multilabel_metrics_val.json")["coverage"]
    verdicts = [
        ("certain diagnosis", content["verdict_certain"]),
        ("uncertain: near a threshold or poor quality", content["verdict_uncertain"]),
        ("certain by the margin alone, quality ignored", content["margin_alone"]["verdict_certain"]),
    ]
    rows = [[name, f"{row['share']:.1%}", f"{row['f1']:.3f}", f"{row['exact_match']:.1%}"] for name, row in verdicts]
    rows += [
        ["widest margins", f"{row['coverage']:.0%}", f"{row['f1']:.3f}", f"{row['exact_match']:.1%}"]
        for row in content["curve"]
    ]
    return markdown_table(("ECGs", "coverage", "macro F1", "all five classes right"), rows)


def binary() -> str:
    """Every metric of both binary tasks, a row a metric."""
    contents = {task: read_artifact(f"{task}_metrics_val.json") for task in BINARY_TASKS}
    rows = [
        [name, *(metric_cell(content["macro"][key]) for content in contents.values())]
        for key, name in BINARY_METRICS.items()
    ]
    rows.append(["score", *(content["score"] + " network" for content in contents.values())])
    names = (f"{BINARY_NAMES[task]} (n = {content['n']:,})" for task, content in contents.items())
    return markdown_table(("fold 9", *names), rows)


def binary_scores() -> str:
    """Each binary task by its own network and by the multi-label one."""
    parts = []
    for task in BINARY_TASKS:
        content = read_artifact(f"{task}_metrics_val.json")
        parts += [f"{BINARY_NAMES[task]}, fold {content['fold']}:", by_score_table(content)]
        if "mi_against_everything" in content:
            parts.append(content["mi_against_everything"]["limit"])
    return "\n\n".join(parts)


def compared(content: dict) -> str:
    """Networks on the same recordings with paired differences, below what they were measured on."""
    machine = content["machine"]
    return (
        f"Fold {content['fold']}, {content['n']:,} recordings with a superclass; {content['intervals']}; "
        f"milliseconds of one 10-s recording on one thread of {machine['processor']} ({machine['instruction_set']}), "
        f"PyTorch.\n\n{comparison_table(content)}"
    )


def baselines() -> str:
    return compared(read_artifact("comparison_val.json"))


def lead_sets() -> str:
    """The shipped weights with fewer leads."""
    rows = (
        [name, len(row["leads"]), metric_cell(row["auroc"]), metric_cell(row["auprc"])]
        for name, row in read_artifact("lead_sets_val.json")["lead_sets"].items()
    )
    return markdown_table(("leads recorded", "leads the network sees", "AUROC", "AUPRC"), rows)


def claims() -> str:
    """What the error analysis concluded."""
    rows = (
        [item["claim"], item["verdict"], item["numbers"]]
        for item in read_artifact("analysis/errors.json")["conclusions"]
    )
    return markdown_table(("claim", "verdict", "numbers"), rows)
