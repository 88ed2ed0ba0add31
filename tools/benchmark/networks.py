"""The networks that are compared: their size, their latency and throughput, their memory."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from config import BASELINE_NAMES, LEADS, PROJECT, SAMPLING_RATE
from ecg.preprocessing import FULL_DURATION_S, model_input
from files import sha256
from inference.backends import BACKENDS, load_network
from inference.decision_network import DecisionNetwork
from inference.export import export_network, facts_of
from inference.manifest import self_test_recording
from models import count_parameters
from models.checkpoint import load_checkpoint
from models.recording_network import RecordingNetwork
from tools.benchmark import turns

REFERENCE = "resnet1d"
REFERENCE_CHECKPOINT = BASELINE_NAMES[REFERENCE]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One or more networks that answer together.

    aim: as many times faster than the ResNet-1D it is to be; None: no aim.
    """

    name: str
    label: str
    checkpoints: tuple[Path, ...]
    exported: tuple[Path, ...]
    aim: int | None = None

    def paths(self, backend: str) -> tuple[Path, ...]:
        return self.exported if backend == "onnx" else self.checkpoints


def contenders(artifacts: Path, made: Path) -> list[Contender]:
    """Those of our networks that are there, and the ResNet-1D, which is exported into ``made`` for this."""
    named = (
        ("ours", "HMT-ECGNet", ("multilabel_best",), 10),
        ("ours_and_mi", "HMT-ECGNet and the network for MI", ("multilabel_best", "mi_best"), 10),
        ("tiny", "HMT-ECGNet tiny", ("multilabel_tiny",), 16),
        ("anylead", "HMT-ECGNet for missing leads", ("anylead_best",), None),
    )
    found = [
        Contender(
            name=name,
            label=label,
            checkpoints=tuple(artifacts / f"{stem}.pth" for stem in stems),
            exported=tuple(artifacts / f"{stem}.onnx" for stem in stems),
            aim=aim,
        )
        for name, label, stems, aim in named
    ]
    there = [one for one in found if all(path.is_file() for path in (*one.checkpoints, *one.exported))]
    source = artifacts / REFERENCE_CHECKPOINT
    reference = Contender(
        name=REFERENCE, label="ResNet-1D", checkpoints=(source,), exported=(exported_reference(source, made),)
    )
    return [*there, reference]


def exported_reference(source: Path, made: Path) -> Path:
    """The ResNet-1D as an ONNX file, exported as ours are; kept for the next run."""
    digest = sha256(source)
    path = made / f"resnet1d_{digest[:12]}.onnx"
    if not path.is_file():
        made.mkdir(parents=True, exist_ok=True)
        checkpoint = load_checkpoint(source)
        network = DecisionNetwork(checkpoint.network(), checkpoint.input_scale, {}).eval()
        export_network(path, network, facts_of(checkpoint, digest, {}, {}, {}))
    return path


def size_of(contender: Contender) -> dict:
    """Parameters, multiply-accumulates for one 10-s ECG, bytes of the files, checksums."""
    networks = [load_checkpoint(path).network().eval() for path in contender.checkpoints]
    return {
        "name": contender.name,
        "label": contender.label,
        "aim": contender.aim,
        "checkpoints_sha256": [sha256(path) for path in contender.checkpoints],
        "parameters": sum(count_parameters(network) for network in networks),
        "multiply_accumulates": sum(multiply_accumulates(network) for network in networks),
        "onnx_bytes": sum(path.stat().st_size for path in contender.exported),
        "checkpoint_bytes": sum(path.stat().st_size for path in contender.checkpoints),
    }


def multiply_accumulates(network: RecordingNetwork) -> int:
    """Of convolutions and matrix products for one 10-s ECG, all windows together."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, len(LEADS), round(FULL_DURATION_S * SAMPLING_RATE)))
    return counter.get_total_flops() // 2


def answering(paths: Sequence[Path], backend: str, signals: np.ndarray) -> Callable[[], object]:
    """A step: the probabilities of signals ``(n, 12, samples)`` in mV by all these networks, one thread each."""
    networks = [load_network(path, backend, threads=1) for path in paths]
    return lambda: [network.probabilities_of(signals) for network in networks]


def compare(
    found: Sequence[Contender], artifacts: Path, rounds: int, repetitions: int, batch: int, batch_rounds: int
) -> dict:
    """One row a contender: `size_of`, and by backend latency, throughput and share of the core's peak."""
    one = model_input(self_test_recording(artifacts), 1.0)[None]
    many = np.repeat(one, batch, axis=0)
    rows = {contender.name: size_of(contender) for contender in found}
    products = {}
    for backend in BACKENDS:
        single = {c.name: answering(c.paths(backend), backend, one) for c in found}
        times = turns.take_turns(
            {**single, "product": turns.matrix_product()}, rounds, repetitions, f"{backend}, one ECG"
        )
        together = {c.name: answering(c.paths(backend), backend, many) for c in found}
        batch_times = turns.take_turns(together, batch_rounds, 1, f"{backend}, {batch} ECGs")
        products[backend] = turns.peak_gflops(times["product"])
        for name, row in rows.items():
            row[backend] = measured(times[name], times[REFERENCE], row["multiply_accumulates"], products[backend])
            row[backend]["batch"] = {
                **turns.rate(batch_times[name], batch),
                **turns.ratio(batch_times[name], batch_times[REFERENCE]),
            }
    return {
        "duration_s": FULL_DURATION_S,
        "batch_size": batch,
        "peak_gflops": products,
        "rows": list(rows.values()),
    }


def measured(times: np.ndarray, reference: np.ndarray, macs: int, peak: float) -> dict:
    """Latency of one contender, its ratio to the reference and its share of the peak."""
    row = {**turns.latency(times), **turns.ratio(times, reference)}
    return {**row, "share_of_peak": turns.share_of_peak(macs, row["processor_p50_ms"], peak)}


def memory_of(contender: Contender, signal: Path) -> dict[str, float]:
    """MB of a process of its own that diagnoses one ECG by ONNX Runtime, see `tools.benchmark.memory`."""
    command = [sys.executable, "-m", "tools.benchmark.memory", str(signal), *map(str, contender.exported)]
    done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def memory(found: Sequence[Contender], artifacts: Path, made: Path) -> dict[str, dict[str, float]]:
    """`memory_of` every contender, by name."""
    signal = made / "signal.npy"
    np.save(signal, model_input(self_test_recording(artifacts), 1.0)[None])
    return {contender.name: memory_of(contender, signal) for contender in found}
