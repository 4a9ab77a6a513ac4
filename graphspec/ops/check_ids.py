"""CheckIds: pass ids on, and stop at an id out of range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.codes import Code
from graphspec.errors import Diagnostic, SpecError
from graphspec.ir.graph import Array, Node, Type, Value
from graphspec.ir.ranges import Range
from graphspec.kernels.common import unsigned
from graphspec.kernels.context import Bound, Context, need
from graphspec.ops.base import Op, op
from graphspec.ops.shape import reshaped


@op
class CheckIds(Op):
    """The identity on int64 ids in 0 … ``size`` − 1. Running it on any other id raises GS506.

    The check is left out if binding can prove the range, such as for ids computed from inputs that have been checked.
    """

    keeps_in, keeps_out = (), False
    exported, identity_in_inference = False, True

    size: int

    def infer(self, ids: Value) -> Type:
        need(ids.dtype == "int64", f"needs int64 ids, got {ids.type}", code=Code.WRONG_DTYPE)
        return ids.type

    def bounds(self, output: Value, ranges: Sequence[Range]) -> Range:
        return ranges[0] & Range(0, self.size - 1)

    def demands(self, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        return {0: out & Range(0, self.size - 1)}

    def bind(self, ctx: Context, ids: Array) -> Bound:
        Y, calls, backward = reshaped(ctx, ids)
        if not ctx.range(0).within(Range(0, self.size - 1)) and ids.size:
            calls = [*calls, (check_range, unsigned(Y), self.size, ctx.owner)]
        return Y, calls, backward


def check_range(ids: Array, size: int, owner: str) -> None:
    """Raise GS506 if an id is not in 0 … ``size`` − 1. ``ids`` is an unsigned view, in which negative ids are large."""
    if np.maximum.reduce(ids, axis=None) < size:
        return
    signed = ids.view(f"i{ids.itemsize}")
    wrong = signed[ids >= size].flat[0]
    text = f"'{owner}' looks up id {wrong}, outside 0 … {size - 1}"
    hint = f"fix the source of the ids, or set `input_dim` of '{owner}' above the largest id"
    raise SpecError([Diagnostic(Code.OUT_OF_RANGE, text, file="<arrays>", path=owner, hint=hint)])
