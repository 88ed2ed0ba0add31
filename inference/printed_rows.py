"""Rows of the results table as they are printed: one recording in sentences, several as a table."""

import pandas as pd

from config import LEADS, SUPERCLASSES
from ecg.statements import BY_CODE
from inference.verdict import ANSWERS

LIMITS = {
    "uncertain": "uncertain_because",
    "withheld": "withheld",
    "warnings": "warnings",
    "not assessed": "not_assessed",
}  # as printed, and their columns


def print_rows(rows: list[dict]) -> None:
    """One recording in sentences, several as a table with what limits each below it."""
    shown = [row for row in rows if not row["error"]]
    if len(shown) == 1:
        return print_recording(shown[0])
    for row in shown:
        print(f"{row['file']}: {row['headline']}")
    columns = ["file", "predicted_classes", *(f"p_{name}" for name in SUPERCLASSES), "uncertain"]
    if shown:
        table = pd.DataFrame([row | {"predicted_classes": classes(row)} for row in shown])
        print(table[columns].to_string(index=False))
    for row in shown:
        for name, sentence in (leads(row) | statements(row) | limits(row)).items():
            print(f"{row['file']}: {name}: {sentence}")
    return None


def print_recording(row: dict) -> None:
    """The headline of one recording, what stands beside it, and the numbers."""
    numbers = {"probabilities": ", ".join(f"{name} {row[f'p_{name}']:.3f}" for name in SUPERCLASSES)}
    for task, (negative, positive) in ANSWERS.items():
        if row[task] is not None:
            answer = positive if row[task] else negative
            numbers[f"{negative} or {positive}"] = f"{answer}, probability of {positive} {row[f'p_{task}']:.3f}"
    measured = {name: row[name] for name in row if name == "heart_rate" or name.endswith(("_ms", "_deg", "beats"))}
    numbers["measured"] = ", ".join(f"{name} {value:g}" for name, value in measured.items() if value is not None)
    print(f"{row['file']}: {row['headline']}")
    for name, text in (leads(row) | {"classes": classes(row)} | statements(row) | limits(row) | numbers).items():
        if text:
            print(f"  {name:<20}{text}")


def leads(row: dict) -> dict[str, str]:
    """The leads that were read, unless they are all twelve."""
    return {} if row["leads"].split() == list(LEADS) else {"leads": row["leads"].replace(" ", ", ")}


def statements(row: dict) -> dict[str, str]:
    """The asserted statements with their probabilities, the most probable first, where there are any."""
    said = [code for code in (row["statements"] or "none").split() if code != "none"]
    said.sort(key=lambda code: -row[f"statement_{code}"])
    named = [f"{code} {BY_CODE[code].name} {row[f'statement_{code}']:.3f}" for code in said]
    return {"statements": ", ".join(named)} if named else {}


def classes(row: dict) -> str:
    """The predicted classes; where none may be asserted, that."""
    return row["predicted_classes"] or "no class asserted"


def limits(row: dict) -> dict[str, str]:
    """What keeps one from relying on a row, by name, where there is anything."""
    return {name: row[column] for name, column in LIMITS.items() if row[column]}
