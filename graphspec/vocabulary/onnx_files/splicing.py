"""The part of an ONNX file that computes chosen values, with other names, so that it fits into another graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphspec.vocabulary.onnx_files.soundness import subgraphs

FLOATS = ("float32", "float16", "float64", "bfloat16")
_NEWER_TYPES = {9: (17, 18, 19, 20), 10: (21, 22), 11: (23,), 12: (24,), 13: (25, 26, 27, 28)}
"""The IR versions that brought element types: numbers of ``TensorProto.DataType``."""


@dataclass
class Spliced:
    """A part of a file, in protobuf messages.

    Attributes:
        infos: the element types of values that ONNX cannot infer.
        domains: the versions of the domains of its operators, without ONNX's own.
        ir_version: the oldest that has its element types.
    """

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    sparse: list[Any] = field(default_factory=list)
    infos: list[Any] = field(default_factory=list)
    domains: dict[str, int] = field(default_factory=dict)
    ir_version: int = 0


def needed_nodes(model: Any, outputs: Iterable[str]) -> list[Any]:
    """Return the nodes of the main graph that ``outputs`` depend on, in their order."""
    maker = {name: k for k, node in enumerate(model.graph.node) for name in node.output if name}
    found: set[int] = set()
    stack = [maker[name] for name in outputs if name in maker]
    while stack:
        k = stack.pop()
        if k not in found:
            found.add(k)
            stack += [maker[name] for name in read_by(model.graph.node[k]) if name in maker]
    return [model.graph.node[k] for k in sorted(found)]


def read_by(node: Any) -> set[str]:
    """Return the values of the graph around it that a node reads, also in the graphs inside it."""
    found = set(filter(None, node.input))
    for graph in subgraphs(node):
        inside = {v.name for v in graph.input} | {t.name for t in graph.initializer}
        for inner in graph.node:
            found |= read_by(inner) - inside
            inside.update(inner.output)
        found |= {v.name for v in graph.output} - inside
    return found


def splice(
    model: Any,
    prefix: str,
    inputs: Mapping[str, str],
    outputs: Sequence[tuple[str, str]],
) -> Spliced:
    """Return the nodes that compute ``outputs``. All other values are named ``<prefix>/<name>``.

    Constants become initializers, which every runtime and tool shows as such.

    Args:
        inputs: the names of what is fed, by the file's names of inputs.
        outputs: the file's values, each with its new name; a value may occur twice.
    """
    from onnx import helper

    found = Spliced()
    nodes = needed_nodes(model, [name for name, _ in outputs])
    read = set[str]().union(*(read_by(node) for node in nodes), (name for name, _ in outputs))
    names = {name: f"{prefix}/{name}" for name in _defined(model.graph)} | dict(inputs)
    computed = {name for node in nodes for name in node.output}
    for name, new in outputs:
        if name in computed and names[name].startswith(f"{prefix}/"):
            names[name] = new
        else:  # an input, a weight, or a value that is asked for twice
            found.nodes.append(helper.make_node("Identity", [names[name]], [new], name=f"{new}/Identity"))
    last, found.nodes = found.nodes, []
    kept = set(dict(outputs).values())
    for k, node in enumerate(nodes):
        if (tensor := _tensor_of(node)) is not None and names[node.output[0]] not in kept:
            found.constants.append(_copy(tensor, names[node.output[0]]))
        else:
            found.nodes.append(_renamed(node, names, prefix, f"{node.op_type}_{k}"))
    found.nodes += last
    for tensor in model.graph.initializer:
        if tensor.name in read and tensor.name not in inputs:
            found.constants.append(_copy(tensor, names[tensor.name]))
    for sparse in model.graph.sparse_initializer:
        if sparse.values.name in read:
            copy = type(sparse)()
            copy.CopyFrom(sparse)
            copy.values.name = names[sparse.values.name]
            found.sparse.append(copy)
    used = domains_of(nodes)
    found.domains = {o.domain: int(o.version) for o in model.opset_import if o.domain in used}
    unknown = {
        name for node in nodes if node.domain not in ("", "ai.onnx", "ai.onnx.ml") for name in node.output if name
    }
    for info in model.graph.value_info:
        if info.name in unknown and info.name in computed and info.type.tensor_type.elem_type:
            found.infos.append(_typed(names[info.name], info))
    found.ir_version = _ir_version(found)
    return found


def domains_of(nodes: Iterable[Any]) -> set[str]:
    """Return the domains of the operators, also in the graphs inside them, without ONNX's own."""
    found: set[str] = set()
    for node in nodes:
        found.add(node.domain)
        for graph in subgraphs(node):
            found |= domains_of(graph.node)
    return found - {"", "ai.onnx"}


def operators_of(nodes: Iterable[Any]) -> set[tuple[str, str]]:
    """Return domain and name of all operators, also in the graphs inside them."""
    found: set[tuple[str, str]] = set()
    for node in nodes:
        found.add(("" if node.domain == "ai.onnx" else node.domain, node.op_type))
        for graph in subgraphs(node):
            found |= operators_of(graph.node)
    return found


def _defined(graph: Any) -> set[str]:
    found = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    found |= {t.values.name for t in graph.sparse_initializer}
    return found | {name for node in graph.node for name in node.output if name}


def _tensor_of(node: Any) -> Any:
    """Return the tensor of a ``Constant``; None for other nodes, and for constants in another form."""
    own = node.op_type == "Constant" and node.domain in ("", "ai.onnx")
    return next((a.t for a in node.attribute if own and a.name == "value" and a.HasField("t")), None)


def _copy(tensor: Any, name: str) -> Any:
    copy = type(tensor)()
    copy.CopyFrom(tensor)
    copy.name = name
    copy.ClearField("doc_string")
    return copy


def _typed(name: str, info: Any) -> Any:
    """Return the element type and the number of axes of a value; its sizes may have changed."""
    from onnx import helper

    kind = info.type.tensor_type
    shape = [None] * len(kind.shape.dim) if kind.HasField("shape") else None
    return helper.make_tensor_value_info(name, kind.elem_type, shape)


def _renamed(node: Any, names: Mapping[str, str], prefix: str, default: str) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    copy.name = f"{prefix}/{node.name or default}"
    copy.ClearField("doc_string")
    copy.input[:] = [names.get(name, name) if name else "" for name in node.input]
    copy.output[:] = [names.get(name, name) if name else "" for name in node.output]
    for graph in subgraphs(copy):
        _rename_inside(graph, names, f"{prefix}/{node.name or default}")
    return copy


def _rename_inside(graph: Any, around: Mapping[str, str], prefix: str) -> None:
    """Rename the values of a graph in a node, in place; it may read those of the graphs around it."""
    names = {**around, **{name: f"{prefix}/{name}" for name in _defined(graph)}}

    def rename(name: str) -> str:
        return names.get(name, name) if name else ""

    for value in (*graph.input, *graph.output):
        value.name = rename(value.name)
    for tensor in graph.initializer:
        tensor.name = rename(tensor.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = rename(sparse.values.name)
    del graph.value_info[:]
    del graph.quantization_annotation[:]
    graph.ClearField("doc_string")
    nodes = [_renamed(node, names, prefix, f"{node.op_type}_{k}") for k, node in enumerate(graph.node)]
    del graph.node[:]
    graph.node.extend(nodes)


def _ir_version(found: Spliced) -> int:
    kinds = {tensor.data_type for tensor in found.constants}
    kinds |= {a.i for node in found.nodes if node.op_type == "Cast" for a in node.attribute if a.name == "to"}
    return max((ir for ir, new in _NEWER_TYPES.items() if kinds & set(new)), default=0)
