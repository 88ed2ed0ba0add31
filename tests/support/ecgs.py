"""Recordings that several tests use."""

from pathlib import Path

from ecg.recording import Recording
from ptbxl.index import read_index
from ptbxl.records import read_recording


def demo_recordings(directory: Path, count: int) -> list[Recording]:
    """The first recordings of a generated data set, at 500 Hz."""
    index = read_index(directory)
    return [read_recording(index, ecg_id, 500) for ecg_id in index.table.index[:count]]
