"""Serialise a trained graph as an ONNX model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from graphspec.engine.runtime.bind import bind
from graphspec.export.labels import label_nodes, letter_nodes
from graphspec.graph.ir.graph import STRING, Array, Graph, Type, Value
from graphspec.graph.onnx_model import OPSET, assemble, content_of, info
from graphspec.graph.ops import OPS
from graphspec.graph.pipelines import FOR_EXPORT
from graphspec.graph.pipelines import prepare as run_passes
from graphspec.graph.target import Target
from graphspec.language.declarations import LABEL

if TYPE_CHECKING:
    from graphspec.engine.runtime.parameters import Parameters


def prepare(graph: Graph, parameters: Parameters, opset: int = OPSET) -> Graph:
    """Return the graph as it is written: in inference mode, with operators of ``opset`` or older.

    Constants are folded, equal nodes merged, Transposes moved.
    """
    return run_passes(graph, FOR_EXPORT, Target(opset=opset, compute=partial(constants_of, parameters)))


def constants_of(parameters: Parameters, graph: Graph) -> dict[str, Array]:
    """Return the outputs of a graph that depends only on weights and constants."""
    program = bind(graph, parameters, Target())
    program.run_apart()
    return {name: array.copy() for name, array in program.fetches.items()}


def to_model(
    graph: Graph,
    parameters: Parameters,
    *,
    labels: Mapping[str, Sequence[str]],
    sequences: Collection[str] = (),
    metadata: Mapping[str, str],
    opset: int = OPSET,
) -> Any:
    """Return an ``onnx.ModelProto``. Nodes, inputs and outputs have the spec's names; the batch axis is ``N``.

    Args:
        sequences: CTC heads.
    """
    outputs = graph.outputs
    masks = {f"{head}/mask": mask for head in labels if head in sequences and (mask := outputs[head].mask) is not None}
    graph = prepare(graph.with_outputs({**outputs, **masks}) if masks else graph, parameters, opset)
    used = {v.name for node in graph.nodes for v in node.inputs if v is not None and v.kind == "param"}
    content = content_of(graph, {name: parameters.view(name) for name in used}, opset)
    content.outputs = [output for output in content.outputs if output.name not in masks]
    for head, classes in labels.items():
        kept = f"{head}/mask"
        nodes, constants = (
            letter_nodes(head, classes, kept if kept in masks else None)
            if head in sequences
            else label_nodes(head, graph.outputs[head], classes)
        )
        content.nodes += nodes
        content.constants += constants
        content.outputs.append(info(head + LABEL, Value(head + LABEL, Type(STRING, graph.outputs[head].shape[:-1]))))
    return assemble(graph.name, content, opset, {**metadata, **_of_merged(graph)})


def _of_merged(graph: Graph) -> dict[str, str]:
    """Return what merged files say of themselves, such as a licence: ``<node>/<key>``."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        if OPS[node.op].merged:
            found |= {f"{node.owner}/{key}": text for key, text in node.attrs["part"].metadata().items()}
    return found
