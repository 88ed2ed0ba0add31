"""What all requests of a process share: networks, threads, counters."""

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram

from config import ANYLEAD, LEADS, SAMPLING_RATE, SUPERCLASS_NAMES, SUPERCLASSES
from ecg.beats import MINIMUM_RATE
from ecg.intervals import measure_intervals
from ecg.preprocessing import FULL_DURATION_S, MINIMUM_DURATION_S
from ecg.readers.channels import MAX_SAMPLING_RATE
from evaluation.releases import FOLDER as RELEASED
from inference import InferenceError
from inference.backends import Network
from inference.diagnoser import Diagnoser
from inference.diagnosis import Diagnosis
from inference.manifest import MANIFEST, self_test_recording
from serving.schemas import ModelOut
from serving.settings import Settings

SHOWN = (
    "fold",
    "n",
    "source",
    "synthetic",
    "decisions",
    "intervals",
    "date",
    "macro",
    "macro_all",
    "tasks",
)  # in /model
log = logging.getLogger("ecg_api")


class Metrics:
    """What /metrics shows beside the requests."""

    def __init__(self, registry: CollectorRegistry):
        self.recordings = Counter("ecg_recordings", "Recordings by what became of them", ["outcome"], registry=registry)
        self.predicted = Counter(
            "ecg_predicted_classes", "How often each superclass was predicted", ["superclass"], registry=registry
        )
        self.seconds = Histogram(
            "ecg_diagnosis_seconds",
            "Reading, networks and quality of one recording",
            registry=registry,
            buckets=(0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
        )
        for superclass in SUPERCLASSES:
            self.predicted.labels(superclass)


@dataclass(eq=False)
class Server:
    """What all requests of a process share.

    unready: why there is no diagnoser.
    arriving: the clock of each request whose body is arriving. held_bytes: of all bodies in memory, finished or not.
    diagnosing: received requests that are being diagnosed or wait for it. stopping: the process was told to end.
    """

    settings: Settings
    metrics: Metrics
    threads: ThreadPoolExecutor | None = None
    diagnoser: Diagnoser | None = None
    facts: dict | None = None
    unready: str = "the networks are still being loaded"
    arriving: set[asyncio.Timeout] = field(default_factory=set)
    held_bytes: int = 0
    diagnosing: int = 0
    stopping: bool = False


def load(server: Server) -> None:
    """Load, verify, self-test and warm up the networks; whatever fails becomes the reason in /ready."""
    directory = server.settings.artifacts
    try:
        diagnoser = Diagnoser.load(directory, threads=server.settings.threads)
        example = self_test_recording(directory)
        diagnosis = diagnoser.diagnose(example)
        measure_intervals(example)  # its libraries take seconds to import
        server.facts = facts_of(diagnoser, diagnosis, server.settings)
        server.diagnoser, server.unready = diagnoser, ""
    except InferenceError as error:
        server.unready = str(error)
    except Exception as error:  # a server that says why it cannot serve is worth more than one that is gone
        server.unready = f"the networks cannot be loaded: {type(error).__name__}: {error}; run python export_onnx.py"
    log.log(logging.ERROR if server.unready else logging.INFO, server.unready or "ready")


def facts_of(diagnoser: Diagnoser, example: Diagnosis, settings: Settings) -> dict:
    """The content of /model. example: any diagnosis, for the statements and subclasses there are."""
    manifest = json.loads((settings.artifacts / MANIFEST).read_text(encoding="utf-8"))
    return ModelOut(
        classes=SUPERCLASS_NAMES,
        thresholds={
            task: dict(zip(decisions.classes, decisions.thresholds, strict=True))
            for task, decisions in diagnoser.decisions.items()
        },
        statements=list(example.statements),
        subclasses=list(example.subclasses),
        input={
            "leads": list(LEADS),
            "lead_sets": ["12"] if diagnoser.anylead is None else list(diagnoser.anylead.lead_sets.by_name),
            "units": ["uV", "mV", "V", "nV"],
            "sampling_rate_hz": [MINIMUM_RATE, MAX_SAMPLING_RATE],
            "duration_s": [MINIMUM_DURATION_S, settings.max_duration_s],
            "best_duration_s": FULL_DURATION_S,
            "resampled_to_hz": SAMPLING_RATE,
            "max_body_bytes": settings.max_body_bytes,
            "max_batch_bytes": settings.max_batch_bytes,
            "max_batch": settings.max_batch,
        },
        networks={
            task: {
                "model": network.model,
                "checkpoint_sha256": network.checkpoint_sha256,
                "window_s": network.window_s,
                "stride_s": network.stride_s,
                "trained_on_synthetic_data": network.synthetic,
            }
            for task, network in all_networks(diagnoser).items()
        },
        files=manifest["files"],
        metrics=stored_metrics(diagnoser, settings.artifacts),
    ).model_dump()


def all_networks(diagnoser: Diagnoser) -> dict[str, Network]:
    """Task to network, and under "anylead" the one for missing leads, if there is one."""
    return diagnoser.networks | ({ANYLEAD: diagnoser.anylead.network} if diagnoser.anylead else {})


def stored_metrics(diagnoser: Diagnoser, artifacts: Path) -> dict[str, dict]:
    """The metrics of the very checkpoints being served, as ``{"multilabel_val": {...}}``, released ones included."""
    checkpoints = {network.checkpoint_sha256 for network in all_networks(diagnoser).values()}
    found = {}
    for path in sorted([*artifacts.glob(f"{RELEASED}/*/*_metrics_*.json"), *artifacts.glob("*_metrics_*.json")]):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["checkpoint_sha256"] in checkpoints:
                found[path.stem.replace("_metrics", "")] = {name: content[name] for name in SHOWN if name in content}
        except (ValueError, KeyError, TypeError, OSError) as error:
            log.warning(f"{path.name} is left out of /model, it cannot be read: {type(error).__name__}")
    return found
