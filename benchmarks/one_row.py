"""The time of one prediction for a row or a few, beside onnxruntime with the exported file; every answer is compared.

Both have one thread and alternate in blocks of calls; the minimum of the blocks is shown.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import graphspec as gs
from benchmarks.tables import add_page, publish, table, where
from graphspec.base.arrays.blas import one_thread
from graphspec.graph.onnx_session import session

SPECS = Path(__file__).parent.parent / "specs"
CALLS = 10
"""In a block."""


def dense(*widths: int) -> dict[str, Any]:
    """A network of Dense layers for ten classes."""
    layers = [{"name": f"h{k}", "type": "Dense", "units": n, "activation": "relu"} for k, n in enumerate(widths[1:])]
    return network([widths[0]], *layers)


def network(shape: list[int], *layers: dict[str, Any]) -> dict[str, Any]:
    """A network for ten classes."""
    return {
        "graphspec": 1,
        "name": "network",
        "inputs": {"x": {"shape": shape}},
        "layers": [*layers, {"name": "y", "type": "Dense", "units": 10, "activation": "softmax"}],
        "outputs": {"y": {"loss": "sparse_categorical_crossentropy"}},
    }


CONVOLUTIONS: list[dict[str, Any]] = [
    {"type": "Conv2D", "filters": 16, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Flatten"},
]


def penguins(rows: int) -> dict[str, Any]:
    """Raw records."""
    numbers = {
        "bill_length_mm": 46.1,
        "bill_depth_mm": 15.0,
        "flipper_length_mm": 215.0,
        "body_mass_g": 5000.0,
        "year": 2008.0,
    }
    texts = {"island": "Biscoe", "sex": "female"}
    return {n: np.full((rows, 1), v, np.float32) for n, v in numbers.items()} | {
        n: np.full((rows, 1), v, object) for n, v in texts.items()
    }


def normal(*sizes: int) -> dict[str, Any]:
    """Numbers; the last of the sizes is the number of rows."""
    return {"x": np.random.default_rng(0).standard_normal((sizes[-1], *sizes[:-1]), dtype=np.float32)}


CASES: dict[str, tuple[Any, Callable[[int], dict[str, Any]]]] = {
    "13-64-64-10": (dense(13, 64, 64), partial(normal, 13)),
    "784-128-10": (dense(784, 128), partial(normal, 784)),
    "784-512-512-10": (dense(784, 512, 512), partial(normal, 784)),
    "two convolutions, 28 × 28": (network([28, 28, 1], *CONVOLUTIONS), partial(normal, 28, 28, 1)),
    "LSTM 64, 50 steps of 16": (network([50, 16], {"type": "LSTM", "units": 64}), partial(normal, 50, 16)),
    "penguins, raw records": (SPECS / "penguins.yaml", penguins),
}


def block(call: Callable[[], Any]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


def measure(name: str, rows: int, blocks: int) -> list[str]:
    spec, make = CASES[name]
    model, x = gs.compile(spec), make(rows)
    if model.learns:
        model.fit(epochs=1, verbose=0)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(path)
        other = session(path, 1)
    heads = [output.name for output in other.get_outputs() if "string" not in output.type]
    np.testing.assert_allclose(model.predict(x), other.run(heads, x)[0], rtol=1e-4, atol=1e-5)
    ours, theirs = [], []
    for _ in range(blocks):
        ours.append(block(lambda: model.predict(x)))
        theirs.append(block(lambda: other.run(None, x)))
    return [name, str(rows), f"{min(ours) * 1e6:.0f}", f"{min(theirs) * 1e6:.0f}"]


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.one_row", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16], help="rows of a prediction (1 16)")
    parser.add_argument("--blocks", type=int, default=200, help=f"blocks of {CALLS} calls (200)")
    add_page(parser)
    options = parser.parse_args()
    with one_thread():
        lines = [measure(name, rows, options.blocks) for name in CASES for rows in options.rows]
    text = table(["network", "rows", "`predict`, µs", "onnxruntime, µs"], lines)
    publish("one row", f"{where()}\n\n{text}", options.markdown)


if __name__ == "__main__":
    main()
