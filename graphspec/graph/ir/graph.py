"""The intermediate representation: values, operator nodes and the graph. Operators are ONNX operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from graphspec.base.arrays.layout import Array as Array
from graphspec.base.errors import Code, ShapeError
from graphspec.graph.ir.dims import Dim as Dim
from graphspec.graph.ir.dims import LearntSize as LearntSize
from graphspec.graph.ir.dims import Shape as Shape
from graphspec.graph.ir.dims import fixed_size, names_in
from graphspec.graph.ir.dims import show as show


class Range(NamedTuple):
    """The interval from ``low`` to ``high``, both included. If a bound is infinite, a float may also be NaN."""

    low: float
    high: float

    def __and__(self, other: Range) -> Range:
        return Range(max(self.low, other.low), min(self.high, other.high))

    def __or__(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))

    def __add__(self, other: Range) -> Range:  # type: ignore[override]
        return Range(self.low + other.low, self.high + other.high)

    def __neg__(self) -> Range:
        return Range(-self.high, -self.low)

    def times(self, other: Range) -> Range:
        """Return the range of the products; all numbers if a factor may be infinite."""
        if not (self.finite and other.finite):
            return ANY
        products = [a * b for a in self for b in other]
        return Range(min(products), max(products))

    def within(self, other: Range) -> bool:
        """Return whether this range is a non-empty part of ``other``."""
        return other.low <= self.low <= self.high <= other.high

    def overlaps(self, other: Range) -> bool:
        """Return whether the ranges have a number in common."""
        return self.low <= other.high and other.low <= self.high

    @property
    def finite(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def empty(self) -> bool:
        return self.low > self.high

    def outside(self) -> str:
        """Describe a number outside this range for a message: ``outside 0 … 4``, ``above 4`` or ``below 0``."""
        if self.finite:
            return f"outside {self.low} … {self.high}"
        return f"above {self.high}" if math.isfinite(self.high) else f"below {self.low}"


ANY = Range(-math.inf, math.inf)


def hull(ranges: Iterable[Range]) -> Range:
    """Return the smallest range that contains all ``ranges``; all numbers if there are none."""
    every = list(ranges)
    return Range(min(r.low for r in every), max(r.high for r in every)) if every else ANY


def of_dtype(dtype: str) -> Range:
    """Return the range of all values of a dtype."""
    if "int" in dtype:
        return Range(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return Range(0, 1) if dtype == "bool" else ANY


def may_wrap_into(result: Range, dtype: str, out: Range) -> bool:
    """Return whether integers in ``result`` that overflow ``dtype`` may wrap round into ``out``."""
    representable = of_dtype(dtype)
    if not representable.finite or result.within(representable):
        return False
    count = representable.high - representable.low + 1
    return any((result + Range(by, by)).overlaps(out) for by in (-count, count)) or result.high - result.low >= count


def of_array(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Range:
    """Return the range of an array's elements."""
    if not array.size or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        return ANY
    return Range(array.min().item() + 0, array.max().item() + 0)  # True becomes 1


Maybe: TypeAlias = "Array | None"
STRING = "string"  # the dtype of texts; NumPy arrays of texts have the dtype `object`
MISSING_INTEGER = -(2**63)  # stands for a missing int64, as NaN for a missing float
_TEXT_BYTES = 64  # of a text in memory


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """Return NumPy's dtype of a tensor's dtype: ``object`` for texts."""
    return np.dtype(object if dtype == STRING else dtype)


@dataclass(frozen=True, slots=True)
class Type:
    """The dtype (``float32``, ``int64``, ``bool``, ``string``, …) and the shape of a tensor; the batch axis is ``"N"``.

    Every floating tensor of the graph is ``float32``; a program may be bound in float64 for gradient checks. Strings are
    computed by onnxruntime alone, before the part of the graph that NumPy runs.
    """

    dtype: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.dtype}{show(self.shape)}"

    @property
    def is_float(self) -> bool:
        return self.dtype == "float32"

    @property
    def is_string(self) -> bool:
        return self.dtype == STRING

    @property
    def has_lists(self) -> bool:
        """Whether a row is a list whose length varies, of texts or of ids."""
        return len(self.shape) == 2 and isinstance(self.shape[1], str) and not self.is_float

    @property
    def nbytes(self) -> int:
        """The bytes of a tensor without symbolic dimensions; those of texts are an estimate."""
        return fixed_size(self.shape) * (_TEXT_BYTES if self.is_string else np.dtype(self.dtype).itemsize)


BUILDER: ContextVar[Any] = ContextVar("builder", default=None)  # of the innermost `with`, for arithmetic on values
Operand: TypeAlias = "Value | float | Array"
"""Numbers and arrays become constants: floats in float32, integers and bools in the dtype of the value beside them."""


def _binary(op: str, *, reflected: bool = False) -> Callable[[Value, Operand], Value]:
    """Return the method of values for an operator with two operands; ``reflected`` swaps them."""

    def emit(self: Value, other: Operand) -> Value:
        return _emitted(op, other, self) if reflected else _emitted(op, self, other)

    return emit


@dataclass(eq=False, slots=True)
class Value:
    """A tensor of the graph: an input, a target, a parameter, a constant or an operator's output.

    Two values with the same name are the same tensor; they may differ in ``mask``.

    Formulas are written as formulas: ``clipped * (error - clipped * 0.5)`` emits ``Mul``, ``Sub`` and ``Mul`` on behalf of
    the builder whose ``with`` statement surrounds it. ``==`` compares whether two values are the same object.
    """

    name: str
    type: Type
    kind: Literal["input", "target", "param", "constant", "op"] = "op"
    node: Node | None = field(default=None, repr=False)  # computes the value, if `kind` is `op`
    index: int = 0  # among the outputs of `node`
    data: Array | None = None  # the array of a constant
    dims: tuple[Dim, ...] | None = None  # the elements of a small vector of integers, if known symbolically: of shapes
    param: Param | None = None
    mask: Value | None = None  # a bool value, or None if nothing is masked
    words: Sequence[str] | None = None  # of a layer's ids from 0 on, "" for one without; none before they are learnt
    range: Range | None = None  # the interval of a layer's integers, if it is smaller than the range of the dtype

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
        """Return the size of ``axis``, which must exist (GS301) and be an integer (GS305)."""
        if not -self.rank <= axis < self.rank:
            raise ShapeError(Code.WRONG_RANK, f"needs an axis {axis}, but its input has shape {show(self.shape)}")
        d = self.shape[axis]
        if not isinstance(d, int):
            raise ShapeError(
                Code.SIZE_NOT_FIXED,
                f"needs a fixed size on axis {axis}, but its input {show(self.shape)} varies there ('{d}')",
                hint=f"give {names_in(d)} a number in `inputs`, or reduce that axis first, such as by global pooling",
            )
        return d

    def with_mask(self, mask: Value | None) -> Value:
        """Return the same tensor with another mask."""
        return replace(self, mask=mask)

    def known(self) -> tuple[Dim, ...] | None:
        """Return the elements of an integer vector: a constant's data or the symbolic ``dims``; None if unknown."""
        if self.data is not None:
            return tuple(int(x) for x in self.data.reshape(-1))
        return self.dims

    def __neg__(self) -> Value:
        return _emitted("Neg", self)

    def __abs__(self) -> Value:
        return _emitted("Abs", self)

    def __invert__(self) -> Value:
        return _emitted("Not", self)

    __add__, __radd__ = _binary("Add"), _binary("Add", reflected=True)
    __sub__, __rsub__ = _binary("Sub"), _binary("Sub", reflected=True)
    __mul__, __rmul__ = _binary("Mul"), _binary("Mul", reflected=True)
    __truediv__, __rtruediv__ = _binary("Div"), _binary("Div", reflected=True)
    __pow__, __matmul__, __and__, __or__ = _binary("Pow"), _binary("MatMul"), _binary("And"), _binary("Or")
    __lt__, __le__ = _binary("Less"), _binary("LessOrEqual")
    __gt__, __ge__ = _binary("Greater"), _binary("GreaterOrEqual")
    __array_ufunc__ = None  # NumPy leaves `array * value` to `Value.__rmul__`


def _emitted(op: str, *operands: Operand) -> Value:
    """Emit an operator into the builder of the innermost ``with`` statement."""
    if (builder := BUILDER.get()) is None:
        raise TypeError(f"{op} of values needs a builder: write the formula inside `with g:`, or use g.{op}")
    dtype = next(x.dtype for x in operands if isinstance(x, Value))
    arrays = [x if isinstance(x, Value) else np.asarray(x) for x in operands]
    values = [
        x if isinstance(x, Value) else builder.constant(x, "float32" if x.dtype.kind == "f" else dtype) for x in arrays
    ]
    result: Value = builder.emit(op, values, {})
    return result


@dataclass(eq=False, slots=True)
class Node:
    """One operator applied to values. ``owner`` is the spec node that it was lowered from."""

    name: str
    op: str
    inputs: tuple[Value | None, ...]
    attrs: dict[str, Any]
    owner: str
    outputs: tuple[Value, ...] = field(default=(), repr=False)

    @property
    def sources(self) -> list[Value]:
        return [v for v in self.inputs if v is not None]


@dataclass(frozen=True, slots=True)
class Layout:
    """The conversion of a parameter from Keras's layout to the graph's (ONNX's layout).

    The last axis is split into ``len(gates)`` equal blocks, which are put in that order. Then axes are permuted by ``perm``,
    and the result is reshaped to ``shape``. Empty means unchanged. Weights, checkpoints and initial values are in Keras's
    layout. Elementwise regularizers and optimizers do not depend on the layout.
    """

    gates: tuple[int, ...] = ()
    perm: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()

    def pack(self, logical: Array) -> Array:
        """Convert from Keras's layout to the graph's; the result is a new array or a view."""
        x = self.ordered(logical)
        if self.perm:
            x = x.transpose(self.perm)
        return x.reshape(self.shape) if self.shape else x

    def axes(self, stored: Array, logical_shape: tuple[int, ...]) -> Array:
        """Return a view of ``stored`` with Keras's axes; the blocks of the last axis stay in the graph's order.

        Norms, means and matrix products are the same as in Keras's layout, with their results in the order of the blocks.
        """
        x = stored
        if self.shape:
            x = x.reshape([logical_shape[p] for p in self.perm] if self.perm else logical_shape)
        if self.perm:
            x = x.transpose(np.argsort(self.perm))
        return x

    def unpack(self, stored: Array, logical_shape: tuple[int, ...]) -> Array:
        """Convert from the graph's layout to Keras's; the result is a new array or a view."""
        return self.ordered(self.axes(stored, logical_shape), np.argsort(self.gates))

    def ordered(self, x: Array, gates: Iterable[int] | None = None) -> Array:
        """Return ``x`` with the blocks of the last axis in the order of ``gates``; the default is Keras's to the graph's."""
        if not self.gates:
            return x
        blocks = np.split(x, len(self.gates), axis=-1)
        return np.concatenate([blocks[i] for i in (self.gates if gates is None else gates)], axis=-1)

    def packed_shape(self, logical_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in the graph's layout."""
        if self.shape:
            return self.shape
        return tuple(logical_shape[p] for p in self.perm) if self.perm else logical_shape


Initializer: TypeAlias = "Callable[[tuple[int, ...], np.random.Generator], Array]"
"""Draws the initial values of a weight of a shape."""


class Lowers(Protocol):
    """An activation, or a regularizer, whose result is a scalar penalty."""

    def lower(self, g: Any, X: Value, /) -> Value:
        """Emit the operators that compute the function of X, and return the result."""


class Constraint(Protocol):
    """A projection of a weight after every step."""

    def bind(self, W: Array, T: Array, /) -> list[tuple[Any, ...]]:
        """Return calls that constrain ``W`` in place; ``T`` is scratch of the same shape."""


@dataclass(eq=False, slots=True)
class Param:
    """A weight or a statistic, ``<node>/<role>``, with its shape in Keras's layout.

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
    looked_up: bool = False  # whether a step uses only the rows whose ids are in the batch
    sparse: bool = False  # whether the optimizer leaves all other rows, and their slots, as they are
    mean_of: str | None = None  # the weight whose running mean this is; it begins with the same values

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return self.layout.packed_shape(self.shape)

    def view(self, memory: Array) -> Array:
        """Return a view of the weight's flat ``memory`` as the array of the graph.

        If axes are only permuted, memory is in Keras's order, the order of the matrices in convolutions.
        """
        if self.layout.gates or self.layout.shape:
            return memory.reshape(self.stored_shape)
        return self.layout.pack(memory.reshape(self.shape))


@dataclass(eq=False, slots=True)
class Graph:
    """Operator nodes in topological order, with their inputs, targets and parameters."""

    name: str
    inputs: dict[str, Value] = field(default_factory=dict)
    targets: dict[str, Value] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)  # of the parameters, by name
    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)  # the spec's outputs, or a program's fetches, by name
    penalties: list[Value] = field(default_factory=list)  # the scalars of regularizers, which are added to the loss
    loss: Value | None = None  # the scalar to differentiate
    learnt: dict[str, LearntSize] = field(default_factory=dict)  # sizes still to be learnt from data, before any run
    loss_inputs: dict[str, Value] = field(default_factory=dict)  # what the losses read besides the outputs, by name
    updates: dict[str, Value] = field(default_factory=dict)  # of a written training step: new statistics, by name

    def with_outputs(self, outputs: Mapping[str, Value], loss: Value | None = None) -> Graph:
        return replace(self, outputs=dict(outputs), loss=loss, loss_inputs={})

    def without_losses(self) -> Graph:
        """Return the graph that predicts: without what only the losses read, and without the inputs that only they need."""
        if not self.loss_inputs:
            return self
        answers = [*self.outputs.values(), *self.penalties]
        answers += [v.mask for v in answers if v.mask is not None]
        nodes = self.needed(answers)
        others = self.needed(self.loss_inputs.values())
        read = _inputs_of(nodes, answers)
        only_losses = _inputs_of(others, self.loss_inputs.values()) - read
        inputs = {name: v for name, v in self.inputs.items() if name not in only_losses}
        return replace(self, inputs=inputs, nodes=nodes, loss_inputs={})

    def roots(self) -> list[Value]:
        """Return everything that the graph computes: the outputs, new statistics and the loss."""
        return [*self.outputs.values(), *self.updates.values(), *([] if self.loss is None else [self.loss])]

    def trained_roots(self) -> list[Value]:
        """Return everything that a training computes: the outputs, and what else the losses read."""
        return [*self.roots(), *self.loss_inputs.values()]

    def needed(self, values: Iterable[Value]) -> list[Node]:
        """Return the nodes that ``values`` depend on, in topological order."""
        names: set[str] = set()
        stack = [v.node for v in values if v.node is not None]
        while stack:
            node = stack.pop()
            if node.name in names:
                continue
            names.add(node.name)
            stack.extend(v.node for v in node.sources if v.node is not None)
        return [n for n in self.nodes if n.name in names]

    def copy(self) -> Graph:
        """Return a graph that can be extended without changing this one (nodes and values are shared)."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        copies: dict[str, Any] = {name: part.copy() for name, part in parts.items() if isinstance(part, dict | list)}
        return replace(self, **copies)


def _inputs_of(nodes: Iterable[Node], values: Iterable[Value]) -> set[str]:
    """Return the names of what nodes read, and of the values themselves."""
    return {v.name for node in nodes for v in node.inputs if v is not None} | {v.name for v in values}


class Segment(NamedTuple):
    """The part of the flat vector that contains a trainable weight: ``vector[start:stop]``; zeros as padding follow."""

    param: Param
    start: int
    stop: int

    def view(self, vector: Array, first: int | None = None) -> Array:
        """Return a view of the weight in ``vector``, with Keras's axes (``Layout.axes``).

        ``first`` replaces ``start`` for a vector with other offsets.
        """
        first = self.start if first is None else first
        stored = self.param.view(vector[first : first + self.param.size])
        return self.param.layout.axes(stored, self.param.shape)
