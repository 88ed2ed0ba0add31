"""Recordings as clients write them in JSON: their types, and messages about what is wrong.

msgspec reads everything and says what is wrong; where every sample is a number, simdjson reads the samples, which is
twice as fast.
"""

from functools import cache
from typing import Annotated

import msgspec
import numpy as np
import simdjson

from config import LEADS
from ecg.beats import MINIMUM_RATE
from ecg.leads import lead_name
from ecg.readers.channels import MAX_SAMPLING_RATE, MAX_SIGNALS, from_leads
from ecg.recording import Recording, RecordingError, printable


class RecordingIn(msgspec.Struct, forbid_unknown_fields=True):
    """One ECG as numbers."""

    sampling_rate: Annotated[float, msgspec.Meta(ge=MINIMUM_RATE, le=MAX_SAMPLING_RATE, description="Hz, of all leads")]
    units: Annotated[str, msgspec.Meta(description="of the samples: uV, mV, V or nV")]
    leads: Annotated[
        dict[str, list[float | None]],
        msgspec.Meta(
            max_length=MAX_SIGNALS,
            description=f"equally many samples by lead name ({', '.join(LEADS)}); null is a missing sample. "
            "Any leads, from one to twelve; two of I, II, III give the six limb leads.",
        ),
    ]


class OutlineIn(RecordingIn):
    """The same with the samples of each lead left as they are."""

    leads: Annotated[dict[str, msgspec.Raw], msgspec.Meta(max_length=MAX_SIGNALS)]


RECORDING_DECODER = msgspec.json.Decoder(RecordingIn)
OUTLINE_DECODER = msgspec.json.Decoder(OutlineIn)
SAMPLES_DECODER = msgspec.json.Decoder(list[float | None])


@cache
def batch_decoder(max_batch: int) -> msgspec.json.Decoder:
    """Of ``{"recordings": [...]}``, each recording left as it is, so that a bad one does not affect the others.

    The array is decoded like a tuple of optional parts, one more than are allowed: the rest of a longer one is passed
    over, where a list would take memory for each of its items before their number is known.
    """
    parts = [(f"recording_{number}", msgspec.Raw, msgspec.UNSET) for number in range(max_batch + 1)]
    recordings = msgspec.defstruct("Recordings", parts, array_like=True)
    return msgspec.json.Decoder(msgspec.defstruct("BatchIn", [("recordings", recordings)], forbid_unknown_fields=True))


def recordings_of(body: bytes | bytearray, max_batch: int) -> list[msgspec.Raw]:
    """The recordings of a batch, not decoded yet; one more than allowed if there are too many.

    Raises RecordingError.
    """
    parts = msgspec.structs.astuple(decode(batch_decoder(max_batch), body).recordings)
    return [part for part in parts if part is not msgspec.UNSET]


def recording_from_json(body: bytes | bytearray | msgspec.Raw) -> Recording:
    """Raises RecordingError."""
    given = of_numbers_alone(body) or decode(RECORDING_DECODER, body, misshapen_lead)
    if not given.leads:
        raise RecordingError(f"no leads were given; give one or more of {', '.join(LEADS)}")
    if unknown := [printable(name) for name in given.leads if lead_name(name) is None]:  # not passed over as missing
        raise RecordingError(f"unknown leads: {', '.join(unknown[:12])}; the names are {', '.join(LEADS)}")
    return from_leads(given.leads, given.sampling_rate, given.units)


def of_numbers_alone(body: bytes | bytearray | msgspec.Raw) -> RecordingIn | None:
    """A recording of which each lead is one flat list of numbers, which become arrays.

    None if it is not that, whatever else it may be: then `RECORDING_DECODER` reads it or says what is wrong.
    """
    try:
        outline = OUTLINE_DECODER.decode(body)
        leads = {name: numbers(bytes(samples)) for name, samples in outline.leads.items()}
    except (ValueError, TypeError, RuntimeError):  # the last of simdjson for whole numbers beyond 64 bits
        return None
    return RecordingIn(outline.sampling_rate, outline.units, leads)


def numbers(samples: bytes) -> np.ndarray:
    """A flat list of numbers. Raises ValueError or TypeError for anything else."""
    if samples[:1] != b"[" or samples.count(b"[") != 1:
        raise ValueError("no list, or nested ones, which simdjson would flatten")
    return np.frombuffer(simdjson.Parser().parse(samples).as_buffer(of_type="d"))


def decode(decoder: msgspec.json.Decoder, body: bytes | bytearray | msgspec.Raw, more=lambda body: ""):
    """JSON by its type. more: what to add to the message about a body of another type. Raises RecordingError."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RecordingError(f"the JSON is not as documented in /docs: {error}{more(body)}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(
            f"the body cannot be read as JSON: {error}; NaN and Infinity are no JSON, a missing sample is null"
        ) from error


def misshapen_lead(body: bytes | bytearray | msgspec.Raw) -> str:
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
