"""Optimizers with an update that needs complete weights, with Keras's axes: Lamb, Adafactor, Muon."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial

import numpy as np
from pydantic import field_validator

from graphspec.base.arrays.calls import Calls
from graphspec.base.config import NonNegative, Positive, invalid, setting
from graphspec.graph.ir.graph import Array, Param, Segment
from graphspec.graph.optimizers.moments import Moments, accumulate_moments, adam_rate, adam_update
from graphspec.graph.optimizers.optimizer import OF_DECAY, OPTIMIZERS, Decay, Epsilon, Optimizer, arrays_of
from graphspec.graph.optimizers.vectors import BLOCK, Vectors, blocks
from graphspec.graph.schedules import Scheduled, rate_at


@OPTIMIZERS.add("Lamb", "lamb")
class Lamb(Moments):
    """Adam's step u, scaled to the norm of the weight: ``p ← p − η ‖p‖/‖u‖ · u`` (``η·u`` if a norm is 0).

    You et al., *Large Batch Optimization for Deep Learning: Training BERT in 76 minutes*, ICLR 2020.
    """

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        scale = math.sqrt((1 - self.beta_2 ** (step + 1)) / (1 - self.beta_2))
        return rate, scale * (1 - self.beta_1) / (1 - self.beta_1 ** (step + 1)), self.epsilon * scale

    def updates(self, v: Vectors, shrink: Array, factors: Sequence[Array]) -> Calls:
        rate, quotient_scale, epsilon = factors
        t = np.zeros(min(BLOCK, v.P.size), v.P.dtype)
        calls: Calls = []
        for s in v.segments:
            segment = slice(s.start, s.stop)
            weight_square, step_square = np.zeros((), v.P.dtype), np.zeros((), v.P.dtype)
            for block in blocks(s.start, s.stop):
                g, u, w = v.G[block], v.slots["momentum"][block], v.slots["velocity"][block]
                c = t[: g.size]
                calls += [*self.decay(v.P[block], shrink), *accumulate_moments(g, c, u, w, (self.beta_1, self.beta_2))]
                calls += [(np.sqrt, w, c), (np.add, c, epsilon, c), (np.divide, u, c, g)]
                calls.append((np.multiply, g, quotient_scale, g))
            p, g = v.P[segment], v.G[segment]
            calls += [(np.dot, p, p, weight_square), (np.dot, g, g, step_square)]
            calls.append((_trust, weight_square, step_square, rate))
            calls += [(np.multiply, g, step_square, g), (np.subtract, p, g, p)]
        return calls


def _trust(weight_square: Array, step_square: Array, rate: Array) -> None:
    """Replace ``step_square`` by the rate of a weight, given the squared norms of the weight and of its step."""
    ratio = math.sqrt(weight_square / step_square) if weight_square > 0 and step_square > 0 else 1.0
    step_square.fill(ratio * float(rate))


@OPTIMIZERS.add("Adafactor", "adafactor")
class Adafactor(Optimizer):
    """Adam's mean squares v, stored only as their means over rows r and over columns c: ``v = r cᵀ / mean(r)``.

    ``u = g/√v``, ``p ← p − max(ε₂, rms(p)) · min(η, 1/√t) · u / max(1, rms(u) / clip_threshold)``; the decay rate of
    the mean squares is ``1 − t^beta_2_decay``. Rows and columns are the last two axes; vectors store v itself. Shazeer
    and Stern, *Adafactor: Adaptive Learning Rates with Sublinear Memory Cost*, ICML 2018.
    """

    beta_2_decay: float = setting(-0.8, "The exponent of the step number in the decay rate.", le=0)
    epsilon_1: Epsilon = setting(1e-30, "The constant that is added to the square of the gradient.")
    epsilon_2: NonNegative = setting(1e-3, "The lower bound of a weight's root mean square.")
    clip_threshold: Positive = setting(1.0, "The upper bound of a step's root mean square.")
    relative_step: bool = setting(True, "Without effect, as in Keras: the rate is at most 1/√t in any case.")

    def own_slots(self, param: Param) -> dict[str, tuple[int, ...]]:
        axes = tuple(range(len(param.shape)))
        return {"velocity": axes} if len(axes) < 2 else {"row": axes[:-1], "column": (*axes[:-2], axes[-1])}

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        t = step + 1
        return 1 - t**self.beta_2_decay, t**self.beta_2_decay, min(rate, 1 / math.sqrt(t))

    def updates(self, v: Vectors, shrink: Array, factors: Sequence[Array]) -> Calls:
        keep, add, rate = factors
        t, calls = v.scratch(), list[tuple[object, ...]]()
        epsilon = np.array(self.epsilon_1, v.P.dtype)
        for s in v.segments:
            p, g = v.P[s.start : s.stop], v.G[s.start : s.stop]
            calls += [*self.decay(p, shrink), (np.square, g, t[: g.size]), (np.add, t[: g.size], epsilon, t[: g.size])]
            own = {name: v.slots[f"{name}/{s.param.name}"] for name in self.own_slots(s.param)}
            if "velocity" in own:
                mean, squares = own["velocity"], t[: g.size]
                calls += [(np.multiply, mean, keep, mean), (np.multiply, squares, add, squares)]
                calls += [(np.add, mean, squares, mean), (np.sqrt, mean, squares), (np.divide, g, squares, g)]
            else:
                calls += _factored(s.view(v.G), s.view(t, first=0), own["row"], own["column"], keep, add)
            weight_square, step_square = np.zeros((), p.dtype), np.zeros((), p.dtype)
            calls += [(np.dot, p, p, weight_square), (np.dot, g, g, step_square)]
            calls += [(partial(self._step_rate, g.size), weight_square, step_square, rate)]
            calls += [(np.multiply, g, step_square, g), (np.subtract, p, g, p)]
        return calls

    def _step_rate(self, n: int, weight_square: Array, step_square: Array, rate: Array) -> None:
        """Replace ``step_square`` by the rate of a weight of ``n`` elements, given two squared norms."""
        size = max(self.epsilon_2, math.sqrt(weight_square / n))
        step_square.fill(size * float(rate) / max(1.0, math.sqrt(step_square / n) / self.clip_threshold))


def _factored(G: Array, squares: Array, row: Array, column: Array, keep: Array, add: Array) -> Calls:
    """Return calls for ``G ← G / √v``, with v the product of the means of ``squares`` over rows and over columns."""
    calls: Calls = []
    roots = []
    for mean, axis in ((row, -1), (column, -2)):
        new, count = np.zeros_like(mean), np.array(1 / squares.shape[axis], G.dtype)
        calls += [
            (np.add.reduce, squares, axis, None, new),
            (np.multiply, new, count, new),
            (np.multiply, new, add, new),
        ]
        calls += [(np.multiply, mean, keep, mean), (np.add, mean, new, mean)]
        roots.append(new)
    row_roots, column_roots = roots
    overall, count = np.zeros((*row.shape[:-1], 1), G.dtype), np.array(1 / row.shape[-1], G.dtype)
    calls += [(np.add.reduce, row, -1, None, overall, True), (np.multiply, overall, count, overall)]
    calls += [(np.divide, row, overall, row_roots), (np.sqrt, row_roots, row_roots), (np.sqrt, column, column_roots)]
    return [*calls, (np.divide, G, row_roots[..., None], G), (np.divide, G, column_roots[..., None, :], G)]


@OPTIMIZERS.add("Muon", "muon")
class Muon(Optimizer):
    """Orthogonalized momentum for matrices, Adam for other weights.

    ``m ← μm + g``, ``p ← p − η · rms_rate · √max(rows, columns) · O(g + μm)``. O normalizes to ``X/‖X‖``, then iterates
    ``X ← aX + (bA + cA²)X`` with ``A = XXᵀ``, ``ns_steps`` times. Adam updates weights that are not matrices,
    embeddings, and the weights in ``exclude_layers``. Jordan et al., *Muon*, 2024; Liu et al., *Muon is Scalable for
    LLM Training*, 2025.
    """

    adam_beta_1: Decay = setting(0.9, "For Adam, the decay rate of the mean of the gradient.")
    adam_beta_2: Decay = setting(0.999, "For Adam, the decay rate of the mean square of the gradient.")
    adam_weight_decay: Scheduled | None = setting(0.004, "The `weight_decay` of Adam's weights.")
    epsilon: Epsilon = setting(1e-7, "For Adam, the constant that is added to the divisor.")
    weight_decay: Scheduled | None = setting(0.004, OF_DECAY)
    exclude_layers: list[str] | None = setting(
        None, "Regular expressions; Adam updates a weight if one matches a part of its name `node/role`."
    )
    exclude_embeddings: bool = setting(True, "Whether Adam updates weights with `embedding` in their name.")
    muon_a: float = setting(3.4445, "The coefficient of X.")
    muon_b: float = setting(-4.775, "The coefficient of X Xᵀ X.")
    muon_c: float = setting(2.0315, "The coefficient of (X Xᵀ)² X.")
    adam_lr_ratio: NonNegative = setting(1.0, "Adam's learning rate divided by Muon's.")
    momentum: float = setting(0.95, "The decay rate of the momentum.", ge=0, le=1)
    ns_steps: int = setting(5, "The number of Newton–Schulz iterations.", ge=0)
    nesterov: bool = setting(True, "Whether to use Nesterov's momentum.")
    rms_rate: NonNegative | None = setting(0.2, "The factor of the scaling by matrix size; null for none.")

    @field_validator("exclude_layers")
    @classmethod
    def _expressions(cls, expressions: list[str] | None) -> list[str] | None:
        for expression in expressions or ():
            try:
                re.compile(expression)
            except re.error as error:
                text = f"must be regular expressions, got '{expression}': {error}"
                raise invalid(text, "such as `^topic/`") from None
        return expressions

    moment_names = ("momentum",)

    def own_slots(self, param: Param) -> dict[str, tuple[int, ...]]:
        return {"velocity": tuple(range(len(param.shape)))} if self._by_adam(param) else {}

    def _by_adam(self, param: Param) -> bool:
        if len(param.shape) != 2 or (self.exclude_embeddings and "embedding" in param.name.lower()):
            return True
        return any(re.search(expression, param.name) for expression in self.exclude_layers or ())

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        adam = adam_rate(step, rate * self.adam_lr_ratio, self.adam_beta_1, self.adam_beta_2)
        return rate, adam, 1 - rate_at(self.adam_weight_decay or 0.0, step) * rate

    def updates(self, v: Vectors, shrink: Array, factors: Sequence[Array]) -> Calls:
        rate, adam_rate_, adam_shrink = factors
        t, x, y = v.scratch(), v.scratch(), v.scratch()
        calls: Calls = []
        for s in v.segments:
            if not self._by_adam(s.param):
                calls += [*self.decay(v.P[s.start : s.stop], shrink), *self._orthogonal(v, s, rate, t, x, y)]
                continue
            velocity = v.slots[f"velocity/{s.param.name}"]
            for block in blocks(s.start, s.stop):
                p, g = v.P[block], v.G[block]
                if self.adam_weight_decay:
                    calls.append((np.multiply, p, adam_shrink, p))
                w = velocity[block.start - s.start : block.stop - s.start]
                moments = v.slots["momentum"][block], w, None
                betas = self.adam_beta_1, self.adam_beta_2
                calls += adam_update(p, g, t[: p.size], moments, adam_rate_, betas, self.epsilon)
        return calls

    def _orthogonal(self, v: Vectors, s: Segment, rate: Array, t: Array, x: Array, y: Array) -> Calls:
        """Return calls that update a matrix; ``t``, ``x`` and ``y`` are scratch buffers."""
        P, segment, (mu,) = v.P, slice(s.start, s.stop), arrays_of(v.P, self.momentum)
        m, g = v.slots["momentum"][segment], v.G[segment]
        calls: Calls = [(np.multiply, m, mu, m), (np.add, m, g, m)]
        if self.nesterov:
            calls += [(np.multiply, m, mu, t[: m.size]), (np.add, g, t[: m.size], g)]
        else:
            calls += [(np.copyto, g, m)]
        W, G = s.view(P), s.view(v.G)
        if W.shape[0] > W.shape[1]:  # use the smaller Gram matrix: O(Xᵀ) = O(X)ᵀ
            W, G = W.T, G.T
        k = len(G)
        X, Y, norm = x[: m.size].reshape(G.shape), y[: m.size].reshape(G.shape), np.zeros((), P.dtype)
        A, B = np.zeros((k, k), P.dtype), np.zeros((k, k), P.dtype)
        calls += [(np.copyto, X, G), (np.dot, x[: m.size], x[: m.size], norm)]
        calls += [(_inverse_root, norm), (np.multiply, X, norm, X)]
        a, b, c = arrays_of(P, self.muon_a, self.muon_b, self.muon_c)
        for _ in range(self.ns_steps):
            calls += [(np.matmul, X, X.T, A), (np.matmul, A, A, B), (np.multiply, B, c, B), (np.multiply, A, b, A)]
            calls += [(np.add, A, B, A), (np.matmul, A, X, Y), (np.multiply, X, a, X), (np.add, X, Y, X)]
        calls.append((np.multiply, X, rate, X))
        if self.rms_rate is not None:
            scale = np.array(self.rms_rate * math.sqrt(max(W.shape)), P.dtype)
            calls.append((np.multiply, X, scale, X))
        return [*calls, (np.subtract, W, X, W)]


def _inverse_root(norm: Array) -> None:
    """Replace a squared norm by the reciprocal of the norm."""
    norm.fill(1 / (math.sqrt(norm) + 1e-7))
