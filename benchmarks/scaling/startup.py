"""Seconds that each command takes as a whole process, the best of several, with its bytecode cached by one run before.

``run`` is a run directory of ``specs/housing.yaml``, trained for one epoch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tables import table

TIMES = 7
SPECS = Path(__file__).parents[2] / "specs"
HOUSING = str(SPECS / "housing.yaml")
TEST = str(SPECS / "data" / "housing_test.csv")
ONE_EPOCH = ("--set", "training.epochs=1", "--out", "run", "--overwrite")
COMMANDS: tuple[Sequence[str], ...] = (
    ("--version",),
    ("--help",),
    ("train", "--help"),
    ("init", "new{}.yaml"),
    ("validate", HOUSING),
    ("validate", str(SPECS / "architectures" / "resnet50.yaml")),
    ("summary", HOUSING),
    ("plot", HOUSING, "-o", "plot.svg"),
    ("schema",),
    ("train", HOUSING, *ONE_EPOCH),
    ("evaluate", "run"),
    ("predict", "run", TEST),
    ("export", "run", "-o", "run.onnx"),
)


def best(command: Sequence[str], folder: str) -> float:
    """Seconds; ``{}`` in a command is the number of the try.

    Raises:
        RuntimeError: the command failed.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times = []
    for k in range(TIMES + 1):  # the first one writes the bytecode
        numbered = [part.format(k) for part in command]
        start = time.perf_counter()
        done = subprocess.run(numbered, cwd=folder, env=environment, capture_output=True, text=True)
        times.append(time.perf_counter() - start)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return min(times[1:])


def text() -> str:
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for code in ("pass", "import numpy", "import graphspec"):
            lines.append([f'python -c "{code}"', f"{best([sys.executable, '-c', code], folder):.3f}"])
        for arguments in COMMANDS:
            shown = " ".join(Path(a).name for a in arguments).format("")
            seconds = best([sys.executable, "-m", "graphspec", *arguments], folder)
            lines.append([f"graphspec {shown}", f"{seconds:.3f}"])
    return table(["command", "seconds"], lines)
