"""How fast the page is in a browser: seconds until it shows something, changes its ECG, explains a diagnosis.

python -m tools.benchmark_page                 # writes artifacts/benchmark_page.json
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Error as PlaywrightError

from config import DEFAULT_OUT
from files import write_text
from models.provenance import machine_facts
from tools.browser import PAPER, explain, press, serve, settle, wait_for_paper, window

EXAMPLES = {
    "Normal ECG": "NORM",
    "Lateral ischaemia": "STTC",
    "Left bundle branch block": "CD",
    "Left ventricular hypertrophy": "HYP",
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where benchmark_page.json goes (default: artifacts)")
    parser.add_argument("--rounds", type=int, default=5, help="medians are over these (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        timings = page_timings(arguments.rounds)
        content = {"machine": machine_facts(), "rounds": arguments.rounds, "median_s": timings}
        write_text(Path(arguments.out) / "benchmark_page.json", json.dumps(content, indent=1) + "\n")
    except (OSError, RuntimeError, PlaywrightError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, seconds in timings.items():
        print(f"{name.removesuffix('_s').replace('_', ' '):20} {seconds:.2f} s")
    return 0


def page_timings(rounds: int) -> dict[str, float]:
    """Seconds a reader waits with warm caches, medians over rounds, in a real browser.

    first_paint_s: from the address to the ECG on its paper. change_of_ecg_s: from choosing another example to its
    drawing. explanation_s: from choosing a class to its shading, the explanation computed anew.
    Raises RuntimeError without a browser or if the page does not start.
    """
    paints, changes, explanations = [], [], []
    with serve() as address:
        with window() as page:
            open_page(page, address)
            explain(page, "MI")  # waits until the slow libraries are loaded, which happens once
        for _ in range(rounds):
            with window() as page:
                paints.append(seconds(open_page, page, address))
        with window() as page:
            open_page(page, address)
            for name, class_name in EXAMPLES.items():
                page.get_by_label("Example", exact=True).first.click()
                option = page.get_by_role("option", name=name)
                option.wait_for()
                changes.append(seconds(change_ecg, page, option, name.lower()))
                settle(page)
                explanations.append(seconds(explain, page, class_name))
                press(page, "shaded", class_name)
                settle(page)
    timings = {"first_paint_s": paints, "change_of_ecg_s": changes, "explanation_s": explanations}
    return {name: round(statistics.median(all_seconds), 2) for name, all_seconds in timings.items()}


def open_page(page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(PAPER)


def change_ecg(page, option, description: str) -> None:
    option.click()
    wait_for_paper(page, description)


def seconds(action: Callable, *arguments) -> float:
    """How long an action takes."""
    began = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
