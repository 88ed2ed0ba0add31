"""Compare the generated data set with the real PTB-XL, and write docs/synthetic.md.

    python -m tools.measure_synthetic        # needs data/ptbxl and artifacts/multilabel_best.pth; a few minutes

A network trained on generated ECGs alone is tested on real fold 9, and the shipped network,
trained on real ECGs, is tested on the generated ones.
"""

import argparse
import sys
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np

from config import DEFAULT_OUT, MULTILABEL_RECIPE, PROJECT, SUPERCLASSES, data_directory
from dataset import PTBXLDataset
from ecg.synthetic.writer import write_dataset
from evaluation.metrics import auroc_and_auprc
from evaluation.predictions import predict_split
from evaluation.tables import markdown_table
from files import sha256, write_text
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from ptbxl.index import DatasetError, read_index
from tools.documents import filled
from training.cli import train_command


def class_aurocs(checkpoint: Checkpoint, data: Path, splits: tuple[str, ...]) -> tuple[list[float], int]:
    """AUROC of each superclass over the labelled recordings of some splits, and how many they are."""
    scores, targets = [], []
    for name in splits:
        split = PTBXLDataset(data, name, input_scale=checkpoint.input_scale)
        numbers = np.flatnonzero(split.labelled)
        scores.append(predict_split(checkpoint.network(), split, numbers))
        targets.append(split.targets[numbers])
    scores, targets = np.concatenate(scores), np.concatenate(targets)
    once = np.ones((1, len(scores)))
    return [auroc_and_auprc(scores[:, k], targets[:, k], once)[0].item() for k in range(len(SUPERCLASSES))], len(scores)


def compare_both_ways(data: Path, work: Path, checkpoint_path: Path, patients: int, threads: int) -> str:
    """Generate, train and test; returns the text of docs/synthetic.md. Raises DatasetError or CheckpointError."""
    real = load_checkpoint(checkpoint_path)
    read_index(data)
    generated = work / "generated"
    count = write_dataset(generated, patients, seed=0)
    arguments = ["--data", str(generated), "--out", str(work), "--threads", str(threads), "--restart"]
    if train_command({"multilabel": MULTILABEL_RECIPE}, "", arguments):
        raise CheckpointError("the network on generated data could not be trained")
    networks = {"real folds 1–8": real, "generated folds 1–8": load_checkpoint(work / "multilabel_best.pth")}
    tests = {"real fold 9": (data, ("val",)), "generated folds 9 and 10": (generated, ("val", "test"))}
    rows = []
    for (trained, checkpoint), (tested, split) in product(networks.items(), tests.items()):
        values, n = class_aurocs(checkpoint, *split)
        rows.append([trained, tested, f"{n:,}", *(f"{value:.3f}" for value in (*values, np.mean(values)))])
    return filled(
        "synthetic.md.j2",
        table=markdown_table(["trained on", "tested on", "N", *SUPERCLASSES, "macro"], rows),
        recordings=count,
        patients=patients,
        checkpoint_sha256=sha256(checkpoint_path),
        date=date.today().isoformat(),
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="the real PTB-XL (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--work", default=str(PROJECT / "demo" / "synthetic"), help="generated data and its network")
    parser.add_argument("--checkpoint", default=str(DEFAULT_OUT / "multilabel_best.pth"), help="(default: %(default)s)")
    parser.add_argument("--out", default=str(PROJECT / "docs" / "synthetic.md"), help="(default: %(default)s)")
    parser.add_argument("--patients", type=int, default=1000, help="to generate (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        data, work, checkpoint = data_directory(arguments.data), Path(arguments.work), Path(arguments.checkpoint)
        text = compare_both_ways(data, work, checkpoint, arguments.patients, arguments.threads)
        write_text(arguments.out, text)
    except (DatasetError, CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
