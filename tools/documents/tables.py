"""Values of the tables in README.md, MODEL_CARD.md and docs/; the tables themselves are macros in tables.md.j2."""

from jinja2.runtime import Macro

from config import DEFAULT_OUT
from evaluation.releases import Release, metrics_of_checkpoint, read_releases
from tools.documents import TEMPLATES, read_artifact
from tools.documents.published import PUBLISHED

BINARY_NAMES = {"mi_vs_norm": "MI against NORM", "norm_vs_abnormal": "NORM against abnormal"}
TASK_NAMES = {"multilabel": "five superclasses, macro", **BINARY_NAMES}
TASK_METRICS = {
    "multilabel": {"auroc": "AUROC", "auprc": "AUPRC", "f1": "F1"},
    **dict.fromkeys(BINARY_NAMES, {"auroc": "AUROC", "accuracy": "accuracy", "f1": "F1"}),
}
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
NETWORK_NAMES = {
    "hmt_ecgnet": "**HMT-ECGNet**",
    "hmt_ecgnet_tiny": "**HMT-ECGNet, tiny**",
    "resnet1d": "ResNet-1D, our baseline",
    "resnet1d_wang": "resnet1d_wang, our baseline",
    "plain_cnn": "plain CNN, our baseline",
}
REQUESTS = {"json": "JSON", "npy": "NPY upload", "wfdb": "WFDB upload", "json, intervals": "JSON, with intervals"}
PAGE_TIMES = (  # key, name, aim in s
    ("first_paint_s", "first ECG on the screen", 3),
    ("change_of_ecg_s", "another ECG", 1),
    ("explanation_s", "explanation", 2),
)


def document_tables() -> dict[str, Macro]:
    """Each table by the name that documents mark it with, as a function that writes it."""
    values = {
        "BINARY_NAMES": BINARY_NAMES,
        "TASK_NAMES": TASK_NAMES,
        "TASK_METRICS": TASK_METRICS,
        "BINARY_METRICS": BINARY_METRICS,
        "PUBLISHED": PUBLISHED,
        "REQUESTS": REQUESTS,
        "PAGE_TIMES": PAGE_TIMES,
        "artifact": read_artifact,
        "tested": tested,
        "last_compared": last_compared,
        "read_releases": lambda: read_releases(DEFAULT_OUT),
        "our_networks": our_networks,
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


def our_networks() -> list[dict]:
    """AUROC of this project's networks on both sets; the release's name where it was tested with other weights."""
    validated = {network["name"]: network for network in read_artifact("comparison_val.json")["networks"]}
    release = last_compared()
    on_test = {network["name"]: network for network in release.comparison["networks"]}
    return [
        {
            "title": title,
            "parameters": validated[name]["parameters"],
            "validation": validated[name]["auroc"],
            "test": on_test[name]["auroc"] if name in on_test else None,
            "release": release.name
            if name in on_test and on_test[name]["checkpoint_sha256"] != validated[name]["checkpoint_sha256"]
            else None,
        }
        for name, title in NETWORK_NAMES.items()
    ]
