"""From a recording to a diagnosis: what the server, the page and batch scoring call.

    diagnoser = Diagnoser.load("artifacts")
    diagnosis = diagnoser.diagnose(read_recording("ecg.hea"))
    diagnosis.probabilities["MI"], diagnosis.predicted_classes, diagnosis.mi_vs_norm.positive

Runs on ONNX Runtime; ``backend="pytorch"`` runs the checkpoints themselves. Everything loaded is checked
first: files against manifest.json, thresholds against their checkpoints, the probabilities of a stored ECG
against those noted when the networks were exported.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from config import BINARY, CHECKPOINT_NAMES, DEFAULT_OUT, LEADS, SUPERCLASSES, TASK_CLASSES
from ecg.preprocessing import FULL_DURATION_S, model_input, scale_signal
from ecg.quality import Quality, assess
from ecg.recording import Recording, RecordingError
from ecg.windows import predict_probabilities
from inference.backends import InferenceError, Network, load_network, onnx_name
from inference.decisions import POOR_QUALITY, Decisions, ThresholdsError, load_decisions, multilabel_score
from inference.manifest import SELF_TEST_ECG, SELF_TEST_TOLERANCE, self_test_recording, verify_files


@dataclass(frozen=True)
class BinaryResult:
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
    mi_vs_norm: BinaryResult
    norm_vs_abnormal: BinaryResult
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
        if quality is not None and quality.severity in POOR_QUALITY:
            reasons.append("the recording's quality is poor")
        return Diagnosis(
            {name: float(p) for name, p in zip(SUPERCLASSES, calibrated["multilabel"][0], strict=True)},
            dict(zip(SUPERCLASSES, multilabel.thresholds, strict=True)),
            tuple(name for name, yes in zip(SUPERCLASSES, positive, strict=True) if yes),
            binary_result(self.decisions["mi_vs_norm"], calibrated["mi_vs_norm"]),
            binary_result(self.decisions["norm_vs_abnormal"], calibrated["norm_vs_abnormal"]),
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


def decisions_of(directory: Path, task: str, networks: dict[str, Network]) -> Decisions:
    """Calibration and thresholds of a task, verified against the networks at hand. Raises ThresholdsError."""
    checkpoints = {"multilabel": networks["multilabel"].checkpoint_sha256}
    if task in networks and task != "multilabel":
        checkpoints["binary"] = networks[task].checkpoint_sha256
    return load_decisions(directory / f"{task}_thresholds.json", task, checkpoints)


def require_leads(recording: Recording) -> None:
    """Raise RecordingError unless all twelve leads were recorded or derived: no network was trained on fewer."""
    if not recording.present.all():
        missing = [lead for lead, there in zip(LEADS, recording.present, strict=True) if not there]
        raise RecordingError(
            f"lead {', '.join(missing)} is missing, and the network needs all twelve: "
            "send the complete recording (two of I, II, III are enough for the six limb leads)"
        )


def binary_result(decisions: Decisions, calibrated: np.ndarray) -> BinaryResult:
    """The verdict on one recording; calibrated ``(1, 1)``."""
    return BinaryResult(
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
