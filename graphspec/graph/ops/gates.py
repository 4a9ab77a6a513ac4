"""The gates of a step of an LSTM that is written out: one operator in place of a dozen, each a pass over memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphspec.base.arrays.layout import axis_order, pieces
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import BLOCK_ELEMENTS
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Calls, Context, need, normalize_axis
from graphspec.graph.kernels.one_call import give_tanh
from graphspec.graph.ops.op import TrainingOnly

_I, _F, _G, _O = range(4)  # Keras's order: input, forget, candidate, output


@twin()
def lstm_gates(
    x: Array, y: Array | None, before: Array | None, half: Array, gates: Array, c: Array, u: Array, h: Array, /
) -> Calls:
    """Calls for ``c = i · g + f · before``, ``u = tanh(c)`` and ``h = o · u``; the gates are σ and tanh of ``x + y``.

    Shapes: x and y (rows, 4, n), gates (4, rows, n), all others (rows, n). σ is ``½ + ½ · tanh(½ · z)``, as in LSTM.
    """
    by_row, first, last = gates.swapaxes(0, 1), gates[:_G], gates[_O]
    calls: Calls = [(np.copyto, by_row, x) if y is None else (np.add, x, y, by_row)]
    calls += [(np.multiply, part, half, part) for part in (first, last)]
    calls.append((np.tanh, gates, gates))
    calls += [(f, part, half, part) for f in (np.multiply, np.add) for part in (first, last)]
    calls.append((np.multiply, gates[_I], gates[_G], c))
    if before is not None:
        calls += [(np.multiply, gates[_F], before, u), (np.add, c, u, c)]
    return [*calls, (np.tanh, c, u), (np.multiply, last, u, h)]


@twin()
def lstm_gates_gradient(  # noqa: PLR0913 (the operands of the kernel)
    gates: Array,
    u: Array,
    before: Array | None,
    dh: Array | None,
    dc: Array | None,
    dx: Array,
    dy: Array | None,
    dbefore: Array | None,
    /,
    *,
    scratch: Array,
) -> Calls:
    """Calls for the gradients of :func:`lstm_gates`, of which ``dy`` is a copy of ``dx``; one of dh and dc may be None.

    With ``s = dh · o · (1 - u²) + dc``: di is ``s · g · (i - i²)``, dg ``s · i · (1 - g²)``, df ``s · before · (f - f²)``,
    do ``dh · u · (o - o²)``, and dbefore ``s · f``. ``scratch`` is (2, rows, n).
    """
    (i, f, g, o), (s, t) = gates, scratch
    di, df, dg, do = dx.swapaxes(0, 1)
    calls: Calls = []

    def of_sigmoid(gate: Array, factor: Array, other: Array, out: Array) -> Calls:
        """Return calls for ``(gate - gate²) · other · factor``."""
        squared = [(np.square, gate, t), (np.subtract, gate, t, t), (np.multiply, t, other, t)]
        return [*squared, (np.multiply, t, factor, out)]

    if dh is None:
        assert dc is not None
        calls += [(do.fill, 0.0), (np.copyto, s, dc)]
    else:
        calls += of_sigmoid(o, dh, u, do)
        calls += [(np.square, u, t), (np.subtract, np.array(1, u.dtype), t, t), (np.multiply, t, o, t)]
        calls.append((np.multiply, t, dh, s))
        if dc is not None:
            calls.append((np.add, s, dc, s))
    calls += of_sigmoid(i, s, g, di)
    calls += [(df.fill, 0.0)] if before is None else of_sigmoid(f, s, before, df)
    calls += [(np.square, g, t), (np.subtract, np.array(1, u.dtype), t, t), (np.multiply, t, i, t)]
    calls.append((np.multiply, t, s, dg))
    if dbefore is not None:
        calls.append((np.multiply, s, f, dbefore))
    return calls if dy is None else [*calls, (np.copyto, dy, dx)]


class LSTMGates(TrainingOnly):
    """``c = σ(i) · tanh(g) + σ(f) · C`` and ``h = σ(o) · tanh(c)``, for the quarters of ``X + Y``, i, f, g, o.

    Shapes: X and Y (…, 4 n, …), split along ``axis``, C, h and c (…, n, …). Y and C may be absent: they are zeros.
    """

    rows = "along_shared_axis"
    keeps_in, keeps_out = (2,), False

    axis: int = 1

    def infer(self, X: Value, Y: Value | None = None, C: Value | None = None) -> tuple[Type, Type]:
        need.float(X, Y, C)
        at = normalize_axis(self.axis, X.rank)
        need.sizes(X.fixed(at) % 4 == 0, f"needs four gates of one size, got {X.fixed(at)} channels")
        shape = (*X.shape[:at], X.fixed(at) // 4, *X.shape[at + 1 :])
        for value, expected in ((Y, X.shape), (C, shape)):
            need.shapes(value is None or value.shape == expected, "needs terms of one shape, and a state of a quarter")
        return Type(X.dtype, shape), Type(X.dtype, shape)

    def bind(self, ctx: Context, X: Array, Y: Array | None = None, C: Array | None = None) -> Bound:
        if lstm_gates.compiled:
            give_tanh()
        order = axis_order(X)
        place = order.index(self.axis % X.ndim)
        shape = [ctx.shape()[k] for k in order]
        rows, n = math.prod(shape[:place]), math.prod(shape[place:])

        def ordered(array: Array | None, size: Sequence[int], calls: Calls, *, into: bool = False) -> Array | None:
            """Return an array in X's order of memory and of this size: a view, else a copy."""
            if array is None:
                return None
            view = array.transpose(order)
            if view.flags.c_contiguous:
                return view.reshape(size)
            copy = ctx.scratch(view.shape, view.dtype)
            calls.append((np.copyto, view, copy) if into else (np.copyto, copy, view))
            return copy.reshape(size)

        def part(array: Array | None, block: slice) -> Array | None:
            return None if array is None else array[block]

        by_gate, blocks = (rows, 4, n), pieces(0, rows, max(1, BLOCK_ELEMENTS // max(4 * n, 1)))
        keep = ctx.save_for_backward if any(map(ctx.wants, range(3))) else ctx.scratch
        saved, u = keep((4 * rows * n,)), keep((rows, n))
        gates = [saved[4 * n * b.start : 4 * n * b.stop].reshape(4, -1, n) for b in blocks]
        outputs = ctx.out(0, order=order), ctx.out(1, order=order)
        h, c = (out.transpose(order).reshape(rows, n) for out in outputs)
        calls, half = Calls(), ctx.constant(0.5)
        x, y, state = ordered(X, by_gate, calls), ordered(Y, by_gate, calls), ordered(C, (rows, n), calls)
        assert x is not None
        for b, own in zip(blocks, gates, strict=True):
            calls += lstm_gates(x[b], part(y, b), part(state, b), half, own, c[b], u[b], h[b])

        def backward(dh: Array | None, dc: Array | None) -> Calls:
            calls, after = Calls(), Calls()
            of_h, of_c, old = (ordered(array, (rows, n), calls) for array in (dh, dc, C))
            dX, dY = (ordered(ctx.grad(k), by_gate, after, into=True) for k in (0, 1))
            dC = ordered(ctx.grad(2), (rows, n), after, into=True)
            if dX is None:
                dX, dY = (ctx.scratch(by_gate) if dY is None else dY), None
            scratch = ctx.scratch((2 * n * max((b.stop for b in blocks[:1]), default=0),))
            for b, own in zip(blocks, gates, strict=True):
                given = own, u[b], part(old, b), part(of_h, b), part(of_c, b)
                own = scratch[: 2 * n * (b.stop - b.start)].reshape(2, -1, n)
                calls += lstm_gates_gradient(*given, dX[b], part(dY, b), part(dC, b), scratch=own)
            return calls + after

        return outputs, calls, backward
