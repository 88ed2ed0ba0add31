"""Write the tables and documents that are made from artifacts/, and the drawing of the architecture.

    python -m tools.update_docs            # rewrite what differs
    python -m tools.update_docs --check    # write nothing; exit 1 if anything differs

README.md, MODEL_CARD.md and docs/*.md mark a table with <!-- table:NAME --> and <!-- end --> on lines of their own;
tools/documents/tables.md.j2 has a macro for each name. docs/quality.md and docs/explanations.md are written whole. The
drawing carries the stages it was drawn from as text inside the PNG. `--check` also warns where the shipped weights fell
below the results that this project has reached before.
"""

import argparse
import re
import sys
from pathlib import Path

from jinja2 import TemplateError

from config import DEFAULT_OUT, PROJECT
from ecg.readers import read_recording
from files import replacing, sha256, write_text
from inference.diagnoser import Diagnoser
from tools.documents import read_artifact, whole
from tools.documents.tables import document_tables
from tools.draw_architecture import ARCHITECTURE, as_text, draw_architecture, drawn_from, shipped_stages

MARKED = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
MEASURED_WITH_THE_SHIPPED_NETWORK = ("docs/explanations.md", "docs/synthetic.md", "docs/verdict.md")
EXAMPLES = {"normal": "NORM", "anterior_infarction": "MI", "left_bundle_branch_block": "CD"}
LIMB_MISTAKES = ("aVR and aVL exchanged", "Cabrera order under standard names")
LEAST_NAMED, MOST_FALSE_ALARMS = 0.9, 0.005
REACHED_BEFORE = {  # fold 9; weights that fall below these are a step back
    "multilabel": {"auroc": 0.935, "auprc": 0.83},
    "mi_vs_norm": {"auroc": 0.982, "accuracy": 0.935, "f1": 0.905},
    "norm_vs_abnormal": {"auroc": 0.954},
}


def filled_in(text: str, tables: dict, problems: list[str]) -> str:
    """A document with every marked table written anew; one that cannot be made stays as it is and adds a problem."""

    def marked_table(match: re.Match) -> str:
        before, name, after = match.groups()
        try:
            return f"{before}{tables[name]().strip()}\n{after}"
        except (KeyError, OSError, TypeError, ValueError, TemplateError) as error:
            problems.append(f"table {name}: {type(error).__name__}: {error}; does its tool have to run again?")
            return match[0]

    return MARKED.sub(marked_table, text)


def expected_documents(problems: list[str]) -> dict[Path, str]:
    """What each document must hold, by its path."""
    docs = PROJECT / "docs"
    marked = [PROJECT / "README.md", PROJECT / "MODEL_CARD.md", *sorted(docs.glob("*.md"))]
    documents = {path: filled_in(path.read_text(encoding="utf-8"), document_tables(), problems) for path in marked}
    documents[docs / "quality.md"] = whole.quality(read_artifact("quality.json"))
    documents[docs / "explanations.md"] = whole.explanations(read_artifact("explanations.json"), DEFAULT_OUT, docs)
    return documents


def update_documents(documents: dict[Path, str], check: bool) -> list[str]:
    """Names of the documents that differ from what they must hold; rewritten unless only to be checked."""
    stale = []
    for path, text in documents.items():
        if path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                write_text(path, text)
    return stale


def update_drawing(path: Path, check: bool) -> list[str]:
    """The drawing's name if it shows another network; drawn again unless only to be checked."""
    stages = shipped_stages()
    if drawn_from(path) == as_text(stages):
        return []
    if not check:
        with replacing(path) as unfinished:
            draw_architecture(stages).savefig(unfinished, dpi=130, metadata={"Stages": as_text(stages)})
    return [path.name]


def of_other_checkpoints() -> list[str]:
    """Problems: documents that were measured with weights other than the shipped ones."""
    shipped = sha256(DEFAULT_OUT / "multilabel_best.pth")[:12]
    return [
        f"{name} was measured with another checkpoint: run the tool again that it names at its top"
        for name in MEASURED_WITH_THE_SHIPPED_NETWORK
        if f"`{shipped}`" not in (PROJECT / name).read_text(encoding="utf-8")
    ]


def steps_back() -> list[str]:
    """Metrics of the shipped weights, and of mistakes in files, below what was reached before, as sentences."""
    mistakes = read_artifact("quality.json")["mistakes"]
    found = [
        f"limb leads are called out of order in {share:.1%} of the recordings ({name})"
        for name, share in mistakes["false_alarms"]["limb leads out of order"].items()
        if share > MOST_FALSE_ALARMS
    ]
    found += [
        f"{mistake} is named in {made[mistake]['named']:.0%} of the recordings only ({name})"
        for name, made in mistakes["made"].items()
        for mistake in LIMB_MISTAKES
        if made[mistake]["named"] < LEAST_NAMED
    ]
    for task, floors in REACHED_BEFORE.items():
        macro = read_artifact(f"{task}_metrics_val.json")["macro"]
        found += [
            f"{task} {name} {macro[name]['value']:.4f} is below {floor}"
            for name, floor in floors.items()
            if macro[name]["value"] < floor
        ]
    return found


def misnamed_examples() -> list[str]:
    """Sentences on shipped examples, generated as textbook cases, that the shipped networks do not see as such."""
    diagnoser, found = Diagnoser.load(DEFAULT_OUT), []
    for name, superclass in EXAMPLES.items():
        diagnosis = diagnoser.diagnose(read_recording(DEFAULT_OUT / "examples" / f"{name}.hea"))
        if superclass not in diagnosis.predicted_classes:
            found.append(f"the example {name} is not called {superclass}")
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args(argv).check
    problems = of_other_checkpoints()
    stale = update_documents(expected_documents(problems), check) + update_drawing(ARCHITECTURE, check)
    print(f"{'differ from' if check else 'rewritten from'} artifacts/: {', '.join(stale) or 'none'}")
    for sentence in problems:
        print(f"error: {sentence}", file=sys.stderr)
    for sentence in [*steps_back(), *misnamed_examples()]:
        print(f"warning: {sentence}", file=sys.stderr)
    return 1 if problems or (check and stale) else 0


if __name__ == "__main__":
    sys.exit(main())
