"""Smaller variants of the exported networks: their size, speed and what they lose on fold 9.

    python -m tools.measure_variants                  # all of it; writes *_int8.onnx, *_fp16.onnx and variants.json
    python -m tools.measure_variants --latency-only   # measures latency again, on a quiet machine

float16: the trunk's weights are stored so, and computed with in float32, which every runtime can. int8: weights and
activations of the trunk, static, a scale a channel, calibrated on recordings of folds 1-8; the rhythm branch and the
decisions stay as they are. A variant is kept if neither macro AUROC on fold 9, of the superclasses and of all
statements, falls by more than 0.002. The ResNet-1D with the same windows stands beside them for its latency.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from tqdm import tqdm

from config import DEFAULT_OUT, LEADS, SYNTHETIC_NOTICE, data_directory
from dataset import PTBXLDataset
from ecg.statements import CODES
from evaluation.metrics import macro_auroc_and_auprc
from evaluation.statements import benchmark_tasks
from files import replacing, sha256, write_text
from inference import InferenceError
from inference.export import METADATA_KEY, compact
from models.provenance import machine_facts
from ptbxl.index import DatasetError
from tools.benchmark import operators
from tools.benchmark.networks import REFERENCE, REFERENCE_CHECKPOINT, exported_reference
from tools.benchmark.operators import one_thread
from tools.benchmark.turns import take_turns

NETWORKS = ("multilabel_best", "multilabel_tiny", "anylead_best")
MOST_LOST = 0.002  # of macro AUROC, for a variant to be kept
CALIBRATION_RECORDS = 512
BATCH = 16
QUANTISED = ("Conv", "Gemm")
TASKS = ("super", "all")
ROUNDS, REPETITIONS = 15, 20


class Recordings(CalibrationDataReader):
    """Batches of recordings in mV, for the ranges of activations."""

    def __init__(self, batches: Iterator[np.ndarray]):
        self.batches = batches

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"signals": batch}


def with_float16_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The trunk's weights stored in float16, and cast to float32 once when the file is loaded."""
    halved, casts = onnx.ModelProto.FromString(model.SerializeToString()), []
    graph = halved.graph
    weights = {name for node in graph.node if node.name.startswith("trunk") for name in node.input}
    for one in graph.initializer:
        if one.name in weights and one.data_type == onnx.TensorProto.FLOAT and len(one.dims) > 1:
            name = one.name
            half = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(one).astype(np.float16), f"{name}_half")
            one.CopyFrom(half)
            casts.append(onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return halved


def quantised(source: Path, train: PTBXLDataset, records: int) -> onnx.ModelProto:
    """The trunk in int8, weights and activations."""
    model = onnx.load(source)
    nodes = [node.name for node in model.graph.node if node.name.startswith("trunk") and node.op_type in QUANTISED]
    chosen = np.random.default_rng(0).choice(len(train), min(records, len(train)), replace=False)
    batches = (train.signals(np.sort(chosen)[first : first + BATCH]) for first in range(0, len(chosen), BATCH))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "int8.onnx")
        quantize_static(
            source,
            target,
            Recordings(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=nodes,
            # of the batches' ranges: a single artefact would widen them to twice what ECGs need
            extra_options={"CalibMovingAverage": True},
        )
        return onnx.load(target)


def one_ecg() -> np.ndarray:
    """Noise of an ECG's size, 10 s; what the samples are does not matter for the time."""
    return np.random.default_rng(0).normal(scale=0.2, size=(1, len(LEADS), 1000)).astype(np.float32)


def macro_aurocs(path: Path, val: PTBXLDataset) -> dict[str, float]:
    """Macro AUROC of the superclasses and of all statements, each on the recordings with a label of the task."""
    session, rows = one_thread(path), []
    for first in tqdm(range(0, len(val), BATCH), desc=path.name, unit="batch"):
        signals = val.signals(np.arange(first, min(first + BATCH, len(val))))
        rows.append(session.run(["probabilities"], {"signals": signals})[0])
    probabilities = np.concatenate(rows)
    classes = val.superclasses.shape[1]
    statements = probabilities[:, classes : classes + len(CODES)]
    tasks = benchmark_tasks(val.superclasses, val.made(CODES), probabilities[:, :classes], statements)
    chosen = {name: tasks[name] for name in TASKS}
    return {
        name: float(macro_auroc_and_auprc(task.scores[task.labelled], task.targets[task.labelled])[0])
        for name, task in chosen.items()
    }


def latencies(paths: dict[str, Path], rounds: int) -> dict[str, dict[str, float]]:
    """Time for all answers to one 10-s ECG on one thread, in ms; the networks take turns, `REPETITIONS` each.

    p10, p50, p90: by the clock. processor: median of the thread's own time, without what other processes took.
    """
    signals = {"signals": one_ecg()}
    steps = {name: partial(one_thread(path).run, None, signals) for name, path in paths.items()}
    found = {}
    for name, (clock, processor) in take_turns(steps, rounds, REPETITIONS, "latency").items():
        quantiles = np.quantile(1000 * clock, (0.1, 0.5, 0.9))
        found[name] = dict(zip(("p10", "p50", "p90"), quantiles.round(3).tolist(), strict=True))
        found[name]["processor"] = round(float(np.median(1000 * processor)), 3)
    return found


def profile(path: Path, runs: int = 100) -> dict[str, float]:
    """Where the time of one ECG goes, in ms: convolutions, and all other nodes with their number; medians a node."""
    nodes = operators.nodes_of(operators.profile(path, one_ecg(), runs)).values()
    convolutions = sum(node.milliseconds for node in nodes if node.operator in ("Conv", "QLinearConv"))
    others = sum(node.milliseconds for node in nodes) - convolutions
    return {"convolutions": round(convolutions, 3), "others": round(others, 3), "nodes": len(nodes)}


def make_variants(out: Path, network: str, train: PTBXLDataset, val: PTBXLDataset, records: int) -> list[dict]:
    """Make, evaluate and keep or drop the variants of one network; a row each, the network itself first."""
    source, rows = out / f"{network}.onnx", []
    original = onnx.load(source)
    checkpoint_sha256 = json.loads(facts_in(original).value)["checkpoint_sha256"]
    made = {"float32": None, "fp16": with_float16_weights(original), "int8": quantised(source, train, records)}
    for variant, model in made.items():
        target = source if model is None else out / f"{network}_{variant}.onnx"
        with tempfile.TemporaryDirectory() as folder:
            path = source
            if model is not None:
                path = Path(folder, target.name)
                note_variant(model, variant)
                onnx.save_model(compact(model), path)
            row = {
                "file": target.name,
                "network": network,
                "variant": variant,
                "checkpoint_sha256": checkpoint_sha256,
                "bytes": path.stat().st_size,
                "auroc": macro_aurocs(path, val),
            }
            first = rows[0]["auroc"] if rows else row["auroc"]
            row["kept"] = all(row["auroc"][task] >= first[task] - MOST_LOST for task in TASKS)
            if model is not None and row["kept"]:
                with replacing(target) as unfinished:
                    unfinished.write_bytes(path.read_bytes())
                row["sha256"] = sha256(target)
            elif model is not None:
                target.unlink(missing_ok=True)
        rows.append(row)
    return rows


def facts_in(model: onnx.ModelProto) -> onnx.StringStringEntryProto:
    """Where an exported file says what it is, in JSON."""
    return next(one for one in model.metadata_props if one.key == METADATA_KEY)


def note_variant(model: onnx.ModelProto, variant: str) -> None:
    """Say in the metadata which variant it is."""
    facts = facts_in(model)
    facts.value = json.dumps({**json.loads(facts.value), "variant": variant}, separators=(",", ":"))


def measure_latency(out: Path, rows: list[dict], rounds: int) -> None:
    """Add the latency to each row that was kept, and to the reference, which is exported for it."""
    paths = {row["file"]: out / row["file"] for row in rows if row["kept"] and row["network"] != REFERENCE}
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            if row["network"] == REFERENCE:
                paths[row["file"]] = exported_reference(out / REFERENCE_CHECKPOINT, Path(folder))
                row["bytes"] = paths[row["file"]].stat().st_size
        found = latencies(paths, rounds)
        profiles = {name: profile(path) for name, path in paths.items()}
    for row in rows:
        row["latency_ms"], row["profile_ms"] = found.get(row["file"]), profiles.get(row["file"])


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="PTB-XL (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="holds the networks (default: artifacts)")
    parser.add_argument(
        "--records", type=int, default=CALIBRATION_RECORDS, help="of folds 1-8, for int8 (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of latency (default: %(default)s)")
    parser.add_argument("--latency-only", action="store_true", help="of the variants there are; makes none")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)
    out = Path(arguments.out)
    target = out / "variants.json"
    try:
        if arguments.latency_only:
            content = json.loads(target.read_text(encoding="utf-8"))
        else:
            data = data_directory(arguments.data)
            train, val = (PTBXLDataset(data, split, "multilabel", 1.0) for split in ("train", "val"))
            rows = [
                row
                for network in NETWORKS
                if (out / f"{network}.onnx").is_file()
                for row in make_variants(out, network, train, val, arguments.records)
            ]
            rows.append(
                {
                    "file": f"{REFERENCE} (not shipped)",
                    "network": REFERENCE,
                    "variant": "float32",
                    "auroc": None,
                    "kept": True,
                }
            )
            content = {"n": len(val), "most_lost": MOST_LOST, "synthetic": val.is_synthetic, "variants": rows}
            write_text(target, json.dumps(content, indent=1) + "\n")  # latency may be measured again
        measure_latency(out, content["variants"], arguments.rounds)
    except (DatasetError, InferenceError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    content |= {"machine": machine_facts(), "rounds": arguments.rounds}
    write_text(target, json.dumps(content, indent=1) + "\n")
    print_rows(content)
    print(f"written: {target}; next: python -m tools.update_docs")
    return 0


def print_rows(content: dict) -> None:
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)
    for row in content["variants"]:
        aurocs = " ".join(f"{task} {value:.4f}" for task, value in (row["auroc"] or {}).items())
        latency = f"{row['latency_ms']['p50']:.2f} ms" if row["latency_ms"] else ""
        kept = "" if row["kept"] else "dropped"
        print(f"{row['file']:32} {row['bytes'] / 1000:9.1f} kB {aurocs:26} {latency:10} {kept}")


if __name__ == "__main__":
    sys.exit(main())
