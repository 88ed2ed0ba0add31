"""Whether a flat lead is better treated as missing, by the any-leads network, or left to the twelve-lead network.

    python tools/measure_lost_leads.py          # fold 9, the shipped networks; --help lists the options

Leads are made flat in otherwise complete recordings, drawn anew for each of them by a fixed seed. Writes
lost_leads.json in --out, which `tools/update_docs.py` puts into docs/results.md.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs as a file too, not only as ``-m tools.…``

import numpy as np
from tqdm import tqdm

from config import ANYLEAD_CHECKPOINT, CHECKPOINT_NAMES, CHEST_LEADS, LEADS, LIMB_LEADS, SYNTHETIC_NOTICE
from dataset import PTBXLDataset
from ecg.leads import LIMB_FROM_I_II
from ecg.stretches import predict_probabilities
from evaluation.bootstrap import BOOTSTRAP_DRAWS, paired_difference, point_and_interval, value_and_replicate_weights
from evaluation.cli import add_shared_flags, add_split_flag, exit_code
from evaluation.metrics import auroc_and_auprc
from evaluation.predictions import load_network, predict_split
from files import sha256, write_text
from inference.decisions import task_probabilities
from models.checkpoint import probabilities_function
from models.recording_network import RecordingNetwork

TASK = "multilabel"
CHUNK = 256


@dataclass(frozen=True)
class Case:
    """A way of losing leads.

    chest: how many chest leads are flat. since: from this share of the recording on.
    limb: lead I is flat, and III, aVR, aVL and aVF were computed from it and II.
    """

    chest: int = 0
    since: float = 0.0
    limb: bool = False


CASES = {
    "1 chest lead flat": Case(chest=1),
    "2 chest leads flat": Case(chest=2),
    "3 chest leads flat": Case(chest=3),
    "1 chest lead silent for the second half": Case(chest=1, since=0.5),
    "lead I flat, the other limb leads computed from it and II": Case(limb=True),
}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    add_split_flag(parser)
    parser.add_argument("--multilabel", help="the twelve-lead network (default: multilabel_best.pth in --out)")
    return parser


def lost_leads(case: Case, recordings: int, seed: int = 0) -> np.ndarray:
    """Which leads say nothing, bool ``(recordings, 12)``."""
    lost = np.zeros((recordings, len(LEADS)), bool)
    order = np.random.default_rng(seed).random((recordings, len(CHEST_LEADS))).argsort(axis=1)
    lost[:, len(LIMB_LEADS) :] = order < case.chest
    if case.limb:
        lost[:, [row for row, lead in enumerate(LIMB_LEADS) if lead != "II"]] = True
    return lost


def with_lost_leads(signals: np.ndarray, lost: np.ndarray, case: Case) -> np.ndarray:
    """What the recorder writes, ``(n, 12, samples)``; a copy."""
    signals = signals.copy()
    if case.limb:
        signals[:, : len(LIMB_LEADS)] = LIMB_FROM_I_II[:, 1].astype(np.float32)[:, None] * signals[:, [1]]
        return signals
    after = signals[:, :, round(case.since * signals.shape[2]) :]
    after[lost] = 0
    return signals


def in_part(signals: np.ndarray, part: slice, lost: np.ndarray, case: Case) -> np.ndarray:
    """As `with_lost_leads`, of a part of the recordings; lost: of all."""
    return with_lost_leads(signals, lost[part], case)


def predict_altered(
    network: RecordingNetwork, split: PTBXLDataset, altered: Callable[[np.ndarray, slice], np.ndarray]
) -> np.ndarray:
    """Probabilities ``(n, outputs)`` of recordings as ``altered`` changes them, a chunk in memory at a time."""
    probabilities_of, numbers = probabilities_function(network), np.arange(len(split))
    parts = [slice(first, first + CHUNK) for first in range(0, len(numbers), CHUNK)]
    return np.concatenate(
        [predict_probabilities(probabilities_of, altered(split.signals(numbers[part]), part)) for part in parts]
    )


def macro_draws(network: RecordingNetwork, outputs: np.ndarray, split: PTBXLDataset) -> np.ndarray:
    """Macro AUROC over the superclasses and its bootstrap replicates, on the recordings that have one."""
    labelled = split.labelled
    scores = task_probabilities(network.outputs, outputs, TASK)[labelled]
    weights = value_and_replicate_weights(split.patient_ids[labelled])
    columns = zip(scores.T, split.targets[labelled].T, strict=True)
    return np.mean([auroc_and_auprc(column, targets, weights)[0] for column, targets in columns], axis=0)


def measure(arguments) -> None:
    """Every case both ways, and the recordings as they are by the twelve-lead network."""
    out = Path(arguments.out)
    path = Path(arguments.checkpoint or out / ANYLEAD_CHECKPOINT)
    main_path = Path(arguments.multilabel or out / CHECKPOINT_NAMES[TASK])
    _, checkpoint, split = load_network(arguments, path, TASK, TASK, arguments.split)
    _, main_checkpoint, main_split = load_network(arguments, main_path, TASK, TASK, arguments.split)
    network, main_network = checkpoint.network(), main_checkpoint.network()
    whole = predict_split(main_network, main_split, np.arange(len(main_split)))
    rows = {}
    for name, case in tqdm(CASES.items(), desc="lost leads", unit="case"):
        lost = lost_leads(case, len(split))
        missing = predict_split(network, split, np.arange(len(split)), ~lost)
        left = predict_altered(main_network, main_split, partial(in_part, lost=lost, case=case))
        ours, theirs = macro_draws(network, missing, split), macro_draws(main_network, left, main_split)
        rows[name] = {
            "treated_as_missing": point_and_interval(ours),
            "left_to_twelve_leads": point_and_interval(theirs),
            "difference": paired_difference(ours, theirs),
        }
        print(f"{name}: treated as missing {ours[0]:.4f}, left to the twelve-lead network {theirs[0]:.4f}", flush=True)
    content = {
        "split": arguments.split,
        "n": int(split.labelled.sum()),
        "checkpoint_sha256": sha256(path),
        "multilabel_sha256": sha256(main_path),
        "synthetic": checkpoint.synthetic or split.is_synthetic,
        "intervals": f"95 %, {BOOTSTRAP_DRAWS} bootstrap resamples by patient",
        "date": date.today().isoformat(),
        "nothing_lost": point_and_interval(macro_draws(main_network, whole, main_split)),
        "cases": rows,
    }
    write_text(out / "lost_leads.json", json.dumps(content, indent=1) + "\n")
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)


def main(argv: list[str] | None = None) -> int:
    return exit_code(measure, make_parser().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
