"""The page of web/: built once a run, served as plain files, and asked for the result of one recording."""

import base64
import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from config import DEFAULT_OUT, PROJECT
from tests.support.required import unavailable
from tools.browser import chromium

WEB = PROJECT / "web"
ARTIFACTS = Path(os.environ.get("HMT_ARTIFACTS") or DEFAULT_OUT)
OFFLINE = "Works offline now"
RESULT = "#findings:not([hidden]), #error:not([hidden])"
# hands files to the page's file chooser and returns what its button "Result (JSON)" saves, or the page's refusal
ASK = """async (files) => {
  const chosen = new DataTransfer();
  for (const [name, content] of Object.entries(files)) {
    chosen.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name));
  }
  const [input, error, findings] = ["files", "error", "findings"].map((id) => document.getElementById(id));
  document.getElementById("title").textContent = "";
  input.files = chosen.files;
  input.dispatchEvent(new Event("change"));
  const title = document.getElementById("title");
  while (!title.textContent || (error.hidden && findings.hidden)) await new Promise((done) => setTimeout(done, 5));
  if (!error.hidden) return { error: error.textContent };
  let saved;
  const [create, click] = [URL.createObjectURL, HTMLAnchorElement.prototype.click];
  URL.createObjectURL = (blob) => ((saved = blob), "about:blank");
  HTMLAnchorElement.prototype.click = () => {};
  document.getElementById("download").click();
  [URL.createObjectURL, HTMLAnchorElement.prototype.click] = [create, click];
  return JSON.parse(await saved.text());
}"""


def require_build_tools() -> None:
    """Skip the test, or fail it where they must be there, without browser, Node and the page's packages."""
    if chromium() is None:
        unavailable("there is no Chromium: apt-get install chromium", "REQUIRE_BROWSER")
    if shutil.which("node") is None or not (WEB / "node_modules" / "esbuild").is_dir():
        unavailable("Node or the packages of web/ are not there: make web", "REQUIRE_BROWSER")


def build_page(out: Path, artifacts: Path = ARTIFACTS) -> None:
    """Build the page with the networks and examples of a directory."""
    environment = os.environ | {"OUT": str(out), "ARTIFACTS": str(artifacts)}
    done = subprocess.run(["node", "build.mjs"], cwd=WEB, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class _Handler(SimpleHTTPRequestHandler):
    isolated = False

    def end_headers(self) -> None:
        if self.isolated:  # both together let a page use threads
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *values: object) -> None:
        pass


@contextmanager
def serve_page(directory: Path, isolated: bool = False) -> Iterator[str]:
    """Serve files on a free port of this machine; gives the address. isolated: cross-origin isolated."""
    handler = type("Handler", (_Handler,), {"isolated": isolated})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def open_page(page, address: str) -> None:
    """Open the page and wait for the example's result and until everything is loaded."""
    page.goto(address)
    page.wait_for_selector(RESULT)
    page.get_by_text(OFFLINE).wait_for()


def ask(page, files: dict[str, bytes]) -> dict:
    """The page's result for files of the user's, with the fields of `serving.schemas.Prediction`, or ``error``."""
    return page.evaluate(ASK, {name: base64.b64encode(content).decode() for name, content in files.items()})


def give(page, rate: float | None = None, unit: str = "") -> None:
    """Fill in what a file does not state."""
    page.locator("#given").evaluate("given => { given.open = true }")
    page.locator("#rate").fill("" if rate is None else f"{rate:g}")
    page.locator("#unit").select_option(unit)
