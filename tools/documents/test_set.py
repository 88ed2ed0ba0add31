"""Tables of the test set (fold 10), which is measured outside of development once a release of weights."""

from config import BINARY_TASKS, DEFAULT_OUT
from evaluation.releases import Release, metrics_of_checkpoint, read_releases
from evaluation.tables import markdown_table, metric_cell
from tools.documents import read_artifact
from tools.documents.published import PUBLISHED
from tools.documents.validation import BINARY_NAMES, compared, metrics_with_facts

TASK_NAMES = {"multilabel": "five superclasses, macro", **BINARY_NAMES}
TASK_METRICS = {
    "multilabel": {"auroc": "AUROC", "auprc": "AUPRC", "f1": "F1"},
    **dict.fromkeys(BINARY_TASKS, {"auroc": "AUROC", "accuracy": "accuracy", "f1": "F1"}),
}
NETWORK_NAMES = {
    "hmt_ecgnet": "**HMT-ECGNet**",
    "hmt_ecgnet_tiny": "**HMT-ECGNet, tiny**",
    "resnet1d": "ResNet-1D, our baseline",
    "resnet1d_wang": "resnet1d_wang, our baseline",
    "plain_cnn": "plain CNN, our baseline",
}


def headline() -> str:
    """This project's networks beside published ones, macro AUROC of the superclasses."""
    validated = {network["name"]: network for network in read_artifact("comparison_val.json")["networks"]}
    release = last_compared()
    tested = {network["name"]: network for network in release.comparison["networks"]}
    rows = []
    for name, title in NETWORK_NAMES.items():
        on_validation, on_test = validated[name], tested.get(name)
        cell = metric_cell(on_test["auroc"]) if on_test else None
        if on_test and on_test["checkpoint_sha256"] != on_validation["checkpoint_sha256"]:
            cell += f", {release.name}"
        parameters = f"{on_validation['parameters'] / 1e6:.2g} M"
        rows.append([title, parameters, cell, metric_cell(on_validation["auroc"]), "this repository"])
    rows += [[name, parameters, f"{auroc:.3f}", None, source] for name, parameters, auroc, source in PUBLISHED]
    header = ("network", "parameters", "test set (fold 10)", "validation set (fold 9)", "source")
    return markdown_table(header, rows)


def last_compared() -> Release:
    """The last release whose networks were compared on the test set."""
    return [release for release in read_releases(DEFAULT_OUT) if release.comparison][-1]


def test_set() -> str:
    """The shipped checkpoints on both sets, a row a metric; a dash where these very weights were not tested yet."""
    found, rows = read_releases(DEFAULT_OUT), []
    for task, metrics in TASK_METRICS.items():
        validation = read_artifact(f"{task}_metrics_val.json")
        test = metrics_of_checkpoint(found, task, validation["checkpoint_sha256"])
        counts = f"N = {test['n']:,} and {validation['n']:,}" if test else f"N = {validation['n']:,} on fold 9"
        for key, name in metrics.items():
            cells = [metric_cell(content["macro"][key]) if content else None for content in (test, validation)]
            rows.append([f"{TASK_NAMES[task]} ({counts})", name, *cells])
    return markdown_table(("task", "metric", "test set (fold 10)", "validation set (fold 9)"), rows)


def releases() -> str:
    """The test set by release of weights."""
    rows = []
    for release in read_releases(DEFAULT_OUT):
        content = release.metrics["multilabel"]
        rows.append(
            [
                release.number,
                f"`{content['checkpoint_sha256'][:12]}`",
                f"{content['n']:,}",
                *(metric_cell(content["macro"][key]) for key in ("auroc", "auprc", "f1")),
                *(
                    metric_cell(release.metrics[task]["macro"]["auroc"]) if task in release.metrics else None
                    for task in BINARY_TASKS
                ),
            ]
        )
    binary = (f"{BINARY_NAMES[task]}, AUROC" for task in BINARY_TASKS)
    return markdown_table(("release", "checkpoint", "N", "AUROC", "AUPRC", "F1", *binary), rows)


def multilabel() -> str:
    """Metrics a class on both sets; the test set only where these very weights were tested."""
    validation = read_artifact("multilabel_metrics_val.json")
    test = metrics_of_checkpoint(read_releases(DEFAULT_OUT), "multilabel", validation["checkpoint_sha256"])
    return "\n\n".join(metrics_with_facts(content) for content in (validation, test) if content)


def baselines_test() -> str:
    """The last release's networks on the test set, with paired differences."""
    return compared(last_compared().comparison)
