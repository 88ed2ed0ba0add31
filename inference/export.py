"""Write a network and its decisions as one ONNX file.

The graph is exported in three parts, which PyTorch's exporter follows more easily than the whole: cutting into
stretches, the network, the decisions. `ecg.stretches`, the numpy rule and PyTorch are what the file is held to before
it replaces another.
"""

import copy
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.export import Dim

from config import LEADS, SAMPLING_RATE
from ecg.lead_sets import CANONICAL_SETS
from ecg.preprocessing import MINIMUM_DURATION_S
from ecg.statements import RHYTHMS
from files import replacing
from inference import InferenceError
from inference.decision_network import WITHHELD_CODES, DecisionNetwork, cut_stretches, lead_presence
from inference.decisions import Decisions
from inference.lead_sets import LeadSets
from models.checkpoint import Checkpoint
from models.hmt_ecgnet import HMTECGNet, fill_up

TOLERANCE = 1e-4  # of a probability
VECTOR = 16  # float32 numbers in a register of AVX-512
SHORTEST = round(MINIMUM_DURATION_S * SAMPLING_RATE)  # samples, of a recording
OPSET = 20  # what onnxruntime-web runs
SHAPES = ((1, 500), (7, 1000), (3, 777), (2, 1501), (1, 3500), (16, 1000))  # recordings, samples
METADATA_KEY = "hmt_ecgnet"


class Part(nn.Module):
    """A part of a module as a module: what PyTorch's exporter takes."""

    def __init__(self, function: Callable, owner: nn.Module | None = None):
        super().__init__()
        self.function, self.owner = function, owner

    def forward(self, *inputs: torch.Tensor):
        return self.function(*inputs)


def export_network(path: Path, network: DecisionNetwork, facts: dict) -> float:
    """Write one ONNX file; returns its largest difference of a probability to PyTorch.

    facts: from `facts_of`. Raises InferenceError, and leaves the old file, if the difference is above `TOLERANCE` or a
    decision differs.
    """
    model = to_onnx(network)
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(facts, separators=(",", ":"))})
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as unfinished:
        onnx.save_model(model, unfinished)
        difference = largest_difference(unfinished, network)
        if difference > TOLERANCE:
            raise InferenceError(f"{path.name} differs from PyTorch by {difference:.2g}; it was not written")
    return difference


def to_onnx(network: DecisionNetwork) -> onnx.ModelProto:
    """``signals (recordings, 12, samples)`` in mV to the network's ``output_names``."""
    network = with_full_vectors(network)
    leads, outputs = len(LEADS), len(network.outputs)
    any_leads = network.choice is not None
    function = cut_and_presence if any_leads else cut_stretches
    between = ("stretches", "present") if any_leads else ("stretches",)
    cut = export_part(Part(function), {"signals": ((2, leads, 3003), (0, 2))}, between)
    read = export_part(Part(network.read, network), {"stretches": ((2, 3, leads, 1003), (0, 1, 3))}, ("of_stretches",))
    inputs = {"of_stretches": ((2, 3, outputs), (0, 1))} | ({"present": ((2, leads), (0,))} if any_leads else {})
    decide = export_part(Part(network.decide, network), inputs, network.output_names)
    pad_instead_of_ceil(read)
    for name, part in (("cut", cut), ("read", read), ("decide", decide)):
        shorten_names(part, name)
    model = onnx.compose.merge_models(cut, read, io_map=[("stretches", "stretches")])
    model = onnx.compose.merge_models(model, decide, io_map=[(name, name) for name in inputs])
    del model.opset_import[:]  # once for each part
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    return model


def with_full_vectors(network: DecisionNetwork) -> DecisionNetwork:
    """The same network with channels filled up to what ONNX Runtime computes at once; it is 4 % faster."""
    if not isinstance(network.network.trunk, HMTECGNet):
        return network
    filled = copy.deepcopy(network)
    filled.network.trunk = fill_up(filled.network.trunk, VECTOR)
    return filled


def cut_and_presence(signals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return cut_stretches(signals), lead_presence(signals)


def export_part(
    part: Part, inputs: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], outputs: tuple[str, ...]
) -> onnx.ModelProto:
    """One part of the graph.

    inputs: name to the shape of the example that it is followed with, and the axes that may have any size.
    """
    # the exporter warns of its own future changes and that torchvision, which no network here uses, is not installed
    for library in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(library).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            part.eval(),
            tuple(torch.rand(shape) for shape, _ in inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamic_shapes=(
                tuple(
                    {axis: Dim.DYNAMIC(min=SHORTEST) if shape[axis] > SHORTEST else Dim.DYNAMIC for axis in axes}
                    for shape, axes in inputs.values()
                ),
            ),
            dynamo=True,
            verbose=False,
        )
    return program.model_proto


def shorten_names(model: onnx.ModelProto, part: str) -> None:
    """Name everything inside by part and number, which also keeps the parts' names apart.

    A node of the trunk is called trunk: what quantisation may touch.
    """
    graph = model.graph
    kept = {one.name for one in (*graph.input, *graph.output)}
    inside = [one.name for one in graph.initializer] + [name for node in graph.node for name in node.output if name]
    names = {name: f"{part}{number}" for number, name in enumerate(inside) if name not in kept}
    for one in graph.initializer:
        one.name = names.get(one.name, one.name)
    for number, node in enumerate(graph.node):
        scopes = next((one.value for one in node.metadata_props if one.key.endswith("name_scopes")), "")
        node.name = f"{'trunk' if '.trunk.' in scopes else part}{number}"
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        del node.metadata_props[:]  # where in our source it came from
        node.doc_string = ""
    for one in (*graph.input, *graph.output):
        del one.metadata_props[:]
    for one in graph.initializer:
        del one.metadata_props[:]
    del graph.value_info[:]
    del graph.metadata_props[:]
    graph.name, model.producer_name, model.producer_version = "hmt_ecgnet", "", ""


def facts_of(
    checkpoint: Checkpoint,
    checkpoint_sha256: str,
    decisions: Mapping[str, Decisions],
    thresholds_sha256: Mapping[str, str],
    other_files: Mapping[str, str],
    lead_sets: LeadSets | None = None,
) -> dict:
    """What the file says of itself, see docs/onnx.md.

    decisions, thresholds_sha256: of the tasks it answers. other_files: task to the file that answers it instead.
    lead_sets: of a network that reads any leads; its decisions are the first set's then, those of all twelve leads.
    """
    names = (
        "task",
        "classes",
        "statements",
        "binary_tasks",
        "leads",
        "sampling_rate",
        "input_scale",
        "window_s",
        "stride_s",
        "model",
    )
    facts = {name: getattr(checkpoint, name) for name in names}
    return {
        **facts,
        "checkpoint_sha256": checkpoint_sha256,
        "synthetic": checkpoint.synthetic,
        "decisions": {task: decisions_facts(one, thresholds_sha256[task]) for task, one in decisions.items()},
        "other_files": dict(other_files),
        "same_in_batches": True,  # see `models.recording_branch.row_sum`
        "rhythms": RHYTHMS,
        "withheld": WITHHELD_CODES,
        **({"lead_sets": lead_sets_facts(lead_sets)} if lead_sets else {}),
    }


def lead_sets_facts(lead_sets: LeadSets) -> list[dict]:
    """Name, leads, what they do not show and thresholds of each set, by number; "" the last: without calibration."""
    sets = [*lead_sets.by_name.values(), lead_sets.without_calibration]
    return [
        {
            "name": one.name,
            "leads": CANONICAL_SETS.get(one.name, ()),
            "not_assessable": one.not_assessable,
            "thresholds": {task: decisions.thresholds for task, decisions in one.decisions.items()},
        }
        for one in sets
    ]


def decisions_facts(decisions: Decisions, thresholds_sha256: str) -> dict:
    """Thresholds of a task, its classes', and its statements' and subclasses' if it has them."""
    findings = {
        level: {
            "names": found.names,
            "thresholds": found.thresholds.tolist(),
            "validated": found.validated.tolist(),
        }
        for level, found in (("statements", decisions.statements), ("subclasses", decisions.subclasses))
        if found
    }
    return {
        "thresholds_sha256": thresholds_sha256,
        "score": decisions.score,
        "criterion": decisions.criterion,
        "names": decisions.classes,
        "thresholds": decisions.thresholds,
        "margin": decisions.margin,
        **findings,
    }


def compact(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with names of a few characters and equal constants stored once; for the smallest files."""
    graph, first, equal = model.graph, {}, {}
    for one in graph.initializer:
        name, one.name = one.name, ""
        equal[name] = first.setdefault(one.SerializeToString(), name)
        one.name = name
    kept = [
        onnx.TensorProto.FromString(one.SerializeToString()) for one in graph.initializer if equal[one.name] == one.name
    ]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    short = {one.name: one.name for one in (*graph.input, *graph.output)} | {"": ""}
    for one in graph.initializer:
        short[one.name] = one.name = np.base_repr(len(short), 36)
    for node in graph.node:
        node.name = ""
        node.input[:] = [short[equal.get(name, name)] for name in node.input]
        node.output[:] = [short.setdefault(name, np.base_repr(len(short), 36)) for name in node.output]
    del graph.value_info[:]
    return model


def pad_instead_of_ceil(model: onnx.ModelProto) -> None:
    """Rewrite the shortcuts' averages of pairs so that ONNX Runtime need not reorder their channels: 20 % faster.

    A last sample without a partner stays as it is either way: rounded up, or padded by one that does not count.
    """
    for node in model.graph.node:
        if node.op_type == "AveragePool":
            given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if given["ceil_mode"] and given["kernel_shape"] == given["strides"] == [1, 2] and not any(given["pads"]):
                given |= {"ceil_mode": 0, "pads": [0, 0, 0, 1], "count_include_pad": 0}
                del node.attribute[:]
                node.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in given.items())


def largest_difference(path: Path, network: DecisionNetwork) -> float:
    """Largest difference of a probability between ONNX Runtime and PyTorch, over several batch sizes and lengths.

    Raises InferenceError if the file decides otherwise than PyTorch does from the file's own probabilities.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(0), 0.0
    for recordings, samples in SHAPES:
        signals = rng.normal(size=(recordings, len(LEADS), samples)).astype(np.float32)
        if network.choice is not None:
            signals *= rng.random((recordings, len(LEADS), 1)) < 0.8  # the others are missing
        given = dict(zip(network.output_names, session.run(network.output_names, {"signals": signals}), strict=True))
        with torch.inference_mode():
            expected = network(torch.from_numpy(signals))[0].numpy()
            probabilities = torch.from_numpy(given["probabilities"])[:, None]
            decided = network.decide(probabilities, lead_presence(torch.from_numpy(signals)))
        worst = max(worst, float(np.abs(given["probabilities"] - expected).max()))
        for (name, mine), theirs in zip(given.items(), decided, strict=True):
            if not np.allclose(mine, theirs.numpy(), rtol=0, atol=TOLERANCE, equal_nan=True):
                raise InferenceError(f"{path.name} differs from PyTorch in {name}; it was not written")
    return worst
