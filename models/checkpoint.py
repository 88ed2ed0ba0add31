"""A trained network with everything needed to use it and to know where it came from."""

import pickle
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import numpy as np
import torch

from config import BINARY_TASKS, LEADS, SAMPLING_RATE, TASK_CLASSES, Outputs
from ecg.statements import CODES
from files import replacing
from models import ARCHITECTURES
from models.recording_network import RecordingNetwork, make_network

ZIP_SIGNATURE = b"PK\x03\x04"
# of TrainingConfig, in checkpoints of earlier versions
RENAMED_SETTINGS = {"statements": "statement_weight", "auxiliary_weight": "statement_weight"}


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint:
    """What a ``.pth`` file holds.

    classes, statements, binary_tasks: its outputs, see `config.Outputs`. branch: whether it has a `RecordingBranch`.
    model, model_arguments: of the trunk, for `create_model`. weights: state dict of the `RecordingNetwork`.
    input_scale: mV. window_s, stride_s: of evaluation, in s.
    training: the full `config.TrainingConfig` as a dict. metrics: on fold 9, at ``epoch``.
    data_sha256: fold to digest of the signals and labels it was trained and selected on.
    """

    task: str
    classes: tuple[str, ...]
    model: str
    model_arguments: dict
    weights: dict[str, torch.Tensor]
    input_scale: float
    window_s: float
    stride_s: float
    training: dict
    seed: int
    epoch: int
    metrics: dict
    data_sha256: dict[int, str]
    synthetic: bool
    revision: str
    machine: dict
    leads: tuple[str, ...] = LEADS
    sampling_rate: int = SAMPLING_RATE
    statements: tuple[str, ...] = ()
    binary_tasks: tuple[str, ...] = ()
    branch: bool = False

    @property
    def outputs(self) -> Outputs:
        return Outputs(
            classes=tuple(self.classes), statements=tuple(self.statements), binary_tasks=tuple(self.binary_tasks)
        )

    def network(self) -> RecordingNetwork:
        """The network in evaluation mode."""
        network = make_network(
            self.model, self.model_arguments, self.outputs, self.window_s, self.stride_s, self.branch
        )
        network.load_state_dict(self.weights)
        return network.eval()


def save_checkpoint(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write atomically; plain types and tensors only, so ``weights_only=True`` can read it."""
    save_atomically(path, {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)})


def save_atomically(path: Path | str, content: dict) -> None:
    """``torch.save`` that leaves the old file or the new one, whenever it is killed."""
    with replacing(path) as unfinished:
        torch.save(content, unfinished)


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read and verify a checkpoint. Raises CheckpointError if it is missing, damaged or not one of ours."""
    content = load_plain(path)
    try:
        problem = problem_with(content)
    except TypeError as error:
        problem = f"a field is of the wrong type ({error})"
    if problem:
        raise CheckpointError(f"{path} is not a checkpoint of this project: {problem}")
    training = {RENAMED_SETTINGS.get(name, name): value for name, value in content["training"].items()}
    checkpoint = Checkpoint(**{**content, "training": training, "weights": with_trunk(content["weights"])})
    try:
        checkpoint.network()
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path} is not a checkpoint of this project: its weights do not fit its architecture, "
            f"{checkpoint.model}: {reason}"
        ) from error
    return checkpoint


def problem_with(content) -> str | None:
    """Why a file's content is no checkpoint; None if it is one, as far as can be told without building the network."""
    if not isinstance(content, dict):
        return f"it holds a {type(content).__name__}"
    if "optimizer" in content:
        return "it is the state a run is resumed from; the run's checkpoint is best.pth, beside it"
    names = {field.name for field in fields(Checkpoint)}
    required = {field.name for field in fields(Checkpoint) if field.default is MISSING}
    missing, unknown = required - content.keys(), content.keys() - names
    if missing:
        return f"it lacks {', '.join(sorted(missing))}"
    if unknown:
        return f"it also holds {', '.join(sorted(map(str, unknown)))}, perhaps it is of a later version"
    for name, known in (("model", ARCHITECTURES), ("task", TASK_CLASSES)):
        if content[name] not in known:
            return f"its {name} is {content[name]!r}, not one of {', '.join(known)}"
    for name, expected in (("classes", TASK_CLASSES[content["task"]]), ("leads", LEADS)):
        if tuple(content.get(name, LEADS)) != expected:
            return f"its {name} are {', '.join(content[name])}, not {', '.join(expected)}"
    for name in ("weights", "training", "model_arguments"):
        if not isinstance(content[name], dict):
            return f"its {name} are no dictionary"
    for name, known in (("statements", CODES), ("binary_tasks", BINARY_TASKS)):
        if strange := set(content.get(name, ())) - set(known):
            return f"its {name} hold {', '.join(sorted(map(str, strange)))}, which this version does not know"
    weights = with_trunk(content["weights"])
    absent = [name for name in ("trunk.head.weight", "trunk.head.bias") if name not in weights]
    return f"its weights lack the last layer, {', '.join(absent)}" if absent else None


def with_trunk(weights: dict) -> dict:
    """Weights as a `RecordingNetwork` names them; earlier versions saved only the trunk's, by its own names."""
    return {
        name if name.startswith(("trunk.", "branch.")) else f"trunk.{name}": weight for name, weight in weights.items()
    }


def load_plain(path: Path | str) -> dict:
    """A dictionary written by `save_atomically`; never executes anything the file contains."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint at {path}: train one (train_multilabel.py, train_binary.py) or name another"
        )
    with open(path, "rb") as file:
        is_zip = file.read(4) == ZIP_SIGNATURE
    if not is_zip:
        raise CheckpointError(f"{path} is not a checkpoint: PyTorch's files are zip archives, and this is none")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of this project: it holds more than weights and plain values, which is not "
            "loaded, since loading it may run code"
        ) from error
    except Exception as error:  # torch raises half a dozen types for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} cannot be read, it is damaged or incomplete: {reason}") from error


def probabilities_function(network: RecordingNetwork):
    """For `ecg.stretches.predict_probabilities`: numpy recordings in, numpy probabilities out."""
    device = next(network.parameters()).device

    @torch.inference_mode()
    def probabilities_of(signals: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(signals).to(device)).float().cpu().numpy()

    return probabilities_of
