"""What the page loads or computes once."""

import logging
import os
import threading
from pathlib import Path

import streamlit as st

from config import DEFAULT_OUT, SUPERCLASSES, data_directory
from ecg.intervals import Intervals, measure_intervals
from ecg.preprocessing import model_input
from ecg.recording import RecordingError
from inference.backends import InferenceError
from inference.diagnoser import Diagnoser, Diagnosis
from inference.explain import explain
from models.checkpoint import load_checkpoint
from ptbxl.index import DatasetError
from ui.pdf_report import Reasons
from ui.sources import EXAMPLES, Archive, Case, example_case, open_archive

log = logging.getLogger("app")


def artifacts() -> Path:
    """Where the networks and their figures lie."""
    return Path(os.environ.get("HMT_ARTIFACTS") or DEFAULT_OUT)


@st.cache_resource(show_spinner="Loading the networks …")
def verified_diagnoser(directory: Path) -> Diagnoser:
    return Diagnoser.load(directory)


def load_diagnoser() -> Diagnoser | str:
    """The networks, or why there are none; a failure is not remembered, so that it can be repaired."""
    try:
        return verified_diagnoser(artifacts())
    except InferenceError as error:
        return str(error)


@st.cache_resource(show_spinner="Opening PTB-XL …")
def verified_archive(data: Path, directory: Path) -> Archive:

    diagnoser = load_diagnoser()
    archive = open_archive(
        data, directory, diagnoser.decisions["multilabel"] if isinstance(diagnoser, Diagnoser) else None
    )
    if archive is None:
        raise DatasetError(
            "PTB-XL is not here. `python dataset.py download` fetches it, `make demo` makes a generated set; "
            "the examples need neither."
        )
    return archive


def load_archive() -> Archive | str:
    """The fold of PTB-XL to choose from, or why there is none."""

    try:
        return verified_archive(data_directory(), artifacts())
    except DatasetError as error:
        return str(error)


@st.cache_resource(show_spinner=False)
def load_network(directory: Path):
    """The multi-label network as PyTorch, which explanations need, with its checkpoint."""

    checkpoint = load_checkpoint(directory / "multilabel_best.pth")
    return checkpoint, checkpoint.network()


@st.cache_resource
def warm_up(directory: Path) -> None:
    """Load the slow libraries behind reasons and measurements while the reader looks at the first ECG."""

    def load() -> None:
        try:
            case = example_case(directory, next(iter(EXAMPLES)))
            measure_intervals(case.recording)
            reasons_of(case, SUPERCLASSES[0], directory)
        except Exception:  # whatever is wrong is told when it is asked for
            log.info("warming up failed", exc_info=True)

    threading.Thread(target=load, daemon=True).start()


@st.cache_data(max_entries=64, show_spinner=False)
def answered(key: str, directory: Path, _case: Case, _diagnoser: Diagnoser) -> Diagnosis | str:
    """The answer to a case, or why it cannot be judged. key: the case's."""
    try:
        return _diagnoser.diagnose(_case.recording)
    except RecordingError as error:
        return str(error)


def diagnose(case: Case) -> Diagnosis | str:
    """The answer to a case, or why there is none."""
    diagnoser = load_diagnoser()
    return diagnoser if isinstance(diagnoser, str) else answered(case.key, artifacts(), case, diagnoser)


@st.cache_data(max_entries=64, show_spinner=False)
def measured(key: str, _case: Case) -> Intervals | str:
    """Intervals of a case, or why there are none."""
    try:
        return measure_intervals(_case.recording)
    except RecordingError as error:
        return str(error)


def reasons_of(case: Case, name: str, directory: Path) -> Reasons:
    """What speaks for a class in a recording."""

    checkpoint, network = load_network(directory)
    signal = model_input(case.recording, checkpoint.input_scale)
    classes = tuple(checkpoint.classes)
    why = explain(network, signal, classes, checkpoint.window_s, checkpoint.stride_s, explained=(name,))
    return Reasons(name, why.ranked_leads(name), why.spans(name))


@st.cache_data(max_entries=64, show_spinner="Asking the network why …")
def explained(key: str, _case: Case, name: str, directory: Path) -> Reasons | str:
    """What speaks for a class, or why that cannot be told."""
    try:
        return reasons_of(_case, name, directory)
    except ValueError as error:  # RecordingError and CheckpointError are such
        return str(error)
