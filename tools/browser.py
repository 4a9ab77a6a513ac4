"""A page in headless Chromium, driven by the DevTools protocol over a pipe: screen sizes, dark mode, scripts, pictures."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_SECONDS = 90  # until an answer counts as missing
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
)
_OPTIONS += ("--no-proxy-server", "--disable-background-networking", "--remote-debugging-pipe")
_START = """import os, sys
os.dup(0), os.dup(0)  # 3 and 4 are taken, if they were free
pipes = [os.dup(int(number)) for number in sys.argv[1:3]]
for number, pipe in zip((3, 4), pipes):
    os.dup2(pipe, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """The page of a browser.

    Attributes:
        errors: what the console has reported since the page was opened: exceptions, and messages of level error.
        requests: the addresses that were requested.
    """

    def __init__(self, into: int, out: int) -> None:
        self._into, self._out, self._rest, self._next = into, out, b"", 0
        self._events: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol to the page, and return its result."""
        return self._send(method, self._session, **parameters)

    def open(self, path: Path, width: int, *, dark: bool = False, height: int = 900) -> None:
        """Open a file in a window of ``width`` pixels."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.resize(width, height)
        self.errors, self.requests, self._events = [], [], []
        self.send("Page.navigate", url=path.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._read()

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def run(self, script: str) -> Any:
        """Run a script in the page, and return the value of its last expression, or of the promise that this is."""
        found = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def screenshot(self, path: Path, selector: str = "", height: int = 100_000) -> None:
        """Write a picture of the whole page, PNG or WebP as the suffix of the file says.

        Args:
            selector: of the element that the picture shows, as wide as the page.
            height: pixels of it, from the top, that it shows.
        """
        more: dict[str, Any] = {}
        if selector:
            place = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
            top, tall = self.run(f"[{place}.top + scrollY, {place}.height]")
            wide = self.run("document.documentElement.clientWidth")
            more["clip"] = {"x": 0, "y": top, "width": wide, "height": min(tall, height), "scale": 1}
        if path.suffix == ".webp":
            more["quality"] = 80
        kind = path.suffix.removeprefix(".")
        data = self.send("Page.captureScreenshot", format=kind, captureBeyondViewport=True, **more)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])

    def key(self, name: str) -> None:
        """Press a key, such as ``ArrowRight``, ``Tab`` or ``Enter``."""
        more = {"text": "\r"} if name == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, **more)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=name, code=name)

    def point(self, x: float, y: float) -> None:
        """Move the pointer to a place of the window."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def _send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._next += 1
        number = self._next
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._into, content) :]
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._out], [], [], _SECONDS)[0]:
                raise TimeoutError("the browser does not answer")
            if not (chunk := os.read(self._out, 1 << 16)):
                raise RuntimeError("the browser has ended")
            self._rest += chunk
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        if "method" in message:
            self._note(message)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        method, what = event["method"], event["params"]
        if method == "Runtime.exceptionThrown":
            details = what["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.errors.append(what["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and what["type"] in ("error", "assert"):
            self.errors.append(str([argument.get("value") for argument in what["args"]]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])


@contextmanager
def opened(browser: str) -> Iterator[Page]:
    """Start a browser, and yield its page. POSIX only: the protocol uses the file descriptors 3 and 4."""
    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), browser]
        command += [*_OPTIONS, f"--user-data-dir={home}"]
        quiet = subprocess.DEVNULL
        started = subprocess.Popen(command, stdout=quiet, stderr=quiet, pass_fds=(theirs_in, theirs_out))
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(ours_in, ours_out)
        finally:
            os.close(ours_in)
            os.close(ours_out)
            started.kill()
            started.wait()
