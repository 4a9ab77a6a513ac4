"""What operators may ask of the binder, and checks that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphspec.arrays.calls import Calls
from graphspec.errors import ShapeError
from graphspec.ir.dims import Dim, Shape, show
from graphspec.ir.graph import Array, Value
from graphspec.ir.ranges import Range

if TYPE_CHECKING:
    from graphspec.arrays.random import Stream
    from graphspec.kernels.group import Group, ShardedKernel


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

    def mark(self) -> Any:
        """What :meth:`scratch` has given so far."""

    def reset(self, mark: Any) -> None:
        """Take back the temporaries given since: they may be given again, to what runs after those that used them."""

    def save_for_backward(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """A buffer that keeps its content from this node's forward calls to its backward calls."""

    def constant(self, value: Any, dtype: Any = None) -> Array:
        """An array filled when binding, of this operator alone: what no call of it writes stays."""

    def shape(self, k: int = 0) -> tuple[int, ...]:
        """The shape of output ``k``."""

    def known(self, i: int) -> Array | None:
        """What input ``i`` holds where binding knows it: a constant, or integers computed from shapes; else None."""

    def range(self, i: int) -> Range:
        """Between which numbers input ``i`` lies, whatever data the program is given."""

    def zeros_like(self, X: Array) -> Array:
        """Zeros of X's shape, dtype and memory order (shared; never written)."""

    def wants(self, i: int) -> bool:
        """Whether the gradient of input ``i`` is needed."""

    def grad(self, i: int) -> Array | None:
        """Where to write the gradient of input ``i`` (write, never add); None if nobody needs it."""

    def give_grad(self, i: int, array: Array) -> None:
        """Hand over ``array`` (writable, owned by this operator) as the gradient of input ``i``."""

    def may_overwrite(self, i: int) -> bool:
        """Whether input ``i`` may be overwritten in place: nothing reads it afterwards."""

    def all_reduce(self, array: Array) -> Calls:
        """Calls that replace ``array`` by its sum over the group of workers."""

    def sharded(self, i: int) -> ShardedKernel:
        """What the workers share of the divided kernel that is input ``i``."""

    def after_barrier(self, calls: Calls) -> None:
        """Make these calls when all workers have made those of their programs; temporaries hold nothing until then."""

    def stream(self, purpose: str) -> Stream:
        """Counter-based random numbers for this node, keyed by seed, purpose, node and step."""


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
                raise ShapeError("GS302", f"cannot broadcast {' and '.join(map(show, shapes))} on axis {axis}")
            size = d
        out.append(size)
    return tuple(out)


def normalize_axis(axis: int, rank: int) -> int:
    """``axis`` counted from the front; ``GS301`` if there is no such axis."""
    if not -rank <= axis < rank:
        raise ShapeError("GS301", f"has axis {axis}, which does not exist in rank {rank}", key="axis")
    return axis % rank


def same_dtype(*values: Value | None) -> str:
    """The common dtype of operands; ``GS306`` if they differ."""
    kinds = {v.dtype for v in values if v is not None}
    if len(kinds) != 1:
        raise ShapeError("GS306", f"has operands of different dtypes: {', '.join(sorted(kinds))}")
    return kinds.pop()


def need_float(*values: Value | None) -> None:
    for v in values:
        if (
            v is not None and not v.type.is_float
        ):  # the message is made only where it is needed: this runs for each operator
            raise ShapeError("GS306", f"needs a float32 tensor, got {v.type}")
