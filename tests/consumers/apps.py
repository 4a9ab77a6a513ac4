"""Start the apps of other languages, with a time limit, and give them fixtures of which one is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from browsing import NAMES as BROWSERS
from paths import TESTS

HERE = TESTS / "consumers"
FIXTURES = HERE / "fixtures"
NAMES = sorted(path.name for path in FIXTURES.iterdir())
SECONDS = 120  # until an app counts as hanging


def run(*command: str | Path, folder: Path = HERE) -> subprocess.CompletedProcess[str]:
    """Run an app in a folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [*map(str, command)]
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=SECONDS
    )


def node_with(package: str) -> str:
    """Return the path of Node; skip the test if it or a package is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    if not (HERE / "node" / "node_modules" / package).is_dir():
        pytest.skip(f"{package} is not installed: run `npm ci --ignore-scripts` in tests/consumers/node")
    return node


def browser() -> str:
    """Return the path of a browser; skip the test if there is none, or if it cannot start on this machine."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("Chromium is not installed")
    if (reason := why_not(found)) is not None:
        pytest.skip(f"{found} does not start: {reason}")
    return found


@cache
def why_not(browser: str) -> str | None:
    """Return why a browser cannot show an empty page."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={home}")
        try:
            done = run(browser, *options, "--dump-dom", "about:blank")
        except subprocess.TimeoutExpired:
            return f"no page after {SECONDS} s"
    return None if "<html" in done.stdout else done.stderr


def wrong_fixtures(folder: Path) -> Path:
    """Return a folder of two fixtures in which a number, an id and a label are wrong."""
    for name, output in (("integers", "known"), ("table", "price"), ("table", "kind_label")):
        if not (folder / name).exists():
            shutil.copytree(FIXTURES / name, folder / name)
        path = folder / name / "answers.json"
        answers = json.loads(path.read_text(encoding="utf-8"))
        data = answers[output]["data"]
        data[0] = data[0] * 1.01 if output == "price" else data[0] + 1 if output == "known" else "?"
        path.write_text(json.dumps(answers), encoding="utf-8")
    return folder


def check_finds_what_is_wrong(done: subprocess.CompletedProcess[str]) -> None:
    """The app has found every wrong answer of :func:`wrong_fixtures`: among all records, and in the first one."""
    assert done.returncode == 1, done.stdout + done.stderr
    for name, output in (("integers", "known"), ("table", "price"), ("table", "kind_label")):
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"{name}: ") and f" {output}[" in line]
        assert len(lines) == 2, done.stdout
    assert done.stdout.endswith(": 6 mismatches\n")


def check_finds_nothing(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(": 0 mismatches\n")
