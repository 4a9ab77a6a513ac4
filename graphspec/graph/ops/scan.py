"""Scan: a loop whose body is a graph, for any number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.dims import Shape, fixed_size
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.context import Bound, Context
from graphspec.graph.ops.op import Op, operator


class Scan(Op):
    """``body`` computes the states after a step, and outputs, of the states before it and an element of each sequence.

    Inputs: the first states, sequences (T, …), and values that ``body`` reads in every step → the last states, and the
    outputs of all steps (T, …). The inputs and outputs of ``body``, a graph, are in the same order. With ``reverse`` the
    first step is that of the last elements. For a gradient the first outputs are the states after each step: a step is
    computed again from the states before it, so that a loop keeps its states alone.
    """

    rows, in_specs, variadic = "looped", False, True

    body: Any
    states: int
    sequences: int
    reverse: int = 0

    def _known(self, inputs: Sequence[Type]) -> dict[str, Value]:
        """Return all values of ``body`` for inputs of these types."""
        own = self.states, self.states + self.sequences
        types = [Type(t.dtype, t.shape[1:]) if own[0] <= k < own[1] else t for k, t in enumerate(inputs)]
        known = {name: Value(name, t, "input") for name, t in zip(self.body.inputs, types, strict=True)}
        for node in self.body.nodes:
            op, given = operator(node), [None if v is None else known.get(v.name, v) for v in node.inputs]
            found = op.infer(*given)
            for value, inferred in zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=True):
                known[value.name] = Value(value.name, inferred)
            if node.outputs[0].dims is not None:
                known[node.outputs[0].name].dims = op.dims(*given)
        return known

    def infer(self, *inputs: Value) -> tuple[Type, ...]:
        known, T = self._known([v.type for v in inputs]), inputs[self.states].shape[0]
        types = [known.get(v.name, v).type for v in self.body.outputs.values()]
        return *types[: self.states], *(Type(t.dtype, (T, *t.shape)) for t in types[self.states :])

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        types = [Type(v.dtype, shape) for v, shape in zip(self.body.inputs.values(), shapes, strict=True)]
        known, total = self._known(types), 0
        for node in self.body.nodes:
            read = [known.get(v.name, v).shape for v in node.sources]
            total += operator(node).multiply_adds(read, known[node.outputs[0].name].shape)
        return total * fixed_size(shapes[self.states][:1])

    def bind(self, ctx: Context, *inputs: Array) -> Bound:
        loop = _Loop(self, ctx, inputs)
        return tuple(loop.outputs), [(loop.forward,)], loop.backward


class _Loop:
    """``body``, bound once and run for each step; backward runs it with its gradients, from the last step to the first."""

    def __init__(self, op: Scan, ctx: Context, inputs: Sequence[Array]) -> None:
        self.ctx, self.body, self.inputs, self.names = ctx, op.body, inputs, list(op.body.inputs)
        self.count, self.last, steps = op.states, op.states + op.sequences, range(len(inputs[op.states]))
        self.order = steps[::-1] if op.reverse else steps
        pairs = enumerate(zip(self.names, inputs, strict=True))
        self.shapes = {n: X.shape[1:] if self.count <= k < self.last else X.shape for k, (n, X) in pairs}
        self.step = ctx.program(self.body, self.shapes)
        self.ends, self.outputs = list(self.step.fetches.values()), [ctx.out(k) for k in range(ctx.outputs)]
        self.after = [ctx.scratch(end.shape, end.dtype) for end in self.ends[: self.count]]  # an end may be a feed

    def read(self, feeds: dict[str, Array], some: slice, t: int | None = None) -> None:
        """Copy some inputs into ``feeds``: all of them, or an element of each sequence."""
        for name, X in zip(self.names[some], self.inputs[some], strict=True):
            feeds[name][...] = X if t is None else X[t]

    def forward(self) -> None:
        feeds, states, of_steps = self.step.feeds, slice(self.count), slice(self.count, None)
        self.read(feeds, states)
        self.read(feeds, slice(self.last, None))
        for t in self.order:
            self.read(feeds, slice(self.count, self.last), t)
            self.step.run()
            for every, end in zip(self.outputs[of_steps], self.ends[of_steps], strict=True):
                every[t] = end
            for after, end in zip(self.after, self.ends[states], strict=True):
                after[...] = end
            for name, after in zip(self.names[states], self.after, strict=True):
                feeds[name][...] = after
        for name, Y in zip(self.names[states], self.outputs[states], strict=True):
            Y[...] = feeds[name]

    def backward(self, *dYs: Array | None) -> Calls:
        """Return the call for the gradients of states, sequences, and what each step reads, which is summed up."""
        count, last = self.count, self.last
        some = [k for k, X in enumerate(self.inputs) if X.dtype.kind == "f" and (k < count or self.ctx.wants(k))]
        every = dict(list(self.body.outputs.items())[count:])
        of = {k: f"{name}/slope" for k, name in enumerate(every, count) if every[name].type.is_float}
        shapes = self.shapes | {name: self.outputs[k].shape[1:] for k, name in of.items()}
        back = self.ctx.program(self.body.with_outputs(every), shapes, [self.names[k] for k in some])
        slopes = {k: back.feeds[name] for k, name in of.items()}
        found = {k: back.grads[self.names[k]] for k in some}
        into = {k: dX for k in some if (dX := self.ctx.grad(k)) is not None}

        def run() -> None:
            self.read(back.feeds, slice(last, None))
            for dX in into.values():
                dX[...] = 0
            later = dict(enumerate(dYs[:count], count))  # of the states after a step
            for at in reversed(range(len(self.order))):
                t = self.order[at]
                self.read(back.feeds, slice(count, last), t)
                for k, name in enumerate(self.names[:count]):
                    back.feeds[name][...] = self.outputs[count + k][self.order[at - 1]] if at else self.inputs[k]
                for k, slope in slopes.items():
                    own, after = dYs[k], later.get(k)
                    np.copyto(slope, 0 if own is None else own[t])
                    if after is not None:
                        slope += after
                back.run()
                later = {count + k: dX for k, dX in found.items() if k < count}
                for k, dX in into.items():
                    if k < last:
                        dX[t if k >= count else ...] = found[k]
                    else:
                        dX += found[k]

        return [(run,)]
