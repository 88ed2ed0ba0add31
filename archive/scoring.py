"""What a process does with its share of an archive: read, diagnose together, make rows.

rows = score(["a.hea", "b.hea"], job)       # one row a path, whatever is wrong with the file
"""

import hashlib
import json
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from config import PROJECT
from ecg.readers import read_recording
from ecg.readers.folders import resolved, version_of
from ecg.recording import Recording, RecordingError
from files import sha256
from inference import InferenceError
from inference.diagnoser import Diagnoser
from inference.diagnosis import Diagnosis
from inference.result_rows import file_name, row_of

CODE = ("ecg/*.py", "ecg/readers/*.py", "inference/*.py")  # which decides the rows, together with the networks
TOGETHER = 32  # recordings read before the networks run
SAMPLES_TOGETHER = 500_000  # a lead, of all of them: 24 MB; a recording of an hour stands alone


@dataclass(frozen=True, kw_only=True)
class Job:
    """What decides a row besides its file. sampling_rate: Hz, and units: for files that do not say.

    intervals: measure them too. quality: assess it.
    """

    artifacts: str
    backend: str
    sampling_rate: float | None = None
    units: str | None = None
    intervals: bool = False
    quality: bool = True


def settings_of(diagnoser: Diagnoser, job: Job) -> dict[str, str]:
    """Whatever decides a row's content besides the file itself, as text that goes into the table."""
    thresholds = {name: digest for name, digest in diagnoser.files.items() if name.endswith(".json")}
    networks = {name: digest for name, digest in diagnoser.files.items() if name not in thresholds}
    code = [PROJECT / "config.py", *sorted(file for room in CODE for file in PROJECT.glob(room))]
    return {
        "code": _digest({file.relative_to(PROJECT).as_posix(): sha256(file) for file in code}),
        "backend": job.backend,
        "networks": _digest(networks),
        "thresholds": _digest(thresholds),
        "sampling_rate": "from file" if job.sampling_rate is None else f"{job.sampling_rate} Hz",
        "units": job.units or "from file",
        "intervals": "yes" if job.intervals else "no",
        "quality": "yes" if job.quality else "no",
    }


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]


def diagnose_file(diagnoser: Diagnoser, path: Path, job: Job) -> dict:
    """The row of one file; whatever goes wrong with it is the row's error."""
    try:
        recording = read_recording(path, job.sampling_rate, job.units)
        return _row(path, recording, diagnoser.diagnose(recording, job.quality), job)
    except Exception as error:  # the other files of a night's run are not lost to a defect that one file shows
        return _failed(path, error, job)


def score(paths: Sequence[str], job: Job, settings: dict[str, str]) -> list[dict]:
    """The rows of files, in order: those of `diagnose_file` with the file's ``path`` and ``version``.

    settings: `settings_of` the process that asks. Raises InferenceError if this process would make other rows.
    """
    diagnoser = _loaded(job)
    own = _own_settings(job)
    if own != settings:
        different = ", ".join(name for name in settings if own.get(name) != settings[name])
        raise InferenceError(f"a worker has another {different} than this process: give all the same version")
    rows = []
    for batch in _read_together(map(Path, paths), job):
        recordings = [one for _, one, _ in batch if isinstance(one, Recording)]
        diagnoses = iter(_diagnosed(diagnoser, recordings, job))
        for path, read, version in batch:
            found = next(diagnoses) if isinstance(read, Recording) else read
            row = _failed(path, found, job) if isinstance(found, Exception) else _row(path, read, found, job)
            rows.append(row | {"path": file_name(resolved(path)), "version": version})
    return rows


def lost_row(path: str, job: Job, reason: str) -> dict:
    """The row of a file that no process survives."""
    place = Path(path)
    row = row_of(place, RecordingError(reason), None, job.intervals)
    return row | {"path": file_name(resolved(place)), "version": version_of(place)}


@lru_cache(maxsize=1)
def _loaded(job: Job) -> Diagnoser:
    return Diagnoser.load(job.artifacts, job.backend)


@lru_cache(maxsize=1)
def _own_settings(job: Job) -> dict[str, str]:
    return settings_of(_loaded(job), job)


def _read_together(paths: Iterator[Path], job: Job) -> Iterator[list[tuple[Path, Recording | Exception, str]]]:
    """Path, recording or what went wrong, and version, as many at a time as go well together."""
    batch, samples = [], 0
    for path in paths:
        version = version_of(path)  # before it is read: a file replaced meanwhile is diagnosed again
        try:
            read = read_recording(path, job.sampling_rate, job.units)
            samples += read.signal.shape[1]
        except Exception as error:
            read = error
        batch.append((path, read, version))
        if len(batch) == TOGETHER or samples > SAMPLES_TOGETHER:
            yield batch
            batch, samples = [], 0
    if batch:
        yield batch


def _diagnosed(diagnoser: Diagnoser, recordings: list[Recording], job: Job) -> list[Diagnosis | Exception]:
    try:
        return diagnoser.diagnose_many(recordings, job.quality)
    except Exception:  # a defect that one of them shows: the others are diagnosed without it
        return [_diagnosed_alone(diagnoser, recording, job) for recording in recordings]


def _diagnosed_alone(diagnoser: Diagnoser, recording: Recording, job: Job) -> Diagnosis | Exception:
    try:
        return diagnoser.diagnose(recording, job.quality)
    except Exception as error:
        return error


def _row(path: Path, recording: Recording, diagnosis: Diagnosis, job: Job) -> dict:
    try:
        return row_of(path, recording, diagnosis, job.intervals)
    except Exception as error:
        return _failed(path, error, job)


def _failed(path: Path, error: Exception, job: Job) -> dict:
    """The row of a file that cannot be read, or that shows a defect of this program."""
    if not isinstance(error, RecordingError | OSError):
        traceback.print_exception(error)
        error = RuntimeError(f"internal error, please report it: {type(error).__name__}: {error}")
    return row_of(path, error, None, job.intervals)
