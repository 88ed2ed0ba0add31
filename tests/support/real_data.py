"""Tests on the real PTB-XL, where it is."""

import os

import pytest


def unavailable(what: str) -> None:
    """Skip a test whose real data are not here; where they must be (REQUIRE_PTBXL), fail."""
    if os.environ.get("REQUIRE_PTBXL"):
        pytest.fail(f"REQUIRE_PTBXL is set, and {what}")
    pytest.skip(what)
