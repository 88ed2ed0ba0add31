"""How fast: training, the server, the page.

    python benchmark.py                          # training on data/ptbxl, writes artifacts/benchmark.json
    python benchmark.py api                      # the server, see benchmark_api.py
    python benchmark.py page                     # the page in a browser, writes artifacts/benchmark_page.json

Training speed is of our network and of the baseline, in one run on one core.
Both networks take turns on the same recordings, so a busy machine slows both; the file records the
processor and its instruction set. bfloat16 is used where the processor computes in it.
"""

import argparse
import copy
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Error as PlaywrightError

from config import DEFAULT_OUT, MULTILABEL, SYNTHETIC_NOTICE, data_directory
from dataset import PTBXLDataset
from files import write_text
from models import count_parameters, create_model
from models.checkpoint import machine_facts
from ptbxl.index import DatasetError
from tools.browser import page_timings
from training.cli import computes_bfloat16
from training.loop import train_epoch
from training.objective import make_objective
from training.schedule import make_optimizer

MODELS = ("hmt_ecgnet", "resnet1d")


def training_speed(data: Path, rounds: int, records: int) -> dict:
    """Records per second of whole training steps (crops, augmentation, optimiser, moving average).

    Each round trains every network on the same records in turn. The median over rounds is what this
    machine gave; the fastest round is what it gives when nothing else disturbs it.
    """
    settings = replace(MULTILABEL, epochs=rounds + 1)
    train = PTBXLDataset(data, "train").first(records)
    bfloat16 = computes_bfloat16(torch.device("cpu"))
    networks = {name: create_model(name) for name in MODELS}
    averages = {name: copy.deepcopy(network) for name, network in networks.items()}
    lessons = {name: make_objective(network, train, settings) for name, network in networks.items()}
    optimizers = {name: make_optimizer(lesson.modules, settings) for name, lesson in lessons.items()}
    rows = {name: [] for name in MODELS}
    for round_number in range(rounds + 1):
        for name, lesson in lessons.items():
            state = (lesson, averages[name], optimizers[name])
            rows[name].append(train_epoch(*state, train, settings, round_number, bfloat16, progress=False))
            print(f"round {round_number}  {name:12} {rows[name][-1]['records_per_s']:7.1f} records/s", flush=True)
    return {
        "machine": machine_facts(),
        "precision": "bfloat16" if bfloat16 else "float32",
        "batch_size": settings.batch_size,
        "window_s": settings.window_s,
        "synthetic": train.is_synthetic,
        "networks": [
            {
                "model": name,
                "parameters": count_parameters(networks[name]),
                # the first round warms up
                "records_per_s": float(np.median([row["records_per_s"] for row in rows[name][1:]])),
                "fastest_round_records_per_s": max(row["records_per_s"] for row in rows[name][1:]),
                "data_share": float(np.median([row["data_share"] for row in rows[name][1:]])),
            }
            for name in MODELS
        ],
    }


def page_speed(argv: list[str]) -> int:
    """Seconds until the page shows something, changes its ECG, explains an answer."""

    parser = argparse.ArgumentParser(prog="benchmark.py page", description=page_speed.__doc__)
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where benchmark_page.json goes (default: artifacts)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        timings = page_timings(rounds=arguments.rounds)
    except (RuntimeError, TimeoutError, PlaywrightError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    content = {"machine": machine_facts(), "rounds": arguments.rounds, "median_s": timings}
    write_text(Path(arguments.out) / "benchmark_page.json", json.dumps(content, indent=1) + "\n")
    print(
        "\n".join(
            f"{name.removesuffix('_s').replace('_', ' '):20} {seconds:.2f} s" for name, seconds in timings.items()
        )
    )
    return 0


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["api"]:
        from tools.benchmark_api import main as api_main  # its libraries are not needed for training

        return api_main(argv[1:])
    if argv[:1] == ["page"]:
        return page_speed(argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where benchmark.json goes (default: artifacts)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=10, help="that count, after one to warm up (default: %(default)s)"
    )
    parser.add_argument("--records", type=int, default=640, help="a round (default: %(default)s)")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    try:
        content = training_speed(data_directory(arguments.data), arguments.rounds, arguments.records)
        write_text(Path(arguments.out) / "benchmark.json", json.dumps(content, indent=1) + "\n")
    except (DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
