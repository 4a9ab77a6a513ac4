"""GRU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, op
from graphspec.ops.direction import Direction, OuterSum
from graphspec.ops.recurrent import bind_recurrent, infer_recurrent

_Z, _R, _H = 0, 1, 2  # ONNX's gates


class _Cell(Direction):
    """Rows of a step: q, r, z, ĥ, where q is the candidate's recurrent product (``linear_before_reset``), else r · h.

    Rows of its gradients: q, r, z, ĥ's argument, and what reaches h directly. Those of what R is multiplied into, q to z
    (or r to z), lie side by side, and those of what W is, r to ĥ.
    """

    rows = 5

    def __init__(self, *inputs: Any, linear_before_reset: int, **attributes: Any) -> None:
        super().__init__(*inputs, **attributes)
        T, H, N = self.T, self.H, self.N
        self.after = bool(linear_before_reset)
        self.prescaled = self.functions[0][0] == "Sigmoid" and self.clip is None
        self.gates = self.ctx.save((T, 4 * H, N))
        clipped = self.clip is not None and self.training
        self.inside = self.ctx.save((T, 3 * H, N), np.bool_) if clipped else None

    def packed(self, scaled: bool) -> tuple[Array, Calls]:
        """Rows q, r, z, ĥ of [R, b, W]; q has no W and ĥ no R, unless r is applied before the product."""
        H, ctx = self.H, self.ctx
        packed = ctx.scratch((4 * H, self.block.shape[1]))
        bias, calls = self.both_biases()
        for place, source in ((1, _R), (2, _Z), (3, _H)):
            calls += self.pack(packed, place, source, bias, 0.5 if scaled else 1.0) if place < 3 else []
        last = slice(_H * H, 3 * H)
        q, candidate = packed[:H], packed[3 * H :]
        calls += [
            (np.copyto, q[:, :H], self.R[last]),
            (q[:, H:].fill, 0.0),
            (np.copyto, candidate[:, H + 1 :], self.W[last]),
            (candidate[:, : H + 1].fill, 0.0),
        ]
        if self.B is not None and bias is not None:
            first, second = np.split(self.B, 2)
            calls.append((np.copyto, candidate[:, H], first[last] if self.after else bias[last]))
            if self.after:
                calls.append((np.copyto, q[:, H], second[last]))
        return packed, calls

    def prepare(self) -> Calls:
        H, N = self.H, self.N
        self.f, self.g = self.gate(0, (2 * H, N)), self.gate(1, (H, N))
        self.t, self.wide = self.ctx.scratch((H, N)), self.ctx.scratch((2 * H, N))
        self.half = self.ctx.constant(0.5)
        self.weights, calls = self.packed(self.prescaled)
        return [*calls, (np.matmul, self.weights[3 * H :, H:], self.block[: self.T, H:], self.gates[:, 3 * H :])]

    def step(self, s: int) -> Calls:
        H, t = self.H, self.t
        S, h = self.gates[s], self.h[s]
        q, r, z, candidate = S.reshape(4, H, self.N)
        sigmoids = S[H : 3 * H]
        first = 0 if self.after else H
        calls: Calls = [(np.dot, self.weights[first : 3 * H], self.block[s], S[first : 3 * H])]
        if self.prescaled:
            calls += [
                (np.tanh, sigmoids, sigmoids),
                (np.multiply, sigmoids, self.half, sigmoids),
                (np.add, sigmoids, self.half, sigmoids),
            ]
        else:
            inside = None if self.inside is None else self.inside[s, : 2 * H]
            calls += [*self.limit(sigmoids, inside, self.wide), *self.f.apply(sigmoids)]
        if self.after:
            calls.append((np.multiply, r, q, t))
        else:
            calls += [(np.multiply, r, h, q), (np.dot, self.weights[:H, :H], q, t)]
        inside = None if self.inside is None else self.inside[s, 2 * H :]
        return [
            *calls,
            (np.add, candidate, t, candidate),
            *self.limit(candidate, inside, t),
            *self.g.apply(candidate),
            (np.subtract, h, candidate, t),
            (np.multiply, z, t, t),
            (np.add, candidate, t, self.h[s + 1]),
        ]

    def start_backward(self, steps: int) -> Calls:
        H, N, columns = self.H, self.N, self.block.shape[1]
        self.f, self.g = self.gate(0, (steps, 2 * H, N)), self.gate(1, (steps, H, N))
        self.t, self.difference = self.ctx.scratch((H, N)), self.ctx.scratch((steps, H, N))
        self.plain, calls = self.packed(False)
        self.of_W = OuterSum(self.ctx, 3 * H, columns - H, steps)
        self.of_R = OuterSum(self.ctx, (3 if self.after else 2) * H, H + 1, steps)
        self.of_q = None if self.after else OuterSum(self.ctx, H, H, steps)
        return calls

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        H = self.H
        S, h, t = self.gates[start:stop], self.h[start:stop], self.difference[: stop - start]
        q, r, z, candidate = (S[:, k * H : (k + 1) * H] for k in range(4))
        of_q, of_r, of_z, of_candidate, direct = (D[:, k * H : (k + 1) * H] for k in range(5))
        calls = [
            *self.f.slope(S[:, H : 3 * H], D[:, H : 3 * H]),
            *self.g.slope(candidate, of_candidate),
            (np.subtract, h, candidate, t),
            (np.multiply, of_z, t, of_z),
            (np.subtract, self.ctx.constant(1.0), z, t),
            (np.multiply, of_candidate, t, of_candidate),
            (np.copyto, direct, z),
        ]
        if self.inside is not None:  # r, z, ĥ
            calls.append((np.multiply, D[:, H : 4 * H], self.inside[start:stop], D[:, H : 4 * H]))
        if self.after:
            return [
                *calls,
                (np.multiply, of_candidate, r, of_q),
                (np.multiply, of_r, q, of_r),
                (np.multiply, of_r, of_candidate, of_r),
            ]
        return [*calls, (np.copyto, of_q, r), (np.multiply, of_r, h, of_r)]

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        H, dh, t = self.H, carry[0], self.t
        five = D[i].reshape(5, H, self.N)
        R = self.plain[:, :H]
        if self.after:
            return [
                (np.multiply, five, dh, five),
                (np.dot, R[: 3 * H].T, D[i, : 3 * H], dh),
                (np.add, dh, five[4], dh),
            ]
        return [
            (np.multiply, five[2:], dh, five[2:]),
            (np.dot, R[:H].T, five[3], t),
            (np.multiply, five[:2], t, five[:2]),
            (np.dot, R[H : 3 * H].T, D[i, H : 3 * H], dh),
            (np.add, dh, five[4], dh),
            (np.add, dh, five[0], dh),
        ]

    def weight_gradients(self, start: int, stop: int, D: Array) -> Calls:
        H, block = self.H, self.block[start:stop]
        first = 0 if self.after else H
        calls = self.of_W.add(D[:, H : 4 * H], block[:, H:])
        calls += self.of_R.add(D[:, first : 3 * H], block[:, : H + 1])
        if self.of_q is not None:
            calls += self.of_q.add(D[:, 3 * H : 4 * H], self.gates[start:stop, :H])
        return calls

    def finish_weights(self, dW: Array | None, dR: Array | None, dB: Array | None) -> Calls:
        H = self.H
        by_W, by_R = self.of_W.total, self.of_R.total  # rows r, z, ĥ of [b, W]; (q,) r, z of [R, b]
        if self.of_q is None:
            of_q, by_R = by_R[:H], by_R[H:]
        else:
            of_q = self.of_q.total
        places = ((_R, by_R[:H]), (_Z, by_R[H:]), (_H, of_q))
        calls: Calls = []
        for source, rows in places:
            at = slice(source * H, (source + 1) * H)
            place = (1, 0, 2)[source]
            d = by_W[place * H : (place + 1) * H]
            if dR is not None:
                calls.append((np.copyto, dR[at], rows[:, :H]))
            if dW is not None:
                calls.append((np.copyto, dW[at], d[:, 1:]))
            if dB is not None:
                first, second = dB.reshape(2, 3 * H)
                by_state = rows[:, H] if source == _H and self.after else d[:, 0]
                calls += [(np.copyto, first[at], d[:, 0]), (np.copyto, second[at], by_state)]
        return calls

    def inputs_of(self, D: Array) -> tuple[Array, Array]:
        return D[:, self.H : 4 * self.H], self.plain[self.H :, self.H + 1 :]


@op
class GRU(Op):
    """``z, r = f(W x + R h₋₁ + Wb + Rb)``, ``ĥ = g(W x + Wb + R (r · h₋₁) + Rb)``, ``h = (1 - z) · ĥ + z · h₋₁``.

    With ``linear_before_reset``, ``ĥ = g(W x + Wb + r · (R h₋₁ + Rb))``.

    Shapes: X (T, N, I) → Y (T, D, N, H), Y_h (D, N, H). Gate order z, r, ĥ. A sequence of length 0 gives zeros, whatever
    the initial state.
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
        Y = infer_recurrent(3, 2, (X, W, R, B, sequence_lens, initial_h), attributes)
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
        linear_before_reset: int = 0,
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
        inputs = (X, W, R, B, sequence_lens, initial_h)
        defaults = ("Sigmoid", "Tanh")
        return bind_recurrent(_Cell, ctx, inputs, attributes, defaults, linear_before_reset=linear_before_reset)
