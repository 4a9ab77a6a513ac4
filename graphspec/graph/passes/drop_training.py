"""Turn a training graph into an inference graph.

Dropout and noise are the identity at inference, so their nodes are removed. Random augmentation is replaced by its
computation at inference. BatchNormalization uses its moving statistics. Operators that exist only for training become the
corresponding ONNX operators.

It is for files; programs choose between training and inference when they are bound (``training=True``).
"""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.graph.ir.graph import Graph, Node, Value
from graphspec.graph.ops import OPS
from graphspec.graph.rebuild import Rebuild, rebuild
from graphspec.graph.target import Target


def drop_training(graph: Graph, target: Target) -> Graph:
    """Replace operators that behave differently in training by their inference form.

    >>> g, x = sketch({"x": ("N", 4)})
    >>> graph = g.graph.with_outputs({"y": g.Relu(g.Dropout(x, g.constant(0.5)))})
    >>> print_graph(graph)
    %1 = Dropout(x, 0.5)
    y = Relu(%1)
    >>> print_graph(drop_training(graph, Target()))
    y = Relu(x)
    """

    def visit(state: Rebuild, node: Node, inputs: tuple[Value | None, ...]) -> Sequence[Value] | None:
        if OPS[node.op].identity_in_inference:
            assert inputs[0] is not None
            return (inputs[0],)
        if (
            node.op == "Mul"
            and inputs[0] is not None
            and inputs[0].type == node.outputs[0].type
            and _is_ones(inputs[1])
        ):
            return (inputs[0],)
        if (form := OPS[node.op].inference) is not None:
            attributes = {k: v for k, v in {**node.attrs, **form.attributes}.items() if k not in form.without}
            types = [v.type for v in node.outputs][: form.outputs]
            kept = [inputs[k] for k in form.inputs if k < len(inputs)]
            return state.node(node.name.replace(node.op, form.op), form.op, kept, attributes, node.owner, types)
        return None

    return rebuild(graph, visit)


def _is_ones(value: Value | None) -> bool:
    """Return whether ``value`` is the expanded constant 1: a mask whose Dropout was removed."""
    if value is None or value.node is None or value.node.op != "Expand":
        return False
    one = value.node.inputs[0]
    return one is not None and one.data is not None and bool((one.data == 1.0).all())
