"""Recordings that several tests use."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg.recording import Recording
from ecg.synthetic.case import FEMALE, Case
from ecg.synthetic.simulation import synthesise
from ptbxl.index import read_index
from ptbxl.records import read_recording


def demo_recordings(directory: Path, count: int) -> list[Recording]:
    """The first recordings of a generated data set, at 500 Hz."""
    index = read_index(directory)
    return [read_recording(index, ecg_id, 500) for ecg_id in index.table.index[:count]]


def generated(seed: int = 0, rate: int = 500, **changes) -> tuple:
    """A good generated recording and its truth."""
    case = replace(Case(age=50, sex=FEMALE, heart_rate=70, axis=45), **changes)
    return synthesise(case, rate, np.random.default_rng(seed))
