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
from tools.browser import (
    DESKTOP,
    PAPER,
    PHONE,
    drag_caliper,
    explain,
    open_sidebar,
    press,
    serve,
    settle,
    wait_for_paper,
    window,
)

GENERATED_PATIENTS = 60


def cabrera(page) -> None:
    page.get_by_text("Cabrera order").click()
    page.get_by_role("radio", name="6x2").or_(page.get_by_role("button", name="6x2")).first.click()
    wait_for_paper(page, "6x2 Cabrera")


def rhythm(page) -> None:
    press(page, "shaded", "Rhythm")
    wait_for_paper(page, "RR intervals:")


def ptbxl(page) -> None:
    press(page, "source", "PTB-XL")
    wait_for_paper(page, "Generated set")
    page.get_by_text("Show the annotated label").click()


def refused(page) -> None:
    press(page, "source", "Your file")
    page.locator('input[type="file"]').set_input_files({"name": "notes.txt", "mimeType": "", "buffer": b"no ECG"})
    page.get_by_text("This file cannot be used").wait_for()


def open_tab(page, name: str, proof: str) -> None:
    page.get_by_role("tab", name=name).click()
    page.locator(proof).first.wait_for()


STATES: dict[str, Callable] = {
    "start": lambda page: None,
    "explanation": lambda page: explain(page, "MI"),
    "statement": lambda page: explain(page, "ASMI"),
    "rhythm": rhythm,
    "cabrera": cabrera,
    "interactive": lambda page: drag_caliper(page, 183, 130, 248, 170),  # from beat to beat in lead II
    "ptbxl": ptbxl,
    "refused": refused,
    "live": lambda page: open_tab(page, "Live", ".big"),
    "compare": lambda page: open_tab(page, "Compare", f":nth-match({PAPER}, 2)"),
    "model": lambda page: open_tab(page, "Model", '[data-testid="stImage"] img'),
    "sidebar": open_sidebar,
}
# elsewhere the sidebar covers the page
ON_PHONE = ("start", "explanation", "rhythm", "live", "compare", "model", "sidebar")


def take(address: str, state: str, path: Path, size: tuple[int, int], dark: bool, whole: bool = False) -> None:
    """One state of the page as a PNG. whole: as high as the page is, instead of one screen."""
    with window(size, dark, scale=2.0 if size == PHONE else 1.0) as page:
        page.goto(address)
        wait_for_paper(page, "anterior infarction")
        STATES[state](page)
        if state != "live":  # its fragment keeps the server busy
            settle(page)
        if whole:
            height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            page.set_viewport_size({"width": size[0], "height": max(height, size[1])})
        page.mouse.move(0, 0)
        page.wait_for_timeout(700)  # the browser's own transitions
        with replacing(path) as unfinished:
            page.screenshot(path=unfinished, type="png")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where README's two go (default: artifacts)")
    parser.add_argument("--all", help="take every state, into this directory")
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as data:
            if arguments.all:
                write_dataset(Path(data), GENERATED_PATIENTS, seed=0, progress=False)
            with serve(data) as address:
                if arguments.all:
                    take_all(address, Path(arguments.all))
                else:
                    take(address, "explanation", Path(arguments.out) / "demo.png", (1400, 1000), dark=False)
                    take(address, "start", Path(arguments.out) / "demo_phone.png", PHONE, dark=True)
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def take_all(address: str, directory: Path) -> None:
    devices = {"desktop": (DESKTOP, False), "desktop_dark": (DESKTOP, True), "phone": (PHONE, False)}
    for state in STATES:
        for device, (size, dark) in devices.items():
            if device != "phone" or state in ON_PHONE:
                path = directory / f"{state}_{device}.png"
                take(address, state, path, size, dark, whole=True)
                print(path)


if __name__ == "__main__":
    sys.exit(main())
