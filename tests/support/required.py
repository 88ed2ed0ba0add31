"""Tests that need what is not everywhere: the real PTB-XL, a browser."""

import os

import pytest


def unavailable(what: str, variable: str = "REQUIRE_PTBXL") -> None:
    """Skip a test that lacks something; fail it where that must be there, which the environment variable says."""
    if os.environ.get(variable):
        pytest.fail(f"{variable} is set, and {what}")
    pytest.skip(what)
