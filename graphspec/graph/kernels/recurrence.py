"""One direction of a recurrence over all steps, and its gradient.

All arrays are feature-major, (step, features, samples): a gate of all samples is contiguous, and a step is one matrix
product with ``[h; 1; x]`` and a few elementwise calls. The backward pass processes the steps in blocks that fit the cache.
For all steps of a block at once, it first computes the factors that do not depend on later steps; then it goes back step by
step; last it computes the gradients of weights and inputs, again for all steps of the block.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np

from graphspec.graph import expressions as ex
from graphspec.graph.expressions import number
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.common import CACHE_ELEMENTS
from graphspec.graph.kernels.context import Calls, Context, need
from graphspec.graph.kernels.matmul import ReusedScratch, batched, each_tiled, matmul, small_products, worth_transposing

# The activations of recurrent operators. They work in place; their derivatives are computed from their value.
_REQUIRED = math.nan  # the defaults of ONNX and onnxruntime differ, so the spec must give the value


@dataclass(frozen=True)
class CellActivation:
    """A row of the table of activations."""

    formula: ex.Formula  # returns Y of X, alpha and beta (a and b)
    slope: ex.Formula  # returns the derivative of Y, alpha and beta
    alpha: float | None = None  # the default; None if it is not used
    beta: float | None = None
    bounded: bool = False  # whether its values are bounded


CELL_ACTIVATIONS: dict[str, CellActivation] = {  # the activations of ONNX's recurrent operators
    # A sigmoid needs only one slow call, tanh.
    "Sigmoid": CellActivation(lambda X, a, b: ex.tanh(X * 0.5) * 0.5 + 0.5, lambda Y, a, b: Y * (1 - Y), bounded=True),
    "Tanh": CellActivation(lambda X, a, b: ex.tanh(X), lambda Y, a, b: 1 - ex.square(Y), bounded=True),
    "Relu": CellActivation(lambda X, a, b: ex.maximum(X, 0), lambda Y, a, b: number(Y > 0)),
    "Softsign": CellActivation(
        lambda X, a, b: X / (ex.absolute(X) + 1), lambda Y, a, b: ex.square(1 - ex.absolute(Y)), bounded=True
    ),
    "Softplus": CellActivation(
        lambda X, a, b: ex.log1p(ex.exp(-ex.absolute(X))) + ex.maximum(X, 0), lambda Y, a, b: -ex.expm1(-Y)
    ),
    "LeakyRelu": CellActivation(
        lambda X, a, b: (ex.maximum if a <= 1 else ex.minimum)(X, X * a),
        lambda Y, a, b: number(Y > 0) * (1 - a) + a,
        0.01,
    ),
    "ThresholdedRelu": CellActivation(
        lambda X, a, b: X * (a < X), lambda Y, a, b: number(ex.not_equal(Y, 0)), _REQUIRED
    ),
    "Elu": CellActivation(
        lambda X, a, b: ex.expm1(ex.minimum(X, 0)) * a + ex.maximum(X, 0),
        lambda Y, a, b: ex.minimum(Y, 0) + a + number(Y > 0) * (1 - a),
        1.0,
    ),
    "Affine": CellActivation(
        lambda X, a, b: X * a + b if b else X * a, lambda Y, a, b: number(a), _REQUIRED, _REQUIRED
    ),
    "ScaledTanh": CellActivation(
        lambda X, a, b: ex.tanh(X * b) * a, lambda Y, a, b: ex.square(Y) * (-b / a) + a * b, _REQUIRED, _REQUIRED
    ),
    "HardSigmoid": CellActivation(
        lambda X, a, b: ex.minimum(ex.maximum(X * a + b, 0), 1),
        lambda Y, a, b: number(Y > 0) * (Y < 1) * a,
        *(0.2, 0.5),
        bounded=True,
    ),
}
_CANONICAL = {name.lower(): name for name in CELL_ACTIVATIONS}


def parse_activations(
    names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None
) -> list[tuple[str, float, float]]:
    """Return each activation with its alpha and beta.

    As in onnxruntime, the activations that use an alpha or a beta receive them in the order of the lists. Raise ShapeError
    (``GS105``) for an unknown name, missing or surplus values, or a slope that is not positive.
    """
    unused = [list(alphas or ()), list(betas or ())]
    parsed = []
    for written in names:
        name = _CANONICAL.get(written.lower(), "")
        need.value(bool(name), f"does not know the activation '{written}'")
        values = [0.0, 0.0]
        for k, default in enumerate((CELL_ACTIVATIONS[name].alpha, CELL_ACTIVATIONS[name].beta)):
            if default is not None:
                values[k] = unused[k].pop(0) if unused[k] else default
        alpha, beta = values
        need.value(not any(map(math.isnan, values)), f"needs an alpha or a beta for the activation {name}")
        signed = name in ("LeakyRelu", "Elu", "HardSigmoid", "ScaledTanh")
        need.value(not signed or alpha > 0, f"needs an alpha above 0 for {name}, got {alpha}")
        parsed.append((name, alpha, beta))
    need.value(not any(unused), "has more alphas or betas than its activations use")
    return parsed


class Gate:
    """An activation with its alpha and beta, for arrays of up to ``size``, valid in one pass (forward or backward).

    It is the part of a context that formulas use: constants, and scratch buffers that all share, one after another.
    """

    def __init__(self, ctx: Context, spec: tuple[str, float, float], size: Sequence[int]) -> None:
        self.name, self.alpha, self.beta = spec
        self._row = CELL_ACTIVATIONS[self.name]
        self.bounded = self._row.bounded
        self._ctx, self._size = ctx, math.prod(size)
        self._buffers: defaultdict[Any, list[Array]] = defaultdict(list)
        self._used: Counter[Any] = Counter()

    def apply(self, X: Array) -> Calls:
        """Return calls that replace X by ``Y = f(X)``."""
        return self._record(X, self._row.formula(ex.leaf(X), self.alpha, self.beta))

    def slope(self, Y: Array, D: Array) -> Calls:
        """Return calls for ``D = f'(X)``."""
        return self._record(D, self._row.slope(ex.leaf(Y), self.alpha, self.beta))

    def _record(self, array: Array, expression: ex.Expression) -> Calls:
        self._used.clear()
        return ex.record(cast("Context", self), (array, expression))

    def constant(self, value: float) -> Array:
        return self._ctx.constant(value)

    def zeros_like(self, X: Array) -> Array:
        return self._ctx.constant(0.0)

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array:
        dtype = np.dtype(self._ctx.dtype if dtype is None else dtype)
        buffers, number = self._buffers[dtype], self._used[dtype]
        if number == len(buffers):
            buffers.append(self._ctx.scratch((max(self._size, 1),), dtype))  # a constant has one even without rows
        self._used[dtype] += 1
        return buffers[number][: math.prod(shape)].reshape(shape)


# The inputs of one direction of a recurrent operator: arrays, sequence lengths, attributes.
class Lengths:
    """The lengths ``lens`` (N,); ``valid`` (T, N) is 1 at steps of a sequence, ``started`` (N,) if there are any."""

    def __init__(self, ctx: Context, lens: Array, T: int) -> None:
        N = len(lens)
        self.lens = ctx.save_for_backward((N,), np.int64)
        self.valid, self.started = ctx.save_for_backward((T, N)), ctx.save_for_backward((N,))
        steps = ctx.constant(np.arange(T)[:, None], np.int64)
        self.calls: Calls = [
            (np.copyto, self.lens, lens),
            (partial(np.less, out=self.valid, casting="unsafe"), steps, self.lens),
            (partial(np.greater, out=self.started, casting="unsafe"), self.lens, ctx.constant(0, np.int64)),
        ]


@dataclass(frozen=True)
class CellInputs:
    """The arrays of one direction."""

    X: Array  # (T, N, I)
    W: Array  # (gates · H, I)
    R: Array  # (gates · H, H)
    B: Array | None  # (2 · gates · H,)
    lengths: Lengths | None  # None if all sequences have T steps
    initial: Sequence[Array | None]  # (N, H) for each state, or None for zeros
    masks: tuple[Array | None, Array | None] = (None, None)  # dropout: state (N, gates, H), input (N, gates, I)


@dataclass(frozen=True)
class CellOptions:
    """The attributes of one direction."""

    reverse: bool  # whether the recurrence runs from the last step to the first
    functions: Sequence[tuple[str, float, float]]  # the activations, each with its alpha and beta
    clip: float | None  # the bound of the activations' arguments
    linear_before_reset: bool = False  # whether a GRU applies its reset gate after the product with the state


# Products over the steps of a recurrence, in blocks of steps that fit the cache.
class InputGradient:
    """``dX[s] = rows[s]ᵀ · W`` for the steps of a block; with ``masks`` (slots, I, N) summed over slots from ``first``."""

    def __init__(self, ctx: Context, dX: Array, steps: int, masks: Array | None) -> None:
        self.dX, self.masks = dX, masks
        direct = dX.itemsize in dX.strides[1:] or 1 in dX.shape[1:]
        self.buffer = None if direct else ctx.scratch((steps, *dX.shape[1:]))
        self.terms = None if masks is None else ctx.scratch((steps, len(masks), dX.shape[2], dX.shape[1]))

    def __call__(self, rows: Array, W: Array, first: int, start: int, stop: int) -> Calls:
        target = self.dX[start:stop]
        if self.masks is not None and self.terms is not None:
            n = len(self.masks) - first
            t, H = self.terms[: stop - start, :n], len(W) // n
            A, B = W.reshape(n, H, W.shape[1]).mT, rows.reshape(len(rows), n, H, rows.shape[2])
            product: Calls = [(np.matmul, A, B, t), (np.multiply, t, self.masks[first:], t)]
            return [*product, (np.add.reduce, t, 1, None, target.mT)]
        if self.buffer is not None:
            t = self.buffer[: stop - start]
            return [each_tiled(rows.mT, W, t), (np.copyto, target, t)]
        if target.strides[-1] == target.itemsize:
            return [each_tiled(rows.mT, W, target)]
        return [each_tiled(W.T, rows, target.mT)]


_LARGE = 24_000  # elements of a result from which it pays to copy steps; a third where BLAS packs small operands too


class OuterSum:
    """``total = Σ A[s] · B[s]ᵀ`` over all steps, in blocks of steps from the last to the first.

    The steps of a block are copied side by side and multiplied by one product, which writes its result once. Of a small
    result this costs more than one call that computes the products of several steps.
    """

    def __init__(self, ctx: Context, shape: Sequence[int], steps: int) -> None:
        self._ctx, self._scratch = ctx, ReusedScratch(ctx)
        self._join_steps = steps > 1 and math.prod(shape[-2:]) >= (_LARGE if small_products() else _LARGE // 3)
        size = min(steps, max(1, CACHE_ELEMENTS // max(math.prod(shape), 1)))
        self._size = steps if self._join_steps else size
        self._total, self._part = ctx.scratch(shape), ctx.scratch(shape)
        self._parts = None if self._join_steps else ctx.scratch((size, *shape))
        self._ones = ctx.constant(np.ones(size))
        self.total = self._total.reshape(-1, shape[-1])
        self._sides: list[Array] = []
        self._result = self._total

    def add(self, A: Array, B: Array) -> Calls:
        """Return calls that add the products of A (steps, …, rows, N) and B (steps, …, columns, N)."""
        calls: Calls = []
        for start in range(0, len(A), self._size):
            a, b, result = A[start : start + self._size], B[start : start + self._size], self._result
            if (n := len(a)) > 1 and self._parts is not None:
                parts, b = self._parts[:n], b.mT
                if worth_transposing(a.shape[-2], a.shape[-1], b.shape[-1]):
                    b, view = self._scratch.scratch((self._size, *b.shape[1:]))[:n], b
                    calls.append((np.copyto, b, view))
                calls.append((np.matmul, a, b, parts))
                calls.append((np.dot, self._ones[:n], parts.reshape(n, -1), result.reshape(-1)))
            else:
                (a, first), (b, second) = self._side_by_side(0, a), self._side_by_side(1, b)
                calls += [*first, *second, *batched(self._scratch, a, b.mT, result)]
            if result is self._part:
                calls.append((np.add, self._total, result, self._total))
            self._result = self._part
        return calls

    def _side_by_side(self, k: int, X: Array) -> tuple[Array, Calls]:
        """Return X (steps, …, rows, N) as (…, rows, steps · N)."""
        if len(X) == 1:
            return X[0], []
        if k == len(self._sides):
            self._sides.append(self._ctx.scratch((*X.shape[1:-1], self._size, X.shape[-1])))
        buffer = self._sides[k][..., : len(X), :]
        return buffer.reshape(*buffer.shape[:-2], -1, copy=False), [(np.copyto, np.moveaxis(buffer, -2, 0), X)]


_FLUSH_STEPS = 4  # after this many steps tiny gradients are set to 0
_TINY = 1e-20  # adding and subtracting it rounds a float32 to a multiple of about 1e-27


class Direction:
    """One direction, with its steps in the order of the recurrence.

    At invalid steps (beyond the end of a sequence) the state is 0. In reverse these steps come first: there the state is
    the initial state, if there is one, so the recurrence starts at the last valid step. With dropout masks for the state,
    and perhaps for the input, every gate has its own [h; 1; x]. A *slot* is a block of H rows of the packed weights.
    """

    states: ClassVar[int] = 1
    rows: ClassVar[int]  # the number of blocks of H rows in the gradients of a step
    gate_at: ClassVar[tuple[int, ...]]  # the gate whose masks each slot uses
    weights: Array  # packed for forward: rows [R, b, W] of the slots
    weights_back: Array  # packed for backward, without a scale
    masked_gradients: Array  # scratch for the gradients of the masked states
    reused_scratch: ReusedScratch  # for the products of the steps, forward or backward

    def __init__(self, ctx: Context, inputs: CellInputs, options: CellOptions) -> None:
        self.ctx, self.W, self.R, self.B = ctx, inputs.W, inputs.R, inputs.B
        self.initial, self.lengths = inputs.initial, inputs.lengths
        self.functions, self.clip, self.reverse = options.functions, options.clip, options.reverse
        in_order = slice(None, None, -1 if self.reverse else 1)
        self.X, self.valid = inputs.X[in_order], None if self.lengths is None else self.lengths.valid[in_order]
        (self.T, self.N, self.I), self.H = self.X.shape, self.R.shape[1]
        of_lengths = self.lengths is not None
        self.keeps_initial = self.reverse and of_lengths and any(state is not None for state in self.initial)
        self.gathers_last = of_lengths and not self.reverse  # the last states are those of different steps
        self.training = any(ctx.wants(i) for i in range(7))
        state_mask, input_mask = inputs.masks
        self.by_gate = state_mask is not None
        slots = (len(self.gate_at),) if self.by_gate else ()
        # [h; 1; x] before each step, and after the last
        self.block = ctx.save_for_backward((self.T + 1, *slots, self.H + 1 + self.I, self.N))
        self.h = ctx.save_for_backward((self.T + 1, self.H, self.N)) if self.by_gate else self.block[:, : self.H]
        self.state_masks, self.copies = self.by_slot(state_mask, self.H)
        self.input_masks, copies = self.by_slot(input_mask, self.I)
        self.copies += copies

    # The methods of each cell.
    def prepare(self) -> Calls:
        """Return the calls before the first step."""
        raise NotImplementedError

    def step(self, s: int) -> Calls:
        """Return the calls that compute the states ``s + 1`` from the states ``s``."""
        raise NotImplementedError

    def state(self, k: int) -> tuple[Array, Array, int]:
        """Return state k of all steps (T + 1, H, N), the array that contains it, and its first row there."""
        return self.h, self.h if self.by_gate else self.block, 0

    def unbounded(self, k: int) -> bool:
        """Return whether state k must be set to 0 after the end of a sequence because it could overflow."""
        return True

    def start_backward(self, steps: int) -> Calls:
        """Return the calls before the gradients of the last step; ``steps`` is the size of the blocks."""
        raise NotImplementedError

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        """Return the calls that write the factors of the states' gradients into D (steps, rows · H, N)."""
        raise NotImplementedError

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        """Return calls that turn factors ``D[i]`` of step ``s`` into gradients; ``carry`` becomes that before the step."""
        raise NotImplementedError

    def weight_gradients(self, start: int, stop: int, D: Array) -> Calls:
        """Return the calls that add a block's part to the gradients of the weights."""
        raise NotImplementedError

    def finish_weights(self, dW: Array | None, dR: Array | None, dB: Array | None) -> Calls:
        """Return the calls that write the gradients of the weights in ONNX's order."""
        raise NotImplementedError

    def inputs_of(self, D: Array) -> tuple[Array, int]:
        """Return the gradients of the products with the input, (steps, rows, N), and the slot of the first row."""
        raise NotImplementedError

    def carried_back(self, carry: list[Array], D: Array, i: int) -> list[Array]:
        """Return the gradients of the states after step i of the block, from outputs and later steps."""
        return carry

    # The methods that all cells share.
    def by_slot(self, mask: Array | None, size: int) -> tuple[Array | None, Calls]:
        """Return a mask (N, gates, size) by slot, (slots, size, N), kept for backward, and the calls that copy it."""
        if mask is None:
            return None, []
        by_slot = self.ctx.save_for_backward((len(self.gate_at), size, self.N))
        return by_slot, [(np.copyto, by_slot[p], mask[:, gate].T) for p, gate in enumerate(self.gate_at)]

    def inputs_of_slot(self, slot: int) -> Array:
        """Return [h; 1; x] of all steps, (T + 1, H + 1 + I, N), with the masks of a slot."""
        return self.block[:, slot] if self.by_gate else self.block

    def rows_of(self, A: Array, first: int, last: int) -> Array:
        """Return the rows of some slots, (…, slots · H, columns), or with masks (…, slots, H, columns)."""
        part = A[..., first * self.H : last * self.H, :]
        return part.reshape(*part.shape[:-2], last - first, self.H, part.shape[-1]) if self.by_gate else part

    def multiply(self, s: int, first: int, last: int, out: Array) -> Calls:
        """Return calls that multiply the packed weights of some slots with their [h; 1; x] at step s."""
        weights = self.rows_of(self.weights, first, last)
        if not self.by_gate:
            return matmul(self.reused_scratch, weights, self.block[s], out)
        return [(np.matmul, weights, self.block[s, first:last], out.reshape(last - first, self.H, self.N))]

    def multiply_back(self, first: int, last: int, D: Array, dh: Array) -> Calls:
        """Return calls that write the gradient of the state before the step, from D (slots · H, N) of some slots."""
        R = self.rows_of(self.weights_back[:, : self.H], first, last)
        if self.state_masks is None:
            return matmul(self.reused_scratch, R.T, D, dh)
        n = last - first
        t = self.masked_gradients[:n]
        calls: Calls = [(np.matmul, R.mT, D.reshape(n, self.H, self.N), t)]
        return [*calls, (np.multiply, t, self.state_masks[first:last], t), (np.add.reduce, t, 0, None, dh)]

    def outer(self, first: int, last: int, columns: int, steps: int) -> OuterSum:
        """Return the sum for the gradients of some slots' weights."""
        H, n = self.H, last - first
        return OuterSum(self.ctx, (n, H, columns) if self.by_gate else (n * H, columns), steps)

    def operands_of(self, start: int, stop: int, first: int, last: int, columns: slice) -> Array:
        """Return some rows of [h; 1; x] as some slots see them: the other operand of :meth:`outer`."""
        steps = self.block[start:stop]
        return steps[:, first:last, columns] if self.by_gate else steps[:, columns]

    def gate(self, k: int, size: Sequence[int]) -> Gate:
        """Return activation k for arrays of up to ``size``."""
        return Gate(self.ctx, self.functions[k], size)

    def pack(self, packed: Array, slot: int, source: int, bias: Array | None, scale: float = 1.0) -> Calls:
        """Return calls that copy the weights of gate ``source``, times ``scale``, to a slot of ``packed``, [R, b, W]."""
        H = self.H
        to, rows = packed[slot * H : (slot + 1) * H], slice(source * H, (source + 1) * H)
        b = self.ctx.constant(np.zeros(H)) if bias is None else bias[rows]
        pairs = [(self.R[rows], to[:, :H]), (b, to[:, H]), (self.W[rows], to[:, H + 1 :])]
        factor = self.ctx.constant(scale)
        return [(np.copyto, b, a) if scale == 1.0 else (np.multiply, a, factor, b) for a, b in pairs]

    def both_biases(self) -> tuple[Array | None, Calls]:
        """Return the sum of the input's and the state's bias, or None."""
        if self.B is None:
            return None, []
        first, second = np.split(self.B, 2)
        total = self.ctx.scratch(first.shape)
        return total, [(np.add, first, second, total)]

    def clip_calls(self, Z: Array, inside: Array | None, t: Array) -> Calls:
        """Return calls that clip Z in place; ``inside`` records where it was within the bounds, ``t`` is scratch."""
        if self.clip is None:
            return []
        high, low = self.ctx.constant(self.clip), self.ctx.constant(-self.clip)
        calls: Calls = [(partial(np.minimum, out=Z), Z, high), (partial(np.maximum, out=Z), Z, low)]
        return calls if inside is None else [(np.absolute, Z, t), (np.less, t, high, inside), *calls]

    def forward(self) -> Calls:
        H, T = self.H, self.T
        self.reused_scratch = ReusedScratch(self.ctx)
        X = self.X.transpose(0, 2, 1)
        calls: Calls = [*self.copies, (self.block[..., H, :].fill, 1.0)]
        for p in range(len(self.gate_at) if self.by_gate else 1):
            to = self.inputs_of_slot(p)[:T, H + 1 :]
            calls.append((np.copyto, to, X) if self.input_masks is None else (np.multiply, X, self.input_masks[p], to))
        states = [self.state(k)[0] for k in range(self.states)]
        for state, initial in zip(states, self.initial, strict=True):
            if initial is None:
                calls.append((state[0].fill, 0.0))
            elif self.lengths is None:
                calls.append((np.copyto, state[0], initial.T))
            else:
                calls.append((np.multiply, initial.T, self.lengths.started, state[0]))
        before_start, setup = self.before_start()
        calls += [*setup, *self.prepare()]
        t = self.ctx.scratch((H, self.N))
        for s in range(T):
            if self.state_masks is not None:
                calls.append((np.multiply, self.h[s], self.state_masks, self.block[s, :, :H]))
            calls += self.step(s)
            if self.valid is None:
                continue
            for k, state in enumerate(states):
                if k == 0 or self.reverse or self.unbounded(k):
                    calls.append((np.multiply, state[s + 1], self.valid[s], state[s + 1]))
                if before_start is not None:
                    calls += [(np.multiply, state[0], before_start[s], t), (np.add, state[s + 1], t, state[s + 1])]
        return calls

    def before_start(self) -> tuple[Array | None, Calls]:
        """Return (T, N), 1 at steps where the state is still the initial state, else 0; and the calls that compute it."""
        if not self.keeps_initial or self.valid is None:
            return None, []
        before_start = self.ctx.scratch((self.T, self.N))
        return before_start, [(np.subtract, self.ctx.constant(1.0), self.valid, before_start)]

    def outputs(self) -> tuple[Array, Calls]:
        """Return Y in time order, (T, N, H): a view of the states if these are 0 at invalid steps, else a masked copy."""
        Y, calls = self.h[1:], Calls()
        if self.keeps_initial and self.valid is not None:
            Y = self.ctx.save_for_backward((self.T, self.H, self.N))
            calls.append((np.multiply, self.h[1:], self.valid[:, None], Y))
        return Y.transpose(0, 2, 1)[:: -1 if self.reverse else 1], calls

    def last(self, k: int) -> tuple[Array, Calls]:
        """Return state k after the last valid step, (N, H)."""
        state, block, row = self.state(k)
        if not self.gathers_last:
            return state[self.T].T, []
        indices, calls = self.last_indices(block.shape[1], row)
        Y = self.ctx.save_for_backward((self.H, self.N))
        return Y.T, [*calls, (block.reshape(-1).take, indices, None, Y, "clip")]

    def last_indices(self, rows: int, row: int) -> tuple[Array, Calls]:
        """Return the indices (H, N) of the last valid states in a flat (T + 1, rows, N); they start at row ``row``."""
        assert self.lengths is not None
        N, constant = self.N, partial(self.ctx.constant, dtype=np.int64)
        grid = (row + np.arange(self.H))[:, None] * N + np.arange(N)
        indices, start = self.ctx.scratch((self.H, N), np.int64), self.ctx.scratch((N,), np.int64)
        step_starts = (np.multiply, self.lengths.lens, constant(rows * N), start)
        return indices, [step_starts, (np.add, constant(grid), start, indices)]

    def backward(  # noqa: C901 (all options of LSTM, GRU and RNN, in one pass)
        self,
        dY: Array | None,
        dlast: Sequence[Array | None],
        dX: Array | None,
        weights: Sequence[Array | None],
        initial: Sequence[Array | None],
    ) -> Calls:
        """Return calls that write the gradients of X (T, N, I), of W, R and B, and of the initial states (N, H)."""
        ctx, T, H, N = self.ctx, self.T, self.H, self.N
        self.reused_scratch = ReusedScratch(ctx)
        if self.reverse:
            dY, dX = (None if d is None else d[::-1] for d in (dY, dX))
        size = min(T, max(1, CACHE_ELEMENTS // max(self.rows * H * N, 1)))
        if self.state_masks is not None:
            self.masked_gradients = ctx.scratch(self.state_masks.shape)
        calls = self.start_backward(size)
        D, t = ctx.scratch((size, self.rows * H, N)), ctx.scratch((H, N))
        carry = [ctx.scratch((H, N)) for _ in range(self.states)]
        sources: list[Array | None] = []  # the gradients of the states s + 1 from the outputs
        initial_terms: list[list[Array]] = []  # further terms of the gradients of the initial states
        for k, (last, state) in enumerate(zip(dlast, carry, strict=True)):
            source, terms, setup = self.source(dY if k == 0 else None, last)
            sources.append(source)
            initial_terms.append(terms)
            calls += setup
            if last is None or self.gathers_last:
                calls.append((state.fill, 0.0))
            else:
                calls.append((np.copyto, state, last.T))
        before_start, setup = self.before_start()
        calls += setup
        if before_start is not None:
            for terms in initial_terms:
                terms.append(ctx.scratch((H, N)))
                calls.append((terms[0].fill, 0.0))
        input_gradient = None if dX is None else InputGradient(ctx, dX, size, self.input_masks)
        for stop in range(T, 0, -size):
            start = max(0, stop - size)
            block = D[: stop - start]
            calls += self.factors(start, stop, block)
            if self.valid is not None:
                calls.append((np.multiply, block, self.valid[start:stop, None], block))
            for s in reversed(range(start, stop)):
                if (source := sources[0]) is not None:
                    calls.append((np.add, source[s], carry[0], carry[0]))
                if before_start is not None:
                    gradients = self.carried_back(carry, block, s - start)
                    for gradient, (term,) in zip(gradients, initial_terms, strict=True):
                        calls += [(np.multiply, gradient, before_start[s], t), (np.add, term, t, term)]
                if s % _FLUSH_STEPS == 0:
                    calls += self.flush(self.carried_back(carry, block, s - start))
                calls += self.step_back(s, block, s - start, carry, sources)
            if any(d is not None for d in weights):
                calls += self.weight_gradients(start, stop, block)
            if input_gradient is not None:
                rows, first = self.inputs_of(block)
                W = self.weights_back[first * H :, H + 1 :]
                calls += input_gradient(rows, W, first, start, stop)
        if any(d is not None for d in weights):
            calls += self.finish_weights(*weights)
        for d, state, terms in zip(initial, carry, initial_terms, strict=True):
            if d is None:
                continue
            calls += [(np.add, state, term, state) for term in terms]
            if self.lengths is not None:
                calls.append((np.multiply, state, self.lengths.started, state))
            calls.append((np.copyto, d, state.T))
        return calls

    def flush(self, gradients: Sequence[Array]) -> Calls:
        """Return calls that round float32 gradients to multiples of 1e-27, which changes no value above 1e-20.

        Gradients vanish over many steps, and arithmetic on subnormal floats is up to a hundred times slower.
        """
        if self.ctx.dtype != np.float32:
            return []
        tiny = self.ctx.constant(_TINY)
        return [(f, gradient, tiny, gradient) for gradient in gradients for f in (np.add, np.subtract)]

    def source(self, dY: Array | None, last: Array | None) -> tuple[Array | None, list[Array], Calls]:
        """Return the outputs' part of a state's gradients (T, H, N), terms of the initial state, and their calls."""
        T, H, N = self.T, self.H, self.N
        states = None if dY is None else dY.transpose(0, 2, 1)
        if self.keeps_initial and states is not None and self.valid is not None:  # Y is 0 at these steps
            masked = self.ctx.scratch((T, H, N))
            return masked, [], [(np.multiply, states, self.valid[:, None], masked)]
        if last is None or not self.gathers_last:
            if states is None or (states.strides[-1] == states.itemsize and states.strides[-2] == N * states.itemsize):
                return states, [], []
            copy = self.ctx.scratch((T, H, N))
            return copy, [], [(np.copyto, copy, states)]
        total, t = self.ctx.scratch((T + 1, H, N)), self.ctx.scratch((H, N))
        flat = total.reshape(-1)
        indices, calls = self.last_indices(H, 0)
        calls += [(total.fill, 0.0)] if states is None else [(total[0].fill, 0.0), (np.copyto, total[1:], states)]
        calls += [(flat.take, indices, None, t, "clip"), (np.add, t, last.T, t), (flat.__setitem__, indices, t)]
        return total[1:], [total[0]], calls
