"""Optimizers that treat each weight as a whole, with Keras's axes: Lamb, Adafactor, Muon."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, field_validator

from graphspec.config import NonNegative, Positive, invalid
from graphspec.optimizers.adam import AdamBlock, Moments, accumulate_moments, adam_rate, adam_update
from graphspec.optimizers.base import BLOCK, OPTIMIZERS, Decay, Epsilon, Optimizer, Vectors, blocks

if TYPE_CHECKING:
    from graphspec.arrays.calls import Calls
    from graphspec.ir.graph import Array, Param, Segment


@OPTIMIZERS.add("Lamb", "lamb")
class Lamb(Moments):
    """Adam's step u with a length in proportion to the weight's: ``p ← p − η ‖p‖/‖u‖ · u`` (η·u where a norm is 0).

    You et al., *Large batch optimization for deep learning*, ICLR 2020.
    """

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        scale = math.sqrt((1 - self.beta_2 ** (step + 1)) / (1 - self.beta_2))
        return rate, scale * (1 - self.beta_1) / (1 - self.beta_1 ** (step + 1)), self.epsilon * scale

    def updates(self, v: Vectors, shrink: Array, factors: Sequence[Array]) -> Calls:
        rate, of_quotient, epsilon = factors
        t = np.zeros(min(BLOCK, v.P.size), v.P.dtype)
        calls: Calls = []
        for s in v.segments:
            whole = slice(s.start, s.stop)
            of_weight, of_step = np.zeros((), v.P.dtype), np.zeros((), v.P.dtype)
            for block in blocks(s.start, s.stop):
                g, u, w = v.G[block], v.slots["momentum"][block], v.slots["velocity"][block]
                c = t[: g.size]
                calls += [*self.decay(v.P[block], shrink), *accumulate_moments(g, c, u, w, (self.beta_1, self.beta_2))]
                calls += [
                    (np.sqrt, w, c),
                    (np.add, c, epsilon, c),
                    (np.divide, u, c, g),
                    (np.multiply, g, of_quotient, g),
                ]
            p, g = v.P[whole], v.G[whole]
            calls += [(np.dot, p, p, of_weight), (np.dot, g, g, of_step), (_trust, of_weight, of_step, rate)]
            calls += [(np.multiply, g, of_step, g), (np.subtract, p, g, p)]
        return calls


def _trust(of_weight: Array, of_step: Array, rate: Array) -> None:
    """``of_step`` becomes the rate of a weight, from the squares of the norms of the weight and of its step."""
    ratio = math.sqrt(of_weight / of_step) if of_weight > 0 and of_step > 0 else 1.0
    of_step.fill(ratio * float(rate))


@OPTIMIZERS.add("Adafactor", "adafactor")
class Adafactor(Optimizer):
    """Mean squares v of the gradient kept as their means over rows and over columns: ``v = r cᵀ / mean(r)``.

    ``u = g/√v``, ``p ← p − max(ε₂, rms(p)) · min(η, 1/√t) · u / max(1, rms(u) / clip_threshold)``; the mean squares
    keep ``1 − t^beta_2_decay``. Rows and columns are the last two axes; a vector keeps v itself. Shazeer and Stern, 2018.
    """

    beta_2_decay: float = Field(-0.8, le=0, description="How fast the mean squares slow down.")
    epsilon_1: Epsilon = Field(1e-30, description="Added to the square of the gradient.")
    epsilon_2: NonNegative = Field(1e-3, description="The least root mean square of a weight that counts.")
    clip_threshold: Positive = Field(1.0, description="The largest root mean square of a step.")
    relative_step: bool = Field(True, description="Without effect, as in Keras: the rate is at most 1/√t in any case.")

    def own_slots(self, param: Param) -> dict[str, tuple[int, ...]]:
        axes = tuple(range(len(param.shape)))
        return {"velocity": axes} if len(axes) < 2 else {"row": axes[:-1], "column": (*axes[:-2], axes[-1])}

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        t = step + 1
        return 1 - t**self.beta_2_decay, t**self.beta_2_decay, min(rate, 1 / math.sqrt(t))

    def updates(self, v: Vectors, shrink: Array, factors: Sequence[Array]) -> Calls:
        keep, take, rate = factors
        t, calls = v.longest(), list[tuple[object, ...]]()
        epsilon = np.array(self.epsilon_1, v.P.dtype)
        for s in v.segments:
            p, g = v.P[s.start : s.stop], v.G[s.start : s.stop]
            calls += [*self.decay(p, shrink), (np.square, g, t[: g.size]), (np.add, t[: g.size], epsilon, t[: g.size])]
            own = {name: v.slots[f"{name}/{s.param.name}"] for name in self.own_slots(s.param)}
            if "velocity" in own:
                mean, squares = own["velocity"], t[: g.size]
                calls += [(np.multiply, mean, keep, mean), (np.multiply, squares, take, squares)]
                calls += [(np.add, mean, squares, mean), (np.sqrt, mean, squares), (np.divide, g, squares, g)]
            else:
                calls += _factored(s.view(v.G), s.view(t, first=0), own["row"], own["column"], keep, take)
            of_weight, of_step = np.zeros((), p.dtype), np.zeros((), p.dtype)
            calls += [(np.dot, p, p, of_weight), (np.dot, g, g, of_step)]
            calls += [(partial(self._length, g.size), of_weight, of_step, rate)]
            calls += [(np.multiply, g, of_step, g), (np.subtract, p, g, p)]
        return calls

    def _length(self, n: int, of_weight: Array, of_step: Array, rate: Array) -> None:
        """``of_step`` becomes the rate of a weight of ``n`` elements, from the squares of two norms."""
        size = max(self.epsilon_2, math.sqrt(of_weight / n))
        of_step.fill(size * float(rate) / max(1.0, math.sqrt(of_step / n) / self.clip_threshold))


def _factored(G: Array, squares: Array, row: Array, column: Array, keep: Array, take: Array) -> Calls:
    """``G ← G / √v`` where v is the product of the mean of ``squares`` over rows and over columns."""
    calls: Calls = []
    roots = []
    for mean, axis in ((row, -1), (column, -2)):
        new, count = np.zeros_like(mean), np.array(1 / squares.shape[axis], G.dtype)
        calls += [
            (np.add.reduce, squares, axis, None, new),
            (np.multiply, new, count, new),
            (np.multiply, new, take, new),
        ]
        calls += [(np.multiply, mean, keep, mean), (np.add, mean, new, mean)]
        roots.append(new)
    of_rows, of_columns = roots
    whole, count = np.zeros((*row.shape[:-1], 1), G.dtype), np.array(1 / row.shape[-1], G.dtype)
    calls += [(np.add.reduce, row, -1, None, whole, True), (np.multiply, whole, count, whole)]
    calls += [(np.divide, row, whole, of_rows), (np.sqrt, of_rows, of_rows), (np.sqrt, column, of_columns)]
    return [*calls, (np.divide, G, of_rows[..., None], G), (np.divide, G, of_columns[..., None, :], G)]


@OPTIMIZERS.add("Muon", "muon")
class Muon(Optimizer):
    """Matrices by their momentum made orthogonal, other weights by Adam.

    ``m ← μm + g``, ``p ← p − η · rms_rate · √max(rows, columns) · O(g + μm)``, where O is ``ns_steps`` times
    ``X ← aX + (bA + cA²)X``, ``A = XXᵀ``, from ``X/‖X‖``. Adam takes what is no matrix, embeddings, and what
    ``exclude_layers`` names. Jordan et al. 2024; Liu et al., arXiv:2502.16982.
    """

    adam_beta_1: Decay = Field(0.9, description="For Adam, how much of the mean of the gradient stays.")
    adam_beta_2: Decay = Field(0.999, description="For Adam, how much of the mean square of the gradient stays.")
    adam_weight_decay: NonNegative | None = Field(0.004, description="`weight_decay` of what Adam takes.")
    epsilon: Epsilon = Field(1e-7, description="For Adam, added to the divisor.")
    weight_decay: NonNegative | None = Field(0.004, description="What a step takes from each weight, times the rate.")
    exclude_layers: list[str] | None = Field(
        None, description="Regular expressions; a weight whose name `node/role` one is found in is Adam's."
    )
    exclude_embeddings: bool = Field(True, description="Whether Adam takes weights with `embedding` in their name.")
    muon_a: float = Field(3.4445, description="Coefficient of X.")
    muon_b: float = Field(-4.775, description="Coefficient of X Xᵀ X.")
    muon_c: float = Field(2.0315, description="Coefficient of (X Xᵀ)² X.")
    adam_lr_ratio: NonNegative = Field(1.0, description="Adam's learning rate as a share of Muon's.")
    momentum: float = Field(0.95, ge=0, le=1, description="How much of the momentum stays.")
    ns_steps: int = Field(5, ge=0, description="Iterations of Newton and Schulz.")
    nesterov: bool = Field(True, description="Whether the gradient is taken ahead, as Nesterov does.")
    rms_rate: NonNegative | None = Field(0.2, description="Scale by the matrix's size; null for none.")

    @field_validator("exclude_layers")
    @classmethod
    def _expressions(cls, given: list[str] | None) -> list[str] | None:
        for expression in given or ():
            try:
                re.compile(expression)
            except re.error as error:
                text = f"must be regular expressions, got '{expression}': {error}"
                raise invalid(text, "such as `^topic/`") from None
        return given

    def moments(self) -> tuple[str, ...]:
        return ("momentum",)

    def own_slots(self, param: Param) -> dict[str, tuple[int, ...]]:
        return {"velocity": tuple(range(len(param.shape)))} if self._by_adam(param) else {}

    def _by_adam(self, param: Param) -> bool:
        if len(param.shape) != 2 or (self.exclude_embeddings and "embedding" in param.name.lower()):
            return True
        return any(re.search(expression, param.name) for expression in self.exclude_layers or ())

    def factors(self, step: int, rate: float) -> tuple[float, ...]:
        adam = adam_rate(step, rate * self.adam_lr_ratio, self.adam_beta_1, self.adam_beta_2)
        return rate, adam, 1 - (self.adam_weight_decay or 0.0) * rate

    def updates(self, v: Vectors, shrink: Array, factors: Sequence[Array]) -> Calls:
        rate, of_adam, adam_shrink = factors
        t, x, y = v.longest(), v.longest(), v.longest()
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
                own = AdamBlock(p, g, t[: p.size], v.slots["momentum"][block], w)
                calls += adam_update(own, of_adam, (self.adam_beta_1, self.adam_beta_2), self.epsilon)
        return calls

    def _orthogonal(self, v: Vectors, s: Segment, rate: Array, t: Array, x: Array, y: Array) -> Calls:
        """The update of a matrix; ``t``, ``x`` and ``y`` are scratch."""
        P, m, g, mu = (
            v.P,
            v.slots["momentum"][s.start : s.stop],
            v.G[s.start : s.stop],
            np.array(self.momentum, v.P.dtype),
        )
        calls: Calls = [(np.multiply, m, mu, m), (np.add, m, g, m)]
        if self.nesterov:
            calls += [(np.multiply, m, mu, t[: m.size]), (np.add, g, t[: m.size], g)]
        else:
            calls += [(np.copyto, g, m)]
        W, G = s.view(P), s.view(v.G)
        if W.shape[0] > W.shape[1]:  # the smaller of the two Gram matrices: O(Xᵀ) = O(X)ᵀ
            W, G = W.T, G.T
        k = len(G)
        X, Y, norm = x[: m.size].reshape(G.shape), y[: m.size].reshape(G.shape), np.zeros((), P.dtype)
        A, B = np.zeros((k, k), P.dtype), np.zeros((k, k), P.dtype)
        calls += [
            (np.copyto, X, G),
            (np.dot, x[: m.size], x[: m.size], norm),
            (_inverse_root, norm),
            (np.multiply, X, norm, X),
        ]
        a, b, c = (np.array(number, P.dtype) for number in (self.muon_a, self.muon_b, self.muon_c))
        for _ in range(self.ns_steps):
            calls += [(np.matmul, X, X.T, A), (np.matmul, A, A, B), (np.multiply, B, c, B), (np.multiply, A, b, A)]
            calls += [(np.add, A, B, A), (np.matmul, A, X, Y), (np.multiply, X, a, X), (np.add, X, Y, X)]
        calls.append((np.multiply, X, rate, X))
        if self.rms_rate is not None:
            scale = np.array(self.rms_rate * math.sqrt(max(W.shape)), P.dtype)
            calls.append((np.multiply, X, scale, X))
        return [*calls, (np.subtract, W, X, W)]


def _inverse_root(norm: Array) -> None:
    norm.fill(1 / (math.sqrt(norm) + 1e-7))
