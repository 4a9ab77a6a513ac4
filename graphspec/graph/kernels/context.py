"""The interface between operators and the binder, of a group of workers, and checks that operators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from graphspec.base.arrays.calls import Calls as Calls
from graphspec.base.errors import Code, ShapeError
from graphspec.graph.ir.graph import Array, Dim, Graph, Range, Shape, Value, show

if TYPE_CHECKING:
    from graphspec.base.arrays.random import Stream


# The interface of a group of workers for operators and optimizers.
class Group(Protocol):
    """Workers that run the same program, each on its rows of the batch.

    ``all_reduce`` sums in rank order, so the result is bit for bit the same for the same number of workers.
    ``writes_state``: this worker writes moving statistics. If the workers share memory, only rank 0 does; otherwise each has
    a copy, and writes the same values.
    """

    rank: int
    size: int
    writes_state: bool

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        """Replace ``array`` by its sum over all workers, in place."""

    def barrier(self) -> None:
        """Return when every worker has called this."""


class LocalGroup:
    """A group of one worker: this process."""

    rank = 0
    size = 1
    writes_state = True

    def all_reduce(self, array: np.ndarray[Any, Any]) -> None:
        return None

    def barrier(self) -> None:
        return None


class ShardedKernel(NamedTuple):
    """The shared memory of a sharded kernel (k, n), for the batch of all workers: (batch, k) and (batch, n)."""

    inputs: Array
    outputs: Array
    output_gradients: Array
    input_gradients: Array
    gradient: Array  # (k, n)
    own: slice  # the rows of the gradient that this worker writes, and of the kernel that it updates


@dataclass(frozen=True)
class Shard:
    """One worker's part of a program: its ``rows`` of a batch of length ``total`` over all workers."""

    group: Group
    rows: slice
    total: int
    matrices: Mapping[str, ShardedKernel] = field(default_factory=dict)  # by parameter name

    @classmethod
    def whole(cls, total: int) -> Shard:
        """Return the shard of a process that runs the batch without other workers."""
        return cls(LocalGroup(), slice(0, total), total)


Backward = Callable[..., Calls]  # receives the gradients of the outputs and returns the backward calls

Bound = tuple[Any, Calls, Backward | None]  # of ``bind``: outputs, forward calls, backward if there is a gradient


class Context(Protocol):
    """The services for ``bind``. ``runtime/bind.py`` builds one context for each node of a program."""

    training: bool
    dtype: np.dtype[Any]  # the floating dtype of this program: float32, or float64 for gradient checks
    group: Group
    rows: slice  # this worker's slice of the batch
    total: int  # the length of the batch over all workers: losses are scaled by it, never by `len(X)`
    alike: bool  # no input of this node has a batch axis: all workers compute the same
    outputs: int  # the number of outputs of this node
    owner: str  # the spec node that this one was lowered from

    def out(self, k: int = 0, *, like: Array | None = None, order: Sequence[int] | None = None) -> Array:
        """Return the buffer of output ``k``, with the memory order of ``like`` or with axes in ``order`` (slowest first)."""

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """Return a scratch buffer. It is valid within this node's forward calls or its backward calls, not across both."""

    def mark(self) -> Any:
        """Return a mark of the scratch buffers allocated so far, for :meth:`reset`."""

    def reset(self, mark: Any) -> None:
        """Release the scratch buffers allocated since ``mark``; calls that run later may then use the same memory."""

    def save_for_backward(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """Return a buffer that keeps its content from this node's forward calls to its backward calls."""

    def constant(self, value: Any, dtype: Any = None) -> Array:
        """Return a private array, filled once at bind time and never shared."""

    def shape(self, k: int = 0) -> tuple[int, ...]:
        """Return the shape of output ``k``."""

    def known(self, i: int) -> Array | None:
        """Return the value of input ``i`` if it is known at bind time (a constant, or computed from shapes), else None."""

    def range(self, i: int) -> Range:
        """Return an interval that contains all values of input ``i``, whatever data the program receives."""

    def zeros_like(self, X: Array) -> Array:
        """Return zeros with X's shape, dtype and memory order (shared: never write to them)."""

    def wants(self, i: int) -> bool:
        """Return whether the gradient of input ``i`` is needed."""

    def grad(self, i: int) -> Array | None:
        """Return the buffer for the gradient of input ``i`` (write, never add), or None if it is not needed."""

    def row_grad(self, i: int, ids: Array) -> tuple[Array, Calls] | None:
        """Return the gradient of input ``i`` if it is kept by rows, else None: use :meth:`grad` then.

        Make the calls that come with it, which note the flat int64 ``ids``; then add to these rows.
        """

    def give_grad(self, i: int, array: Array) -> None:
        """Hand over ``array`` (writable, owned by this operator) as the gradient of input ``i``."""

    def may_overwrite(self, i: int) -> bool:
        """Return whether input ``i`` may be overwritten in place: nothing reads it afterwards."""

    def all_reduce(self, array: Array) -> Calls:
        """Return calls that replace ``array`` by its sum over the group of workers; none if they compute :attr:`alike`."""

    def sharded(self, i: int) -> ShardedKernel:
        """Return the memory that the workers share for the sharded kernel, input ``i``."""

    def program(self, graph: Graph, shapes: Mapping[str, Shape], grads: Sequence[str] = ()) -> Any:
        """Bind a graph without weights: a program of its own; or what computes gradients of its inputs ``grads``.

        It then has inputs ``<output>/slope``, those in ``shapes``, for the gradients of the outputs.
        """

    def after_barrier(self, calls: Calls) -> None:
        """Run ``calls`` after the barrier that ends the step. Scratch buffers do not survive until then."""

    def stream(self, purpose: str) -> Stream:
        """Return counter-based random numbers for this node, keyed by seed, purpose, node and step."""


def _need(
    condition: bool, message: str, *, code: str = Code.WRONG_RANK, hint: str | None = None, key: str | None = None
) -> None:
    if not condition:
        raise ShapeError(code, message, hint=hint, key=key)


class _Need:
    """``need(condition, message)`` raises :class:`ShapeError` unless the condition holds; its members have other codes."""

    __call__ = staticmethod(_need)
    value = staticmethod(partial(_need, code=Code.VALUE_NOT_ALLOWED))
    dtype = staticmethod(partial(_need, code=Code.WRONG_DTYPE))
    fixed = staticmethod(partial(_need, code=Code.SIZE_NOT_FIXED))
    sizes = staticmethod(partial(_need, code=Code.SIZES_DO_NOT_FIT))
    shapes = staticmethod(partial(_need, code=Code.SHAPES_DIFFER))

    @staticmethod
    def float(*values: Value | None) -> None:
        """Raise :class:`ShapeError` unless all values are float32 tensors; None is accepted."""
        for v in values:
            if v is not None and not v.type.is_float:
                # not `need`, which would format the message on every call
                raise ShapeError(Code.WRONG_DTYPE, f"needs a float32 tensor, got {v.type}")


need = _Need()


def broadcast(*shapes: Shape) -> Shape:
    """Return the broadcast shape by NumPy's rule; ``GS302`` if two sizes, which may be symbols, differ and neither is 1."""
    rank = max(map(len, shapes))
    out: list[Dim] = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in shapes if -axis <= len(shape)} - {1}
        if len(sizes) > 1:
            raise ShapeError(Code.SHAPES_DIFFER, f"cannot broadcast {' and '.join(map(show, shapes))} on axis {axis}")
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def normalize_axis(axis: int, rank: int) -> int:
    """Return ``axis`` counted from the front; ``GS301`` if there is no such axis."""
    if not -rank <= axis < rank:
        raise ShapeError(Code.WRONG_RANK, f"has axis {axis}, which does not exist in rank {rank}", key="axis")
    return axis % rank


def same_dtype(*values: Value | None) -> str:
    """Return the common dtype of operands; ``GS306`` if they differ."""
    dtypes = {v.dtype for v in values if v is not None}
    if len(dtypes) != 1:
        raise ShapeError(Code.WRONG_DTYPE, f"has operands of different dtypes: {', '.join(sorted(dtypes))}")
    return dtypes.pop()
