"""How fast the page is in a browser: seconds until it shows something, changes its ECG, explains a diagnosis.

python -m tools.benchmark_page                 # writes artifacts/benchmark_page.json
"""

import argparse
import json
import sys
from pathlib import Path

from playwright.sync_api import Error as PlaywrightError

from config import DEFAULT_OUT
from files import write_text
from models.provenance import machine_facts
from tools.browser import page_timings


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where benchmark_page.json goes (default: artifacts)")
    parser.add_argument("--rounds", type=int, default=5, help="medians are over these (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        timings = page_timings(rounds=arguments.rounds)
        content = {"machine": machine_facts(), "rounds": arguments.rounds, "median_s": timings}
        write_text(Path(arguments.out) / "benchmark_page.json", json.dumps(content, indent=1) + "\n")
    except (OSError, RuntimeError, PlaywrightError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, seconds in timings.items():
        print(f"{name.removesuffix('_s').replace('_', ' '):20} {seconds:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
