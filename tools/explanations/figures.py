"""The figures of docs/explanations.md."""

import numpy as np
from matplotlib.figure import Figure

from config import SYNTHETIC_NOTICE
from ecg.plotting.draw import draw
from ecg.preprocessing import model_input
from evaluation.figures import COLOURS
from inference.explain import DEFAULT_METHOD, METHODS, explain
from models.checkpoint import Checkpoint
from tools.explanations.curves import ORDERS
from tools.explanations.elevations import ELEVATED_CLASS, ELEVATIONS_MV, TERRITORIES, with_elevation

ORDER_NAMES = {
    "integrated_gradients": "integrated gradients",
    "occlusion": "occlusion",
    "amplitude": "largest waves first",
    "random": "random",
}
CURVE_NAMES = {
    "deletion": "deletion, by the isoelectric line",
    "insertion": "insertion, into the isoelectric line",
    "deletion_line": "deletion, by a straight line",
}
AGREEMENT_NAMES = {"signed": "correlation", "absolute": "without signs", "strongest": "strongest cells in common"}


def draw_curves(content: dict) -> Figure:
    """The mean deletion and insertion curves."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, 3, sharey=True), CURVE_NAMES.items(), strict=True):
        for order, colour in zip(ORDERS, COLOURS, strict=False):
            area = content["curves"]["area"][order][name]["value"]
            curve = content["curves"]["mean_curve"][order][name]
            label = f"{ORDER_NAMES[order]}  {area:.3f}"
            axes.plot(np.multiply(100, content["curves"]["fractions"]), curve, color=colour, label=label)
        axes.set(title=title, xlabel="cells changed, % (most important first)", ylim=(0, 1))
        axes.legend(title="area", frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("probability of the class")
    if content["synthetic"]:
        figure.suptitle(SYNTHETIC_NOTICE, fontsize=9)
    return figure


def draw_randomisation(content: dict) -> Figure:
    """Agreement with the trained network's maps, as more of the network is untrained."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, method in zip(figure.subplots(1, len(METHODS), sharey=True), METHODS, strict=True):
        stages = {k: v for k, v in content["randomisation"]["agreement"][method].items() if k != "amplitude"}
        for kind, colour in zip(AGREEMENT_NAMES, COLOURS, strict=False):
            values = [1, *(stage[kind] for stage in stages.values())]
            axes.plot(values, "o-", color=colour, label=AGREEMENT_NAMES[kind], markersize=4)
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axes.set_xticks(range(len(stages) + 1), ["trained", *stages], rotation=45, ha="right")
        axes.set(title=ORDER_NAMES[method], ylim=(-0.25, 1.05))
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.supylabel("agreement with the trained network's map")
    if content["synthetic"]:
        figure.suptitle(SYNTHETIC_NOTICE, fontsize=9)
    return figure


def draw_elevation(checkpoint: Checkpoint) -> Figure:
    """A generated ECG with ST elevation in V2-V4, shaded by the default method."""
    recording, _ = with_elevation(0, TERRITORIES["anterior"][0], ELEVATIONS_MV[-1])
    signal = model_input(recording, checkpoint.input_scale)
    explanation = explain(checkpoint.network(), signal, explained=(ELEVATED_CLASS,), method=DEFAULT_METHOD)
    ranking = ", ".join(f"{lead} {share:.0%}" for lead, share in explanation.ranked_leads(ELEVATED_CLASS)[:4])
    caption = (
        f"Generated ECG, ST elevated by {ELEVATIONS_MV[-1]:g} mV in V2–V4; {ELEVATED_CLASS} "
        f"{explanation.probabilities[0]:.2f}; {ORDER_NAMES[DEFAULT_METHOD]}: {ranking}"
    )
    return draw(recording, shading=explanation.spans(ELEVATED_CLASS), caption=caption, notice="synthetic")
