"""Compiled kernels against NumPy's calls, interleaved in one process: single kernels, and training steps.

Times are microseconds of a kernel on arrays in the blocks of a program, and milliseconds of a step: the quickest of many.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.kernel_operators import operators
from benchmarks.kernel_pooling import pooling
from benchmarks.networks import ROWS
from benchmarks.steps import next_batch, of_workload
from benchmarks.tables import add_page, publish, table, where
from graphspec.base.arrays.calls import Calls, settings
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.channels import gradient_sums, norm_gradient, scale_shift, square_sums
from graphspec.graph.kernels.common import BLOCK_ELEMENTS, clip_gradient
from graphspec.graph.kernels.depthwise import depthwise, depthwise_gradient
from graphspec.graph.kernels.one_call import runner
from graphspec.graph.kernels.winograd import winograd_gradient, winograd_input, winograd_output
from graphspec.graph.ops.elementwise import relu_gradient
from graphspec.graph.optimizers.elementwise import rmsprop, sgd
from graphspec.graph.optimizers.moments import adam
from graphspec.graph.optimizers.optimizer import BLOCK

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
    sums = np.empty((2, len(parts), width), np.float32)
    shape = f"{rows:,} × {count}"
    low, high, masks = number(0.0), number(0.8), np.empty((2, *matrix), np.bool_)
    return {
        f"Gradient of a clipped value, {shape}": (
            clip_gradient,
            lambda f: [c for s in parts for c in f(x[s], low, high, y[s], masks=masks[:, : s.stop - s.start])],
        ),
        f"BatchNormalization and ReLU, {shape}": (
            scale_shift,
            lambda f: [c for s in parts for c in f(x[s], v, w, y[s], None, y[s])],
        ),
        f"its gradient, {shape}": (
            norm_gradient,
            lambda f: [c for s in parts for c in f(x[s], y[s], v, w, v, None, t=t[: s.stop - s.start])],
        ),
        f"its sums of x and x², {shape}": (
            square_sums,
            lambda f: [c for s, *to in zip(parts, *sums, strict=True) for c in f(x[s], *to)],
        ),
        f"its gradient's sums, {shape}": (
            gradient_sums,
            lambda f: [c for s, *to in zip(parts, *sums, strict=True) for c in f(x[s], y[s], *to, None, None)],
        ),
        f"ReLU's gradient, {shape}": (
            relu_gradient,
            lambda f: [c for s in parts for c in f(x[s], y[s], mask=bits[: s.stop - s.start])],
        ),
    }


def sums_of_rows(size: int, count: int) -> dict[str, tuple[Any, Callable[[Any], Calls]]]:
    """Winograd's sums over 8 images with a column of padding on both sides."""
    x, y = normal(size, 8, size, count), normal(size, 8, size, count)
    tiles, period = size // 4, size + 1
    columns, rows = tiles * 8 * period, np.zeros((5, tiles + 1, 8, period, count), np.float32)
    flat, place, step = normal(10, columns, count), np.array([-1, 1, 4], np.intc), np.array([4], np.intc)
    views = flat.reshape(10, tiles, 8, period, count)
    planes = views[:6]
    shape = f"8 × {size} × {size} × {count}"
    return {
        f"Winograd's sums of inputs, {shape}": (
            winograd_input,
            lambda f: f(x, planes, place, rows=rows),
        ),
        f"of outputs, {shape}": (
            winograd_output,
            lambda f: f(planes[:, :, :, :size], y, step, flat=flat[:7], views=views[:7]),
        ),
        f"of gradients, {shape}": (winograd_gradient, lambda f: f(y, planes, step, flat=flat, views=views)),
    }


def depthwise_taps(size: int, count: int) -> dict[str, tuple[Any, Callable[[Any], Calls]]]:
    """A depthwise 3 × 3 over an image, channels last, and the gradient of its kernel."""
    x, y = normal(1, size, size, count), normal(1, size, size, count)
    weights, sums, product = normal(9, size, count), normal(9, 1, count), normal(x.size)
    ranges = [(max(0, 1 - k), min(size, size + 1 - k), max(0, k - 1)) for k in range(3)]
    table = [[3 * i + j, 0, 1, 0, *ranges[i], *ranges[j]] for i in range(3) for j in range(3)]
    taps = np.array([table[4], *table[:4], *table[5:]], np.intc)
    steps = np.ones(3, np.intc)
    buffers = product, np.ones(size * size, np.float32), normal(1, 9 * count)
    shape = f"{size} × {size} × {count}"
    return {
        f"Depthwise 3 × 3, {shape}": (depthwise, lambda f: f(x, weights, y, steps, taps, product=product)),
        f"its kernel's gradient, {shape}": (
            depthwise_gradient,
            lambda f: f(x, sums, y, steps, taps, blocks=[(x, y, taps)], buffers=buffers),
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
    if compiled.LIBRARY is None:
        parser.error("graphspec-onnx-kernels is not there, or GRAPHSPEC_KERNELS forbids it: `pip install ./kernels`")
    windows = {**depthwise_taps(28, 96), **sums_of_rows(32, 32)}
    kernels, version, lines = compiled.load("compiled"), compiled.version(), []
    compiled.LIBRARY = kernels
    with settings():
        for what, (twin, make) in {
            **optimizers(25_000),
            **optimizers(670_000),
            **channels(16_384, 32),
            **windows,
            **operators(),
            **pooling(),
        }.items():
            numpy, own = race([runner(make(twin.numpy)), runner(make(twin))], LASTING)
            lines.append([what, f"{numpy * 1e6:.1f} µs", f"{own * 1e6:.1f} µs", f"{own / numpy:.2f}"])
        for name in options.workloads:
            numpy, own = race([step(name, None), step(name, kernels)], 8 * LASTING)
            lines.append([f"step of {name}", f"{numpy * 1e3:.3f} ms", f"{own * 1e3:.3f} ms", f"{own / numpy:.2f}"])
    head = ["", "NumPy", f"graphspec-onnx-kernels {version}", "ratio"]
    publish("kernels", f"{where()}\n\n{table(head, lines)}", options.markdown)


if __name__ == "__main__":
    main()
