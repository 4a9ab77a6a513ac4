"""Dropout and other noise in training; outside training these operators return their first input.

The noise of a row depends on the seed, the node, the step and the row's index in the batch, not on the number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.base.arrays.random import Stream
from graphspec.graph.expressions import cos, exp, leaf, log, number, record, sin, sqrt, write
from graphspec.graph.ir.graph import Array, Type, Value, show
from graphspec.graph.kernels.common import saved_like
from graphspec.graph.kernels.context import Bound, Calls, Context, need, normalize_axis
from graphspec.graph.ops.op import Memoryless, TrainingOnly, in_place, into_gradient, passes_on

_LEVELS = 1 << 16  # an element is dropped if its 16 random bits are below ratio · 2¹⁶
ALPHA = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946  # SELU's lower limit, its value at -∞


def noise_of_rows(ctx: Context, rows: int, purpose: str, seed: int | None, *, same: bool = False) -> tuple[Stream, int]:
    """The random numbers of a node, and the number in the batch of the first of its ``rows``; 0 with ``same``."""
    own_samples = ctx.rows.stop - ctx.rows.start
    first = 0 if same or ctx.alike or not own_samples else ctx.rows.start * (rows // own_samples)
    return ctx.stream(purpose if seed is None else f"{purpose} {seed}"), first


def random_words(
    ctx: Context, shape: Sequence[int], dtype: Any, purpose: str, seed: int | None, *, same: bool = False
) -> tuple[Array, Calls]:
    """Random integers of ``dtype``, (rows, elements per row), for noise of ``shape``; and the calls that draw them.

    The first axis of ``shape`` is the batch or a multiple of it, such as N·T. With ``same`` all workers draw the same
    integers, as for values without a batch axis.
    """
    rows = shape[0]
    width = int(np.prod(shape[1:], dtype=np.int64))
    per_word = 8 // np.dtype(dtype).itemsize
    words = ctx.scratch((rows, 4 * -(-width // (4 * per_word))), np.uint64)
    stream, first = noise_of_rows(ctx, rows, purpose, seed, same=same)
    return words.view(dtype)[:, :width], [(stream.fill, words, first)]


def dropout_mask(
    ctx: Context, X: Array | Sequence[int], rate: float, seed: int | None, factor: float, shared: Sequence[int] = ()
) -> tuple[Array, Calls]:
    """A saved mask for X, or a shape: 0 with probability ``rate``, else ``factor``; the same along the axes ``shared``."""
    sizes, order = (X.shape, axis_order(X)) if isinstance(X, np.ndarray) else (X, range(len(X)))
    shape = [1 if k in shared else n for k, n in enumerate(sizes)]
    mask = ctx.save_for_backward([shape[k] for k in order]).transpose(np.argsort(order))
    random, calls = random_words(ctx, shape, np.uint16, "dropout", seed, same=0 in shared)
    keep = ctx.scratch(random.shape, np.bool_)
    threshold, scale = ctx.constant(round(rate * _LEVELS), np.uint16), ctx.constant(factor)
    calls += [(np.greater_equal, random, threshold, keep), (np.multiply, keep.reshape(shape), scale, mask)]
    return mask, calls


def normal_noise(ctx: Context, X: Array, deviation: float, seed: int | None) -> tuple[Array, Calls]:
    """Scratch of X's shape with normally distributed elements, by the Box–Muller transform of 32-bit integers."""
    rows, width = X.shape[0], int(np.prod(X.shape[1:], dtype=np.int64))
    pairs = -(-width // 2)
    bits, calls = random_words(ctx, (rows, 2 * pairs), np.uint32, "noise", seed)
    radius, angle, noise = ctx.scratch((rows, pairs)), ctx.scratch((rows, pairs)), ctx.scratch((rows, width))
    first, second = noise[:, :pairs], noise[:, pairs:]
    r, a, few = leaf(bits[:, :pairs]), leaf(bits[:, pairs:]), (slice(None), slice(width - pairs))
    calls += [  # the argument of log is never 0
        *record(ctx, (radius, sqrt(log(number(r) * 2.0**-32 + 2.0**-33) * (-2 * deviation**2)))),
        *record(ctx, (angle, number(a) * (2 * np.pi * 2.0**-32))),
        *write(ctx, first, lambda angle, radius: cos(angle) * radius, angle, radius),
        *write(ctx, second, lambda angle, radius: sin(angle) * radius, angle[few], radius[few]),
    ]
    return noise.reshape(X.shape), calls


def uniform_noise(
    ctx: Context, X: Array, bits: int, offset: float, seed: int | None, scale: float
) -> tuple[Array, Calls]:
    """Scratch of X's shape with elements ``(k + offset) · scale / 2^bits`` for random integers k below ``2^bits``."""
    rows, width = X.shape[0], int(np.prod(X.shape[1:], dtype=np.int64))
    words, calls = random_words(ctx, (rows, width), np.uint32, "uniform", seed)
    integers, noise = ctx.scratch((rows, width), np.uint32), ctx.scratch((rows, width))
    calls += [
        (np.right_shift, words, ctx.constant(32 - bits, np.uint32), integers),
        *write(ctx, noise, lambda k: (number(k) + offset) * (scale * 2.0**-bits), integers),
    ]
    return noise.reshape(X.shape), calls


def identity(ctx: Context, X: Array) -> Bound:
    """The output X itself, with the identity as its gradient."""
    return X, [], passes_on(ctx)


def multiply(ctx: Context, X: Array, factor: Array, calls: Calls) -> Bound:
    """``Y = X · factor`` with a saved factor, which ``calls`` write; only X has a gradient."""
    Y = X if ctx.may_overwrite(0) else ctx.out(like=X)
    backward = in_place(ctx)(lambda dY: [(np.multiply, dY, factor, dY)])
    return Y, [*calls, (np.multiply, X, factor, Y)], backward


def infer_noise(X: Value, rate: float | None = None, shared: Sequence[int] = ()) -> Type:
    """The output type of noise on X; raise :class:`ShapeError` for a rate or axes that do not fit."""
    need.float(X)
    need(X.rank >= 1, "needs a batch axis for its noise")
    need.value(rate is None or 0 <= rate < 1, f"needs a rate in [0, 1), got {rate}", key="rate")
    for axis in shared:
        need(0 <= normalize_axis(axis, X.rank) == axis, f"needs shared axes counted from 0, got {axis}")
    return X.type


class Dropout(Memoryless):
    """In training, set elements to 0 with probability ``ratio`` and scale the others by ``1 / (1 - ratio)``.

    Data (N, …), constant scalars ratio (0.5 by default) and training_mode → Y (N, …). The identity in a program bound for
    inference, or if ``training_mode`` is false. Srivastava et al., JMLR 2014.
    """

    rows = "broadcast"
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
        return multiply(ctx, data, *dropout_mask(ctx, data, rate, self.seed, 1 / (1 - rate)))


class Noise(TrainingOnly):
    """An operator that uses random numbers in training, and is the identity on its first input otherwise."""

    rows = "broadcast"
    identity_in_inference = True

    def infer(self, X: Value) -> Type:
        return infer_noise(X)

    def bind(self, ctx: Context, X: Array, *others: Array) -> Bound:
        nothing_drops = vars(self).get("rate") == 0
        return self.bind_training(ctx, X, *others) if ctx.training and not nothing_drops else identity(ctx, X)

    def bind_training(self, ctx: Context, X: Array, *others: Array) -> Bound:
        raise NotImplementedError


class SharedDropout(Noise):
    """Dropout with one random decision for all elements along the axes ``shared``. ONNX has no such operator."""

    rate: float
    shared: Sequence[int]
    seed: int | None = None

    def infer(self, X: Value) -> Type:
        return infer_noise(X, self.rate, self.shared)

    def bind_training(self, ctx: Context, X: Array, *others: Array) -> Bound:
        return multiply(ctx, X, *dropout_mask(ctx, X, self.rate, self.seed, 1 / (1 - self.rate), self.shared))


class AlphaDropout(SharedDropout):
    """In training ``Y = a · (k · X + (1 - k) · α) + b``, where k is 0 with probability ``rate``, else 1.

    α is SELU's lower limit; a and b keep mean 0 and variance 1. One k for all elements along the axes ``shared``.
    Klambauer et al., *Self-normalizing neural networks*, 2017.
    """

    shared: Sequence[int] = ()

    def bind_training(self, ctx: Context, X: Array, *others: Array) -> Bound:
        a = ((1 - self.rate) * (1 + self.rate * ALPHA**2)) ** -0.5
        mask, calls = dropout_mask(ctx, X, self.rate, self.seed, a, self.shared)
        Y, calls, backward = multiply(ctx, X, mask, calls)
        shift = a * ALPHA * (1 - self.rate)
        return Y, [*calls, *write(ctx, Y, lambda y, mask: y + (mask * -ALPHA + shift), Y, mask)], backward


class Gaussian(Noise):
    """An operator that adds or multiplies normally distributed noise in training, with standard deviation ``deviation``."""

    deviation: float
    seed: int | None = None


class GaussianDropout(Gaussian):
    """In training, multiply by noise of mean 1 and standard deviation ``deviation``. Srivastava et al., JMLR 2014."""

    def bind_training(self, ctx: Context, X: Array, *others: Array) -> Bound:
        noise, calls = normal_noise(ctx, X, self.deviation, self.seed)
        factor = saved_like(ctx, X, ctx.dtype)
        return multiply(ctx, X, factor, [*calls, (np.add, noise, ctx.constant(1.0), factor)])


class GaussianNoise(Gaussian):
    """In training, add noise of mean 0 and standard deviation ``deviation``."""

    def bind_training(self, ctx: Context, X: Array, *others: Array) -> Bound:
        noise, calls = normal_noise(ctx, X, self.deviation, self.seed)
        Y = X if ctx.may_overwrite(0) else ctx.out(like=X)
        return Y, [*calls, (np.add, X, noise, Y)], passes_on(ctx)


class Sample(Noise):
    """In training ``Y = mean + exp(log_variance / 2) · ε`` with ε from N(0, 1); at inference the mean.

    Shapes: mean and log_variance (N, …) → Y (N, …). Kingma and Welling, *Auto-Encoding Variational Bayes*, 2014.
    """

    seed: int | None = None

    def infer(self, mean: Value, log_variance: Value) -> Type:  # type: ignore[override]
        need.float(mean, log_variance)
        both = f"{show(mean.shape)} and {show(log_variance.shape)}"
        need(mean.shape == log_variance.shape, f"needs a mean and a log variance of one shape, got {both}")
        return infer_noise(mean)

    def bind_training(self, ctx: Context, mean: Array, *others: Array) -> Bound:
        (log_variance,) = others
        noise, calls = normal_noise(ctx, mean, 1.0, self.seed)
        Y, spread = ctx.out(), ctx.save_for_backward(mean.shape)
        calls += [
            *write(ctx, spread, lambda log_variance, noise: exp(log_variance * 0.5) * noise, log_variance, noise),
            (np.add, mean, spread, Y),
        ]

        def backward(dY: Array) -> Calls:
            dlog = ctx.grad(1)
            calls = [] if dlog is None else write(ctx, dlog, lambda d, spread: d * spread * 0.5, dY, spread)
            return calls + into_gradient(ctx)(lambda dY, dmean: [(np.copyto, dmean, dY)])(dY)

        return Y, calls, backward


class UniformNoise(Noise):
    """In training, add noise that is uniformly distributed between ``-width`` and ``width``."""

    width: float
    seed: int | None = None

    def bind_training(self, ctx: Context, X: Array, *others: Array) -> Bound:
        Y = ctx.out()
        noise, calls = uniform_noise(ctx, X, 24, -(2.0**23), self.seed, 2 * self.width)
        return Y, [*calls, (np.add, X, noise, Y)], passes_on(ctx)


class GumbelNoise(Noise):
    """In training, add ``-log(-log u)`` with u uniformly distributed between 0 and 1: noise of the Gumbel distribution."""

    seed: int | None = None

    def bind_training(self, ctx: Context, X: Array, *others: Array) -> Bound:
        Y = ctx.out()
        noise, calls = uniform_noise(ctx, X, 23, 0.5, self.seed, 1.0)  # of 24 bits: exact in float32, never 0 or 1
        return Y, [*calls, *write(ctx, Y, lambda x, u: x + -log(-log(u)), X, noise)], passes_on(ctx)


class StraightThrough(TrainingOnly):
    """``Y = X``, with the gradient of S in place of X's: X is a step function of S. ONNX has no such operator.

    Shapes: X, S and Y are equal. Bengio, Léonard and Courville, *Estimating or Propagating Gradients Through Stochastic
    Neurons for Conditional Computation*, 2013.
    """

    rows = "broadcast"
    identity_in_inference = True

    def infer(self, X: Value, S: Value) -> Type:
        need.float(X, S)
        need(X.shape == S.shape, f"needs inputs of one shape, got {show(X.shape)} and {show(S.shape)}")
        return X.type

    def bind(self, ctx: Context, X: Array, S: Array) -> Bound:
        def backward(dY: Array) -> Calls:
            dS, dX = ctx.grad(1), ctx.grad(0)
            calls: Calls = [] if dS is None else [(np.copyto, dS, dY)]
            return calls if dX is None else [*calls, (dX.fill, 0)]

        return X, [], backward
