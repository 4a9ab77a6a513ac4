"""Recurrences without an ONNX operator, unrolled step by step with ordinary operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import names_in
from graphspec.vocabulary.layers.regularization import drop

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

MAX_STEPS = 2_000  # steps that a layer is unrolled for
Step = Callable[["Value", "list[Value]"], "list[Value]"]
"""A function from a step's input and the previous states to the new states; the first state is the output."""


@dataclass(frozen=True)
class Pace:
    """How the steps of a sequence are processed.

    Args:
        lengths: the number of steps of each row that count; None if all count. Other steps do not change the states.
        reverse: True to process the steps from last to first; the outputs keep the order of the input.
        sequences: True if the outputs of all steps are needed.
    """

    lengths: Value | None
    reverse: bool
    sequences: bool


def need_steps(X: Value, reason: str, hint: str, key: str | None) -> None:
    """Raise GS305 if the time axis (1) of ``X`` varies, GS110 if it is too long to be unrolled."""
    steps = X.shape[1]
    if not isinstance(steps, int):
        text = f"is unrolled step by step, because {reason}, but the number of steps varies ('{steps}')"
        raise ShapeError(
            Code.SIZE_NOT_FIXED, text, hint=f"give {names_in(steps)} a number in `inputs`, or {hint}", key=key
        )
    if steps > MAX_STEPS:
        text = f"would be unrolled for {steps:,} steps, at most {MAX_STEPS:,}, because {reason}"
        raise ShapeError(Code.DOCUMENT_TOO_LARGE, text, hint=f"use fewer steps, or {hint}", key=key)


def unroll(g: Builder, X: Value, states: Sequence[Value], step: Step, pace: Pace) -> tuple[Value | None, list[Value]]:
    """Emit all steps with the inputs ``X`` (time, batch, …); return the outputs (time, batch, …) and the last states.

    The outputs are None if ``pace.sequences`` is false.
    """
    time, first = X.fixed(0), g.constant([0])
    lengths = pace.lengths

    def pieces(V: Value) -> list[Value]:
        return [g.Squeeze(piece, first) for piece in g.Split(V, g.constant([1] * time), axis=0)]

    counts: list[Value | None] = [None] * time
    if lengths is not None:
        indices = g.constant(np.arange(time)[:, None], lengths.dtype)
        axes = g.constant(list(range(2, states[0].rank + 1)))
        counts = list(pieces(g.Unsqueeze(g.Less(indices, lengths), axes)))
    inputs, current = pieces(X), list(states)
    outputs: dict[int, Value] = {}
    for t in reversed(range(time)) if pace.reverse else range(time):
        after = step(inputs[t], current)
        if (counted := counts[t]) is not None:
            after = [g.Where(counted, new, old) for new, old in zip(after, current, strict=True)]
        current = after
        outputs[t] = current[0]
    if not pace.sequences:
        return None, current
    return g.Concat(*(g.Unsqueeze(outputs[t], first) for t in range(time)), axis=0), current


def split(g: Builder, X: Value, parts: int, axis: int) -> list[Value]:
    """Return ``X`` split into equal parts along ``axis``."""
    return [X] if parts == 1 else list(g.Split(X, g.constant([X.fixed(axis) // parts] * parts), axis=axis))


def drop_features(g: Builder, X: Value, rate: float, seed: int | None) -> Value:
    """Emit ``X`` (time, batch, …) with dropout; all steps share one random mask."""
    swap = (1, 0, *range(2, X.rank))
    return g.transpose(drop(g, g.transpose(X, swap), rate, seed, shared=(1,)), swap) if rate else X


def dropout_mask(g: Builder, sizes: Sequence[int | Value], rate: float, seed: int | None) -> Value:
    """Emit a dropout mask of shape ``sizes``: the factors in training, 1 outside training."""
    return drop(g, g.Expand(g.constant(1.0), g.ints(sizes)), rate, seed)


def state_masks(g: Builder, state: Value, gates: int, rate: float, seed: int | None) -> list[Value]:
    """Emit one dropout mask per gate for a state (batch, …), shared by all steps; none without dropout."""
    sizes = [g.size(state, axis) for axis in range(state.rank)]
    return [dropout_mask(g, sizes, rate, seed) for _ in range(gates)] if rate else []


Multiply = Callable[["Value", "Value"], "Value"]


def by_gate(g: Builder, multiply: Multiply, kernel: Value, gates: int, axis: int, into: int) -> Callable[..., Value]:
    """Return ``X ↦ X · kernel`` for all gates, or ``X₁, X₂, … ↦ [X₁ · kernel₁, X₂ · kernel₂, …]`` for separate inputs.

    The gates are concatenated along ``axis`` of the kernel and along ``into`` of the result.
    """
    kernels = split(g, kernel, gates, axis)

    def product(*inputs: Value) -> Value:
        parts = [multiply(X, k) for X, k in zip(inputs, kernels, strict=True)]
        return parts[0] if len(parts) == 1 else g.Concat(*parts, axis=into)

    return product


def of_state(g: Builder, multiply: Multiply, kernel: Value, masks: Sequence[Value], axis: int, into: int) -> OfState:
    """Return ``h ↦ h · kernel``, with the dropout of :func:`state_masks`."""
    product = by_gate(g, multiply, kernel, max(len(masks), 1), axis, into)
    return lambda h: product(*[g.Mul(h, mask) for mask in masks] or [h])


OfState = Callable[["Value"], "Value"]
