"""The running page in a real browser, for tests, screenshots and timings.

Playwright drives the machine's own Chromium (Debian: apt-get install chromium); BROWSER names another one.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import sync_playwright

from config import PROJECT

DESKTOP, PHONE = (1400, 900), (390, 844)
START_S, STOP_S, WAIT_S = 180, 10, 120
PAPER = ".paper-scroll img"


def chromium() -> str | None:
    """Path of the browser, or None where there is none."""
    return os.environ.get("BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def serve(data: Path | str | None = None) -> Iterator[str]:
    """Run the page on a free port; gives its address. Raises RuntimeError if it does not start.

    data: another data set than the page's own choice.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(PROJECT / "app.py"), "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.fileWatcherType", "none"]
    environment = os.environ | ({"PTBXL_DIR": str(data)} if data else {})
    server = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_S
        while not _is_up(f"{address}/_stcore/health"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the page did not start within {START_S} s; run streamlit run app.py to see why")
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()


def _is_up(address: str) -> bool:
    try:
        with urlopen(address, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


@contextmanager
def window(size: tuple[int, int] = DESKTOP, dark: bool = False, scale: float = 1.0) -> Iterator:
    """A Playwright page in a browser of its own. Raises RuntimeError without a browser."""
    path = chromium()
    if path is None:
        raise RuntimeError("no Chromium: apt-get install chromium, or name a browser in BROWSER")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-gpu", "--disable-quic"])
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            device_scale_factor=scale,
        )
        page.set_default_timeout(1000 * WAIT_S)
        try:
            yield page
        finally:
            browser.close()


def settle(page) -> None:
    """Wait until the server has sent everything."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def wait_for_paper(page, description: str) -> None:
    """Wait for an ECG whose alternative text contains the description."""
    page.wait_for_selector(f'{PAPER}[alt*="{description}"]')


def open_sidebar(page) -> None:
    """Open the sidebar where it is folded away, as on a phone."""
    button = page.get_by_test_id("stExpandSidebarButton")
    if button.is_visible():
        button.click()
        page.get_by_test_id("stSidebarCollapseButton").wait_for()


def press(page, key: str, option: str) -> None:
    """Choose an option of a segmented control."""
    page.locator(f".st-key-{key}").get_by_text(option, exact=True).click()


def explain(page, class_name: str) -> None:
    """Choose a class and wait until its evidence is shaded."""
    press(page, "shaded", class_name)
    wait_for_paper(page, f"evidence for {class_name} shaded")


def drag_caliper(page, left: int, top: int, right: int, bottom: int) -> dict[str, float]:
    """Switch to the interactive paper and drag a rectangle over it (pixels); returns the chart's bounding box."""
    page.get_by_text("Zoom and measure").click()
    chart = page.locator(".stPlotlyChart .nsewdrag").first
    chart.wait_for()
    settle(page)
    box = chart.bounding_box()
    page.mouse.move(box["x"] + left, box["y"] + top)
    page.mouse.down()
    page.mouse.move(box["x"] + right, box["y"] + bottom, steps=6)
    page.mouse.up()
    page.get_by_text("Caliper, time").wait_for()
    return box
