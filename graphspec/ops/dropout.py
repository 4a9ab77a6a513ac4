"""Dropout and its relatives: the identity outside training, noise in it.

The noise of a row depends on the seed, the node, the step and the row's place in the batch: not on the number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.arrays.layout import axis_order
from graphspec.ir.graph import Array, Type, Value
from graphspec.kernels.common import copy_cast
from graphspec.kernels.context import Bound, Context, need, need_float, normalize_axis
from graphspec.ops.base import Op, op

_LEVELS = 1 << 16  # a number is dropped if its 16 random bits are below ratio · 2¹⁶
_ALPHA = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946  # SELU's least value


def random_words(
    ctx: Context, shape: Sequence[int], kind: Any, purpose: str, seed: int | None, *, same: bool = False
) -> tuple[Array, Calls]:
    """Random integers of dtype ``kind``, (rows, numbers a row), for noise of ``shape``, whose rows are those of the batch.

    Several rows may stand for each of the batch's, (N·T, …); with ``same`` every worker draws the same ones.
    """
    rows, mine = shape[0], ctx.rows.stop - ctx.rows.start
    width = int(np.prod(shape[1:], dtype=np.int64))
    per_word = 8 // np.dtype(kind).itemsize
    as_words = ctx.scratch((rows, 4 * -(-width // (4 * per_word))), np.uint64)
    first = 0 if same or not mine else ctx.rows.start * (rows // mine)
    stream = ctx.stream(purpose if seed is None else f"{purpose} {seed}")
    return as_words.view(kind)[:, :width], [(stream.fill, as_words, first)]


def kept(
    ctx: Context, X: Array, rate: float, seed: int | None, factor: float, shared: Sequence[int] = ()
) -> tuple[Array, Calls]:
    """Saved numbers that are 0 with probability ``rate`` and else ``factor``, one for all along the axes ``shared``."""
    shape = [1 if k in shared else n for k, n in enumerate(X.shape)]
    order = axis_order(X)
    mask = ctx.save_for_backward([shape[k] for k in order]).transpose(np.argsort(order))
    random, calls = random_words(ctx, shape, np.uint16, "dropout", seed, same=0 in shared)
    keep = ctx.scratch(random.shape, np.bool_)
    threshold, scale = ctx.constant(round(rate * _LEVELS), np.uint16), ctx.constant(factor)
    calls += [(np.greater_equal, random, threshold, keep), (np.multiply, keep.reshape(shape), scale, mask)]
    return mask, calls


def normals(ctx: Context, X: Array, deviation: float, seed: int | None) -> tuple[Array, Calls]:
    """Temporary normally distributed numbers of X's shape, by the Box–Muller transform of pairs of 32 random bits."""
    rows, width = X.shape[0], int(np.prod(X.shape[1:], dtype=np.int64))
    pairs = -(-width // 2)
    bits, calls = random_words(ctx, (rows, 2 * pairs), np.uint32, "noise", seed)
    radius, angle, noise = ctx.scratch((rows, pairs)), ctx.scratch((rows, pairs)), ctx.scratch((rows, width))
    least, most = ctx.constant(2.0**-33), ctx.constant(2.0**-32)
    first, second = noise[:, :pairs], noise[:, pairs:]
    calls += [
        (copy_cast, radius, bits[:, :pairs]),
        (np.multiply, radius, most, radius),
        (np.add, radius, least, radius),
        (np.log, radius, radius),
        (np.multiply, radius, ctx.constant(-2 * deviation**2), radius),
        (np.sqrt, radius, radius),
        (copy_cast, angle, bits[:, pairs:]),
        (np.multiply, angle, ctx.constant(2 * np.pi * 2.0**-32), angle),
        (np.cos, angle, first),
        (np.multiply, first, radius, first),
        (np.sin, angle[:, : width - pairs], second),
        (np.multiply, second, radius[:, : width - pairs], second),
    ]
    return noise.reshape(X.shape), calls


def identity(ctx: Context, X: Array) -> Bound:
    """X itself."""

    def backward(dY: Array) -> Calls:
        ctx.give_grad(0, dY)
        return []

    return X, [], backward


def times(ctx: Context, X: Array, factor: Array, calls: Calls) -> Bound:
    """``X · factor`` with a saved factor, after ``calls``."""
    Y = X if ctx.may_overwrite(0) else ctx.out(like=X)

    def backward(dY: Array) -> Calls:
        ctx.give_grad(0, dY)
        return [(np.multiply, dY, factor, dY)]

    return Y, [*calls, (np.multiply, X, factor, Y)], backward


def infer_noise(X: Value, rate: float | None = None, shared: Sequence[int] = ()) -> Type:
    need_float(X)
    need(X.rank >= 1, "noise needs a batch axis")
    need(rate is None or 0 <= rate < 1, f"the share {rate} to drop is not in [0, 1)", code="GS105", key="rate")
    for axis in shared:
        need(0 <= normalize_axis(axis, X.rank) == axis, f"shared axes count from 0, got {axis}")
    return X.type


@op
class Dropout(Op):
    """In training, zero a random share ``ratio`` of the numbers and scale the others by ``1 / (1 - ratio)``.

    In a program that is not bound for training, or with ``training_mode`` false: the identity.
    """

    keeps_in, keeps_out = (), False
    identity_in_inference = True

    seed: int | None = None

    def infer(self, data: Value, ratio: Value | None = None, training_mode: Value | None = None) -> Type:
        for value in (ratio, training_mode):
            need(value is None or (value.data is not None and value.data.size == 1), "needs a constant scalar")
        return infer_noise(data, None if ratio is None or ratio.data is None else float(ratio.data.item()))

    def bind(self, ctx: Context, data: Array, ratio: Array | None = None, training_mode: Array | None = None) -> Bound:
        rate = 0.5 if ratio is None else float(ratio.item())
        if not (ctx.training and training_mode is not None and training_mode.item() and rate > 0):
            return identity(ctx, data)
        return times(ctx, data, *kept(ctx, data, rate, self.seed, 1 / (1 - rate)))


@op
class SharedDropout(Op):
    """Dropout with one decision for all numbers along the axes ``shared``. ONNX has no such operator."""

    keeps_in, keeps_out = (), False
    exported, identity_in_inference = False, True

    rate: float
    shared: Sequence[int]
    seed: int | None = None

    def infer(self, X: Value) -> Type:
        return infer_noise(X, self.rate, self.shared)

    def bind(self, ctx: Context, X: Array) -> Bound:
        if not ctx.training or self.rate == 0:
            return identity(ctx, X)
        return times(ctx, X, *kept(ctx, X, self.rate, self.seed, 1 / (1 - self.rate), self.shared))


@op
class AlphaDropout(Op):
    """In training, put SELU's least value for a random share of the numbers, then keep mean 0 and variance 1.

    ``a · (k · X + (1 - k) · α) + b``, where k is 0 at ``rate``. Klambauer et al., *Self-normalizing neural networks*, 2017.
    """

    keeps_in, keeps_out = (), False
    exported, identity_in_inference = False, True

    rate: float
    shared: Sequence[int] = ()
    seed: int | None = None

    def infer(self, X: Value) -> Type:
        return infer_noise(X, self.rate, self.shared)

    def bind(self, ctx: Context, X: Array) -> Bound:
        if not ctx.training or self.rate == 0:
            return identity(ctx, X)
        a = ((1 - self.rate) * (1 + self.rate * _ALPHA**2)) ** -0.5
        mask, calls = kept(ctx, X, self.rate, self.seed, a, self.shared)
        Y, calls, backward = times(ctx, X, mask, calls)
        offset = ctx.scratch(mask.shape)
        calls += [
            (np.multiply, mask, ctx.constant(-_ALPHA), offset),
            (np.add, offset, ctx.constant(a * _ALPHA * (1 - self.rate)), offset),
            (np.add, Y, offset, Y),
        ]
        return Y, calls, backward


class Gaussian(Op):
    """In training, noise with normally distributed numbers of standard deviation ``deviation``."""

    keeps_in, keeps_out = (), False
    exported, identity_in_inference = False, True

    deviation: float
    seed: int | None = None

    def infer(self, X: Value) -> Type:
        return infer_noise(X)

    def bind(self, ctx: Context, X: Array) -> Bound:
        return self.disturb(ctx, X, *normals(ctx, X, self.deviation, self.seed)) if ctx.training else identity(ctx, X)

    def disturb(self, ctx: Context, X: Array, noise: Array, calls: Calls) -> Bound:
        """The output, calls and backward, after the ``calls`` that fill ``noise``."""
        raise NotImplementedError


@op
class GaussianDropout(Gaussian):
    """In training, multiply by numbers of mean 1 and standard deviation ``deviation``. Srivastava et al., 2014."""

    def disturb(self, ctx: Context, X: Array, noise: Array, calls: Calls) -> Bound:
        order = axis_order(X)
        factor = ctx.save_for_backward([X.shape[k] for k in order]).transpose(np.argsort(order))
        return times(ctx, X, factor, [*calls, (np.add, noise, ctx.constant(1.0), factor)])


@op
class GaussianNoise(Gaussian):
    """In training, add numbers of mean 0 and standard deviation ``deviation``."""

    def disturb(self, ctx: Context, X: Array, noise: Array, calls: Calls) -> Bound:
        Y = X if ctx.may_overwrite(0) else ctx.out(like=X)
        return Y, [*calls, (np.add, X, noise, Y)], identity(ctx, X)[2]
