"""Recordings in formats of vendors that the tests build themselves."""

import base64
import struct

import numpy as np

from ecg.leads import derive_limb_leads
from tests.support.ecg_files import RATE, TRUTH_MV, committed

KARDIA_NAMES = {"leadI": "I", "leadII": "II", "leadIII": "III", "AVR": "aVR", "AVL": "aVL", "AVF": "aVF"}
KARDIA_NV = 500  # nanovolts a unit
SIERRA_UV = 5  # microvolts a unit


def kardia_recording(names=tuple(KARDIA_NAMES), samples: int = 5000) -> dict:
    """The truth as the recording object of AliveCor's Kardia API, after its documentation (developers.kardia.com)."""
    signal = TRUTH_MV[:, :samples].astype(np.float32)
    derive_limb_leads(signal, np.arange(12) < 2)
    rows = [tuple(KARDIA_NAMES).index(name) for name in names]
    counts = {
        name: np.round(signal[row] * 1e6 / KARDIA_NV).astype(int).tolist()
        for name, row in zip(names, rows, strict=True)
    }
    raw = {
        "frequency": RATE,
        "mainsFrequency": 50,
        "samples": counts,
        "amplitudeResolution": KARDIA_NV,
        "numLeads": len(names),
    }
    return {
        "id": "rec1",
        "patientID": "Erika Mustermann",
        "heartRate": 70,
        "duration": samples * 1000 // RATE,
        "note": "born 12 Aug 1964",
        "algorithmDetermination": "normal",
        "data": {"raw": raw},
        "recordedAt": "2021-04-16T15:19:09+05:30",
    }


def _sierra_text() -> str:
    return committed("ecgdatakit_sierra.xml").decode("utf-16").replace("utf-16", "utf-8")


def sierra(place: str, new: str) -> bytes:
    """The committed Philips file in UTF-8 with a text replaced."""
    assert place in _sierra_text()
    return _sierra_text().replace(place, new).encode()


def sierra_with_samples(text: str) -> bytes:
    """The committed Philips file with other packed samples, in Base64."""
    before, mark, rest = _sierra_text().partition('notchfilterfreqs="0">')
    return f"{before}{mark}{text}{rest[rest.index('</parsedwaveforms>') :]}".encode()


def sierra_unpacked(samples: int) -> bytes:
    """The committed Philips file with the first samples of the truth as they are."""
    numbers = np.round(TRUTH_MV[:, :samples] * 1000 / SIERRA_UV).astype("<i2")
    content = sierra_with_samples(base64.b64encode(numbers.tobytes()).decode())
    return content.replace(b' compression="XLI"', b"").replace(b'"10000"', f'"{samples * 1000 // RATE}"'.encode())


def xli_bomb(codes: int) -> str:
    """Packed samples, in Base64, whose 10-bit codes each stand for one byte more than the one before."""
    bits = "".join(f"{code:010b}" for code in [0, *(min(255 + i, 1022) for i in range(1, codes))])
    packed = int(bits, 2).to_bytes((len(bits) + 7) // 8, "big") if len(bits) % 8 == 0 else b""
    assert packed, "a number of codes whose bits fill bytes"
    return base64.b64encode(struct.pack("<ihh", len(packed), 0, 0) + packed).decode()
