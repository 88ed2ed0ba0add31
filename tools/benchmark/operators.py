"""Where ONNX Runtime spends its time inside a network: its own profile, by operator and by part of the graph."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

PARTS = ("trunk", "read", "cut", "decide")  # what `inference.export` begins the names of nodes with


def producers(path: Path) -> dict[str, str]:
    """The node that each value inside an exported network comes from."""
    return {value: node.name for node in onnx.load(path).graph.node for value in node.output}


def profile(path: Path, signals: np.ndarray, repetitions: int) -> list[dict]:
    """Events of ONNX Runtime's profile of ``repetitions`` runs, after as many to warm up that are left out."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_profiling = True
    only_asked = onnxruntime.RunOptions()
    only_asked.only_execute_path_to_fetches = True  # as inference runs it
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(2 * repetitions):
            session.run(["probabilities"], {"signals": signals}, only_asked)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    runs = [event for event in events if event["name"] == "model_run"]
    began = runs[len(runs) // 2]["ts"]
    return [event for event in events if event.get("cat") == "Node" and event["ts"] >= began]


def summary(events: Sequence[dict], repetitions: int, produced_by: Mapping[str, str]) -> dict:
    """Milliseconds of one run and shares, by operator and by part of the graph, largest first.

    A node's time is its median over runs, so that a moment in which another process had the core does not count.
    produced_by: from `producers`.
    """
    durations, operator_of = defaultdict(list), {}
    for event in events:
        if event["name"].endswith("_kernel_time"):
            durations[event["name"]].append(event["dur"])
            operator_of[event["name"]] = event["args"]["op_name"]
    by_operator, by_part, calls = defaultdict(float), defaultdict(float), defaultdict(int)
    for name, microseconds in durations.items():
        spent = float(np.median(microseconds)) * len(microseconds) / repetitions
        by_operator[operator_of[name]] += spent
        by_part[part_of(name, produced_by)] += spent
        calls[operator_of[name]] += len(microseconds) // repetitions
    total = sum(by_operator.values())
    return {
        "milliseconds": total / 1000,
        "operators": [
            {"operator": name, "calls": calls[name], "share": spent / total}
            for name, spent in sorted(by_operator.items(), key=lambda item: -item[1])
        ],
        "parts": [
            {"part": name, "share": spent / total} for name, spent in sorted(by_part.items(), key=lambda item: -item[1])
        ],
    }


def part_of(event: str, produced_by: Mapping[str, str]) -> str:
    """The part of the graph an event belongs to; "other" for nodes that ONNX Runtime adds, as changes of layout.

    A node that ONNX Runtime rewrites for its own layout of channels is called by its output and "_nchwc".
    """
    value, rewritten, _ = event.partition("_nchwc")
    node = produced_by.get(value, "") if rewritten else event
    return next((part for part in PARTS if node.startswith(part)), "other")
