"""From a recording to a diagnosis: the only door to the trained networks for the server, the page and batch scoring.

    diagnoser = Diagnoser.load("artifacts")
    diagnosis = diagnoser.diagnose(read_recording("ecg.hea"))
    diagnosis.probabilities["MI"], diagnosis.predicted_classes, diagnosis.mi_vs_norm.positive

Runs on ONNX Runtime; ``backend="pytorch"`` runs the checkpoints themselves. Everything loaded is checked
first: files against manifest.json, thresholds against their checkpoints, the answer to a stored ECG
against the one noted when the networks were exported.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime

from calibration import Decisions, ThresholdsError, load_decisions, multilabel_score
from config import BINARY, CHECKPOINT_NAMES, DEFAULT_OUT, LEADS, SAMPLING_RATE, SUPERCLASSES, TASK_CLASSES
from ecg.preprocessing import FULL_DURATION_S, model_input, predict_probabilities, scale_signal
from ecg.quality import Quality, assess
from ecg.recording import Recording, RecordingError, read_recording
from files import sha256

MANIFEST = "manifest.json"
SELF_TEST_ECG = "examples/normal.hea"
SELF_TEST_TOLERANCE = 1e-3
BACKENDS = ("onnx", "pytorch")
WINDOWS_AT_A_TIME = 32


class InferenceError(RuntimeError):
    """The networks cannot be used; the message says which file is wrong and what to do."""


@dataclass(frozen=True, eq=False)
class Network:
    """One trained network, whatever runs it.

    logits_of: float32 ``(n, 12, samples)`` in units of ``input_scale`` mV to logits ``(n, classes)``.
    """

    task: str
    model: str
    classes: tuple[str, ...]
    input_scale: float
    window_s: float
    stride_s: float
    checkpoint_sha256: str
    synthetic: bool
    logits_of: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Answer:
    """Yes or no to a binary question: calibrated probability, threshold, and whether it is near it."""

    probability: float
    threshold: float
    positive: bool
    uncertain: bool


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the networks make of one recording.

    probabilities, thresholds: class to calibrated probability and decision threshold.
    predicted_classes: those at or above their threshold, in the order of ``config.SUPERCLASSES``.
    uncertain_because: why not to rely on the verdict; empty if there is no such reason.
    quality: what is wrong with the recording; None if it was not asked for.
    warnings: everything a reader should know, in plain words.
    model: checksums of the networks behind the answer.
    milliseconds: what preprocessing, networks and quality took.
    """

    probabilities: dict[str, float]
    thresholds: dict[str, float]
    predicted_classes: tuple[str, ...]
    mi_vs_norm: Answer
    norm_vs_abnormal: Answer
    uncertain_because: tuple[str, ...]
    quality: Quality | None
    warnings: tuple[str, ...]
    model: dict[str, str]
    milliseconds: float

    @property
    def uncertain(self) -> bool:
        return bool(self.uncertain_because)


@dataclass(frozen=True, eq=False)
class Diagnoser:
    """The shipped networks with their calibration and thresholds; safe to share between threads.

    networks: task to network; a binary task whose thresholds name the multi-label score needs none.
    decisions: task to what turns its probabilities into decisions.
    """

    networks: dict[str, Network]
    decisions: dict[str, Decisions]

    @classmethod
    def load(cls, artifacts: Path | str = DEFAULT_OUT, backend: str = "onnx", threads: int = 1) -> "Diagnoser":
        """Load and verify everything in a directory.

        backend: "onnx" or "pytorch". threads: a network may use.
        Raises InferenceError if a file is missing, damaged, exchanged, or belongs to another.
        """
        directory = Path(artifacts)
        if backend != "onnx":
            return cls.unverified(directory, backend, threads)
        manifest = verify_files(directory)
        diagnoser = cls.unverified(directory, backend, threads)
        diagnoser.self_test(manifest["self_test"], directory)
        return diagnoser

    @classmethod
    def unverified(cls, directory: Path, backend: str, threads: int = 1) -> "Diagnoser":
        """As `load`, without the manifest's checks: for checkpoints, and for the export that writes the manifest."""
        networks = {}
        for task, name in CHECKPOINT_NAMES.items():
            path = directory / (onnx_name(task) if backend == "onnx" else name)
            if task == "multilabel" or path.is_file():
                networks[task] = load_network(path, backend, threads)
                if networks[task].task != task:
                    raise InferenceError(f"{path} answers task {networks[task].task}, not {task}: export again")
        try:
            decisions = {task: decisions_of(directory, task, networks) for task in TASK_CLASSES}
        except ThresholdsError as error:
            raise InferenceError(str(error)) from error
        needed = {task: n for task, n in networks.items() if task == "multilabel" or decisions[task].score == "binary"}
        return cls(needed, decisions)

    def diagnose(self, recording: Recording, quality: bool = True) -> Diagnosis:
        """Diagnose one recording. Raises RecordingError if it cannot be judged, saying why."""
        answer = self.diagnose_many([recording], quality)[0]
        if isinstance(answer, RecordingError):
            raise answer
        return answer

    def diagnose_many(
        self, recordings: Sequence[Recording], quality: bool = True
    ) -> list["Diagnosis | RecordingError"]:
        """Diagnose recordings of any lengths and rates; each gets its diagnosis or the error that says why not."""
        answers: list[Diagnosis | RecordingError] = []
        for recording in recordings:
            began = time.perf_counter()
            try:
                answer = self._answer(recording, assess(recording) if quality else None)
                answers.append(replace(answer, milliseconds=round(1000 * (time.perf_counter() - began), 2)))
            except RecordingError as error:
                answers.append(error)
        return answers

    def probabilities(self, recording: Recording) -> dict[str, np.ndarray]:
        """Uncalibrated probabilities of every task, ``(classes,)`` each."""
        require_leads(recording)
        signal = model_input(recording, 1.0)  # mV; resampled once for all networks
        scores = {}
        for task, network in self.networks.items():
            scaled = scale_signal(signal, network.input_scale)[None]
            scores[task] = predict_probabilities(network.logits_of, scaled, network.window_s, network.stride_s)
        for task in BINARY:
            if task not in scores:
                scores[task] = multilabel_score(scores["multilabel"], task)
        return {task: score[0] for task, score in scores.items()}

    def _answer(self, recording: Recording, quality: Quality | None) -> Diagnosis:
        scores = self.probabilities(recording)
        calibrated = {task: self.decisions[task].calibrate(scores[task][None]) for task in TASK_CLASSES}
        multilabel = self.decisions["multilabel"]
        positive = multilabel.decide(calibrated["multilabel"])[0]
        reasons = []
        if multilabel.uncertain(calibrated["multilabel"])[0]:
            near = nearest_class(multilabel, calibrated["multilabel"])
            reasons.append(f"the probability of {near} is too close to its threshold to decide either way")
        if quality is not None and quality.severity in ("caution", "unusable"):
            reasons.append("the recording's quality is poor")
        return Diagnosis(
            {name: float(p) for name, p in zip(SUPERCLASSES, calibrated["multilabel"][0], strict=True)},
            dict(zip(SUPERCLASSES, multilabel.thresholds, strict=True)),
            tuple(name for name, yes in zip(SUPERCLASSES, positive, strict=True) if yes),
            binary_answer(self.decisions["mi_vs_norm"], calibrated["mi_vs_norm"]),
            binary_answer(self.decisions["norm_vs_abnormal"], calibrated["norm_vs_abnormal"]),
            tuple(reasons),
            quality,
            warnings_of(recording, quality),
            {task: network.checkpoint_sha256 for task, network in self.networks.items()},
            0.0,
        )

    def self_test(self, expected: dict[str, float], directory: Path) -> None:
        """Raise InferenceError unless the stored ECG gets the answer noted at export."""
        answer = self.diagnose(self_test_recording(directory), quality=False)
        for name, probability in expected.items():
            given = answer.probabilities.get(name)
            given = getattr(answer, name).probability if given is None else given
            if not abs(given - probability) <= SELF_TEST_TOLERANCE:
                raise InferenceError(
                    f"self-test failed: {name} is {given:.4f} instead of {probability:.4f} for {SELF_TEST_ECG}; "
                    "the files or the runtime are not what was exported: run python export_onnx.py"
                )


# --------------------------------------------------------------------------- loading


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


def onnx_name(task: str) -> str:
    """The file of a task's exported network."""
    return str(Path(CHECKPOINT_NAMES[task]).with_suffix(".onnx"))


def load_network(path: Path, backend: str, threads: int) -> Network:
    """One network by ONNX Runtime or by PyTorch. Raises InferenceError."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: one of {', '.join(BACKENDS)}")
    if not path.is_file():
        raise InferenceError(f"no network at {path}: run python export_onnx.py")
    return _load_onnx(path, threads) if backend == "onnx" else _load_pytorch(path)


def _load_onnx(path: Path, threads: int) -> Network:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        facts = json.loads(session.get_modelmeta().custom_metadata_map["hmt_ecgnet"])
        if facts["leads"] != list(LEADS) or facts["sampling_rate"] != SAMPLING_RATE:
            raise ValueError("its leads or sampling rate are not this project's")
        if tuple(facts["classes"]) != TASK_CLASSES[facts["task"]]:
            raise ValueError("its classes are not this project's")
        return Network(
            facts["task"],
            facts["model"],
            tuple(facts["classes"]),
            facts["input_scale"],
            facts["window_s"],
            facts["stride_s"],
            facts["checkpoint_sha256"],
            facts["synthetic"],
            lambda windows: run_in_batches(session, windows),
        )
    except Exception as error:  # onnxruntime raises types of its own for whatever a damaged file provokes
        raise InferenceError(f"{path} cannot be read as a network: {error}; run python export_onnx.py") from error


def run_in_batches(session: onnxruntime.InferenceSession, windows: np.ndarray) -> np.ndarray:
    """Logits of windows ``(n, 12, samples)``, a few at a time: an hour's at once would take gigabytes."""
    batches = np.split(windows, range(WINDOWS_AT_A_TIME, len(windows), WINDOWS_AT_A_TIME))
    return np.concatenate([session.run(None, {"signals": batch})[0] for batch in batches])


def _load_pytorch(path: Path) -> Network:
    from training.checkpoint import CheckpointError, load_checkpoint, logits_function  # PyTorch only on request

    try:
        checkpoint = load_checkpoint(path)
    except CheckpointError as error:
        raise InferenceError(str(error)) from error
    return Network(
        checkpoint.task,
        checkpoint.model,
        tuple(checkpoint.classes),
        checkpoint.input_scale,
        checkpoint.window_s,
        checkpoint.stride_s,
        sha256(path),
        checkpoint.synthetic,
        logits_function(checkpoint.network()),
    )


def decisions_of(directory: Path, task: str, networks: dict[str, Network]) -> Decisions:
    """Calibration and thresholds of a task, verified against the networks at hand. Raises ThresholdsError."""
    checkpoints = {"multilabel": networks["multilabel"].checkpoint_sha256}
    if task in networks and task != "multilabel":
        checkpoints["binary"] = networks[task].checkpoint_sha256
    return load_decisions(directory / f"{task}_thresholds.json", task, checkpoints)


def self_test_recording(directory: Path | str = DEFAULT_OUT) -> Recording:
    """The stored generated ECG whose answer is known."""
    try:
        return read_recording(Path(directory) / SELF_TEST_ECG)
    except RecordingError as error:
        raise InferenceError(f"the self-test's ECG cannot be read: {error}; run python make_examples.py") from error


# --------------------------------------------------------------------------- answering


def require_leads(recording: Recording) -> None:
    """Raise RecordingError unless all twelve leads were recorded or derived: no network was trained on fewer."""
    if not recording.present.all():
        missing = [lead for lead, there in zip(LEADS, recording.present, strict=True) if not there]
        raise RecordingError(
            f"lead {', '.join(missing)} is missing, and the network needs all twelve: "
            "send the complete recording (two of I, II, III are enough for the six limb leads)"
        )


def binary_answer(decisions: Decisions, calibrated: np.ndarray) -> Answer:
    """The verdict on one recording; calibrated ``(1, 1)``."""
    return Answer(
        float(calibrated[0, 0]),
        decisions.thresholds[0],
        bool(decisions.decide(calibrated)[0, 0]),
        bool(decisions.uncertain(calibrated)[0]),
    )


def nearest_class(decisions: Decisions, calibrated: np.ndarray) -> str:
    """The class nearest to its threshold; calibrated ``(1, classes)``."""
    alone = [
        replace(decisions, thresholds=(threshold,)).clearance(calibrated[:, [k]])[0]
        for k, threshold in enumerate(decisions.thresholds)
    ]
    return decisions.classes[int(np.argmin(alone))]


def warnings_of(recording: Recording, quality: Quality | None) -> tuple[str, ...]:
    """What a reader of the diagnosis should know: what the reader did, too short a recording, poor quality."""
    warnings = list(recording.notes)
    if recording.duration < FULL_DURATION_S - 0.05:
        warnings.append(
            f"The recording lasts {recording.duration:.1f} s; the networks were judged on {FULL_DURATION_S:g} s."
        )
    if quality is not None:
        warnings += [flag.sentence for flag in quality.flags]
    return tuple(warnings)
