"""RNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, op
from graphspec.ops.direction import Direction, OuterSum
from graphspec.ops.recurrent import bind_recurrent, infer_recurrent


class _Cell(Direction):
    rows = 1

    def __init__(self, *inputs: Any, **attributes: Any) -> None:
        super().__init__(*inputs, **attributes)
        clipped = self.clip is not None and self.training
        self.inside = self.ctx.save((self.T, self.H, self.N), np.bool_) if clipped else None

    def packed(self) -> tuple[Array, Calls]:
        packed = self.ctx.scratch((self.H, self.block.shape[1]))
        bias, calls = self.both_biases()
        return packed, [*calls, *self.pack(packed, 0, 0, bias)]

    def prepare(self) -> Calls:
        self.f, self.t = self.gate(0, (self.H, self.N)), self.ctx.scratch((self.H, self.N))
        self.weights, calls = self.packed()
        return calls

    def step(self, s: int) -> Calls:
        h = self.h[s + 1]
        inside = None if self.inside is None else self.inside[s]
        return [(np.dot, self.weights, self.block[s], h), *self.limit(h, inside, self.t), *self.f.apply(h)]

    def start_backward(self, steps: int) -> Calls:
        self.f = self.gate(0, (steps, self.H, self.N))
        self.plain, calls = self.packed()
        self.sums = OuterSum(self.ctx, self.H, self.plain.shape[1], steps)
        return calls

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        calls = self.f.slope(self.h[start + 1 : stop + 1], D)
        if self.inside is not None:
            calls.append((np.multiply, D, self.inside[start:stop], D))
        return calls

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        dh = carry[0]
        return [(np.multiply, D[i], dh, D[i]), (np.dot, self.plain[:, : self.H].T, D[i], dh)]

    def weight_gradients(self, start: int, stop: int, D: Array) -> Calls:
        return self.sums.add(D, self.block[start:stop])

    def finish_weights(self, dW: Array | None, dR: Array | None, dB: Array | None) -> Calls:
        H, total = self.H, self.sums.total
        calls: Calls = []
        if dR is not None:
            calls.append((np.copyto, dR, total[:, :H]))
        if dW is not None:
            calls.append((np.copyto, dW, total[:, H + 1 :]))
        if dB is not None:
            calls.append((np.copyto, dB.reshape(2, H), total[:, H]))
        return calls

    def inputs_of(self, D: Array) -> tuple[Array, Array]:
        return D, self.plain[:, self.H + 1 :]


@op
class RNN(Op):
    """``h = f(W x + R h₋₁ + Wb + Rb)``.

    Shapes: X (T, N, I) → Y (T, D, N, H), Y_h (D, N, H). A sequence of length 0 gives zeros, whatever the initial state.
    """

    keeps_in, keeps_out = (1, 2), True

    @staticmethod
    def infer(
        X: Value,
        W: Value,
        R: Value,
        B: Value | None = None,
        sequence_lens: Value | None = None,
        initial_h: Value | None = None,
        **attributes: Any,
    ) -> tuple[Type, ...]:
        Y = infer_recurrent(1, 1, (X, W, R, B, sequence_lens, initial_h), attributes)
        return Y, Type(Y.dtype, Y.shape[1:])

    @staticmethod
    def bind(
        ctx: Context,
        X: Array,
        W: Array,
        R: Array,
        B: Array | None = None,
        sequence_lens: Array | None = None,
        initial_h: Array | None = None,
        *,
        hidden_size: int,
        direction: str = "forward",
        activations: Sequence[str] | None = None,
        activation_alpha: Sequence[float] | None = None,
        activation_beta: Sequence[float] | None = None,
        clip: float | None = None,
        layout: int = 0,
    ) -> Bound:
        attributes = {
            "direction": direction,
            "activations": activations,
            "activation_alpha": activation_alpha,
            "activation_beta": activation_beta,
            "clip": clip,
        }
        return bind_recurrent(_Cell, ctx, (X, W, R, B, sequence_lens, initial_h), attributes, ("Tanh",))
