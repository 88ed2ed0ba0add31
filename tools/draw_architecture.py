"""The drawing of the architecture in README.md."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image
from torch import nn

from config import DEFAULT_OUT, LEADS, MULTILABEL_RECIPE, SAMPLING_RATE
from models import count_parameters, create_model

ARCHITECTURE = DEFAULT_OUT / "hmt_ecgnet_architecture.png"
STAGE_TEXT = {
    "stem": "stem, each lead alone",
    "lead_encoder": "lead encoder, weights shared by all leads",
    "limb_group": "limb leads, one token a step",
    "chest_group": "chest leads, one token a step",
    "heart": "heart, both planes mixed",
    "heart_encoder": "heart encoder, over time",
    "head": "head, on mean and maximum over time",
}


@dataclass(frozen=True)
class Stage:
    """One part of the network as it ran: its output's shape without the batch, and its parameters."""

    name: str
    shape: tuple[int, ...]
    parameters: int


def stages(network: nn.Module, window_s: float) -> list[Stage]:
    """Run a network once on a window of zeros and note what each named part put out."""
    seen = []

    def note(name):
        return lambda module, inputs, output: seen.append(
            Stage(name, tuple(output.shape[1:]), count_parameters(module))
        )

    hooks = [part.register_forward_hook(note(name)) for name, part in network.named_children() if name in STAGE_TEXT]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, len(LEADS), round(window_s * SAMPLING_RATE)))
    for hook in hooks:
        hook.remove()
    return seen


def shipped_stages() -> list[Stage]:
    """The stages of the recipe's network."""
    recipe = MULTILABEL_RECIPE
    return stages(create_model(recipe.model, **recipe.model_arguments), recipe.window_s)


def draw_architecture(parts: list[Stage]) -> Figure:
    """Boxes from the leads down to the logits, the two lead groups side by side."""
    rows = [[part] for part in parts if not part.name.endswith("_group")]
    first = next(number for number, part in enumerate(parts) if part.name.endswith("_group"))
    rows.insert(first, [part for part in parts if part.name.endswith("_group")])
    height = 1.0
    figure = Figure(figsize=(8, 1.05 * (len(rows) + 1) + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(-height * (len(rows) + 0.7), 0.9))
    axes.set_axis_off()
    total = sum(part.parameters for part in parts)
    axes.text(5, 0.75, f"HMT-ECGNet, {total:,} parameters", ha="center", va="center", size=13, weight="bold")
    samples = round(MULTILABEL_RECIPE.window_s * SAMPLING_RATE)
    _box(axes, 5, 0, 7.4, f"12 leads × {samples} samples", "mV over one constant, 100 Hz", "#F2F2F2")
    colours = {"stem": "#D9E8F5", "lead_encoder": "#D9E8F5", "head": "#F7DDE9"}
    for number, row in enumerate(rows, 1):
        width = 7.4 if len(row) == 1 else 4.5
        centres = [5] if len(row) == 1 else [2.6, 7.4]
        above = [5] if number == 1 or len(rows[number - 2]) == 1 else [2.6, 7.4]
        for x in centres if len(centres) > 1 else above:
            axes.add_patch(
                FancyArrowPatch(
                    (x, -height * (number - 1) - 0.33), (x, -height * number + 0.33), arrowstyle="-|>", mutation_scale=9
                )
            )
        for x, part in zip(centres, row, strict=True):
            colour = colours.get(part.name, "#FBE8C8" if part.name.endswith("_group") else "#D8EFE3")
            shape = f"{' × '.join(map(str, part.shape))}   ·   {part.parameters:,} parameters"
            _box(axes, x, -height * number, width, STAGE_TEXT[part.name], shape, colour)
    axes.text(
        5, -height * (len(rows) + 0.6), "shapes: channels × leads × time steps", ha="center", size=8.5, color="0.35"
    )
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
