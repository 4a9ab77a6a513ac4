"""Compiled kernels against NumPy's calls, interleaved in one process: single kernels, and training steps.

Times are microseconds of a kernel on arrays in the blocks of a program, and milliseconds of a step: the quickest of many.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import numpy as np
from graphspec_kernels import __version__

from benchmarks.networks import ROWS
from benchmarks.steps import next_batch, of_workload
from benchmarks.tables import add_page, publish, table, where
from graphspec.arrays.calls import Calls, runner, settings
from graphspec.kernels import compiled
from graphspec.kernels.blocks import BLOCK_ELEMENTS
from graphspec.kernels.channels import norm_gradient, scale_shift
from graphspec.ops.activations import relu_gradient
from graphspec.optimizers.adam import adam
from graphspec.optimizers.base import BLOCK
from graphspec.optimizers.momentum import sgd
from graphspec.optimizers.squares import rmsprop

Array = np.ndarray[Any, Any]
LASTING = 0.5  # seconds for each kernel


def number(value: float) -> Array:
    return np.array(value, np.float32)


def normal(*shape: int) -> Array:
    return np.abs(np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def blocks(size: int, length: int) -> list[slice]:
    return [slice(k, min(k + length, size)) for k in range(0, size, length)]


def of_weights(size: int, slots: int) -> Any:
    """Weights, a gradient, slots and scratch, in an optimizer's blocks."""
    arrays, t = [normal(size) for _ in range(2 + slots)], np.empty(min(size, BLOCK), np.float32)
    return [([a[s] for a in arrays], t[: s.stop - s.start]) for s in blocks(size, BLOCK)]


def optimizers(size: int) -> dict[str, tuple[Any, Callable[[Any], Calls]]]:
    rate, beta, small = number(1e-3), number(0.9), number(1e-7)
    two, one = of_weights(size, 2), of_weights(size, 1)

    def each(parts: Any, call: Callable[..., Calls]) -> Callable[[Any], Calls]:
        return lambda f: [c for arrays, t in parts for c in call(f, *arrays, t=t)]

    return {
        f"Adam, {size:,} weights": (
            adam,
            each(two, lambda f, p, g, u, v, t: f(p, g, None, None, u, v, None, rate, beta, number(0.999), small, t=t)),
        ),
        f"SGD with momentum, {size:,}": (
            sgd,
            each(one, lambda f, p, g, v, t: f(p, g, None, None, v, rate, beta, None, t=t)),
        ),
        f"RMSprop, {size:,}": (
            rmsprop,
            each(one, lambda f, p, g, v, t: f(p, g, None, None, v, None, None, rate, beta, small, None, None, t=t)),
        ),
    }


def channels(rows: int, count: int) -> dict[str, tuple[Any, Callable[[Any], Calls]]]:
    width = 1024 // count * count
    matrix = rows * count // width, width
    x, y, t = normal(*matrix), normal(*matrix), np.empty(matrix, np.float32)
    bits = np.empty(matrix, np.uint32)
    v, w = normal(width), normal(width)
    parts = blocks(matrix[0], BLOCK_ELEMENTS // width)
    shape = f"{rows:,} × {count}"
    return {
        f"BatchNormalization and ReLU, {shape}": (
            scale_shift,
            lambda f: [c for s in parts for c in f(x[s], v, w, y[s], None, y[s])],
        ),
        f"its gradient, {shape}": (
            norm_gradient,
            lambda f: [c for s in parts for c in f(x[s], y[s], v, w, v, None, t=t[: s.stop - s.start])],
        ),
        f"ReLU's gradient, {shape}": (
            relu_gradient,
            lambda f: [c for s in parts for c in f(x[s], y[s], mask=bits[: s.stop - s.start])],
        ),
    }


def race(runs: list[Callable[[], object]], lasting: float) -> list[float]:
    """The quickest of many turns of each, in seconds."""
    best, end = [float("inf")] * len(runs), time.perf_counter() + lasting
    while time.perf_counter() < end:
        for k, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def step(name: str, kernels: Any) -> Callable[[], object]:
    """A training step of a workload with these compiled kernels, or None."""
    before, compiled.LIBRARY = compiled.LIBRARY, kernels
    trainer = of_workload(name)
    for _ in range(3):
        next_batch(trainer)
        trainer.step()
    compiled.LIBRARY = before

    def run() -> None:
        next_batch(trainer)
        trainer.step()

    return run


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"steps of {', '.join(ROWS)}; none by default")
    add_page(parser)
    options = parser.parse_args()
    kernels, lines = compiled.load("compiled"), []
    compiled.LIBRARY = kernels
    with settings():
        for what, (twin, make) in {**optimizers(25_000), **optimizers(670_000), **channels(16_384, 32)}.items():
            numpy, own = race([runner(make(twin.numpy)), runner(make(twin))], LASTING)
            lines.append([what, f"{numpy * 1e6:.1f} µs", f"{own * 1e6:.1f} µs", f"{own / numpy:.2f}"])
        for name in options.workloads:
            numpy, own = race([step(name, None), step(name, kernels)], 8 * LASTING)
            lines.append([f"step of {name}", f"{numpy * 1e3:.3f} ms", f"{own * 1e3:.3f} ms", f"{own / numpy:.2f}"])
    head = ["", "NumPy", f"graphspec-kernels {__version__}", "ratio"]
    publish("kernels", f"{where()}\n\n{table(head, lines)}", options.markdown)


if __name__ == "__main__":
    main()
