"""Latency and throughput of the server, under load and beside clients that never finish their requests.

    python -m tools.benchmark_api                        # prints, and writes artifacts/benchmark_api.json
    python -m tools.benchmark_api --seconds 60 --clients 64 --workers 2

Server-side time is what the server itself says (the Server-Timing header): from the request's last byte to the
response's first, transfer excluded. The load mixes good and bad requests over keep-alive connections and compares every
prediction with the one before the load.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import requests

from config import DEFAULT_OUT
from ecg.intervals import measure_intervals
from ecg.preprocessing import model_input
from ecg.quality import assess
from ecg.readers import read_uploaded
from ecg.stretches import predict_probabilities
from files import write_text
from inference.diagnoser import Diagnoser
from models.provenance import machine_facts
from serving.json_recordings import recording_from_json
from tools.benchmark.calls import (
    REQUESTS_A_ROUND,
    Call,
    bad_calls,
    example_ecg,
    good_calls,
    latency_by_call,
    percentiles,
    rounded,
    send,
)
from tools.server_process import RunningServer, ready_server, resident_mb, unfinished_bodies, worker_processes

UNFINISHED_BODIES = (0, 60, 500)


@dataclass(eq=False)
class Load:
    """What clients saw. mismatched: predictions that differ from the one before the load. lost: broken connections."""

    statuses: Counter = field(default_factory=Counter)
    unexpected: Counter = field(default_factory=Counter)
    mismatched: int = 0
    lost: int = 0
    no_retry_after: int = 0
    seconds: list[float] = field(default_factory=list)


# --------------------------------------------------------------------------- clients


def without_request_id(content: dict) -> dict:
    """A response without what differs from request to request."""
    return {name: value for name, value in content.items() if name != "request_id"}


def run_load(url: str, calls: Sequence[Call], clients: int, seconds: float) -> Load:
    """Clients that each send one request after the other, none waiting for another."""
    with requests.Session() as session:
        expected = {call.name: without_request_id(send(session, url, call).json()) for call in calls if is_good(call)}
    load = Load()
    asyncio.run(_run_clients(url, calls, expected, clients, seconds, load))
    return load


def is_good(call: Call) -> bool:
    return call.status == 200


async def _run_clients(url, calls, expected, clients, seconds, load) -> None:
    deadline = time.monotonic() + seconds
    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
        await asyncio.gather(*(_client(session, url, calls, expected, k, deadline, load) for k in range(clients)))


async def _client(session, url, calls, expected, number, deadline, load) -> None:
    while time.monotonic() < deadline:
        call = calls[number % len(calls)]
        number += 1
        began = time.monotonic()
        try:
            headers = {"Content-Type": call.content_type}
            async with session.post(url + call.path, data=call.content, headers=headers) as response:
                content, status = await response.json(content_type=None), response.status
                retry_after = response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError):
            load.lost += 1
            await asyncio.sleep(0.05)
            continue
        load.statuses[status] += 1
        if status == 429:
            load.no_retry_after += retry_after is None
            await asyncio.sleep(0.05)  # less than the server says, to keep up the pressure
        elif status != call.status:
            load.unexpected[f"{call.name}: {status}"] += 1
        elif is_good(call):
            load.seconds.append(time.monotonic() - began)
            load.mismatched += without_request_id(content) != expected[call.name]


# --------------------------------------------------------------------------- what is measured


def unfinished_latency(url: str, call: Call, rounds: int) -> list[dict]:
    """Latency of one client, in ms, while others hold unfinished bodies open."""
    times = {count: [] for count in UNFINISHED_BODIES}
    statuses = {count: Counter() for count in UNFINISHED_BODIES}
    for _ in range(rounds):  # taking turns, so that a busy machine slows all alike
        for count in UNFINISHED_BODIES:
            with unfinished_bodies(url, count), requests.Session() as session:
                for _ in range(REQUESTS_A_ROUND):
                    began = time.perf_counter()
                    statuses[count][send(session, url, call).status_code] += 1
                    times[count].append(1000 * (time.perf_counter() - began))
    return [
        {
            "connections": count,
            **{f"{name}_ms": value for name, value in percentiles(times[count]).items()},
            "statuses": dict(statuses[count]),
        }
        for count in UNFINISHED_BODIES
    ]


def parts_ms(artifacts: Path, repetitions: int = 30) -> dict[str, dict[str, float]]:
    """Where the milliseconds go, measured in this process on one thread."""
    diagnoser, ecg = Diagnoser.load(artifacts), example_ecg(artifacts)
    leads, npy = ecg.pop("json"), ecg.pop("ecg.npy")
    recording = read_uploaded(ecg)
    signal_mv = model_input(recording, 1.0)
    steps = {
        "read JSON": lambda: recording_from_json(leads),
        "read WFDB": lambda: read_uploaded(ecg),
        "read NPY": lambda: read_uploaded({"ecg.npy": npy}, 500, "mV"),
        "resample": lambda: model_input(recording, 1.0),
        "quality": lambda: assess(recording),
        "all of diagnose": lambda: diagnoser.diagnose(recording),
        "intervals": lambda: measure_intervals(recording),
    }
    for task, network in diagnoser.networks.items():
        steps[f"network {task}"] = lambda n=network: predict_probabilities(n.probabilities_of, signal_mv[None])
    return {name: clocked(step, repetitions) for name, step in steps.items()}


def clocked(step: Callable[[], object], repetitions: int) -> dict[str, float]:
    """Median and best wall-clock ms, and the processor's ms, which a busy machine disturbs less."""
    step()
    wall, cpu = [], []
    for _ in range(repetitions):
        began, worked = time.perf_counter(), time.thread_time()
        step()
        cpu.append(1000 * (time.thread_time() - worked))
        wall.append(1000 * (time.perf_counter() - began))
    return {"p50": rounded(np.median(wall)), "best": rounded(min(wall)), "cpu_p50": rounded(np.median(cpu))}


def api_speed(artifacts: Path, seconds: float, clients: int, workers: int, rounds: int) -> dict:
    """Everything this file measures, JSON-ready; times in ms."""
    calls = good_calls(artifacts)
    with ready_server(artifacts) as server:
        latency = latency_by_call(server.url, calls, rounds)
        unfinished = unfinished_latency(server.url, calls[0], rounds)
    with ready_server(artifacts, threads="1") as server:
        one_thread = latency_by_call(server.url, calls, rounds)
    with ready_server(artifacts, workers) as server:
        load = load_results(server, calls + bad_calls(), clients, workers, seconds)
    return {
        "server_ms": latency,
        "server_one_thread_ms": one_thread,
        "parts_ms": parts_ms(artifacts),
        "unfinished_bodies": unfinished,
        "load": load,
    }


def load_results(server: RunningServer, calls: Sequence[Call], clients: int, workers: int, seconds: float) -> dict:
    """Throughput, latency and faults under load; memory of all workers after a fifth of the time and at the end."""
    pids = worker_processes(server.process.pid)
    warm_up = run_load(server.url, calls, clients, seconds / 5)
    before = resident_mb(pids)
    load = run_load(server.url, calls, clients, seconds)
    after = resident_mb(pids)
    good = load.statuses[200]
    return {
        "clients": clients,
        "workers": workers,
        "seconds": seconds,
        "statuses": dict(sorted((load.statuses + warm_up.statuses).items())),
        "unexpected": dict(load.unexpected + warm_up.unexpected),
        "wrong_answers": load.mismatched + warm_up.mismatched,
        "lost_connections": load.lost + warm_up.lost,
        "answers_per_s": rounded(good / seconds),
        "answer_p50_ms": rounded(1000 * np.median(load.seconds)) if good else None,
        "answer_p99_ms": rounded(1000 * np.quantile(load.seconds, 0.99)) if good else None,
        "memory_mb": [rounded(before), rounded(after)],
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", default=str(DEFAULT_OUT), help="the networks (default: artifacts)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="gets benchmark_api.json (default: artifacts)")
    parser.add_argument("--seconds", type=float, default=10, help="of load (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=64, help="at a time, under load (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of the server under load (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of timing single requests (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        measured = api_speed(Path(options.artifacts), options.seconds, options.clients, options.workers, options.rounds)
        text = json.dumps({"machine": machine_facts(), **measured}, indent=1) + "\n"
        write_text(Path(options.out) / "benchmark_api.json", text)
    except (OSError, RuntimeError, TimeoutError, requests.RequestException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
