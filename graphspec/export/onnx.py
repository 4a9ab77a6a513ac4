"""Serialise a trained graph as an ONNX model: whether it can be, its labels, and what the file says of itself."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.budget import Budget
from graphspec.base.errors import Code, Diagnostic, Problem, ProblemError
from graphspec.engine.compiler.lower import locate_key
from graphspec.engine.compiler.lowered_network import masks_of_tags, visible
from graphspec.engine.runtime.bind import Binder
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import MISSING_INTEGER, STRING, Array, Graph, Node, Type, Value
from graphspec.graph.onnx_model import CONTRIB, ML, OPSET, assemble, content_of, element_type, info, tensor_of
from graphspec.graph.onnx_session import sanitized
from graphspec.graph.ops import OPS
from graphspec.graph.passes import FOR_EXPORT, FOR_OPSET
from graphspec.graph.passes import prepare as run_passes
from graphspec.graph.passes.for_export import constant_values, is_newer, since
from graphspec.language.declarations import BOUNDS, LABEL, HeadDecl, Spec
from graphspec.vocabulary.metrics import targets_of

if TYPE_CHECKING:
    from graphspec.data.source import DataSignature
    from graphspec.engine.runtime.parameters import Parameters
    from graphspec.engine.runtime.session import Session


# Check whether a spec can be exported, without weights and without onnxruntime.
def check_export(spec: Spec, graph: Graph, opset: int, *, contrib: bool = True) -> list[Diagnostic]:
    """Return GS702 for each node that ``opset`` (``contrib``: with onnxruntime's own) cannot have, and too many weights."""
    nbytes = sum(p.size * 4 for p in graph.params.values())
    diagnostics = []
    if nbytes > Budget.WEIGHTS:
        text = f"the weights need {nbytes / 2**30:.1f} GiB, an ONNX file has at most 2 GiB"
        diagnostics.append(at_node(spec, "", text, "make the network smaller"))
    written = run_passes(graph, FOR_OPSET, Target(opset=opset))
    constant = constant_values(written)
    problems: list[tuple[str, Problem]] = []
    for node in written.nodes:
        op = OPS[node.op]
        available = not is_newer(node, opset) and (contrib or op.domain != CONTRIB)
        if op.merged and (problem := _not_merged(node.attrs["part"], opset, contrib)) is not None:
            problems.append((node.owner, problem))
        elif not op.merged and not available and node.outputs[0].name not in constant:
            problems.append((node.owner, _unavailable(node, opset)))
    diagnostics += [at_node(spec, at, f"'{visible(at)}' {p.message}", p.hint) for at, p in dict.fromkeys(problems)]
    return sorted(diagnostics, key=Diagnostic.sort_key)


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


def _unavailable(node: Node, opset: int) -> Problem:
    first = since(node.op)
    why, hint = f"which opset {opset} does not have in this form", f"export for opset {first} or later"
    if OPS[node.op].domain == CONTRIB:
        why, hint = "which only onnxruntime has", "export without `--target onnx`"
    elif first is None:
        text = f"needs {node.op}, which is not an ONNX operator"
        hint = "export only heads that do not depend on this node; for the others use `graphspec predict`"
        return Problem(Code.UNAVAILABLE_OPERATOR, text, hint)
    return Problem(Code.UNAVAILABLE_OPERATOR, f"needs the operator {node.op}, {why}", hint)


def at_node(spec: Spec, owner: str, text: str, hint: str | None) -> Diagnostic:
    """Return GS702 at the node of a name."""
    decl = next((n for n in spec.nodes if n.name == owner), None)
    if decl is None:
        return Diagnostic(Code.UNAVAILABLE_OPERATOR, text, file=spec.tree.mark.file, path="layers", hint=hint)
    mark, path = locate_key(decl, "type")
    return Diagnostic.at(mark, Code.UNAVAILABLE_OPERATOR, text, path=path, hint=hint)


# The labels that a head predicts, in NumPy and as ONNX nodes. The class of a value is the argmax, with one unit by
# ``Session.cutoffs``. A CTC head has a label at each time step at which a letter begins, and no text at the others: joined,
# those of a row are the best path's text.
_HALF = 0.5


def predicted_classes(values: Array, cutoff: float = _HALF) -> Array:
    """Return the predicted class ids, ``(N, …, units)`` → ``(N, …)``; of one unit by the ``cutoff``."""
    if values.shape[-1] == 1:
        return (values[..., 0] > cutoff).astype(np.int64)
    return np.asarray(values.argmax(-1))


def predicted_letters(values: Array, mask: Array | None = None) -> Array:
    """Return the class ids of a CTC head's steps at which a letter begins, 0 at the others.

    Shapes: ``(N, time, units)`` → ``(N, time)``. Steps after the last one that the head's mask keeps are left out.
    """
    best = values.argmax(-1)
    begins = np.ones(best.shape, bool)
    begins[:, 1:] = best[:, 1:] != best[:, :-1]
    if mask is not None:
        begins &= np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    return np.where(begins, best, 0)


def label_texts(classes: Sequence[str], *, letters: bool) -> list[str]:
    """Return the text of each class: none for the blank of a CTC head, whatever its label."""
    return ["", *classes[1:]] if letters else list(classes)


def with_labels(heads: Mapping[str, Array], model: Session, masks: Mapping[str, Array | None]) -> dict[str, Array]:
    """Return the heads and each ``<head>_label``, equal to the file's outputs; ``masks``: Session's ``step_masks``."""
    return {**heads, **{h + LABEL: labels_of(h, heads[h], model, masks.get(h)) for h in model.labels}}


def labels_of(head: str, values: Array, model: Session, mask: Array | None) -> Array:
    """Return the label of each value of a head, no text where its mask hides a time step."""
    letters = head in model.needed.ctc
    texts = [*label_texts(model.labels[head], letters=letters), ""]
    if letters:
        return np.array(texts)[predicted_letters(values, mask)]
    ids = predicted_classes(values, model.cutoffs[head])
    return np.array(texts)[ids if mask is None else np.where(mask, ids, len(texts) - 1)]


def joined(labels: Array, steps: Array | None = None) -> Array:
    """Return the texts of a CTC head's labels, ``(N, time)`` → ``(N,)``, by default of all time ``steps`` of each row."""
    counts = [labels.shape[1]] * len(labels) if steps is None else steps.tolist()
    return np.array(["".join(row[:count]) for row, count in zip(labels.tolist(), counts, strict=True)], np.str_)


class _LabelNodes:
    """The nodes that compute the labels of a head, and their constants. The class ids are ``<head>/index``."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: Any, dtype: Any = np.int64) -> str:
        self.constants.append(tensor_of(f"{self.head}/{name}", np.array(values, dtype)))
        return f"{self.head}/{name}"

    def emit(self, kind: str, inputs: list[str], output: str, *, own_name: str = "", **attributes: Any) -> str:
        """Append a node, by default with the name of its output in front."""
        from onnx import helper

        result = f"{self.head}/{output}"
        name = own_name or f"{result}/{kind}"
        self.nodes.append(helper.make_node(kind, inputs, [result], name=name, **attributes))
        return result

    def of(self, texts: Sequence[str]) -> tuple[list[Any], list[Any]]:
        """Return the nodes with the one that looks up ``<head>_label``, and the constants, its texts first."""
        from onnx import helper

        head, strings = self.head, tensor_of(f"{self.head}/labels", np.array(texts, object))
        gather = helper.make_node("Gather", [strings.name, f"{head}/index"], [head + LABEL], name=f"{head}/Gather")
        return [*self.nodes, gather], [strings, *self.constants]


def label_nodes(
    head: str, value: Value, classes: Sequence[str], cutoff: float, mask: str | None = None
) -> tuple[list[Any], list[Any]]:
    """Return the nodes that compute ``<head>_label``, no text where a mask hides a time step, and their constants."""
    g, index = _LabelNodes(head), "index" if mask is None else "best"
    if value.shape[-1] == 1:
        half = g.constant("half", cutoff, np.float32)
        above = g.emit("Greater", [head, half], "positive", own_name=f"{head}/Greater")
        ids = g.emit("Cast", [above], "id", own_name=f"{head}/Cast", to=element_type("int64"))
        best = g.emit("Squeeze", [ids, g.constant("last", [-1])], index, own_name=f"{head}/Squeeze")
    else:
        best = g.emit("ArgMax", [head], index, own_name=f"{head}/ArgMax", axis=-1, keepdims=0)
    if mask is not None:
        g.emit("Where", [mask, best, g.constant("padding", len(classes))], "index")
    return g.of(classes if mask is None else [*classes, ""])


def letter_nodes(head: str, classes: Sequence[str], mask: str | None = None) -> tuple[list[Any], list[Any]]:
    """Return the nodes that compute ``<head>_label`` of a CTC head (see :func:`predicted_letters`), and their constants."""
    g = _LabelNodes(head)
    best = g.emit("ArgMax", [head], "best", axis=-1, keepdims=0)
    # All steps but the last one move one step on, behind a class that does not exist.
    before = g.emit("Pad", [best, g.constant("shift", [0, 1, 0, -1]), g.constant("no_class", -1)], "before")
    begins = g.emit("Not", [g.emit("Equal", [best, before], "repeated")], "begins")
    if mask is not None:
        kept = g.emit("Cast", [mask], "kept", to=element_type("int64"))
        left = g.emit("CumSum", [kept, g.constant("time_axis", 1)], "left", reverse=1)
        inside = g.emit("Greater", [left, g.constant("zero", 0)], "inside")
        begins = g.emit("And", [begins, inside], "begins_inside")
    g.emit("Mul", [best, g.emit("Cast", [begins], "factor", to=element_type("int64"))], "index")
    return g.of(label_texts(classes, letters=True))


def prepare(graph: Graph, parameters: Parameters, opset: int = OPSET) -> Graph:
    """Return the graph as it is written, for inference: with operators of ``opset``, folded, merged, Transposes moved."""
    return run_passes(graph, FOR_EXPORT, Target(opset=opset, compute=partial(constants_of, parameters)))


def constants_of(parameters: Parameters, graph: Graph) -> dict[str, Array]:
    """Return the outputs of a graph that depends only on weights and constants."""
    program = Binder(graph, parameters, Target()).bind()
    program.run_apart()
    return {name: array.copy() for name, array in program.fetches.items()}


def to_model(
    graph: Graph,
    parameters: Parameters,
    *,
    labels: Mapping[str, Sequence[str]],
    sequences: Collection[str] = (),
    cutoffs: Mapping[str, float] | None = None,
    metadata: Mapping[str, str],
    opset: int = OPSET,
) -> Any:
    """Return an ``onnx.ModelProto``. Nodes, inputs and outputs have the spec's names; ``sequences`` are CTC heads."""
    outputs = graph.outputs
    hidden = masks_of_tags(outputs, labels.keys() - sequences) | {head: outputs[head].mask for head in sequences}
    masks = {f"{head}/mask": mask for head in labels if (mask := hidden.get(head)) is not None}
    graph = prepare(graph.with_outputs({**outputs, **masks}) if masks else graph, parameters, opset)
    used = {v.name for node in graph.nodes for v in node.inputs if v is not None and v.kind == "param"}
    content = content_of(graph, {name: parameters.view(name) for name in used}, opset)
    content.outputs = [output for output in content.outputs if output.name not in masks]
    for head, classes in labels.items():
        hides = f"{head}/mask" if f"{head}/mask" in masks else None
        if head in sequences:
            nodes, constants = letter_nodes(head, classes, hides)
        else:
            nodes, constants = label_nodes(head, graph.outputs[head], classes, (cutoffs or {}).get(head, _HALF), hides)
        content.nodes += nodes
        content.constants += constants
        content.outputs.append(info(head + LABEL, Value(head + LABEL, Type(STRING, graph.outputs[head].shape[:-1]))))
    texts = dict(metadata)
    for node in (node for node in graph.nodes if OPS[node.op].merged):  # what files say of themselves, as of a licence
        texts |= {f"{node.owner}/{key}": text for key, text in node.attrs["part"].metadata().items()}
    return assemble(graph.name, content, opset, texts)


# What an app needs to know of a file: its inputs, what stands for a missing value, its outputs, and an example.
KEY = "graphspec.signature"  # the key of the signature in the metadata of a file
NOTE = "graphspec.quantization"  # the key of the record of how a file was quantized
FORMAT = 1
_MAX_NUMBERS = 1 << 14  # elements of an example: a larger one is left out


def signature(model: Session, example: tuple[Mapping[str, Array], Mapping[str, Array]]) -> dict[str, Any]:
    """Return the signature of an exported model as JSON; the ``example`` is a row of every input, and the file's outputs."""
    outputs = []
    for name, value in model.whole.outputs.items():
        head, end = model.spec.head_of(name)
        unit = {} if (target := target_unit(head)) is None else {"target": target}
        outputs.append(_record(name, value, bound_text(head, end) if end else head.description, unit))
        if name in model.labels:
            letters = name in model.needed.ctc
            labels = label_texts(model.labels[name], letters=letters)
            record = {"name": name + LABEL, "dtype": STRING, "shape": list(value.shape[:-1]), "labels": labels}
            outputs.append({**record, "join": True} if letters else record)  # a row's texts are one text
    return {
        "format": FORMAT,
        "name": model.spec.name,
        "inputs": [_input(model, name, value) for name, value in model.whole.inputs.items()],
        "outputs": outputs,
        "example": _example(*example),
    }


def with_outputs(described: Mapping[str, Any], outputs: Mapping[str, Array]) -> dict[str, Any]:
    """Return a signature whose example has these outputs; one without an example stays as it is."""
    example = described["example"]
    if example is None:
        return dict(described)
    return {**described, "example": {**example, "outputs": {name: _plain(array) for name, array in outputs.items()}}}


def _input(model: Session, name: str, value: Value) -> dict[str, Any]:
    train = model.spec.data.get("train")
    mapped = {} if train is None or train.inputs is None else train.inputs
    column = mapped.get(name, model.needed_inputs.columns.get(name, name))
    own: dict[str, Any] = {"column": column, "missing": missing_mark(name, value, model.needed_inputs)}
    known = {} if model.adapted is None else model.adapted.inputs.get(name, {})
    if usual := {k: _listed(v) for k, v in known.items() if k not in ("distribution", "dates")}:
        own["usual"] = usual
    return _record(name, value, model.spec.inputs[name].description, own)


def missing_mark(name: str, value: Value, needed: DataSignature) -> str | int | None:
    """Return what stands for a missing value of an input, None if there must be none."""
    if value.type.is_string:
        return ""
    if name not in needed.gaps:
        return None
    return "NaN" if value.type.is_float else MISSING_INTEGER


def target_unit(head: HeadDecl) -> dict[str, float] | None:
    """Return mean and deviation of the target, if the values of the head are in the target's own unit."""
    return None if head.statistics is None else dict(zip(("mean", "deviation"), head.statistics, strict=True))


def _record(name: str, value: Value, description: str, own: Mapping[str, Any]) -> dict[str, Any]:
    described = {"description": description} if description else {}
    return {"name": name, "dtype": value.dtype, "shape": list(value.shape), **own, **described}


def _example(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, Any] | None:
    """Return the arrays as nested lists, with null for a missing value; None for a row that is too large to be stored."""
    if not inputs or sum(a.size for a in [*inputs.values(), *outputs.values()]) > _MAX_NUMBERS:
        return None
    return {kind: {n: _plain(a) for n, a in row.items()} for kind, row in (("inputs", inputs), ("outputs", outputs))}


def _plain(array: Array) -> Any:
    """Return an array as nested lists; a float has the digits of float32."""
    return _listed(array.astype(np.float32).tolist() if array.dtype.kind == "f" else array.tolist())


def _listed(value: Any) -> Any:
    if isinstance(value, list):
        return [_listed(element) for element in value]
    if isinstance(value, float):
        return float(str(np.float32(value))) if math.isfinite(value) else None
    return None if value == MISSING_INTEGER else value


# What a file says of itself in ONNX's own texts: of the model, and of what an app must know of each input and output.
_MAX_LABELS = 40  # labels that a text lists; all are in the metadata


def describe(proto: Any, model: Session, described: Mapping[str, Any]) -> None:
    """Write the ``doc_string`` of a model, its inputs and its outputs, as the :func:`signature` says."""
    proto.doc_string = proto.graph.doc_string = _valid(model.spec.description)
    texts = {record["name"]: input_text(model, record) for record in described["inputs"]}
    for head in model.spec.heads.values():
        texts[head.name] = output_text(model, head)
        texts |= {head.name + end: bound_text(head, end) for end in BOUNDS}
        texts[head.name + LABEL] = label_text(model, head)
    for value in (*proto.graph.input, *proto.graph.output):
        value.doc_string = _valid(texts.get(value.name, ""))


def input_text(model: Session, record: Mapping[str, Any]) -> str:
    """Return what an app must know of an input: meaning, column, ids, and what stands for a missing value."""
    name, columns, missing = record["name"], record["column"], record["missing"]
    parts = [model.spec.inputs[name].description.rstrip(". ")]
    if not isinstance(columns, str):
        parts.append(f"columns {_list(list(map(_quoted, columns)))}")
    elif columns != name:
        parts.append(f"column {_quoted(columns)}")
    if (limits := model.needed_inputs.limits.get(name)) is not None:
        parts.append(f"ids from {limits.low:.0f} to {limits.high:.0f}")
    masking = [node for node in model.spec.nodes if getattr(node.layer, "mask_zero", False)]
    if any(ref is not None and ref.name == name for node in masking for ref in node.inputs):
        parts.append("id 0 is padding")
    if missing is not None:
        mark = missing or '"" (an empty text)'
        parts.append(f"{mark} stands for a missing value")
    return "; ".join(filter(None, parts))


def output_text(model: Session, head: HeadDecl) -> str:
    """Return what an app must know of a head: meaning, classes, threshold, unit."""
    value, labels = model.whole.outputs[head.name], model.labels.get(head.name)
    parts = [head.description.rstrip(". ")]
    kind, cutoff = "" if head.loss is None else targets_of(head.loss), f"{model.cutoffs[head.name]:g}"
    sure = head.loss is not None and not getattr(head.loss, "from_logits", False)
    if value.shape[-1] == 1 and head.loss is not None and head.loss.binary:
        if labels is not None:
            no, yes = map(_quoted, labels)
            parts.append((f"probability of {yes}; " if sure else "") + f"above {cutoff} it means {yes}, else {no}")
        elif sure:
            parts.append(f"probability of class 1; above {cutoff} it means class 1, else class 0")
    elif labels is not None or kind in ("ids", "one_hot"):
        what = "probability of each class" if sure and kind in ("ids", "one_hot") else "a value for each class"
        names = [f"{k} is {_quoted(label)}" for k, label in enumerate(labels or ())]
        parts.append(what if labels is None else f"{what}: {_list(names)}")
    if head.statistics is not None:
        mean, deviation = head.statistics
        parts.append(f"in the unit of the target, whose mean was {mean:.6g} and whose deviation was {deviation:.6g}")
    if head.limits is not None:
        ends = [f"{word} {end:.6g}" for word, end in zip(("from", "to"), head.limits, strict=True) if end is not None]
        parts.append(" ".join(ends) + (", the range of the training targets" if head.clip is True else ""))
    return "; ".join(filter(None, parts))


def bound_text(head: HeadDecl, end: str) -> str:
    """Return what an end of a head's interval is."""
    of = f"{100 * (head.interval or 0):g} % interval of '{head.name}'"
    return f"{'lower' if end == BOUNDS[0] else 'upper'} end of the {of}, by rows that the training has held out"


def label_text(model: Session, head: HeadDecl) -> str:
    """Return what the label of a head is."""
    labels = model.labels.get(head.name)
    if labels is None:
        return ""
    if model.whole.outputs[head.name].shape[-1] == 1:
        no, yes = map(_quoted, labels)
        return f"{yes} if '{head.name}' is above {model.cutoffs[head.name]:g}, else {no}"
    return f"label of the class with the largest value of '{head.name}'"


def _list(parts: Sequence[str]) -> str:
    more = f", … ({len(parts)} in all)" if len(parts) > _MAX_LABELS else ""
    return ", ".join(parts[:_MAX_LABELS]) + more


def _quoted(text: str) -> str:
    return f"'{text}'" if text.isprintable() and "'" not in text else json.dumps(text, ensure_ascii=False)


def _valid(text: str) -> str:
    """Return a text that UTF-8 can hold."""
    return text.encode(errors="replace").decode()
