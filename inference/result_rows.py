"""One row of the results table of one recording: a pure function of what was read and what was found."""

import os
from pathlib import Path

from config import SUPERCLASSES
from ecg.intervals import VALUES, measure_intervals
from ecg.recording import Recording
from inference.diagnoser import Diagnosis

TEXT, NUMBER, YES_NO = "string", "Float64", "boolean"  # types of pandas that know missing values
INTERVAL_COLUMNS = {
    name: f"{name}_deg" if name.endswith("axis") else f"{name}_ms" for name in VALUES if name != "heart_rate"
}


def columns_of(intervals: bool = False) -> dict[str, str]:
    """The columns of the table in order, each with its type, whatever the recordings are.

    intervals: with those of `ecg.intervals.measure_intervals`.
    """
    columns = {"file": TEXT, "error": TEXT, "predicted_classes": TEXT}
    columns |= {f"p_{name}": NUMBER for name in SUPERCLASSES}
    for task in ("mi_vs_norm", "norm_vs_abnormal"):
        columns |= {f"p_{task}": NUMBER, task: YES_NO}
    columns |= {"uncertain": YES_NO, "uncertain_because": TEXT, "withheld": TEXT, "not_assessed": TEXT}
    columns |= {"quality": TEXT, "heart_rate": NUMBER}
    if intervals:
        columns |= dict.fromkeys(INTERVAL_COLUMNS.values(), NUMBER) | {"not_measured": TEXT}
    return columns | {"warnings": TEXT, "model": TEXT}


def row_of(
    path: Path, recording: Recording | Exception, diagnosis: Diagnosis | None, intervals: bool = False
) -> dict[str, str | float | bool | None]:
    """Column to value, all of `columns_of`; None where there is no value.

    recording: or the error that stands in its place, then diagnosis is None. intervals: measure them too.
    """
    row = dict.fromkeys(columns_of(intervals)) | {"file": file_name(path)}
    if diagnosis is None or isinstance(recording, Exception):
        return row | {"error": encodable(str(recording) or type(recording).__name__)}
    binary = {"mi_vs_norm": diagnosis.mi_vs_norm, "norm_vs_abnormal": diagnosis.norm_vs_abnormal}
    for task, result in binary.items():
        row |= {f"p_{task}": round(result.probability, 4), task: result.positive}
    withheld = [f"{task}: {result.withheld_because}" for task, result in binary.items() if result.withheld_because]
    row |= {f"p_{name}": round(diagnosis.probabilities[name], 4) for name in SUPERCLASSES}
    row |= {
        "predicted_classes": " ".join(diagnosis.predicted_classes) or "none",
        "uncertain": diagnosis.uncertain,
        "uncertain_because": "; ".join(diagnosis.uncertain_because),
        "withheld": "; ".join(withheld),
        "not_assessed": " ".join(diagnosis.not_assessed),
        "warnings": " ".join(diagnosis.warnings),
        "model": diagnosis.model["multilabel"][:12],
    }
    if diagnosis.quality is not None:
        row |= {"quality": diagnosis.quality.severity, "heart_rate": rounded(diagnosis.quality.heart_rate)}
        if not diagnosis.quality.usable:
            row["predicted_classes"] = None
    return row | (interval_values(recording) if intervals else {})


def interval_values(recording: Recording) -> dict[str, float | str | None]:
    """Intervals in ms and axes in degrees by column, and why any of them is missing."""
    measured = measure_intervals(recording)
    values = {column: rounded(getattr(measured, name)) for name, column in INTERVAL_COLUMNS.items()}
    reasons = [f"{name}: {reason}" for name, reason in measured.reasons.items() if name in INTERVAL_COLUMNS]
    return values | {"not_measured": "; ".join(reasons)}


def rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 1)


def file_name(path: Path) -> str:
    """A path as it stands in the results."""
    return encodable(str(path))


def encodable(text: str) -> str:
    """Text that may name a file, with the bytes of a name that is not UTF-8 spelt out."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
