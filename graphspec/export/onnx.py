"""Serialise a trained graph as an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.export.labels import label_nodes
from graphspec.export.targets import IR_OF_OPSET, OPSET
from graphspec.graph.pipelines import FOR_EXPORT
from graphspec.graph.pipelines import prepare as run_passes
from graphspec.graph.target import Target
from graphspec.ir.graph import Array, Graph, Node, Value
from graphspec.language.head_arrays import LABEL
from graphspec.runtime.bind import bind

if TYPE_CHECKING:
    from graphspec.runtime.parameters import Parameters


def prepare(graph: Graph, parameters: Parameters, opset: int = OPSET) -> Graph:
    """Return the graph as it is written: in inference mode, with operators of ``opset`` or older.

    Constants are folded, equal nodes merged, Transposes moved.
    """
    return run_passes(graph, FOR_EXPORT, Target(opset=opset, compute=partial(constants_of, parameters)))


def constants_of(parameters: Parameters, graph: Graph) -> dict[str, Array]:
    """Return the outputs of a graph that depends only on weights and constants."""
    program = bind(graph, parameters, Target())
    program.run()
    return {name: array.copy() for name, array in program.fetches.items()}


def to_model(
    graph: Graph,
    parameters: Parameters,
    *,
    labels: Mapping[str, Sequence[str]],
    metadata: Mapping[str, str],
    opset: int = OPSET,
) -> Any:
    """Return an ``onnx.ModelProto``. Nodes, inputs and outputs have the spec's names; the batch axis is ``N``."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = prepare(graph, parameters, opset)
    names = _tensor_names(graph)
    nodes, initializers, written = [], [], set()

    def tensor(value: Value | None) -> str:
        if value is None:
            return ""
        name = names.get(value.name, value.name)
        if value.kind in ("param", "constant") and name not in written:
            written.add(name)
            data = parameters.view(value.name) if value.kind == "param" else value.data
            initializers.append(numpy_helper.from_array(np.asarray(_in_dtype(data, value), order="C"), name))
        return name

    for node in graph.nodes:
        inputs = [tensor(v) for v in node.inputs]
        proto, constants = operator(node, inputs, [tensor(v) for v in node.outputs], opset)
        nodes.append(proto)
        initializers += constants
    for head, value in graph.outputs.items():
        if tensor(value) != head:  # an input, or a value of two heads
            nodes.append(helper.make_node("Identity", [tensor(value)], [head], name=f"{head}/output"))
    outputs = [_info(helper, head, value) for head, value in graph.outputs.items()]
    for head, classes in labels.items():
        extra, constants = label_nodes(head, graph.outputs[head], classes)
        nodes += extra
        initializers += constants
        shape = list(graph.outputs[head].shape[:-1])
        outputs.append(helper.make_tensor_value_info(head + LABEL, TensorProto.STRING, shape))
    inputs = [_info(helper, name, value) for name, value in graph.inputs.items()]
    proto = helper.make_graph(nodes, graph.name, inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(proto, opset_imports=imports, ir_version=IR_OF_OPSET[opset], producer_name="graphspec")
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model


def _in_dtype(data: Any, value: Value) -> np.ndarray[Any, Any]:
    return np.asarray(data, np.float32 if value.type.is_float else np.dtype(value.dtype))


def _tensor_names(graph: Graph) -> dict[str, str]:
    """Return the names of the head values: each has the name of its first head."""
    uses: dict[str, list[str]] = {}
    for head, value in graph.outputs.items():
        if value.kind == "op":
            uses.setdefault(value.name, []).append(head)
    return {name: heads[0] for name, heads in uses.items()}


def operator(node: Node, inputs: Sequence[str], outputs: Sequence[str], opset: int) -> tuple[Any, list[Any]]:
    """Return a ``NodeProto`` in the form of ``opset``, and the constants that it needs.

    An attribute that is an input in this opset, such as the axes of reductions from opset 18 on, becomes a constant.
    """
    from onnx import defs, helper, numpy_helper

    schema = defs.get_schema(node.op, opset)
    positions = {formal.name: k for k, formal in enumerate(schema.inputs)}
    names, constants, attrs = list(inputs), [], {}
    for key, value in node.attrs.items():
        if value is None:
            continue
        if key in schema.attributes or key not in positions:
            attrs[key] = list(value) if isinstance(value, tuple) else value
            continue
        names += [""] * (positions[key] + 1 - len(names))
        names[positions[key]] = f"{node.name}/{key}"
        constants.append(numpy_helper.from_array(np.asarray(value), f"{node.name}/{key}"))
    if node.op == "Cast":
        attrs["to"] = helper.np_dtype_to_tensor_dtype(np.dtype(node.attrs["to"]))
    return helper.make_node(node.op, names, outputs, name=node.name, **attrs), constants


def _info(helper: Any, name: str, value: Value) -> Any:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return helper.make_tensor_value_info(name, kind, list(value.shape))
