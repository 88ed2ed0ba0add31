"""Screenshots of the page in every state, in a real browser, with generated ECGs only.

python -m tools.make_screenshots                     # README's two: artifacts/demo.png and artifacts/demo_phone.png
python -m tools.make_screenshots --all screenshots   # every state, light and dark, desktop and phone, into a directory
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from config import DEFAULT_OUT
from ecg.synthetic.writer import write_dataset
from files import replacing
from tools.browser import DESKTOP, PHONE, open_sidebar, serve, settle, wait_for_paper, window

GENERATED_PATIENTS = 60


def start(page) -> None:
    """As the page opens."""


def explanation(page) -> None:
    explain(page, "MI")


def cabrera(page) -> None:
    page.get_by_text("Cabrera order").click()
    page.get_by_role("radio", name="6x2").or_(page.get_by_role("button", name="6x2")).first.click()
    wait_for_paper(page, "6x2 Cabrera")


def interactive(page) -> None:
    """Zoomable paper with a caliper from beat to beat in lead II."""
    page.get_by_text("Zoom and measure").click()
    chart = page.locator(".stPlotlyChart .nsewdrag").first
    chart.wait_for()
    settle(page)
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 183, box["y"] + 130)
    page.mouse.down()
    page.mouse.move(box["x"] + 248, box["y"] + 170, steps=6)
    page.mouse.up()
    page.get_by_text("Caliper, time").wait_for()


def ptbxl(page) -> None:
    source(page, "PTB-XL")
    wait_for_paper(page, "Generated set")
    page.get_by_text("Show the annotated label").click()


def refused(page) -> None:
    source(page, "Your file")
    page.locator('input[type="file"]').set_input_files({"name": "notes.txt", "mimeType": "", "buffer": b"no ECG"})
    page.get_by_text("This file cannot be used").wait_for()


def sidebar(page) -> None:
    """The choices, which are folded away on a phone."""
    open_sidebar(page)


def live(page) -> None:
    tab(page, "Live")
    page.locator(".big").wait_for()


def compare(page) -> None:
    tab(page, "Compare")
    page.locator(".paper-scroll img").nth(1).wait_for()


def model(page) -> None:
    tab(page, "Model")
    page.get_by_text("Not a medical device").wait_for()
    page.locator("table").first.wait_for()
    page.locator('[data-testid="stImage"] img').first.wait_for()


def explain(page, name: str) -> None:
    page.locator(".st-key-shaded").get_by_text(name, exact=True).click()
    wait_for_paper(page, f"evidence for {name} shaded")


def source(page, name: str) -> None:
    page.locator(".st-key-source").get_by_text(name, exact=True).click()


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


STATES: dict[str, Callable] = {
    state.__name__: state
    for state in (start, explanation, cabrera, interactive, ptbxl, refused, live, compare, model, sidebar)
}
ON_PHONE = (start, explanation, live, compare, model, sidebar)  # the others need the sidebar, which covers the page


def take(
    address: str, state: Callable, path: Path, size: tuple[int, int], dark: bool = False, whole: bool = False
) -> None:
    """One state of the page as a PNG. whole: as high as the page is, instead of one screen."""
    with window(size, dark, scale=2.0 if size == PHONE else 1.0) as page:
        page.goto(address)
        wait_for_paper(page, "anterior infarction")
        state(page)
        settle(page, fragments=state is live)
        if whole:
            height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            page.set_viewport_size({"width": size[0], "height": max(height, size[1])})
        page.mouse.move(0, 0)
        page.wait_for_timeout(700)  # the browser's own transitions
        with replacing(path) as unfinished:
            page.screenshot(path=unfinished, type="png")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", default=str(DEFAULT_OUT), help="the networks (default: artifacts)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where README's two go (default: artifacts)")
    parser.add_argument("--all", help="take every state, into this directory")
    parser.add_argument("--only", choices=STATES, help="with --all: this state alone")
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as data:
            if arguments.all:
                write_dataset(Path(data), GENERATED_PATIENTS, seed=0, progress=False)
            with serve(arguments.artifacts, data) as address:
                if arguments.all:
                    take_all(address, Path(arguments.all), arguments.only)
                else:
                    take(address, explanation, Path(arguments.out) / "demo.png", (1400, 1000))
                    take(address, start, Path(arguments.out) / "demo_phone.png", PHONE, dark=True)
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def take_all(address: str, directory: Path, only: str | None) -> None:
    for name, state in STATES.items():
        if only in (None, name):
            devices = [("desktop", DESKTOP, False), ("desktop_dark", DESKTOP, True)]
            devices += [("phone", PHONE, False)] if state in ON_PHONE else []
            for device, size, dark in devices:
                path = directory / f"{name}_{device}.png"
                take(address, state, path, size, dark, whole=True)
                print(path)


if __name__ == "__main__":
    sys.exit(main())
