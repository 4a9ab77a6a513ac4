"""Seconds and memory to check, compile, and train a chain of n Dense layers of 8 units on batches of 32.

Each n in a process of its own, warm. ``compile`` checks too; the first step binds. Memory is the most that is resident
above what was there before. Per layer, every column should stay the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from benchmarks.memory import forget_peak, peak
from benchmarks.scaling.checking import chain
from benchmarks.steps import seconds, trainer_of
from benchmarks.tables import milliseconds, table
from benchmarks.workload import Array
from graphspec.engine.training.trainer import Trainer

SIZES = 10, 100, 1000, 3000, 10_000
ROWS = 32


def stepped(model: gs.Model, x: Array) -> Trainer:
    trainer = trainer_of(model, (x, x))
    trainer.step()
    return trainer


def measure(n: int) -> dict[str, float]:
    """Seconds by stage, and bytes."""
    found: dict[str, float] = {}

    def timed(stage: str, f: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = f()
        found[stage] = time.perf_counter() - start
        return result

    x = np.random.default_rng(0).random((ROWS, 8), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_text(chain(n), encoding="utf-8")
        before = forget_peak()
        timed("check", lambda: gs.validate(path))
        found["memory of check"] = peak() - before
        model = timed("compile", lambda: gs.compile(path))
        trainer = timed("first step", lambda: stepped(model, x))
        found["step"] = seconds(trainer, 0.5)
        found["memory"] = peak() - before
    return found


def text() -> str:
    lines = []
    for n in SIZES:
        command = [sys.executable, "-m", __name__, str(n)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        cells = [f"{n:,}"]
        for stage in ("check", "compile", "first step", "step"):
            cells.append(f"{milliseconds(found[stage])} ({found[stage] / n * 1e6:.1f})")
        for key in ("memory of check", "memory"):
            cells.append(f"{found[key] / 1e6:.1f} ({found[key] / n / 1e3:.1f})")
        lines.append(cells)
    stages = [f"{stage}, ms (µs a layer)" for stage in ("check", "compile", "first step", "step")]
    return table(["layers", *stages, "check, MB (kB a layer)", "all, MB (kB a layer)"], lines)


if __name__ == "__main__":
    measure(2)  # imports
    print(json.dumps(measure(int(sys.argv[1]))))
