"""The steps of a sequence: reversed, or only those that a mask keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.codes import Code
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import cast_to

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


def flip_time(g: Builder, X: Value) -> Value:
    """``X`` (batch, time, …) from the last step to the first."""
    start, end, axis, step = (g.constant([k]) for k in (-1, np.iinfo(np.int64).min + 1, 1, -1))
    return g.Slice(X, start, end, axis, step)


class Steps:
    """The steps that a mask (batch, time) keeps, wherever they are.

    ONNX's recurrent operators know lengths only, so kept steps move to the front in their order (a stable TopK on the
    mask), the operator runs over as many steps as there are, and its outputs go back to where the steps came from.
    """

    def __init__(self, g: Builder, mask: Value) -> None:
        if mask.rank != 2:  # that of an image, which came along through TimeDistributed
            text = f"needs a mask with a bit for each step, (batch, time), got {show(mask.shape)}"
            raise ShapeError(
                Code.SHAPES_DIFFER, text, hint="put Masking behind the layers that make one vector of each step"
            )
        self.g, self.mask = g, mask
        self.lengths: Value = g.ReduceSum(cast_to(g, mask, "int32"), g.constant([1]), keepdims=0)
        self.batch, self.time = g.ints([g.size(mask, 0)]), g.ints([g.size(mask, 1)])
        ones = g.Expand(g.constant(1), g.Concat(self.batch, g.constant([1]), axis=0))
        self.row: Value = g.CumSum(ones, g.constant(0), exclusive=1)  # 0, 1, … down the batch

    def collect(self, X: Value) -> Value:
        """The kept steps of ``X`` (batch, time, …) in front, as (time, batch, …)."""
        g = self.g
        _, order = g.TopK(cast_to(g, self.mask, "float32"), self.time, axis=1)
        places = g.transpose(g.Add(order, g.Mul(self.row, self.time)), (1, 0))
        return self._gather(X, places)

    def distribute(self, Y: Value, *, reverse: bool, zero_masked: bool) -> Value:
        """Outputs ``Y`` (time, batch, …) of the collected steps where these came from, as (batch, time, …).

        A masked step repeats the output of the one processed before it; before the first that is processed there is 0.
        With ``zero_masked`` there is 0 at all masked ones.
        """
        g = self.g
        count = g.CumSum(cast_to(g, self.mask, "int64"), g.constant(1), exclusive=int(reverse))
        if reverse:  # the first kept step from here on
            lengths = g.Unsqueeze(cast_to(g, self.lengths, "int64"), g.constant([1]))
            index, exists = count, g.Less(count, lengths)
        else:  # the last kept step up to here; -1 where there is none
            index, exists = g.Sub(count, g.constant(1)), g.Greater(count, g.constant(0))
        there = self._gather(Y, g.Add(g.Mul(index, self.batch), self.row))
        return self._where(self.mask if zero_masked else exists, there)

    def zero_where_masked(self, Y: Value, *, step: int) -> Value:
        """``Y`` (batch, …), 0 where ``step`` (0 or -1) is masked."""
        last = self.g.Gather(self.mask, self.g.constant(step), axis=1)
        return self._where(last, Y)

    def _gather(self, X: Value, places: Value) -> Value:
        """Rows of ``X``, whose first two axes count as one."""
        rest = [X.fixed(axis) for axis in range(2, X.rank)]
        return self.g.Gather(self.g.reshape(X, (-1, *rest)), places, axis=0)

    def _where(self, kept: Value, Y: Value) -> Value:
        """``Y``, 0 where ``kept``, which has the first axes of ``Y``, is false."""
        g = self.g
        axes = g.constant(list(range(kept.rank, Y.rank)))
        return g.Where(g.Unsqueeze(kept, axes), Y, g.constant(0.0))
