"""What import-linter (pyproject.toml) cannot see: the single files at the top of the project."""

import ast
import tomllib

import pytest

from config import PROJECT

FOLDERS = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests"}
MODULES = {path.stem for path in PROJECT.glob("*.py")}
SHARED = {"config": set(), "files": set(), "dataset": {"config", "files", "ecg", "ptbxl"}}
ENTRY_POINTS = MODULES - set(SHARED)
ALLOWED = {**SHARED, **dict.fromkeys(sorted(ENTRY_POINTS), FOLDERS | set(SHARED))}


@pytest.mark.parametrize(("module", "allowed"), ALLOWED.items())
def test_shared_modules_stay_at_the_bottom_and_no_script_imports_another(module, allowed):
    found = set()
    for node in ast.walk(ast.parse((PROJECT / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    assert found & (FOLDERS | MODULES) <= allowed


def test_the_linter_knows_every_folder_and_every_entry_point():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert set(settings["root_packages"]) == FOLDERS
    no_entry_point = next(c for c in settings["contracts"] if c["name"] == "No room imports an entry point")
    assert set(no_entry_point["forbidden_modules"]) >= ENTRY_POINTS and set(no_entry_point["source_modules"]) == FOLDERS
