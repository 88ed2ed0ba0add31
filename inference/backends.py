"""One trained network, run by ONNX Runtime or by PyTorch."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from config import CHECKPOINT_NAMES, LEADS, SAMPLING_RATE, TASK_CLASSES
from files import sha256
from models.checkpoint import CheckpointError, load_checkpoint, logits_function

BACKENDS = ("onnx", "pytorch")
WINDOWS_AT_A_TIME = 32


class InferenceError(RuntimeError):
    """The networks cannot be used; the message says which file is wrong and what to do."""


@dataclass(frozen=True, eq=False)
class Network:
    """One trained network, whatever runs it.

    logits_of: float32 ``(n, 12, samples)`` in units of ``input_scale`` mV to logits ``(n, classes)``.
    """

    task: str
    model: str
    classes: tuple[str, ...]
    input_scale: float
    window_s: float
    stride_s: float
    checkpoint_sha256: str
    synthetic: bool
    logits_of: Callable[[np.ndarray], np.ndarray]


def onnx_name(task: str) -> str:
    """The file of a task's exported network."""
    return str(Path(CHECKPOINT_NAMES[task]).with_suffix(".onnx"))


def load_network(path: Path, backend: str, threads: int) -> Network:
    """One network by ONNX Runtime or by PyTorch. Raises InferenceError."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: one of {', '.join(BACKENDS)}")
    if not path.is_file():
        raise InferenceError(f"no network at {path}: run python export_onnx.py")
    return _load_onnx(path, threads) if backend == "onnx" else _load_pytorch(path)


def _load_onnx(path: Path, threads: int) -> Network:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        facts = json.loads(session.get_modelmeta().custom_metadata_map["hmt_ecgnet"])
        if facts["leads"] != list(LEADS) or facts["sampling_rate"] != SAMPLING_RATE:
            raise ValueError("its leads or sampling rate are not this project's")
        if tuple(facts["classes"]) != TASK_CLASSES[facts["task"]]:
            raise ValueError("its classes are not this project's")
        return Network(
            facts["task"],
            facts["model"],
            tuple(facts["classes"]),
            facts["input_scale"],
            facts["window_s"],
            facts["stride_s"],
            facts["checkpoint_sha256"],
            facts["synthetic"],
            lambda windows: run_in_batches(session, windows),
        )
    except Exception as error:  # onnxruntime raises types of its own for whatever a damaged file provokes
        raise InferenceError(f"{path} cannot be read as a network: {error}; run python export_onnx.py") from error


def run_in_batches(session: onnxruntime.InferenceSession, windows: np.ndarray) -> np.ndarray:
    """Logits of windows ``(n, 12, samples)``, a few at a time: an hour's at once would take gigabytes."""
    batches = np.split(windows, range(WINDOWS_AT_A_TIME, len(windows), WINDOWS_AT_A_TIME))
    return np.concatenate([session.run(None, {"signals": batch})[0] for batch in batches])


def _load_pytorch(path: Path) -> Network:

    try:
        checkpoint = load_checkpoint(path)
    except CheckpointError as error:
        raise InferenceError(str(error)) from error
    return Network(
        checkpoint.task,
        checkpoint.model,
        tuple(checkpoint.classes),
        checkpoint.input_scale,
        checkpoint.window_s,
        checkpoint.stride_s,
        sha256(path),
        checkpoint.synthetic,
        logits_function(checkpoint.network()),
    )
