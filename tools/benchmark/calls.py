"""Requests to the server, and how long it takes for each: what it says itself in its Server-Timing header."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import requests

from ecg.readers import read_uploaded

REQUESTS_A_ROUND = 20
TARGETS_MS = {"json": 8, "npy": 6, "wfdb": 6, "json, intervals": 150}  # the last: of the delineation alone


@dataclass(frozen=True)
class Call:
    """One request and the status it must get; content is ready to send."""

    name: str
    path: str
    content: bytes
    content_type: str
    status: int


def upload(name: str, path: str, files: dict[str, bytes], status: int = 200) -> Call:
    """A request with files."""
    parts = [("files", (file_name, content)) for file_name, content in files.items()]
    prepared = requests.Request("POST", "http://server", files=parts).prepare()
    return Call(name, path, prepared.body, prepared.headers["Content-Type"], status)


def example_ecg(artifacts: Path) -> dict[str, bytes]:
    """One 10-s 12-lead ECG at 500 Hz as JSON, as NPY, and as the two files of a WFDB record."""
    examples = artifacts / "examples"
    wfdb = {path.name: path.read_bytes() for path in sorted(examples.glob("normal.*"))}
    npy = io.BytesIO()
    np.save(npy, read_uploaded(wfdb).signal)
    return {"json": (examples / "anterior_infarction.json").read_bytes(), "ecg.npy": npy.getvalue(), **wfdb}


def good_calls(artifacts: Path) -> list[Call]:
    """The example in the three forms that are timed, and with intervals."""
    ecg = example_ecg(artifacts)
    leads, npy = ecg.pop("json"), ecg.pop("ecg.npy")
    return [
        Call("json", "/predict", leads, "application/json", 200),
        upload("npy", "/predict/file?sampling_rate=500&units=mV", {"ecg.npy": npy}),
        upload("wfdb", "/predict/file", ecg),
        Call("json, intervals", "/predict?intervals=true", leads, "application/json", 200),
    ]


def bad_calls() -> list[Call]:
    """Requests the server must refuse, and the status of each."""
    leads = b'{"sampling_rate": 500, "units": "mV", "leads": {"I": [%s]}}'
    return [
        Call("cut off", "/predict", leads[:40], "application/json", 422),
        Call("NaN", "/predict", leads % b"NaN", "application/json", 422),
        Call("too short", "/predict", leads % b"0.1, 0.2", "application/json", 422),
        Call("no JSON", "/predict", b"hello", "text/plain", 415),
        upload("garbage", "/predict/file", {"ecg.dat": bytes(range(256)) * 40}, 422),
        Call("nowhere", "/predict/nowhere", b"", "application/json", 404),
    ]


def send(session: requests.Session, url: str, call: Call) -> requests.Response:
    return session.post(url + call.path, data=call.content, headers={"Content-Type": call.content_type}, timeout=60)


def latency_by_call(url: str, calls: Sequence[Call], rounds: int) -> dict[str, dict]:
    """Server-side latency of each call, of one client that sends one request after the other."""
    timed = {call.name: [] for call in calls}
    for _ in range(rounds):  # taking turns, so that a busy machine slows all alike
        for call in calls:
            with requests.Session() as session:
                responses = [send(session, url, call) for _ in range(REQUESTS_A_ROUND)]
            for response in responses:
                response.raise_for_status()
            timings = [response.headers["Server-Timing"] for response in responses]
            timed[call.name].append([float(re.search(r"dur=([\d.]+)", timing)[1]) for timing in timings])
    return {
        name: {
            **percentiles(rows),
            "best_round_p50": rounded(min(np.median(row) for row in rows)),
            "target": TARGETS_MS[name],
        }
        for name, rows in timed.items()
    }


def percentiles(milliseconds: Sequence) -> dict[str, float]:
    return {"p50": rounded(np.median(milliseconds)), "p95": rounded(np.quantile(milliseconds, 0.95))}


def rounded(value: float) -> float:
    return round(float(value), 2)
