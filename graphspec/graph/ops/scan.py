"""Scan: a loop whose body is a graph, for any number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphspec.base.arrays.calls import Calls
from graphspec.graph.ir.dims import Shape, fixed_size
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.kernels.context import Bound, Context
from graphspec.graph.ops.op import Op, operator


class Scan(Op):
    """``body`` computes the states after a step, and outputs, of the states before it and an element of each sequence.

    Inputs: the first states, sequences (T, …), and values that ``body`` reads in every step → the last states, and the
    outputs of all steps (T, …). The inputs and outputs of ``body``, a graph, are in the same order; its first outputs, and
    those of all steps, are the states after a step. With ``reverse`` the first step is that of the last elements. For a
    gradient a step is computed again from the states before it: a loop keeps nothing else.
    """

    rows, in_specs, variadic = "looped", False, True

    body: Any
    states: int
    sequences: int
    reverse: int = 0

    def _values(self, shapes: Sequence[Shape]) -> dict[str, Value]:
        """Return the values of ``body`` for inputs of these shapes."""
        from graphspec.graph.analysis import infer_shapes

        own, pairs = range(self.states, self.states + self.sequences), zip(self.body.inputs, shapes, strict=True)
        given = {n: shape[1:] if k in own else shape for k, (n, shape) in enumerate(pairs)}
        values = infer_shapes(self.body, self.body.nodes, given)
        return {n: Value(n, Type(v.dtype, given[n])) for n, v in self.body.inputs.items()} | values

    def infer(self, *inputs: Value) -> tuple[Type, ...]:
        known, T = self._values([v.shape for v in inputs]), inputs[self.states].shape[0]
        types = [known.get(v.name, v).type for v in self.body.outputs.values()]
        return *types[: self.states], *(Type(t.dtype, (T, *t.shape)) for t in types[self.states :])

    def multiply_adds(self, shapes: Sequence[Shape], output: Shape) -> int:
        known, of_step = self._values(shapes), 0
        for node in self.body.nodes:
            read = [known.get(v.name, v).shape for v in node.sources]
            of_step += operator(node).multiply_adds(read, known[node.outputs[0].name].shape)
        return of_step * fixed_size(shapes[self.states][:1])

    def bind(self, ctx: Context, *inputs: Array) -> Bound:
        loop = _Loop(self, ctx, inputs)
        return tuple(loop.outputs), [(loop.forward,)], loop.backward


class _Loop:
    """``body``, bound once and run for each step; backward runs it with its gradients, from the last step to the first."""

    def __init__(self, op: Scan, ctx: Context, inputs: Sequence[Array]) -> None:
        self.ctx, self.inputs, self.names = ctx, inputs, list(op.body.inputs)
        self.count, self.last, steps = op.states, op.states + op.sequences, range(len(inputs[op.states]))
        self.order = steps[::-1] if op.reverse else steps
        self.body = op.body.with_outputs(dict(list(op.body.outputs.items())[op.states :]))
        pairs = enumerate(zip(self.names, inputs, strict=True))
        self.shapes = {n: X.shape[1:] if self.count <= k < self.last else X.shape for k, (n, X) in pairs}
        self.step, self.outputs = ctx.program(self.body, self.shapes), [ctx.out(k) for k in range(ctx.outputs)]

    def state(self, k: int, at: int) -> Array:
        """Return a state before the step ``at``, in the order of the steps."""
        return self.outputs[self.count + k][self.order[at - 1]] if at else self.inputs[k]

    def read(self, feeds: dict[str, Array], at: int) -> None:
        """Copy what the step ``at`` reads into ``feeds``."""
        for k, (name, X) in enumerate(zip(self.names, self.inputs, strict=True)):
            if k < self.last or not at:
                feeds[name][...] = self.state(k, at) if k < self.count else X[self.order[at]] if k < self.last else X

    def forward(self) -> None:
        for at, t in enumerate(self.order):
            self.read(self.step.feeds, at)
            self.step.run()
            for Y, end in zip(self.outputs[self.count :], self.step.fetches.values(), strict=True):
                Y[t] = end
        for k in range(self.count):
            self.outputs[k][...] = self.state(k, len(self.order))

    def backward(self, *dYs: Array | None) -> Calls:
        """Return the call for the gradients of states, sequences, and what each step reads, which is summed up."""
        count, last, outputs = self.count, self.last, enumerate(self.body.outputs.items(), self.count)
        some = [k for k, X in enumerate(self.inputs) if X.dtype.kind == "f" and (k < count or self.ctx.wants(k))]
        of = {k: f"{name}/slope" for k, (name, value) in outputs if value.type.is_float}
        shapes = self.shapes | {name: self.outputs[k].shape[1:] for k, name in of.items()}
        back = self.ctx.program(self.body, shapes, [self.names[k] for k in some])
        found = {k: back.grads[self.names[k]] for k in some}
        into = {k: dX for k in some if (dX := self.ctx.grad(k)) is not None}

        def run() -> None:
            for dX in into.values():
                dX[...] = 0
            later = dict(enumerate(dYs[:count], count))  # of the states after a step
            if self.order:
                self.read(back.feeds, 0)  # what is the same in every step
            for at in reversed(range(len(self.order))):
                t = self.order[at]
                self.read(back.feeds, at)
                for k, name in of.items():
                    slope, own, after = back.feeds[name], dYs[k], later.get(k)
                    slope[...] = 0 if own is None else own[t]
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
