"""The drawing of the architecture in README.md."""

import json
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

from config import DEFAULT_OUT, LEADS, MULTILABEL_RECIPE, SAMPLING_RATE
from ecg.preprocessing import FULL_DURATION_S
from models import count_parameters
from models.recording_network import RecordingNetwork, make_network
from training.objective import outputs_of

ARCHITECTURE = DEFAULT_OUT / "hmt_ecgnet_architecture.png"
STAGE_TEXT = {
    "stem": "stem, each lead alone",
    "lead_encoder": "lead encoder, weights shared by all leads",
    "limb_group": "limb leads, one token a step",
    "chest_group": "chest leads, one token a step",
    "heart": "heart, both planes mixed",
    "heart_encoder": "heart encoder, over time",
    "head": "head, on mean and maximum",
    "branch": "RR intervals, voltages of the recording",
}
SIDE_BY_SIDE = {"limb_group": "groups", "chest_group": "groups", "head": "outputs", "branch": "outputs"}
COLOURS = {
    **dict.fromkeys(("stem", "lead_encoder"), "#D9E8F5"),
    **dict.fromkeys(("limb_group", "chest_group"), "#FBE8C8"),
    **dict.fromkeys(("head", "branch"), "#F7DDE9"),
}


@dataclass(frozen=True)
class Stage:
    """One part of the network as it ran: its output's shape without the batch, and its parameters."""

    name: str
    shape: tuple[int, ...]
    parameters: int


def stages(network: RecordingNetwork) -> list[Stage]:
    """Run a network once on a window of zeros and note what each named part put out; the branch comes last."""
    seen = []

    def note(name):
        return lambda module, inputs, output: seen.append(
            Stage(name, tuple(output.shape[1:]), count_parameters(module))
        )

    parts = [*network.trunk.named_children(), ("branch", network.branch.perceptron)]
    hooks = [part.register_forward_hook(note(name)) for name, part in parts if name in STAGE_TEXT]
    window = torch.zeros(1, len(LEADS), network.window)
    recording = torch.zeros(1, len(LEADS), round(FULL_DURATION_S * SAMPLING_RATE))
    with torch.inference_mode():
        network.eval().window_logits(window, network.statistics(recording))
    for hook in hooks:
        hook.remove()
    return seen


def shipped_stages() -> list[Stage]:
    """The stages of the recipe's network."""
    recipe = MULTILABEL_RECIPE
    network = make_network(
        recipe.model, recipe.model_arguments, outputs_of(recipe), recipe.window_s, recipe.stride_s, branch=True
    )
    return stages(network)


def draw_architecture(parts: list[Stage]) -> Figure:
    """Boxes from the leads down to the logits, the two lead groups side by side."""
    rows = [list(row) for _, row in groupby(parts, key=lambda part: SIDE_BY_SIDE.get(part.name, part.name))]
    figure = Figure(figsize=(8, 1.05 * (len(rows) + 1) + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(-len(rows) - 0.7, 0.9))
    axes.set_axis_off()
    title = f"HMT-ECGNet, {sum(part.parameters for part in parts):,} parameters"
    axes.text(5, 0.75, title, ha="center", va="center", size=13, weight="bold")
    samples = round(MULTILABEL_RECIPE.window_s * SAMPLING_RATE)
    _box(axes, 5, 0, 7.4, f"12 leads × {samples} samples", "mV over one constant, 100 Hz", "#F2F2F2")
    above = [5]
    for number, row in enumerate(rows, 1):
        width, centres = (7.4, [5]) if len(row) == 1 else (4.5, [2.6, 7.4])
        from_above = [x for x, part in zip(centres, row, strict=True) if part.name != "branch"]
        for x in max(above, from_above, key=len):
            ends = (x, 0.67 - number), (x, 0.33 - number)
            axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=9))
        for x, part in zip(centres, row, strict=True):
            shape = f"{' × '.join(map(str, part.shape))}   ·   {part.parameters:,} parameters"
            _box(axes, x, -number, width, STAGE_TEXT[part.name], shape, COLOURS.get(part.name, "#D8EFE3"))
        above = centres
    axes.text(5, -len(rows) - 0.6, "shapes: channels × leads × time steps", ha="center", size=8.5, color="0.35")
    return figure


def _box(axes, x: float, y: float, width: float, name: str, facts: str, colour: str) -> None:
    style = {"boxstyle": "round,pad=0.02,rounding_size=0.12", "facecolor": colour, "edgecolor": "0.4", "linewidth": 0.8}
    axes.add_patch(FancyBboxPatch((x - width / 2, y - 0.3), width, 0.6, **style))
    axes.text(x, y + 0.11, name, ha="center", va="center", size=10)
    axes.text(x, y - 0.14, facts, ha="center", va="center", size=8.5, color="0.25")


def as_text(parts: list[Stage]) -> str:
    """What the drawing was made from, to be kept inside it."""
    return json.dumps([asdict(part) for part in parts])


def drawn_from(path: Path) -> str | None:
    """The stages a drawing was made from; None without a drawing."""
    if not path.is_file():
        return None
    with Image.open(path) as picture:
        return picture.info.get("Stages")
