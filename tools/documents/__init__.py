"""The tables of README.md, MODEL_CARD.md and docs/, from the files in artifacts/."""

import json

from config import DEFAULT_OUT


def read_artifact(name: str) -> dict:
    """One of the JSON files in artifacts/. Raises FileNotFoundError."""
    return json.loads((DEFAULT_OUT / name).read_text(encoding="utf-8"))
