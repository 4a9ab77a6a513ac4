"""Kernels of single operators for ``benchmarks.kernels``: lookups, recurrent cells, GELU, LayerNormalization, idle rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.kernel_softmax import softmaxes
from graphspec.base.arrays.calls import Calls
from graphspec.graph.kernels.compiled import of_rows
from graphspec.graph.kernels.recurrence import Gate
from graphspec.graph.ops.elementwise import gelu
from graphspec.graph.ops.indexing import add_rows, gather_sum, gather_sum_gradient
from graphspec.graph.ops.normalization import normalize, normalize_gradient
from graphspec.graph.ops.recurrent import gru_factors, lstm_back, lstm_factors, lstm_state
from graphspec.graph.optimizers.moments import adam_idle

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(0)


class Memory:
    """What twins ask of a node's context."""

    dtype = np.dtype(np.float32)

    def scratch(self, shape: Any, dtype: Any = None) -> Array:
        return np.zeros(shape, dtype or self.dtype)

    def constant(self, value: Any, dtype: Any = None) -> Array:
        return np.array(value, dtype or self.dtype)


def normal(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def number(value: float) -> Array:
    return np.array(value, np.float32)


def operators() -> dict[str, tuple[Any, Callable[[Any], Calls]]]:
    """By what they compute: a twin, and the calls of it or of its NumPy part."""
    ctx: Any = Memory()
    found: dict[str, tuple[Any, Callable[[Any], Calls]]] = {}

    def add(what: str, twin: Any, *operands: Any, **scratch: Any) -> None:
        found[what] = twin, lambda f: f(*operands, **scratch)

    many, table, sums = RANDOM.integers(0, 10_001, (512, 182)), normal(10_000, 16), normal(512, 16)
    add("sums of 182 of 10,000 rows × 16, 512 times", gather_sum, many, table, sums, ctx=ctx)
    add("their gradient", gather_sum_gradient, many, table.copy(), sums, ctx=ctx)
    found["25,600 rows × 32 added"] = (
        add_rows,
        lambda f: [(places.__setitem__, ..., ids), *f(total, places, rows, ctx=ctx)],  # NumPy's calls overwrite the ids
    )
    total, ids, rows = normal(2_000, 32), RANDOM.integers(0, 2_000, 25_600), normal(25_600, 32)
    places = ids.copy()
    f, g = (Gate(ctx, (name, 0.0, 0.0), (5, 96, 128)) for name in ("Sigmoid", "Tanh"))
    gates, u, factors = normal(5, 160, 128), normal(5, 32, 128), normal(5, 192, 128)
    state, half = normal(32, 128), number(0.5)
    add("an LSTM step's state, 32 × 128", lstm_state, gates[0], state, half, pair=normal(64, 128))
    add("its factors, 5 steps", lstm_factors, gates, u, factors, f=f, g=g, h=g)
    add("its gradients", lstm_back, np.zeros((6, 32, 128), np.float32), state, state.copy(), u[0], None)
    of_gru = {"f": f, "g": g, "one": number(1), "t": normal(5, 32, 128)}
    add("a GRU's factors, 5 steps of 32 × 128", gru_factors, normal(5, 128, 128), u, normal(5, 160, 128), **of_gru)
    add("GELU, 65,536", gelu, *(normal(65_536) for _ in range(3)), ctx=ctx)
    h, dy, scale, row = normal(512, 128), np.zeros((512, 128), np.float32), normal(128), normal(512, 1)
    wide = dy.reshape(64, 1024), np.tile(scale, 8), np.tile(scale, 8)
    add(
        "LayerNormalization after its sums, 512 × 128", normalize, normal(512, 128), row, h, dy, scale, scale, wide=wide
    )
    add("its gradient after its sums", normalize_gradient, h, dy, row, row, row, t=normal(512, 128))
    found["Adam, 20,000 rows × 32 without a gradient"] = adam_idle, idle_rows
    found |= softmaxes(ctx, normal, number)
    return found


def idle_rows(f: Any) -> Calls:
    """The update of some rows of a table: of copies, or in place."""
    rows, numbers = RANDOM.permutation(150_000)[:20_000], [number(x) for x in (1e-3, 0.9, 0.999, 1e-7)]
    arrays = [np.abs(normal(150_000, 32)) for _ in range(3)]
    if f is adam_idle:
        calls = of_rows(f(*arrays, None, *numbers, None, None, t=np.empty(0, np.float32)), rows, np.array([rows.size]))
        assert calls is not None, "the kernel is missing"
        return calls
    copies, t = [np.zeros((512, 32), np.float32) for _ in arrays], np.zeros((512, 32), np.float32)
    result: Calls = []
    for start in range(0, rows.size - 511, 512):
        part = rows[start : start + 512]
        result += [(np.take, a, part, 0, b, "clip") for a, b in zip(arrays, copies, strict=True)]
        result += f(*copies, None, *numbers, None, None, t=t)
        items = [(a.view("V128")[:, 0], b.view("V128")[:, 0]) for a, b in zip(arrays, copies, strict=True)]
        result += [(a.__setitem__, part, b) for a, b in items]
    return result
