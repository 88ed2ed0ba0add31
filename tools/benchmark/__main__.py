"""Ours beside the ResNet-1D in one run: size, latency, throughput, memory, training, data path, server.

    python -m tools.benchmark            # under 5 minutes on a quiet core; goes on where it was stopped
    python -m tools.benchmark --quick    # a few repetitions, to see that it runs

Contenders take turns, one thread each, and ratios are of the same rounds, so a busy machine disturbs all alike; the
load average stands beside each part. Writes benchmark_inference.json, and the training part as benchmark.json. The
server under load and the page have tools of their own: tools.benchmark_api, tools.benchmark_page.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import requests
import torch

from config import DEFAULT_OUT, SYNTHETIC_NOTICE, data_directory
from ecg.preprocessing import model_input
from files import write_text
from inference import InferenceError
from inference.manifest import self_test_recording
from models.checkpoint import CheckpointError
from models.provenance import git_revision, machine_facts
from ptbxl.index import DatasetError
from tools.benchmark import networks, operators
from tools.benchmark.calls import good_calls, latency_by_call
from tools.benchmark.data_path import data_path_speed
from tools.benchmark.training import training_speed
from tools.server_process import ready_server


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How often what is repeated."""

    rounds: int
    repetitions: int
    batch: int
    batch_rounds: int
    profiled_runs: int
    training_rounds: int
    training_records: int
    data_rounds: int
    data_records: int
    server_rounds: int


FULL = Effort(
    rounds=15,
    repetitions=20,
    batch=32,
    batch_rounds=7,
    profiled_runs=100,
    training_rounds=5,
    training_records=640,
    data_rounds=5,
    data_records=512,
    server_rounds=3,
)
QUICK = Effort(
    rounds=2,
    repetitions=2,
    batch=2,
    batch_rounds=2,
    profiled_runs=2,
    training_rounds=1,
    training_records=64,
    data_rounds=1,
    data_records=32,
    server_rounds=1,
)


def measurements(artifacts: Path, data: Path, made: Path, effort: Effort) -> dict[str, Callable[[], dict]]:
    """Each part of the run by its name in the file; they are measured in this order."""

    def compared() -> dict:
        found = networks.contenders(artifacts, made)
        sizes = (effort.rounds, effort.repetitions, effort.batch, effort.batch_rounds)
        return networks.compare(found, artifacts, *sizes)

    def profiled() -> dict:
        signals = model_input(self_test_recording(artifacts), 1.0)[None]
        path = artifacts / "multilabel_best.onnx"
        events = operators.profile(path, signals, effort.profiled_runs)
        return operators.summary(events, effort.profiled_runs, operators.producers(path))

    def served() -> dict:
        with ready_server(artifacts) as server:
            return latency_by_call(server.url, good_calls(artifacts), effort.server_rounds)

    return {
        "networks": compared,
        "memory": lambda: networks.memory(networks.contenders(artifacts, made), artifacts, made),
        "operators": profiled,
        "training": lambda: training_speed(data, effort.training_rounds, effort.training_records),
        "data_path": lambda: data_path_speed(data, effort.data_rounds, effort.data_records),
        "server_ms": served,
    }


def measure(parts: Mapping[str, Callable[[], dict]], state: Path, run: dict) -> dict:
    """Measure what an earlier run of the same kind has not; each part is stored as soon as it is there.

    run: what must be the same to go on.
    """
    done = json.loads(state.read_text(encoding="utf-8")) if state.is_file() else {}
    if done.get("run") != run:
        done = {"run": run, "load_average": {}, "parts": {}}
    for name, part in parts.items():
        if name in done["parts"]:
            print(f"{name}: measured before", flush=True)
            continue
        print(f"{name} …", flush=True)
        before = os.getloadavg()[0]
        done["parts"][name] = part()
        done["load_average"][name] = [round(before, 2), round(os.getloadavg()[0], 2)]
        write_text(state, json.dumps(done) + "\n")
    return done


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--artifacts", default=str(DEFAULT_OUT), help="the networks (default: artifacts)")
    parser.add_argument("--out", help="gets the two files (default: artifacts; with --quick: artifacts/runs/quick)")
    parser.add_argument("--quick", action="store_true", help="a few repetitions, to see that it runs")
    parser.add_argument("--restart", action="store_true", help="measure every part anew")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    artifacts, data = Path(arguments.artifacts), data_directory(arguments.data)
    out = Path(arguments.out or (DEFAULT_OUT / "runs" / "quick" if arguments.quick else DEFAULT_OUT))
    effort, made = QUICK if arguments.quick else FULL, out / "runs" / "benchmark"
    made.mkdir(parents=True, exist_ok=True)
    state = made / "parts.json"
    if arguments.restart:
        state.unlink(missing_ok=True)
    run = {"revision": git_revision(), "machine": machine_facts(), "data": str(data), **asdict(effort)}
    try:
        done = measure(measurements(artifacts.resolve(), data, made.resolve(), effort), state, run)
    except (
        CheckpointError,
        DatasetError,
        InferenceError,
        OSError,
        RuntimeError,
        requests.RequestException,
        subprocess.CalledProcessError,
    ) as error:
        print(f"error: {error}; what was measured is kept, run it again to go on", file=sys.stderr)
        return 1
    write_results(out, done, arguments.quick)
    state.unlink()
    print_ratios(done["parts"]["networks"]["rows"])
    if done["parts"]["training"]["synthetic"]:
        print(SYNTHETIC_NOTICE)
    print("to show it: python -m tools.update_docs")
    return 0


def write_results(out: Path, done: dict, quick: bool) -> None:
    """benchmark_inference.json, and the training part as benchmark.json, which tools.benchmark_training writes too."""
    parts = dict(done["parts"])
    write_text(out / "benchmark.json", json.dumps(parts.pop("training"), indent=1) + "\n")
    content = {
        "date": time.strftime("%Y-%m-%d"),
        "quick": quick,
        "revision": done["run"]["revision"],
        "machine": {**done["run"]["machine"], "cores": os.cpu_count()},
        "load_average": done["load_average"],
        **parts,
    }
    write_text(out / "benchmark_inference.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def print_ratios(rows: list[dict]) -> None:
    for row in rows:
        aim = f", aim 1/{row['aim']}" if row["aim"] else ""
        latency = row["onnx"]
        print(f"{row['label']:34} {latency['p50_ms']:7.2f} ms   1/{latency['times_faster']:.1f}{aim}")


if __name__ == "__main__":
    sys.exit(main())
