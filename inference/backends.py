"""One trained network, run by ONNX Runtime or by PyTorch."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from config import (
    ANYLEAD,
    ANYLEAD_CHECKPOINT,
    BINARY_TASKS,
    CHECKPOINT_NAMES,
    LEADS,
    SAMPLING_RATE,
    TASK_CLASSES,
    Outputs,
)
from ecg.preprocessing import scale_signal
from ecg.statements import CODES
from files import sha256
from inference import InferenceError

BACKENDS = ("onnx", "pytorch")
BATCH_SIZE = 16  # recordings; more leave the processor's cache and are slower


@dataclass(frozen=True, eq=False)
class Network:
    """One trained network, whatever runs it.

    input_scale: mV. window_s, stride_s: s. synthetic: trained on generated data.
    probabilities_of: float32 ``(n, 12, samples)`` in mV at 100 Hz to uncalibrated probabilities ``(n, outputs)``.
    batch_size: how many recordings it gets at a time, so that each has the same result to the last bit whatever others
        are read with it.
    """

    task: str
    model: str
    outputs: Outputs
    input_scale: float
    window_s: float
    stride_s: float
    checkpoint_sha256: str
    synthetic: bool
    probabilities_of: Callable[[np.ndarray], np.ndarray]
    batch_size: int


def network_name(task: str, backend: str) -> str:
    """The file that a backend reads a task's network from."""
    name = CHECKPOINT_NAMES[task]
    return str(Path(name).with_suffix(".onnx")) if backend == "onnx" else name


def anylead_paths(directory: Path, backend: str) -> tuple[Path, Path]:
    """Where the any-leads network that a backend reads and its thresholds lie, if they are there."""
    network = Path(ANYLEAD_CHECKPOINT).with_suffix(".onnx") if backend == "onnx" else ANYLEAD_CHECKPOINT
    return directory / network, directory / f"{ANYLEAD}_thresholds.json"


def load_network(path: Path, backend: str, threads: int = 1) -> Network:
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
        run_options = onnxruntime.RunOptions()
        run_options.only_execute_path_to_fetches = True  # decisions are made outside, where quality counts too
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        facts = json.loads(session.get_modelmeta().custom_metadata_map["hmt_ecgnet"])
        if facts["leads"] != list(LEADS) or facts["sampling_rate"] != SAMPLING_RATE:
            raise ValueError("its leads or sampling rate are not this project's")
        outputs = Outputs(
            classes=tuple(facts["classes"]),
            statements=tuple(facts["statements"]),
            binary_tasks=tuple(facts["binary_tasks"]),
        )
        known = outputs.statements in ((), CODES) and set(outputs.binary_tasks) <= set(BINARY_TASKS)
        if outputs.classes != TASK_CLASSES[facts["task"]] or not known:
            raise ValueError("its classes are not this project's")
        return Network(
            task=facts["task"],
            model=facts["model"],
            outputs=outputs,
            input_scale=facts["input_scale"],
            window_s=facts["window_s"],
            stride_s=facts["stride_s"],
            checkpoint_sha256=facts["checkpoint_sha256"],
            synthetic=facts["synthetic"],
            probabilities_of=lambda signals: session.run(["probabilities"], {"signals": signals}, run_options)[0],
            batch_size=BATCH_SIZE if facts.get("same_in_batches") else 1,
        )
    except Exception as error:  # onnxruntime raises types of its own for whatever a damaged file provokes
        raise InferenceError(f"{path} cannot be read as a network: {error}; run python export_onnx.py") from error


def _load_pytorch(path: Path, threads: int) -> Network:
    # PyTorch takes seconds to import
    from models.checkpoint import CheckpointError, load_checkpoint, probabilities_function

    try:
        checkpoint = load_checkpoint(path)
    except CheckpointError as error:
        raise InferenceError(str(error)) from error
    probabilities_of = with_torch_threads(probabilities_function(checkpoint.network()), threads)
    return Network(
        task=checkpoint.task,
        model=checkpoint.model,
        outputs=checkpoint.outputs,
        input_scale=checkpoint.input_scale,
        window_s=checkpoint.window_s,
        stride_s=checkpoint.stride_s,
        checkpoint_sha256=sha256(path),
        synthetic=checkpoint.synthetic,
        probabilities_of=lambda signals: probabilities_of(scale_signal(signals, checkpoint.input_scale)),
        batch_size=1,  # PyTorch's sums depend on the size of a batch
    )


def with_torch_threads(
    function: Callable[[np.ndarray], np.ndarray], threads: int
) -> Callable[[np.ndarray], np.ndarray]:
    """The same function, run with this many PyTorch threads.

    PyTorch has no limit of its own for each network, only one for the thread that calls it, so the limit is set for
    the call and the caller's own is put back. Threads that first use PyTorch during a call start with its limit.
    """
    import torch  # takes seconds to import

    def limited(signals: np.ndarray) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return function(signals)
        finally:
            torch.set_num_threads(before)

    return limited
