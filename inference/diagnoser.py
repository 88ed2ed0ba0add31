"""From a recording to a diagnosis: what the server, the page and predict.py call.

    diagnoser = Diagnoser.load("artifacts")
    diagnosis = diagnoser.diagnose(read_recording("ecg.hea"))
    diagnosis.probabilities["MI"], diagnosis.predicted_classes, diagnosis.mi_vs_norm.positive

Runs on ONNX Runtime; ``backend="pytorch"`` runs the checkpoints themselves. Either way everything loaded is checked
first: thresholds and exported networks against manifest.json, thresholds against their checkpoints, the probabilities
of a stored ECG against those noted when the networks were exported.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np

from config import ANYLEAD, BINARY_TASKS, DEFAULT_OUT, LEADS, SUPERCLASSES, TASK_CLASSES, described
from ecg.heartbeats import find_heartbeats
from ecg.lost_leads import set_lost_leads_aside
from ecg.preprocessing import model_input
from ecg.quality import Quality, assess
from ecg.recording import Recording, RecordingError
from ecg.rhythm_signs import measure_rhythm
from ecg.statements import CODES, RHYTHMS
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
from inference.findings import implied_superclasses
from inference.lead_sets import leads_phrase
from inference.manifest import (
    SELF_TEST_ECG,
    SELF_TEST_LEADS,
    SELF_TEST_TOLERANCE,
    self_test_recording,
    verify_files,
)
from inference.sentences import NOT_FROM_THESE_LEADS, not_assessed, warnings_of
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
    model: task to the SHA-256 of the checkpoint that was used; "anylead" instead of a task where leads were missing.
    milliseconds: time for preprocessing, networks and quality.
    leads: those the networks saw, recorded or derived.
    lead_set: of `ecg.lead_sets.CANONICAL_SETS`, whose calibration and thresholds apply; None if there is none, then the
    probabilities are uncalibrated, the thresholds mean nothing and nothing is asserted.
    lead_set_exact: whether they were fitted for just these leads.
    not_assessable: superclasses, binary tasks and codes of statements that these leads do not show.
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
    leads: tuple[str, ...] = LEADS
    lead_set: str | None = "12"
    lead_set_exact: bool = True
    not_assessable: tuple[str, ...] = ()

    @property
    def uncertain(self) -> bool:
        return bool(self.uncertain_because)

    @property
    def checkpoint_sha256(self) -> str:
        """Of the network that answered for the classes."""
        return self.model.get(ANYLEAD) or self.model["multilabel"]

    @property
    def headline(self) -> tuple[str, ...]:
        """What is said of the recording, a phrase each, rhythm first; see `inference.summary.headline`."""
        seen = leads_phrase(np.isin(LEADS, self.leads)) if set(self.not_assessable) & set(SUPERCLASSES) else ""
        if set(SUPERCLASSES) <= set(self.not_assessable):
            return (*((self.rhythm.sentence,) if self.rhythm else ()), f"No diagnosis can be told from {seen}")
        return headline(self.rhythm, self.statements, self.predicted_classes, self.probabilities, seen)


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedRecording:
    """A recording before the networks.

    recording: without its lost leads. signal: ``(12, samples)`` in mV at 100 Hz, zeros for missing leads.
    quality: None if it was not assessed. answering: who answers for it.
    rhythm_signs: `ecg.rhythm_signs.RhythmSigns.doubts`; none without usable quality.
    """

    recording: Recording
    signal: np.ndarray
    quality: Quality | None
    rhythm_signs: tuple[str, ...]
    answering: Answering


@dataclass(frozen=True, eq=False)
class Diagnoser:
    """The shipped networks with their calibration and thresholds; safe to share between threads.

    networks: task to network; a binary task that the multi-label network decides has none.
    decisions: task to what turns its probabilities into decisions.
    files: name to SHA-256 of the networks and thresholds in use, which together determine every result.
    anylead: what answers when leads are missing; None if it is not there, then such recordings are refused.
    """

    networks: dict[str, Network]
    decisions: dict[str, Decisions]
    files: dict[str, str]
    anylead: AnyLead | None = None

    @classmethod
    def load(cls, artifacts: Path | str = DEFAULT_OUT, backend: str = "onnx", threads: int = 1) -> "Diagnoser":
        """Load everything in a directory and verify it.

        backend: "onnx" or "pytorch". threads: how many a network may use, see `inference.backends`.
        Raises InferenceError if a file is missing, damaged, exchanged, or belongs to another.
        """
        directory = Path(artifacts)
        manifest = verify_files(directory, backend)
        diagnoser = cls.unverified(directory, backend, threads)
        diagnoser.self_test(manifest["self_test"], self_test_recording(directory))
        if diagnoser.anylead is not None:
            diagnoser.self_test(manifest["self_test_anylead"], only_leads(self_test_recording(directory)))
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
        anylead = load_anylead(directory, backend, threads)
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
            diagnoses = self._diagnoses([results[number] for number in numbers], results[numbers[0]].answering)
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
            seen, heartbeats, assessed = recording, None, None
            if quality:
                heartbeats = find_heartbeats(recording)
                assessed = assess(recording, heartbeats)
                if self.anylead is not None:
                    seen, assessed = set_lost_leads_aside(recording, assessed)
                    heartbeats = heartbeats if seen is recording else find_heartbeats(seen)
            answering = self.answering(seen.present)
            rhythm = measure_rhythm(seen, heartbeats) if assessed and assessed.usable else None
            return PreparedRecording(
                recording=seen,
                signal=signal_of(seen),
                quality=assessed,
                rhythm_signs=rhythm.doubts if rhythm else (),
                answering=answering,
            )
        except RecordingError as error:
            return error

    def _diagnoses(self, prepared: Sequence[PreparedRecording], answering: Answering) -> list[Diagnosis]:
        """What is said of recordings with the same leads."""
        decisions, multilabel = answering.decisions, answering.decisions["multilabel"]
        probabilities = all_probabilities(answering.networks, [one.signal for one in prepared])
        calibrated = {task: decisions[task].calibrate(probabilities[task]) for task in TASK_CLASSES}
        above = {task: decisions[task].decide(calibrated[task]) for task in TASK_CLASSES}
        near = {task: decisions[task].uncertain(calibrated[task]) for task in TASK_CLASSES}
        asked = [task for task in BINARY_TASKS if task not in answering.not_assessable]
        found = threshold_statements(multilabel, probabilities["statements"]) if multilabel.statements else None
        explained = np.zeros(len(prepared), bool) if found is None else found.asserted[:, IRREGULAR].any(axis=1)
        verdicts = reach_verdicts(
            above["multilabel"],
            near["multilabel"],
            {task: above[task][:, 0] for task in asked},
            np.array([one.quality.severity if one.quality else "" for one in prepared]),
            np.array([bool(one.rhythm_signs) for one in prepared]) & ~explained,
            implied_superclasses(found.asserted) if found else None,
        )
        unusable = verdicts.doubts["unusable"]
        results = [((), (), None)] * len(prepared)
        if found:
            results = statement_results(multilabel, found, verdicts.classes, unusable)
        nearest = multilabel.distances(calibrated["multilabel"]).argmin(axis=1)
        return [
            Diagnosis(
                probabilities=dict(zip(SUPERCLASSES, calibrated["multilabel"][n].tolist(), strict=True)),
                thresholds=dict(zip(SUPERCLASSES, multilabel.thresholds, strict=True)),
                predicted_classes=tuple(compress(SUPERCLASSES, verdicts.classes[n])),
                **{
                    task: binary_result(
                        probability=float(calibrated[task][n, 0]),
                        threshold=decisions[task].thresholds[0],
                        above=bool(above[task][n, 0]),
                        near=bool(near[task][n]),
                        withheld_because=withheld_sentence(verdicts, task, n)
                        if task in asked
                        else NOT_FROM_THESE_LEADS,
                    )
                    for task in BINARY_TASKS
                },
                uncertain_because=(
                    *doubt_sentences(
                        verdicts,
                        multilabel.classes[nearest[n]],
                        {task: bool(above[task][n, 0]) for task in asked},
                        one.rhythm_signs,
                        n,
                    ),
                    *answering.doubts,
                ),
                not_assessed=(*answering.not_assessed, *not_assessed(one.rhythm_signs, rhythm)),
                statements=statements,
                subclasses=subclasses,
                rhythm=rhythm,
                quality=one.quality,
                warnings=(*answering.warnings, *warnings_of(one.recording, one.quality)),
                model=answering.model,
                milliseconds=0.0,
                leads=tuple(compress(LEADS, one.recording.present)),
                lead_set=answering.lead_set,
                lead_set_exact=answering.lead_set_exact,
                not_assessable=answering.not_assessable,
            )
            for n, (one, (statements, subclasses, rhythm)) in enumerate(zip(prepared, results, strict=True))
        ]


def signal_of(recording: Recording) -> np.ndarray:
    """``(12, samples)`` in mV at 100 Hz, resampled once for all networks, zeros for missing leads."""
    return model_input(recording, 1.0) * recording.present[:, None]


def all_probabilities(networks: Mapping[str, Network], signals: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """As `Diagnoser.probabilities`, ``(n, classes)`` each; signals: of n recordings, from `signal_of`."""
    outputs = {
        task: predict_all(network.probabilities_of, signals, network.batch_size) for task, network in networks.items()
    }
    probabilities = {"statements": outputs["multilabel"][:, networks["multilabel"].outputs.statement_columns]}
    for task in TASK_CLASSES:
        source = task if task in networks else "multilabel"
        probabilities[task] = task_probabilities(networks[source].outputs, outputs[source], task)
    return probabilities


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


def binary_result(probability: float, threshold: float, above: bool, near: bool, withheld_because: str) -> BinaryResult:
    """One recording's result in a binary task."""
    return BinaryResult(
        probability=probability,
        threshold=threshold,
        positive=None if withheld_because else above,
        uncertain=near,
        withheld_because=withheld_because,
    )
