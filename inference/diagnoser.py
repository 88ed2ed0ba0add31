"""From a recording to a diagnosis: what the server, the page and predict.py call.

    diagnoser = Diagnoser.load("artifacts")
    diagnosis = diagnoser.diagnose(read_recording("ecg.hea"))
    diagnosis.probabilities["MI"], diagnosis.predicted_classes, diagnosis.mi_vs_norm.positive

Runs on ONNX Runtime; ``backend="pytorch"`` runs the checkpoints themselves. Either way everything loaded is checked
first: thresholds and exported networks against manifest.json, thresholds against their checkpoints, the probabilities
of a stored ECG against those noted when the networks were exported.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np

from config import BINARY_TASKS, DEFAULT_OUT, LEADS, SUPERCLASSES, TASK_CLASSES, described
from ecg.heartbeats import find_heartbeats
from ecg.preprocessing import FULL_DURATION_S, model_input
from ecg.quality import Flag, Quality, assess
from ecg.recording import Recording, RecordingError
from ecg.rhythm_signs import measure_rhythm
from ecg.statements import CODES, RHYTHMS
from ecg.stretches import predict_all
from files import sha256
from inference import InferenceError
from inference.backends import Network, load_network, network_name
from inference.decisions import Decisions, ThresholdsError, load_decisions, task_probabilities, thresholds_path
from inference.findings import implied_superclasses
from inference.manifest import SELF_TEST_ECG, SELF_TEST_TOLERANCE, self_test_recording, verify_files
from inference.summary import (
    RhythmResult,
    StatementResult,
    SubclassResult,
    headline,
    statement_results,
    threshold_statements,
)
from inference.verdict import doubt_sentences, reach_verdicts, withheld_sentence

IRREGULAR = [CODES.index(code) for code in RHYTHMS if code not in ("SR", "STACH", "SBRAD")]
RHYTHM_NOT_ASSESSED = (
    "The networks do not assess the rhythm: atrial fibrillation, for example, is not among the classes."
)


@dataclass(frozen=True)
class BinaryResult:
    """The result of one of the two binary questions, each with a threshold of its own; see `inference.verdict`."""

    probability: float = described("calibrated, 0 to 1")
    threshold: float = described("the decision threshold, chosen on the validation set")
    positive: bool | None = described(
        "whether the probability reaches the threshold; null where the result is withheld"
    )
    uncertain: bool = described("whether the probability is too close to the threshold to decide either way")
    withheld_because: str = described("why `positive` is null, in plain text; empty if it is not", default="")


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the networks find in one recording.

    probabilities, thresholds: class to calibrated probability and decision threshold.
    predicted_classes: those asserted by the rule of `inference.verdict`, in the order of ``config.SUPERCLASSES``; none
    for a recording that quality calls unusable.
    uncertain_because: reasons not to rely on the prediction; empty if there are none.
    not_assessed: sentences on what the prediction says nothing of, to be shown beside it.
    statements, subclasses, rhythm: all SCP statements, their subclasses and the named rhythm; empty and None if the
    network has no statements.
    quality: what is wrong with the recording; None if it was not assessed.
    warnings: sentences for whoever reads the diagnosis.
    model: task to the SHA-256 of the checkpoint that was used.
    milliseconds: time for preprocessing, networks and quality.
    """

    probabilities: dict[str, float]
    thresholds: dict[str, float]
    predicted_classes: tuple[str, ...]
    mi_vs_norm: BinaryResult
    norm_vs_abnormal: BinaryResult
    uncertain_because: tuple[str, ...]
    not_assessed: tuple[str, ...]
    statements: tuple[StatementResult, ...]
    subclasses: tuple[SubclassResult, ...]
    rhythm: RhythmResult | None
    quality: Quality | None
    warnings: tuple[str, ...]
    model: dict[str, str]
    milliseconds: float

    @property
    def uncertain(self) -> bool:
        return bool(self.uncertain_because)

    @property
    def headline(self) -> tuple[str, ...]:
        """What is said of the recording, a phrase each, rhythm first; see `inference.summary.headline`."""
        return headline(self.rhythm, self.statements, self.predicted_classes, self.probabilities)


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedRecording:
    """A recording before the networks.

    signal: ``(12, samples)`` in mV at 100 Hz. quality: None if it was not assessed.
    rhythm_signs: `ecg.rhythm_signs.RhythmSigns.doubts`; none without usable quality.
    """

    recording: Recording
    signal: np.ndarray
    quality: Quality | None
    rhythm_signs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Diagnoser:
    """The shipped networks with their calibration and thresholds; safe to share between threads.

    networks: task to network; a binary task that the multi-label network decides has none.
    decisions: task to what turns its probabilities into decisions.
    files: name to SHA-256 of the networks and thresholds in use, which together determine every result.
    """

    networks: dict[str, Network]
    decisions: dict[str, Decisions]
    files: dict[str, str]

    @classmethod
    def load(cls, artifacts: Path | str = DEFAULT_OUT, backend: str = "onnx", threads: int = 1) -> "Diagnoser":
        """Load everything in a directory and verify it.

        backend: "onnx" or "pytorch". threads: how many a network may use, see `inference.backends`.
        Raises InferenceError if a file is missing, damaged, exchanged, or belongs to another.
        """
        directory = Path(artifacts)
        manifest = verify_files(directory, backend)
        diagnoser = cls.unverified(directory, backend, threads)
        diagnoser.self_test(manifest["self_test"], directory)
        return diagnoser

    @classmethod
    def unverified(cls, directory: Path, backend: str, threads: int = 1) -> "Diagnoser":
        """As `load`, without manifest and self-test: for the export, which writes the manifest."""
        networks, paths = {}, {}
        for task in TASK_CLASSES:
            path = directory / network_name(task, backend)
            if task == "multilabel" or path.is_file():
                networks[task], paths[task] = load_network(path, backend, threads), path
                if networks[task].task != task:
                    raise InferenceError(f"{path} was trained for task {networks[task].task}, not {task}: export again")
        try:
            decisions = {task: decisions_of(directory, task, networks) for task in TASK_CLASSES}
        except ThresholdsError as error:
            raise InferenceError(str(error)) from error
        needed = [task for task in networks if task == "multilabel" or decisions[task].score == "binary"]
        files = [*(paths[task] for task in needed), *(thresholds_path(directory, task) for task in TASK_CLASSES)]
        return cls(
            networks={task: networks[task] for task in needed},
            decisions=decisions,
            files={path.name: sha256(path) for path in files},
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
        prepared = [_prepared(recording, quality) for recording in recordings]
        good = [one for one in prepared if isinstance(one, PreparedRecording)]
        diagnoses = self._diagnoses(good) if good else []
        milliseconds = round(1000 * (time.perf_counter() - began) / max(len(recordings), 1), 2)
        timed = iter([replace(diagnosis, milliseconds=milliseconds) for diagnosis in diagnoses])
        return [next(timed) if isinstance(one, PreparedRecording) else one for one in prepared]

    def probabilities(self, recording: Recording) -> dict[str, np.ndarray]:
        """Uncalibrated probabilities of every task, ``(classes,)`` each, and under "statements" ``(71,)`` or none.

        Raises RecordingError.
        """
        require_leads(recording)
        return {name: of_one[0] for name, of_one in self._probabilities([model_input(recording, 1.0)]).items()}

    def self_test(self, expected: dict[str, float], directory: Path) -> None:
        """Raise InferenceError unless the stored ECG gets the probabilities noted at export."""
        diagnosis = self.diagnose(self_test_recording(directory), quality=False)
        for name, probability in expected.items():
            given = diagnosis.probabilities.get(name)
            given = getattr(diagnosis, name).probability if given is None else given
            if not abs(given - probability) <= SELF_TEST_TOLERANCE:
                raise InferenceError(
                    f"self-test failed: {name} is {given:.4f} instead of {probability:.4f} for {SELF_TEST_ECG}; "
                    "the files or the runtime are not what was exported: run python export_onnx.py"
                )

    def _probabilities(self, signals: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """As `probabilities`, ``(n, classes)`` each; signals: of n recordings, ``(12, samples)`` in mV at 100 Hz."""
        outputs = {
            task: predict_all(network.probabilities_of, signals, network.batch_size)
            for task, network in self.networks.items()
        }
        probabilities = {"statements": outputs["multilabel"][:, self.networks["multilabel"].outputs.statement_columns]}
        for task in TASK_CLASSES:
            source = task if task in self.networks else "multilabel"
            probabilities[task] = task_probabilities(self.networks[source].outputs, outputs[source], task)
        return probabilities

    def _diagnoses(self, prepared: Sequence[PreparedRecording]) -> list[Diagnosis]:
        probabilities = self._probabilities([one.signal for one in prepared])
        calibrated = {task: self.decisions[task].calibrate(probabilities[task]) for task in TASK_CLASSES}
        above = {task: self.decisions[task].decide(calibrated[task]) for task in TASK_CLASSES}
        near = {task: self.decisions[task].uncertain(calibrated[task]) for task in TASK_CLASSES}
        multilabel = self.decisions["multilabel"]
        found = threshold_statements(multilabel, probabilities["statements"]) if multilabel.statements else None
        explained = np.zeros(len(prepared), bool) if found is None else found.asserted[:, IRREGULAR].any(axis=1)
        verdicts = reach_verdicts(
            above["multilabel"],
            near["multilabel"],
            {task: above[task][:, 0] for task in BINARY_TASKS},
            np.array([one.quality.severity if one.quality else "" for one in prepared]),
            np.array([bool(one.rhythm_signs) for one in prepared]) & ~explained,
            implied_superclasses(found.asserted) if found else None,
        )
        unusable = verdicts.doubts["unusable"]
        results = [((), (), None)] * len(prepared)
        if found:
            results = statement_results(multilabel, found, verdicts.classes, unusable)
        nearest = multilabel.distances(calibrated["multilabel"]).argmin(axis=1)
        model = {task: network.checkpoint_sha256 for task, network in self.networks.items()}
        return [
            Diagnosis(
                probabilities=dict(zip(SUPERCLASSES, calibrated["multilabel"][n].tolist(), strict=True)),
                thresholds=dict(zip(SUPERCLASSES, multilabel.thresholds, strict=True)),
                predicted_classes=tuple(compress(SUPERCLASSES, verdicts.classes[n])),
                **{
                    task: binary_result(
                        probability=float(calibrated[task][n, 0]),
                        threshold=self.decisions[task].thresholds[0],
                        above=bool(above[task][n, 0]),
                        near=bool(near[task][n]),
                        withheld_because=withheld_sentence(verdicts, task, n),
                    )
                    for task in BINARY_TASKS
                },
                uncertain_because=doubt_sentences(
                    verdicts,
                    multilabel.classes[nearest[n]],
                    {task: bool(above[task][n, 0]) for task in BINARY_TASKS},
                    one.rhythm_signs,
                    n,
                ),
                not_assessed=not_assessed(one.rhythm_signs, rhythm),
                statements=statements,
                subclasses=subclasses,
                rhythm=rhythm,
                quality=one.quality,
                warnings=warnings_of(one.recording, one.quality),
                model=model,
                milliseconds=0.0,
            )
            for n, (one, (statements, subclasses, rhythm)) in enumerate(zip(prepared, results, strict=True))
        ]


def _prepared(recording: Recording, quality: bool) -> PreparedRecording | RecordingError:
    """What is done of each recording on its own, or why it cannot be diagnosed."""
    try:
        heartbeats = find_heartbeats(recording) if quality else None
        assessed = assess(recording, heartbeats) if quality else None
        require_leads(recording)
        signal = model_input(recording, 1.0)  # mV; resampled once for all networks
        rhythm = measure_rhythm(recording, heartbeats) if assessed and assessed.usable else None
    except RecordingError as error:
        return error
    return PreparedRecording(
        recording=recording, signal=signal, quality=assessed, rhythm_signs=rhythm.doubts if rhythm else ()
    )


def decisions_of(directory: Path, task: str, networks: dict[str, Network]) -> Decisions:
    """Calibration and thresholds of a task, verified against the loaded networks. Raises ThresholdsError."""
    checkpoints = {"multilabel": networks["multilabel"].checkpoint_sha256}
    if task in networks and task != "multilabel":
        checkpoints["binary"] = networks[task].checkpoint_sha256
    return load_decisions(thresholds_path(directory, task), task, checkpoints)


def require_leads(recording: Recording) -> None:
    """Raise RecordingError unless all twelve leads were recorded or derived: no network was trained on fewer."""
    if not recording.present.all():
        missing = [lead for lead, there in zip(LEADS, recording.present, strict=True) if not there]
        raise RecordingError(
            f"lead {', '.join(missing)} is missing, and the network needs all twelve: "
            "send the complete recording (two of I, II, III are enough for the six limb leads)"
        )


def binary_result(probability: float, threshold: float, above: bool, near: bool, withheld_because: str) -> BinaryResult:
    """One recording's result in a binary task."""
    return BinaryResult(
        probability=probability,
        threshold=threshold,
        positive=None if withheld_because else above,
        uncertain=near,
        withheld_because=withheld_because,
    )


def not_assessed(rhythm_signs: tuple[str, ...], rhythm: RhythmResult | None) -> tuple[str, ...]:
    """What the networks do not assess, one sentence each.

    rhythm_signs: `ecg.rhythm_signs.RhythmSigns.doubts`, which matter unless another rhythm than sinus rhythm is named.
    rhythm: None for networks that do not assess it.
    """
    signs = " and ".join(rhythm_signs)
    check = (f"Have the rhythm checked: {signs}.",) if signs else ()
    if rhythm is None:
        return (RHYTHM_NOT_ASSESSED, *check)
    if not rhythm.certain:
        return (f"{rhythm.sentence}.", *check)
    return check if rhythm.code in ("SR", "STACH", "SBRAD") else ()


def warnings_of(recording: Recording, quality: Quality | None) -> tuple[str, ...]:
    """Notes of the file's reader, too short a recording, poor quality: one sentence each."""
    warnings = list(recording.notes)
    if recording.duration < FULL_DURATION_S - 0.05:
        warnings.append(
            f"The recording lasts {recording.duration:.1f} s; the networks were evaluated on {FULL_DURATION_S:g} s."
        )
    if quality is not None:
        warnings += flag_sentences(quality.flags)
    return tuple(dict.fromkeys(warnings))


def flag_sentences(flags: Iterable[Flag]) -> list[str]:
    """One sentence a check: of the lead farthest beyond the limit, and which others are too."""
    by_check: dict[str, list[Flag]] = {}
    for flag in flags:
        by_check.setdefault(flag.name, []).append(flag)
    sentences = []
    for found in by_check.values():
        worst = max(found, key=lambda flag: abs(flag.value - flag.limit))
        others = ", ".join(str(flag.lead) for flag in found if flag is not worst)
        sentences.append(f"{worst.sentence} Also in {others}." if others else worst.sentence)
    return sentences
