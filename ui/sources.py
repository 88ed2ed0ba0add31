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
from inference.verdict import reach_verdicts
from ptbxl.index import Index, read_index
from ptbxl.records import read_recording as read_from_data_set

EXAMPLES = {
    "anterior_infarction": "Anterior infarction",
    "normal": "Normal ECG",
    "lateral_ischaemia": "Lateral ischaemia",
    "left_bundle_branch_block": "Left bundle branch block",
    "left_hypertrophy": "Left ventricular hypertrophy",
}
DEMONSTRATION_DATA = PROJECT / "demo" / "data"
SHOWN_S = 10.0  # the page shows and diagnoses this much at a time
SPLITS = {VALIDATION_FOLD: "val", TEST_FOLD: "test"}
UNKNOWN_AGE = 300  # PTB-XL's code for over 89

ANY, DISAGREE, UNCERTAIN = "Any", "Network and label disagree", "Network is uncertain"


@dataclass(frozen=True, eq=False)
class DisplayedECG:
    """One ECG to show.

    key: unique to this ECG, for caches. title, patient: for people. notice: where it comes from.
    label: the annotated superclasses, None without annotation. statements: the annotated statements in plain text.
    """

    key: str
    title: str
    recording: Recording
    notice: str = ""
    patient: str = ""
    label: tuple[str, ...] | None = None
    statements: tuple[str, ...] = ()


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
    return DisplayedECG(key=f"upload {digest.hexdigest()}", title=", ".join(sorted(files)), recording=recording)


def crop(ecg: DisplayedECG, start_s: float) -> DisplayedECG:
    """The 10 s of an ECG from ``start_s`` on; all of it if it is no longer."""
    recording = ecg.recording
    if recording.duration <= SHOWN_S:
        return ecg
    first = round(start_s * recording.sampling_rate)
    signal = recording.signal[:, first : first + round(SHOWN_S * recording.sampling_rate)]
    title = f"{ecg.title}, {start_s:g} to {start_s + SHOWN_S:g} s"
    return replace(ecg, key=f"{ecg.key} {first}", title=title, recording=replace(recording, signal=signal))


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
        return "Generated set" if self.index.is_synthetic else "PTB-XL"

    @property
    def notice(self) -> str:
        """How the network's development used these ECGs."""
        if self.index.is_synthetic:
            return f"Generated demonstration set, fold {self.fold}: not from patients."
        if self.fold == TEST_FOLD:
            return f"PTB-XL fold {self.fold} (test set): not used in development."
        return (
            f"PTB-XL fold {self.fold} (validation set): not trained on, but used to choose epoch, calibration and "
            "thresholds. The test set, fold 10, is not installed."
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
        """Patients with several ECGs: their ecg_ids, oldest first."""
        dates = self.index.table.loc[self.ecg_ids, "recording_date"].to_numpy()
        patients, counts = np.unique(self.patient_ids, return_counts=True)
        rows = {int(patient): np.flatnonzero(self.patient_ids == patient) for patient in patients[counts > 1]}
        return {patient: self.ecg_ids[row[np.argsort(dates[row], kind="stable")]] for patient, row in rows.items()}


def open_fold(data: Path, artifacts: Path, decisions: Decisions | None) -> PTBXLFold | None:
    """The fold to show: 10 where it is installed, else 9, else the generated set's fold 10; None without any.

    decisions: of the multi-label network, for the stored predictions; None without the network.
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
                stored = artifacts / "predictions" / f"hmt_ecgnet_multilabel_{SPLITS[fold]}.npz"
                known = decisions is not None and not index.is_synthetic
                return PTBXLFold(
                    index=index,
                    fold=fold,
                    ecg_ids=ecg_ids,
                    patient_ids=index.table["patient_id"].to_numpy()[rows],
                    labels=index.superclasses[rows],
                    predictions=read_predictions(stored, ecg_ids, decisions) if known else None,
                )
    return None


def read_predictions(path: Path, ecg_ids: np.ndarray, decisions: Decisions) -> StoredPredictions | None:
    """What a diagnosis of each of these ECGs would say, or None unless the file has all their predictions.

    Files of earlier versions lack the recordings' quality, without which they cannot say what is uncertain.
    """
    if not path.is_file():
        return None
    with np.load(path) as stored:
        row_of = {int(ecg_id): row for row, ecg_id in enumerate(stored["ecg_id"])}
        if not set(map(int, ecg_ids)) <= set(row_of) or "quality" not in stored:
            return None
        rows = [row_of[int(ecg_id)] for ecg_id in ecg_ids]
        calibrated = decisions.calibrate(stored["probabilities"][rows])
        verdicts = reach_verdicts(
            decisions.decide(calibrated),
            decisions.uncertain(calibrated),
            {},
            stored["quality"][rows],
            np.zeros(len(rows), bool),
        )
    return StoredPredictions(positive=verdicts.classes, uncertain=verdicts.uncertain)


def ptbxl_ecg(fold: PTBXLFold, ecg_id: int) -> DisplayedECG:
    """One ECG of the fold. Raises DatasetError if its file is missing or damaged."""
    row = int(np.flatnonzero(fold.ecg_ids == ecg_id)[0])
    facts = fold.index.table.loc[ecg_id]
    return DisplayedECG(
        key=f"{fold.index.directory} {ecg_id}",
        title=f"{fold.name} {ecg_id}",
        recording=read_from_data_set(fold.index, ecg_id),
        notice=fold.notice,
        patient=describe_patient(facts["age"], facts["sex"]),
        label=tuple(name for name, present in zip(SUPERCLASSES, fold.labels[row], strict=True) if present),
        statements=describe_statements(fold.index, ecg_id),
    )


def describe_patient(age: float, sex: float) -> str:
    """PTB-XL's age and sex in plain text; empty where both are unknown.

    >>> describe_patient(56, 1), describe_patient(300, 0)
    ('woman, 56 years', 'man, over 89 years')
    """
    who = {0: "man", 1: "woman"}.get(sex, "")
    years = "" if np.isnan(age) else "over 89 years" if age >= UNKNOWN_AGE else f"{age:.0f} years"
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
