"""Directories that take long to build, shared by all processes of one test run."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def built_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]
) -> tuple[Path, object]:
    """A directory that the first process to ask fills with ``build``, and what ``build`` returned, as JSON keeps it.

    pytest-xdist runs session fixtures in every process: the others wait for the first and then use its files.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    directory, returned = shared / name, shared / f"{name}.json"
    with FileLock(shared / f"{name}.lock"):
        if not returned.is_file():
            directory.mkdir()
            returned.write_text(json.dumps(build(directory)), encoding="utf-8")
    return directory, json.loads(returned.read_text(encoding="utf-8"))
