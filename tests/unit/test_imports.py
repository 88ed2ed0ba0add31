"""What import-linter (pyproject.toml) cannot see: the single files at the top of the project."""

import ast
import tomllib

import pytest

from config import PROJECT

FOLDERS = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests"}
MODULES = {path.stem for path in PROJECT.glob("*.py")}
SHARED = {"config": set(), "files": set(), "dataset": {"config", "files", "ecg", "ptbxl"}}
ENTRY_POINTS = MODULES - set(SHARED)
TOOLS = {
    path.stem for path in PROJECT.glob("tools/*.py") if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
}
ALLOWED = {**SHARED, **dict.fromkeys(sorted(ENTRY_POINTS), FOLDERS | set(SHARED))}


def imported(path):
    """Every module that a file imports, and whatever it imports from one, with dots."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize(("module", "allowed"), ALLOWED.items())
def test_shared_modules_stay_at_the_bottom_and_no_script_imports_another(module, allowed):
    found = {name.split(".")[0] for name in imported(PROJECT / f"{module}.py")}
    assert found & (FOLDERS | MODULES) <= allowed


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_no_tool_imports_another(tool):
    assert not imported(PROJECT / "tools" / f"{tool}.py") & {f"tools.{other}" for other in TOOLS}


def test_the_linter_knows_every_folder_and_every_entry_point():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert set(settings["root_packages"]) == FOLDERS
    no_entry_point = next(c for c in settings["contracts"] if c["name"] == "No room imports an entry point")
    assert set(no_entry_point["forbidden_modules"]) >= ENTRY_POINTS and set(no_entry_point["source_modules"]) == FOLDERS
