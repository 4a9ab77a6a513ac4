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

    def collect(self, X: Value) -> Value:
        """``X`` (batch, time, features) with the kept steps in front."""
        g = self.g
        time = g.size(self.mask, 1)
        _, order = g.TopK(cast_to(g, self.mask, "float32"), g.ints([time]), axis=1)
        return self._take(X, order)

    def distribute(self, Y: Value, *, reverse: bool, zero_masked: bool) -> Value:
        """Outputs ``Y`` of the collected steps at the steps they belong to; a masked step repeats the one processed before.

        Before the first step that is processed there is 0; with ``zero_masked``, at all masked ones.
        """
        g = self.g
        count = g.CumSum(cast_to(g, self.mask, "int64"), g.constant(1), exclusive=int(reverse))
        if reverse:  # the first kept step from here on
            lengths = g.Unsqueeze(cast_to(g, self.lengths, "int64"), g.constant([1]))
            index, exists = count, g.Less(count, lengths)
        else:  # the last kept step up to here; index -1 where there is none
            index, exists = g.Sub(count, g.constant(1)), g.Greater(count, g.constant(0))
        keep = g.Unsqueeze(self.mask if zero_masked else exists, g.constant([2]))
        return cast("Value", g.Where(keep, self._take(Y, index), g.constant(0.0)))

    def zero_where_masked(self, Y: Value, *, axis_end: int) -> Value:
        """``Y`` (batch, units), 0 where the step at ``axis_end`` (0 or -1) is masked."""
        g = self.g
        last = g.Gather(self.mask, g.constant([axis_end]), axis=1)
        return cast("Value", g.Where(last, Y, g.constant(0.0)))

    def unless_empty(self, state: Value, initial: Value) -> Value:
        """``state``, but ``initial`` in rows without a kept step, where the operators give 0."""
        g = self.g
        some = g.Unsqueeze(g.Greater(self.lengths, g.constant(0, "int32")), g.constant([1]))
        return cast("Value", g.Where(some, state, initial))

    def _take(self, X: Value, index: Value) -> Value:
        """Steps of ``X`` (batch, time, features) by an index for each row (batch, time)."""
        g = self.g
        sizes = g.ints([g.size(X, axis) for axis in range(3)])
        wide = g.Expand(g.Unsqueeze(index, g.constant([2])), sizes)
        return cast("Value", g.GatherElements(X, wide, axis=1))
