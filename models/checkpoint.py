"""A trained network with everything needed to use it and to know where it came from."""

import platform
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import nn

from config import LEADS, PROJECT, SAMPLING_RATE, TASK_CLASSES
from files import replacing
from models import create_model


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a ``.pth`` file holds.

    model, model_arguments: for `create_model`. weights: its state dict.
    input_scale: mV. window_s, stride_s: of evaluation, in s.
    training: the full `config.Training` as a dict. metrics: fold-9 figures at ``epoch``.
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

    def network(self) -> nn.Module:
        """The network in evaluation mode."""
        network = create_model(self.model, **self.model_arguments)
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
        checkpoint = Checkpoint(**content)
        if tuple(checkpoint.classes) != TASK_CLASSES[checkpoint.task] or tuple(checkpoint.leads) != LEADS:
            raise ValueError("its classes or leads are not this project's")
        checkpoint.network()
    except (TypeError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of this project: {error}") from error
    return checkpoint


def load_plain(path: Path | str) -> dict:
    """A dictionary written by `save_atomically`; never executes anything the file contains."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: train one (python train_multilabel.py) or pass --checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen types for a damaged file
        raise CheckpointError(f"{path} cannot be read as a checkpoint, it is damaged or not one: {error}") from error


def logits_function(network: nn.Module):
    """For `ecg.preprocessing.predict_probabilities`: numpy windows in, numpy logits out."""
    device = next(network.parameters()).device

    @torch.inference_mode()
    def logits_of(windows: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(windows).to(device)).float().cpu().numpy()

    return logits_of


def git_revision() -> str:
    """The commit this code is at, with "+changes" if files differ from it; "unknown" outside a checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=PROJECT, check=True, capture_output=True, text=True).stdout.strip()


def machine_facts() -> dict:
    """Processor, instruction set, threads and library: what a measured speed depends on."""
    return {
        "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
