"""Recurrences that ONNX has no operator for, written out step by step with ordinary operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphspec.codes import Code
from graphspec.errors import ShapeError
from graphspec.ir.dims import free
from graphspec.layers.regularization import drop

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

MAX_STEPS = 2_000
"""Steps that a layer is written out for, one by one."""
Step = Callable[["Value", "list[Value]"], "list[Value]"]
"""From what a step takes and the states before it to those after it; the first state is the output."""


@dataclass(frozen=True)
class Pace:
    """How a sequence is gone through.

    Args:
        lengths: how many steps of each row count; None where all do. At others the states stay as they are.
        reverse: take the steps from the last to the first; the outputs are in the order of the input nevertheless.
        sequences: whether the outputs of all steps are needed.
    """

    lengths: Value | None
    reverse: bool
    sequences: bool


def need_steps(X: Value, reason: str, hint: str, key: str | None) -> None:
    """GS305 where the time axis (1) of ``X`` varies, GS110 where it is too long to be written out."""
    steps = X.shape[1]
    if not isinstance(steps, int):
        text = f"is written out step by step, because {reason}, but the number of steps varies ('{steps}')"
        raise ShapeError(Code.SIZE_NOT_FIXED, text, hint=f"give {free(steps)} a number in `inputs`, or {hint}", key=key)
    if steps > MAX_STEPS:
        text = f"would be written out for {steps:,} steps, at most {MAX_STEPS:,}, because {reason}"
        raise ShapeError(Code.DOCUMENT_TOO_LARGE, text, hint=f"use fewer steps, or {hint}", key=key)


def unroll(g: Builder, X: Value, states: Sequence[Value], step: Step, pace: Pace) -> tuple[Value | None, list[Value]]:
    """The outputs of all steps of ``X`` (time, batch, …), which is what they take; and the last states."""
    time, first = X.fixed(0), g.constant([0])
    lengths = pace.lengths

    def pieces(V: Value) -> list[Value]:
        return [g.Squeeze(piece, first) for piece in g.Split(V, g.constant([1] * time), axis=0)]

    counts: list[Value | None] = [None] * time
    if lengths is not None:
        numbers = g.constant(np.arange(time)[:, None], lengths.dtype)
        axes = g.constant(list(range(2, states[0].rank + 1)))
        counts = list(pieces(g.Unsqueeze(g.Less(numbers, lengths), axes)))
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
    """``X`` in equal parts along ``axis``."""
    return [X] if parts == 1 else list(g.Split(X, g.constant([X.fixed(axis) // parts] * parts), axis=axis))


def drop_features(g: Builder, X: Value, rate: float, seed: int | None) -> Value:
    """``X`` (time, batch, …) with dropout whose decisions are the same at every step."""
    swap = (1, 0, *range(2, X.rank))
    return g.transpose(drop(g, g.transpose(X, swap), rate, seed, shared=(1,)), swap) if rate else X


def dropout_mask(g: Builder, sizes: Sequence[int | Value], rate: float, seed: int | None) -> Value:
    """What is multiplied by in training, of shape ``sizes``; 1 outside training."""
    return drop(g, g.Expand(g.constant(1.0), g.ints(sizes)), rate, seed)


def state_masks(g: Builder, state: Value, gates: int, rate: float, seed: int | None) -> list[Value]:
    """For each gate, what a state (batch, …) is multiplied by at every step; none without dropout."""
    sizes = [g.size(state, axis) for axis in range(state.rank)]
    return [dropout_mask(g, sizes, rate, seed) for _ in range(gates)] if rate else []


Multiply = Callable[["Value", "Value"], "Value"]


def by_gate(g: Builder, multiply: Multiply, kernel: Value, gates: int, axis: int, into: int) -> Callable[..., Value]:
    """``X ↦ X · kernel`` of all gates; ``X₁, X₂, … ↦ [X₁ · kernel₁, X₂ · kernel₂, …]`` where each gate has its own.

    The gates lie side by side along ``axis`` of the kernel and along ``into`` of the result.
    """
    kernels = split(g, kernel, gates, axis)

    def product(*inputs: Value) -> Value:
        parts = [multiply(X, k) for X, k in zip(inputs, kernels, strict=True)]
        return parts[0] if len(parts) == 1 else g.Concat(*parts, axis=into)

    return product


def of_state(g: Builder, multiply: Multiply, kernel: Value, masks: Sequence[Value], axis: int, into: int) -> OfState:
    """``h ↦ h · kernel`` with :func:`state_masks`."""
    product = by_gate(g, multiply, kernel, max(len(masks), 1), axis, into)
    return lambda h: product(*[g.Mul(h, mask) for mask in masks] or [h])


OfState = Callable[["Value"], "Value"]
