"""The class that a head predicts: with one unit by the threshold 0.5, else the argmax; in NumPy and as ONNX nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.language.head_arrays import LABEL

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Value

_HALF = 0.5


def _has_one_unit(shape: Sequence[int | str]) -> bool:
    return shape[-1] == 1


def predicted_classes(values: Array) -> Array:
    """Return the predicted class ids, ``(N, …, units)`` → ``(N, …)``."""
    if _has_one_unit(values.shape):
        return (values[..., 0] > _HALF).astype(np.int64)
    return np.asarray(values.argmax(-1))


def with_labels(heads: Mapping[str, Array], labels: Mapping[str, Sequence[str]]) -> dict[str, Array]:
    """Return the heads and each ``<head>_label``, equal to the output of :func:`label_nodes`."""
    return dict(heads) | {
        head + LABEL: np.array(classes)[predicted_classes(heads[head])] for head, classes in labels.items()
    }


def label_nodes(head: str, value: Value, classes: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Return the nodes that compute ``<head>_label``, and their constants."""
    import onnx
    from onnx import helper, numpy_helper

    strings = helper.make_tensor(
        f"{head}/labels", onnx.TensorProto.STRING, [len(classes)], [w.encode() for w in classes]
    )
    index = f"{head}/index"
    constants = [strings]
    if _has_one_unit(value.shape):
        half = numpy_helper.from_array(np.float32(_HALF), f"{head}/half")
        last = numpy_helper.from_array(np.array([-1], np.int64), f"{head}/last")
        constants += [half, last]
        nodes = [
            helper.make_node("Greater", [head, half.name], [f"{head}/positive"], name=f"{head}/Greater"),
            helper.make_node(
                "Cast", [f"{head}/positive"], [f"{head}/id"], name=f"{head}/Cast", to=onnx.TensorProto.INT64
            ),
            helper.make_node("Squeeze", [f"{head}/id", last.name], [index], name=f"{head}/Squeeze"),
        ]
    else:
        nodes = [helper.make_node("ArgMax", [head], [index], name=f"{head}/ArgMax", axis=-1, keepdims=0)]
    gather = helper.make_node("Gather", [strings.name, index], [head + LABEL], name=f"{head}/Gather")
    return [*nodes, gather], constants
