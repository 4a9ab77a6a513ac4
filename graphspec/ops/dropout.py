"""Dropout."""

from __future__ import annotations

import numpy as np

from graphspec.compiler.ir import Array, Type, Value
from graphspec.ops.base import Bound, Calls, Context, Op, need, need_float, op
from graphspec.runtime.buffers import axis_order

_LEVELS = 1 << 16  # a number is dropped if its 16 random bits are below ratio · 2¹⁶


@op
class Dropout(Op):
    """In training, zero a random share ``ratio`` of the numbers and scale the others by ``1 / (1 - ratio)``.

    A row's mask depends on the seed, the node, the step and the row's place in the batch: not on the number of workers.
    In a program that is not bound for training, or with ``training_mode`` false: the identity.
    """

    keeps_in, keeps_out = (), False

    @staticmethod
    def infer(
        data: Value, ratio: Value | None = None, training_mode: Value | None = None, *, seed: int | None = None
    ) -> Type:
        need_float(data)
        need(data.rank >= 1, "dropout needs a batch axis")
        for value in (ratio, training_mode):
            need(value is None or (value.data is not None and value.data.size == 1), "needs a constant scalar")
        if ratio is not None and ratio.data is not None:
            rate = float(ratio.data.item())
            need(0 <= rate < 1, f"the share {rate} to drop is not in [0, 1)", code="GS105", key="rate")
        return data.type

    @staticmethod
    def bind(
        ctx: Context,
        data: Array,
        ratio: Array | None = None,
        training_mode: Array | None = None,
        *,
        seed: int | None = None,
    ) -> Bound:
        rate = 0.5 if ratio is None else float(ratio.item())
        if not (ctx.training and training_mode is not None and training_mode.item() and rate > 0):

            def give(dY: Array) -> Calls:
                ctx.give(0, dY)
                return []

            return data, [], give
        rows, mine = data.shape[0], ctx.rows.stop - ctx.rows.start
        width = data.size // max(rows, 1)
        words = ctx.scratch((rows, 4 * -(-width // 16)), np.uint64)
        random = words.view(np.uint16)[:, :width]
        keep = ctx.scratch((rows, width), np.bool_)
        order = axis_order(data)
        mask = ctx.save([data.shape[k] for k in order]).transpose(np.argsort(order))
        stream = ctx.stream("dropout" if seed is None else f"dropout {seed}")
        first = ctx.rows.start * (rows // mine) if mine else 0  # several rows for each of the batch's: (N·T, …)
        threshold = ctx.constant(round(rate * _LEVELS), np.uint16)
        scale = ctx.constant(1 / (1 - rate))
        Y = data if ctx.free(0) else ctx.out(like=data)
        calls: Calls = [
            (stream.fill, words, first),
            (np.greater_equal, random, threshold, keep),
            (np.multiply, keep.reshape(data.shape), scale, mask),
            (np.multiply, data, mask, Y),
        ]

        def backward(dY: Array) -> Calls:
            ctx.give(0, dY)
            return [(np.multiply, dY, mask, dY)]

        return Y, calls, backward
