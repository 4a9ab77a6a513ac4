"""CheckIds, which lets ids pass and stops at one that is out of range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.errors import Diagnostic, SpecError
from graphspec.ir.graph import Array, Node, Type, Value
from graphspec.ir.ranges import Range
from graphspec.kernels.common import unsigned
from graphspec.kernels.context import Bound, Context, need
from graphspec.ops.base import Op, op
from graphspec.ops.shape import reshaped


@op
class CheckIds(Op):
    """The ids themselves, which must be 0 … ``size`` − 1: to run on one that is not ends with GS506.

    Where that is known beforehand, since the ids are inputs that have been checked or come from such, it costs nothing.
    """

    keeps_in, keeps_out = (), False
    exported, identity_in_inference = False, True

    size: int

    def infer(self, ids: Value) -> Type:
        need(ids.dtype == "int64", f"needs int64 ids, got {ids.type}", code="GS306")
        return ids.type

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return ranges[0] & Range(0, self.size - 1)

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        return {0: out & Range(0, self.size - 1)}

    def bind(self, ctx: Context, ids: Array) -> Bound:
        Y, calls, backward = reshaped(ctx, ids)
        if not ctx.range(0).within(Range(0, self.size - 1)) and ids.size:
            calls = [*calls, (stop_beyond, unsigned(Y), self.size, ctx.owner)]
        return Y, calls, backward


def stop_beyond(ids: Array, size: int, owner: str) -> None:
    """GS506 where an id is not below ``size``; seen as unsigned, a negative one is large."""
    if np.maximum.reduce(ids, axis=None) < size:
        return
    signed = ids.view(f"i{ids.itemsize}")
    wrong = signed[ids >= size].flat[0]
    text = f"'{owner}' looks up id {wrong}, outside 0 … {size - 1}"
    hint = f"mend what makes the ids, or set `input_dim` of '{owner}' above the largest one"
    raise SpecError([Diagnostic("GS506", text, file="<arrays>", path=owner, hint=hint)])
