"""How good the any-leads network is with each set of leads, and the twelve-lead network with zeros for the others.

    python tools/eval_leads.py                                  # fold 9, the shipped networks
    python tools/eval_leads.py --split test --checkpoint other.pth --thresholds other_thresholds.json

Missing leads are zeros, as every reader leaves them. Two of I, II and III give all six limb leads exactly, so "limb" is
evaluated with six and "I,II,V2" with seven, and "8" (I, II, V1 to V6) is answered by the twelve-lead network. Writes
lead_sets_SPLIT.json. F1 is cross-fitted by patient inside fold 9; on fold 10 the thresholds of fold 9 apply.
"""

import argparse
import json
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs as a file too, not only as ``-m tools.eval_leads``

from tqdm import tqdm

from config import ANYLEAD, ANYLEAD_CHECKPOINT, CHECKPOINT_NAMES, SPLIT_FOLDS, SYNTHETIC_NOTICE
from ecg.lead_sets import CANONICAL_SETS
from evaluation.bootstrap import BOOTSTRAP_DRAWS
from evaluation.cli import add_shared_flags, add_split_flag, exit_code
from evaluation.lead_set_metrics import lead_set_metrics
from evaluation.predictions import load_network
from files import sha256, write_text
from inference.lead_sets import load_lead_sets

TASK = "multilabel"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    add_split_flag(parser)
    parser.add_argument("--thresholds", help=f"of the any-leads network (default: {ANYLEAD}_thresholds.json in --out)")
    parser.add_argument("--multilabel", help="the twelve-lead network (default: multilabel_best.pth in --out)")
    return parser


def measure(arguments) -> None:
    """Evaluate both networks on every set, write the file and print a line a set."""
    out, split_name = Path(arguments.out), arguments.split
    path = Path(arguments.checkpoint or out / ANYLEAD_CHECKPOINT)
    main_path = Path(arguments.multilabel or out / CHECKPOINT_NAMES[TASK])
    thresholds = Path(arguments.thresholds or out / f"{ANYLEAD}_thresholds.json")
    _, checkpoint, split = load_network(arguments, path, TASK, TASK, split_name)
    _, main_checkpoint, main_split = load_network(arguments, main_path, TASK, TASK, split_name)
    by_name = load_lead_sets(thresholds, sha256(path)).by_name if split_name != "val" else {}
    network, main_network = checkpoint.network(), main_checkpoint.network()
    zeroed = {name: lead_set_metrics(name, main_network, main_split) for name in tqdm(CANONICAL_SETS, desc="zeroed")}
    sets = {"8": zeroed["8"]}
    for name in tqdm([name for name in CANONICAL_SETS if name != "8"], desc="any leads"):
        decisions = by_name[name].decisions[TASK] if by_name else None
        sets[name] = lead_set_metrics(name, network, split, decisions)
    content = {
        "split": split_name,
        "fold": SPLIT_FOLDS[split_name][0],
        "n": int(split.labelled.sum()),
        "model": checkpoint.model,
        "checkpoint_sha256": sha256(path),
        "multilabel_sha256": sha256(main_path),
        "data_sha256": split.fold_sha256,
        "synthetic": checkpoint.synthetic or split.is_synthetic,
        "intervals": f"95 %, {BOOTSTRAP_DRAWS} bootstrap resamples by patient",
        "date": date.today().isoformat(),
        "lead_sets": {name: sets[name] for name in CANONICAL_SETS},
        "zeroed": zeroed,
    }
    write_text(out / f"lead_sets_{split_name}.json", json.dumps(content, indent=1) + "\n")
    print_table(content)


def print_table(content: dict) -> None:
    """One line a set on the screen."""
    for name, row in content["lead_sets"].items():
        shown = {"AUROC": row["auroc"], "AUPRC": row["auprc"], "F1": row["f1"], "AFIB": row.get("afib_auroc")}
        shown["zeroed"] = content["zeroed"][name]["auroc"]
        print(f"{name:8} " + "  ".join(f"{key} {as_text(metric)}" for key, metric in shown.items()))
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)


def as_text(metric: dict | None) -> str:
    """A metric's value; a dash where there is none."""
    return "–" if metric is None or metric["value"] is None else f"{metric['value']:.4f}"


def main(argv: list[str] | None = None) -> int:
    return exit_code(measure, make_parser().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
