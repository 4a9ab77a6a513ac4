"""Connectionist temporal classification, in the log domain: a training-only operator.

A. Graves, S. Fernández, F. Gomez, J. Schmidhuber, "Connectionist temporal classification", ICML 2006.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.ir.dims import show
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import copy_cast, negate
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.ops.base import Op, op

_LOG_0 = -1e30  # a log probability of 0 that can be subtracted from itself
_POSSIBLE = -1e29
_ONE = np.array(1.0)


@op
class CTCLoss(Op):
    """``Y = -log p(labels | logits)`` per sample, summed over all alignments; class 0 is the blank.

    Shapes: logits (N, T, C), labels (N, L) padded with 0, input_length and label_length (N,) → (N,). Without lengths
    every step counts, and every label that is not 0. A target that cannot fit its steps gives +inf, gradient 0; steps
    past ``input_length`` have gradient 0.

    All in float64: forward variables α of the labels from the front and backward variables β, which are the forward
    variables of the reversed labels and steps, go through one recursion; the gradient is the softmax less the posterior
    of each class, ``exp(α + β - emission - log p)``.
    """

    keeps_in, keeps_out = (), False
    exported = False

    def infer(
        self, logits: Value, labels: Value, input_length: Value | None = None, label_length: Value | None = None
    ) -> Type:
        need_float(logits)
        need(logits.rank == 3, f"needs logits (batch, time, classes), got {show(logits.shape)}")
        need(labels.rank == 2, f"needs labels (batch, labels), got {show(labels.shape)}")
        for ids in (labels, input_length, label_length):
            need(ids is None or ids.dtype == "int64", "needs int64 labels and lengths", code="GS306")
            fits = ids is None or ids.shape[0] == logits.shape[0]
            need(fits, f"labels and lengths do not fit the batch of {show(logits.shape)}", code="GS302")
        return Type(logits.dtype, logits.shape[:1])

    def bind(
        self,
        ctx: Context,
        logits: Array,
        labels: Array,
        input_length: Array | None = None,
        label_length: Array | None = None,
    ) -> Bound:
        Y, c = ctx.out(), _Alignment(ctx, logits, labels, input_length, label_length)
        return Y, c.forward(Y), c.backward


class _Alignment:
    """The arrays of one binding. Labels lie first and samples last, so that shifted rows are flat in memory.

    ``blanks`` and ``letters`` have axes (direction, step, place, sample). Step k is the state after k steps; letters
    have one more place in front, always impossible, so that place i is the letter before blank i.
    """

    def __init__(
        self, ctx: Context, logits: Array, labels: Array, input_length: Array | None, label_length: Array | None
    ) -> None:
        self.ctx, self.logits, self.labels = ctx, logits, labels
        self.input_length, self.label_length = input_length, label_length
        self.N, self.T, self.C = logits.shape
        self.L = labels.shape[1]
        N, T, L = self.N, self.T, self.L
        self.log_p = self.keep((T, self.C, N))
        self.places = self.keep((T, L, N), np.int64)
        self.emission = self.keep((2, T, L, N))
        self.blanks = self.keep((2, T + 1, L + 1, N))
        self.letters = self.keep((2, T + 1, L + 1, N))
        self.shift = self.keep((N,))  # -log p, so low where no alignment fits that every posterior is 0
        self.valid = self.keep((T, N))
        self.feasible = self.keep((N,))

    def keep(self, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
        return self.ctx.save_for_backward(shape, dtype) if self.ctx.wants(0) else self.ctx.scratch(shape, dtype)

    def temporary(self, *shape: int, dtype: Any = np.float64) -> Array:
        return self.ctx.scratch(shape, dtype)

    def constant(self, value: Any, dtype: Any = np.float64) -> Array:
        return self.ctx.constant(value, dtype)

    def forward(self, Y: Array) -> Calls:
        N, T, L = self.N, self.T, self.L
        counts = self.temporary(N, dtype=np.int64)
        calls = [*self.log_softmax(), *self.count(counts), *self.emissions()]
        calls += [
            (self.blanks[:, 0].fill, _LOG_0),
            (self.letters[:, 0].fill, _LOG_0),
            (self.letters[:, :, 0].fill, _LOG_0),
            (self.blanks[0, 0, 0].fill, 0.0),
        ]
        samples, ends = self.constant(np.arange(N), np.int64), self.temporary(N, dtype=np.int64)
        width = self.constant(N, np.int64)

        def end(last: Array) -> Calls:  # ends = last · N + sample
            return [(np.multiply, last, width, ends), (np.add, ends, samples, ends)]

        reversed_start = self.temporary(N, dtype=np.int64)
        calls += [
            (np.subtract, self.constant(L, np.int64), counts, reversed_start),
            *end(reversed_start),
            (self.blanks[1, 0].reshape(-1).__setitem__, ends, 0.0),
            *self.recursion(),
            *end(counts),
        ]
        blank, letter, log_p = self.temporary(N), self.temporary(N), self.shift
        calls += [
            (self.blanks[0, T].reshape(-1).take, ends, None, blank, "clip"),
            (self.letters[0, T].reshape(-1).take, ends, None, letter, "clip"),
            *log_add(blank, letter, log_p, self.temporary(2, N)),
            *self.results(log_p, Y),
        ]
        return calls

    def log_softmax(self) -> Calls:
        Z, exp = self.log_p, self.temporary(self.T, self.C, self.N)
        most, total = self.temporary(self.T, self.N), self.temporary(self.T, self.N)
        return [
            (np.copyto, Z, self.logits.transpose(1, 2, 0)),
            (np.maximum.reduce, Z, 1, None, most),
            (np.subtract, Z, most[:, None], Z),
            (np.exp, Z, exp),
            (np.add.reduce, exp, 1, None, total),
            (np.log, total, total),
            (np.subtract, Z, total[:, None], Z),
        ]

    def count(self, counts: Array) -> Calls:
        """How many labels and which steps count."""
        if self.label_length is not None:
            calls: Calls = [(np.copyto, counts, self.label_length)]
        else:
            present = self.temporary(self.N, self.L, dtype=np.bool_)
            calls = [
                (np.not_equal, self.labels, self.constant(0, np.int64), present),
                (np.add.reduce, present, 1, np.int64, counts),
            ]
        if self.input_length is None:
            return [*calls, (self.valid.fill, 1.0)]
        step = self.constant(np.arange(self.T)[:, None], np.int64)
        return [*calls, (partial(np.less, out=self.valid, casting="unsafe"), step, self.input_length)]

    def emissions(self) -> Calls:
        """The labels' log probabilities at every step and their places in memory, for both directions.

        At steps that do not count only the last blank can stay as it is: labels are impossible, blanks certain. So both
        directions run over all steps, whatever the lengths.
        """
        N, T, C, L = self.N, self.T, self.C, self.L
        rows = self.temporary(L, N, dtype=np.int64)
        steps = self.constant((np.arange(T) * C * N)[:, None, None], np.int64)
        calls: Calls = [
            (np.multiply, self.labels.T, self.constant(N, np.int64), rows),
            (np.add, rows, self.constant(np.arange(N), np.int64), rows),
            (np.add, rows, steps, self.places),
            (self.log_p.reshape(-1).take, self.places, None, self.emission[0], "clip"),
        ]
        self.certain = self.temporary(2, T, N)
        calls.append((np.multiply, self.log_p[:, 0], self.valid, self.certain[0]))
        if self.input_length is not None:
            barred = self.temporary(T, N)
            calls += [
                (np.subtract, self.valid, self.constant(1.0), barred),
                (np.multiply, barred, self.constant(-_LOG_0), barred),
                (np.add, self.emission[0], barred[:, None], self.emission[0]),
            ]
        calls += [
            (np.copyto, self.emission[1], self.emission[0, ::-1, ::-1]),
            (np.copyto, self.certain[1], self.certain[0, ::-1]),
        ]
        return calls

    def recursion(self) -> Calls:
        """All steps of both directions: ``blank ← (blank ⊕ letter before) · emission``, ``letter ← (letter ⊕ blank before
        ⊕ letter before, where that is another) · emission``, ⊕ being the addition of probabilities.
        """
        N, T, L = self.N, self.T, self.L
        different = self.temporary(max(L - 1, 0), N, dtype=np.bool_)
        skip = self.temporary(2, L, N)  # 0 where the letter before may come directly before, else impossible
        labels = self.labels.T
        calls: Calls = [
            (skip.fill, _LOG_0),
            (np.not_equal, labels[1:], labels[:-1], different),
            (np.subtract, different, self.constant(1.0), skip[0, 1:]),
            (np.multiply, skip[0, 1:], self.constant(-_LOG_0), skip[0, 1:]),
            (np.copyto, skip[1, 1:], skip[0, :0:-1]),
        ]
        either, before = self.temporary(2, L + 1, N), self.temporary(2, L, N)
        wide, narrow = self.temporary(2, 2, L + 1, N), self.temporary(2, 2, L, N)
        for t in range(T):
            blank, letter = self.blanks[:, t], self.letters[:, t]
            calls += [
                *log_add(blank, letter, either, wide),
                (np.add, either, self.certain[:, t, None], self.blanks[:, t + 1]),
                (np.add, either[:, :L], skip, before),
                (partial(np.maximum, out=before), before, blank[:, :L]),
                *log_add(before, letter[:, 1:], before, narrow),
                (np.add, before, self.emission[:, t], self.letters[:, t + 1, 1:]),
            ]
        return calls

    def results(self, log_p: Array, Y: Array) -> Calls:
        possible, values = self.temporary(self.N, dtype=np.bool_), self.temporary(self.N)
        infinite = self.constant([np.inf, 0.0])
        extra, low = self.temporary(self.N), self.constant([3 * _LOG_0, 0.0])
        chosen = possible.view(np.uint8)
        return [
            (np.greater, log_p, self.constant(_POSSIBLE), possible),
            (copy_cast, self.feasible, possible),
            negate(log_p, self.shift),
            (infinite.take, chosen, None, extra, "clip"),
            (np.add, self.shift, extra, values),
            (copy_cast, Y, values),
            (low.take, chosen, None, extra, "clip"),
            (np.add, self.shift, extra, self.shift),
        ]

    def backward(self, dY: Array) -> Calls:
        dX = self.ctx.grad(0)
        if dX is None:
            return []
        N, T, L = self.N, self.T, self.L
        P, scale = self.log_p, self.temporary(T, N)
        letter, blank = self.temporary(T, L, N), self.temporary(T, L + 1, N)
        total = self.temporary(T, N)
        # β of step t has been through steps T-1 … t: its emission at t is in α too
        return [
            (np.add, self.letters[0, 1:, 1:], self.letters[1, :0:-1, :0:-1], letter),
            (np.subtract, letter, self.emission[0], letter),
            (np.add, letter, self.shift, letter),
            (np.exp, letter, letter),
            (np.add, self.blanks[0, 1:], self.blanks[1, :0:-1, ::-1], blank),
            (np.subtract, blank, P[:, :1], blank),
            (np.add, blank, self.shift, blank),
            (partial(np.minimum, out=blank), blank, self.constant(0.0)),
            (np.exp, blank, blank),
            (np.add.reduce, blank, 1, None, total),
            (np.exp, P, P),
            (np.subtract.at, P.reshape(-1), self.places.reshape(-1), letter.reshape(-1)),
            (np.subtract, P[:, 0], total, P[:, 0]),
            (np.multiply, dY, self.feasible, scale),
            (np.multiply, scale, self.valid, scale),
            (np.multiply, P, scale[:, None], P),
            (copy_cast, dX.transpose(1, 2, 0), P),
        ]


def log_add(a: Array, b: Array, out: Array, scratch: Array) -> Calls:
    """Calls for ``out = log(exp a + exp b)``; ``scratch`` has room for two of them."""
    most, t = scratch
    return [
        (partial(np.maximum, out=most), a, b),
        (partial(np.minimum, out=t), a, b),
        (np.subtract, t, most, t),
        (np.exp, t, t),
        (np.add, t, _ONE, t),
        (np.log, t, t),
        (np.add, most, t, out),
    ]
