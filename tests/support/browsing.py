"""A page in headless Chromium, served as ``python -m http.server`` serves it: what it shows in the end."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 90  # until a page counts as hanging
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
OPTIONS += ("--no-proxy-server", "--disable-background-networking")
_REPORT = b"""
<script>
  const report = () => fetch("/shown", { method: "POST", body: document.body.innerText });
  new MutationObserver(report).observe(document, { subtree: true, childList: true, characterData: true });
  addEventListener("load", report);
  addEventListener("error", (event) => fetch("/shown", { method: "POST", body: event.message }));
  addEventListener("unhandledrejection", (event) => fetch("/shown", { method: "POST", body: String(event.reason) }));
</script>
"""


@cache
def chromium() -> str | None:
    """Return the path of a browser that starts on this machine, or None."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        return None
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = [found, *OPTIONS, f"--user-data-dir={home}", "--dump-dom", "about:blank"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None
    return found if "<html" in done.stdout else None


class _Served(SimpleHTTPRequestHandler):
    """Files of a folder; a page also gets a script that reports its text whenever it changes."""

    texts: list[str]
    changed: threading.Condition

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.suffix != ".html" or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes() + _REPORT
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(204)
        self.end_headers()
        with self.changed:
            self.texts.append(text)
            self.changed.notify_all()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def shown(browser: str, folder: Path, page: str, wanted: Callable[[str], bool]) -> str:
    """Open a page of a folder; return its text once it is wanted, else the last one after ``SECONDS``."""
    texts: list[str] = []
    changed = threading.Condition()
    handler = type("Served", (_Served,), {"texts": texts, "changed": changed})
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server,
        TemporaryDirectory(ignore_cleanup_errors=True) as home,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{page}"
        started = subprocess.Popen(
            [browser, *OPTIONS, f"--user-data-dir={home}", "--remote-debugging-port=0", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with changed:
                changed.wait_for(lambda: any(wanted(text) for text in texts[-1:]), SECONDS)
                return texts[-1] if texts else "(nothing)"
        finally:
            started.kill()
            started.wait()
            server.shutdown()
