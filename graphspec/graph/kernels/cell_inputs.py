"""The inputs of one direction of a recurrent operator: arrays, sequence lengths, attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.context import Context


class Lengths:
    """Masks computed from ``sequence_lens``.

    Attributes:
        lens: (N,), the lengths.
        valid: (T, N), 1 at the steps that belong to the sequence, else 0.
        started: (N,), 1 for sequences with at least one step, else 0.
        calls: the calls that compute them.
    """

    def __init__(self, ctx: Context, lens: Array, T: int) -> None:
        N = len(lens)
        self.lens = ctx.save_for_backward((N,), np.int64)
        self.valid, self.started = ctx.save_for_backward((T, N)), ctx.save_for_backward((N,))
        steps = ctx.constant(np.arange(T)[:, None], np.int64)
        self.calls: Calls = [
            (np.copyto, self.lens, lens),
            (partial(np.less, out=self.valid, casting="unsafe"), steps, self.lens),
            (partial(np.greater, out=self.started, casting="unsafe"), self.lens, ctx.constant(0, np.int64)),
        ]


@dataclass(frozen=True)
class CellInputs:
    """The arrays of one direction.

    Attributes:
        X: (T, N, I).
        W: (gates · H, I).
        R: (gates · H, H).
        B: (2 · gates · H,) or None.
        lengths: the masks of the sequence lengths, or None if all sequences have T steps.
        initial: (N, H) for each state, or None for zeros.
        masks: dropout factors of the state (N, gates, H) and of the input (N, gates, I), or None.
    """

    X: Array
    W: Array
    R: Array
    B: Array | None
    lengths: Lengths | None
    initial: Sequence[Array | None]
    masks: tuple[Array | None, Array | None] = (None, None)


@dataclass(frozen=True)
class CellOptions:
    """The attributes of one direction.

    Attributes:
        reverse: whether the recurrence runs from the last step to the first.
        functions: the activations, each with its alpha and beta.
        clip: the bound of the activations' arguments, or None.
        linear_before_reset: whether a GRU applies its reset gate after the product with the state.
    """

    reverse: bool
    functions: Sequence[tuple[str, float, float]]
    clip: float | None
    linear_before_reset: bool = False
