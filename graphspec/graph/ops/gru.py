"""Gated recurrent unit: GRU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.cell_activations import Gate
from graphspec.graph.kernels.cell_inputs import CellInputs, CellOptions
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.matmul import matmul
from graphspec.graph.kernels.recurrence import Direction
from graphspec.graph.kernels.step_products import OuterSum
from graphspec.graph.ops.base import op
from graphspec.graph.ops.recurrent import Recurrent

_Z, _R, _H = 0, 1, 2  # the gates' order in ONNX's weights


@twin()
def gru_gates(gates: Array, half: Array, /, *, t: Array) -> Calls:
    """Return calls that make σ of the tanh of r and z, and add r · q to the candidate's argument; gates (4 H, N)."""
    H = len(gates) // 4
    q, r, _, candidate = gates.reshape(4, H, -1)
    sigmoids = gates[H : 3 * H]
    return [
        (np.multiply, sigmoids, half, sigmoids),
        (np.add, sigmoids, half, sigmoids),
        (np.multiply, r, q, t),
        (np.add, candidate, t, candidate),
    ]


@twin()
def gru_state(gates: Array, h: Array, following: Array, /, *, t: Array) -> Calls:
    """Return calls for the state after a step, ``ĥ + z · (h - ĥ)``; gates (4 H, N), h (H, N)."""
    H = len(h)
    z, candidate = gates[2 * H : 3 * H], gates[3 * H :]
    return [(np.subtract, h, candidate, t), (np.multiply, z, t, t), (np.add, candidate, t, following)]


@twin()
def gru_factors(gates: Array, h: Array, factors: Array, /, *, f: Gate, g: Gate, one: Array, t: Array) -> Calls:
    """Return calls for the factors of the gradients, with the reset gate after the product.

    Shapes: gates (steps, 4 H, N), h and the scratch ``t`` (steps, H, N), factors (steps, 5 H, N). The kernel's activations
    are sigmoid and tanh.
    """
    return [*_common_factors(gates, h, factors, f, g, one, t), *_factors_of_reset(gates, factors)]


def _common_factors(gates: Array, h: Array, factors: Array, f: Gate, g: Gate, one: Array, t: Array) -> Calls:
    """Return calls for the factors of z, ĥ and h, and the slope of r."""
    H = h.shape[1]
    z, candidate = gates[:, 2 * H : 3 * H], gates[:, 3 * H :]
    of_z, of_candidate, direct = factors[:, 2 * H : 3 * H], factors[:, 3 * H : 4 * H], factors[:, 4 * H :]
    return [
        *f.slope(gates[:, H : 3 * H], factors[:, H : 3 * H]),
        *g.slope(candidate, of_candidate),
        (np.subtract, h, candidate, t),
        (np.multiply, of_z, t, of_z),
        (np.subtract, one, z, t),
        (np.multiply, of_candidate, t, of_candidate),
        (np.copyto, direct, z),
    ]


def _factors_of_reset(gates: Array, factors: Array) -> Calls:
    """Return calls for the factors of q and r, with the reset gate after the product."""
    H = gates.shape[1] // 4
    q, r = gates[:, :H], gates[:, H : 2 * H]
    of_q, of_r, of_candidate = factors[:, :H], factors[:, H : 2 * H], factors[:, 3 * H : 4 * H]
    return [
        (np.multiply, of_candidate, r, of_q),
        (np.multiply, of_r, q, of_r),
        (np.multiply, of_r, of_candidate, of_r),
    ]


class _Cell(Direction):
    """One direction of a GRU.

    A step has the blocks of rows q, r, z, ĥ. With ``linear_before_reset`` q is the recurrent product of the candidate ĥ,
    else r · h. The blocks of its gradients are q, r, z, the argument of ĥ, and the direct gradient of h. The blocks
    computed with R (q to z, or r to z) are adjacent, and so are the blocks computed with W (r to ĥ).
    """

    rows, gate_at = 5, (_H, _R, _Z, _H)

    def __init__(self, ctx: Context, inputs: CellInputs, options: CellOptions) -> None:
        super().__init__(ctx, inputs, options)
        T, H, N = self.T, self.H, self.N
        self.reset_after = options.linear_before_reset
        self.prescaled = self.functions[0][0] == "Sigmoid" and self.clip is None
        self.gates = self.ctx.save_for_backward((T, 4 * H, N))
        clipped = self.clip is not None and self.training
        self.inside = self.ctx.save_for_backward((T, 3 * H, N), np.bool_) if clipped else None

    def packed(self, scaled: bool) -> tuple[Array, Calls]:
        """The weights [R, b, W] of the rows q, r, z, ĥ, and the calls that copy them.

        q has no W and ĥ has no R. Gate weights are halved if ``scaled``, for sigmoids by tanh.
        """
        H, ctx = self.H, self.ctx
        packed = ctx.scratch((4 * H, self.block.shape[-2]))
        bias, calls = self.both_biases()
        for slot, source in ((1, _R), (2, _Z)):
            calls += self.pack(packed, slot, source, bias, 0.5 if scaled else 1.0)
        candidate_rows = slice(_H * H, 3 * H)
        q, candidate = packed[:H], packed[3 * H :]
        calls += [
            (np.copyto, q[:, :H], self.R[candidate_rows]),
            (q[:, H:].fill, 0.0),
            (np.copyto, candidate[:, H + 1 :], self.W[candidate_rows]),
            (candidate[:, : H + 1].fill, 0.0),
        ]
        if self.B is not None and bias is not None:
            first, second = np.split(self.B, 2)
            calls.append(
                (np.copyto, candidate[:, H], first[candidate_rows] if self.reset_after else bias[candidate_rows])
            )
            if self.reset_after:
                calls.append((np.copyto, q[:, H], second[candidate_rows]))
        return packed, calls

    def prepare(self) -> Calls:
        H, N = self.H, self.N
        self.f, self.g = self.gate(0, (2 * H, N)), self.gate(1, (H, N))
        self.t, self.gates_scratch = self.ctx.scratch((H, N)), self.ctx.scratch((2 * H, N))
        self.half = self.ctx.constant(0.5)
        self.weights, calls = self.packed(self.prescaled)
        return [
            *calls,
            (np.matmul, self.weights[3 * H :, H:], self.inputs_of_slot(3)[: self.T, H:], self.gates[:, 3 * H :]),
        ]

    def step(self, s: int) -> Calls:
        H, t = self.H, self.t
        S, h = self.gates[s], self.h[s]
        q, r, _, candidate = S.reshape(4, H, self.N)
        sigmoids = S[H : 3 * H]
        first = 0 if self.reset_after else 1
        calls = self.multiply(s, first, 3, S[first * H : 3 * H])
        joined = self.prescaled and self.reset_after
        if self.prescaled:
            calls.append((np.tanh, sigmoids, sigmoids))
            if not joined:
                calls += [(f, sigmoids, self.half, sigmoids) for f in (np.multiply, np.add)]
        else:
            inside = None if self.inside is None else self.inside[s, : 2 * H]
            calls += [*self.clip_calls(sigmoids, inside, self.gates_scratch), *self.f.apply(sigmoids)]
        if joined:
            calls += gru_gates(S, self.half, t=t)
        elif self.reset_after:
            calls += [(np.multiply, r, q, t), (np.add, candidate, t, candidate)]
        else:
            calls += [
                (np.multiply, r, self.inputs_of_slot(0)[s, :H], q),
                *matmul(self.reused_scratch, self.weights[:H, :H], q, t),
                (np.add, candidate, t, candidate),
            ]
        inside = None if self.inside is None else self.inside[s, 2 * H :]
        return [
            *calls,
            *self.clip_calls(candidate, inside, t),
            *self.g.apply(candidate),
            *gru_state(S, h, self.h[s + 1], t=t),
        ]

    def start_backward(self, steps: int) -> Calls:
        H, N, columns = self.H, self.N, self.block.shape[-2]
        self.f, self.g = self.gate(0, (steps, 2 * H, N)), self.gate(1, (steps, H, N))
        self.t, self.difference = self.ctx.scratch((H, N)), self.ctx.scratch((steps, H, N))
        self.weights_back, calls = self.packed(False)
        self.of_W = self.outer(1, 4, columns - H, steps)
        self.of_R = self.outer(0 if self.reset_after else 1, 3, H + 1, steps)
        self.of_q = None if self.reset_after else OuterSum(self.ctx, (H, H), steps)
        return calls

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        H = self.H
        S, h, t = self.gates[start:stop], self.h[start:stop], self.difference[: stop - start]
        one = self.ctx.constant(1.0)
        if self.reset_after and self.inside is None and (self.f.name, self.g.name) == ("Sigmoid", "Tanh"):
            return gru_factors(S, h, D, f=self.f, g=self.g, one=one, t=t)
        calls = _common_factors(S, h, D, self.f, self.g, one, t)
        if self.inside is not None:  # r, z, ĥ
            calls.append((np.multiply, D[:, H : 4 * H], self.inside[start:stop], D[:, H : 4 * H]))
        if self.reset_after:
            return [*calls, *_factors_of_reset(S, D)]
        r, of_q, of_r = S[:, H : 2 * H], D[:, :H], D[:, H : 2 * H]
        seen = self.inputs_of_slot(0)[start:stop, :H]
        to_q = (np.copyto, of_q, r) if self.state_masks is None else (np.multiply, r, self.state_masks[0], of_q)
        return [*calls, to_q, (np.multiply, of_r, seen, of_r)]

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        H, dh, t = self.H, carry[0], self.t
        gradients = D[i].reshape(5, H, self.N)
        R = self.weights_back[:, :H]
        if self.reset_after:
            return [
                (np.multiply, gradients, dh, gradients),
                *self.multiply_back(0, 3, D[i, : 3 * H], dh),
                (np.add, dh, gradients[4], dh),
            ]
        return [
            (np.multiply, gradients[2:], dh, gradients[2:]),
            *matmul(self.reused_scratch, R[:H].T, gradients[3], t),
            (np.multiply, gradients[:2], t, gradients[:2]),
            *self.multiply_back(1, 3, D[i, H : 3 * H], dh),
            (np.add, dh, gradients[4], dh),
            (np.add, dh, gradients[0], dh),
        ]

    def weight_gradients(self, start: int, stop: int, D: Array) -> Calls:
        H, first = self.H, 0 if self.reset_after else 1
        calls = self.of_W.add(self.rows_of(D, 1, 4), self.operands_of(start, stop, 1, 4, slice(H, None)))
        calls += self.of_R.add(self.rows_of(D, first, 3), self.operands_of(start, stop, first, 3, slice(H + 1)))
        if self.of_q is not None:
            calls += self.of_q.add(D[:, 3 * H : 4 * H], self.gates[start:stop, :H])
        return calls

    def finish_weights(self, dW: Array | None, dR: Array | None, dB: Array | None) -> Calls:
        H = self.H
        by_W, by_R = self.of_W.total, self.of_R.total  # rows r, z, ĥ of [b, W]; rows (q,) r, z of [R, b]
        if self.of_q is None:
            of_q, by_R = by_R[:H], by_R[H:]
        else:
            of_q = self.of_q.total
        calls: Calls = []
        for k, (gate, rows) in enumerate(((_R, by_R[:H]), (_Z, by_R[H:]), (_H, of_q))):
            at = slice(gate * H, (gate + 1) * H)
            d = by_W[k * H : (k + 1) * H]
            if dR is not None:
                calls.append((np.copyto, dR[at], rows[:, :H]))
            if dW is not None:
                calls.append((np.copyto, dW[at], d[:, 1:]))
            if dB is not None:
                first, second = dB.reshape(2, 3 * H)
                by_state = rows[:, H] if gate == _H and self.reset_after else d[:, 0]
                calls += [(np.copyto, first[at], d[:, 0]), (np.copyto, second[at], by_state)]
        return calls

    def inputs_of(self, D: Array) -> tuple[Array, int]:
        return D[:, self.H : 4 * self.H], 1


@op
class GRU(Recurrent):
    """``z, r = f(W x + R h₋₁ + Wb + Rb)``, ``ĥ = g(W x + Wb + R (r · h₋₁) + Rb)``, ``h = (1 - z) · ĥ + z · h₋₁``.

    With ``linear_before_reset``, ``ĥ = g(W x + Wb + r · (R h₋₁ + Rb))``.

    X (T, N, I), W (D, 3 · H, I), R (D, 3 · H, H), B (D, 6 · H) → Y (T, D, N, H), Y_h (D, N, H), with D directions and the
    gate order z, r, ĥ. The outputs of a sequence of length 0 are 0, whatever its initial state. ONNX; Cho et al.,
    *Learning phrase representations using RNN encoder–decoder*, EMNLP 2014.
    """

    cell, gates, default_activations = _Cell, 3, ("Sigmoid", "Tanh")

    linear_before_reset: int = 0

    def options(self, functions: Sequence[tuple[str, float, float]], *, reverse: bool) -> CellOptions:
        return CellOptions(reverse, functions, self.clip, bool(self.linear_before_reset))
