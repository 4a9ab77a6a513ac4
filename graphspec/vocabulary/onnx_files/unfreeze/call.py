"""A node of a file on its way into the graph: its inputs, its attributes, and the operator of its name.

Batch sizes may be fixed in a file. A file that was saved for one row, or a fixed number, has that number in its reshapes and
states. A reshape that keeps each row's elements together does the same to every row, so its number of rows may be any.
Everything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.graph.ir.dims import Dim, has_rows, mul, product
from graphspec.graph.ir.graph import Value
from graphspec.graph.kernels.context import need
from graphspec.graph.onnx_session import sanitized
from graphspec.graph.ops import OPS
from graphspec.graph.ops.base import declared_attributes
from graphspec.vocabulary.onnx_files.unfreeze.tensors import Constant, kind_of, our_dtype, refuse

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.vocabulary.onnx_files.unfreeze.rewrites import Flattened
    from graphspec.vocabulary.onnx_files.unfreeze.tensors import Weights


def label(node: Any) -> str:
    """Return a node of the file as text for a message: ``'/conv1/Conv' (Conv)``."""
    return f"'{name_of(node)}' ({operator_of(node)})"


def name_of(node: Any) -> str:
    """Return the name of a node, or of its first output."""
    return sanitized(node.name or next((o for o in node.output if o), ""), 120)


def operator_of(node: Any) -> str:
    """Return the operator of a node with its domain, if it is not ONNX's own."""
    return sanitized(f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type)


def part_of(node: Any) -> str:
    """Return the part of graph names that stands for a node of the file."""
    name = node.name or next((o for o in node.output if o), "") or node.op_type
    return re.sub(r"[^\w.-]+", "_", name).strip("_")[-100:] or "node"


def batch_size(model_inputs: Mapping[str, Any], inputs: Mapping[str, Value]) -> int | None:
    """Return the number of rows that the inputs of a file, by name, fix for a batch; None if they leave it open."""
    for name, X in inputs.items():
        dims = model_inputs[name].type.tensor_type.shape.dim
        if "N" in X.shape and len(dims) == X.rank and (size := dims[X.shape.index("N")].dim_value) > 0:
            return int(size)
    return None


def as_declared(g: Builder, info: Any, X: Value) -> Value:
    """Return an input in our dtype for that of the file."""
    from onnx import helper

    kind = info.type.tensor_type.elem_type
    dtype = our_dtype(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name) if kind else X.dtype
    return X if X.dtype == dtype else g.Cast(X, to=dtype)


def reshape_sizes(shape: Sequence[Dim], sizes: Sequence[int], batch: int) -> list[int]:
    """Return the sizes of a Reshape with 0, a copy, or -1 in place of the fixed ``batch`` or a multiple of it.

    Shapes: rows are in an axis of ``shape``, whose size is N or a multiple. A size is the batch's if the sizes in front of
    it are those of ``shape``, or have their product: then each row keeps its elements. The other sizes fix N.

    >>> reshape_sizes(("N", 8, 4), [1, 32], 1), reshape_sizes((8, "N", 4), [8, 1, 2, 2], 1)
    ([0, 32], [8, 0, 2, 2])
    >>> reshape_sizes((5, "N", 8), [5, 2, 4], 1), reshape_sizes(("N*2", 5, 4), [1, 2, 5, 4], 1)  # the heads of attention
    ([5, -1, 4], [-1, 2, 5, 4])
    >>> reshape_sizes((5, "N", 2, 4), [5, 8], 1)  # the rows of a matrix are steps and rows
    [-1, 8]
    >>> reshape_sizes(("N", 8, 4), [8, 1, 4], 1)  # is refused later: it mixes the rows
    [8, 1, 4]
    """
    at = next((k for k, d in enumerate(shape) if has_rows((d,))), None)
    if at is None:
        return list(sizes)
    if shape[at] == "N" and at < len(sizes) and sizes[at] == batch:
        front = all(d in (0, e) for d, e in zip(sizes[:at], shape[:at], strict=True))
        rest, own = sizes[at + 1 :], product(tuple(shape[at + 1 :]))
        copied = len(shape) - at - 1 >= len(rest) or 0 not in rest[len(shape) - at - 1 :]
        fits = copied and (
            -1 in rest or product(tuple(shape[at + 1 + k] if d == 0 else d for k, d in enumerate(rest))) == own
        )
        if front and fits:
            return [*sizes[:at], 0, *rest]
    if min(sizes, default=0) < 1:
        return list(sizes)
    before = product(tuple(shape[:at]))
    if at and len(sizes) == 2 and mul(before, batch) == sizes[0]:
        return [-1, sizes[1]]
    places = [k for k, d in enumerate(sizes) if product(tuple(sizes[:k])) == before and d % batch == 0]
    places = [k for k in places if sizes[k] == batch] if batch in sizes else places
    return [-1 if k in places[:1] else d for k, d in enumerate(sizes)]


def is_shape(shape: Sequence[Dim], sizes: Sequence[int], batch: int | None) -> bool:
    """Return whether ``sizes`` are ``shape``, with the fixed ``batch`` for N, and perhaps one -1."""
    pairs = list(zip(sizes, shape, strict=False))
    return len(shape) == len(sizes) and all(d in (e, -1) or (e == "N" and d == batch) for d, e in pairs)


def for_all_rows(g: Builder, X: Value, like: Value, axis: int, *, fixed: bool = False) -> Value:
    """Return X with the rows of ``like`` on ``axis`` if its one row depends on no input, or is ``fixed`` in the file."""
    rows = like.shape[axis]
    if not (fixed or _constant(X)) or X.shape[axis] != 1 or rows == 1:
        return X
    size = g.size(like, axis)
    return g.Expand(X, g.ints([size if a == axis else 1 for a in range(X.rank)]))


def _constant(X: Value) -> bool:
    """Return whether a value depends on sizes and constants alone, and has no rows."""
    stack, seen = [X], set[str]()
    while stack:
        v = stack.pop()
        if v.kind in ("input", "target"):
            return False
        if v.name not in seen and v.node is not None and v.node.op not in ("Shape", "Size"):
            stack.extend(u for u in v.node.inputs if u is not None)
        seen.add(v.name)
    return True


Known = Constant | Value | None  # what stands for a tensor of the file; None if no node that can be lowered computes it
Found = Sequence[Known]


@dataclass
class Call:
    """A node of the file with what stands for its inputs."""

    g: Builder
    node: Any
    given: list[Known]
    weights: Weights
    slots: frozenset[int]  # the inputs that are weights if they are constant
    opset: int
    batch: int | None  # the number of rows that the file fixes for a batch; None if it leaves it open
    batch_statistics: bool
    flattened: Flattened

    def known(self, k: int) -> Known:
        """Return what stands for an input; None if it is absent."""
        return self.given[k] if k < len(self.given) else None

    def value(self, k: int) -> Value | None:
        """Return an input as a value of the graph; None if it is absent."""
        known = self.known(k)
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
        if isinstance(known := self.known(k), Value):
            raise refuse(f"computes its {what}, which must be constant")
        return known

    def attributes(self) -> dict[str, Any]:
        """Return the attributes by name, in our form."""
        from onnx import helper

        def ours(name: str, value: Any) -> Any:
            if isinstance(value, list | tuple):
                return tuple(ours("", v) for v in value)
            if name in ("to", "dtype"):
                return our_dtype(np.dtype(helper.tensor_dtype_to_np_dtype(value)).name)
            return value.decode(errors="replace") if isinstance(value, bytes) else value

        return {a.name: ours(a.name, helper.get_attribute_value(a)) for a in self.node.attribute}

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


# Attributes that our operators lack, and their values, besides ONNX's default, that say what ours do. The storage order
# is that of the indices, which are refused.
_NEUTRAL: dict[str, tuple[Any, ...]] = {"storage_order": (0, 1), "spatial": (1,)}


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
    outputs = call.g.emit(op, call.values() if inputs is None else list(inputs), attributes)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    if more := [k for k in range(len(outputs), len(call.node.output)) if call.used(k)]:
        raise refuse(f"has output {more[0]}, which is not available in training")
    return outputs


def _default(op: str, attribute: str) -> Any:
    """Return ONNX's default of an attribute; None if it has none."""
    from onnx import defs, helper

    declared = defs.get_schema(op).attributes.get(attribute) if defs.has(op) else None
    if declared is None or not declared.default_value.name:
        return None
    value = helper.get_attribute_value(declared.default_value)
    return value.decode() if isinstance(value, bytes) else value
