"""What the page loads or computes once, shared by all its readers.

Everything is cached as a resource, not as data: the objects are frozen, and copies by pickle would fail once a
module has been edited and loaded anew. For the same reason failures are strings, and callers test for a string.
"""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from config import ANYLEAD, ANYLEAD_CHECKPOINT, CHECKPOINT_NAMES, DEFAULT_OUT, SUPERCLASSES, data_directory
from ecg.intervals import Intervals, measure_intervals
from ecg.plotting.layout import Span
from ecg.preprocessing import model_input
from ecg.recording import Recording, RecordingError
from ecg.rr_intervals import RRIntervals, measure_rr_intervals
from inference import InferenceError
from inference.diagnoser import Diagnoser
from inference.diagnosis import Diagnosis
from ptbxl.index import DatasetError
from ui.sources import EXAMPLES, DisplayedECG, PTBXLFold, example_ecg, open_fold

log = logging.getLogger("app")


def artifacts() -> Path:
    """Where the networks and their metrics lie."""
    return Path(os.environ.get("HMT_ARTIFACTS") or DEFAULT_OUT)


@st.cache_resource(show_spinner="Loading the networks …")
def _diagnoser(directory: Path) -> Diagnoser:
    return Diagnoser.load(directory)


def load_diagnoser() -> Diagnoser | str:
    """The networks, or why there are none; a failure is not cached, so that it can be repaired."""
    try:
        return _diagnoser(artifacts())
    except InferenceError as error:
        return str(error)


@st.cache_resource(show_spinner="Opening PTB-XL …")
def _fold(data: Path, directory: Path) -> PTBXLFold:
    diagnoser = load_diagnoser()
    fold = open_fold(data, directory, None if isinstance(diagnoser, str) else diagnoser.files)
    if fold is None:
        raise DatasetError(
            "PTB-XL is not installed. `python dataset.py download` fetches it; `make demo` generates a small "
            "demonstration set. The examples need neither."
        )
    return fold


def load_fold() -> PTBXLFold | str:
    """The fold of PTB-XL to choose ECGs from, or why there is none."""
    try:
        return _fold(data_directory(), artifacts())
    except DatasetError as error:
        return str(error)


@st.cache_resource(max_entries=64, show_spinner=False)
def _diagnosis(key: str, directory: Path, _ecg: DisplayedECG, _networks: Diagnoser) -> Diagnosis | str:
    try:
        return _networks.diagnose(_ecg.recording)
    except RecordingError as error:
        return str(error)


def diagnose(ecg: DisplayedECG) -> Diagnosis | str:
    """The diagnosis of an ECG, or why there is none."""
    diagnoser = load_diagnoser()
    return diagnoser if isinstance(diagnoser, str) else _diagnosis(ecg.key, artifacts(), ecg, diagnoser)


@st.cache_resource(max_entries=64, show_spinner=False)
def _intervals(key: str, _ecg: DisplayedECG) -> Intervals | str:
    try:
        return measure_intervals(_ecg.recording)
    except RecordingError as error:
        return str(error)


def intervals(ecg: DisplayedECG) -> Intervals | str:
    """Heart rate, intervals and axes of an ECG, or why there are none."""
    return _intervals(ecg.key, ecg)


@st.cache_resource(max_entries=64, show_spinner=False)
def _rr_intervals(key: str, _ecg: DisplayedECG) -> RRIntervals | None:
    try:
        return measure_rr_intervals(_ecg.recording)
    except RecordingError:
        return None


def rr_intervals(ecg: DisplayedECG) -> RRIntervals | None:
    """RR intervals of an ECG; None without reliable heartbeats."""
    return _rr_intervals(ecg.key, ecg)


@dataclass(frozen=True, eq=False)
class ClassExplanation:
    """Why a class or a statement got its probability.

    class_name: one of ``config.SUPERCLASSES``, or the code of a statement.
    lead_shares: leads with their shares of the evidence, largest first; empty if nothing speaks for the class.
    spans: the parts of the leads to shade.
    """

    class_name: str
    lead_shares: Sequence[tuple[str, float]]
    spans: Sequence[Span]


@st.cache_resource(show_spinner=False)
def _network(path: Path):
    """A checkpoint and its network in PyTorch, which explanations need."""
    from models.checkpoint import load_checkpoint  # deferred: loads PyTorch, which the page opens without

    checkpoint = load_checkpoint(path)
    return checkpoint, checkpoint.network()


def _explain(recording: Recording, class_name: str, path: Path) -> ClassExplanation:
    """path: of the checkpoint that answered. recording: as it saw it."""
    from inference.explain import explain  # deferred: loads PyTorch, which the page opens without

    checkpoint, network = _network(path)
    signal = model_input(recording, checkpoint.input_scale) * recording.present[:, None]
    found = explain(network, signal, explained=(class_name,))
    return ClassExplanation(
        class_name=class_name, lead_shares=found.ranked_leads(class_name), spans=found.spans(class_name)
    )


@st.cache_resource(max_entries=64, show_spinner="Computing the explanation …")
def _explanation(key: str, _seen: Recording, class_name: str, path: Path) -> ClassExplanation | str:
    try:
        return _explain(_seen, class_name, path)
    except ValueError as error:  # RecordingError and CheckpointError are such
        return str(error)


def explanation(ecg: DisplayedECG, class_name: str) -> ClassExplanation | str:
    """What speaks for a class or a statement (its code) in an ECG, or why that cannot be computed."""
    diagnosis, diagnoser = diagnose(ecg), load_diagnoser()
    if isinstance(diagnosis, str) or isinstance(diagnoser, str):
        return str(diagnosis)
    name = ANYLEAD_CHECKPOINT if ANYLEAD in diagnosis.model else CHECKPOINT_NAMES["multilabel"]
    return _explanation(ecg.key, diagnoser.seen(ecg.recording, diagnosis.quality), class_name, artifacts() / name)


@st.cache_resource
def warm_up(directory: Path) -> None:
    """Load the slow libraries behind explanations and intervals while the reader looks at the first ECG."""

    def load() -> None:
        try:
            ecg = example_ecg(directory, next(iter(EXAMPLES)))
            measure_intervals(ecg.recording)
            _explain(ecg.recording, SUPERCLASSES[0], directory / CHECKPOINT_NAMES["multilabel"])
        except Exception:  # whatever is wrong is shown when it is needed
            log.info("warming up failed", exc_info=True)

    threading.Thread(target=load, daemon=True).start()
