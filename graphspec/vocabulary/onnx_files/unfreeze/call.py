"""A node of a file on its way into the graph: its inputs, its attributes, and the operator of its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.graph.ir.graph import Value
from graphspec.graph.kernels.context import need
from graphspec.graph.ops import OPS
from graphspec.graph.ops.base import declared_attributes
from graphspec.vocabulary.onnx_files.unfreeze.codes import refuse
from graphspec.vocabulary.onnx_files.unfreeze.constants import Constant, kind_of, our_dtype
from graphspec.vocabulary.onnx_files.unfreeze.naming import label

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.vocabulary.onnx_files.unfreeze.flattened import Flattened
    from graphspec.vocabulary.onnx_files.unfreeze.weights import Weights

Known = Constant | Value | None
Found = Sequence[Known]


@dataclass
class Call:
    """A node of the file with what stands for its inputs.

    Attributes:
        slots: the inputs that are weights if they are constant.
        batch: the number of rows that the file fixes for a batch; None if it leaves it open.
    """

    g: Builder
    node: Any
    given: list[Known]
    weights: Weights
    slots: frozenset[int]
    opset: int
    batch: int | None
    batch_statistics: bool
    flattened: Flattened

    def value(self, k: int) -> Value | None:
        """Return an input as a value of the graph; None if it is absent."""
        known = self.given[k] if k < len(self.given) else None
        if not isinstance(known, Constant):
            return known
        with outside(self.g):
            kind = kind_of(self.node.op_type)
            kernel = k in kind.weights_at and kind.channels == 1
            return self.weights.value(known, label(self.node), slot=k in self.slots, kernel=kernel)

    def input(self, k: int) -> Value:
        """Return an input that must be there."""
        value = self.value(k)
        need(value is not None, f"needs its input {k}", code=Code.WRONG_INPUT_COUNT)
        assert value is not None
        return value

    def values(self) -> list[Value | None]:
        """Return all inputs as values of the graph."""
        return [self.value(k) for k in range(len(self.given))]

    def constant(self, k: int, what: str) -> Constant | None:
        """Return an input that must be constant; None if it is absent."""
        known = self.given[k] if k < len(self.given) else None
        if isinstance(known, Value):
            raise refuse(f"computes its {what}, which must be constant")
        return known

    def attributes(self) -> dict[str, Any]:
        """Return the attributes by name, in our form."""
        from onnx import helper

        found: dict[str, Any] = {}
        for attribute in self.node.attribute:
            value = helper.get_attribute_value(attribute)
            if attribute.name in ("to", "dtype"):
                value = our_dtype(np.dtype(helper.tensor_dtype_to_np_dtype(value)).name)
            elif isinstance(value, bytes):
                value = value.decode(errors="replace")
            elif isinstance(value, list | tuple):
                value = tuple(v.decode(errors="replace") if isinstance(v, bytes) else v for v in value)
            found[attribute.name] = value
        return found

    def used(self, k: int) -> bool:
        """Return whether the file names the output ``k``."""
        return k < len(self.node.output) and bool(self.node.output[k])


@contextmanager
def outside(g: Builder) -> Iterator[None]:
    """Name what is created inside after the layer alone, without the node of the file."""
    before, g._prefix = g._prefix, ""
    try:
        yield
    finally:
        g._prefix = before


_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "storage_order": (0, 1),  # of the indices, which are refused
    "spatial": (1,),
}
"""Attributes that our operators lack, and their values, besides ONNX's default, that say what ours do."""


def emit(call: Call, inputs: Sequence[Value | None] | None = None, **changed: Any) -> Found:
    """Emit the operator of the node's name. Outputs beyond ours that the file reads are refused."""
    op = call.node.op_type
    attributes = call.attributes() | changed
    declared = declared_attributes(OPS[op])
    for name in [n for n in attributes if n not in declared]:
        value = attributes.pop(name)
        ones = isinstance(value, tuple) and name == "dilations" and set(value) <= {1}
        if not (ones or value in _NEUTRAL.get(name, ()) or value == _default(op, name)):
            raise refuse(f"has {name} {value!r}, which is not available in training")
    given = call.values() if inputs is None else list(inputs)
    types_known = call.g.emit(op, given, attributes)
    found = types_known if isinstance(types_known, tuple) else (types_known,)
    for k in range(len(found), len(call.node.output)):
        if call.used(k):
            raise refuse(f"has output {k}, which is not available in training")
    return found


def _default(op: str, attribute: str) -> Any:
    """Return ONNX's default of an attribute; None if it has none."""
    from onnx import defs, helper

    declared = defs.get_schema(op).attributes.get(attribute) if defs.has(op) else None
    if declared is None or not declared.default_value.name:
        return None
    value = helper.get_attribute_value(declared.default_value)
    return value.decode() if isinstance(value, bytes) else value
