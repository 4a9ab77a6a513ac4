"""RNN: the operator and its cell."""

from __future__ import annotations

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.cell_inputs import CellInputs, CellOptions
from graphspec.graph.kernels.context import Context
from graphspec.graph.kernels.recurrence import Direction
from graphspec.graph.ops.base import op
from graphspec.graph.ops.recurrent import Recurrent


class _Cell(Direction):
    """The cell of a simple recurrent network: its state after a step is the activation itself."""

    rows, gate_at = 1, (0,)

    def __init__(self, ctx: Context, inputs: CellInputs, options: CellOptions) -> None:
        super().__init__(ctx, inputs, options)
        clipped = self.clip is not None and self.training
        self.inside = self.ctx.save_for_backward((self.T, self.H, self.N), np.bool_) if clipped else None

    def packed(self) -> tuple[Array, Calls]:
        packed = self.ctx.scratch((self.H, self.block.shape[-2]))
        bias, calls = self.both_biases()
        return packed, [*calls, *self.pack(packed, 0, 0, bias)]

    def prepare(self) -> Calls:
        self.f, self.t = self.gate(0, (self.H, self.N)), self.ctx.scratch((self.H, self.N))
        self.weights, calls = self.packed()
        return calls

    def step(self, s: int) -> Calls:
        h = self.h[s + 1]
        inside = None if self.inside is None else self.inside[s]
        return [*self.multiply(s, 0, 1, h), *self.clip_calls(h, inside, self.t), *self.f.apply(h)]

    def start_backward(self, steps: int) -> Calls:
        self.f = self.gate(0, (steps, self.H, self.N))
        self.weights_back, calls = self.packed()
        self.sums = self.outer(0, 1, self.weights_back.shape[1], steps)
        return calls

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        calls = self.f.slope(self.h[start + 1 : stop + 1], D)
        if self.inside is not None:
            calls.append((np.multiply, D, self.inside[start:stop], D))
        return calls

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        dh = carry[0]
        return [(np.multiply, D[i], dh, D[i]), *self.multiply_back(0, 1, D[i], dh)]

    def weight_gradients(self, start: int, stop: int, D: Array) -> Calls:
        return self.sums.add(self.rows_of(D, 0, 1), self.operands_of(start, stop, 0, 1, slice(None)))

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

    def inputs_of(self, D: Array) -> tuple[Array, int]:
        return D, 0


@op
class RNN(Recurrent):
    """``h = f(W x + R h₋₁ + Wb + Rb)``.

    Shapes: X (T, N, I) → Y (T, D, N, H), Y_h (D, N, H), as in ONNX. The outputs for a sequence of length 0 are zeros,
    whatever its initial state. Elman, *Finding structure in time*, 1990.
    """

    cell, gates, default_activations = _Cell, 1, ("Tanh",)
