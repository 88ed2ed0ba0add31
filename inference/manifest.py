"""manifest.json: the checksums of the files that inference reads and the probabilities of a stored ECG."""

import json
import shlex
from pathlib import Path

from config import DEFAULT_OUT, TASK_CLASSES
from ecg.readers import read_recording
from ecg.recording import Recording, RecordingError
from files import sha256
from inference import InferenceError
from inference.backends import anylead_paths, network_name
from inference.decisions import thresholds_path

MANIFEST = "manifest.json"
SELF_TEST_ECG = "examples/normal.hea"
SELF_TEST_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V2")  # of the any-leads network
SELF_TEST_TOLERANCE = 1e-3


def export_again(directory: Path) -> str:
    """The command that mends a directory of networks."""
    return "run python export_onnx.py" + ("" if directory == DEFAULT_OUT else f" --out {shlex.quote(str(directory))}")


def read_manifest(directory: Path) -> dict:
    """The manifest: ``files``, name to SHA-256, and ``self_test``, name to probability. Raises InferenceError.

    ``self_test_anylead`` is that of the any-leads network, with `SELF_TEST_LEADS` alone; empty if there is none.
    """
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest = {
            "files": dict(manifest["files"]),
            "self_test": dict(manifest["self_test"] or {}),
            "self_test_anylead": dict(manifest.get("self_test_anylead") or {}),
        }
    except FileNotFoundError as error:
        if not directory.is_dir():
            raise InferenceError(f"no {MANIFEST} in {directory}: there is no such directory") from error
        raise InferenceError(f"no {MANIFEST} in {directory}: {export_again(directory)}") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InferenceError(f"{path} is damaged ({type(error).__name__}): {export_again(directory)}") from error
    if not manifest["self_test"]:
        raise InferenceError(f"{path} has no self-test: {export_again(directory)}")
    return manifest


def verify_files(directory: Path, backend: str) -> dict:
    """Check the files a backend reads against the manifest, which is returned. Raises InferenceError.

    The thresholds must be listed and be what was listed. So must the networks of ONNX Runtime; checkpoints are not
    in the manifest, the thresholds name theirs.
    """
    manifest = read_manifest(directory)
    files = manifest["files"]
    required = [thresholds_path(directory, task).name for task in TASK_CLASSES]
    if backend == "onnx":
        multilabel, *binary = (network_name(task, "onnx") for task in TASK_CLASSES)
        required += [multilabel, *(name for name in binary if (directory / name).exists())]
    anylead = anylead_paths(directory, backend)
    if all(path.is_file() for path in anylead):
        required += [path.name for path in anylead if path.suffix != ".pth"]
        if not manifest["self_test_anylead"]:
            raise InferenceError(f"{directory / MANIFEST} has no self-test of {anylead[0]}: {export_again(directory)}")
    unlisted = [name for name in required if name not in files]
    if unlisted:
        raise InferenceError(f"{directory / MANIFEST} does not list {', '.join(unlisted)}: {export_again(directory)}")
    for name in files if backend == "onnx" else required:
        if not (directory / name).is_file():
            raise InferenceError(f"{directory / name} is missing: {export_again(directory)}")
        if sha256(directory / name) != files[name]:
            raise InferenceError(
                f"{directory / name} is not the file that was exported, it was damaged or exchanged: "
                + export_again(directory)
            )
    return manifest


def self_test_recording(directory: Path | str = DEFAULT_OUT) -> Recording:
    """The stored generated ECG whose probabilities the manifest holds. Raises InferenceError."""
    try:
        return read_recording(Path(directory) / SELF_TEST_ECG)
    except RecordingError as error:
        shipped = Path(directory) == DEFAULT_OUT
        make = "run python -m tools.make_examples" if shipped else export_again(Path(directory))
        raise InferenceError(f"the self-test's ECG cannot be read: {error}; {make}") from error
