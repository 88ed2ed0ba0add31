"""What import-linter (pyproject.toml) cannot see: the single files at the top of the project."""

import ast
import tomllib

import pytest

from config import PROJECT

FOLDERS = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests"}
MODULES = {path.stem for path in PROJECT.glob("*.py")}
SHARED = {"config": set(), "files": set(), "dataset": {"config", "files", "ecg", "ptbxl"}}
ENTRY_POINTS = MODULES - set(SHARED)


def imported(path) -> set[str]:
    """Folders and files of the project that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found & (FOLDERS | MODULES)


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_no_folder_imports_an_entry_point(folder):
    importers = {str(path): imported(path) & ENTRY_POINTS for path in (PROJECT / folder).rglob("*.py")}
    assert not {path: names for path, names in importers.items() if names}


@pytest.mark.parametrize(("module", "allowed"), SHARED.items())
def test_shared_modules_stay_at_the_bottom(module, allowed):
    assert imported(PROJECT / f"{module}.py") <= allowed


def test_the_linter_knows_every_folder():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(settings["tool"]["importlinter"]["root_packages"]) == FOLDERS
