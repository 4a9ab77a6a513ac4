"""LSTM, GRU and RNN, their cells, and their forms with dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np

from graphspec.base.arrays.layout import axis_order, pieces
from graphspec.graph.ir.dims import Shape, fixed_size, show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.common import BLOCK_ELEMENTS
from graphspec.graph.kernels.compiled import twin
from graphspec.graph.kernels.context import Bound, Calls, Context, need, normalize_axis
from graphspec.graph.kernels.matmul import matmul
from graphspec.graph.kernels.one_call import give_tanh
from graphspec.graph.kernels.recurrence import (
    CellInputs,
    CellOptions,
    Direction,
    Gate,
    Lengths,
    OuterSum,
    parse_activations,
)
from graphspec.graph.ops.op import Inference, Op, TrainingOnly

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


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
    default_activations: ClassVar[tuple[str, ...]]  # of one direction if the attribute `activations` is absent

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
        need.float(X, W, R, B, *initial)
        need.value(self.layout == 0, "needs layout 0, with time before batch: transpose X")
        need.value(self.direction in DIRECTIONS, f"has no direction '{self.direction}'")
        D, H, names = len(DIRECTIONS[self.direction]), self.hidden_size, self.activations
        count = D * len(self.default_activations)
        need.value(names is None or len(names) == count, f"needs {count} activations")
        self.functions()
        need.value(self.clip is None or self.clip > 0, "needs a positive clip")
        need(X.rank == 3, f"needs data (time, batch, features), got {show(X.shape)}")
        T, N, features = X.shape
        expected = {
            "W": (W, (D, self.gates * H, features)),
            "R": (R, (D, self.gates * H, H)),
            "B": (B, (D, 2 * self.gates * H)),
            "sequence_lens": (sequence_lens, (N,)),
            **{f"initial state {k}": (state, (D, N, H)) for k, state in enumerate(initial)},
        }
        for name, (value, shape) in expected.items():
            fits = value is None or value.shape == shape
            need.sizes(fits, f"needs {name} of shape {show(shape)}, got {show(value.shape if value else ())}")
        integer = sequence_lens is None or sequence_lens.dtype in ("int32", "int64")
        need.dtype(integer, "needs integer sequence_lens")
        return Type(X.dtype, (T, D, N, H)), *[Type(X.dtype, (D, N, H))] * self.cell.states

    def functions(self) -> list[tuple[str, float, float]]:
        """Return the activations of all directions, each with its alpha and beta."""
        names = self.activations or self.default_activations * len(DIRECTIONS[self.direction])
        return parse_activations(names, self.activation_alpha, self.activation_beta)

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        """Each step multiplies the input by W and the state by R."""
        return fixed_size(shapes[0][:2]) * (fixed_size(shapes[1]) + fixed_size(shapes[2]))

    def bind(
        self, ctx: Context, *inputs: Array | None, masks: tuple[Array | None, Array | None] = (None, None)
    ) -> Bound:
        """Bind the directions one after the other, and join their outputs.

        ``masks`` are factors of the state (N, gates, H) and of the input (N, gates, I), or None.
        """
        X, W, R = (cast("Array", array) for array in inputs[:3])
        B, lens, *initial = (*inputs[3:], *[None] * 4)[: 2 + self.cell.states]
        reverses = DIRECTIONS[self.direction]
        functions = self.functions()
        per_direction = len(functions) // len(reverses)
        lengths = None if lens is None else Lengths(ctx, lens, len(X))
        cells = []
        for d, reverse in enumerate(reverses):
            states = [part(state, d) for state in initial]
            arrays = CellInputs(X, W[d], R[d], part(B, d), lengths, states, masks)
            own = functions[d * per_direction : (d + 1) * per_direction]
            options = CellOptions(reverse, own, self.clip, bool(getattr(self, "linear_before_reset", 0)))
            cells.append(self.cell(ctx, arrays, options))
        calls = [] if lengths is None else lengths.calls
        for cell in cells:
            calls = calls + cell.forward()
        outputs = []
        for k in range(1 + len(initial)):
            parts = [cell.outputs() if k == 0 else cell.last(k - 1) for cell in cells]
            calls = calls + [call for _, copies in parts for call in copies]
            if len(parts) == 1:
                outputs.append(parts[0][0][:, None] if k == 0 else parts[0][0][None])
                continue
            joined = ctx.out(k)
            calls += [(np.copyto, joined[:, d] if k == 0 else joined[d], states) for d, (states, _) in enumerate(parts)]
            outputs.append(joined)

        def backward(dY: Array | None, *dlast: Array | None) -> Calls:
            weights = [ctx.grad(i) for i in (1, 2, 3)]
            initial_gradients = [ctx.grad(5 + k) for k in range(len(initial))]
            calls: Calls = []
            for d, cell in enumerate(cells):
                last, of_weights, of_initial = ([part(x, d) for x in xs] for xs in (dlast, weights, initial_gradients))
                calls += cell.backward(part(dY, (slice(None), d)), last, ctx.grad(0), of_weights, of_initial)
            return calls

        return tuple(outputs), calls, backward


def part(X: Array | None, index: Any) -> Array | None:
    """Return ``X[index]`` if there is X."""
    return None if X is None else X[index]


class _Cell(Direction):
    """A cell, and what is common to all: ``inside`` is where the clip leaves the gates as they are, for backward."""

    def __init__(self, ctx: Context, inputs: CellInputs, options: CellOptions) -> None:
        super().__init__(ctx, inputs, options)
        flags = (self.T, len(set(self.gate_at)) * self.H, self.N)
        self.inside = ctx.save_for_backward(flags, np.bool_) if self.clip is not None and self.training else None

    def clipped(self, start: int, stop: int, gradients: Array) -> Calls:
        """Return the call that sets the gradients of what the clip has changed to 0."""
        return [] if self.inside is None else [(np.multiply, gradients, self.inside[start:stop], gradients)]


class _JointCell(_Cell):
    """A cell with one sum of gradients for the weights of all gates."""

    first: ClassVar[int]  # the block at which the gates begin in the gradients of a step

    def packed(self, scaled: bool = False) -> tuple[Array, Calls]:
        """The weights [R, b, W] by slot, and the calls that copy them; the first three are halved if ``scaled``."""
        packed = self.ctx.scratch((len(self.gate_at) * self.H, self.block.shape[-2]))
        bias, calls = self.both_biases()
        for slot, gate in enumerate(self.gate_at):
            calls += self.pack(packed, slot, gate, bias, 0.5 if scaled and slot < 3 else 1.0)
        return packed, calls

    def start_backward(self, steps: int) -> Calls:
        self.weights_back, calls = self.packed()
        self.sums = self.outer(0, len(self.gate_at), self.weights_back.shape[1], steps)
        return calls

    def weight_gradients(self, start: int, stop: int, D: Array) -> Calls:
        first, gates = self.first, len(self.gate_at)
        rows = self.rows_of(D, first, first + gates)
        return self.sums.add(rows, self.operands_of(start, stop, 0, gates, slice(None)))

    def finish_weights(self, dW: Array | None, dR: Array | None, dB: Array | None) -> Calls:
        H, calls = self.H, list[tuple[object, ...]]()
        both = None if dB is None else dB.reshape(2, -1)
        for slot, gate in enumerate(self.gate_at):
            rows, d = slice(gate * H, (gate + 1) * H), self.sums.total[slot * H : (slot + 1) * H]
            targets = part(dR, rows), part(dW, rows), part(both, (slice(None), rows))
            pairs = zip(targets, (d[:, :H], d[:, H + 1 :], d[:, H]), strict=True)
            calls += [(np.copyto, target, source) for target, source in pairs if target is not None]
        return calls

    def inputs_of(self, D: Array) -> tuple[Array, int]:
        return D[:, self.first * self.H : (self.first + len(self.gate_at)) * self.H], 0


# RNN: the operator and its cell.
class _RNNCell(_JointCell):
    """The cell of a simple recurrent network: its state after a step is the activation itself."""

    rows, gate_at, first = 1, (0,), 0

    def prepare(self) -> Calls:
        self.f, self.t = self.gate(0, (self.H, self.N)), self.ctx.scratch((self.H, self.N))
        self.weights, calls = self.packed()
        return calls

    def step(self, s: int) -> Calls:
        h = self.h[s + 1]
        return [*self.multiply(s, 0, 1, h), *self.clip_calls(h, part(self.inside, s), self.t), *self.f.apply(h)]

    def start_backward(self, steps: int) -> Calls:
        self.f = self.gate(0, (steps, self.H, self.N))
        return super().start_backward(steps)

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        return [*self.f.slope(self.h[start + 1 : stop + 1], D), *self.clipped(start, stop, D)]

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        dh = carry[0]
        return [(np.multiply, D[i], dh, D[i]), *self.multiply_back(0, 1, D[i], dh)]


class RNN(Recurrent):
    """``h = f(W x + R h₋₁ + Wb + Rb)``.

    Shapes: X (T, N, I) → Y (T, D, N, H), Y_h (D, N, H), as in ONNX. The outputs for a sequence of length 0 are zeros,
    whatever its initial state. Elman, *Finding structure in time*, 1990.
    """

    cell, gates, default_activations = _RNNCell, 1, ("Tanh",)


# LSTM: the operator and its cell.
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
    return [*calls, (np.multiply, gates[H : 3 * H], gates[3 * H :], pair), (np.add, pair[:H], pair[H:], c)]


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


class _LSTMCell(_JointCell):
    """A step stores blocks of H rows: o, i, f, c̃, and the cell state before it.

    Its gradients are six blocks: dc as far as it comes from dh, do, di, df, dc̃, and dc before the step.
    """

    states, rows, gate_at, first = 2, 6, _GATES, 1

    def __init__(self, ctx: Context, inputs: CellInputs, options: CellOptions) -> None:
        super().__init__(ctx, inputs, options)
        T, H, N = self.T, self.H, self.N
        f, g, _ = (name for name, _, _ in self.functions)
        self.one_tanh = f == "Sigmoid" and g == "Tanh" and self.clip is None
        self.gates = self.ctx.save_for_backward((T + 1, 5 * H, N))
        self.squashed = self.ctx.save_for_backward((T, H, N))  # h(c), which the output gate multiplies

    def state(self, k: int) -> tuple[Array, Array, int]:
        return super().state(0) if k == 0 else (self.gates[:, 4 * self.H :], self.gates, 4 * self.H)

    def unbounded(self, k: int) -> bool:
        return k == 0 or not (self.f.bounded and self.g.bounded)

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
            calls += self.clip_calls(Z, part(self.inside, s), self.t)
            calls += [*self.f.apply(sigmoids), *self.g.apply(S[3 * H : 4 * H])]
        calls += lstm_state(S, c, self.half if self.one_tanh else None, pair=self.pair)
        u = self.squashed[s]
        calls += [(np.tanh, c, u)] if self.hf.name == "Tanh" else [(np.copyto, u, c), *self.hf.apply(u)]
        return [*calls, (np.multiply, S[:H], u, self.h[s + 1])]

    def start_backward(self, steps: int) -> Calls:
        H, N = self.H, self.N
        self.f, self.g, self.hf = (self.gate(k, (steps, n * H, N)) for k, n in enumerate((3, 1, 1)))
        return super().start_backward(steps)

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        H = self.H
        usual = (self.f.name, self.g.name, self.hf.name) == ("Sigmoid", "Tanh", "Tanh")
        factors = lstm_factors if usual else lstm_factors.numpy
        calls = factors(self.gates[start:stop], self.squashed[start:stop], D, f=self.f, g=self.g, h=self.hf)
        return [*calls, *self.clipped(start, stop, D[:, H : 5 * H])]

    def carried_back(self, carry: list[Array], D: Array, i: int) -> list[Array]:
        return [carry[0], carry[1] if i + 1 == len(D) else D[i + 1, 5 * self.H :]]

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        H = self.H
        dh, dc = carry
        six, later = D[i].reshape(6, H, self.N), self.carried_back(carry, D, i)[1]
        calls = lstm_back(six, dh, later, dc, part(sources[1], s))
        calls += self.multiply_back(0, 4, D[i, H : 5 * H], dh)
        if i == 0:  # the next block of steps overwrites D
            calls.append((np.copyto, dc, six[5]))
        return calls


class LSTM(Recurrent):
    """``i, o, f = f(·)`` and ``c̃ = g(·)`` of ``W x + R h₋₁ + Wb + Rb``; ``c = f · c₋₁ + i · c̃``, ``h = o · h(c)``.

    Shapes: X (T, N, I) → Y (T, D, N, H), Y_h and Y_c (D, N, H), as in ONNX. The gates are in the order i, o, f, c.
    Peepholes are not implemented. The outputs for a sequence of length 0 are zeros, whatever its initial states.
    Hochreiter and Schmidhuber, *Long short-term memory*, 1997; forget gate: Gers et al., *Learning to forget*, 2000.
    """

    cell, gates, default_activations = _LSTMCell, 4, ("Sigmoid", "Tanh", "Tanh")


# Gated recurrent unit: GRU.
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
    return [(np.multiply, of_candidate, r, of_q), (np.multiply, of_r, q, of_r), (np.multiply, of_r, of_candidate, of_r)]


class _GRUCell(_Cell):
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
            own = first if self.reset_after else bias
            calls.append((np.copyto, candidate[:, H], own[candidate_rows]))
            if self.reset_after:
                calls.append((np.copyto, q[:, H], second[candidate_rows]))
        return packed, calls

    def prepare(self) -> Calls:
        H, N = self.H, self.N
        self.f, self.g = self.gate(0, (2 * H, N)), self.gate(1, (H, N))
        self.t, self.gates_scratch = self.ctx.scratch((H, N)), self.ctx.scratch((2 * H, N))
        self.half = self.ctx.constant(0.5)
        self.weights, calls = self.packed(self.prescaled)
        of_inputs = self.inputs_of_slot(3)[: self.T, H:]
        return [*calls, (np.matmul, self.weights[3 * H :, H:], of_inputs, self.gates[:, 3 * H :])]

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
            inside = part(self.inside, (s, slice(2 * H)))
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
        calls += self.clip_calls(candidate, part(self.inside, (s, slice(2 * H, None))), t)
        return [*calls, *self.g.apply(candidate), *gru_state(S, h, self.h[s + 1], t=t)]

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
        calls += self.clipped(start, stop, D[:, H : 4 * H])  # r, z, ĥ
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
        of_q, by_R = (by_R[:H], by_R[H:]) if self.of_q is None else (self.of_q.total, by_R)
        first, second = (None, None) if dB is None else dB.reshape(2, 3 * H)
        calls: Calls = []
        for k, (gate, rows) in enumerate(((_R, by_R[:H]), (_Z, by_R[H:]), (_H, of_q))):
            at, d = slice(gate * H, (gate + 1) * H), by_W[k * H : (k + 1) * H]
            by_state = rows[:, H] if gate == _H and self.reset_after else d[:, 0]
            pairs = ((dR, rows[:, :H]), (dW, d[:, 1:]), (first, d[:, 0]), (second, by_state))
            calls += [(np.copyto, target[at], source) for target, source in pairs if target is not None]
        return calls

    def inputs_of(self, D: Array) -> tuple[Array, int]:
        return D[:, self.H : 4 * self.H], 1


class GRU(Recurrent):
    """``z, r = f(W x + R h₋₁ + Wb + Rb)``, ``ĥ = g(W x + Wb + R (r · h₋₁) + Rb)``, ``h = (1 - z) · ĥ + z · h₋₁``.

    With ``linear_before_reset``, ``ĥ = g(W x + Wb + r · (R h₋₁ + Rb))``.

    X (T, N, I), W (D, 3 · H, I), R (D, 3 · H, H), B (D, 6 · H) → Y (T, D, N, H), Y_h (D, N, H), with D directions and the
    gate order z, r, ĥ. The outputs of a sequence of length 0 are 0, whatever its initial state. ONNX; Cho et al.,
    *Learning phrase representations using RNN encoder–decoder*, EMNLP 2014.
    """

    cell, gates, default_activations = _GRUCell, 3, ("Sigmoid", "Tanh")

    linear_before_reset: int = 0


# LSTM, GRU and RNN with dropout on the state, and optionally on the input, of each gate: training only.
#
# The masks are equal at every step: Gal and Ghahramani, *A theoretically grounded application of dropout in recurrent neural
# networks*, NeurIPS 2016. Programs that do not train, and the exported graph, use the operator without masks.
class _Dropout(Recurrent):
    """A recurrent operator with masks.

    Its inputs are those of the operator without dropout, then a mask of the state (N, gates, H), and optionally one of the
    input (N, gates, I). The masks have no gradient.
    """

    exported = False

    def infer(self, *inputs: Any) -> tuple[Type, ...]:
        count = 5 + self.cell.states
        operands, masks = inputs[:count], inputs[count:]
        types = super().infer(*operands)
        need.value(self.direction != "bidirectional", "needs one direction, got bidirectional")
        N, features = operands[0].shape[1:]
        need(1 <= len(masks) <= 2, "needs one or two masks")
        for mask, size in zip(masks, (self.hidden_size, features), strict=False):
            need.float(mask)
            shape = (N, self.gates, size)
            need.sizes(mask.shape == shape, f"needs a mask of shape {show(shape)}, got {show(mask.shape)}")
        return types

    def bind(self, ctx: Context, *inputs: Any, masks: tuple[Array | None, Array | None] = (None, None)) -> Bound:
        count = 5 + self.cell.states
        state_mask, input_mask = (*inputs[count:], None)[:2] if ctx.training else masks
        return super().bind(ctx, *inputs[:count], masks=(state_mask, input_mask))


class DropoutLSTM(_Dropout, LSTM):
    """LSTM with dropout masks on the state and the input; shapes as :class:`LSTM`."""

    inference = Inference("LSTM", tuple(range(7)))


class DropoutGRU(_Dropout, GRU):
    """GRU with dropout masks; the candidate's mask is on its state whether r is applied before or after the product."""

    inference = Inference("GRU", tuple(range(6)))


class DropoutRNN(_Dropout, RNN):
    """RNN with dropout masks on the state and the input; shapes as :class:`RNN`."""

    inference = Inference("RNN", tuple(range(6)))


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
