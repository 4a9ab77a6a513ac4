"""LSTM, GRU and RNN whose gates see the state, and maybe the input, through dropout: in training alone.

The masks are the same at every step (Gal and Ghahramani, 2016). In a program that is not bound for training, and in the
exported graph, there is the plain operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphspec.ir.dims import show
from graphspec.ir.graph import Type
from graphspec.kernels.context import Bound, Context, need, need_float
from graphspec.ops.base import op
from graphspec.ops.gru import GRU
from graphspec.ops.lstm import LSTM
from graphspec.ops.recurrent import Recurrent
from graphspec.ops.rnn import RNN


class _Dropout(Recurrent):
    """Takes the plain operator's inputs, then masks of the state (N, gates, H) and optionally of the input (N, gates, I)."""

    exported = False

    def infer(self, *inputs: Any) -> tuple[Type, ...]:
        plain, masks = self._split(inputs)
        types = super().infer(*plain)
        need(self.direction != "bidirectional", "has one direction", code="GS105")
        N, features = plain[0].shape[1:]
        need(1 <= len(masks) <= 2, "needs one mask or two")
        for mask, size in zip(masks, (self.hidden_size, features), strict=False):
            need_float(mask)
            shape = (N, self.gates, size)
            need(mask.shape == shape, f"needs a mask of shape {show(shape)}, got {show(mask.shape)}", code="GS304")
        return types

    def bind(self, ctx: Context, *inputs: Any) -> Bound:
        plain, masks = self._split(inputs)
        state, data = (*masks, None)[:2] if ctx.training else (None, None)
        return self.bind_masked(ctx, plain, (state, data))

    def _split(self, inputs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """The plain operator's inputs, and the masks."""
        count = 5 + self.cell.states
        return inputs[:count], inputs[count:]


@op
class DropoutLSTM(_Dropout, LSTM):
    """LSTM with masks."""

    plain = "LSTM", 7


@op
class DropoutGRU(_Dropout, GRU):
    """GRU with masks; the candidate has one on its state, whether r is applied before or after the product."""

    plain = "GRU", 6


@op
class DropoutRNN(_Dropout, RNN):
    """RNN with masks."""

    plain = "RNN", 6
