"""manifest.json: the checksums of the exported files and the probabilities of a stored ECG."""

import json
from pathlib import Path

from config import DEFAULT_OUT, TASK_CLASSES
from ecg.readers import read_recording
from ecg.recording import Recording, RecordingError
from files import sha256
from inference.backends import InferenceError, onnx_name

MANIFEST = "manifest.json"
SELF_TEST_ECG = "examples/normal.hea"
SELF_TEST_TOLERANCE = 1e-3


def verify_files(directory: Path) -> dict:
    """Check that the manifest lists every file serving reads, and each of them; returns it. Raises InferenceError."""
    path = directory / MANIFEST
    again = "run python export_onnx.py"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = dict(manifest["files"])
        self_test = dict(manifest["self_test"] or {})
    except FileNotFoundError as error:
        raise InferenceError(f"no {MANIFEST} in {directory}: {again}") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InferenceError(f"{path} is damaged ({type(error).__name__}): {again}") from error
    if not self_test:
        raise InferenceError(f"{path} has no self-test: {again}")
    read = [f"{task}_thresholds.json" for task in TASK_CLASSES]
    read += [
        name for name in map(onnx_name, TASK_CLASSES) if name == onnx_name("multilabel") or (directory / name).exists()
    ]
    unlisted = [name for name in read if name not in files]
    if unlisted:
        raise InferenceError(f"{path} does not list {', '.join(unlisted)}: {again}")
    for name, digest in files.items():
        if not (directory / name).is_file():
            raise InferenceError(f"{directory / name} is missing: {again}")
        if sha256(directory / name) != digest:
            raise InferenceError(
                f"{directory / name} is not the file that was exported, it was damaged or exchanged: {again}"
            )
    return manifest


def self_test_recording(directory: Path | str = DEFAULT_OUT) -> Recording:
    """The stored generated ECG whose answer is known."""
    try:
        return read_recording(Path(directory) / SELF_TEST_ECG)
    except RecordingError as error:
        raise InferenceError(f"the self-test's ECG cannot be read: {error}; run python make_examples.py") from error
