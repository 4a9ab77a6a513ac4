"""The fields of a row, as its readers know them: columns of a record, features of an array, whole pictures and texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.graph.ir.graph import MISSING_INTEGER

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array
    from graphspec.language.declarations import InputDecl, Spec

MAX_FEATURES = 100
"""Features of an array that are fields of their own; one with more is one field."""
_FEWEST_PIXELS = 16


@dataclass(frozen=True)
class Field:
    """A field of a row.

    Attributes:
        name: its column in the data, else its input, with the place of a feature that has no name: ``x[3]``.
        input: the input of the network that reads it.
        place: for a feature of an array, its place on the last axis; None for a whole input.
        absent: texts that mean missing; the empty text does, too.
    """

    name: str
    input: str
    place: int | None = None
    absent: frozenset[str] = frozenset()

    def of(self, inputs: Mapping[str, Any]) -> Array:
        """Return the values of this field among those of all inputs, with or without a batch axis."""
        array = inputs[self.input]
        if isinstance(array, Strings):
            array = array[:]
        return np.asarray(array if self.place is None else array[..., self.place])

    def missing(self, values: Array) -> Array:
        """Return the mask of missing values: NaN, empty texts and those that mean missing, and missing integers."""
        if values.dtype == object:
            absent = self.absent | {""}
            mask = np.fromiter((v in absent for v in values.reshape(-1)), bool, values.size)
            return mask.reshape(values.shape)
        if values.dtype.kind == "f":
            return np.isnan(values)
        if values.dtype == np.int64:
            return np.asarray(values == MISSING_INTEGER)
        return np.zeros(values.shape, bool)


def fields(spec: Spec) -> list[Field]:
    """Return the fields of a row, in the order of the inputs."""
    absent = _absent(spec)
    return [field for declared in spec.inputs.values() for field in _of(declared, spec, absent)]


def _of(declared: InputDecl, spec: Spec, absent: Mapping[str, frozenset[str]]) -> list[Field]:
    name, shape = declared.name, declared.shape
    columns = next((c for s in spec.data.values() if (c := (s.inputs or {}).get(name)) is not None), None)
    tokens = absent.get(name, frozenset())
    title = columns if isinstance(columns, str) else declared.column or name
    width = shape[-1] if shape else 1
    if declared.dtype == "string" or not isinstance(width, int) or not 1 < width <= MAX_FEATURES or len(shape) > 2:
        return [Field(title, name, None, tokens)]
    if isinstance(columns, list) and len(columns) == width:
        return [Field(column, name, k, tokens) for k, column in enumerate(columns)]
    if declared.dtype != "float32" or as_wide_as_pictures(shape):
        return [Field(title, name, None, tokens)]
    return [Field(f"{title}[{k}]", name, k, tokens) for k in range(width)]


def as_wide_as_pictures(shape: tuple[int | str, ...]) -> bool:
    """Return whether rows of this shape may be pictures without an axis of channels: no axis is as short as features are."""
    return len(shape) == 2 and all(isinstance(n, int) and n >= _FEWEST_PIXELS for n in shape)


def _absent(spec: Spec) -> dict[str, frozenset[str]]:
    """Return the texts that mean missing, by the input that a lookup layer reads directly."""
    found: dict[str, frozenset[str]] = {}
    for node in spec.nodes:
        tokens = getattr(node.layer, "missing_tokens", None) or ()
        for ref in node.inputs:
            if ref is not None and ref.name in spec.inputs and tokens:
                found[ref.name] = frozenset(map(str, tokens))
    return found
