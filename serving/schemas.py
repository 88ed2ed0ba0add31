"""What clients send and what they get: JSON read by msgspec, responses written by Pydantic, both described in /docs."""

from typing import Annotated

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict

from config import LEADS, RESEARCH_ONLY
from ecg.beats import MINIMUM_RATE
from ecg.intervals import Intervals
from ecg.preprocessing import MINIMUM_DURATION_S
from ecg.quality import Flag
from ecg.readers.channels import MAX_SAMPLING_RATE, MAX_SIGNALS, from_leads
from ecg.recording import Recording, RecordingError, printable
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise
from inference.diagnoser import BinaryResult

# --------------------------------------------------------------------------- what goes in


class RecordingIn(msgspec.Struct, forbid_unknown_fields=True):
    """One ECG as numbers."""

    sampling_rate: Annotated[float, msgspec.Meta(ge=MINIMUM_RATE, le=MAX_SAMPLING_RATE, description="Hz, of all leads")]
    units: Annotated[str, msgspec.Meta(description="of the samples: uV, mV, V or nV")]
    leads: Annotated[
        dict[str, list[float | None]],
        msgspec.Meta(
            min_length=1,
            max_length=MAX_SIGNALS,
            description=f"equally many samples by lead name ({', '.join(LEADS)}); null is a missing sample. "
            "Two of I, II, III are enough for the six limb leads.",
        ),
    ]


class BatchIn(msgspec.Struct, forbid_unknown_fields=True):
    """Several ECGs, each decoded on its own, so that a bad one does not affect the others."""

    recordings: list[msgspec.Raw]


RECORDING_DECODER, BATCH_DECODER = msgspec.json.Decoder(RecordingIn), msgspec.json.Decoder(BatchIn)
SAMPLES_DECODER = msgspec.json.Decoder(list[float | None])


def decode(decoder: msgspec.json.Decoder, body: bytes | msgspec.Raw):
    """JSON by its type. Raises RecordingError."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RecordingError(f"the JSON is not as documented in /docs: {error}{misshapen_lead(body)}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(
            f"the body cannot be read as JSON: {error}; NaN and Infinity are no JSON, a missing sample is null"
        ) from error


def misshapen_lead(body: bytes | msgspec.Raw) -> str:
    """Which lead does not hold a list of numbers, as the end of a sentence; empty if it is not that."""
    try:
        leads = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["leads"]
        leads = msgspec.json.decode(leads, type=dict[str, msgspec.Raw])
    except (ValueError, KeyError, RecursionError):
        return ""
    for name, samples in leads.items():
        try:
            SAMPLES_DECODER.decode(samples)
        except (ValueError, RecursionError):
            return f"; in lead {printable(name)}, which must be one flat list of numbers or null"
    return ""


def recording_from_json(body: bytes | msgspec.Raw) -> Recording:
    """Raises RecordingError."""
    given = decode(RECORDING_DECODER, body)
    leads = {name: np.array(samples, float) for name, samples in given.leads.items()}
    return from_leads(leads, given.sampling_rate, given.units)


# --------------------------------------------------------------------------- what comes out


class QualityOut(BaseModel):
    """`ecg.quality.Quality` without its arrays. severity: good, note, caution or unusable. heart_rate: beats/min."""

    model_config = ConfigDict(from_attributes=True)

    severity: str
    usable: bool
    heart_rate: float | None
    flags: list[Flag]
    not_judged: list[str]


class Prediction(BaseModel):
    """The diagnosis of one recording. model: SHA-256 of the checkpoint behind each task."""

    model_config = ConfigDict(from_attributes=True)

    probabilities: dict[str, float]
    predicted_classes: list[str]
    thresholds: dict[str, float]
    mi_vs_norm: BinaryResult
    norm_vs_abnormal: BinaryResult
    uncertain: bool
    uncertain_because: list[str]
    not_assessed: list[str]
    quality: QualityOut
    intervals: Intervals | None = None
    warnings: list[str]
    model: dict[str, str]
    request_id: str = ""
    disclaimer: str = RESEARCH_ONLY


class ProblemOut(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str


class BatchOut(BaseModel):
    """One prediction or one problem for each recording, in order."""

    results: list[Prediction | ProblemOut]


class ModelOut(BaseModel):
    """What is being served, on what terms, and how well it did."""

    classes: dict[str, str]
    thresholds: dict[str, dict[str, float]]
    input: dict[str, object]
    networks: dict[str, dict[str, object]]
    files: dict[str, str]
    metrics: dict[str, dict[str, object]]
    disclaimer: str = RESEARCH_ONLY


class Status(BaseModel):
    status: str


# --------------------------------------------------------------------------- what /docs says of requests


def request_bodies(max_batch: int) -> dict[str, dict]:
    """OpenAPI request body of each POST path, with an example that works when pasted."""
    recording, _ = synthesise(example_cases()["MI"], 100, np.random.default_rng(0))
    samples = recording.signal[:, : round(MINIMUM_DURATION_S * 100)].astype(float).round(2).tolist()
    leads = dict(zip(LEADS, samples, strict=True))
    example = {"sampling_rate": 100, "units": "mV", "leads": {name: leads[name] for name in ("I", "II", *LEADS[6:])}}
    schema = msgspec.json.schema_components([RecordingIn])[1]["RecordingIn"]
    batch = {"type": "array", "items": schema, "maxItems": max_batch}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    contents = {
        "/predict": ("application/json", schema, {"example": example}),
        "/predict/batch": ("application/json", object_of("recordings", batch), {"example": {"recordings": [example]}}),
        "/predict/file": ("multipart/form-data", object_of("files", files), {}),
    }
    return {
        path: {"required": True, "content": {media_type: {"schema": schema, **more}}}
        for path, (media_type, schema, more) in contents.items()
    }


def object_of(name: str, schema: dict) -> dict:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}
