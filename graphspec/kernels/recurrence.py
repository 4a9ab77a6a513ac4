"""One direction of a recurrence over all steps, and its gradient.

Everything lies feature-major, (step, features, samples), so that a gate of all samples is one flat piece of memory, and a
step is one matrix product with ``[h; 1; x]`` and a few calls. Gradients go through the steps in blocks that fit the
cache: for all steps of a block at once come first the factors that do not depend on what comes back from later steps,
and last the gradients of weights and inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.graph import Array
from graphspec.kernels.cell_activations import Gate, gate
from graphspec.kernels.cell_inputs import CellInputs, CellOptions
from graphspec.kernels.context import Context
from graphspec.kernels.matmul import Repeated, matmul
from graphspec.kernels.step_products import BLOCK, InputGradient, OuterSum

_FLUSH = 4  # steps after which tiny gradients are set to 0
_TINY = 1e-20


class Direction:
    """One direction, its steps in the order in which they are taken.

    A state is 0 where its step does not count: past the end of a sequence, or, in reverse, before its end, where a given
    initial state is held instead. So a reversed sequence starts at its last valid step.

    Where every gate sees the state through a mask of its own, and maybe the input too, there is a [h; 1; x] for each.

    """

    states: ClassVar[int] = 1
    rows: ClassVar[int]
    """Blocks of H rows in the gradients of a step."""
    gate_at: ClassVar[tuple[int, ...]]
    """The gate whose mask goes with each place, which is a block of H rows of the packed weights."""
    weights: Array
    """Packed for forward, rows [R, b, W] of the places."""
    plain: Array
    """Packed for backward."""
    back: Array
    room: Repeated
    """For the products of the steps, forward or backward."""

    def __init__(self, ctx: Context, inputs: CellInputs, options: CellOptions) -> None:
        X, R, lengths, initial, reverse = inputs.X, inputs.R, inputs.lengths, inputs.initial, options.reverse
        self.ctx, self.W, self.R, self.B = ctx, inputs.W, R, inputs.B
        self.reverse, self.functions, self.clip = reverse, options.functions, options.clip
        self.X = X[::-1] if reverse else X
        self.T, self.N, self.I = X.shape
        self.H = R.shape[1]
        self.initial, self.lengths = initial, lengths
        self.valid = None if lengths is None else lengths.valid[::-1] if reverse else lengths.valid
        self.held = reverse and lengths is not None and any(state is not None for state in initial)
        self.gathers = lengths is not None and not reverse  # the last states lie at different steps
        self.training = any(ctx.wants(i) for i in range(7))
        state_mask, input_mask = inputs.masks
        self.by_gate = state_mask is not None
        several = (len(self.gate_at),) if self.by_gate else ()
        self.block = ctx.save_for_backward((self.T + 1, *several, self.H + 1 + self.I, self.N))  # [h; 1; x]
        # before each step, and after the last
        self.h = ctx.save_for_backward((self.T + 1, self.H, self.N)) if self.by_gate else self.block[:, : self.H]
        self.seen, self.copies = self.saved(state_mask, self.H)
        self.seen_input, more = self.saved(input_mask, self.I)
        self.copies += more

    # What a kind of cell has to say.

    def prepare(self) -> Calls:
        """Before the first step."""
        raise NotImplementedError

    def step(self, s: int) -> Calls:
        """From the states ``s`` to the states ``s + 1``."""
        raise NotImplementedError

    def state(self, k: int) -> tuple[Array, Array, int]:
        """State k of all steps as (T + 1, H, N), the block that it is part of, and its first row there."""
        return self.h, self.h if self.by_gate else self.block, 0

    def unbounded(self, k: int) -> bool:
        """Whether state k must be cut past a sequence's end, lest it overflow."""
        return True

    def start_backward(self, steps: int) -> Calls:
        """Before the last step's gradients, which come in blocks of ``steps``."""
        raise NotImplementedError

    def factors(self, start: int, stop: int, D: Array) -> Calls:
        """Write into D (steps, rows · H, N) what the gradients of the states are multiplied with."""
        raise NotImplementedError

    def step_back(self, s: int, D: Array, i: int, carry: list[Array], sources: list[Array | None]) -> Calls:
        """Turn the factors ``D[i]`` of step ``s`` into gradients; ``carry[0]`` is that of h after it, then before it."""
        raise NotImplementedError

    def weight_gradients(self, start: int, stop: int, D: Array) -> Calls:
        """Add a block's part to the gradients of the weights."""
        raise NotImplementedError

    def finish_weights(self, dW: Array | None, dR: Array | None, dB: Array | None) -> Calls:
        """Write the gradients of the weights in ONNX's order."""
        raise NotImplementedError

    def inputs_of(self, D: Array) -> tuple[Array, int]:
        """The gradients of what the input is multiplied with, (steps, rows, N), and the first of those rows' places."""
        raise NotImplementedError

    def later(self, carry: list[Array], D: Array, i: int) -> list[Array]:
        """The gradients of the states after step i of the block, as far as they come from later steps and outputs."""
        return carry

    # What the kinds share.

    def saved(self, mask: Array | None, size: int) -> tuple[Array | None, Calls]:
        """A mask (N, gates, size) by place, (places, size, N), for as long as backward needs it."""
        if mask is None:
            return None, []
        kept = self.ctx.save_for_backward((len(self.gate_at), size, self.N))
        return kept, [(np.copyto, kept[p], mask[:, gate].T) for p, gate in enumerate(self.gate_at)]

    def at(self, place: int) -> Array:
        """[h; 1; x] of all steps as it is seen at a place, (T + 1, H + 1 + I, N)."""
        return self.block[:, place] if self.by_gate else self.block

    def cut(self, A: Array, first: int, last: int) -> Array:
        """Rows of places (…, places · H, columns), seen by place where these see different things."""
        part = A[..., first * self.H : last * self.H, :]
        return part.reshape(*part.shape[:-2], last - first, self.H, part.shape[-1]) if self.by_gate else part

    def multiply(self, s: int, first: int, last: int, out: Array) -> Calls:
        """Calls that multiply the packed weights of some places with what they see at step s."""
        weights = self.cut(self.weights, first, last)
        if not self.by_gate:
            return matmul(self.room, weights, self.block[s], out)
        return [(np.matmul, weights, self.block[s, first:last], out.reshape(last - first, self.H, self.N))]

    def multiply_back(self, first: int, last: int, D: Array, dh: Array) -> Calls:
        """Calls that write what gradients D (places · H, N) of some places give to the state before the step."""
        R = self.cut(self.plain[:, : self.H], first, last)
        if self.seen is None:
            return matmul(self.room, R.T, D, dh)
        t, seen = self.back[: last - first], self.seen[first:last]
        return [
            (np.matmul, R.mT, D.reshape(last - first, self.H, self.N), t),
            (np.multiply, t, seen, t),
            (np.add.reduce, t, 0, None, dh),
        ]

    def outer(self, first: int, last: int, columns: int, steps: int) -> OuterSum:
        """For the gradients of some places' weights."""
        H, n = self.H, last - first
        return OuterSum(self.ctx, (n, H, columns) if self.by_gate else (n * H, columns), steps)

    def seen_at(self, start: int, stop: int, first: int, last: int, columns: slice) -> Array:
        """What some places see, the other factor of those gradients."""
        steps = self.block[start:stop]
        return steps[:, first:last, columns] if self.by_gate else steps[:, columns]

    def gate(self, k: int, size: Sequence[int]) -> Gate:
        return gate(self.ctx, self.functions[k], size)

    def pack(self, packed: Array, place: int, source: int, bias: Array | None, scale: float = 1.0) -> Calls:
        """Calls that copy a gate's weights, times ``scale``, into rows of ``packed``, whose columns are [R, b, W]."""
        H = self.H
        to, rows = packed[place * H : (place + 1) * H], slice(source * H, (source + 1) * H)
        pieces = [
            (self.R[rows], to[:, :H]),
            (self.ctx.constant(np.zeros(H)) if bias is None else bias[rows], to[:, H]),
            (self.W[rows], to[:, H + 1 :]),
        ]
        factor = self.ctx.constant(scale)
        return [(np.copyto, b, a) if scale == 1.0 else (np.multiply, a, factor, b) for a, b in pieces]

    def both_biases(self) -> tuple[Array | None, Calls]:
        """The sum of the input's and the state's bias."""
        if self.B is None:
            return None, []
        first, second = np.split(self.B, 2)
        total = self.ctx.scratch(first.shape)
        return total, [(np.add, first, second, total)]

    def limit(self, Z: Array, inside: Array | None, t: Array) -> Calls:
        """Calls that clip Z in place and note where it was within; ``t`` is a temporary."""
        if self.clip is None:
            return []
        high, low = self.ctx.constant(self.clip), self.ctx.constant(-self.clip)
        calls: Calls = [(partial(np.minimum, out=Z), Z, high), (partial(np.maximum, out=Z), Z, low)]
        return calls if inside is None else [(np.absolute, Z, t), (np.less, t, high, inside), *calls]

    def forward(self) -> Calls:
        H, T = self.H, self.T
        self.room = Repeated(self.ctx)
        X = self.X.transpose(0, 2, 1)
        calls: Calls = [*self.copies, (self.block[..., H, :].fill, 1.0)]
        for p in range(len(self.gate_at) if self.by_gate else 1):
            to = self.at(p)[:T, H + 1 :]
            calls.append((np.copyto, to, X) if self.seen_input is None else (np.multiply, X, self.seen_input[p], to))
        states = [self.state(k)[0] for k in range(self.states)]
        for state, initial in zip(states, self.initial, strict=True):
            if initial is None:
                calls.append((state[0].fill, 0.0))
            elif self.lengths is None:
                calls.append((np.copyto, state[0], initial.T))
            else:
                calls.append((np.multiply, initial.T, self.lengths.started, state[0]))
        missing, more = self.missing()
        calls += [*more, *self.prepare()]
        t = self.ctx.scratch((H, self.N))
        for s in range(T):
            if self.seen is not None:
                calls.append((np.multiply, self.h[s], self.seen, self.block[s, :, :H]))
            calls += self.step(s)
            if self.valid is None:
                continue
            for k, state in enumerate(states):
                if k == 0 or self.reverse or self.unbounded(k):
                    calls.append((np.multiply, state[s + 1], self.valid[s], state[s + 1]))
                if missing is not None:
                    calls += [(np.multiply, state[0], missing[s], t), (np.add, state[s + 1], t, state[s + 1])]
        return calls

    def missing(self) -> tuple[Array | None, Calls]:
        """1 at steps where the initial state is held, else 0."""
        if not self.held or self.valid is None:
            return None, []
        missing = self.ctx.scratch((self.T, self.N))
        return missing, [(np.subtract, self.ctx.constant(1.0), self.valid, missing)]

    def outputs(self) -> tuple[Array, Calls]:
        """Y in the order of time, (T, N, H), as a view where the states are 0 at steps that do not count."""
        Y, calls = self.h[1:], []
        if self.held and self.valid is not None:
            Y = self.ctx.save_for_backward((self.T, self.H, self.N))
            calls.append((np.multiply, self.h[1:], self.valid[:, None], Y))
        Y = Y.transpose(0, 2, 1)
        return Y[::-1] if self.reverse else Y, calls

    def last(self, k: int) -> tuple[Array, Calls]:
        """State k after the last valid step, (N, H)."""
        state, block, row = self.state(k)
        if not self.gathers:
            return state[self.T].T, []
        at, calls = self.places(block.shape[1], row)
        Y = self.ctx.save_for_backward((self.H, self.N))
        return Y.T, [*calls, (block.reshape(-1).take, at, None, Y, "clip")]

    def places(self, rows: int, row: int) -> tuple[Array, Calls]:
        """Where the states after the last valid steps are in a flat (T + 1, rows, N), from ``row`` on: (H, N)."""
        assert self.lengths is not None
        size, N = rows * self.N, self.N
        grid = (row + np.arange(self.H))[:, None] * N + np.arange(N)
        at, start = self.ctx.scratch((self.H, N), np.int64), self.ctx.scratch((N,), np.int64)
        constant = partial(self.ctx.constant, dtype=np.int64)
        return at, [(np.multiply, self.lengths.lens, constant(size), start), (np.add, constant(grid), start, at)]

    def backward(  # noqa: C901 (all options of LSTM, GRU and RNN, in one pass)
        self,
        dY: Array | None,
        dlast: Sequence[Array | None],
        dX: Array | None,
        weights: Sequence[Array | None],
        initial: Sequence[Array | None],
    ) -> Calls:
        """Calls that write the gradients of X (T, N, I), of W, R and B, and of the initial states (N, H)."""
        ctx, T, H, N = self.ctx, self.T, self.H, self.N
        self.room = Repeated(ctx)
        if self.reverse:
            dY, dX = (None if d is None else d[::-1] for d in (dY, dX))
        size = min(T, max(1, BLOCK // max(self.rows * H * N, 1)))
        if self.seen is not None:
            self.back = ctx.scratch(self.seen.shape)
        calls = self.start_backward(size)
        D, t = ctx.scratch((size, self.rows * H, N)), ctx.scratch((H, N))
        carry = [ctx.scratch((H, N)) for _ in range(self.states)]
        sources: list[Array | None] = []  # the gradients of state s + 1 that come from the outputs
        starts: list[list[Array]] = []  # what the gradients of the initial states get besides
        for k, (last, state) in enumerate(zip(dlast, carry, strict=True)):
            source, more, add = self.source(dY if k == 0 else None, last)
            sources.append(source)
            starts.append(more)
            calls += add
            if last is None or self.gathers:
                calls.append((state.fill, 0.0))
            else:
                calls.append((np.copyto, state, last.T))
        missing, more_calls = self.missing()
        calls += more_calls
        if missing is not None:
            for more in starts:
                more.append(ctx.scratch((H, N)))
                calls.append((more[0].fill, 0.0))
        matmul = None if dX is None else InputGradient(ctx, dX, size, self.seen_input)
        for stop in range(T, 0, -size):
            start = max(0, stop - size)
            block = D[: stop - start]
            calls += self.factors(start, stop, block)
            if self.valid is not None:
                calls.append((np.multiply, block, self.valid[start:stop, None], block))
            for s in reversed(range(start, stop)):
                if (source := sources[0]) is not None:
                    calls.append((np.add, source[s], carry[0], carry[0]))
                if missing is not None:
                    for gradient, (held,) in zip(self.later(carry, block, s - start), starts, strict=True):
                        calls += [(np.multiply, gradient, missing[s], t), (np.add, held, t, held)]
                if s % _FLUSH == 0:
                    calls += self.flush(self.later(carry, block, s - start))
                calls += self.step_back(s, block, s - start, carry, sources)
            if any(d is not None for d in weights):
                calls += self.weight_gradients(start, stop, block)
            if matmul is not None:
                rows, first = self.inputs_of(block)
                W = self.plain[first * H :, H + 1 :]
                calls += matmul(rows, W, first, start, stop)
        if any(d is not None for d in weights):
            calls += self.finish_weights(*weights)
        for d, state, more in zip(initial, carry, starts, strict=True):
            if d is None:
                continue
            calls += [(np.add, state, gradient, state) for gradient in more]
            if self.lengths is not None:
                calls.append((np.multiply, state, self.lengths.started, state))
            calls.append((np.copyto, d, state.T))
        return calls

    def flush(self, gradients: Sequence[Array]) -> Calls:
        """Calls that round to multiples of 1e-27, which alters nothing above 1e-20.

        Gradients vanish over many steps, and arithmetic on subnormal float32 numbers is up to a hundred times slower.
        """
        if self.ctx.dtype != np.float32:
            return []
        tiny = self.ctx.constant(_TINY)
        return [(f, gradient, tiny, gradient) for gradient in gradients for f in (np.add, np.subtract)]

    def source(self, dY: Array | None, last: Array | None) -> tuple[Array | None, list[Array], Calls]:
        """What the outputs add to the gradients of the states after each step (T, H, N), and of the initial state."""
        T, H, N = self.T, self.H, self.N
        wide = None if dY is None else dY.transpose(0, 2, 1)
        if self.held and wide is not None and self.valid is not None:  # Y is 0 where the initial state is held
            masked = self.ctx.scratch((T, H, N))
            return masked, [], [(np.multiply, wide, self.valid[:, None], masked)]
        if last is None or not self.gathers:
            if wide is None or (wide.strides[-1] == wide.itemsize and wide.strides[-2] == N * wide.itemsize):
                return wide, [], []
            copy = self.ctx.scratch((T, H, N))
            return copy, [], [(np.copyto, copy, wide)]
        total, t = self.ctx.scratch((T + 1, H, N)), self.ctx.scratch((H, N))
        flat = total.reshape(-1)
        at, calls = self.places(H, 0)
        calls.append((total.fill, 0.0) if wide is None else (total[0].fill, 0.0))
        if wide is not None:
            calls.append((np.copyto, total[1:], wide))
        calls += [(flat.take, at, None, t, "clip"), (np.add, t, last.T, t), (flat.__setitem__, at, t)]
        return total[1:], [total[0]], calls
