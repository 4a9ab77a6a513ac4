"""LSTM, GRU and RNN with dropout on the state, and optionally on the input, of each gate: training only.

The masks are equal at every step: Gal and Ghahramani, *A theoretically grounded application of dropout in recurrent neural
networks*, NeurIPS 2016. Programs that do not train, and the exported graph, use the operator without masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphspec.base.codes import Code
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Type
from graphspec.graph.kernels.context import Bound, Context, need, need_float
from graphspec.graph.ops.base import Inference, op
from graphspec.graph.ops.gru import GRU
from graphspec.graph.ops.lstm import LSTM
from graphspec.graph.ops.recurrent import Recurrent
from graphspec.graph.ops.rnn import RNN


class _Dropout(Recurrent):
    """A recurrent operator with masks.

    Its inputs are those of the operator without dropout, then a mask of the state (N, gates, H), and optionally one of the
    input (N, gates, I). The masks have no gradient.
    """

    exported = False

    def infer(self, *inputs: Any) -> tuple[Type, ...]:
        operands, masks = self._split(inputs)
        types = super().infer(*operands)
        need(self.direction != "bidirectional", "needs one direction, got bidirectional", code=Code.VALUE_NOT_ALLOWED)
        N, features = operands[0].shape[1:]
        need(1 <= len(masks) <= 2, "needs one or two masks")
        for mask, size in zip(masks, (self.hidden_size, features), strict=False):
            need_float(mask)
            shape = (N, self.gates, size)
            need(
                mask.shape == shape,
                f"needs a mask of shape {show(shape)}, got {show(mask.shape)}",
                code=Code.SIZES_DO_NOT_FIT,
            )
        return types

    def bind(self, ctx: Context, *inputs: Any) -> Bound:
        operands, masks = self._split(inputs)
        state_mask, input_mask = (*masks, None)[:2] if ctx.training else (None, None)
        return self.bind_masked(ctx, operands, (state_mask, input_mask))

    def _split(self, inputs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return the inputs of the operator without dropout, and the masks."""
        count = 5 + self.cell.states
        return inputs[:count], inputs[count:]


@op
class DropoutLSTM(_Dropout, LSTM):
    """LSTM with dropout masks on the state and the input; shapes as :class:`LSTM`."""

    inference = Inference("LSTM", tuple(range(7)))


@op
class DropoutGRU(_Dropout, GRU):
    """GRU with dropout masks; the candidate's mask is on its state whether r is applied before or after the product."""

    inference = Inference("GRU", tuple(range(6)))


@op
class DropoutRNN(_Dropout, RNN):
    """RNN with dropout masks on the state and the input; shapes as :class:`RNN`."""

    inference = Inference("RNN", tuple(range(6)))
