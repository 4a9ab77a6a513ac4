"""LSTM: the operator and its cell."""

from __future__ import annotations

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.cell_activations import Gate
from graphspec.graph.kernels.cell_inputs import CellInputs, CellOptions
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.recurrence import Direction
from graphspec.graph.ops.base import op
from graphspec.graph.ops.recurrent import Recurrent

_GATES = (1, 0, 2, 3)  # ONNX's order is i, o, f, c̃; in the order o, i, f, c̃ the factors of i · c̃ + f · c are adjacent


@twin()
def lstm_state(gates: Array, c: Array, half: Array | None, /, *, pair: Array) -> Calls:
    """Return calls for ``c = i · c̃ + f · c₋₁`` of the gates of a step; with ``half`` o, i and f are first σ of their tanh.

    Shapes: gates (5 H, N), c (H, N), and the scratch ``pair`` (2 H, N).
    """
    H = len(c)
    sigmoids, calls = gates[: 3 * H], list[tuple[object, ...]]()
    if half is not None:
        calls = [(np.multiply, sigmoids, half, sigmoids), (np.add, sigmoids, half, sigmoids)]
    return [
        *calls,
        (np.multiply, gates[H : 3 * H], gates[3 * H :], pair),
        (np.add, pair[:H], pair[H:], c),
    ]


@twin()
def lstm_factors(gates: Array, u: Array, factors: Array, /, *, f: Gate, g: Gate, h: Gate) -> Calls:
    """Return calls for the factors of the gradients, which do not depend on later steps.

    Shapes: gates (steps, 5 H, N), u = h(c) (steps, H, N), factors (steps, 6 H, N). The kernel's activations are sigmoid and
    tanh.
    """
    S, D, H = gates, factors, u.shape[1]
    of_c, of_o, of_g, of_f = D[:, :H], D[:, H : 2 * H], D[:, 4 * H : 5 * H], D[:, 5 * H :]
    return [
        *f.slope(S[:, : 3 * H], D[:, H : 4 * H]),
        (np.multiply, of_o, u, of_o),
        (np.multiply, D[:, 2 * H : 4 * H], S[:, 3 * H :], D[:, 2 * H : 4 * H]),
        *g.slope(S[:, 3 * H : 4 * H], of_g),
        (np.multiply, of_g, S[:, H : 2 * H], of_g),
        *h.slope(u, of_c),
        (np.multiply, of_c, S[:, :H], of_c),
        (np.copyto, of_f, S[:, 2 * H : 3 * H]),
    ]


@twin()
def lstm_back(factors: Array, dh: Array, later: Array, dc: Array, source: Array | None, /) -> Calls:
    """Return calls that turn the factors of a step, (6, H, N), into gradients.

    ``later`` is what the step after it adds to dc, the gradient of c, and ``source`` what the outputs add.
    """
    calls: Calls = [(np.multiply, factors[:2], dh, factors[:2]), (np.add, later, factors[0], dc)]
    if source is not None:
        calls.append((np.add, dc, source, dc))
    return [*calls, (np.multiply, factors[2:], dc, factors[2:])]


class _Cell(Direction):
    """The LSTM cell.

    A step stores blocks of H rows: o, i, f, c̃, and the cell state before it. Its gradients are six blocks: dc as far as it
    comes from dh, do, di, df, dc̃, and dc before the step.
    """

    states, rows, gate_at = 2, 6, _GATES

    def __init__(self, ctx: Context, inputs: CellInputs, options: CellOptions) -> None:
        super().__init__(ctx, inputs, options)
        T, H, N = self.T, self.H, self.N
        f, g, _ = (name for name, _, _ in self.functions)
        self.one_tanh = f == "Sigmoid" and g == "Tanh" and self.clip is None
        self.gates = self.ctx.save_for_backward((T + 1, 5 * H, N))
        self.squashed = self.ctx.save_for_backward((T, H, N))  # h(c), which the output gate multiplies
        clipped = self.clip is not None and self.training
        self.inside = self.ctx.save_for_backward((T, 4 * H, N), np.bool_) if clipped else None

    def state(self, k: int) -> tuple[Array, Array, int]:
        return super().state(0) if k == 0 else (self.gates[:, 4 * self.H :], self.gates, 4 * self.H)

    def unbounded(self, k: int) -> bool:
        return k == 0 or not (self.f.bounded and self.g.bounded)

    def packed(self, scaled: bool) -> tuple[Array, Calls]:
        packed = self.ctx.scratch((4 * self.H, self.block.shape[-2]))
        bias, calls = self.both_biases()
        for slot, gate in enumerate(_GATES):
            calls += self.pack(packed, slot, gate, bias, 0.5 if scaled and slot < 3 else 1.0)
        return packed, calls

    def prepare(self) -> Calls:
        H, N = self.H, self.N
        self.f, self.g, self.hf = self.gate(0, (3 * H, N)), self.gate(1, (H, N)), self.gate(2, (H, N))
        self.pair, self.t = self.ctx.scratch((2 * H, N)), self.ctx.scratch((4 * H, N))
        self.half = self.ctx.constant(0.5)
        self.weights, calls = self.packed(self.one_tanh)
        return calls

    def step(self, s: int) -> Calls:
        H = self.H
        S, c = self.gates[s], self.gates[s + 1, 4 * H :]
        Z, sigmoids = S[: 4 * H], S[: 3 * H]
        calls = self.multiply(s, 0, 4, Z)
        if self.one_tanh:
            calls.append((np.tanh, Z, Z))
        else:
            calls += self.clip_calls(Z, None if self.inside is None else self.inside[s], self.t)
            calls += [*self.f.apply(sigmoids), *self.g.apply(S[3 * H : 4 * H])]
        calls += lstm_state(S, c, self.half if self.one_tanh else None, pair=self.pair)
        u = self.squashed[s]
        calls += [(np.tanh, c, u)] if self.hf.name == "Tanh" else [(np.copyto, u, c), *self.hf.apply(u)]
        return [*calls, (np.multiply, S[:H], u, self.h[s + 1])]

    def start_backward(self, steps: int) -> Calls:
        H, N = self.H, self.N
        self.f, self.g, self.hf = (self.gate(k, (steps, n * H, N)) for k, n in enumerate((3, 1, 1)))
        self.weights_back, calls = self.packed(False)
        self.sums = self.outer(0, 4, self.weights_back.shape[1], steps)
        return calls

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        H = self.H
        usual = (self.f.name, self.g.name, self.hf.name) == ("Sigmoid", "Tanh", "Tanh")
        factors = lstm_factors if usual else lstm_factors.numpy
        calls = factors(self.gates[start:stop], self.squashed[start:stop], D, f=self.f, g=self.g, h=self.hf)
        if self.inside is not None:
            calls.append((np.multiply, D[:, H : 5 * H], self.inside[start:stop], D[:, H : 5 * H]))
        return calls

    def carried_back(self, carry: list[Array], D: Array, i: int) -> list[Array]:
        return [carry[0], carry[1] if i + 1 == len(D) else D[i + 1, 5 * self.H :]]

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        H = self.H
        dh, dc = carry
        six, later = D[i].reshape(6, H, self.N), self.carried_back(carry, D, i)[1]
        source = sources[1]
        calls = lstm_back(six, dh, later, dc, None if source is None else source[s])
        calls += self.multiply_back(0, 4, D[i, H : 5 * H], dh)
        if i == 0:  # the next block of steps overwrites D
            calls.append((np.copyto, dc, six[5]))
        return calls

    def weight_gradients(self, start: int, stop: int, D: Array) -> Calls:
        return self.sums.add(self.rows_of(D, 1, 5), self.operands_of(start, stop, 0, 4, slice(None)))

    def finish_weights(self, dW: Array | None, dR: Array | None, dB: Array | None) -> Calls:
        H = self.H
        calls: Calls = []
        for slot, gate in enumerate(_GATES):
            rows, d = slice(gate * H, (gate + 1) * H), self.sums.total[slot * H : (slot + 1) * H]
            if dR is not None:
                calls.append((np.copyto, dR[rows], d[:, :H]))
            if dW is not None:
                calls.append((np.copyto, dW[rows], d[:, H + 1 :]))
            if dB is not None:
                calls.append((np.copyto, dB.reshape(2, 4 * H)[:, rows], d[:, H]))
        return calls

    def inputs_of(self, D: Array) -> tuple[Array, int]:
        return D[:, self.H : 5 * self.H], 0


@op
class LSTM(Recurrent):
    """``i, o, f = f(·)`` and ``c̃ = g(·)`` of ``W x + R h₋₁ + Wb + Rb``; ``c = f · c₋₁ + i · c̃``, ``h = o · h(c)``.

    Shapes: X (T, N, I) → Y (T, D, N, H), Y_h and Y_c (D, N, H), as in ONNX. The gates are in the order i, o, f, c.
    Peepholes are not implemented. The outputs for a sequence of length 0 are zeros, whatever its initial states.
    Hochreiter and Schmidhuber, *Long short-term memory*, 1997; forget gate: Gers et al., *Learning to forget*, 2000.
    """

    cell, gates, default_activations = _Cell, 4, ("Sigmoid", "Tanh", "Tanh")
