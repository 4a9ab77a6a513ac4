"""What LSTM, GRU and RNN share as operators: their checks, and binding their directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.cell_activations import parse
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.kernels.recurrence import Direction, Lengths
from graphspec.ops.base import Op

_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


class Recurrent(Op):
    """An operator over a sequence: Y of all steps (T, D, N, H) and the last states (D, N, H).

    Takes X (T, N, I), W (D, gates · H, I), R (D, gates · H, H), B (D, 2 · gates · H), sequence_lens (N,) and initial
    states (D, N, H), for D directions.
    """

    keeps_in, keeps_out = (1, 2), True

    cell: ClassVar[type[Direction]]
    gates: ClassVar[int]
    activations: ClassVar[tuple[str, ...]]
    """A direction's, where none are given."""

    @classmethod
    def infer(
        cls,
        X: Value,
        W: Value,
        R: Value,
        B: Value | None = None,
        sequence_lens: Value | None = None,
        *initial: Value | None,
        **attributes: Any,
    ) -> tuple[Type, ...]:
        if len(initial) > cls.cell.states:
            raise TypeError(f"{cls.__name__} takes {cls.cell.states} initial states, got {len(initial)}")
        Y = _infer(cls.gates, len(cls.activations), (X, W, R, B, sequence_lens, *initial), attributes)
        return Y, *[Type(Y.dtype, Y.shape[1:])] * cls.cell.states

    @classmethod
    def bind(
        cls,
        ctx: Context,
        X: Array,
        W: Array,
        R: Array,
        B: Array | None = None,
        sequence_lens: Array | None = None,
        *initial: Array | None,
        hidden_size: int,
        direction: str = "forward",
        activations: Sequence[str] | None = None,
        activation_alpha: Sequence[float] | None = None,
        activation_beta: Sequence[float] | None = None,
        clip: float | None = None,
        layout: int = 0,
        **more: Any,
    ) -> Bound:
        missing = [None] * (cls.cell.states - len(initial))
        attributes = {
            "direction": direction,
            "activations": activations,
            "activation_alpha": activation_alpha,
            "activation_beta": activation_beta,
            "clip": clip,
        }
        inputs = (X, W, R, B, sequence_lens, *initial, *missing)
        return bind_directions(cls.cell, ctx, inputs, attributes, cls.activations, **more)


def _infer(gates: int, activations: int, inputs: Sequence[Value | None], attributes: dict[str, Any]) -> Type:
    """The type of Y (T, D, N, H) after strict checks of all inputs and attributes.

    ``activations`` is how many a direction takes.
    """
    X, W, R = cast("tuple[Value, Value, Value]", tuple(inputs[:3]))
    B, lens, *initial = inputs[3:]
    need_float(X, W, R, B, *initial)
    need(attributes["layout"] == 0, "has no layout but 0: transpose X", code="GS105")
    direction, H = attributes["direction"], attributes["hidden_size"]
    need(direction in _DIRECTIONS, f"has no direction '{direction}'", code="GS105")
    D = len(_DIRECTIONS[direction])
    need(X.rank == 3, f"needs data (time, batch, features), got {show(X.shape)}")
    names = attributes["activations"]
    need(names is None or len(names) == D * activations, f"needs {D * activations} activations", code="GS105")
    functions_of(attributes, ("Sigmoid",) * activations)
    need(attributes["clip"] is None or attributes["clip"] > 0, "needs a clip above 0", code="GS105")
    T, N, features = X.shape
    wanted = {
        "W": (W, (D, gates * H, features)),
        "R": (R, (D, gates * H, H)),
        "B": (B, (D, 2 * gates * H)),
        "sequence_lens": (lens, (N,)),
        **{f"initial state {k}": (state, (D, N, H)) for k, state in enumerate(initial)},
    }
    for name, (value, shape) in wanted.items():
        fits = value is None or value.shape == shape
        need(fits, f"needs {name} of shape {show(shape)}, got {show(value.shape if value else ())}", code="GS304")
    need(lens is None or lens.dtype in ("int32", "int64"), "needs integer sequence_lens", code="GS306")
    return Type(X.dtype, (T, D, N, H))


def functions_of(attributes: dict[str, Any], defaults: Sequence[str]) -> list[tuple[str, float, float]]:
    """The activations of all directions."""
    names = attributes["activations"]
    if names is None:
        names = tuple(defaults) * len(_DIRECTIONS[attributes["direction"]])
    return parse(names, attributes["activation_alpha"], attributes["activation_beta"])


def bind_directions(
    cell: Callable[..., Direction],
    ctx: Context,
    inputs: Sequence[Array | None],
    attributes: dict[str, Any],
    defaults: Sequence[str],
    **more: Any,
) -> Bound:
    """Bind an operator: its directions one after the other, their outputs side by side."""
    X, W, R = (cast("Array", array) for array in inputs[:3])
    B, lens, *initial = inputs[3:]
    reverses = _DIRECTIONS[attributes["direction"]]
    functions = functions_of(attributes, defaults)
    each = len(functions) // len(reverses)
    lengths = None if lens is None else Lengths(ctx, lens, len(X))
    cells = [
        cell(
            ctx,
            X,
            W[d],
            R[d],
            None if B is None else B[d],
            lengths,
            [None if state is None else state[d] for state in initial],
            reverse=reverse,
            functions=functions[d * each : (d + 1) * each],
            clip=attributes["clip"],
            **more,
        )
        for d, reverse in enumerate(reverses)
    ]
    calls = [] if lengths is None else lengths.calls
    for c in cells:
        calls = calls + c.forward()
    outputs = []
    for k in range(1 + len(initial)):
        parts = [c.outputs() if k == 0 else c.last(k - 1) for c in cells]
        calls = calls + [call for _, more_calls in parts for call in more_calls]
        if len(parts) == 1:
            outputs.append(parts[0][0][:, None] if k == 0 else parts[0][0][None])
            continue
        joined = ctx.out(k)
        for d, (part, _) in enumerate(parts):
            calls.append((np.copyto, joined[:, d] if k == 0 else joined[d], part))
        outputs.append(joined)

    def backward(dY: Array | None, *dlast: Array | None) -> Calls:
        weights = [ctx.grad(i) for i in (1, 2, 3)]
        starts = [ctx.grad(5 + k) for k in range(len(initial))]
        calls: Calls = []
        for d, c in enumerate(cells):
            calls += c.backward(
                None if dY is None else dY[:, d],
                [None if last is None else last[d] for last in dlast],
                ctx.grad(0),
                [None if w is None else w[d] for w in weights],
                [None if s is None else s[d] for s in starts],
            )
        return calls

    return tuple(outputs), calls, backward
