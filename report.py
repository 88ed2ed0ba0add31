"""Write the tables of README.md and MODEL_CARD.md from the files in artifacts/.

    python report.py            # rewrite what stands between the markers
    python report.py --check    # exit 1 if a document and the artifacts disagree

A document marks a table with <!-- table:NAME --> and <!-- end --> on lines of their own.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from config import DEFAULT_OUT, PROJECT
from files import write_text
from training.evaluation import cell, markdown_table

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
            parts.append(markdown_table(content))
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
        lines.append(f"| {name} | {n:,} | " + " | ".join(cell(content[group][key]) for key in columns) + " |")
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


TABLES = {"multilabel": multilabel_table, "summary": summary_table, "speed": speed_table}


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
    print(f"{'differ from' if arguments.check else 'rewritten from'} artifacts/: {', '.join(stale) or 'none'}")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
