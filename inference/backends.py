"""One trained network, run by ONNX Runtime or by PyTorch."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from config import CHECKPOINT_NAMES, LEADS, SAMPLING_RATE, TASK_CLASSES
from files import sha256
from inference import InferenceError

BACKENDS = ("onnx", "pytorch")
WINDOWS_AT_A_TIME = 32


@dataclass(frozen=True, eq=False)
class Network:
    """One trained network, whatever runs it.

    input_scale: mV. window_s, stride_s: s. synthetic: trained on generated data.
    logits_of: float32 ``(n, 12, samples)`` in units of ``input_scale`` to logits ``(n, classes)``.
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


def network_name(task: str, backend: str) -> str:
    """The file that a backend reads a task's network from."""
    name = CHECKPOINT_NAMES[task]
    return str(Path(name).with_suffix(".onnx")) if backend == "onnx" else name


def load_network(path: Path, backend: str, threads: int) -> Network:
    """One network by ONNX Runtime or by PyTorch, with as many threads as it may use. Raises InferenceError."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: one of {', '.join(BACKENDS)}")
    if not path.is_file():
        make = "python export_onnx.py" if backend == "onnx" else "python train_multilabel.py"
        raise InferenceError(f"no network at {path}: run {make}")
    return _load_onnx(path, threads) if backend == "onnx" else _load_pytorch(path, threads)


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
            task=facts["task"],
            model=facts["model"],
            classes=tuple(facts["classes"]),
            input_scale=facts["input_scale"],
            window_s=facts["window_s"],
            stride_s=facts["stride_s"],
            checkpoint_sha256=facts["checkpoint_sha256"],
            synthetic=facts["synthetic"],
            logits_of=lambda windows: run_in_batches(session, windows),
        )
    except Exception as error:  # onnxruntime raises types of its own for whatever a damaged file provokes
        raise InferenceError(f"{path} cannot be read as a network: {error}; run python export_onnx.py") from error


def run_in_batches(session: onnxruntime.InferenceSession, windows: np.ndarray) -> np.ndarray:
    """Logits of windows ``(n, 12, samples)``, a few at a time: an hour's at once would take gigabytes."""
    batches = np.split(windows, range(WINDOWS_AT_A_TIME, len(windows), WINDOWS_AT_A_TIME))
    return np.concatenate([session.run(None, {"signals": batch})[0] for batch in batches])


def _load_pytorch(path: Path, threads: int) -> Network:
    from models.checkpoint import CheckpointError, load_checkpoint, logits_function  # PyTorch takes seconds to import

    try:
        checkpoint = load_checkpoint(path)
    except CheckpointError as error:
        raise InferenceError(str(error)) from error
    return Network(
        task=checkpoint.task,
        model=checkpoint.model,
        classes=tuple(checkpoint.classes),
        input_scale=checkpoint.input_scale,
        window_s=checkpoint.window_s,
        stride_s=checkpoint.stride_s,
        checkpoint_sha256=sha256(path),
        synthetic=checkpoint.synthetic,
        logits_of=with_torch_threads(logits_function(checkpoint.network()), threads),
    )


def with_torch_threads(
    logits_of: Callable[[np.ndarray], np.ndarray], threads: int
) -> Callable[[np.ndarray], np.ndarray]:
    """The same function, run with this many PyTorch threads.

    PyTorch has no limit of its own for each network, only one for the thread that calls it, so the limit is set for
    the call and the caller's own is put back. Threads that first use PyTorch during a call start with its limit.
    """
    import torch  # takes seconds to import

    def limited(windows: np.ndarray) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return logits_of(windows)
        finally:
            torch.set_num_threads(before)

    return limited
