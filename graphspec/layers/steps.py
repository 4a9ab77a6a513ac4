"""The steps of a sequence: reversed, or only those that a mask keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from graphspec.layers.base import cast_to

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value


def flip_time(g: Builder, X: Value) -> Value:
    """``X`` (batch, time, …) from the last step to the first."""
    start, end, axis, step = (g.constant([k]) for k in (-1, np.iinfo(np.int64).min + 1, 1, -1))
    return cast("Value", g.Slice(X, start, end, axis, step))


class Steps:
    """The steps that a mask (batch, time) keeps, wherever they are.

    ONNX's recurrent operators know lengths only, so kept steps move to the front in their order (a stable TopK on the
    mask), the operator runs over as many steps as there are, and its outputs go back to where the steps came from.
    """

    def __init__(self, g: Builder, mask: Value) -> None:
        self.g, self.mask = g, mask
        self.lengths: Value = g.ReduceSum(cast_to(g, mask, "int32"), g.constant([1]), keepdims=0)
        self.batch, self.time = g.ints([g.size(mask, 0)]), g.ints([g.size(mask, 1)])
        ones = g.Expand(g.constant(1), g.Concat(self.batch, g.constant([1]), axis=0))
        self.row: Value = g.CumSum(ones, g.constant(0), exclusive=1)  # 0, 1, … down the batch

    def collect(self, X: Value) -> Value:
        """The kept steps of ``X`` (batch, time, features) in front, as (time, batch, features)."""
        g = self.g
        _, order = g.TopK(cast_to(g, self.mask, "float32"), self.time, axis=1)
        places = g.transpose(g.Add(order, g.Mul(self.row, self.time)), (1, 0))
        return cast("Value", g.Gather(g.reshape(X, (-1, X.features)), places, axis=0))

    def distribute(self, Y: Value, *, reverse: bool, zero_masked: bool) -> Value:
        """Outputs ``Y`` (time, batch, units) of the collected steps where these came from, as (batch, time, units).

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
        places = g.Add(g.Mul(index, self.batch), self.row)
        there = g.Gather(g.reshape(Y, (-1, Y.features)), places, axis=0)
        keep = g.Unsqueeze(self.mask if zero_masked else exists, g.constant([2]))
        return cast("Value", g.Where(keep, there, g.constant(0.0)))

    def zero_where_masked(self, Y: Value, *, step: int) -> Value:
        """``Y`` (batch, units), 0 where ``step`` (0 or -1) is masked."""
        g = self.g
        last = g.Gather(self.mask, g.constant([step]), axis=1)
        return cast("Value", g.Where(last, Y, g.constant(0.0)))
