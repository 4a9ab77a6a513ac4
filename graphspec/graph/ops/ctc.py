"""Connectionist temporal classification (CTC) in the log domain, an operator only for training.

A. Graves, S. Fernández, F. Gomez, J. Schmidhuber, "Connectionist temporal classification", ICML 2006.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from graphspec.graph.ir.graph import Array, Type, Value, show
from graphspec.graph.kernels.common import copy_cast, negate
from graphspec.graph.kernels.context import Bound, Calls, Context, need
from graphspec.graph.ops.op import TrainingOnly, into_gradient

_LOG_0 = -1e30  # stands for log 0: finite, so that differences of such values are not NaN
_POSSIBLE = -1e29  # a log probability above this is not 0
_ONE = np.array(1.0)


class CTCLoss(TrainingOnly):
    """``Y = -log p(labels | logits)`` per sample, summed over all alignments; class 0 is the blank. Graves et al., 2006.

    Logits (N, T, C), labels (N, L) padded with 0, optional input_length and label_length (N,) → Y (N,). Without lengths
    all steps count, and all labels other than 0. Y is +inf if the labels do not fit into the steps. Only the logits have
    a gradient; it is 0 for steps from ``input_length`` on, and for samples with infinite Y.

    Everything is computed in float64. The backward variables β equal the forward variables α of the reversed labels and
    steps, so one recursion computes both. The gradient is the softmax minus the posterior of each class,
    ``exp(α + β - emission - log p)``.
    """

    rows = "all_in_front"

    def infer(
        self, logits: Value, labels: Value, input_length: Value | None = None, label_length: Value | None = None
    ) -> Type:
        need.float(logits)
        need(logits.rank == 3, f"needs logits (batch, time, classes), got {show(logits.shape)}")
        need(labels.rank == 2, f"needs labels (batch, labels), got {show(labels.shape)}")
        for ids in (labels, input_length, label_length):
            need.dtype(ids is None or ids.dtype == "int64", "needs int64 labels and lengths")
            fits = ids is None or ids.shape[0] == logits.shape[0]
            need.shapes(fits, f"has labels or lengths that do not fit the batch of {show(logits.shape)}")
        return Type(logits.dtype, logits.shape[:1])

    def bind(self, ctx: Context, logits: Array, labels: Array, *lengths: Array | None) -> Bound:
        Y, alignment = ctx.out(), _Alignment(ctx, logits, labels, *lengths)
        return Y, alignment.forward(Y), into_gradient(ctx)(alignment.gradient)


class _Alignment:
    """The arrays of one binding. The sample axis is the last, so that slices along the label axis are contiguous.

    ``blanks`` and ``letters`` contain log probabilities, with axes (direction, step, position, sample). Step k is the state
    after k steps. Position 0 of ``letters`` is always impossible, so that position i is the letter before blank i.
    """

    def __init__(self, ctx: Context, logits: Array, labels: Array, *lengths: Array | None) -> None:
        self.ctx, self.logits, self.labels = ctx, logits, labels
        self.input_length, self.label_length = (*lengths, None, None)[:2]
        self.N, self.T, self.C = logits.shape
        self.L = labels.shape[1]
        N, T, L = self.N, self.T, self.L
        self.log_p = self.saved((T, self.C, N))
        self.class_indices = self.saved((T, L, N), np.int64)
        self.emission = self.saved((2, T, L, N))
        self.blanks = self.saved((2, T + 1, L + 1, N))
        self.letters = self.saved((2, T + 1, L + 1, N))
        self.shift = self.saved((N,))  # -log p; without an alignment very low, so that all posteriors are 0
        self.valid = self.saved((T, N))
        self.feasible = self.saved((N,))

    def saved(self, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
        """A buffer for backward, or scratch if the logits need no gradient."""
        return self.ctx.save_for_backward(shape, dtype) if self.ctx.wants(0) else self.ctx.scratch(shape, dtype)

    def scratch(self, *shape: int, dtype: Any = np.float64) -> Array:
        return self.ctx.scratch(shape, dtype)

    def constant(self, value: Any, dtype: Any = np.float64) -> Array:
        return self.ctx.constant(value, dtype)

    def forward(self, Y: Array) -> Calls:
        N, T, L = self.N, self.T, self.L
        counts = self.scratch(N, dtype=np.int64)
        calls = [*self.log_softmax(), *self.count(counts), *self.emissions()]
        calls += [
            (self.blanks[:, 0].fill, _LOG_0),
            (self.letters[:, 0].fill, _LOG_0),
            (self.letters[:, :, 0].fill, _LOG_0),
            (self.blanks[0, 0, 0].fill, 0.0),
        ]
        samples, ends = self.constant(np.arange(N), np.int64), self.scratch(N, dtype=np.int64)
        width = self.constant(N, np.int64)

        def flat_index(last: Array) -> Calls:  # ends = last · N + sample
            return [(np.multiply, last, width, ends), (np.add, ends, samples, ends)]

        reversed_start = self.scratch(N, dtype=np.int64)
        calls += [
            (np.subtract, self.constant(L, np.int64), counts, reversed_start),
            *flat_index(reversed_start),
            (self.blanks[1, 0].reshape(-1).__setitem__, ends, 0.0),
            *self.recursion(),
            *flat_index(counts),
        ]
        blank, letter, log_p = self.scratch(N), self.scratch(N), self.shift
        calls += [
            (self.blanks[0, T].reshape(-1).take, ends, None, blank, "clip"),
            (self.letters[0, T].reshape(-1).take, ends, None, letter, "clip"),
            *log_add(blank, letter, log_p, self.scratch(2, N)),
            *self.results(log_p, Y),
        ]
        return calls

    def log_softmax(self) -> Calls:
        """Calls that write the log probabilities of all classes, (T, C, N)."""
        Z, exp = self.log_p, self.scratch(self.T, self.C, self.N)
        largest, total = self.scratch(self.T, self.N), self.scratch(self.T, self.N)
        return [
            (np.copyto, Z, self.logits.transpose(1, 2, 0)),
            (np.maximum.reduce, Z, 1, None, largest),
            (np.subtract, Z, largest[:, None], Z),
            (np.exp, Z, exp),
            (np.add.reduce, exp, 1, None, total),
            (np.log, total, total),
            (np.subtract, Z, total[:, None], Z),
        ]

    def count(self, counts: Array) -> Calls:
        """Calls that write the number of labels of each sample, and which steps count."""
        if self.label_length is not None:
            calls: Calls = [(np.copyto, counts, self.label_length)]
        else:
            present = self.scratch(self.N, self.L, dtype=np.bool_)
            calls = [
                (np.not_equal, self.labels, self.constant(0, np.int64), present),
                (np.add.reduce, present, 1, np.int64, counts),
            ]
        if self.input_length is None:
            return [*calls, (self.valid.fill, 1.0)]
        step = self.constant(np.arange(self.T)[:, None], np.int64)
        return [*calls, (partial(np.less, out=self.valid, casting="unsafe"), step, self.input_length)]

    def emissions(self) -> Calls:
        """Calls that write the labels' log probabilities at every step, and their flat indices, for both directions.

        At steps that do not count, letters are impossible and blanks are certain, so the state after the last valid step
        stays in the last blank. Both directions can therefore run over all steps, whatever the lengths.
        """
        N, T, C, L = self.N, self.T, self.C, self.L
        rows = self.scratch(L, N, dtype=np.int64)
        steps = self.constant((np.arange(T) * C * N)[:, None, None], np.int64)
        calls: Calls = [
            (np.multiply, self.labels.T, self.constant(N, np.int64), rows),
            (np.add, rows, self.constant(np.arange(N), np.int64), rows),
            (np.add, rows, steps, self.class_indices),
            (self.log_p.reshape(-1).take, self.class_indices, None, self.emission[0], "clip"),
        ]
        self.blank_emission = self.scratch(2, T, N)
        calls.append((np.multiply, self.log_p[:, 0], self.valid, self.blank_emission[0]))
        if self.input_length is not None:
            penalty = self.scratch(T, N)
            calls += [
                (np.subtract, self.valid, self.constant(1.0), penalty),
                (np.multiply, penalty, self.constant(-_LOG_0), penalty),
                (np.add, self.emission[0], penalty[:, None], self.emission[0]),
            ]
        calls += [
            (np.copyto, self.emission[1], self.emission[0, ::-1, ::-1]),
            (np.copyto, self.blank_emission[1], self.blank_emission[0, ::-1]),
        ]
        return calls

    def recursion(self) -> Calls:
        """Calls for all steps of both directions, with ⊕ as the addition of probabilities.

        ``blank ← (blank ⊕ preceding letter) · emission``
        ``letter ← (letter ⊕ preceding blank ⊕ preceding letter if it differs) · emission``
        """
        N, T, L = self.N, self.T, self.L
        different = self.scratch(max(L - 1, 0), N, dtype=np.bool_)
        skip = self.scratch(2, L, N)  # 0 where a letter may follow the preceding one without a blank, else log 0
        labels = self.labels.T
        calls: Calls = [
            (skip.fill, _LOG_0),
            (np.not_equal, labels[1:], labels[:-1], different),
            (np.subtract, different, self.constant(1.0), skip[0, 1:]),
            (np.multiply, skip[0, 1:], self.constant(-_LOG_0), skip[0, 1:]),
            (np.copyto, skip[1, 1:], skip[0, :0:-1]),
        ]
        blank_sum, letter_sum = self.scratch(2, L + 1, N), self.scratch(2, L, N)
        blank_scratch, letter_scratch = self.scratch(2, 2, L + 1, N), self.scratch(2, 2, L, N)
        for t in range(T):
            blank, letter = self.blanks[:, t], self.letters[:, t]
            calls += [
                *log_add(blank, letter, blank_sum, blank_scratch),
                (np.add, blank_sum, self.blank_emission[:, t, None], self.blanks[:, t + 1]),
                (np.add, blank_sum[:, :L], skip, letter_sum),
                (partial(np.maximum, out=letter_sum), letter_sum, blank[:, :L]),
                *log_add(letter_sum, letter[:, 1:], letter_sum, letter_scratch),
                (np.add, letter_sum, self.emission[:, t], self.letters[:, t + 1, 1:]),
            ]
        return calls

    def results(self, log_p: Array, Y: Array) -> Calls:
        """Calls that write Y and ``shift`` from the log probabilities of the targets."""
        possible, values = self.scratch(self.N, dtype=np.bool_), self.scratch(self.N)
        infinite = self.constant([np.inf, 0.0])
        extra, low = self.scratch(self.N), self.constant([3 * _LOG_0, 0.0])
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

    def gradient(self, dY: Array, dX: Array) -> Calls:
        N, T, L = self.N, self.T, self.L
        P, scale = self.log_p, self.scratch(T, N)
        letter, blank = self.scratch(T, L, N), self.scratch(T, L + 1, N)
        total = self.scratch(T, N)
        # β at step t includes steps T-1 … t, so the emission at t is in both α and β
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
            (np.subtract.at, P.reshape(-1), self.class_indices.reshape(-1), letter.reshape(-1)),
            (np.subtract, P[:, 0], total, P[:, 0]),
            (np.multiply, dY, self.feasible, scale),
            (np.multiply, scale, self.valid, scale),
            (np.multiply, P, scale[:, None], P),
            (copy_cast, dX.transpose(1, 2, 0), P),
        ]


def log_add(a: Array, b: Array, out: Array, scratch: Array) -> Calls:
    """Calls for ``out = log(exp a + exp b)``; ``scratch`` is two arrays of their shape."""
    larger, t = scratch
    return [
        (partial(np.maximum, out=larger), a, b),
        (partial(np.minimum, out=t), a, b),
        (np.subtract, t, larger, t),
        (np.exp, t, t),
        (np.add, t, _ONE, t),
        (np.log, t, t),
        (np.add, larger, t, out),
    ]
