"""Check whether a spec can be exported, without weights and without onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Problem, ProblemError
from graphspec.engine.compiler.lower import locate_key
from graphspec.engine.compiler.lowered import visible
from graphspec.graph.onnx_model import CONTRIB, ML
from graphspec.graph.onnx_session import sanitized
from graphspec.graph.ops import OPS
from graphspec.graph.passes.fold_constants import constant_values
from graphspec.graph.passes.legalize import is_newer, since
from graphspec.graph.pipelines import FOR_OPSET, prepare
from graphspec.graph.target import Target

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Graph, Node
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
        if n.outputs[0].name not in known
        and not OPS[n.op].merged
        and (is_newer(n, opset) or (OPS[n.op].domain == CONTRIB and not contrib))
    ]
    seen = {(n.owner, n.op): n for n in missing}
    found += [_unavailable(spec, n, opset) for n in seen.values()]
    for node in written.nodes:
        if OPS[node.op].merged and (problem := _not_merged(node.attrs["part"], opset, contrib)) is not None:
            found.append(_at(spec, node.owner, f"'{visible(node.owner)}' {problem.message}", problem.hint or ""))
    return sorted(found, key=Diagnostic.sort_key)


def _not_merged(part: Any, opset: int, contrib: bool) -> Problem | None:
    """Return why a part of an ONNX file cannot be merged into a file for ``opset``; None if it can, or is not there."""
    if part.content is None:
        return None
    if opset < part.opset:
        text = f"is '{part.file}' of opset {part.opset}, newer than {opset}"
        return Problem(Code.UNAVAILABLE_OPERATOR, text, f"export for opset {part.opset} or later")
    try:
        merged = part.spliced("file", [f"x{k}" for k in range(len(part.inputs))], list(part.outputs), opset)
    except ProblemError as error:
        return error.problem
    if not contrib and (domains := sorted(set(merged.domains) - {ML})):
        text = f"is '{part.file}', which has operators of {', '.join(map(sanitized, domains))}"
        return Problem(Code.UNAVAILABLE_OPERATOR, text, "export without `--target onnx`")
    return None


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
    return _at(spec, node.owner, text, hint)


def _at(spec: Spec, owner: str, text: str, hint: str) -> Diagnostic:
    decl = next((n for n in spec.nodes if n.name == owner), None)
    if decl is None:
        return Diagnostic(Code.UNAVAILABLE_OPERATOR, text, file=spec.tree.mark.file, path="layers", hint=hint)
    mark, path = locate_key(decl, "type")
    return Diagnostic.at(mark, Code.UNAVAILABLE_OPERATOR, text, path=path, hint=hint)
