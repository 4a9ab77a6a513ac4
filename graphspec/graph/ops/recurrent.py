"""The base class of LSTM, GRU and RNN: checks of their inputs, and the binding of their directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Shape, fixed_size, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.cell_activations import parse_activations
from graphspec.graph.kernels.cell_inputs import CellInputs, CellOptions, Lengths
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.kernels.recurrence import Direction
from graphspec.graph.ops.base import Op

_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


class Recurrent(Op):
    """A recurrent operator over a sequence, in ONNX's form.

    Shapes: X (T, N, I), W (D, gates · H, I), R (D, gates · H, H), B (D, 2 · gates · H), sequence_lens (N,), initial states
    (D, N, H) → Y of all steps (T, D, N, H), last states (D, N, H), for D directions. sequence_lens has no gradient.
    """

    rows = "recurrent"
    weights_at, vectors_at, channels = (1, 2), (3,), -1
    keeps_in, keeps_out = (1, 2), True

    cell: ClassVar[type[Direction]]
    gates: ClassVar[int]
    default_activations: ClassVar[tuple[str, ...]]
    """The activations of one direction if the attribute ``activations`` is absent."""

    hidden_size: int
    direction: str = "forward"
    activations: Sequence[str] | None = None
    activation_alpha: Sequence[float] | None = None
    activation_beta: Sequence[float] | None = None
    clip: float | None = None
    layout: int = 0

    def infer(
        self,
        X: Value,
        W: Value,
        R: Value,
        B: Value | None = None,
        sequence_lens: Value | None = None,
        *initial: Value | None,
    ) -> tuple[Type, ...]:
        if len(initial) > self.cell.states:
            raise TypeError(f"{type(self).__name__} takes {self.cell.states} initial states, got {len(initial)}")
        need_float(X, W, R, B, *initial)
        self._check_attributes()
        need(X.rank == 3, f"needs data (time, batch, features), got {show(X.shape)}")
        T, N, features = X.shape
        D, H = len(_DIRECTIONS[self.direction]), self.hidden_size
        expected = {
            "W": (W, (D, self.gates * H, features)),
            "R": (R, (D, self.gates * H, H)),
            "B": (B, (D, 2 * self.gates * H)),
            "sequence_lens": (sequence_lens, (N,)),
            **{f"initial state {k}": (state, (D, N, H)) for k, state in enumerate(initial)},
        }
        for name, (value, shape) in expected.items():
            fits = value is None or value.shape == shape
            need(
                fits,
                f"needs {name} of shape {show(shape)}, got {show(value.shape if value else ())}",
                code=Code.SIZES_DO_NOT_FIT,
            )
        integer = sequence_lens is None or sequence_lens.dtype in ("int32", "int64")
        need(integer, "needs integer sequence_lens", code=Code.WRONG_DTYPE)
        return Type(X.dtype, (T, D, N, H)), *[Type(X.dtype, (D, N, H))] * self.cell.states

    def _check_attributes(self) -> None:
        need(self.layout == 0, "needs layout 0, with time before batch: transpose X", code=Code.VALUE_NOT_ALLOWED)
        need(self.direction in _DIRECTIONS, f"has no direction '{self.direction}'", code=Code.VALUE_NOT_ALLOWED)
        count = len(_DIRECTIONS[self.direction]) * len(self.default_activations)
        names = self.activations
        need(names is None or len(names) == count, f"needs {count} activations", code=Code.VALUE_NOT_ALLOWED)
        self.functions()
        need(self.clip is None or self.clip > 0, "needs a positive clip", code=Code.VALUE_NOT_ALLOWED)

    def functions(self) -> list[tuple[str, float, float]]:
        """Return the activations of all directions, each with its alpha and beta."""
        names = self.activations or self.default_activations * len(_DIRECTIONS[self.direction])
        return parse_activations(names, self.activation_alpha, self.activation_beta)

    def options(self, functions: Sequence[tuple[str, float, float]], *, reverse: bool) -> CellOptions:
        """Return the options of one direction's cell."""
        return CellOptions(reverse, functions, self.clip)

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        """Each step multiplies the input by W and the state by R."""
        return fixed_size(shapes[0][:2]) * (fixed_size(shapes[1]) + fixed_size(shapes[2]))

    def bind(
        self,
        ctx: Context,
        X: Array,
        W: Array,
        R: Array,
        B: Array | None = None,
        sequence_lens: Array | None = None,
        *initial: Array | None,
    ) -> Bound:
        return self.bind_masked(ctx, (X, W, R, B, sequence_lens, *initial), (None, None))

    def bind_masked(
        self, ctx: Context, inputs: Sequence[Array | None], masks: tuple[Array | None, Array | None]
    ) -> Bound:
        """Bind the directions one after the other, and join their outputs.

        Args:
            inputs: the inputs of ``bind``.
            masks: factors of the state (N, gates, H) and of the input (N, gates, I), or None.
        """
        X, W, R = (cast("Array", array) for array in inputs[:3])
        B, lens, *initial = (*inputs[3:], None, None)[: 2 + self.cell.states]
        reverses = _DIRECTIONS[self.direction]
        functions = self.functions()
        per_direction = len(functions) // len(reverses)
        lengths = None if lens is None else Lengths(ctx, lens, len(X))
        cells = []
        for d, reverse in enumerate(reverses):
            initial_states = [None if state is None else state[d] for state in initial]
            arrays = CellInputs(X, W[d], R[d], None if B is None else B[d], lengths, initial_states, masks)
            options = self.options(functions[d * per_direction : (d + 1) * per_direction], reverse=reverse)
            cells.append(self.cell(ctx, arrays, options))
        calls = [] if lengths is None else lengths.calls
        for cell in cells:
            calls = calls + cell.forward()
        outputs = []
        for k in range(1 + len(initial)):
            parts = [cell.outputs() if k == 0 else cell.last(k - 1) for cell in cells]
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
            initial_gradients = [ctx.grad(5 + k) for k in range(len(initial))]
            calls: Calls = []
            for d, cell in enumerate(cells):
                calls += cell.backward(
                    None if dY is None else dY[:, d],
                    [None if last is None else last[d] for last in dlast],
                    ctx.grad(0),
                    [None if w is None else w[d] for w in weights],
                    [None if s is None else s[d] for s in initial_gradients],
                )
            return calls

        return tuple(outputs), calls, backward
