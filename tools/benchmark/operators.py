"""Where ONNX Runtime spends its time inside a network: its own profile, by operator and by part of the graph."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

PARTS = ("trunk", "read", "cut", "decide")  # what `inference.export` begins the names of nodes with


def producers(path: Path) -> dict[str, str]:
    """The node that each value inside an exported network comes from."""
    return {value: node.name for node in onnx.load(path).graph.node for value in node.output}


def one_thread(path: Path, profile_file: Path | None = None) -> onnxruntime.InferenceSession:
    """An exported network on one thread; profile_file: what the profile's name begins with, if there is to be one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile_file:
        options.enable_profiling, options.profile_file_prefix = True, str(profile_file)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def profile(path: Path, signals: np.ndarray, repetitions: int) -> list[dict]:
    """Events of ONNX Runtime's profile of ``repetitions`` runs, after as many to warm up that are left out."""
    with tempfile.TemporaryDirectory() as folder:
        session = one_thread(path, Path(folder, "profile"))
        for _ in range(2 * repetitions):
            session.run(None, {"signals": signals})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    runs = [event for event in events if event["name"] == "model_run"]
    began = runs[len(runs) // 2]["ts"]
    return [event for event in events if event.get("cat") == "Node" and event["ts"] >= began]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of a graph in a profile. milliseconds: its median. calls: in all runs."""

    operator: str
    milliseconds: float
    calls: int


def nodes_of(events: Sequence[dict]) -> dict[str, Node]:
    """The nodes of a profile, by the name of their event.

    A median over runs leaves out moments in which another process had the core.
    """
    durations, operator_of = defaultdict(list), {}
    for event in events:
        if event["name"].endswith("_kernel_time"):
            durations[event["name"]].append(event["dur"] / 1000)
            operator_of[event["name"]] = event["args"]["op_name"]
    return {
        name: Node(operator=operator_of[name], milliseconds=float(np.median(ms)), calls=len(ms))
        for name, ms in durations.items()
    }


def summary(events: Sequence[dict], repetitions: int, produced_by: Mapping[str, str]) -> dict:
    """Milliseconds of one run and shares, by operator and by part of the graph, largest first.

    produced_by: from `producers`.
    """
    by_operator, by_part, calls = defaultdict(float), defaultdict(float), defaultdict(int)
    for name, node in nodes_of(events).items():
        spent = node.milliseconds * node.calls / repetitions
        by_operator[node.operator] += spent
        by_part[part_of(name, produced_by)] += spent
        calls[node.operator] += node.calls // repetitions
    total = sum(by_operator.values())
    return {
        "milliseconds": total,
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
