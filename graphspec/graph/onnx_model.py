"""Write a graph as an ONNX model: nodes, constants, types, and the domains of its operators.

A graph is written as it is. Whoever calls it has run the passes that a file needs (``graphspec.graph.passes``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphspec.graph.ir.graph import Array, Graph, Node, Value, numpy_dtype
from graphspec.graph.ops import OPS

OPSET = 17
IR_OF_OPSET = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10}
IR_OF_OPSET |= {23: 11, 24: 12, 25: 13, 26: 13, 27: 13, 28: 14}
"""The IR version released with an opset: every runtime that supports the opset reads it."""
ML, CONTRIB = "ai.onnx.ml", "com.microsoft"
DOMAINS = {ML: 2, CONTRIB: 1}  # the version of each domain other than ONNX's own; it does not depend on the opset


@dataclass
class Content:
    """The content of an ONNX graph, in protobuf messages."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    infos: list[Any] = field(default_factory=list)  # types of values that ONNX cannot infer
    sparse: list[Any] = field(default_factory=list)  # constants of merged files
    domains: dict[str, int] = field(default_factory=dict)  # the versions of those that merged files use
    ir_version: int = 0  # merged files need at least this one

    def merge(self, part: Any) -> None:
        """Add a part of another file, such as one of :func:`graphspec.vocabulary.onnx_files.part.splice`."""
        self.nodes += part.nodes
        self.constants += part.constants
        self.sparse += part.sparse
        self.infos += part.infos
        self.ir_version = max(self.ir_version, part.ir_version)
        for domain, version in part.domains.items():
            self.domains[domain] = max(version, self.domains.get(domain, 0))


def model_of(graph: Graph, constants: Mapping[str, Array] | None = None, *, opset: int = OPSET) -> Any:
    """Return ``graph`` as an ``onnx.ModelProto``, checked by ONNX.

    Its inputs, nodes and outputs are written as they are, with the graph's names; nodes without a reader too. The graph has
    only operators of ``opset`` (the pass ``legalize`` sees to it), and no learnt sizes. ``constants`` are the arrays of its
    parameters, by name.
    """
    return assemble(graph.name, content_of(graph, constants or {}, opset), opset, {})


def content_of(graph: Graph, constants: Mapping[str, Array], opset: int) -> Content:
    """Return the graph's content; ``constants`` are the arrays of its parameters. A value of an output has its name."""
    from onnx import helper

    names: dict[str, str] = {}  # each value of an output has the name of its first output
    for output, value in graph.outputs.items():
        if value.kind == "op":
            names.setdefault(value.name, output)
    content, written = Content(), set[str]()

    def tensor(value: Value | None) -> str:
        if value is None:
            return ""
        name = names.get(value.name, value.name)
        if value.kind in ("param", "constant") and name not in written:
            written.add(name)
            data = constants[value.name] if value.kind == "param" else value.data
            content.constants.append(tensor_of(name, np.asarray(data, numpy_dtype(value.dtype))))
        return name

    for node in graph.nodes:
        inputs, outputs = [tensor(v) for v in node.inputs], [tensor(v) for v in node.outputs]
        if OPS[node.op].merged:
            content.merge(node.attrs["part"].spliced(node.name, inputs, outputs, opset))
            continue
        if node.op == "Scan":
            content.nodes.append(_scan(node, inputs, outputs, opset))
            continue
        proto, extra = operator(node, inputs, outputs, opset)
        content.nodes.append(proto)
        content.constants += extra
        if OPS[node.op].domain == CONTRIB:
            content.infos += [info(v.name, v) for v in node.outputs if v.name not in names]
    for output, value in graph.outputs.items():
        if tensor(value) != output:  # an input, or a value of two outputs
            content.nodes.append(helper.make_node("Identity", [tensor(value)], [output], name=f"{output}/output"))
    content.outputs = [info(output, value) for output, value in graph.outputs.items()]
    content.inputs = [info(name, value) for name, value in graph.inputs.items()]
    return content


def _scan(node: Node, inputs: Sequence[str], outputs: Sequence[str], opset: int) -> Any:
    """Return a Scan, whose body reads what is the same in every step under its name outside."""
    from onnx import helper

    body, own = node.attrs["body"], node.attrs["states"] + node.attrs["sequences"]
    outside = dict(zip(list(body.inputs)[own:], inputs[own:], strict=True))
    part = content_of(replace(body, inputs=dict(list(body.inputs.items())[:own])), {}, opset)
    for inner in part.nodes:
        inner.input[:] = [outside.get(name, name) for name in inner.input]
    graph = helper.make_graph(part.nodes, body.name, part.inputs, part.outputs, part.constants)
    back = [node.attrs["reverse"]]
    ways = {
        "scan_input_directions": back * node.attrs["sequences"],
        "scan_output_directions": back * (len(outputs) - node.attrs["states"]),
    }
    ways = {key: way for key, way in ways.items() if way}
    attributes = {"body": graph, "num_scan_inputs": node.attrs["sequences"], **ways}
    return helper.make_node("Scan", list(inputs[:own]), list(outputs), name=node.name, **attributes)


def assemble(name: str, content: Content, opset: int, metadata: Mapping[str, str]) -> Any:
    """Return a checked ``onnx.ModelProto``. It imports the domains that its nodes use, and no others."""
    import onnx
    from onnx import helper

    others = {"value_info": content.infos, "sparse_initializer": content.sparse}
    ends = (content.inputs, content.outputs)
    graph = helper.make_graph(content.nodes, name, *ends, content.constants, **others)
    used, domains = {node.domain for node in content.nodes}, dict(content.domains)
    domains |= {d: max(version, domains.get(d, 0)) for d, version in DOMAINS.items() if d in used}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in domains.items())]
    ir_version = max(IR_OF_OPSET[opset], content.ir_version)
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version, producer_name="graphspec")
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model


def tensor_of(name: str, array: Array) -> Any:
    """Return an array as an ``onnx.TensorProto``; texts are written in UTF-8."""
    from onnx import TensorProto, helper, numpy_helper

    if array.dtype != object:
        return numpy_helper.from_array(np.asarray(array, order="C"), name)
    return helper.make_tensor(name, TensorProto.STRING, array.shape, [str(text).encode() for text in array.flat])


def info(name: str, value: Value) -> Any:
    """Return the name and type of a value as an ``onnx.ValueInfoProto``."""
    from onnx import helper

    return helper.make_tensor_value_info(name, element_type(value.dtype), list(value.shape))


def opset_for(graph: Graph) -> int:
    """Return the opset of a file with this graph: ours, or the newest of the ONNX files that it contains."""
    return max([OPSET, *(int(n.attrs["part"].opset) for n in graph.nodes if OPS[n.op].merged)])


def element_type(dtype: str) -> int:
    """Return ONNX's number of a dtype: ``"float32"`` → ``TensorProto.FLOAT``."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(numpy_dtype(dtype)))


def operator(node: Node, inputs: Sequence[str], outputs: Sequence[str], opset: int) -> tuple[Any, list[Any]]:
    """Return a ``NodeProto`` in the form of ``opset``, and the constants that it needs.

    An attribute that is an input in this opset, such as the axes of reductions from opset 18 on, becomes a constant. ONNX
    knows no operators of other makers' domains: their attributes are written as declared, without empty lists.
    """
    from onnx import helper

    domain = OPS[node.op].domain
    declared, positions = _schema(node.op, domain, opset)
    names, constants, attrs = list(inputs), [], {}
    for key, value in node.attrs.items():
        if value is None or (value == () and domain):
            continue
        if key in declared or key not in positions:
            attrs[key] = list(value) if isinstance(value, tuple) else value
            continue
        names += [""] * (positions[key] + 1 - len(names))
        names[positions[key]] = f"{node.name}/{key}"
        constants.append(tensor_of(f"{node.name}/{key}", np.asarray(value)))
    for key in {"Cast": ["to"], "EyeLike": ["dtype"]}.get(node.op, []):
        if key in attrs:
            attrs[key] = element_type(node.attrs[key])
    return helper.make_node(node.op, names, outputs, name=node.name, domain=domain or None, **attrs), constants


def _schema(op: str, domain: str, opset: int) -> tuple[set[str], dict[str, int]]:
    """Return the attributes of an operator's schema and the positions of its inputs; nothing for a contrib operator."""
    from onnx import defs

    if domain == CONTRIB:
        return set(), {}
    schema = defs.get_schema(op, DOMAINS.get(domain, opset), domain)
    return set(schema.attributes), {formal.name: k for k, formal in enumerate(schema.inputs)}
