"""Where the page's ECGs come from: shipped examples, PTB-XL's unseen fold, or an upload."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from config import PROJECT, SUPERCLASS_NAMES, SUPERCLASSES, TEST_FOLD, VALIDATION_FOLD
from ecg.readers import read_recording, read_uploaded
from ecg.recording import Recording
from inference.decisions import Decisions
from ptbxl.index import read_index
from ptbxl.records import read_recording as read_from_data_set

EXAMPLES = {
    "anterior_infarction": "Anterior infarction",
    "normal": "Normal ECG",
    "lateral_ischaemia": "Lateral ischaemia",
    "left_bundle_branch_block": "Left bundle branch block",
    "left_hypertrophy": "Left ventricular hypertrophy",
}
EXAMPLE_NOTICE = "Generated ECG, no patient's."
DEMONSTRATION_DATA = PROJECT / "demo" / "data"
SHOWN_S = 10.0  # the page shows and judges this much at a time
UNKNOWN_AGE = 300  # PTB-XL's code for over 89

ANY, DISAGREE, UNCERTAIN = "Any", "Network and label disagree", "Network is uncertain"


@dataclass(frozen=True, eq=False)
class Case:
    """One ECG to show.

    key: tells it from every other, for caches. title, patient: for people. notice: what its origin means.
    label: superclasses annotated, None if there is no annotation. statements: the annotation in words.
    """

    key: str
    title: str
    recording: Recording
    notice: str = ""
    patient: str = ""
    label: tuple[str, ...] | None = None
    statements: tuple[str, ...] = ()


def example_case(artifacts: Path, name: str) -> Case:
    """A shipped ECG by its key in ``EXAMPLES``. Raises RecordingError."""
    recording = read_recording(artifacts / "examples" / f"{name}.hea")
    return Case(f"example {name}", f"Example: {EXAMPLES[name].lower()}", recording, EXAMPLE_NOTICE)


def uploaded_case(files: Mapping[str, bytes], sampling_rate: float | None, units: str | None) -> Case:
    """An ECG from the files of an upload, as `read_uploaded` takes them. Raises RecordingError."""
    recording = read_uploaded(files, sampling_rate, units)
    digest = hashlib.sha256(repr((sampling_rate, units)).encode())
    for name, content in sorted(files.items()):
        digest.update(name.encode() + b"\0" + content)
    return Case(f"upload {digest.hexdigest()}", ", ".join(sorted(files)), recording)


def cut(case: Case, start_s: float) -> Case:
    """The 10 s of a case from ``start_s`` on; all of it if it is no longer."""
    recording = case.recording
    if recording.duration <= SHOWN_S:
        return case
    first = round(start_s * recording.sampling_rate)
    signal = recording.signal[:, first : first + round(SHOWN_S * recording.sampling_rate)]
    title = f"{case.title}, {start_s:g} to {start_s + SHOWN_S:g} s"
    return replace(case, key=f"{case.key} {first}", title=title, recording=replace(recording, signal=signal))


# -- PTB-XL -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Archive:
    """One fold of PTB-XL, or of a generated set, to choose ECGs from.

    index: a `dataset.Index`. ecg_ids: ``(n,)``; patient_ids: ``(n,)``; labels: bool ``(n, 5)``.
    positive: bool ``(n, 5)``, the network's decisions, and uncertain: bool ``(n,)``; None without stored predictions.
    """

    index: object
    fold: int
    ecg_ids: np.ndarray
    patient_ids: np.ndarray
    labels: np.ndarray
    positive: np.ndarray | None
    uncertain: np.ndarray | None

    @property
    def name(self) -> str:
        return "Generated set" if self.index.is_synthetic else "PTB-XL"

    @property
    def notice(self) -> str:
        """What these ECGs were to the network."""
        if self.index.is_synthetic:
            return f"Generated demonstration set, fold {self.fold}: no patients."
        if self.fold == TEST_FOLD:
            return f"PTB-XL fold {self.fold}: the network has never met these patients."
        return (
            f"PTB-XL fold {self.fold}: not trained on, but it chose the network's epoch, calibration and thresholds. "
            "Fold 10 is not here."
        )

    @cached_property
    def choices(self) -> dict[str, np.ndarray]:
        """Ways to narrow the ECGs down, each with the ecg_ids it leaves."""
        found = {ANY: self.ecg_ids}
        found |= {f"Labelled {name}": self.ecg_ids[self.labels[:, k]] for k, name in enumerate(SUPERCLASSES)}
        found["Labelled with no class"] = self.ecg_ids[~self.labels.any(axis=1)]
        if self.positive is not None:
            found[DISAGREE] = self.ecg_ids[(self.positive != self.labels).any(axis=1)]
            found[UNCERTAIN] = self.ecg_ids[self.uncertain]
        return {name: ids for name, ids in found.items() if len(ids)}

    @cached_property
    def repeated_patients(self) -> dict[int, np.ndarray]:
        """Patients with several ECGs: their ecg_ids, oldest first."""
        dates = self.index.table.loc[self.ecg_ids, "recording_date"].to_numpy()
        patients, counts = np.unique(self.patient_ids, return_counts=True)
        rows = {int(patient): np.flatnonzero(self.patient_ids == patient) for patient in patients[counts > 1]}
        return {patient: self.ecg_ids[row[np.argsort(dates[row], kind="stable")]] for patient, row in rows.items()}


def open_archive(data: Path, artifacts: Path, decisions: Decisions | None) -> Archive | None:
    """The fold to show: 10 where it is, else 9, else the generated set's fold 10; None without any.

    decisions: of the multi-label network; turn stored predictions into what the page itself would say.
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
                answers = None if index.is_synthetic else _stored_answers(artifacts, fold, ecg_ids, decisions)
                patients = index.table["patient_id"].to_numpy()[rows]
                return Archive(index, fold, ecg_ids, patients, index.superclasses[rows], *(answers or (None, None)))
    return None


def _stored_answers(
    artifacts: Path, fold: int, ecg_ids: np.ndarray, decisions: Decisions | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Decisions ``(n, 5)`` and uncertainty ``(n,)`` for these ECGs, or None unless every one has its prediction."""
    path = artifacts / "predictions" / f"hmt_ecgnet_multilabel_{'test' if fold == TEST_FOLD else 'val'}.npz"
    if decisions is None or not path.is_file():
        return None
    with np.load(path) as stored:
        row_of = {int(ecg_id): row for row, ecg_id in enumerate(stored["ecg_id"])}
        if not set(map(int, ecg_ids)) <= set(row_of):
            return None
        calibrated = decisions.calibrate(stored["probabilities"][[row_of[int(ecg_id)] for ecg_id in ecg_ids]])
    return decisions.decide(calibrated), decisions.uncertain(calibrated)


def archive_case(archive: Archive, ecg_id: int) -> Case:
    """One ECG of the archive. Raises DatasetError if its file is missing or damaged."""

    row = int(np.flatnonzero(archive.ecg_ids == ecg_id)[0])
    facts = archive.index.table.loc[ecg_id]
    label = tuple(name for name, there in zip(SUPERCLASSES, archive.labels[row], strict=True) if there)
    return Case(
        f"{archive.index.directory} {ecg_id}",
        f"{archive.name} {ecg_id}",
        read_from_data_set(archive.index, ecg_id),
        archive.notice,
        patient_words(facts["age"], facts["sex"]),
        label,
        _statements(archive, ecg_id),
    )


def patient_words(age: float, sex: float) -> str:
    """PTB-XL's age and sex in words; empty where both are unknown.

    >>> patient_words(56, 1), patient_words(300, 0)
    ('woman, 56 years', 'man, over 89 years')
    """
    who = {0: "man", 1: "woman"}.get(sex, "")
    years = "" if np.isnan(age) else "over 89 years" if age >= UNKNOWN_AGE else f"{age:.0f} years"
    return ", ".join(part for part in (who, years) if part)


def _statements(archive: Archive, ecg_id: int) -> tuple[str, ...]:
    """The cardiologists' statements with their likelihoods."""
    likelihoods = archive.index.statements[archive.index.table.index.get_loc(ecg_id)]
    described = zip(archive.index.statement_table["description"], likelihoods, strict=True)
    return tuple(
        f"{words} ({likelihood:.0f} %)" if likelihood else f"{words} (likelihood not stated)"
        for words, likelihood in described
        if not np.isnan(likelihood)
    )


def label_words(label: tuple[str, ...]) -> str:
    """Superclasses in words."""
    return ", ".join(f"{SUPERCLASS_NAMES[name]} ({name})" for name in label) or "none of the five classes"
