"""Tensors of an ONNX file: constants, read when they are needed and folded by ONNX's reference implementation, and weights.

The error of unfreezing, which names the node of the file, is here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from graphspec.base.errors import Code, ShapeError
from graphspec.graph.ir.graph import STRING, Array, Layout, Value
from graphspec.graph.onnx_session import sanitized
from graphspec.graph.ops import OPS, Op

if TYPE_CHECKING:
    import onnx

    from graphspec.graph.builder import Builder

_FLOATS = frozenset(["float16", "float32", "float64", "bfloat16"])
_LARGEST = 1 << 26  # elements of a tensor that is computed while the file is read
FROZEN = "leave `trainable` out: the frozen file runs as it is"
refuse = partial(ShapeError, Code.UNSUPPORTED_FILE, hint=FROZEN, key="trainable")  # of a predicate of the layer


@dataclass(eq=False)
class Constant:
    """A tensor of the file that depends on no input."""

    name: str  # its name in the file
    dtype: str  # ours: every float is float32
    shape: tuple[int, ...]
    read: Callable[[], Array] = field(repr=False)  # returns the array
    source: Constant | None = field(default=None, repr=False)  # what it is a part of, or in another shape or order
    again: Callable[[Any], Any] | None = field(default=None, repr=False)  # emits that change, of the source's value
    parts: Sequence[Any] = ()  # what the node that computed it read
    emitted: Callable[[Sequence[Any]], Any] | None = field(default=None, repr=False)  # emits that node for other parts
    leaves: frozenset[Constant] = frozenset()  # the stored tensors of which it is a product or a sum
    readers: int = 1  # how many nodes read it
    stored: bool = False  # an initializer, or the output of a node Constant: what a file calls its weights
    trains: bool = False  # whether a pattern of the spec has chosen it

    @cached_property
    def array(self) -> Array:
        """The elements, with floats as float32."""
        return as_ours(self.read())

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype == "float32"

    def root(self) -> Constant:
        """Return the stored tensor that this one is made of; itself if there is none."""
        tensor = self
        while tensor.source is not None:
            tensor = tensor.source
        return tensor

    def ints(self) -> list[int]:
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
    kind_of = helper.np_dtype_to_tensor_dtype
    infos = [helper.make_tensor_value_info(n, kind_of(a.dtype), a.shape) for n, a in feed.items()]
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


# Which tensors become weights, and their values in the graph.
_GENERATED = re.compile(r"val_\d+|(.*/)?Constant(_\d+)?_output_0|const_fold_opt__\d+|\d+")
"""Names that exporters give to constants of their own, in place of the name of a weight."""
_ROOTS = frozenset(["Sqrt", "Reciprocal"])  # in a normalization by parts: ``scale · 1 / sqrt(var + epsilon)``


@dataclass(frozen=True)
class Weight:
    """A row of the table of what trains."""

    name: str  # the tensor's name in the file
    role: str  # the weight's name behind ``<node>/``; empty for a constant
    shape: tuple[int, ...]
    reader: str  # the node that reads it first, with its operator

    @property
    def trains(self) -> bool:
        return bool(self.role)


@dataclass(frozen=True)
class Kernel:
    """The initial values of a convolution's kernel, in Keras's layout: (O, I, k…) in the file → (k…, I, O)."""

    tensor: Constant

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Array:
        return np.array(self.tensor.array.transpose([*range(2, len(shape)), 1, 0]), np.float32, order="C")


@dataclass
class Weights:
    """Gives constants a value in the graph: a weight, or a constant."""

    g: Builder
    patterns: Sequence[str] | None = None  # names that train, with ``*`` and ``?``; None: all in the places of weights
    made: dict[Constant, tuple[Weight, Value]] = field(default_factory=dict)
    constants: dict[Constant, tuple[Weight, Value]] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)  # the axis of the channels of values that have one, by name

    def chosen(self, name: str) -> bool:
        """Return whether a pattern of the spec names this tensor."""
        return any(fnmatchcase(name, p) for p in self.patterns or ())

    def value(self, tensor: Constant, reader: str, *, slot: bool, kernel: bool = False) -> Value:
        """Return the value of a constant, perhaps the ``kernel`` of a convolution; a weight if it is in a ``slot``."""
        if tensor.trains or (slot and self.patterns is None and tensor.is_float and tensor.size > 0):
            return self.weight(tensor, reader, kernel=kernel)
        if tensor not in self.constants:
            value = self.g.constant(tensor.array, tensor.dtype)
            self.constants[tensor] = Weight(tensor.name, "", tensor.shape, reader), value
        return self.constants[tensor][1]

    def weight(self, tensor: Constant, reader: str, *, kernel: bool = False) -> Value:
        """Return the weight of a tensor. What several nodes read in other shapes is one weight.

        Kernels of convolutions are stored in Keras's layout, which is the order of their matrices.
        """
        if tensor in self.made:
            return self.made[tensor][1]
        root = tensor.root()
        if tensor.leaves:
            found: Value = self._computed(tensor, tensor.leaves, reader)
            self.made[tensor] = Weight(tensor.name, "", tensor.shape, reader), found
            return found
        more = root.readers > 1 or root.trains or root.size != tensor.size or root.leaves
        shared = root is not tensor and more
        if shared and tensor.source is not None and tensor.again is not None:
            value: Value = tensor.again(self.weight(tensor.source, reader))
            self.made[tensor] = self.made[tensor.source][0], value
            return value
        name = root.name if root is not tensor and root.size == tensor.size else tensor.name
        role = self._role(name)
        if kernel and len(tensor.shape) > 2:
            outputs, inputs, *taps = tensor.shape
            layout = Layout(perm=(len(taps) + 1, len(taps), *range(len(taps))))
            value = self.g.param(role, (*taps, inputs, outputs), Kernel(tensor), layout=layout)
        else:
            value = self.g.param(role, tensor.shape, tensor)
        self.made[tensor] = Weight(name, role, tensor.shape, reader), value
        return value

    def _computed(self, tensor: Any, leaves: Collection[Constant], reader: str) -> Any:
        """Return the value of a tensor that is computed from ``leaves``, which train; any other as it is."""
        if not isinstance(tensor, Constant):
            return tensor
        if tensor.root() in leaves:
            return self.weight(tensor, reader)
        parts = [self._computed(part, leaves, reader) for part in tensor.parts]
        changed = any(a is not b for a, b in zip(parts, tensor.parts, strict=True))
        return tensor.emitted(parts) if changed and tensor.emitted else tensor

    def state(self, tensor: Constant, reader: str) -> Value:
        """Return a moving statistic, which training updates."""
        if tensor not in self.made:
            role = self._role(tensor.name)
            value = self.g.param(role, tensor.shape, tensor, state=True)
            self.made[tensor] = Weight(tensor.name, role, tensor.shape, reader), value
        return self.made[tensor][1]

    def _role(self, name: str) -> str:
        base = re.sub(r"[^\w.-]+", "_", name).strip("_")[-200:] or "weight"
        taken = {w.role for w, _ in self.made.values()}
        return next(r for k in range(1, len(taken) + 2) if (r := base if k == 1 else f"{base}_{k}") not in taken)

    def slots(self, op: str, inputs: Sequence[Constant | Value | None]) -> Collection[int]:
        """Return the inputs of a node that are the places of weights."""
        kind = kind_of(op)
        if places := kind.weights_at + kind.vectors_at:
            given = [inputs[k] for k in places if k < len(inputs)]
            normalization = kind.channels is not None and not kind.weights_at
            if len(kind.weights_at) > 1 and all(isinstance(v, Constant) for v in inputs):
                return [
                    k for k, v in enumerate(inputs) if k in places and not generated(v)
                ]  # such as the product of a state of zeros
            return () if normalization and _without_effect(given) else places
        if not _scales_or_shifts(kind) or len(inputs) != 2:
            return ()
        for k, tensor in enumerate(inputs):
            other = inputs[1 - k]
            if isinstance(tensor, Constant) and isinstance(other, Value):
                # A product of one channel has a bias of one number; elsewhere a number is none.
                single = kind.neutral == 0 and other.node is not None and kind_of(other.node.op).weights_at != ()
                if self._per_channel(tensor, other, 0 if single and not generated(tensor) else 1):
                    return (k,)
        return ()

    def _per_channel(self, tensor: Constant, X: Value, above: int) -> bool:
        """Return whether a stored tensor has one number for each of more than ``above`` channels of X: a bias or a scale."""
        if not (tensor.root().stored and tensor.is_float) or len(tensor.shape) > X.rank:
            return False
        shape = (1,) * (X.rank - len(tensor.shape)) + tensor.shape
        axis = self.channels.get(X.name, _longest(shape) if X.node is not None and X.node.op in _ROOTS else None)
        return axis is not None and above < shape[axis] == tensor.size and X.shape[axis] in (1, shape[axis])

    def follow(self, op: str, inputs: Sequence[Value | Constant | None], slots: Collection[int], Y: Value) -> None:
        """Note where the channels of a node's output are."""
        place = None
        known = [(v, self.channels[v.name]) for v in inputs if isinstance(v, Value) and v.name in self.channels]
        scale = next((v for k in slots if k < len(inputs) and isinstance(v := inputs[k], Constant)), None)
        kind = kind_of(op)
        if kind.channels is not None:
            place = kind.channels + (Y.rank if kind.channels < 0 else 0)
        elif _scales_or_shifts(kind) and scale is not None:
            place = Y.rank - len(scale.shape) + _longest(scale.shape)
        elif kind.keeps_channels or kind.elementwise:
            place = next((axis for v, axis in known if v.rank == Y.rank), None)
        elif known and Y.node is not None:
            place = _moved(Y, *known[0])
        if place is not None:
            self.channels[Y.name] = place

    def table(self) -> list[Weight]:
        """Return what trains, then the constants that could have, in the order of the file."""
        trained = list(dict.fromkeys(w for w, _ in self.made.values() if w.trains))
        kept = [w for c, (w, _) in self.constants.items() if c.root().stored and c.is_float and c.size > 1]
        return trained + kept

    def check_patterns(self, names: Collection[str]) -> None:
        """Raise :class:`ShapeError` for a pattern that names no tensor of the file."""
        for pattern in self.patterns or ():
            if not any(fnmatchcase(name, pattern) for name in names):
                shown = ", ".join(f"'{sanitized(n)}'" for n in sorted(names)[:4]) + (", …" if len(names) > 4 else "")
                text = f"has a pattern '{sanitized(pattern)}' in `trainable`, but its file has no weight of that name"
                raise refuse(text, hint=f"its weights are {shown}; `trainable: true` trains all of them")


def generated(tensor: Any) -> TypeGuard[Constant]:
    """Return whether a tensor is a constant that an exporter made."""
    return isinstance(tensor, Constant) and _GENERATED.fullmatch(tensor.root().name) is not None


def leaves_of(op: str, given: Sequence[Constant | Value | None]) -> frozenset[Constant]:
    """Return the stored tensors of which a constant is a product or a sum: they train in its place.

    What reaches it through another function alone, such as a variance through a root, does not.
    """
    found = [c for c in given if isinstance(c, Constant) and kind_of(op).neutral is not None]
    stored = {c.root() for c in found if c.root().stored and c.is_float and c.shape and not generated(c)}
    return frozenset(stored.union(*(c.root().leaves for c in found)))


def _scales_or_shifts(kind: type[Op]) -> bool:
    """Return whether it is a product or a sum, which has a scale or a bias for each channel."""
    return kind.commutes and kind.neutral is not None


def _without_effect(given: Sequence[Constant | Value | None]) -> bool:
    """Return whether an exporter made a normalization's scale, of ones, and bias, of zeros: its layer has none."""
    pairs = zip(given, (1, 0), strict=False)
    return all(v is None or (generated(v) and np.all(v.array == neutral)) for v, neutral in pairs)


def _longest(shape: Sequence[int]) -> int:
    return max(range(len(shape)), key=lambda k: shape[k]) if shape else 0


def _moved(Y: Value, X: Value, axis: int) -> int | None:
    """Return where an operator that moves axes, or reduces others, leaves the channels of X; None if it is unknown."""
    node = Y.node
    assert node is not None
    if node.op == "Transpose":
        return list(node.attrs.get("perm") or range(X.rank)[::-1]).index(axis)
    if node.op.startswith("Reduce") or node.op in ("Squeeze", "Reshape", "Unsqueeze"):
        if axis == X.rank - 1 and Y.rank and Y.shape[-1] == X.shape[-1]:
            return Y.rank - 1
        if node.op != "Reshape" and Y.rank and X.shape[axis] == 1 and X.rank == Y.rank + 1:
            return Y.rank - 1  # the only output of a product
        if axis >= Y.rank or Y.shape[:axis] != X.shape[:axis]:
            return None
        a, b = X.shape[axis], Y.shape[axis]  # channels that were in groups
        return axis if a == b or (isinstance(a, int) and isinstance(b, int) and a > 0 and b % a == 0) else None
    return None
