"""Where the page's ECGs come from: shipped examples, PTB-XL's unseen fold, or an upload."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np

from config import PROJECT, SUPERCLASS_NAMES, SUPERCLASSES, TEST_FOLD, VALIDATION_FOLD
from ecg.plotting.layout import MOST_CONTINUED
from ecg.readers import read_recording, read_uploaded
from ecg.recording import Recording, Subject
from ptbxl.index import DatasetError, Index, read_index
from ptbxl.records import read_recording as read_from_data_set
from ptbxl.records import record_path

EXAMPLES = {
    "anterior_infarction": "Anterior infarction",
    "normal": "Normal ECG",
    "lateral_ischaemia": "Lateral ischaemia",
    "left_bundle_branch_block": "Left bundle branch block",
    "left_hypertrophy": "Left ventricular hypertrophy",
}
DEMONSTRATION_DATA = PROJECT / "demo" / "data"
SHOWN_S = 10.0  # the page shows and diagnoses this much at a time, but see `most_shown_s`
SPLITS = {VALIDATION_FOLD: "val", TEST_FOLD: "test"}
UNKNOWN_AGE = 300  # PTB-XL's code for over 89
ADULT_AGE = 18
FINER_RATE = 500  # Hz; PTB-XL has every ECG at 100 Hz and at this rate

ANY, DISAGREE, UNCERTAIN = "Any", "Network and label disagree", "Network is uncertain"


@dataclass(frozen=True, eq=False)
class DisplayedECG:
    """One ECG to show.

    key: unique to this ECG, for caches. title: for people. notice: where it comes from.
    recording: what is diagnosed and measured. finer: the same at a higher sampling rate, for the paper.
    label: the annotated superclasses, None without annotation. statements: the annotated statements in plain text.
    """

    key: str
    title: str
    recording: Recording
    finer: Recording | None = None
    notice: str = ""
    label: tuple[str, ...] | None = None
    statements: tuple[str, ...] = ()

    @property
    def drawn(self) -> Recording:
        """What the paper shows."""
        return self.finer or self.recording

    @property
    def patient(self) -> str:
        """Age and sex in plain text; empty where both are unknown."""
        return describe_patient(self.recording.subject)

    @property
    def recorded(self) -> str:
        """When it was recorded, in plain text; empty where that is unknown."""
        day = self.recording.subject.recorded
        return f"recorded {day.isoformat()}" if day else ""

    @property
    def caption(self) -> str:
        """The line above the paper: what it is, of whom, when."""
        return " · ".join(part for part in (self.title, self.patient, self.recorded) if part)


@dataclass(frozen=True)
class NoECG:
    """Why there is no ECG to show, with what to do. is_error: something is wrong, not just still to be chosen."""

    message: str
    is_error: bool = True


def example_ecg(artifacts: Path, name: str) -> DisplayedECG:
    """A shipped ECG by its key in ``EXAMPLES``. Raises RecordingError."""
    return DisplayedECG(
        key=f"example {name}",
        title=f"Example: {EXAMPLES[name].lower()}",
        recording=read_recording(artifacts / "examples" / f"{name}.hea"),
        notice="Generated ECG, not from a patient.",
    )


def uploaded_ecg(files: Mapping[str, bytes], sampling_rate: float | None, units: str | None) -> DisplayedECG:
    """An ECG from the files of an upload, as `read_uploaded` takes them. Raises RecordingError."""
    recording = read_uploaded(files, sampling_rate, units)
    digest = hashlib.sha256(repr((sampling_rate, units)).encode())
    for name, content in sorted(files.items()):
        digest.update(name.encode() + b"\0" + content)
    stems = {PurePath(name).stem for name in files}
    title = stems.pop() if len(files) > 1 == len(stems) else ", ".join(sorted(files))
    return DisplayedECG(key=f"upload {digest.hexdigest()}", title=title, recording=recording)


def most_shown_s(recording: Recording) -> float:
    """How much of a recording is shown and diagnosed at a time (s): a single lead has room for half a minute."""
    return SHOWN_S * MOST_CONTINUED if recording.present.sum() == 1 else SHOWN_S


def crop(ecg: DisplayedECG, start_s: float) -> DisplayedECG:
    """As much of an ECG as is shown at a time, from ``start_s`` on; all of it if it is no longer."""
    recording = ecg.recording
    length_s = most_shown_s(recording)
    if recording.duration <= length_s:
        return ecg
    first = round(start_s * recording.sampling_rate)
    signal = recording.signal[:, first : first + round(length_s * recording.sampling_rate)]
    title = f"{ecg.title}, {start_s:g} to {start_s + length_s:g} s"
    return replace(ecg, key=f"{ecg.key} {first}", title=title, recording=replace(recording, signal=signal), finer=None)


# -- PTB-XL -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StoredPredictions:
    """What the network says to ``n`` ECGs. positive: bool ``(n, 5)``. uncertain: bool ``(n,)``, as in a diagnosis."""

    positive: np.ndarray
    uncertain: np.ndarray


@dataclass(frozen=True, eq=False)
class PTBXLFold:
    """One fold of PTB-XL, or of a generated set, to choose ECGs from.

    ecg_ids, patient_ids: ``(n,)``. labels: bool ``(n, 5)``. predictions: of the same ECGs, None if not stored.
    """

    index: Index
    fold: int
    ecg_ids: np.ndarray
    patient_ids: np.ndarray
    labels: np.ndarray
    predictions: StoredPredictions | None

    @property
    def name(self) -> str:
        if self.index.is_synthetic:
            return "Generated set"
        return "PTB-XL" if self.index.is_ptbxl else f"Data set {self.index.directory.name}"

    @property
    def notice(self) -> str:
        """How the network's development used these ECGs."""
        if self.index.is_synthetic:
            return f"Generated demonstration set, fold {self.fold}: not from patients."
        if not self.index.is_ptbxl:
            return f"{self.name}, fold {self.fold}, which networks trained on this data set have not been trained on."
        if self.fold == TEST_FOLD:
            return f"PTB-XL fold {self.fold} (test set): not used in development."
        return (
            f"PTB-XL fold {self.fold} (validation set): not trained on, but used to choose epoch, calibration and "
            "thresholds. The test set, fold 10, is not installed."
        )

    @property
    def no_predictions_because(self) -> str:
        """Why there are no lists by what the network says."""
        if self.index.is_synthetic:
            return "these ECGs are generated."
        return (
            f"its verdicts on fold {self.fold} are not stored; "
            f"`python -m tools.measure_verdict --split {SPLITS[self.fold]}` writes them."
        )

    @cached_property
    def choices(self) -> dict[str, np.ndarray]:
        """Ways to narrow the ECGs down, each with the ecg_ids it leaves."""
        found = {ANY: self.ecg_ids}
        found |= {f"Labelled {name}": self.ecg_ids[self.labels[:, k]] for k, name in enumerate(SUPERCLASSES)}
        found["Labelled with no class"] = self.ecg_ids[~self.labels.any(axis=1)]
        if self.predictions is not None:
            found[DISAGREE] = self.ecg_ids[(self.predictions.positive != self.labels).any(axis=1)]
            found[UNCERTAIN] = self.ecg_ids[self.predictions.uncertain]
        return {name: ids for name, ids in found.items() if len(ids)}

    @cached_property
    def repeated_patients(self) -> dict[int, np.ndarray]:
        """Patients with several ECGs: their ecg_ids, oldest first; none where the table has no dates."""
        dates = self.index.table.loc[self.ecg_ids, "recording_date"]
        if dates.isna().any():
            return {}
        dates = dates.to_numpy()
        patients, counts = np.unique(self.patient_ids, return_counts=True)
        rows = {int(patient): np.flatnonzero(self.patient_ids == patient) for patient in patients[counts > 1]}
        return {patient: self.ecg_ids[row[np.argsort(dates[row], kind="stable")]] for patient, row in rows.items()}


def open_fold(data: Path, artifacts: Path, files: Mapping[str, str] | None) -> PTBXLFold | None:
    """The fold to show: 10 where it is installed, else 9, else the generated set's fold 10; None without any.

    files: `Diagnoser.files`, of the networks and thresholds in use; None without them, then with no stored verdicts.
    Raises DatasetError for a damaged data set.
    """
    for directory in (data, DEMONSTRATION_DATA):
        if not (directory / "ptbxl_database.csv").is_file():
            continue
        index = read_index(directory)
        for fold in (TEST_FOLD, VALIDATION_FOLD):
            rows = np.flatnonzero(index.folds == fold)
            if len(rows) and (index.directory / f"{index.table['filename_lr'].iloc[rows[0]]}.dat").is_file():
                ecg_ids = index.table.index[rows].to_numpy()
                stored = artifacts / "predictions" / f"verdicts_{SPLITS[fold]}.npz"
                known = files is not None and index.is_ptbxl
                return PTBXLFold(
                    index=index,
                    fold=fold,
                    ecg_ids=ecg_ids,
                    patient_ids=index.table["patient_id"].to_numpy()[rows],
                    labels=index.superclasses[rows],
                    predictions=read_verdicts(stored, ecg_ids, files) if known else None,
                )
    return None


def read_verdicts(path: Path, ecg_ids: np.ndarray, files: Mapping[str, str]) -> StoredPredictions | None:
    """What a diagnosis of each of these ECGs says, or None unless the file has them all, from the files in use.

    path: of `tools.measure_verdict`. files: `Diagnoser.files`.
    """
    if not path.is_file():
        return None
    with np.load(path) as stored:
        row_of = {int(ecg_id): row for row, ecg_id in enumerate(stored["ecg_id"])}
        if not set(map(int, ecg_ids)) <= set(row_of) or json.loads(str(stored["files"])) != dict(files):
            return None
        rows = [row_of[int(ecg_id)] for ecg_id in ecg_ids]
        return StoredPredictions(positive=stored["classes"][rows], uncertain=stored["uncertain"][rows])


def ptbxl_ecg(fold: PTBXLFold, ecg_id: int) -> DisplayedECG:
    """One ECG of the fold, drawn from its 500-Hz file where that is installed.

    It is diagnosed from the 100-Hz file, as in evaluation. Raises DatasetError if that is missing or damaged.
    """
    row = int(np.flatnonzero(fold.ecg_ids == ecg_id)[0])
    recording = replace(read_from_data_set(fold.index, ecg_id), subject=ptbxl_subject(fold.index, ecg_id))
    finer, notice = None, fold.notice
    if record_path(fold.index, ecg_id, FINER_RATE).with_suffix(".hea").is_file():
        try:
            finer = read_from_data_set(fold.index, ecg_id, FINER_RATE)
        except DatasetError as error:
            notice += f" Drawn at {recording.sampling_rate:g} Hz, since the {FINER_RATE}-Hz file is damaged ({error})."
    return DisplayedECG(
        key=f"{fold.index.directory} {ecg_id}",
        title=f"{fold.name} {ecg_id}",
        recording=recording,
        finer=finer,
        notice=notice,
        label=tuple(name for name, present in zip(SUPERCLASSES, fold.labels[row], strict=True) if present),
        statements=describe_statements(fold.index, ecg_id),
    )


def ptbxl_subject(index: Index, ecg_id: int) -> Subject:
    """Age, sex and day of recording from PTB-XL's table."""
    facts = index.table.loc[ecg_id]
    return Subject(
        age=None if np.isnan(facts["age"]) else float(facts["age"]),
        sex={0: "male", 1: "female"}.get(facts["sex"], ""),
        recorded=_day(facts["recording_date"]),
    )


def _day(text: object) -> date | None:
    try:
        return datetime.fromisoformat(str(text)).date()
    except ValueError:
        return None


def describe_patient(subject: Subject) -> str:
    """Age and sex in plain text; empty where both are unknown.

    >>> describe_patient(Subject(age=56, sex="female")), describe_patient(Subject(age=300, sex="male"))
    ('woman, 56 years', 'man, over 89 years')
    """
    adult = subject.age is None or subject.age >= ADULT_AGE
    who = {"male": "man" if adult else "boy", "female": "woman" if adult else "girl"}.get(subject.sex, "")
    if subject.age is None:
        return who
    years = f"{subject.age:.0f} years" if subject.age >= 2 else f"{12 * subject.age:.0f} months"
    years = "over 89 years" if subject.age >= UNKNOWN_AGE else years
    return ", ".join(part for part in (who, years) if part)


def describe_statements(index: Index, ecg_id: int) -> tuple[str, ...]:
    """The cardiologists' statements with their likelihoods."""
    likelihoods = index.statements[index.table.index.get_loc(ecg_id)]
    described = zip(index.statement_table["description"], likelihoods, strict=True)
    return tuple(
        f"{statement} ({likelihood:.0f} %)" if likelihood else f"{statement} (likelihood not stated)"
        for statement, likelihood in described
        if not np.isnan(likelihood)
    )


def describe_label(label: tuple[str, ...]) -> str:
    """Superclasses in plain text."""
    return ", ".join(f"{SUPERCLASS_NAMES[name]} ({name})" for name in label) or "none of the five classes"
