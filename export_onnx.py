"""Export the shipped networks to ONNX, for inference without PyTorch.

    python export_onnx.py             # multilabel_best, _tiny, mi_best, abnormal_best and anylead_best in artifacts/

    python export_onnx.py --out DIR   # your own, in DIR: a multi-label network and thresholds of all three tasks
    python export_onnx.py --tiny DIR  # DIR becomes a product in which the tiny network answers everything

Each file takes mV at 100 Hz, any number of recordings of any length from 5 s, and gives probabilities and decisions;
docs/onnx.md says what is in it. It is compared with PyTorch before it replaces an older one. manifest.json lists the
SHA-256 of every file that inference reads and the probabilities of a stored generated ECG, so that a damaged or
exchanged file is noticed when it is loaded.
"""

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from config import BINARY_TASKS, CHECKPOINT_NAMES, DEFAULT_OUT, TASK_CLASSES, TINY, script
from ecg.recording import Recording
from files import replacing, sha256, write_text
from inference import InferenceError
from inference.backends import anylead_paths, network_name
from inference.decision_network import DecisionNetwork
from inference.decisions import Decisions, ThresholdsError, load_decisions, thresholds_path
from inference.diagnoser import Diagnoser, only_leads
from inference.export import export_network, facts_of
from inference.lead_sets import LeadSets, load_lead_sets
from inference.manifest import MANIFEST, SELF_TEST_ECG, self_test_recording
from models.checkpoint import CheckpointError, load_checkpoint

TINY_CHECKPOINT = "multilabel_tiny.pth"


def export_all(directory: Path) -> None:
    """Export every network of a directory and write the manifest.

    Raises CheckpointError without a multi-label network, InferenceError if a task has no thresholds, ThresholdsError
    if they are of other networks; nothing is replaced then.
    """
    load_checkpoint(directory / CHECKPOINT_NAMES["multilabel"])
    decisions = verified_decisions(directory)
    other_files = {task: network_name(task, "onnx") for task in BINARY_TASKS if decisions[task].score == "binary"}
    names = []
    for task, name in CHECKPOINT_NAMES.items():
        if task != "multilabel" and not (directory / name).is_file():
            print(f"no {directory / name}: {task} is left to the multi-label network")
            continue
        score = "multilabel" if task == "multilabel" else "binary"
        answered = {
            one: found for one, found in decisions.items() if found.score == score and task in ("multilabel", one)
        }
        paths = {one: thresholds_path(directory, one) for one in answered}
        names.append(export_one(directory / name, answered, paths, other_files if task == "multilabel" else {}))
    names += [*export_tiny(directory), *export_anylead(directory)]
    provide_examples(directory)
    write_manifest(directory, [*names, *(thresholds_path(directory, task).name for task in CHECKPOINT_NAMES)])


def export_tiny(directory: Path) -> list[str]:
    """Export the tiny network if it has thresholds; returns the file's name, if any.

    It answers those binary tasks that have a file of thresholds for it.
    """
    checkpoint = directory / TINY_CHECKPOINT
    paths = {task: thresholds_path(directory, f"{task}_tiny") for task in CHECKPOINT_NAMES}
    paths = {task: path for task, path in paths.items() if path.is_file()}
    if not checkpoint.is_file() or "multilabel" not in paths:
        return []
    own = {"multilabel": sha256(checkpoint)}
    return [export_one(checkpoint, {task: load_decisions(path, task, own) for task, path in paths.items()}, paths, {})]


def export_anylead(directory: Path) -> list[str]:
    """Export the network for missing leads, if it is there with its thresholds; returns the files to be listed.

    It decides by the leads that are there, and of all twelve by its own thresholds for them. Raises ThresholdsError.
    """
    source, thresholds = anylead_paths(directory, "pytorch")
    if not (source.is_file() and thresholds.is_file()):
        lacking = thresholds if source.is_file() else source
        print(f"no {lacking}: recordings with missing leads will be refused")
        anylead_paths(directory, "onnx")[0].unlink(missing_ok=True)
        return []
    lead_sets = load_lead_sets(thresholds, sha256(source))
    decisions = lead_sets.by_name["12"].decisions
    return [export_one(source, decisions, dict.fromkeys(decisions, thresholds), {}, lead_sets), thresholds.name]


def export_one(
    source: Path,
    decisions: Mapping[str, Decisions],
    paths: Mapping[str, Path],
    other_files: Mapping[str, str],
    lead_sets: LeadSets | None = None,
) -> str:
    """Export one checkpoint with the decisions it makes, read from ``paths``; returns the file's name."""
    checkpoint, target = load_checkpoint(source), source.with_suffix(".onnx")
    digests = {task: sha256(path) for task, path in paths.items()}
    facts = facts_of(checkpoint, sha256(source), decisions, digests, other_files, lead_sets)
    network = DecisionNetwork(checkpoint.network(), checkpoint.input_scale, decisions, lead_sets).eval()
    difference = export_network(target, network, facts)
    print(f"{target}: largest difference of a probability to PyTorch {difference:.1e}")
    return target.name


def verified_decisions(directory: Path) -> dict[str, Decisions]:
    """The decisions of all tasks.

    Raises InferenceError if a task has no thresholds, ThresholdsError if they are of other networks than these.
    """
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
    decisions = {}
    for task in CHECKPOINT_NAMES:
        own = {"binary": digests[task]} if task != "multilabel" and task in digests else {}
        checkpoints = {"multilabel": digests["multilabel"], **own}
        decisions[task] = load_decisions(thresholds_path(directory, task), task, checkpoints)
    return decisions


def provide_tiny(source: Path, target: Path) -> None:
    """Copy the tiny network and its thresholds into a new directory as its multi-label network.

    The network for missing leads comes with it. Raises InferenceError if something is missing or ``target`` holds
    anything else than a tiny network.
    """
    copies = {TINY_CHECKPOINT: CHECKPOINT_NAMES["multilabel"]}
    copies |= {
        thresholds_path(source, f"{task}_tiny").name: thresholds_path(target, task).name for task in TASK_CLASSES
    }
    missing = [name for name in copies if not (source / name).is_file()]
    if missing:
        raise InferenceError(f"{source} has no tiny network to take: {', '.join(missing)} missing")
    copies |= {path.name: path.name for path in anylead_paths(source, "pytorch") if path.is_file()}
    present = target / CHECKPOINT_NAMES["multilabel"]
    if present.is_file() and load_checkpoint(present).model != TINY:
        raise InferenceError(f"{present} is another network: name a directory that is new or holds a tiny network")
    target.mkdir(parents=True, exist_ok=True)
    for name, copy in copies.items():
        with replacing(target / copy) as unfinished:
            shutil.copyfile(source / name, unfinished)


def provide_examples(directory: Path) -> None:
    """Copy the generated ECGs of artifacts/, for self-test and page, into a directory that lacks them."""
    for source in sorted(path for path in (DEFAULT_OUT / SELF_TEST_ECG).parent.iterdir() if path.suffix != ".json"):
        target = (directory / SELF_TEST_ECG).with_name(source.name)
        if not target.is_file():
            with replacing(target) as unfinished:
                shutil.copyfile(source, unfinished)


def write_manifest(directory: Path, names: list[str]) -> None:
    """Write the checksums of files and the probabilities of the stored ECG."""
    diagnoser, recording = Diagnoser.unverified(directory, "onnx"), self_test_recording(directory)
    manifest = {
        "files": {name: sha256(directory / name) for name in names},
        "self_test": self_test_of(diagnoser, recording),
    }
    if diagnoser.anylead is not None:
        manifest["self_test_anylead"] = self_test_of(diagnoser, only_leads(recording))
    write_text(directory / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def self_test_of(diagnoser: Diagnoser, recording: Recording) -> dict[str, float]:
    """What `Diagnoser.self_test` is to find again."""
    diagnosis = diagnoser.diagnose(recording, quality=False)
    return {
        **diagnosis.probabilities,
        "mi_vs_norm": diagnosis.mi_vs_norm.probability,
        "norm_vs_abnormal": diagnosis.norm_vs_abnormal.probability,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", default=str(DEFAULT_OUT), help="holds the checkpoints, gets the ONNX files (default: artifacts)"
    )
    parser.add_argument(
        "--tiny", metavar="DIR", help="export into DIR the tiny network of --out, as a product that needs no other"
    )
    arguments = parser.parse_args(argv)
    made = arguments.tiny or arguments.out
    try:
        if arguments.tiny:
            provide_tiny(Path(arguments.out), Path(arguments.tiny))
        export_all(Path(made))
    except (CheckpointError, InferenceError, ThresholdsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"to use it: python {script('predict.py')} --artifacts {shlex.quote(made)} FILE")
    print(f"HMT_ARTIFACTS={shlex.quote(made)} python {script('api.py')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
