"""What a Dockerfile says, and the files its image would have, without a container engine."""

import json
import shlex
import shutil
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from config import PROJECT


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Name and arguments of each instruction, continued lines joined."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [tuple(line.strip().split(maxsplit=1)) for line in joined if line.strip()]


def arguments_of(dockerfile: Path, name: str) -> str:
    """The arguments of the last instruction of this name."""
    return [arguments for found, arguments in instructions(dockerfile) if found == name][-1]


def environment(dockerfile: Path) -> dict[str, str]:
    """Every variable that ENV sets."""
    pairs = [shlex.split(arguments) for name, arguments in instructions(dockerfile) if name == "ENV"]
    return dict(pair.split("=", 1) for row in pairs for pair in row)


def health_check(dockerfile: Path) -> list[str]:
    """The command of the health check."""
    return json.loads(arguments_of(dockerfile, "HEALTHCHECK").partition("CMD")[2])


def copies(dockerfile: Path) -> list[tuple[list[str], str]]:
    """Sources and destination of each COPY from the project (not from another stage)."""
    rows = [arguments.split() for name, arguments in instructions(dockerfile) if name == "COPY"]
    return [(row[:-1], row[-1]) for row in rows if not row[0].startswith("--from=")]


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last line that matches it or a folder above it decides."""
    ignored = False
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not pattern.startswith("#") and matches(path, pattern):
            ignored = not line.startswith("!")
    return ignored


def matches(path: str, pattern: str) -> bool:
    """As Docker matches: * stops at a slash, **/ stands for any folders."""
    one = PurePosixPath(path)
    candidates = [one, *list(one.parents)[:-1]]
    if pattern.startswith("**/"):
        return any(fnmatch(candidate.name, pattern[3:]) for candidate in candidates)
    depth = pattern.count("/")
    return any(str(candidate).count("/") == depth and fnmatch(str(candidate), pattern) for candidate in candidates)


def sources_of(pattern: str) -> list[Path]:
    """The files a source of COPY names, folders followed, without what .dockerignore keeps out."""
    found = [file for top in PROJECT.glob(pattern) for file in ([top] if top.is_file() else sorted(top.rglob("*")))]
    return [file for file in found if file.is_file() and not is_ignored(file.relative_to(PROJECT).as_posix())]


def copy_as_image(dockerfile: Path, app: Path) -> Path:
    """Put what the image holds under its working directory into a folder, which is returned."""
    for sources, destination in copies(dockerfile):
        if destination.startswith("/"):
            continue
        for source in sources:
            is_folder = (PROJECT / source).is_dir()
            for file in sources_of(source):
                inside = file.relative_to(PROJECT / source) if is_folder else file.name
                target = app / destination / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
    return app
