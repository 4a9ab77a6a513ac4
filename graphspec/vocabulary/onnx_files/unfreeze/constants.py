"""Constant tensors of an ONNX file: read when they are needed, folded by ONNX's reference implementation.

The error of unfreezing, which names the node of the file, is here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.graph import STRING, Array
from graphspec.graph.ops import OPS, Op

if TYPE_CHECKING:
    import onnx

_FLOATS = frozenset(["float16", "float32", "float64", "bfloat16"])
_LARGEST = 1 << 26  # elements of a tensor that is computed while the file is read


FROZEN = "leave `trainable` out: the frozen file runs as it is"


def refuse(text: str, hint: str = FROZEN, *, key: str | None = "trainable") -> ShapeError:
    """Return the error for what cannot be unfrozen; ``text`` is a predicate of the layer."""
    return ShapeError(Code.UNSUPPORTED_FILE, text, hint, key=key)


@dataclass(eq=False)
class Constant:
    """A tensor of the file that depends on no input."""

    name: str  # its name in the file
    dtype: str  # ours: every float is float32
    shape: tuple[int, ...]
    read: Callable[[], Array] = field(repr=False)  # returns the array
    source: Constant | None = field(default=None, repr=False)  # what it is a part of, or in another shape or order
    again: Callable[[Any], Any] | None = field(default=None, repr=False)  # emits that change, of the source's value
    readers: int = 1  # how many nodes read it
    stored: bool = False  # an initializer, or the output of a node Constant: what a file calls its weights
    trains: bool = False  # whether a pattern of the spec has chosen it

    @cached_property
    def array(self) -> Array:
        """The elements, with floats as float32."""
        return as_ours(self.read())

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether the elements are float32."""
        return self.dtype == "float32"

    def root(self) -> Constant:
        """Return the stored tensor that this one is made of; itself if there is none."""
        tensor = self
        while tensor.source is not None:
            tensor = tensor.source
        return tensor

    def ints(self) -> list[int]:
        """Return the elements as integers."""
        return [int(x) for x in self.array.reshape(-1)]

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Array:
        """Return the initial values of the weight that this tensor becomes: an initializer."""
        return np.array(self.array.reshape(shape), np.float32)


def our_dtype(name: str) -> str:
    """Return our dtype of one of NumPy: all floats are float32, texts are ``string``."""
    if name in _FLOATS:
        return "float32"
    return STRING if name in ("object", "str") or name.startswith(("<U", "str")) else name


def as_ours(array: Any) -> Array:
    """Return an array with floats as float32."""
    ours: Array = np.asarray(array)
    return ours.astype(np.float32) if our_dtype(ours.dtype.name) == "float32" else ours


def of_array(name: str, array: Any, **more: Any) -> Constant:
    """Return the constant of an array."""
    ours = as_ours(array)
    return Constant(name, our_dtype(ours.dtype.name), ours.shape, lambda: ours, **more)


def of_tensor(name: str, tensor: onnx.TensorProto, **more: Any) -> Constant:
    """Return the constant of a tensor of the file, which is decoded when its elements are needed."""
    from onnx import helper, numpy_helper

    dtype = our_dtype(np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).name)
    return Constant(name, dtype, tuple(tensor.dims), lambda: np.asarray(numpy_helper.to_array(tensor)), **more)


KINDS = {"InstanceNormalization": "GroupNormalization", "ConstantOfShape": "Expand"}
"""Our operators in place of operators of a file that we lack."""


def kind_of(op: str) -> type[Op]:
    """Return our operator for the name of one in a file, to ask it for its facts; one without any if there is none."""
    return OPS.get(KINDS.get(op, op), Op)


def fold(
    op: str, inputs: Sequence[Constant | None], attributes: Sequence[Any], outputs: Sequence[str], opset: int
) -> list[Array] | None:
    """Return the outputs of a node on constants; None if they would be too large, or if the node fails."""
    if any(c is not None and (c.size > _LARGEST or c.dtype == STRING) for c in inputs) or _size(op, inputs) > _LARGEST:
        return None
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names = ["" if c is None else f"x{k}" for k, c in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{k}" for k in range(len(outputs))])
    node.attribute.extend(attributes)
    feed = {name: c.array for name, c in zip(names, inputs, strict=True) if c is not None}
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feed.items()
    ]
    graph = helper.make_graph([node], "folded", infos, [helper.make_empty_tensor_value_info(n) for n in node.output])
    try:
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        with np.errstate(all="ignore"):
            return [np.asarray(y) for y in ReferenceEvaluator(model).run(None, feed)]
    except Exception:  # whatever is wrong with the node, our operator says it with the node's name
        return None


def _size(op: str, inputs: Sequence[Constant | None]) -> int:
    """Return about how many elements a node would compute."""
    given = [c for c in inputs if c is not None]
    if op == "ConstantOfShape":
        return math.prod(given[0].ints())
    if op == "Range" and len(given) == 3:
        start, limit, delta = (float(c.array.reshape(-1)[0]) for c in given)
        return int(abs(limit - start) / max(abs(delta), 1e-9)) if math.isfinite(limit - start) else _LARGEST + 1
    if op in ("Expand", "Tile") and len(given) == 2:
        return max(given[0].size, 1) * max(math.prod(given[1].ints()), 1)
    if op == "Gather" and len(given) == 2:
        return max(given[0].size, 1) * max(given[1].size, 1)
    try:
        return math.prod(np.broadcast_shapes(*(c.shape for c in given))) if kind_of(op).elementwise else 0
    except ValueError:
        return 0
