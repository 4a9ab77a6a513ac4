"""The reverse walk over a graph, and the registry of the operators' rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphspec.base.errors import Code, ProblemError, ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.decompositions import registers
from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.ops import OPS, operator

Rule = Callable[[Builder, Any, Node, Sequence[Any], Sequence[bool]], Sequence[Any]]
"""Emits the gradients of a node's inputs: ``rule(g, op, node, dYs, wants)``.

``op`` is the operator with the node's attributes, ``dYs`` has the gradient of each output, None for one without, and at
least one is there. ``wants[i]`` says whether input i needs a gradient; the result has one for each of these, and
may stop behind the last. It is emitted inside ``with g:``, so formulas may be written with signs.
"""

RULES: dict[str, Rule] = {}  # by operator
derivative = registers(RULES)


class NotWrittenError(ProblemError):
    """What a node does in training cannot be written as nodes, such as for sizes that vary: GS702."""

    def __init__(self, node: Node, error: ShapeError) -> None:
        hint = error.problem.hint or "name the weights behind it with `--trainable`, or train with graphspec"
        text = f"'{node.owner}' cannot be written as nodes of a training step: {node.op} {error.problem.message}"
        super().__init__(Code.UNAVAILABLE_OPERATOR, text, hint)
        self.owner = node.owner


@contextmanager
def written(node: Node) -> Iterator[None]:
    """Raise NotWrittenError for a ShapeError inside the ``with`` block."""
    try:
        yield
    except ShapeError as error:
        raise NotWrittenError(node, error) from error


def sum_to(g: Builder, dX: Value, X: Value) -> Value:
    """Return the gradient of X from that of X broadcast: the sum over the axes along which X was repeated."""
    if dX.shape == X.shape:
        return dX
    new = dX.rank - X.rank
    axes = [k for k, d in enumerate(dX.shape) if k < new or (X.shape[k - new] == 1 and d != 1)]
    total = g.ReduceSum(dX, g.constant(axes), keepdims=1) if axes else dX
    return g.Squeeze(total, g.constant(list(range(new)))) if new else total


def _depending(graph: Graph, nodes: Sequence[Node], wanted: Collection[str]) -> set[str]:
    """Return the names of the floats among the nodes' outputs, and of what is wanted, that change with what is wanted."""
    names = set(wanted)
    for node in nodes:
        op = OPS[node.op]
        if not (op.stops_gradient or op.piecewise_constant) and any(v.name in names for v in node.sources):
            names.update(v.name for v in node.outputs if v.type.is_float)
    return names


def without_rule(graph: Graph, loss: Value, wanted: Collection[str]) -> list[Node]:
    """Return the nodes between the wanted values and the loss whose operators have no rule."""
    nodes = graph.needed([loss])
    names = _depending(graph, nodes, wanted)
    return [n for n in nodes if n.op not in RULES and any(v.name in names for v in n.outputs)]


def gradients(graph: Graph, loss: Value, wanted: Collection[str]) -> dict[str, Value]:
    """Append nodes that compute the gradients of ``loss``, a scalar, and return these by the names of ``wanted`` values.

    A value on which the loss does not depend has none. Every operator between has a rule (:func:`without_rule`).
    """
    return cotangents(graph, [(loss, Builder(graph, "step:gradient").constant(1.0))], wanted)


def cotangents(
    graph: Graph, of: Sequence[tuple[Value, Value]], wanted: Collection[str], owner: str = "step:gradient"
) -> dict[str, Value]:
    """Do as :func:`gradients`, from the gradients of several values, of which one may be there more than once."""
    nodes = graph.needed([value for value, _ in of])
    names = _depending(graph, nodes, wanted)
    parts: dict[str, list[Value]] = {}
    for result, grad in of:
        parts.setdefault(result.name, []).append(grad)
    last = Builder(graph, owner)

    def total(g: Builder, value: Value) -> Value | None:
        terms = parts.get(value.name, [])
        if len(terms) > 1:
            parts[value.name] = terms = [g.Sum(*terms)]
        return terms[0] if terms else None

    for node in reversed(nodes):
        if not any(v.name in names and v.name in parts for v in node.outputs):
            continue
        prefix = f"gradient/{node.name.removeprefix(f'{node.owner}/')}/"
        with written(node), Builder(graph, node.owner, _prefix=prefix) as g:
            dYs = [total(g, v) for v in node.outputs]
            wants = [v is not None and v.name in names for v in node.inputs]
            found = RULES[node.op](g, operator(node), node, dYs, wants)
        for value, want, part in zip(node.inputs, wants, found, strict=False):
            if want and value is not None and part is not None:
                assert part.shape == value.shape, f"{node.name}: a gradient {part.shape} of {value.shape}"
                parts.setdefault(value.name, []).append(part)
    values = {v.name: v for n in nodes for v in (*n.sources, *n.outputs)} | graph.values
    totals = {name: total(last, values[name]) for name in wanted if name in values}
    return {name: value for name, value in totals.items() if value is not None}
