"""Linear-chain conditional random fields: the loss of a sequence of tags, training only, and the best sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.context import Bound, Context, need
from graphspec.graph.ops.op import Op, TrainingOnly


def _need_chain(X: Value, A: Value, ends: Value, mask: Value | None) -> None:
    need.float(X, A, ends)
    need(X.rank == 3, f"needs scores (batch, time, tags), got {show(X.shape)}")
    K = X.shape[2]
    need.shapes(A.shape == (K, K) and ends.shape == (2, K), f"needs transitions of {K} tags, got {show(A.shape)}")
    need.shapes(mask is None or mask.shape == X.shape[:2], f"has a mask that does not fit {show(X.shape)}")


class Viterbi(TrainingOnly):
    """1 at the tags y of the best sequence, else 0.

    Its score is ``ends[0, y₀] + Σ X[t, yₜ] + Σ A[yₜ₋₁, yₜ] + ends[1, y_T]``.

    Shapes: X (N, T, K), A (K, K), ends (2, K), mask (N, T), bool → Y (N, T, K). A step that the mask hides has the tag of
    the step before.
    """

    rows, stops_gradient = "all_in_front", True

    def infer(self, X: Value, A: Value, ends: Value, mask: Value | None = None) -> Type:
        _need_chain(X, A, ends, mask)
        return X.type

    def bind(self, ctx: Context, X: Array, A: Array, ends: Array, mask: Array | None = None) -> Bound:
        Y, (N, T, K) = ctx.out(), X.shape
        came, rows = ctx.scratch((T, N, K), np.int64), np.arange(N)

        def decode() -> None:
            Y.fill(0)
            if not T:
                return
            score = X[:, 0] + ends[0]
            for t in range(1, T):
                ways = score[:, :, None] + A
                best, came[t] = ways.max(axis=1) + X[:, t], ways.argmax(axis=1)
                if mask is not None:
                    came[t] = np.where(mask[:, t, None], came[t], np.arange(K))
                    best = np.where(mask[:, t, None], best, score)
                score = best
            tag = (score + ends[1]).argmax(axis=1)
            for t in range(T - 1, -1, -1):
                Y[rows, t, tag] = 1
                tag = came[t][rows, tag] if t else tag

        return Y, [(decode,)], None


class CRFLoss(Op):
    """``Y = -log p(tags | X)``: the score of a sequence, as in :class:`Viterbi`, under the softmax of all sequences'.

    Shapes: X (N, T, K), A (K, K), ends (2, K), tags (N, T), mask (N, T), bool → Y (N,). All but the tags and the mask have
    gradients: the posterior of each tag, pair and end, less what the tags have. All is computed in float64.
    """

    exported, rows = False, "all_in_front"
    keeps_in, keeps_out = (3, 4), False

    def infer(self, X: Value, A: Value, ends: Value, tags: Value, mask: Value | None = None) -> Type:
        _need_chain(X, A, ends, mask)
        need.dtype(tags.dtype == "int64", f"needs int64 tags, got {tags.type}")
        need.shapes(tags.shape == X.shape[:2], f"has tags {show(tags.shape)} for scores {show(X.shape)}")
        return Type(X.dtype, X.shape[:1])

    def bind(self, ctx: Context, X: Array, A: Array, ends: Array, tags: Array, mask: Array | None = None) -> Bound:
        Y, (N, T, K) = ctx.out(), X.shape
        of_tags = ctx.save_for_backward((N, T, K), np.float64)  # what a row's loss changes by, per score
        of_pairs, of_ends = (ctx.save_for_backward((N, n, K), np.float64) for n in (K, 2))

        def forward() -> None:
            valid = np.ones((N, T), bool) if mask is None else np.asarray(mask)
            alpha, beta = np.zeros((2, T, N, K))
            x, a, first, last = X.astype(np.float64), A.astype(np.float64), *ends.astype(np.float64)
            for array in (of_tags, of_pairs, of_ends, Y):
                array.fill(0)
            if not T or not N:
                return
            alpha[0], beta[-1] = x[:, 0] + first, last
            for t in range(1, T):
                seen = valid[:, t, None]
                alpha[t] = np.where(seen, x[:, t] + _log_sum(alpha[t - 1][:, :, None] + a, 1), alpha[t - 1])
                after = (x[:, -t] + beta[-t])[:, None] + a
                beta[-t - 1] = np.where(valid[:, -t, None], _log_sum(after, 2), beta[-t])
            total = _log_sum(alpha[-1] + last, 1)
            rows, lengths = np.arange(N), np.maximum(valid.sum(1), 1)
            final = alpha[-1] + last - total[:, None]
            of_tags[:, 0] = of_ends[:, 0] = np.exp(alpha[0] + beta[0] - total[:, None])
            of_ends[:, 1] = np.exp(final)
            y = np.clip(tags, 0, K - 1)
            score = x[rows, 0, y[:, 0]] + first[y[:, 0]] + last[y[rows, lengths - 1]]
            of_tags[rows, 0, y[:, 0]] -= 1
            of_ends[rows, 0, y[:, 0]] -= 1
            of_ends[rows, 1, y[rows, lengths - 1]] -= 1
            for t in range(1, T):
                seen, was, now = valid[:, t], y[:, t - 1], y[:, t]
                pair = alpha[t - 1][:, :, None] + a + (x[:, t] + beta[t])[:, None]
                pair = np.exp(pair - total[:, None, None]) * seen[:, None, None]
                pair[rows, was, now] -= seen
                of_pairs[...] += pair
                of_tags[:, t] = pair.sum(1)
                score += seen * (x[rows, t, now] + a[was, now])
            np.subtract(total, score, out=Y, casting="same_kind")
            for array in (of_tags, of_pairs, of_ends, Y):
                array[~valid[:, 0]] = 0  # a row without steps

        def backward(dY: Array) -> Calls:
            parts: list[tuple[Array, Any, Array | None]] = [(of_tags, (), ctx.grad(0))]
            parts += [(of_pairs, 0, ctx.grad(1)), (of_ends, 0, ctx.grad(2))]

            def scale() -> None:
                for part, axis, gradient in parts:
                    if gradient is not None:
                        gradient[...] = (part * dY[:, None, None]).sum(axis)

            return [(scale,)]

        return Y, [(forward,)], backward


def _log_sum(x: Array, axis: int) -> Array:
    peak = x.max(axis=axis, keepdims=True)
    return np.asarray((np.log(np.exp(x - peak).sum(axis=axis, keepdims=True)) + peak).squeeze(axis))
