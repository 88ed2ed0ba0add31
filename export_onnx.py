"""Export the shipped networks to ONNX, for inference without PyTorch.

    python export_onnx.py            # multilabel_best, mi_best and abnormal_best in artifacts/

    python export_onnx.py --out DIR  # your own, in DIR: a multi-label network and thresholds of all three tasks

Each file takes any number of recordings of any length from 2 s and carries what inference needs to know
(task, classes, input scale, windows, checkpoint). It is compared with PyTorch before it replaces an
older one. manifest.json lists the SHA-256 of every file that inference reads and the probabilities of a
stored generated ECG, so that a damaged or exchanged file is noticed when it is loaded.
"""

import argparse
import json
import logging
import shlex
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch.export import Dim

from config import CHECKPOINT_NAMES, DEFAULT_OUT, LEADS, script
from files import replacing, sha256, write_text
from inference import InferenceError
from inference.backends import network_name
from inference.decisions import ThresholdsError, load_decisions, thresholds_path
from inference.diagnoser import Diagnoser
from inference.manifest import MANIFEST, SELF_TEST_ECG, self_test_recording
from models.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from models.recording_network import RecordingNetwork

TOLERANCE = 1e-4  # of a probability
OPSET = 20  # what onnxruntime-web runs
SHAPES = ((1, 500), (7, 1000), (3, 777), (2, 1499), (16, 1000))  # recordings, samples


class FromMillivolts(torch.nn.Module):
    """A network that takes mV instead of units of its input scale."""

    def __init__(self, network: RecordingNetwork, input_scale: float):
        super().__init__()
        self.network = network
        self.input_scale = input_scale

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        return self.network(signals / self.input_scale)


def export(path: Path, checkpoint: Checkpoint, checkpoint_sha256: str) -> float:
    """Write one ONNX file; returns its largest difference to PyTorch. Raises InferenceError above `TOLERANCE`."""
    network = FromMillivolts(checkpoint.network(), checkpoint.input_scale).eval()
    model = to_onnx(network)
    pad_instead_of_ceil(model)
    onnx.helper.set_model_props(model, {"hmt_ecgnet": json.dumps(facts_of(checkpoint, checkpoint_sha256))})
    for node in model.graph.node:  # the exporter notes where in our source each node came from
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as unfinished:
        onnx.save_model(model, unfinished)
        difference = largest_difference(unfinished, network)
        if difference > TOLERANCE:
            raise InferenceError(f"{path.name} differs from PyTorch by {difference:.2g}; it was not written")
    return difference


def to_onnx(network: torch.nn.Module) -> onnx.ModelProto:
    """The network as ONNX: ``signals (recordings, 12, samples)`` in mV to ``probabilities (recordings, outputs)``."""
    shape = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC}
    # the exporter warns of its own future changes and that torchvision, which no network here uses, is not installed
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (torch.randn(2, len(LEADS), 1003),),
            input_names=["signals"],
            output_names=["probabilities"],
            opset_version=OPSET,
            dynamic_shapes=(shape,),
            dynamo=True,
            verbose=False,
        )
    return program.model_proto


def facts_of(checkpoint: Checkpoint, checkpoint_sha256: str) -> dict:
    """What the file says of itself, for `inference.backends`."""
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
    return {**facts, "checkpoint_sha256": checkpoint_sha256, "synthetic": checkpoint.synthetic}


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


def largest_difference(path: Path, network: torch.nn.Module) -> float:
    """Largest difference of a probability between ONNX Runtime and PyTorch, over several batch sizes and lengths."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(0), 0.0
    for recordings, samples in SHAPES:
        signals = rng.normal(size=(recordings, len(LEADS), samples)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(signals)).numpy()
        worst = max(worst, float(np.abs(session.run(None, {"signals": signals})[0] - expected).max()))
    return worst


def export_all(directory: Path) -> None:
    """Export every network of a directory and write the manifest.

    Raises CheckpointError without a multi-label network, InferenceError if a task has no thresholds, ThresholdsError
    if they are of other networks; nothing is replaced then.
    """
    load_checkpoint(directory / CHECKPOINT_NAMES["multilabel"])
    verify_thresholds(directory)
    names = []
    for task, name in CHECKPOINT_NAMES.items():
        source = directory / name
        if task != "multilabel" and not source.is_file():
            print(f"no {source}: {task} is left to the multi-label network")
            continue
        target = directory / network_name(task, "onnx")
        difference = export(target, load_checkpoint(source), sha256(source))
        names.append(target.name)
        print(f"{target}: largest difference of a probability to PyTorch {difference:.1e}")
    provide_examples(directory)
    write_manifest(directory, [*names, *(thresholds_path(directory, task).name for task in CHECKPOINT_NAMES)])


def verify_thresholds(directory: Path) -> None:
    """Raise InferenceError if a task has no thresholds, ThresholdsError if they are of other networks than these."""
    missing = [task for task in CHECKPOINT_NAMES if not thresholds_path(directory, task).is_file()]
    if missing:
        search = ["python", script("threshold_search.py"), "--out", str(directory), "--task"]
        commands = (shlex.join([*search, task]) for task in missing)
        raise InferenceError(
            f"{directory} has no thresholds for {', '.join(missing)}; the multi-label network alone is enough for "
            f"them. Run, with the --data of the training:\n  " + "\n  ".join(commands)
        )
    digests = {
        task: sha256(directory / name) for task, name in CHECKPOINT_NAMES.items() if (directory / name).is_file()
    }
    for task in CHECKPOINT_NAMES:
        own = {"binary": digests[task]} if task != "multilabel" and task in digests else {}
        load_decisions(thresholds_path(directory, task), task, {"multilabel": digests["multilabel"], **own})


def provide_examples(directory: Path) -> None:
    """Copy the generated ECGs of artifacts/, for self-test and page, into a directory that lacks them."""
    for source in sorted(path for path in (DEFAULT_OUT / SELF_TEST_ECG).parent.iterdir() if path.suffix != ".json"):
        target = (directory / SELF_TEST_ECG).with_name(source.name)
        if not target.is_file():
            with replacing(target) as unfinished:
                shutil.copyfile(source, unfinished)


def write_manifest(directory: Path, names: list[str]) -> None:
    """Write the checksums of files and the probabilities of the stored ECG."""
    diagnosis = Diagnoser.unverified(directory, "onnx").diagnose(self_test_recording(directory), quality=False)
    manifest = {
        "files": {name: sha256(directory / name) for name in names},
        "self_test": {
            **diagnosis.probabilities,
            "mi_vs_norm": diagnosis.mi_vs_norm.probability,
            "norm_vs_abnormal": diagnosis.norm_vs_abnormal.probability,
        },
    }
    write_text(directory / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", default=str(DEFAULT_OUT), help="holds the checkpoints, gets the ONNX files (default: artifacts)"
    )
    arguments = parser.parse_args(argv)
    try:
        export_all(Path(arguments.out))
    except (CheckpointError, InferenceError, ThresholdsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"to use it: python {script('predict.py')} --artifacts {shlex.quote(arguments.out)} FILE")
    print(f"HMT_ARTIFACTS={shlex.quote(arguments.out)} python {script('api.py')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
