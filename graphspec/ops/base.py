"""What an operator is: strict inference of its output types, and binding to NumPy calls with their gradients."""

from __future__ import annotations

import inspect
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np

from graphspec.errors import ShapeError
from graphspec.ir.dims import Dim, Shape, show
from graphspec.ir.graph import Array, Node, Type, Value
from graphspec.ir.ranges import ANY, Range, hull

if TYPE_CHECKING:
    from graphspec.arrays.random import Stream
    from graphspec.parallel.group import Group
    from graphspec.runtime.partition import Matrix

Call = tuple[Any, ...]
"""A function and its operands, ``(f, *operands)``: a program is a flat list of them."""
Calls = list[Call]
Backward = Callable[..., Calls]
Bound = tuple[Any, Calls, Backward | None]


class Context(Protocol):
    """What ``bind`` may ask for. Built by ``runtime/bind.py``, one for each node of a program."""

    training: bool
    dtype: np.dtype[Any]
    """The floating dtype of this program: float32, or float64 for gradient checks."""
    group: Group
    rows: slice
    """This worker's slice of the batch."""
    total: int
    """The whole batch's length: losses are scaled by it, never by ``len(X)``."""
    outputs: int
    """How many outputs this node has."""
    owner: str
    """The spec node that this one was lowered from."""

    def out(self, k: int = 0, *, like: Array | None = None, order: Sequence[int] | None = None) -> Array:
        """The buffer of output ``k``. Its axes lie in memory as those of ``like``, or in ``order`` (slowest first)."""

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A temporary, valid within this node's forward calls or within its backward calls; never from one to the other."""

    def taken(self) -> Any:
        """What :meth:`scratch` has given so far."""

    def rewind(self, taken: Any) -> None:
        """Take back the temporaries given since: they may be given again, to what runs after those that used them."""

    def save(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A buffer that keeps its content from this node's forward calls to its backward calls."""

    def constant(self, value: Any, dtype: Any = None) -> Array:
        """An array filled when binding, of this operator alone: what no call of it writes stays."""

    def shape(self, k: int = 0) -> tuple[int, ...]:
        """The shape of output ``k``."""

    def static(self, i: int) -> Array | None:
        """What input ``i`` holds where binding knows it: a constant, or integers computed from shapes; else None."""

    def range(self, i: int) -> Range:
        """Between which numbers input ``i`` lies, whatever data the program is given."""

    def zeros_like(self, X: Array) -> Array:
        """Zeros of X's shape, dtype and memory order (shared; never written)."""

    def wants(self, i: int) -> bool:
        """Whether the gradient of input ``i`` is needed."""

    def grad(self, i: int) -> Array | None:
        """Where to write the gradient of input ``i`` (write, never add); None if nobody needs it."""

    def give(self, i: int, array: Array) -> None:
        """Hand over ``array`` (writable, owned by this operator) as the gradient of input ``i``."""

    def free(self, i: int) -> bool:
        """Whether input ``i`` may be overwritten in place: nothing reads it afterwards."""

    def all_reduce(self, array: Array) -> Calls:
        """Calls that replace ``array`` by its sum over the group of workers."""

    def divided(self, i: int) -> Matrix:
        """What the workers share of the divided kernel that is input ``i``."""

    def later(self, calls: Calls) -> None:
        """Make these calls when all workers have made those of their programs; temporaries hold nothing until then."""

    def stream(self, purpose: str) -> Stream:
        """Counter-based random numbers for this node, keyed by seed, purpose, node and step."""


class Op:
    """An ONNX operator.

    A subclass states ``infer(*inputs, **attributes) → Type or tuple`` and ``bind(ctx, *inputs, **attributes) →
    (output or outputs, calls, backward)``. The positional arguments are the ONNX schema's inputs (None where an optional
    one is absent), the keyword-only arguments of ``bind`` its attributes with their defaults: what is not declared there
    is refused when building. ``infer`` gets values: ``X.shape``, ``X.dtype``, ``X.known()``; ``bind`` gets arrays.

    ``backward(*dYs)`` is called once, when binding in reverse, and returns calls; an output whose gradient nobody needs
    comes as None. ``backward`` is None for an operator that has no gradient.
    """

    keeps_in: ClassVar[tuple[int, ...] | None] = None
    """The inputs that backward reads; None for all."""
    keeps_out: ClassVar[bool] = True
    """Whether backward reads the outputs."""
    variadic: ClassVar[bool] = False
    exported: ClassVar[bool] = True
    """False for training-only operators (losses), which have no ONNX counterpart."""
    loose: ClassVar[bool] = False
    """Whether its calls are worth weaving with those of the nodes before it: they work on one block after the other."""
    vanishes: ClassVar[bool] = False
    """Whether it is its first input outside training: dropout, noise."""
    plain: ClassVar[tuple[str, int] | None] = None
    """The operator that it is outside training, and how many of its inputs that takes."""
    holds: ClassVar[slice | None] = None
    """The inputs whose elements the outputs hold, unchanged and no others; None for an operator that computes."""
    drops: ClassVar[bool] = False
    """Whether the outputs may lack some of the elements that they hold."""

    infer: ClassVar[Callable[..., Type | tuple[Type, ...]]]
    bind: ClassVar[Callable[..., Bound]]

    @staticmethod
    def dims(*inputs: Value | None, **attributes: Any) -> tuple[Dim, ...] | None:
        """What the output holds, where it is a small integer vector that is known symbolically."""
        return None

    @classmethod
    def bounds(cls, output: Value, ranges: Sequence[Range]) -> Range:
        """Between which numbers the elements of ``output`` lie, given the ``ranges`` of its node's inputs.

        The caller knows the element type: what lies beyond it wraps round and may be anything.
        """
        return ANY if cls.holds is None else hull(ranges[cls.holds])

    @classmethod
    def demands(cls, node: Node, out: Range, ranges: Sequence[Range], exact: bool) -> dict[int, Range]:
        """Where inputs must lie for the outputs to lie in ``out``, by index; those that may be anything are absent.

        Args:
            ranges: between which numbers the inputs lie, as far as that is known.
            exact: only what cannot be broken without an output beyond ``out``; else enough to keep all outputs in it.
        """
        if cls.holds is None or (exact and cls.drops):
            return {}
        return dict.fromkeys(range(len(ranges))[cls.holds], out)


class Operators(UserDict[str, type[Op]]):
    """The operators by their ONNX names. A family is imported when one of it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, str] = {}

    def found_in(self, package: str, families: Mapping[str, str]) -> None:
        """Say where the operators are: all names by the module of ``package``."""
        self._modules = {name: f"{package}.{family}" for family, names in families.items() for name in names.split()}

    def __missing__(self, name: str) -> type[Op]:
        if name not in self._modules:
            raise KeyError(name)
        import_module(self._modules[name])
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self.data

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules | self.data)

    def __len__(self) -> int:
        return len(self._modules | self.data)


OPS = Operators()
OpClass = TypeVar("OpClass", bound=type[Op])


def op(cls: OpClass) -> OpClass:
    """Class decorator: register an operator under its ONNX name."""
    OPS[cls.__name__] = cls
    return cls


@cache
def attributes(cls: type[Op]) -> dict[str, Any]:
    """The attributes that an operator declares, with their defaults (``inspect.Parameter.empty`` if required).

    A ``bind`` that takes ``**attributes`` declares those of the class that it inherits from, too.
    """
    binds = [base.bind for base in cls.__mro__ if issubclass(base, Op) and "bind" in vars(base)]
    found: dict[str, Any] = {}
    for stated in [cls.forward] if hasattr(cls, "forward") else binds:  # an elementwise function's `bind` hands them on
        parameters = inspect.signature(stated).parameters.values()
        found = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def need(
    condition: bool, message: str, *, code: str = "GS301", hint: str | None = None, key: str | None = None
) -> None:
    """Raise :class:`ShapeError` unless ``condition`` holds."""
    if not condition:
        raise ShapeError(code, message, hint=hint, key=key)


def broadcast(*shapes: Shape) -> Shape:
    """The shape of an elementwise result by NumPy's rule; symbolic dimensions must be equal or meet a 1.

    Raises:
        ShapeError: ``GS302`` where two sizes differ and neither is 1.
    """
    rank = max(map(len, shapes))
    out: list[Dim] = []
    for axis in range(-rank, 0):
        size: Dim = 1
        for shape in shapes:
            d = shape[axis] if -axis <= len(shape) else 1
            if d == 1 or d == size:
                continue
            if size != 1:
                raise ShapeError("GS302", f"shapes {' and '.join(map(show, shapes))} do not broadcast on axis {axis}")
            size = d
        out.append(size)
    return tuple(out)


def normalize_axis(axis: int, rank: int) -> int:
    """``axis`` counted from the front; ``GS301`` if there is no such axis."""
    need(-rank <= axis < rank, f"axis {axis} does not exist in rank {rank}", key="axis")
    return axis % rank


def same_dtype(*values: Value | None) -> str:
    """The common dtype of operands; ``GS306`` if they differ."""
    kinds = {v.dtype for v in values if v is not None}
    need(len(kinds) == 1, f"operands have different dtypes: {', '.join(sorted(kinds))}", code="GS306")
    return kinds.pop()


def need_float(*values: Value | None) -> None:
    for v in values:
        if v is not None:
            need(v.type.is_float, f"needs a float32 tensor, got {v.type}", code="GS306")
