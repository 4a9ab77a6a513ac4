"""Seconds to compile a shipped network and to export it: the file made, proved equal under onnxruntime, written."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import graphspec as gs
from benchmarks.networks import spec
from benchmarks.tables import table
from graphspec.engine.compiler.check import check

ARCHITECTURES = Path(__file__).parents[2] / "specs" / "architectures"


def measure(path: Path, file: Path) -> tuple[float, float]:
    """Seconds of compiling and of exporting."""
    start = time.perf_counter()
    model = gs.compile(path)
    compiled = time.perf_counter()
    model.export(file)
    return compiled - start, time.perf_counter() - compiled


def text() -> str:
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        measure(spec("W4"), file)  # imports
        for path in sorted(ARCHITECTURES.glob("*.yaml")):
            compiling, exporting = measure(path, file)
            _, lowered = check(path).require()
            cells = [path.stem, f"{len(lowered.graph.nodes):,}", f"{compiling:.2f}", f"{exporting:.2f}"]
            lines.append([*cells, f"{file.stat().st_size / 1e6:.1f}"])
    return table(["network", "operators", "compile, s", "export, s", "file, MB"], lines)
