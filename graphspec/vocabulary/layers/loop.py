"""The nodes of a loop whose number of steps varies: what a step reads and returns, and the Scan that repeats it.

``repeat`` writes them; they are no part of the vocabulary. A step is lowered as nodes like others, those of the first step.
``loop.Scan`` then moves the operators that depend on what it reads into the body of a Scan; others stay outside.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.base.config import Ints
from graphspec.base.errors import Code, ShapeError
from graphspec.graph.builder import append
from graphspec.graph.ir.dims import show
from graphspec.graph.ir.graph import Graph, Node
from graphspec.graph.ops import OPS
from graphspec.vocabulary import Builder, Value, not_allowed, shapes_differ, wrong_size
from graphspec.vocabulary.layers.layer import Layer, need_rank


class State(Layer, arity=(1, None), handles_mask=True):
    """A value that a step gets from the one before; the first of its inputs is where it begins."""

    def lower(self, g: Builder, start: Value, *sequences: Value) -> Value:
        result: Value = g.Identity(start)
        return result


class Slice(Layer):
    """A step of a sequence (batch, time, …)."""

    step: int

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, None, "(batch, time, …), to read its steps")
        if isinstance(X.shape[1], int) and X.shape[1] <= self.step:
            raise wrong_size(f"reads step {self.step}, counted from 0, of {show(X.shape)}", "write fewer `times`")
        result: Value = g.Gather(X, g.constant(self.step), axis=1)
        return result


class Ends(Layer, arity=(1, None), handles_mask=True):
    """The outputs of all copies: those of the last one, or stacked along axis 1, or their sum."""

    outputs: int
    collect: Ints
    sum: Ints

    def lower(self, g: Builder, *inputs: Value) -> tuple[Value, ...]:
        times, one = len(inputs) // self.outputs, g.constant([1])
        steps = [inputs[k * times : (k + 1) * times] for k in range(self.outputs)]
        stacks = {k: g.Concat(*(g.Unsqueeze(X, one) for X in steps[k]), axis=1) for k in self.collect + self.sum}
        return tuple(self.end(g, k, stacks[k]) if k in stacks else steps[k][-1] for k in range(self.outputs))

    def end(self, g: Builder, k: int, every: Value) -> Value:
        """Emit output ``k``, of the outputs of all steps along axis 1."""
        return every if k in self.collect else g.ReduceSum(every, g.constant([1]), keepdims=0)  # type: ignore[no-any-return]


class Scan(Ends, arity=(2, None), takes_values_as_they_are=True):
    """The outputs of a step for all steps; behind them its inputs are the states and the slices that the step reads."""

    carry: int

    def lower(self, g: Builder, *inputs: Value) -> tuple[Value, ...]:
        ends, states = inputs[: self.outputs], inputs[self.outputs : self.outputs + self.carry]
        slices = inputs[len(ends) + self.carry :]
        read = [v.node for v in (*states, *slices)]
        if not slices or [n.op for n in read if n is not None] != ["Identity"] * self.carry + ["Gather"] * len(slices):
            raise not_allowed("is a loop, which cannot be shared", "share a layer before or behind the loop")
        for k, (state, end) in enumerate(zip(states, ends, strict=False)):
            if state.type != end.type:
                text = f"carries output {k}, {end.type}, to the next step, but begins with {state.type}"
                raise shapes_differ(text, f"begin with values of shape {show(end.shape)}")
        graph, same = self._body(g, ends, states, slices)
        starts = [v.node.inputs[0] for v in states if v.node is not None]
        sequences = [v.node.inputs[0] for v in slices if v.node is not None]
        rows_behind = [g.transpose(X, (1, 0, *range(2, X.rank))) for X in sequences if X is not None]
        attributes = {"body": graph, "states": self.carry, "sequences": len(slices)}
        found = g.emit("Scan", [*starts, *rows_behind, *same], attributes)
        every, asked = found[self.carry :], self.collect + self.sum
        last = [found[k] if k < self.carry else g.Gather(X, g.constant(-1), axis=0) for k, X in enumerate(every)]
        behind = {k: g.transpose(every[k], (1, 0, *range(2, every[k].rank))) for k in asked}
        return tuple(self.end(g, k, behind[k]) if k in behind else X for k, X in enumerate(last))

    def _body(
        self, g: Builder, ends: Sequence[Value], states: Sequence[Value], slices: Sequence[Value]
    ) -> tuple[Graph, list[Value]]:
        """Move the operators of a step out of the graph; return them, and the values outside that they read."""
        body, kept, same = Graph(f"{g.owner}/step"), list[Node](), dict[str, Value]()
        known = {v.name: Value(v.name, v.type, "input") for v in (*states, *slices)}
        body.inputs |= known

        def inside(value: Value | None) -> Value | None:
            if value is None or value.kind == "constant" or value.name in known:
                return value if value is None else known.get(value.name, value)
            if value.dims is not None and value.node is not None:
                put(value.node)  # sizes: the step computes them again
            else:
                same[value.name] = value
                known[value.name] = body.inputs[value.name] = Value(value.name, value.type, "input")
            return known[value.name]

        def put(node: Node) -> None:
            names, types = [v.name for v in node.outputs], [v.type for v in node.outputs]
            inputs = [inside(v) for v in node.inputs]
            results = append(body, node.name, node.op, inputs, node.attrs, node.owner, types, names)
            for new, old in zip(results, node.outputs, strict=True):
                new.dims, new.range, known[new.name] = old.dims, old.range, new

        moved = set(known)
        for node in g.graph.nodes:
            if not moved.isdisjoint(v.name for v in node.sources):
                self._check(node)
                put(node)
                moved |= {v.name for v in node.outputs}
            elif node.outputs[0].name not in moved:
                kept.append(node)
        if not moved.isdisjoint(v.name for v in g.graph.penalties):
            raise not_allowed("has a step with an `activity_regularizer`", "penalize what the loop returns")
        of_steps = [v for v in map(inside, ends) if v is not None]
        body.outputs = {f"{g.owner}/out{k}": v for k, v in enumerate([*of_steps[: self.carry], *of_steps])}
        body.nodes = body.needed(body.outputs.values())
        g.graph.nodes[:] = kept
        return body, list(same.values())

    def _check(self, node: Node) -> None:
        """Raise GS309 for an operator that a loop over a length that varies cannot have."""
        op, (_, _, name) = OPS[node.op], node.owner.rpartition("/")
        kept = any(v.param is not None and v.param.state for v in node.sources)
        if kept or "seed" in node.attrs or op.varies_in_training or not op.has_kernel:
            text = f"has a step with '{name}', which is random, keeps statistics, or reads texts"
            raise ShapeError(Code.NO_TRAINING_KERNEL, text, f"put '{name}' before or behind the loop, or write `times`")


def names() -> list[str]:
    """Return no names: nobody writes them."""
    return []


def make(name: str) -> type[Layer] | None:
    """Return a layer of a loop."""
    return {"loop.State": State, "loop.Slice": Slice, "loop.Ends": Ends, "loop.Scan": Scan}.get(name)
