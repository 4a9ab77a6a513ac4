"""The intermediate representation: values, operator nodes and the graph. Operators are ONNX operators."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from graphspec.arrays.layout import Array as Array  # passed on: whoever works on a graph has arrays too
from graphspec.codes import Code
from graphspec.errors import ShapeError
from graphspec.ir.dims import Dim, Shape, fixed_size, free, show

if TYPE_CHECKING:
    from graphspec.ir.ranges import Range


@dataclass(frozen=True, slots=True)
class Type:
    """Element type (``float32``, ``int64``, ``bool``, …) and shape; the batch axis is ``"N"``.

    Every floating tensor is ``float32`` here; a program may be bound in float64 for gradient checks.
    """

    dtype: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.dtype}{show(self.shape)}"

    @property
    def is_float(self) -> bool:
        return self.dtype == "float32"

    @property
    def nbytes(self) -> int:
        """The bytes of a tensor whose dimensions are all integers."""
        return fixed_size(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(eq=False, slots=True)
class Value:
    """A tensor of the graph: an input, a target, a parameter, a constant or an operator's output.

    ``data`` is a constant's array; ``dims`` is what a small integer vector holds where that is known symbolically
    (the output of Shape and what is computed from it). ``range`` is what a layer says that its integers take up, from the
    smallest to the largest, where that is less than the dtype has. ``mask`` is a bool value, or None if nothing is masked.
    Two values with the same name are the same tensor (they may differ in ``mask``).
    """

    name: str
    type: Type
    kind: Literal["input", "target", "param", "constant", "op"] = "op"
    node: Node | None = field(default=None, repr=False)
    index: int = 0
    data: Array | None = None
    dims: tuple[Dim, ...] | None = None
    param: Param | None = None
    mask: Value | None = None
    range: Range | None = None

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    @property
    def features(self) -> int:
        """The size of the last axis, which must be fixed (GS305)."""
        return self.fixed(-1)

    def fixed(self, axis: int) -> int:
        """The size of ``axis``, which must be an integer (GS305) and exist (GS301)."""
        if not -self.rank <= axis < self.rank:
            raise ShapeError(Code.WRONG_RANK, f"needs an axis {axis}, but its input has shape {show(self.shape)}")
        d = self.shape[axis]
        if not isinstance(d, int):
            raise ShapeError(
                Code.SIZE_NOT_FIXED,
                f"needs a fixed size on axis {axis}, but its input {show(self.shape)} varies there ('{d}')",
                hint=f"give {free(d)} a number in `inputs`, or reduce that axis first, such as by global pooling",
            )
        return d

    def with_mask(self, mask: Value | None) -> Value:
        """The same tensor with another mask."""
        known = self.data, self.dims, self.param
        return Value(self.name, self.type, self.kind, self.node, self.index, *known, mask, self.range)

    def known(self) -> tuple[Dim, ...] | None:
        """What an integer vector holds: the data of a constant or the symbolic ``dims``; None if unknown."""
        if self.data is not None:
            return tuple(int(x) for x in self.data.reshape(-1))
        return self.dims


@dataclass(eq=False, slots=True)
class Node:
    """One operator applied to values. ``owner`` is the spec node that it was lowered from."""

    name: str
    op: str
    inputs: tuple[Value | None, ...]
    attrs: dict[str, Any]
    owner: str
    outputs: tuple[Value, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a parameter lies in the graph (ONNX's layout), seen from Keras's.

    The last axis is cut into ``len(gates)`` equal blocks that are put in that order, then axes are permuted by ``perm``,
    then the result is reshaped to ``shape``. Empty means unchanged. Regularizers and optimizers that work elementwise
    need not know; whatever leaves the program (weights, checkpoints, initial values) is in Keras's layout.
    """

    gates: tuple[int, ...] = ()
    perm: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()

    def pack(self, logical: Array) -> Array:
        """Keras's layout → the graph's (a new array or a view)."""
        x = self.ordered(logical)
        if self.perm:
            x = x.transpose(self.perm)
        return x.reshape(self.shape) if self.shape else x

    def axes(self, stored: Array, logical_shape: tuple[int, ...]) -> Array:
        """A view of ``stored`` with Keras's axes; blocks of the last axis stay in the graph's order.

        Norms, means and products of matrices are those of Keras's layout, since they follow the blocks.
        """
        x = stored
        if self.shape:
            x = x.reshape([logical_shape[p] for p in self.perm] if self.perm else logical_shape)
        if self.perm:
            x = x.transpose(np.argsort(self.perm))
        return x

    def unpack(self, stored: Array, logical_shape: tuple[int, ...]) -> Array:
        """The graph's layout → Keras's (a new array or a view)."""
        return self.ordered(self.axes(stored, logical_shape), np.argsort(self.gates))

    def ordered(self, x: Array, gates: Iterable[int] | None = None) -> Array:
        """The blocks of the last axis in the order of ``gates``, by default from Keras's to the graph's."""
        if not self.gates:
            return x
        blocks = np.split(x, len(self.gates), axis=-1)
        return np.concatenate([blocks[i] for i in (self.gates if gates is None else gates)], axis=-1)

    def packed_shape(self, logical_shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.shape:
            return self.shape
        return tuple(logical_shape[p] for p in self.perm) if self.perm else logical_shape


class Initializer(Protocol):
    """Draws the first values of a weight."""

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator, /) -> Array: ...


class Lowers(Protocol):
    """A function of a tensor that emits operators: an activation, or a penalty, which is a scalar."""

    def lower(self, g: Any, X: Value, /) -> Value: ...


class Constraint(Protocol):
    """Calls that put a weight back in place after every step; ``T`` is scratch of its shape."""

    def bind(self, W: Array, T: Array, /) -> list[tuple[Any, ...]]: ...


@dataclass(eq=False, slots=True)
class Param:
    """A weight or a statistic: ``<node>/<role>``, its shape in Keras's layout, and how it starts.

    ``state`` parameters (moving statistics) are updated by the forward pass in training, never by an optimizer.
    """

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    layout: Layout = field(default_factory=Layout)
    trainable: bool = True
    state: bool = False
    regularizer: Lowers | None = None
    constraint: Constraint | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in the graph."""
        return self.layout.packed_shape(self.shape)

    def view(self, memory: Array) -> Array:
        """The graph's array in the weight's flat ``memory``, a view.

        Where axes are only permuted, memory is in Keras's order: that of the matrices that convolutions multiply.
        """
        if self.layout.gates or self.layout.shape:
            return memory.reshape(self.stored_shape)
        return self.layout.pack(memory.reshape(self.shape))


@dataclass(eq=False, slots=True)
class Graph:
    """Operator nodes in topological order, with their inputs, targets and parameters.

    ``outputs`` are the values to compute, by name: the spec's outputs, or what a program fetches. ``loss`` is the scalar to
    differentiate. ``penalties`` are the scalars of regularizers, to be added to the loss.
    """

    name: str
    inputs: dict[str, Value] = field(default_factory=dict)
    targets: dict[str, Value] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)  # parameter values by name
    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)
    penalties: list[Value] = field(default_factory=list)
    loss: Value | None = None

    def asking(self, outputs: Mapping[str, Value], loss: Value | None = None) -> Graph:
        """This graph with other outputs, and with a scalar to differentiate."""
        return replace(self, outputs=dict(outputs), loss=loss)

    def roots(self) -> list[Value]:
        """The outputs and the loss: everything that the graph is to compute."""
        return [*self.outputs.values(), *([] if self.loss is None else [self.loss])]

    def needed(self, values: Iterable[Value]) -> list[Node]:
        """The nodes that ``values`` depend on, in order."""
        keep: set[str] = set()
        stack = [v.node for v in values if v.node is not None]
        while stack:
            node = stack.pop()
            if node.name in keep:
                continue
            keep.add(node.name)
            stack.extend(v.node for v in node.inputs if v is not None and v.node is not None)
        return [n for n in self.nodes if n.name in keep]

    def copy(self) -> Graph:
        """A graph that can be extended without changing this one (nodes and values are shared)."""
        return Graph(
            self.name,
            dict(self.inputs),
            dict(self.targets),
            dict(self.params),
            dict(self.values),
            list(self.nodes),
            dict(self.outputs),
            list(self.penalties),
            self.loss,
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """Where a trainable weight lies in the flat vector: ``vector[start:stop]``, then padding zeros."""

    param: Param
    start: int
    stop: int

    def view(self, vector: Array, first: int | None = None) -> Array:
        """The weight's place in ``vector`` (or what begins at ``first``) with Keras's axes (``Layout.axes``)."""
        first = self.start if first is None else first
        stored = self.param.view(vector[first : first + self.param.size])
        return self.param.layout.axes(stored, self.param.shape)
