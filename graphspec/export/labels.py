"""The labels that a head predicts, in NumPy and as ONNX nodes.

The class of a value is the argmax, with one unit by the threshold 0.5. A CTC head has a label at each time step at which a
letter begins, and no text at the others: joined, those of a row are the best path's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.language.declarations import LABEL

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array, Value

_HALF = 0.5


def _has_one_unit(shape: Sequence[int | str]) -> bool:
    return shape[-1] == 1


def predicted_classes(values: Array) -> Array:
    """Return the predicted class ids, ``(N, …, units)`` → ``(N, …)``."""
    if _has_one_unit(values.shape):
        return (values[..., 0] > _HALF).astype(np.int64)
    return np.asarray(values.argmax(-1))


def predicted_letters(values: Array, mask: Array | None = None) -> Array:
    """Return the class ids of a CTC head's steps at which a letter begins, 0 at the others.

    Shapes: ``(N, time, units)`` → ``(N, time)``.

    Args:
        mask: the head's mask; steps after the last one that it keeps are left out.
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


def with_labels(
    heads: Mapping[str, Array], labels: Mapping[str, Sequence[str]], sequences: Mapping[str, Array | None]
) -> dict[str, Array]:
    """Return the heads and each ``<head>_label``, equal to the file's outputs.

    Args:
        sequences: CTC heads, each with its mask.
    """
    found = dict(heads)
    for head, classes in labels.items():
        letters = head in sequences
        ids = predicted_letters(heads[head], sequences[head]) if letters else predicted_classes(heads[head])
        found[head + LABEL] = np.array(label_texts(classes, letters=letters))[ids]
    return found


def joined(labels: Array, steps: Array | None = None) -> Array:
    """Return the texts of a CTC head's labels, ``(N, time)`` → ``(N,)``.

    Args:
        steps: the time steps of each row; by default all.
    """
    counts = [labels.shape[1]] * len(labels) if steps is None else steps.tolist()
    return np.array(["".join(row[:count]) for row, count in zip(labels.tolist(), counts, strict=True)], np.str_)


def label_nodes(head: str, value: Value, classes: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Return the nodes that compute ``<head>_label``, and their constants."""
    import onnx
    from onnx import helper, numpy_helper

    index = f"{head}/index"
    constants = []
    if _has_one_unit(value.shape):
        half = numpy_helper.from_array(np.float32(_HALF), f"{head}/half")
        last = numpy_helper.from_array(np.array([-1], np.int64), f"{head}/last")
        constants = [half, last]
        nodes = [
            helper.make_node("Greater", [head, half.name], [f"{head}/positive"], name=f"{head}/Greater"),
            helper.make_node(
                "Cast", [f"{head}/positive"], [f"{head}/id"], name=f"{head}/Cast", to=onnx.TensorProto.INT64
            ),
            helper.make_node("Squeeze", [f"{head}/id", last.name], [index], name=f"{head}/Squeeze"),
        ]
    else:
        nodes = [helper.make_node("ArgMax", [head], [index], name=f"{head}/ArgMax", axis=-1, keepdims=0)]
    gather, strings = _texts_of(head, classes, index)
    return [*nodes, gather], [strings, *constants]


def letter_nodes(head: str, classes: Sequence[str], mask: str | None = None) -> tuple[list[Any], list[Any]]:
    """Return the nodes that compute ``<head>_label`` of a CTC head (see :func:`predicted_letters`), and their constants.

    Args:
        mask: the name of the head's mask.
    """
    import onnx
    from onnx import helper, numpy_helper

    constants: list[Any] = []
    nodes: list[Any] = []

    def constant(name: str, values: Any) -> str:
        constants.append(numpy_helper.from_array(np.array(values, np.int64), f"{head}/{name}"))
        return str(constants[-1].name)

    def emit(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        name = f"{head}/{output}"
        nodes.append(helper.make_node(kind, inputs, [name], name=f"{name}/{kind}", **attributes))
        return name

    best = emit("ArgMax", [head], "best", axis=-1, keepdims=0)
    # All steps but the last one move one step on, behind a class that does not exist.
    before = emit("Pad", [best, constant("shift", [0, 1, 0, -1]), constant("no_class", -1)], "before")
    begins = emit("Not", [emit("Equal", [best, before], "repeated")], "begins")
    if mask is not None:
        kept = emit("Cast", [mask], "kept", to=onnx.TensorProto.INT64)
        left = emit("CumSum", [kept, constant("time_axis", 1)], "left", reverse=1)
        inside = emit("Greater", [left, constant("zero", 0)], "inside")
        begins = emit("And", [begins, inside], "begins_inside")
    index = emit("Mul", [best, emit("Cast", [begins], "factor", to=onnx.TensorProto.INT64)], "index")
    gather, strings = _texts_of(head, label_texts(classes, letters=True), index)
    return [*nodes, gather], [strings, *constants]


def _texts_of(head: str, texts: Sequence[str], index: str) -> tuple[Any, Any]:
    """Return the node that looks up ``<head>_label``, and its constant."""
    import onnx
    from onnx import helper

    encoded = [text.encode() for text in texts]
    strings = helper.make_tensor(f"{head}/labels", onnx.TensorProto.STRING, [len(encoded)], encoded)
    return helper.make_node("Gather", [strings.name, index], [head + LABEL], name=f"{head}/Gather"), strings
