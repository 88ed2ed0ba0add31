"""Write the tables of README.md and MODEL_CARD.md from the files in artifacts/, and draw the architecture.

    python report.py            # rewrite what stands between the markers, and hmt_ecgnet_architecture.png
    python report.py --check    # exit 1 if a document or the drawing disagrees with what it is made from

A document marks a table with <!-- table:NAME --> and <!-- end --> on lines of their own. The drawing
carries the stages it was drawn from as text inside the PNG.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from config import BINARY_TASKS, DEFAULT_OUT, PROJECT
from evaluation.tables import by_score_table, comparison_table, metric_cell, metrics_table
from files import replacing, write_text
from tools.draw_architecture import ARCHITECTURE, as_text, draw_architecture, drawn_from, shipped_stages

DOCUMENTS = ("README.md", "MODEL_CARD.md")
MARKED = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read_json(name: str) -> dict | None:
    """One of the artifacts, or None where it has not been made."""
    path = DEFAULT_OUT / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def multilabel_table() -> str:
    """Fold-9 figures a class, and fold 10's where they were handed in."""
    parts = []
    for split in ("val", "test"):
        content = read_json(f"multilabel_metrics_{split}.json")
        if content:
            parts.append(
                f"Fold {content['fold']}, {content['n']:,} recordings with a superclass "
                f"({content['n_all']:,} in all), {content['parameters']:,} parameters, {content['decisions']}; "
                f"{content['intervals']}; checkpoint `{content['checkpoint_sha256'][:12]}`."
            )
            parts.append(metrics_table(content))
    return "\n\n".join(parts)


def summary_table() -> str:
    """The headline figures, a line a protocol."""
    content = read_json("multilabel_metrics_val.json")
    columns = {
        "auroc": "AUROC",
        "auprc": "AUPRC",
        "f1": "F1",
        "exact_match": "exact match",
        "hamming_loss": "Hamming loss",
    }
    lines = [
        f"| fold {content['fold']}, macro over five superclasses | N | " + " | ".join(columns.values()) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for group, name, n in (
        ("macro", "recordings with a superclass", content["n"]),
        ("macro_all", "all recordings", content["n_all"]),
    ):
        lines.append(f"| {name} | {n:,} | " + " | ".join(metric_cell(content[group][key]) for key in columns) + " |")
    return "\n".join(lines)


def speed_table() -> str:
    """Training speed as benchmark.py measured it, with the machine it was measured on."""
    content = read_json("benchmark.json")
    machine = content["machine"]
    lines = [
        f"{machine['processor']}, {machine['instruction_set']}, {machine['threads']} thread, {content['precision']}, "
        f"batches of {content['batch_size']} crops of {content['window_s']:g} s:",
        "",
        "| network | parameters | training records/s, median | fastest round | ratio of medians |",
        "|---|---|---|---|---|",
    ]
    reference = content["networks"][0]["records_per_s"]
    for row in content["networks"]:
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {row['records_per_s']:.0f} | "
            f"{row['fastest_round_records_per_s']:.0f} | "
            f"{row['records_per_s'] / reference:.2f} |"
        )
    return "\n".join(lines)


def uncertain_table() -> str:
    """What the uncertain verdict is worth: figures with and without the ECGs it holds back."""
    content = read_json("multilabel_metrics_val.json")["coverage"]
    lines = ["| ECGs answered | share | macro F1 | all five classes right |", "|---|---|---|---|"]
    for name, key in (("verdict given", "verdict_certain"), ("called uncertain", "verdict_uncertain")):
        row = content[key]
        lines.append(f"| {name} | {row['share']:.1%} | {row['f1']:.3f} | {row['exact_match']:.1%} |")
    for row in content["curve"]:
        lines.append(f"| most certain | {row['coverage']:.0%} | {row['f1']:.3f} | {row['exact_match']:.1%} |")
    return "\n".join(lines)


BINARY_NAMES = {"mi_vs_norm": "MI against NORM", "norm_vs_abnormal": "NORM against abnormal"}
BINARY_FIGURES = {
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


def binary_table() -> str:
    """Every figure of both binary tasks, a row a figure."""
    contents = {task: read_json(f"{task}_metrics_val.json") for task in BINARY_TASKS}
    names = [f"{BINARY_NAMES[task]} (n = {content['n']:,})" for task, content in contents.items()]
    lines = [f"| fold 9 | {' | '.join(names)} |", "|---" * (len(contents) + 1) + "|"]
    for key, name in BINARY_FIGURES.items():
        lines.append(f"| {name} | {' | '.join(metric_cell(content['macro'][key]) for content in contents.values())} |")
    lines.append(f"| answered by | {' | '.join(content['score'] + ' network' for content in contents.values())} |")
    return "\n".join(lines)


def binary_scores_table() -> str:
    """Each binary question answered by its own network and by the multi-label one."""
    parts = []
    for task in BINARY_TASKS:
        content = read_json(f"{task}_metrics_val.json")
        parts += [f"{BINARY_NAMES[task]}, fold {content['fold']}:", by_score_table(content)]
        if "mi_against_everything" in content:
            parts.append(content["mi_against_everything"]["limit"])
    return "\n\n".join(parts)


def baselines_table() -> str:
    """Networks on the same recordings, with paired differences."""
    content = read_json("comparison_val.json")
    machine = content["machine"]
    return (
        f"Fold {content['fold']}, {content['n']:,} recordings with a superclass; {content['intervals']}; "
        f"milliseconds of one 10-s recording on one thread of {machine['processor']} ({machine['instruction_set']}), "
        "PyTorch.\n\n" + comparison_table(content)
    )


def lead_sets_table() -> str:
    """The shipped weights with fewer leads."""
    content = read_json("lead_sets_val.json")
    lines = ["| leads recorded | leads the network sees | AUROC | AUPRC |", "|---|---|---|---|"]
    for name, row in content["lead_sets"].items():
        lines.append(f"| {name} | {len(row['leads'])} | {metric_cell(row['auroc'])} | {metric_cell(row['auprc'])} |")
    return "\n".join(lines)


SERVED = {
    "json": "JSON",
    "npy": "NPY upload",
    "wfdb": "WFDB upload",
    "json, intervals": "JSON, with intervals",
}


def serving_table() -> str:
    """What the server takes for one ECG, and what it did under load."""
    content = read_json("benchmark_api.json")
    machine, load = content["machine"], content["load"]
    lines = [
        f"One 10-s 12-lead ECG at 500 Hz, all three networks and quality, one core of {machine['processor']} "
        f"({machine['instruction_set']}), transfer excluded:",
        "",
        "| sent as | ms, median | ms, median of the best round | aim |",
        "|---|---|---|---|",
    ]
    for name, row in content["server_ms"].items():
        lines.append(f"| {SERVED[name]} | {row['p50']:.1f} | {row['best_round_p50']:.1f} | {row['target']} |")
    errors = sum(count for status, count in load["statuses"].items() if int(status) >= 500)
    before, after = load["memory_mb"]
    return "\n".join(lines) + (
        f"\n\nUnder load, {load['clients']} clients for {load['seconds']:.0f} s, good and bad requests mixed, "
        f"{load['workers']} processes: {load['answers_per_s']:.0f} diagnoses/s, {load['statuses'].get('429', 0):,} "
        f"requests sent away with 429, {errors} answers of 5xx, {load['wrong_answers']} that differ from the answer "
        f"before the load, {load['lost_connections']} lost connections; memory {before:.0f} MB after a fifth of the "
        f"time and {after:.0f} MB at the end."
    )


PAGE_TIMES = {"first_paint_s": "first ECG on the screen", "change_of_ecg_s": "another ECG", "explanation_s": "reasons"}
PAGE_AIMS_S = {"first_paint_s": 3, "change_of_ecg_s": 1, "explanation_s": 2}


def page_table() -> str:
    """How long a reader waits, measured in a browser."""
    content = read_json("benchmark_page.json")
    lines = ["| the page, in headless Chromium | s, median | aim |", "|---|---|---|"]
    for name, seconds in content["median_s"].items():
        lines.append(f"| {PAGE_TIMES[name]} | {seconds:.2f} | {PAGE_AIMS_S[name]} |")
    return "\n".join(lines)


def claims_table() -> str:
    """What the error analysis concluded."""
    content = json.loads((DEFAULT_OUT / "analysis" / "errors.json").read_text(encoding="utf-8"))
    lines = ["| claim | verdict | numbers |", "|---|---|---|"]
    lines += [f"| {item['claim']} | {item['verdict']} | {item['numbers']} |" for item in content["conclusions"]]
    return "\n".join(lines)


TABLES = {
    "multilabel": multilabel_table,
    "summary": summary_table,
    "speed": speed_table,
    "binary": binary_table,
    "binary_scores": binary_scores_table,
    "baselines": baselines_table,
    "lead_sets": lead_sets_table,
    "serving": serving_table,
    "page": page_table,
    "uncertain": uncertain_table,
    "claims": claims_table,
}


def filled_in(text: str) -> str:
    """A document with every marked table written anew."""
    return MARKED.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    arguments = parser.parse_args(argv)
    stale = []
    for name in DOCUMENTS:
        path = PROJECT / Path(name)
        text = path.read_text(encoding="utf-8")
        if filled_in(text) != text:
            stale.append(name)
            if not arguments.check:
                write_text(path, filled_in(text))
    parts = shipped_stages()
    if drawn_from(ARCHITECTURE) != as_text(parts):
        stale.append(ARCHITECTURE.name)
        if not arguments.check:
            with replacing(ARCHITECTURE) as unfinished:
                draw_architecture(parts).savefig(unfinished, dpi=130, metadata={"Stages": as_text(parts)})
    print(f"{'differ from' if arguments.check else 'rewritten from'} what they show: {', '.join(stale) or 'none'}")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
