"""Do the explanations show what drove a prediction? Both methods of inference/explain.py, on the shipped network.

    python -m tools.measure_explanations        # needs data/ptbxl and artifacts/multilabel_best.pth

Deletion and insertion curves on fold 9, randomised weights, ST elevations of known place, and time: one file each in
tools/explanations/. Writes explanations.json, figures and docs/explanations.md (beside the JSON if --out is not
artifacts). `python -m tools.update_docs` writes the document again from the JSON.
"""

import argparse
import json
import os
import sys
import time
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np

from config import DEFAULT_OUT, PROJECT, VALIDATION_FOLD
from dataset import PTBXLDataset
from evaluation.cli import add_shared_flags
from evaluation.predictions import load_task
from files import replacing, sha256, write_text
from inference.explain import DEFAULT_METHOD, METHODS, explain
from models.checkpoint import Checkpoint, CheckpointError
from models.provenance import machine_facts
from ptbxl.index import DatasetError
from tools.documents.whole import explanations
from tools.explanations.curves import deletion_and_insertion, present_recordings
from tools.explanations.elevations import known_elevations
from tools.explanations.figures import draw_curves, draw_elevation, draw_randomisation
from tools.explanations.randomisation import randomisation_check

RANDOMISED_RECORDS = 6
TIMED_RECORDS = 5


def measure(checkpoint_path: Path, checkpoint: Checkpoint, split: PTBXLDataset, records: int) -> dict:
    """The content of explanations.json. Raises DatasetError."""
    chosen = present_recordings(checkpoint, split, records)
    if not chosen:
        raise DatasetError(f"the network finds no class in any recording of fold {VALIDATION_FOLD}")
    return {
        "checkpoint_sha256": sha256(checkpoint_path),
        "fold": VALIDATION_FOLD,
        "data_sha256": split.fold_sha256[VALIDATION_FOLD],
        "synthetic": checkpoint.synthetic or split.is_synthetic,
        "date": date.today().isoformat(),
        "default_method": DEFAULT_METHOD,
        "time": explanation_time(checkpoint, split, chosen[:TIMED_RECORDS]),
        "curves": deletion_and_insertion(checkpoint, split, chosen),
        "randomisation": randomisation_check(checkpoint, split, chosen[:RANDOMISED_RECORDS]),
        "known_answer": known_elevations(checkpoint),
    }


def explanation_time(checkpoint: Checkpoint, split: PTBXLDataset, chosen: list[tuple[int, np.ndarray]]) -> dict:
    """Median milliseconds to explain one recording, for one class and for all.

    wall_ms passes on the clock, which other programs on the machine slow down; cpu_ms is computed, by all threads.
    """
    network, found = checkpoint.network(), {method: {} for method in METHODS}
    for method, (label, classes) in product(METHODS, (("one_class", checkpoint.classes[:1]), ("all_classes", None))):
        elapsed = []
        for number, _ in chosen:
            (signal,) = split.signals([number])
            started = np.array([time.perf_counter(), time.process_time()])
            explain(network, signal, explained=classes, method=method)
            elapsed.append(np.array([time.perf_counter(), time.process_time()]) - started)
        wall_ms, cpu_ms = np.round(1000 * np.median(elapsed, axis=0)).astype(int).tolist()
        found[method][label] = {"wall_ms": wall_ms, "cpu_ms": cpu_ms}
    return {
        "recordings": len(chosen),
        "median": found,
        "machine": machine_facts(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def write_results(content: dict, checkpoint: Checkpoint, out: Path) -> list[Path]:
    """JSON, figures and document; returns the paths written."""
    results = out / "explanations.json"
    text = (PROJECT / "docs" if out.resolve() == DEFAULT_OUT else out) / "explanations.md"
    write_text(results, json.dumps(content, indent=1) + "\n")
    figures = {
        "curves": draw_curves(content),
        "randomisation": draw_randomisation(content),
        "known_answer": draw_elevation(checkpoint),
    }
    paths = [out / "figures" / f"explain_{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        with replacing(path) as unfinished:
            figure.savefig(unfinished, dpi=130)
    write_text(text, explanations(content, out, text.parent))
    return [results, *paths, text]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    parser.add_argument("--records", type=int, default=40, help="of fold 9, for the curves (default: %(default)s)")
    parser.set_defaults(threads=1)
    arguments = parser.parse_args(argv)
    if arguments.records < 1:
        parser.error("--records is at least 1")
    try:
        path, checkpoint, split = load_task(arguments, "multilabel", "val")
        content = measure(path, checkpoint, split, arguments.records)
        written = write_results(content, checkpoint, Path(arguments.out))
    except (DatasetError, CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"written: {path}" for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
