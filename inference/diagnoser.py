"""From a recording to a diagnosis: what the server, the page and predict.py call.

    diagnoser = Diagnoser.load("artifacts")
    diagnosis = diagnoser.diagnose(read_recording("ecg.hea"))
    diagnosis.probabilities["MI"], diagnosis.predicted_classes, diagnosis.mi_vs_norm.positive

Runs on ONNX Runtime; ``backend="pytorch"`` runs the checkpoints themselves. Either way everything loaded is checked
first: thresholds and exported networks against manifest.json, thresholds against their checkpoints, the probabilities
of a stored ECG against those noted when the networks were exported.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from config import DEFAULT_OUT, LEADS, TASK_CLASSES
from ecg.heartbeats import Heartbeats, find_heartbeats
from ecg.lost_leads import set_lost_leads_aside
from ecg.preprocessing import model_input
from ecg.quality import Quality, assess
from ecg.recording import Recording, RecordingError
from ecg.rhythm_signs import measure_rhythm
from ecg.stretches import predict_all
from files import sha256
from inference import InferenceError
from inference.anylead import Answering, AnyLead, load_anylead, missing_leads_sentence
from inference.backends import Network, anylead_paths, load_network, network_name
from inference.decisions import (
    Decisions,
    FindingDecisions,
    ThresholdsError,
    load_decisions,
    task_probabilities,
    thresholds_path,
)
from inference.diagnosis import Diagnosis, PreparedRecording, diagnoses_of
from inference.manifest import (
    SELF_TEST_ECG,
    SELF_TEST_LEADS,
    SELF_TEST_TOLERANCE,
    self_test_recording,
    verify_files,
)


@dataclass(frozen=True, eq=False)
class Diagnoser:
    """The shipped networks with their calibration and thresholds; safe to share between threads.

    networks: task to network; a binary task that the multi-label network decides has none.
    decisions: task to what turns its probabilities into decisions.
    files: name to SHA-256 of the networks and thresholds in use, which together determine every result.
    anylead: what answers when leads are missing; None if it is not there, then such recordings are refused.
    helpers: threads that do a part of each diagnosis; None: the caller's does it all.
    """

    networks: dict[str, Network]
    decisions: dict[str, Decisions]
    files: dict[str, str]
    anylead: AnyLead | None = None
    helpers: ThreadPoolExecutor | None = None

    @classmethod
    def load(cls, artifacts: Path | str = DEFAULT_OUT, backend: str = "onnx", threads: int = 1) -> "Diagnoser":
        """Load everything in a directory and verify it.

        backend: "onnx" or "pytorch". threads: that work on a diagnosis. More than two have nothing to do; one is best
        for many recordings, where every core has a process of its own.
        Raises InferenceError if a file is missing, damaged, exchanged, or belongs to another.
        """
        directory = Path(artifacts)
        manifest = verify_files(directory, backend)
        diagnoser = cls.unverified(directory, backend)
        diagnoser.self_test(manifest["self_test"], self_test_recording(directory))
        if diagnoser.anylead is not None:
            diagnoser.self_test(manifest["self_test_anylead"], only_leads(self_test_recording(directory)))
        return diagnoser if threads == 1 else replace(diagnoser, helpers=ThreadPoolExecutor(threads))

    @classmethod
    def unverified(cls, directory: Path, backend: str) -> "Diagnoser":
        """As `load`, without manifest and self-test: for the export, which writes the manifest."""
        networks, paths = {}, {}
        for task in TASK_CLASSES:
            path = directory / network_name(task, backend)
            if task == "multilabel" or path.is_file():
                networks[task], paths[task] = load_network(path, backend), path
                if networks[task].task != task:
                    raise InferenceError(f"{path} was trained for task {networks[task].task}, not {task}: export again")
        try:
            decisions = {task: decisions_of(directory, task, networks) for task in TASK_CLASSES}
        except ThresholdsError as error:
            raise InferenceError(str(error)) from error
        needed = [task for task in networks if task == "multilabel" or decisions[task].score == "binary"]
        files = [*(paths[task] for task in needed), *(thresholds_path(directory, task) for task in TASK_CLASSES)]
        anylead = load_anylead(directory, backend)
        if anylead is not None:
            files += anylead_paths(directory, backend)
        return cls(
            networks={task: networks[task] for task in needed},
            decisions=decisions,
            files={path.name: sha256(path) for path in files},
            anylead=anylead,
        )

    def diagnose(self, recording: Recording, quality: bool = True) -> Diagnosis:
        """Diagnose one recording. Raises RecordingError if that is impossible, saying why."""
        (diagnosis,) = self.diagnose_many([recording], quality)
        if isinstance(diagnosis, RecordingError):
            raise diagnosis
        return diagnosis

    def diagnose_many(self, recordings: Sequence[Recording], quality: bool = True) -> list[Diagnosis | RecordingError]:
        """Diagnose recordings together, which is faster: each gets what `diagnose` gives it, or the error it raises."""
        began = time.perf_counter()
        results = [self._prepared(recording, quality) for recording in recordings]
        alike: dict[bytes, list[int]] = {}  # recordings with the same leads have the same networks and thresholds
        for number, one in enumerate(results):
            if isinstance(one, PreparedRecording):
                alike.setdefault(one.recording.present.tobytes(), []).append(number)
        for numbers in alike.values():
            together, answering = [results[number] for number in numbers], results[numbers[0]].answering
            probabilities = all_probabilities(answering.networks, [one.signal for one in together], self.helpers)
            diagnoses = diagnoses_of(together, probabilities, answering)
            for number, diagnosis in zip(numbers, diagnoses, strict=True):
                results[number] = diagnosis
        milliseconds = round(1000 * (time.perf_counter() - began) / max(len(recordings), 1), 2)
        return [replace(one, milliseconds=milliseconds) if isinstance(one, Diagnosis) else one for one in results]

    @property
    def statement_decisions(self) -> dict[str, FindingDecisions]:
        """Calibration and thresholds of the statements by `Diagnosis.lead_set`; none of networks without statements."""
        by_lead_set = {"12": self.decisions["multilabel"].statements}
        if self.anylead is not None:
            fewer = {name: one.decisions["multilabel"] for name, one in self.anylead.lead_sets.by_name.items()}
            by_lead_set = {name: one.statements for name, one in fewer.items()} | by_lead_set
        return {name: statements for name, statements in by_lead_set.items() if statements is not None}

    def answering(self, present: np.ndarray) -> Answering:
        """Which networks answer for a recording with these leads, bool ``(12,)``, and by whose decisions.

        Raises RecordingError if there are none for it.
        """
        if present.all():
            model = {task: network.checkpoint_sha256 for task, network in self.networks.items()}
            return Answering(networks=self.networks, decisions=self.decisions, model=model)
        if not present.any():
            raise RecordingError(f"the recording has none of the leads {', '.join(LEADS)}")
        if self.anylead is None:
            raise RecordingError(missing_leads_sentence(present))
        return self.anylead.answering(present)

    def probabilities(self, recording: Recording) -> dict[str, np.ndarray]:
        """Uncalibrated probabilities of every task, ``(classes,)`` each, and under "statements" ``(71,)`` or none.

        Raises RecordingError.
        """
        networks = self.answering(recording.present).networks
        return {name: of_one[0] for name, of_one in all_probabilities(networks, [signal_of(recording)]).items()}

    def seen(self, recording: Recording, quality: Quality | None) -> Recording:
        """A recording as the networks saw it, without its lost leads; quality: of its `Diagnosis`."""
        if quality is None or self.anylead is None:
            return recording
        return set_lost_leads_aside(recording, quality)[0]

    def self_test(self, expected: dict[str, float], recording: Recording) -> None:
        """Raise InferenceError unless the stored ECG gets the probabilities noted at export."""
        diagnosis = self.diagnose(recording, quality=False)
        for name, probability in expected.items():
            given = diagnosis.probabilities.get(name)
            given = getattr(diagnosis, name).probability if given is None else given
            if not abs(given - probability) <= SELF_TEST_TOLERANCE:
                raise InferenceError(
                    f"self-test failed: {name} is {given:.4f} instead of {probability:.4f} for {SELF_TEST_ECG}; "
                    "the files or the runtime are not what was exported: run python export_onnx.py"
                )

    def _prepared(self, recording: Recording, quality: bool) -> PreparedRecording | RecordingError:
        """What is done of each recording on its own, or why it cannot be diagnosed."""
        try:
            signal = begun(self.helpers if quality else None, signal_of, recording)
            seen, heartbeats, assessed = self._assessed(recording) if quality else (recording, None, None)
            answering = self.answering(seen.present)
            rhythm = measure_rhythm(seen, heartbeats) if assessed and assessed.usable else None
            return PreparedRecording(
                recording=seen,
                signal=signal() if seen is recording else signal_of(seen),
                quality=assessed,
                rhythm_signs=rhythm.doubts if rhythm else (),
                answering=answering,
            )
        except RecordingError as error:
            return error

    def _assessed(self, recording: Recording) -> tuple[Recording, Heartbeats, Quality]:
        """A recording without its lost leads, its heartbeats and its quality. Raises RecordingError."""
        heartbeats = find_heartbeats(recording)
        quality = assess(recording, heartbeats)
        if self.anylead is None:
            return recording, heartbeats, quality
        seen, quality = set_lost_leads_aside(recording, quality)
        return seen, heartbeats if seen is recording else find_heartbeats(seen), quality


def signal_of(recording: Recording) -> np.ndarray:
    """``(12, samples)`` in mV at 100 Hz, resampled once for all networks, zeros for missing leads."""
    return model_input(recording, 1.0) * recording.present[:, None]


def all_probabilities(
    networks: Mapping[str, Network], signals: Sequence[np.ndarray], helpers: ThreadPoolExecutor | None = None
) -> dict[str, np.ndarray]:
    """As `Diagnoser.probabilities`, ``(n, classes)`` each; signals: of n recordings, from `signal_of`."""
    results = {}
    for task, one in networks.items():
        beside = None if task == "multilabel" else helpers  # that one runs here, while helpers run the others
        results[task] = begun(beside, predict_all, one.probabilities_of, signals, one.batch_size)
    outputs = {task: result() for task, result in results.items()}
    probabilities = {"statements": outputs["multilabel"][:, networks["multilabel"].outputs.statement_columns]}
    for task in TASK_CLASSES:
        source = task if task in networks else "multilabel"
        probabilities[task] = task_probabilities(networks[source].outputs, outputs[source], task)
    return probabilities


def begun(helpers: ThreadPoolExecutor | None, function: Callable, *arguments) -> Callable:
    """What gives a function's result: computed by a helper from now on, or without helpers when it is called."""
    return partial(function, *arguments) if helpers is None else helpers.submit(function, *arguments).result


def decisions_of(directory: Path, task: str, networks: dict[str, Network]) -> Decisions:
    """Calibration and thresholds of a task, verified against the loaded networks. Raises ThresholdsError."""
    checkpoints = {"multilabel": networks["multilabel"].checkpoint_sha256}
    if task in networks and task != "multilabel":
        checkpoints["binary"] = networks[task].checkpoint_sha256
    return load_decisions(thresholds_path(directory, task), task, checkpoints)


def only_leads(recording: Recording, leads: tuple[str, ...] = SELF_TEST_LEADS) -> Recording:
    """A recording as if some of its leads were all there is."""
    present = recording.present & np.isin(LEADS, leads)
    return replace(recording, signal=recording.signal * present[:, None], present=present)
