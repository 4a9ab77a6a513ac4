"""The steps of a sequence: reversed, or only the unmasked ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import cast_to

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


def flip_time(g: Builder, X: Value) -> Value:
    """Emit ``X`` (batch, time, …) in reverse order of the steps."""
    start, end, axis, step = (g.constant([k]) for k in (-1, np.iinfo(np.int64).min + 1, 1, -1))
    return g.Slice(X, start, end, axis, step)


class Steps:
    """The unmasked steps of a mask (batch, time), in any pattern.

    ONNX's recurrent operators support lengths, not masks. Therefore the unmasked steps move to the front in their order
    (a stable TopK on the mask), the operator runs with the number of unmasked steps as the length, and its outputs move
    back to the original steps.
    """

    def __init__(self, g: Builder, mask: Value) -> None:
        if mask.rank != 2:  # the mask of an image, passed through TimeDistributed
            text = f"needs a mask with one value per step, (batch, time), got {show(mask.shape)}"
            raise ShapeError(
                Code.SHAPES_DIFFER, text, hint="add Masking after the layers that compute one vector per step"
            )
        self.g, self.mask = g, mask
        self.lengths: Value = g.ReduceSum(cast_to(g, mask, "int32"), g.constant([1]), keepdims=0)
        self.batch, self.time = g.ints([g.size(mask, 0)]), g.ints([g.size(mask, 1)])
        ones = g.Expand(g.constant(1), g.Concat(self.batch, g.constant([1]), axis=0))
        self.row: Value = g.CumSum(ones, g.constant(0), exclusive=1)  # 0, 1, … along the batch

    def collect(self, X: Value) -> Value:
        """Emit ``X`` (batch, time, …) as (time, batch, …), with the unmasked steps first."""
        g = self.g
        _, order = g.TopK(cast_to(g, self.mask, "float32"), self.time, axis=1)
        indices = g.transpose(g.Add(order, g.Mul(self.row, self.time)), (1, 0))
        return self._gather(X, indices)

    def distribute(self, Y: Value, *, reverse: bool, zero_masked: bool) -> Value:
        """Emit the outputs ``Y`` (time, batch, …) of the collected steps as (batch, time, …), at their original steps.

        A masked step repeats the output of the step processed before it; before the first processed step the output is
        0. With ``zero_masked`` it is 0 at all masked steps.
        """
        g = self.g
        count = g.CumSum(cast_to(g, self.mask, "int64"), g.constant(1), exclusive=int(reverse))
        if reverse:  # the index of the first unmasked step from here on
            lengths = g.Unsqueeze(cast_to(g, self.lengths, "int64"), g.constant([1]))
            index, exists = count, g.Less(count, lengths)
        else:  # the index of the last unmasked step up to here; -1 if there is none
            index, exists = g.Sub(count, g.constant(1)), g.Greater(count, g.constant(0))
        gathered = self._gather(Y, g.Add(g.Mul(index, self.batch), self.row))
        return self._where(self.mask if zero_masked else exists, gathered)

    def zero_where_masked(self, Y: Value, *, step: int) -> Value:
        """Emit ``Y`` (batch, …), set to 0 in rows with the step ``step`` (0 or -1) masked."""
        last = self.g.Gather(self.mask, self.g.constant(step), axis=1)
        return self._where(last, Y)

    def _gather(self, X: Value, indices: Value) -> Value:
        """Emit rows of ``X``, with its first two axes joined to one."""
        sizes = [X.fixed(axis) for axis in range(2, X.rank)]
        return self.g.Gather(self.g.reshape(X, (-1, *sizes)), indices, axis=0)

    def _where(self, condition: Value, Y: Value) -> Value:
        """Emit ``Y``, set to 0 where ``condition`` is False; ``condition`` has the leading axes of ``Y``."""
        g = self.g
        axes = g.constant(list(range(condition.rank, Y.rank)))
        return g.Where(g.Unsqueeze(condition, axes), Y, g.constant(0.0))
