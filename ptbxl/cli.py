"""The command ``python dataset.py``: check, cache, demo, download, import."""

import argparse
import contextlib
import sys
from pathlib import Path

import numpy as np

from config import DEFAULT_DATA, SUPERCLASS_NAMES, SYNTHETIC_NOTICE, data_directory
from ecg.plotting.draw import draw, save
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise
from ecg.synthetic.writer import write_dataset
from ptbxl import download
from ptbxl.cache import open_cache
from ptbxl.check import MAX_LISTED, check_dataset, list_unreadable
from ptbxl.importing import import_recordings
from ptbxl.index import DatasetError, read_index


def command_check(arguments: argparse.Namespace) -> int:
    """Print whether the data set is whole."""
    index = read_index(data_directory(arguments.data))
    report, whole = check_dataset(index, open_cache(index))
    print(report)
    return 0 if whole else 1


def command_cache(arguments: argparse.Namespace) -> int:
    """Build the signal cache and print what it left out."""
    index = read_index(data_directory(arguments.data))
    cache = open_cache(index)
    total = len(cache.signals)
    print(f"{total - len(cache.unreadable)} of {total} recordings in {cache.signals.filename}")
    if cache.unreadable:
        print("\n".join(["left out:", *list_unreadable(cache)]))
    return 1 if cache.unreadable else 0


def draw_examples(directory: Path) -> None:
    """One textbook case of each class on ECG paper, the pictures in the generated set's README."""
    for number, (name, case) in enumerate(example_cases().items()):
        recording, _ = synthesise(case, 500, np.random.default_rng(number))
        findings = ", ".join(finding.code for finding in case.findings) or "normal"
        caption = f"{name}: {SUPERCLASS_NAMES[name]} ({findings}), {case.heart_rate:g}/min, age {case.age:g}"
        figure = draw(recording, caption=caption, notice="Generated ECG, not a patient's")
        save(figure, directory / "examples" / f"{name}.png")


def command_demo(arguments: argparse.Namespace) -> int:
    """Write a generated data set with a drawing of each class."""
    recordings = write_dataset(Path(arguments.directory), arguments.patients, arguments.seed)
    draw_examples(Path(arguments.directory))
    print(f"{recordings} generated recordings in {arguments.directory}\n{SYNTHETIC_NOTICE}")
    return 0


def command_download(arguments: argparse.Namespace) -> int:
    """Download or unpack the release, then check it and build its cache."""
    destination = Path(arguments.dest)
    if arguments.archive:
        download.extract_release(Path(arguments.archive), destination, arguments.rate)
    else:
        download.fetch_release(destination, arguments.rate, arguments.url, arguments.connections)
    arguments.data = destination
    return command_check(arguments)


def command_import(arguments: argparse.Namespace) -> int:
    """Bring a user's recordings and labels into PTB-XL's layout, then check the result."""
    failed = import_recordings(Path(arguments.labels), Path(arguments.directory), arguments.seed)
    arguments.data = arguments.directory
    status = command_check(arguments)
    for name, reason in list(failed.items())[:MAX_LISTED]:
        print(f"left out: {name}: {reason}")
    if failed:
        print(f"{len(failed)} recordings were left out")
    return 1 if failed else status


def make_parser() -> argparse.ArgumentParser:
    """The parser of ``python dataset.py``."""
    top = argparse.ArgumentParser(description="PTB-XL on disk: check, cache, generate, download, import.")
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, function, description: str) -> argparse.ArgumentParser:
        defaults = argparse.ArgumentDefaultsHelpFormatter
        sub = commands.add_parser(name, help=description, description=description, formatter_class=defaults)
        sub.set_defaults(function=function)
        return sub

    for sub in (
        add("check", command_check, "report whether the data set is whole"),
        add("cache", command_cache, "build the signal cache"),
    ):
        sub.add_argument("--data", help="directory of PTB-XL; without it PTBXL_DIR, else data/ptbxl")
    sub = add("demo", command_demo, "write a small generated data set")
    sub.add_argument("directory", help="where to write it")
    sub.add_argument("--patients", type=int, default=400, help="how many generated patients")
    sub.add_argument("--seed", type=int, default=0, help="same seed, same bytes")
    sub = add("import", command_import, "bring your own recordings and labels into PTB-XL's layout")
    sub.add_argument("labels", help="CSV with file, patient_id, NORM, MI, STTC, CD, HYP: see docs/own_data.md")
    sub.add_argument("directory", help="where to write the data set")
    sub.add_argument("--seed", type=int, default=0, help="of the folds, where the CSV has no strat_fold")
    sub = add("download", command_download, "fetch PTB-XL 1.0.3 from PhysioNet")
    sub.add_argument("--rate", choices=tuple(download.RATES), default="100", help="sampling rate in Hz")
    sub.add_argument("--dest", default=str(DEFAULT_DATA), help="where to put it")
    sub.add_argument("--from", dest="archive", help="the release's zip on disk, instead of the network")
    sub.add_argument("--url", default=download.PHYSIONET_URL, help="where the release's files are served")
    sub.add_argument("--connections", type=int, default=8, help="parallel connections")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 if all is well, 1 if the data set is not whole, 2 if the command failed."""
    arguments = make_parser().parse_args(argv)
    try:
        with contextlib.suppress(BrokenPipeError):  # of a reader such as head
            return arguments.function(arguments)
        return 0
    except (DatasetError, download.DownloadError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
