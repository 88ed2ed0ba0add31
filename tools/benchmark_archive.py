"""How fast an archive of recordings is diagnosed, from WFDB files to partitions of Parquet.

    python -m tools.benchmark_archive             # writes artifacts/benchmark_archive.json; docs/scaling.md shows it

The files are those of fold 9 at 100 Hz, copied as often as it takes, or generated ECGs where PTB-XL is not there. One
and two workers take turns, with quality and without; only the work counts, not the seconds until processes have
started, which stand beside it; the same with the tiny network, which answers everything itself. The parts of one
recording are measured as processor time in this process alone, and Dask's share with partitions of which nothing is
done.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from archive import scoring
from archive.directory import fill_directory, open_directory
from archive.listing import Skipped, partitions, recordings_below
from archive.scoring import Job, score, settings_of
from archive.workers import Work, local_workers, run
from config import DEFAULT_OUT, PROJECT, SYNTHETIC_NOTICE, VALIDATION_FOLD, data_directory
from ecg.readers import read_recording
from ecg.synthetic.case import FEMALE, Case
from ecg.synthetic.simulation import synthesise
from ecg.synthetic.writer import write_record
from files import write_text
from inference.diagnoser import Diagnoser, all_probabilities, signal_of
from models.provenance import machine_facts
from ptbxl.index import read_index

EMPTY_PARTITIONS = 200
CORE_HOUR_DOLLARS = 0.04  # an assumption: what clouds ask for a rented core, by order of magnitude
AIMS = {True: 400, False: 700}  # with quality or without, ECGs/s of two workers on two cores
ARCHIVES = (1_000_000, 100_000_000)


def write_files(place: Path, data: Path, count: int) -> bool:
    """Write ``count`` WFDB records at 100 Hz, a thousand a folder; returns whether they are generated."""
    real = (data / "ptbxl_database.csv").is_file()
    if real:
        index = read_index(data)
        table = index.table[index.table["strat_fold"] == VALIDATION_FOLD]
        sources = [data / name for name in table["filename_lr"]]
    else:
        sources = [place / "made" / str(seed) for seed in range(min(count, 200))]
        for seed, source in enumerate(sources):
            case = Case(age=50, sex=FEMALE, heart_rate=50 + seed % 60, axis=45)
            write_record(source, synthesise(case, 100, np.random.default_rng(seed))[0].signal, 100)
    for number in tqdm(range(count), desc="writing files", unit="ECG"):
        source, target = sources[number % len(sources)], place / f"{number // 1000:04}" / f"{number:07}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(f"{source}.dat", target.with_suffix(".dat"))
        header = Path(f"{source}.hea").read_text(encoding="ascii")
        target.with_suffix(".hea").write_text(header.replace(source.name, target.name), encoding="ascii")
    shutil.rmtree(place / "made", ignore_errors=True)
    return not real


def archive_rate(client, ecgs: Path, out: Path, job: Job, settings: dict[str, str], size: int) -> dict[str, float]:
    """ECGs per second of one whole job, and bytes of results an ECG."""
    with open_directory(out, job, settings, [str(ecgs)], size, restart=False) as (directory, _):
        began = time.perf_counter()
        done = fill_directory(directory, partitions(recordings_below([str(ecgs)], Skipped()), size), client)
        elapsed_s = time.perf_counter() - began
    count = done.diagnosed + done.quarantined
    written = sum(part.stat().st_size for part in out.rglob("*.parquet"))
    return {"ecgs_per_s": count / elapsed_s, "result_bytes": written / count}


def measure_rates(
    ecgs: Path, jobs: dict[str, Job], settings: dict[str, dict], rounds: int, size: int
) -> tuple[list[dict], dict[str, float], float]:
    """Of rounds in which they take turns, medians: a row for each number of workers and each job, the seconds until so
    many workers have started, and `empty_rate`."""
    found, starts, empty = {}, {1: [], 2: []}, []
    for round_number in range(rounds):
        for workers in (1, 2):
            began = time.perf_counter()
            with local_workers(workers) as client:
                starts[workers].append(time.perf_counter() - began)
                first = [str(path) for path in sorted(ecgs.rglob("*.hea"))[:64]]
                for name, job in jobs.items():
                    client.gather(
                        [client.submit(score, first, job, settings[name], pure=False) for _ in range(workers)]
                    )
                    out = ecgs.parent / f"{name}-{workers}-{round_number}"
                    rate = archive_rate(client, ecgs, out, job, settings[name], size)
                    found.setdefault((name, workers), []).append(rate)
                    print(
                        f"round {round_number}  {workers} workers  {name}: {rate['ecgs_per_s']:.0f} ECGs/s", flush=True
                    )
                    shutil.rmtree(out)
                if workers == 2:
                    empty.append(empty_rate(client))
    rows = [
        {
            "job": name,
            "workers": workers,
            "ecgs_per_s": float(np.median([rate["ecgs_per_s"] for rate in rates])),
            "best_ecgs_per_s": max(rate["ecgs_per_s"] for rate in rates),
            "result_bytes": rates[0]["result_bytes"],
        }
        for (name, workers), rates in found.items()
    ]
    return rows, {str(workers): float(np.median(s)) for workers, s in starts.items()}, float(np.median(empty))


def empty_rate(client) -> float:
    """Partitions per second if nothing is done in them: what the scheduler and this process can hand out."""
    nothing = Work(whole=do_nothing, remaining=do_nothing, rows=len, lost=str, join=do_nothing)
    paths = [f"/a/path/of/usual/length/in/an/archive/{number:09}.hea" for number in range(1000)]
    began = time.perf_counter()
    for _ in run(client, ((number, paths) for number in range(EMPTY_PARTITIONS)), nothing):
        pass
    return EMPTY_PARTITIONS / (time.perf_counter() - began)


def do_nothing(number: int, paths: Sequence[str]) -> int:
    return number


def walking_rate(ecgs: Path) -> float:
    """Recordings per second that are found below a folder, by one process."""
    began = time.perf_counter()
    count = sum(1 for _ in recordings_below([str(ecgs)], Skipped()))
    return count / (time.perf_counter() - began)


def measure_parts(ecgs: Path, job: Job, rounds: int = 3) -> dict[str, float]:
    """Processor time in ms an ECG of what is done of it, on one core; the least of a few rounds."""
    paths = sorted(ecgs.rglob("*.hea"))[:256]
    diagnoser = Diagnoser.load(job.artifacts, job.backend)
    recordings = [read_recording(path) for path in paths]
    parts = {
        "reading": lambda: [read_recording(path) for path in paths],
        "networks": lambda: [network_of(diagnoser, some) for some in batches(recordings)],
        "diagnosis": lambda: [diagnoser.diagnose_many(some, quality=False) for some in batches(recordings)],
        "diagnosis with quality": lambda: [diagnoser.diagnose_many(some) for some in batches(recordings)],
        "all of it": lambda: score([str(path) for path in paths], job, settings_of(diagnoser, job)),
    }
    least = {name: min(cpu_s(part) for _ in range(rounds)) for name, part in parts.items()}
    ms = {name: 1000 * s / len(paths) for name, s in least.items()}
    return {
        "reading": ms["reading"],
        "networks": ms["networks"],
        "calibration, thresholds, verdict": ms["diagnosis"] - ms["networks"],
        "quality and signs against sinus rhythm": ms["diagnosis with quality"] - ms["diagnosis"],
        "versions of files, rows": ms["all of it"] - ms["reading"] - ms["diagnosis with quality"],
    }


def network_of(diagnoser: Diagnoser, recordings: list) -> None:
    all_probabilities(diagnoser.networks, [signal_of(recording) for recording in recordings])


def batches(recordings: list) -> Iterator[list]:
    for first in range(0, len(recordings), scoring.TOGETHER):
        yield recordings[first : first + scoring.TOGETHER]


def cpu_s(part: Callable[[], object]) -> float:
    began = time.process_time()
    part()
    return time.process_time() - began


def on_paper(rows: list[dict], read_bytes: float) -> list[dict]:
    """What archives of other sizes would take, from the rate of one worker with quality."""
    one = next(row for row in rows if row["job"] == "with quality" and row["workers"] == 1)
    two = next(row for row in rows if row["job"] == "with quality" and row["workers"] == 2)
    return [
        {
            "ecgs": count,
            "core_hours": count / one["ecgs_per_s"] / 3600,
            "dollars": count / one["ecgs_per_s"] / 3600 * CORE_HOUR_DOLLARS,
            "hours_two_cores": count / two["ecgs_per_s"] / 3600,
            "read_terabytes": count * read_bytes / 1e12,
            "results_gigabytes": count * one["result_bytes"] / 1e9,
            "files": 2 * count,
        }
        for count in ARCHIVES
    ]


def make_tiny(artifacts: str, place: Path) -> str:
    """A directory in which the tiny network of ``artifacts`` answers everything."""
    command = [sys.executable, str(PROJECT / "export_onnx.py"), "--out", artifacts, "--tiny", str(place)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return str(place)


def measure(data: Path, artifacts: str, count: int, rounds: int, size: int) -> dict:
    load = os.getloadavg()[0]  # of other programs
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        tiny = make_tiny(artifacts, Path(folder) / "tiny")
        jobs = {
            f"{name}with{'' if quality else 'out'} quality": Job(artifacts=networks, backend="onnx", quality=quality)
            for name, networks in (("", artifacts), ("tiny, ", tiny))
            for quality in (True, False)
        }
        diagnosers = {networks: Diagnoser.load(networks) for networks in (artifacts, tiny)}
        settings = {name: settings_of(diagnosers[job.artifacts], job) for name, job in jobs.items()}
        ecgs = Path(folder) / "ecgs"
        ecgs.mkdir()
        synthetic = write_files(ecgs, data, count)
        read_bytes = sum(file.stat().st_size for file in ecgs.rglob("*.*")) / count
        files_per_s = walking_rate(ecgs)
        parts = measure_parts(ecgs, jobs["with quality"])
        rows, start_s, empty = measure_rates(ecgs, jobs, settings, rounds, size)
    return {
        "machine": machine_facts(),
        "load_before": load,
        "synthetic": synthetic,
        "ecgs": count,
        "partition_size": size,
        "rounds": rounds,
        "networks": len(diagnosers[artifacts].networks),
        "read_bytes": read_bytes,
        "parts_ms": parts,
        "rates": rows,
        "start_s": start_s,
        "empty_partitions_per_s": empty,
        "listed_per_s": files_per_s,
        "aims": {name: AIMS[job.quality] for name, job in jobs.items()},
        "dollars_a_core_hour": CORE_HOUR_DOLLARS,
        "on_paper": on_paper(rows, read_bytes),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--artifacts", default=str(DEFAULT_OUT), help="the networks (default: artifacts)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="of benchmark_archive.json (default: artifacts)")
    parser.add_argument("--ecgs", type=int, default=4000, help="recordings of a job (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (default: %(default)s)")
    parser.add_argument("--partition-size", type=int, default=250, help="recordings (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        content = measure(
            data_directory(arguments.data),
            arguments.artifacts,
            arguments.ecgs,
            arguments.rounds,
            arguments.partition_size,
        )
        write_text(Path(arguments.out) / "benchmark_archive.json", json.dumps(content, indent=1) + "\n")
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
