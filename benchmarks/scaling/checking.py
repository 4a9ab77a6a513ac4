"""Seconds to check generated specs of n layers.

Read from a file, in a process that is warm: a chain of Dense layers, n layers joined by one Concatenate, one layer with
``repeat: n``, a block with ``repeat``, a chain of shared weights, residual additions, n unknown keys, n unknown names, one
cycle of n nodes. Seconds should grow as n does.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import graphspec as gs
from benchmarks.tables import table

HEAD = "graphspec: 1\nname: generated\ninputs:\n  x: {shape: [8]}\n"
DENSE = "type: Dense, units: 8, activation: relu"


def spec(layers: list[str], head: str, blocks: str = "") -> str:
    lines = "".join(f"  - {{{layer}}}\n" for layer in layers)
    return f"{HEAD}{blocks}layers:\n{lines}outputs:\n  {head}: {{loss: mean_squared_error}}\n"


def chain(n: int) -> str:
    return spec([f"name: d{i}, {DENSE}" for i in range(n)], f"d{n - 1}")


def wide(n: int) -> str:
    branches = [f"name: d{i}, {DENSE}, inputs: x" for i in range(n)]
    names = ", ".join(f"d{i}" for i in range(n))
    return spec([*branches, f"name: all, type: Concatenate, inputs: [{names}]"], "all")


def repeat(n: int) -> str:
    return spec([f"name: d, {DENSE}, repeat: {n}"], "d")


def block(n: int) -> str:
    body = "blocks:\n  b:\n    inputs: [x]\n    layers:\n"
    body += (
        f"      - {{name: a, {DENSE}, inputs: x}}\n      - {{name: c, type: Add, inputs: [a, x]}}\n    outputs: [c]\n"
    )
    return spec([f"name: d, block: b, repeat: {n // 2}"], "d", body)


def share(n: int) -> str:
    return spec([f"name: d0, {DENSE}", *(f"name: d{i}, share: d{i - 1}" for i in range(1, n))], f"d{n - 1}")


def residual(n: int) -> str:
    adds = [f"name: d{i}, type: Add, inputs: [d{i - 1}, d{i - 2}]" for i in range(2, n)]
    return spec([f"name: d0, {DENSE}", f"name: d1, {DENSE}", *adds], f"d{n - 1}")


def keys(n: int) -> str:
    return chain(n).replace("units", "unts")


def names(n: int) -> str:
    return spec([f"name: d{i}, {DENSE}, inputs: e{i}" for i in range(n)], f"d{n - 1}")


def cycle(n: int) -> str:
    return spec([f"name: d0, {DENSE}, inputs: d{n - 1}", *(f"name: d{i}, {DENSE}" for i in range(1, n))], f"d{n - 1}")


KINDS: tuple[Callable[[int], str], ...] = (chain, wide, repeat, block, share, residual, keys, names, cycle)
SIZES = 500, 1000, 2000, 5000, 10_000


def seconds(text: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_text(text, encoding="utf-8")
        start = time.perf_counter()
        gs.validate(path)
        return time.perf_counter() - start


def text() -> str:
    seconds(chain(2))  # imports
    lines = [[f"{n:,}", *(f"{seconds(kind(n)):.2f}" for kind in KINDS)] for n in SIZES]
    return table(["layers", *(kind.__name__ for kind in KINDS)], lines)
