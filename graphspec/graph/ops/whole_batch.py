"""Operators on the whole batch, over all workers: training only, never exported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from graphspec.graph import expressions as ex
from graphspec.graph.expressions import Expression, leaf, record, write
from graphspec.graph.ir.graph import Array, Type, Value, show
from graphspec.graph.kernels.common import sum_axes
from graphspec.graph.kernels.context import Bound, Calls, Context, need
from graphspec.graph.ops.op import TrainingOnly, into_gradient

_EXCLUDED = -1e30  # exponent or logit of an excluded pair; not -inf, so that a row without pairs has the gradient 0


class BatchSum(TrainingOnly):
    """``Y = Σ X`` over axis 0, for the rows of all workers. Shapes: X (batch, …) → Y (…)."""

    def infer(self, X: Value) -> Type:
        need.float(X)
        need(X.rank > 0, "needs a batch axis")
        return Type(X.dtype, X.shape[1:])

    def bind(self, ctx: Context, X: Array) -> Bound:
        Y = ctx.out()
        calls: Calls = [*sum_axes(ctx, X, (0,), Y), *ctx.all_reduce(Y)]

        return Y, calls, into_gradient(ctx)(lambda dY, dX: [*ctx.all_reduce(dY), (np.copyto, dX, dY)])


class CircleLoss(TrainingOnly):
    """The circle loss of each row of X against all rows of the batch; ids are the classes of the rows.

    With ``d = max(1 - x · r, 0)``: ``Y = softplus(P + Q)``, ``P = log Σ exp(-γ (m + d)⁺ (m - d))`` over the rows r of
    x's class, ``Q = log Σ exp(γ (1 + m - d)⁺ (1 - m - d))`` over the other rows; Y is 0 for a row if either
    sum is empty. Each worker reads the rows of all workers and computes the values of its own rows.

    Shapes: X (batch, features), ids (batch,) → Y (batch,). The ids have no gradient. Sun et al., *Circle loss*, CVPR
    2020, as in Keras 3.
    """

    rows = "all_in_front"

    gamma: float = 80.0
    margin: float = 0.4
    remove_diagonal: int = 1

    def infer(self, X: Value, ids: Value) -> Type:
        need.float(X)
        need(X.rank == 2, f"needs rows of features, got {show(X.shape)}")
        need(ids.dtype == "int64" and ids.shape == X.shape[:1], f"needs one int64 id per row, got {ids.type}")
        return Type(X.dtype, X.shape[:1])

    def bind(self, ctx: Context, X: Array, ids: Array) -> Bound:
        Y, n, total, own = ctx.out(), len(X), ctx.total, ctx.rows
        every, labels = ctx.save_for_backward((total, X.shape[1])), ctx.save_for_backward((total,), np.int64)
        raw, z, peak = ctx.save_for_backward((n, total)), ctx.save_for_backward((n,)), ctx.scratch((n, 1))
        same, keep = ctx.save_for_backward((n, total), np.bool_), ctx.scratch((n, total), np.bool_)
        # each row's share of the sum in P, and of the sum in Q
        shares = ctx.save_for_backward((2, n, total))
        d, sums = ctx.scratch((n, total)), ctx.scratch((n, 1))
        diagonal = np.arange(n), np.arange(own.start, own.stop)
        sides = ((-self.gamma, self.margin, 1.0, self.margin), (self.gamma, 1 + self.margin, -1.0, 1 - self.margin))
        gather: Calls = [(every.fill, 0), (labels.fill, 0), (np.copyto, every[own], X), (np.copyto, labels[own], ids)]
        calls: Calls = [
            *(*gather, *ctx.all_reduce(every), *ctx.all_reduce(labels)),
            (np.matmul, X, every.T, raw),
            *write(ctx, raw, lambda product: 1 - product, raw),
            *write(ctx, d, lambda raw: ex.maximum(raw, 0), raw),
            (np.equal, ids[:, None], labels, same),
            (z.fill, 0),
        ]
        for k, side in enumerate(sides):
            calls.append((np.logical_not, same, keep) if k else (np.copyto, keep, same))
            if self.remove_diagonal:
                calls.append((keep.__setitem__, diagonal, False))
            calls += [
                *record(ctx, (shares[k], circle_exponent(leaf(d), *side))),
                (np.logical_not, keep, keep),
                (partial(np.copyto, where=keep), shares[k], ctx.constant(_EXCLUDED)),
                (_add_log_sums, shares[k], peak, sums, z),
            ]

        @into_gradient(ctx)
        def backward(dY: Array, dX: Array) -> Calls:
            d, G = ctx.scratch((n, total)), ctx.scratch((n, total))
            all_rows, sigma = ctx.scratch((total, X.shape[1])), ctx.scratch((n,))
            calls: Calls = [*write(ctx, d, lambda raw: ex.maximum(raw, 0), raw), (G.fill, 0)]
            for side, share in zip(sides, shares, strict=True):
                calls += record(ctx, (G, leaf(G) + circle_slope(leaf(d), *side) * leaf(share)))
            return [
                *calls,
                *write(ctx, sigma, lambda z, dY: ex.exp(-ex.logaddexp(-z, 0)) * dY, z, dY),
                *write(ctx, G, lambda G, sigma, raw: -(G * sigma * (raw > 0)), G, sigma[:, None], raw),
                (np.matmul, G.T, every[own], all_rows),
                *ctx.all_reduce(all_rows),
                (np.matmul, G, every, dX),
                (np.add, dX, all_rows[own], dX),
            ]

        return Y, [*calls, (np.logaddexp, z, ctx.constant(0.0), Y)], backward


def circle_exponent(d: Expression, scale: float, u: float, v: float, w: float) -> Expression:
    """Return ``scale · (u + v · d)⁺ · (w - d)``."""
    return ex.maximum(d * v + u, 0) * (w - d) * scale


def circle_slope(d: Expression, scale: float, u: float, v: float, w: float) -> Expression:
    """Return the derivative of :func:`circle_exponent` by ``d``."""
    slack = d * v + u
    return ((w - d) * v * (slack > 0) - ex.maximum(slack, 0)) * scale


class InfoNCE(TrainingOnly):
    """The cross-entropy of finding the partner of each row among the rows of the whole batch, in both directions.

    ``Y = ½ (ℓ(A, B) + ℓ(B, A))`` with ``ℓ(X, Z)[i] = −log softmax(scale · X[i] · C)`` at Z[i]; the candidates C are all
    rows of Z, and with ``within`` also the other rows of X. Each worker reads the rows of all workers and computes the
    values of its own rows.

    Shapes: A and B (batch, features), scale () → Y (batch,). van den Oord et al., *Representation Learning with
    Contrastive Predictive Coding*, 2018; Chen et al., *SimCLR*, ICML 2020.
    """

    rows = "all_in_front"
    keeps_in, keeps_out = (2,), False

    within: int = 1

    def infer(self, A: Value, B: Value, scale: Value) -> Type:
        need.float(A, B, scale)
        need(A.rank == 2 and A.shape == B.shape, f"needs two inputs of rows, got {show(A.shape)} and {show(B.shape)}")
        need(scale.rank == 0, f"needs a scalar scale, got {show(scale.shape)}")
        return Type(A.dtype, A.shape[:1])

    def bind(self, ctx: Context, A: Array, B: Array, scale: Array) -> Bound:
        Y, n, total, own, within = ctx.out(), len(A), ctx.total, ctx.rows, bool(self.within)
        views, width = (A, B), total * (1 + within)
        every = ctx.save_for_backward((2, total, A.shape[1]))
        shares = ctx.save_for_backward((2, n, width))  # each candidate's probability, for the rows of A and of B
        peak, sums = ctx.scratch((n, 1)), ctx.scratch((n, 1))
        partner = np.arange(n), np.arange(own.start, own.stop)
        itself = partner[0], partner[1] + total

        gather: Calls = [(every.fill, 0), (np.copyto, every[0, own], A), (np.copyto, every[1, own], B)]

        def forward() -> None:
            Y.fill(0)
            for view in range(2):
                share = shares[view]
                _products(views, every, view, share)
                np.multiply(share, scale, out=share)
                if within:
                    share[itself] = _EXCLUDED
                np.subtract(Y, share[partner], out=Y)
                _add_log_sums(share, peak, sums, Y)
            np.multiply(Y, 0.5, out=Y)

        def backward(dY: Array) -> Calls:
            gradients, dscale = (ctx.grad(0), ctx.grad(1)), ctx.grad(2)
            G, cosines, half = ctx.scratch((n, width)), ctx.scratch((n, width)), ctx.scratch((n,))
            direct, term = ctx.scratch((2, *A.shape)), ctx.scratch(A.shape)
            all_rows, other = ctx.scratch(every.shape), ctx.scratch(every.shape[1:])

            def slope() -> None:
                np.multiply(dY, 0.5, out=half)
                for array in (direct, all_rows, *([] if dscale is None else [dscale])):
                    array.fill(0)
                for view in range(2):
                    np.copyto(G, shares[view])
                    G[partner] -= 1
                    np.multiply(G, half[:, None], out=G)
                    if dscale is not None:
                        _products(every[:, own], every, view, cosines)
                        np.multiply(cosines, G, out=cosines)
                        np.add(dscale, cosines.sum(), out=dscale)
                    np.multiply(G, scale, out=G)
                    for of, columns in _parts(G, view, total):
                        np.matmul(columns, every[of], out=term)
                        np.add(direct[view], term, out=direct[view])
                        np.matmul(columns.T, every[view, own], out=other)
                        np.add(all_rows[of], other, out=all_rows[of])

            terms = zip(direct, all_rows[:, own], gradients, strict=True)
            sums = [(np.add, own_rows, of_others, dX) for own_rows, of_others, dX in terms if dX is not None]
            return [(slope,), *ctx.all_reduce(all_rows), *sums]

        return Y, [*gather, *ctx.all_reduce(every), (forward,)], backward


def _add_log_sums(logits: Array, peak: Array, sums: Array, out: Array) -> None:
    """Add ``log Σ exp`` of each row of ``logits`` to ``out``; the logits become probabilities. ``peak``, ``sums``: space."""
    np.maximum.reduce(logits, axis=1, out=peak, keepdims=True, initial=_EXCLUDED)
    np.subtract(logits, peak, out=logits)
    np.exp(logits, out=logits)
    np.add.reduce(logits, axis=1, out=sums, keepdims=True)
    np.divide(logits, sums, out=logits)
    np.log(sums, out=sums)
    np.add(out, peak[:, 0], out=out)
    np.add(out, sums[:, 0], out=out)


def _parts(columns: Array, view: int, total: int) -> Iterator[tuple[int, Array]]:
    """Yield the columns of the candidates of a view's rows: those of the other view, then its own, each with its view."""
    yield 1 - view, columns[:, :total]
    if columns.shape[1] > total:
        yield view, columns[:, total:]


def _products(views: Sequence[Array] | Array, every: Array, view: int, out: Array) -> None:
    for of, columns in _parts(out, view, every.shape[1]):
        np.matmul(views[view], every[of].T, out=columns)
