"""What a file says of itself in ONNX's own texts: of the model, and of what an app must know of each input and output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphspec.language.declarations import LABEL
from graphspec.vocabulary.metrics import targets_of

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.language.declarations import HeadDecl

_MAX_LABELS = 40  # labels that a text lists; all are in the metadata


def describe(proto: Any, model: Session, described: Mapping[str, Any]) -> None:
    """Write the ``doc_string`` of a model, its inputs and its outputs.

    Args:
        proto: an ``onnx.ModelProto``.
        described: the signature of the file (:func:`graphspec.export.signature.signature`).
    """
    proto.doc_string = proto.graph.doc_string = _valid(model.spec.description)
    texts = {record["name"]: input_text(model, record) for record in described["inputs"]}
    for head in model.spec.heads.values():
        texts[head.name] = output_text(model, head)
        texts[head.name + LABEL] = label_text(model, head)
    for value in (*proto.graph.input, *proto.graph.output):
        value.doc_string = _valid(texts.get(value.name, ""))


def input_text(model: Session, record: Mapping[str, Any]) -> str:
    """Return what an app must know of an input: meaning, column, ids, and what stands for a missing value."""
    name, declared = record["name"], model.spec.inputs[record["name"]]
    parts = [declared.description.rstrip(". ")]
    columns = record["column"]
    if isinstance(columns, str) and columns != name:
        parts.append(f"column {_quoted(columns)}")
    elif not isinstance(columns, str):
        parts.append(f"columns {_list(list(map(_quoted, columns)))}")
    limits = model.needed_inputs.limits.get(name)
    if limits is not None:
        parts.append(f"ids from {limits.low:.0f} to {limits.high:.0f}")
    if _is_padded(model, name):
        parts.append("id 0 is padding")
    if record["missing"] is not None:
        missing = record["missing"]
        shown = '"" (an empty text)' if missing == "" else missing
        parts.append(f"{shown} stands for a missing value")
    return "; ".join(part for part in parts if part)


def _is_padded(model: Session, name: str) -> bool:
    """Return whether a layer that reads the input takes id 0 for padding."""
    return any(
        getattr(node.layer, "mask_zero", False) and any(ref is not None and ref.name == name for ref in node.inputs)
        for node in model.spec.nodes
    )


def output_text(model: Session, head: HeadDecl) -> str:
    """Return what an app must know of a head: meaning, classes, threshold, unit."""
    value, labels = model.whole.outputs[head.name], model.labels.get(head.name)
    parts = [head.description.rstrip(". ")]
    kind = "" if head.loss is None else targets_of(head.loss)
    sure = head.loss is not None and not getattr(head.loss, "from_logits", False)
    if value.shape[-1] == 1 and head.loss is not None and head.loss.binary:
        if labels is not None:
            no, yes = map(_quoted, labels)
            parts.append((f"probability of {yes}; " if sure else "") + f"above 0.5 it means {yes}, else {no}")
        elif sure:
            parts.append("probability of class 1; above 0.5 it means class 1, else class 0")
    elif labels is not None or kind in ("ids", "one_hot"):
        what = "probability of each class" if sure and kind in ("ids", "one_hot") else "a value for each class"
        parts.append(what + ("" if labels is None else f": {_classes(labels)}"))
    if head.statistics is not None:
        mean, deviation = head.statistics
        parts.append(f"in the unit of the target, whose mean was {mean:.6g} and whose deviation was {deviation:.6g}")
    return "; ".join(part for part in parts if part)


def label_text(model: Session, head: HeadDecl) -> str:
    """Return what the label of a head is."""
    labels = model.labels.get(head.name)
    if labels is None:
        return ""
    if model.whole.outputs[head.name].shape[-1] == 1:
        no, yes = map(_quoted, labels)
        return f"{yes} if '{head.name}' is above 0.5, else {no}"
    return f"label of the class with the largest value of '{head.name}'"


def _classes(labels: Sequence[str]) -> str:
    return _list([f"{k} is {_quoted(label)}" for k, label in enumerate(labels)])


def _list(parts: Sequence[str]) -> str:
    more = f", … ({len(parts)} in all)" if len(parts) > _MAX_LABELS else ""
    return ", ".join(parts[:_MAX_LABELS]) + more


def _quoted(text: str) -> str:
    return f"'{text}'" if text.isprintable() and "'" not in text else json.dumps(text, ensure_ascii=False)


def _valid(text: str) -> str:
    """Return a text that UTF-8 can hold."""
    return text.encode(errors="replace").decode()
