"""The forms in training, in operators of ONNX, of operators that ONNX lacks or whose training differs from inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphspec.graph.builder import Builder, Rebuild, rebuild
from graphspec.graph.decompositions import DECOMPOSITIONS, Decomposition, registers
from graphspec.graph.derivatives.walk import RULES, written
from graphspec.graph.ir.graph import Graph, Node, Type, Value
from graphspec.graph.ops import OPS, operator
from graphspec.graph.passes.for_export import is_newer
from graphspec.graph.passes.for_program import drop_inference
from graphspec.graph.target import Target

FORMS: dict[str, Decomposition] = {}
"""By operator: ``form(g, op, *inputs)`` emits what it computes in training, and returns the output or all outputs."""
form = registers(FORMS)


def integer_input(g: Builder, name: str) -> Value:
    """Return the int64 scalar ``seed`` or ``step``, an input of the graph that is added if a form needs it."""
    return g.graph.inputs.setdefault(name, Value(name, Type("int64", ()), "input"))


def new_statistic(g: Builder, old: Value, new: Value) -> None:
    """Note the value that a statistic, a parameter with ``state``, has after the step."""
    g.graph.updates[old.name] = new


def batch_size(g: Builder) -> Value:
    """Return the number of rows in the batch, a float32 scalar."""
    rows = next(v for v in (*g.graph.inputs.values(), *g.graph.targets.values()) if v.rank and v.shape[0] == "N")
    size = g.Slice(g.Shape(rows), g.constant([0]), g.constant([1]))
    return g.Cast(g.Squeeze(size, g.constant([0])), to="float32")


def is_random(node: Node) -> bool:
    """Return whether a node draws random numbers in training."""
    return node.op in FORMS and ("seed" in node.attrs or OPS[node.op].identity_in_inference)


def in_primitives(graph: Graph, target: Target, only: Callable[[Node], bool] = lambda node: True) -> Graph:
    """Write every operator that has a form in training by it, and every one that the opset lacks by its decomposition.

    What an operator does only at inference is left out. ``only`` says which operators are written.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> print_graph(in_primitives(g.graph.with_outputs({"y": g.Mish(x)}), Target()))
    %1 = Softplus(x)
    %2 = Tanh(%1)
    y = Mul(x, %2)
    """

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if node.op == "Scan":
            return state.copy(node, inputs, body=in_primitives(node.attrs["body"], target, only))
        found: Any = FORMS.get(node.op) if only(node) else None
        if only(node) and found is None and (node.op not in RULES or is_newer(node, target.opset)):
            found = DECOMPOSITIONS.get(node.op)
        if found is None:
            return None
        with written(node), state.builder(node) as g:
            result = found(g, operator(node), *inputs)
        return result if isinstance(result, tuple) else (result,)

    return rebuild(drop_inference(graph, Target(training=True)), visit)


@form("ReduceLoss")
def reduce_loss(g: Builder, op: Any, values: Value, weight: Value | None = None, mask: Value | None = None) -> Value:
    """Emit ``Σ values · weight · mask / divisor``, see the operator; 0 for a divisor of 0."""

    def expand(factor: Value) -> Value:
        axes = list(range(factor.rank, values.rank))
        return g.Unsqueeze(factor, g.constant(axes)) if axes else factor

    if weight is None and mask is None:
        return (g.ReduceSum if op.reduction == "sum" else g.ReduceMean)(values, keepdims=0)
    like = g.Expand(g.constant(1.0), g.Shape(values))
    kept = like if mask is None else like * expand(g.Cast(mask, to="float32"))
    factors = kept if weight is None else kept * expand(weight)
    total = g.ReduceSum(values * factors, keepdims=0)
    if op.reduction == "sum":
        return total
    divisor = g.ReduceSum(factors if op.reduction == "mean_with_sample_weight" else kept, keepdims=0)
    some = g.Not(g.Equal(divisor, g.constant(0.0)))
    return g.Where(some, total / g.Where(some, divisor, g.constant(1.0)), g.constant(0.0))


@form("SparseSoftmaxCrossEntropy")
def sparse_softmax_cross_entropy(g: Builder, op: Any, logits: Value, labels: Value) -> Value:
    """Emit the negated logarithm of the label's softmax."""
    ids = g.Unsqueeze(g.Cast(labels, to="int64"), g.constant([labels.rank]))
    chosen = g.Equal(ids, g.constant(list(range(logits.features))))
    return -g.ReduceSum(g.Where(chosen, g.LogSoftmax(logits, axis=-1), g.constant(0.0)), g.constant([-1]), keepdims=0)


@form("SquaredError")
def squared_error(g: Builder, op: Any, X: Value, targets: Value) -> Value:
    """Emit the mean of ``(X - targets)²`` over the last axis."""
    error = X - targets
    return g.ReduceMean(error * error, axes=(-1,), keepdims=0)


FORMS |= {
    "PerRow": lambda g, op, X: X / batch_size(g),
    "RowShare": lambda g, op, X: X,  # one worker has all rows
    "SoftmaxCrossEntropy": lambda g, op, logits, targets: (
        -g.ReduceSum(targets * g.LogSoftmax(logits, axis=-1), g.constant([-1]), keepdims=0)
    ),
    # smooth, and exact for small losses of both classes
    "SigmoidCrossEntropy": lambda g, op, X, t: t * g.Softplus(-X) + (1.0 - t) * g.Softplus(X),
}
