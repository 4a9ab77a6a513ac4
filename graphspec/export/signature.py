"""What an app needs to know of a file: its inputs, what stands for a missing value, its outputs, and an example."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.export.labels import label_texts
from graphspec.graph.ir.graph import MISSING_INTEGER, STRING, Array, Value
from graphspec.language.declarations import LABEL

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.language.declarations import HeadDecl

KEY = "graphspec.signature"
"""The key of the signature in the metadata of a file."""
FORMAT = 1
_MAX_NUMBERS = 1 << 14  # elements of an example: a larger one is left out


def signature(model: Session, example: tuple[Mapping[str, Array], Mapping[str, Array]]) -> dict[str, Any]:
    """Return the signature of an exported model as JSON.

    Args:
        example: one row of every input, and the file's outputs for it.
    """
    outputs = []
    for name, value in model.whole.outputs.items():
        outputs.append(_output(name, value, model.spec.heads[name]))
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
    missing: Any = None
    if value.type.is_string:
        missing = ""
    elif name in model.needed_inputs.gaps:
        missing = "NaN" if value.type.is_float else MISSING_INTEGER
    record = {"name": name, "dtype": value.dtype, "shape": list(value.shape), "column": column, "missing": missing}
    return record | _described(model.spec.inputs[name].description)


def _described(description: str) -> dict[str, str]:
    return {"description": description} if description else {}


def _output(name: str, value: Value, head: HeadDecl) -> dict[str, Any]:
    record: dict[str, Any] = {"name": name, "dtype": value.dtype, "shape": list(value.shape)}
    if head.statistics is not None:  # its values are in the target's own unit
        record["target"] = dict(zip(("mean", "deviation"), head.statistics, strict=True))
    return record | _described(head.description)


def _example(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, Any] | None:
    """Return the arrays as nested lists, with null for a missing value; None for a row that is too large to be stored."""
    if not inputs or sum(a.size for a in [*inputs.values(), *outputs.values()]) > _MAX_NUMBERS:
        return None
    return {
        "inputs": {name: _plain(array) for name, array in inputs.items()},
        "outputs": {name: _plain(array) for name, array in outputs.items()},
    }


def _plain(array: Array) -> Any:
    """Return an array as nested lists; a float has the digits of float32."""
    return _listed(array.astype(np.float32).tolist() if array.dtype.kind == "f" else array.tolist())


def _listed(value: Any) -> Any:
    if isinstance(value, list):
        return [_listed(element) for element in value]
    if isinstance(value, float):
        return float(str(np.float32(value))) if math.isfinite(value) else None
    return None if value == MISSING_INTEGER else value
