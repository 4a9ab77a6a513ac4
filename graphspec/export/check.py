"""Check whether a spec can be exported, without weights and without onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.codes import Code
from graphspec.compiler.lower import locate_key
from graphspec.compiler.lowered import visible
from graphspec.errors import Diagnostic
from graphspec.graph.onnx_model import CONTRIB
from graphspec.graph.passes.fold_constants import constant_values
from graphspec.graph.passes.legalize import is_newer, since
from graphspec.graph.pipelines import FOR_OPSET, prepare
from graphspec.graph.target import Target
from graphspec.ops import OPS

if TYPE_CHECKING:
    from graphspec.ir.graph import Graph, Node
    from graphspec.language.declarations import Spec

MAX_WEIGHT_BYTES = 2**31 - 2**24  # protobuf's limit of a message, minus room for the graph


def check_export(spec: Spec, graph: Graph, opset: int, *, contrib: bool = True) -> list[Diagnostic]:
    """Return GS702 for each node that cannot be written at ``opset``, and for more weights than fit into a file.

    Args:
        contrib: whether onnxruntime's own operators are available.
    """
    nbytes = sum(p.size * 4 for p in graph.params.values())
    found = []
    if nbytes > MAX_WEIGHT_BYTES:
        text = f"the weights need {nbytes / 2**30:.1f} GiB, an ONNX file has at most 2 GiB"
        file = spec.tree.mark.file
        found.append(
            Diagnostic(Code.UNAVAILABLE_OPERATOR, text, file=file, path="layers", hint="make the network smaller")
        )
    written = prepare(graph, FOR_OPSET, Target(opset=opset))
    known = constant_values(written)
    missing = [
        n
        for n in written.nodes
        if n.outputs[0].name not in known and (is_newer(n, opset) or (OPS[n.op].domain == CONTRIB and not contrib))
    ]
    seen = {(n.owner, n.op): n for n in missing}
    return sorted([*found, *(_unavailable(spec, n, opset) for n in seen.values())], key=Diagnostic.sort_key)


def _unavailable(spec: Spec, node: Node, opset: int) -> Diagnostic:
    first = since(node.op)
    text = f"'{visible(node.owner)}' needs the operator {node.op}, which opset {opset} does not have in this form"
    hint = f"export for opset {first} or later"
    if OPS[node.op].domain == CONTRIB:
        text = f"'{visible(node.owner)}' needs the operator {node.op}, which only onnxruntime has"
        hint = "export without `--target onnx`"
    elif first is None:
        text = f"'{visible(node.owner)}' needs {node.op}, which is not an ONNX operator"
        hint = "export only heads that do not depend on this node; for the others use `graphspec predict`"
    decl = next((n for n in spec.nodes if n.name == node.owner), None)
    if decl is None:
        return Diagnostic(Code.UNAVAILABLE_OPERATOR, text, file=spec.tree.mark.file, path="layers", hint=hint)
    mark, path = locate_key(decl, "type")
    return Diagnostic.at(mark, Code.UNAVAILABLE_OPERATOR, text, path=path, hint=hint)
