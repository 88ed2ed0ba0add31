"""Test-set metrics by release: measured on fold 10 outside of development, handed in, and never changed.

    releases = read_releases(Path("artifacts"))
    metrics_of_checkpoint(releases, "multilabel", sha256("artifacts/multilabel_best.pth"))

``artifacts/test_results/releaseN/`` holds ``TASK_metrics_test.json`` and ``comparison_test.json``. A file counts only
for the checkpoint whose SHA-256 it names, so results of earlier weights are never shown as those of later ones.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from config import TASK_CLASSES

FOLDER = "test_results"
SOURCE = "external"


@dataclass(frozen=True)
class Release:
    """Test-set results of one set of shipped weights.

    metrics: task to the content of its metrics file, for the tasks that were evaluated.
    comparison: content of the comparison file, or None.
    """

    number: int
    metrics: dict[str, dict]
    comparison: dict | None

    @property
    def name(self) -> str:
        return f"release {self.number}"


def read_releases(artifacts: Path) -> list[Release]:
    """All releases, the first one first; none without the folder. Raises ValueError if a file is not a test result."""
    found = []
    for directory in (artifacts / FOLDER).glob("release*"):
        number = directory.name.removeprefix("release")
        if not number.isdecimal():
            raise ValueError(f"{directory}: a folder of test results is called release1, release2 and so on")
        paths = {task: directory / f"{task}_metrics_test.json" for task in TASK_CLASSES}
        comparison = directory / "comparison_test.json"
        found.append(
            Release(
                number=int(number),
                metrics={task: _read(path) for task, path in paths.items() if path.is_file()},
                comparison=_read(comparison) if comparison.is_file() else None,
            )
        )
    return sorted(found, key=lambda release: release.number)


def metrics_of_checkpoint(releases: list[Release], task: str, checkpoint_sha256: str) -> dict | None:
    """A task's test-set metrics of just these weights, or None."""
    contents = (release.metrics[task] for release in releases if task in release.metrics)
    return next((content for content in contents if content["checkpoint_sha256"] == checkpoint_sha256), None)


def comparison_of_checkpoint(releases: list[Release], checkpoint_sha256: str) -> dict | None:
    """The test-set comparison whose first network, the one all others are compared with, has these weights, or None."""
    compared = (release.comparison for release in releases if release.comparison)
    return next((one for one in compared if one["networks"][0]["checkpoint_sha256"] == checkpoint_sha256), None)


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = content["networks"] if path.stem == "comparison_test" else [content]
        complete = bool(rows) and all(isinstance(row["checkpoint_sha256"], str) for row in rows)
        split, source = content["split"], content.get("source", SOURCE)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a file of test results: {type(error).__name__}: {error}") from error
    if not complete or split != "test" or source != SOURCE:
        raise ValueError(
            f"{path} is not a file of test results: it must be of split test, name its checkpoints and have the "
            f'source "{SOURCE}"'
        )
    return {**content, "source": SOURCE}
