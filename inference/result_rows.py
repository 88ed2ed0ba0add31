"""One row of the results table of one recording: a pure function of what was read and what was found."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from config import SUPERCLASSES
from ecg.intervals import VALUES, measure_intervals
from ecg.recording import Recording
from ecg.statements import CODES, STATEMENTS
from inference.decisions import FindingDecisions
from inference.diagnosis import Diagnosis

TEXT, NUMBER, YES_NO = "string", "Float64", "boolean"  # types of pandas that know missing values
INTERVAL_COLUMNS = {
    name: f"{name}_deg" if name.endswith("axis") else f"{name}_ms" for name in VALUES if name != "heart_rate"
}
BEAT_COLUMNS = ("beats", "early_beats")  # counts

UNKNOWN, NEVER = (None,) * len(CODES), (False,) * len(CODES)  # thresholds, validated: of leads without calibration

# Of the long table, a row a statement of each recording.
LONG_COLUMNS = {
    "path": TEXT, "code": TEXT, "name": TEXT, "group": TEXT, "probability": NUMBER, "threshold": NUMBER,
    "asserted": YES_NO, "validated": YES_NO, "snomed_ct": TEXT,
}  # fmt: skip


def columns_of(intervals: bool = False) -> dict[str, str]:
    """The columns of the table in order, each with its type, whatever the recordings are.

    intervals: with those of `ecg.intervals.measure_intervals`.
    """
    columns = {"file": TEXT, "error": TEXT, "headline": TEXT, "predicted_classes": TEXT}
    columns |= {f"p_{name}": NUMBER for name in SUPERCLASSES}
    for task in ("mi_vs_norm", "norm_vs_abnormal"):
        columns |= {f"p_{task}": NUMBER, task: YES_NO}
    columns |= {"rhythm": TEXT, "rhythm_certain": YES_NO, "statements": TEXT}
    columns |= {"uncertain": YES_NO, "uncertain_because": TEXT, "withheld": TEXT, "not_assessed": TEXT}
    columns |= {"leads": TEXT, "lead_set": TEXT, "lead_set_exact": YES_NO, "not_assessable": TEXT}
    columns |= {"quality": TEXT, "heart_rate": NUMBER}
    if intervals:
        columns |= dict.fromkeys((*INTERVAL_COLUMNS.values(), *BEAT_COLUMNS), NUMBER) | {"not_measured": TEXT}
    columns |= {"warnings": TEXT, "model": TEXT}
    return columns | {f"statement_{code}": NUMBER for code in CODES}


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
        "headline": ". ".join(diagnosis.headline) + ".",
        "predicted_classes": " ".join(diagnosis.predicted_classes) or "none",
        "uncertain": diagnosis.uncertain,
        "uncertain_because": "; ".join(diagnosis.uncertain_because),
        "withheld": "; ".join(withheld),
        "not_assessed": " ".join(diagnosis.not_assessed),
        "leads": " ".join(diagnosis.leads),
        "lead_set": diagnosis.lead_set,
        "lead_set_exact": diagnosis.lead_set_exact,
        "not_assessable": " ".join(diagnosis.not_assessable) or "none",
        "warnings": " ".join(diagnosis.warnings),
        "model": diagnosis.checkpoint_sha256[:12],
    }
    row |= statement_values(diagnosis)
    if diagnosis.quality is not None:
        row |= {"quality": diagnosis.quality.severity, "heart_rate": rounded(diagnosis.quality.heart_rate)}
        if not diagnosis.quality.usable:
            row["predicted_classes"] = row["statements"] = None
    return row | (interval_values(recording) if intervals else {})


def statement_values(diagnosis: Diagnosis) -> dict[str, str | float | bool | None]:
    """The rhythm and the statements by column; none for networks without statements."""
    if diagnosis.rhythm is None:
        return {}
    asserted = [one.code for one in diagnosis.statements if one.asserted]
    return {
        "rhythm": diagnosis.rhythm.code or None,
        "rhythm_certain": diagnosis.rhythm.certain,
        "statements": " ".join(asserted) or "none",
        **{f"statement_{one.code}": round(one.probability, 4) for one in diagnosis.statements},
    }


def long_rows(rows: Iterable[Mapping], decisions: Mapping[str, FindingDecisions]) -> pd.DataFrame:
    """The long table of rows of the results table: a row a statement, none of recordings that failed.

    decisions: `Diagnoser.statement_decisions`; empty for networks without statements, whose long table is empty.
    """
    rows = [row for row in rows if decisions and not row["error"]]
    of_statements = pd.DataFrame(
        {
            "code": CODES,
            "name": [statement.name for statement in STATEMENTS],
            "group": [" ".join(statement.groups) for statement in STATEMENTS],
            "snomed_ct": [statement.snomed_ct or None for statement in STATEMENTS],
        }
    )
    of_recordings = pd.DataFrame({"path": [row.get("path") or row["file"] for row in rows]})
    table = of_recordings.merge(of_statements, how="cross")
    table["probability"] = [row[f"statement_{code}"] for row in rows for code in CODES]
    applied = [decisions.get(row["lead_set"]) for row in rows]
    table["threshold"] = [threshold for one in applied for threshold in (one.thresholds if one else UNKNOWN)]
    table["validated"] = [validated for one in applied for validated in (one.validated if one else NEVER)]
    said = [set((row["statements"] or "").split()) for row in rows]
    table["asserted"] = [code in codes for codes in said for code in CODES]
    return table[[*LONG_COLUMNS]].astype(LONG_COLUMNS)


def interval_values(recording: Recording) -> dict[str, float | str | None]:
    """Intervals in ms, axes in degrees and beats by column, and why any interval or axis is missing."""
    measured = measure_intervals(recording)
    values = {column: rounded(getattr(measured, name)) for name, column in INTERVAL_COLUMNS.items()}
    values |= {column: rounded(getattr(measured, column)) for column in BEAT_COLUMNS}
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
