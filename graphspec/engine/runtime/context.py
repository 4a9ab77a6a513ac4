"""The context that the binder passes to an operator: memory for one node's arrays and gradients, and the run's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphspec.base.arrays.layout import axis_order
from graphspec.base.arrays.random import Stream
from graphspec.graph.ir.dims import has_rows
from graphspec.graph.ir.ranges import ANY, Range
from graphspec.graph.kernels.common import each_block

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls
    from graphspec.base.arrays.random import Clock
    from graphspec.engine.runtime.buffers import Pool, Scratch
    from graphspec.graph.analysis import Ranges
    from graphspec.graph.ir.dims import Shape
    from graphspec.graph.ir.graph import Array, Node, Type, Value
    from graphspec.graph.kernels.context import Shard, ShardedKernel
    from graphspec.graph.kernels.touched_rows import TouchedRows


class Binding(Protocol):
    """The state that all contexts of one program share: its memory, its gradients, and the values bound so far."""

    seed: int
    clock: Clock
    training: bool
    dtype: np.dtype[Any]
    shard: Shard
    ranges: Ranges
    types: dict[str, Value]
    pool: Pool
    saved: Pool
    scratch: Scratch
    extra: int
    """Bytes of arrays outside the two pools and the scratch memory."""
    arrays: dict[str, Array]
    gradients: dict[str, Array]
    touched: Mapping[str, TouchedRows]
    """By name, the weights whose gradients this program keeps by rows."""
    differentiated: set[str]
    """Names of the values whose gradients are computed."""
    requested: set[str]
    """Names of the inputs whose gradients the caller requested."""
    after: Calls
    has_rows: bool
    """Whether the batch axis of the graph's inputs has its name."""

    def dtype_of(self, value_type: Type, /) -> np.dtype[Any]: ...
    def zeros(self, X: Array, /) -> Array: ...
    def may_overwrite(self, value: Value, node: Node, index: int, /) -> bool: ...
    def gradient_buffer(self, value: Value, like: Array, /) -> Array: ...
    def set_gradient(self, name: str, array: Array, /) -> None: ...


class NodeContext:
    """The binder's side of :class:`graphspec.graph.ops.base.Context` for one node."""

    def __init__(self, binder: Binding, node: Node, index: int) -> None:
        self._binder, self._node, self.index = binder, node, index
        self.training, self.dtype, self.group = binder.training, binder.dtype, binder.shard.group
        self.rows, self.total, self.outputs = binder.shard.rows, binder.shard.total, len(node.outputs)
        self.alike = binder.has_rows and not any(v is not None and has_rows(v.shape) for v in node.inputs)
        self.owner = node.owner
        self.pending: Calls = []

    def out(self, k: int = 0, *, like: Array | None = None, order: Sequence[int] | None = None) -> Array:
        value_type = self._binder.types[self._node.outputs[k].name].type
        if like is not None and like.ndim == len(value_type.shape):
            order = axis_order(like)
        return self._binder.pool.take(ints(value_type.shape), self._binder.dtype_of(value_type), order)

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return self._binder.scratch.take(shape, self.dtype if dtype is None else dtype)

    def mark(self) -> Any:
        return self._binder.scratch.mark()

    def reset(self, mark: Any) -> None:
        self._binder.scratch.reset(mark)

    def save_for_backward(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return self._binder.saved.take(shape, self.dtype if dtype is None else dtype)

    def constant(self, value: Any, dtype: Any = None) -> Array:
        array = np.array(value, self.dtype if dtype is None else dtype)
        self._binder.extra += array.nbytes
        return array

    def shape(self, k: int = 0) -> tuple[int, ...]:
        return ints(self._binder.types[self._node.outputs[k].name].shape)

    def known(self, i: int) -> Array | None:
        value = self._node.inputs[i] if i < len(self._node.inputs) else None
        if value is None:
            return None
        if value.data is not None:
            return value.data
        known = self._binder.types[value.name]
        return None if known.dims is None else np.array(known.dims, np.int64).reshape(ints(known.shape))

    def range(self, i: int) -> Range:
        value = self._node.inputs[i]
        return ANY if value is None else self._binder.ranges.of(value)

    def zeros_like(self, X: Array) -> Array:
        return self._binder.zeros(X)

    def wants(self, i: int) -> bool:
        value = self._node.inputs[i] if i < len(self._node.inputs) else None
        return value is not None and value.name in self._binder.differentiated

    def grad(self, i: int) -> Array | None:
        if not self.wants(i):
            return None
        value = self._node.inputs[i]
        assert value is not None
        binder = self._binder
        like = binder.arrays[value.name]
        if value.name not in binder.gradients:
            binder.set_gradient(value.name, binder.gradient_buffer(value, like))
            return binder.gradients[value.name]
        term = binder.scratch.take(like.shape, like.dtype, axis_order(like))
        total = binder.gradients[value.name]
        self.pending += each_block(np.add, total, term, total)
        return term

    def row_grad(self, i: int, ids: Array) -> tuple[Array, Calls] | None:
        value, binder = self._node.inputs[i], self._binder
        assert value is not None
        touched = binder.touched.get(value.name) if self.wants(i) else None
        if touched is None:
            return None
        calls: Calls = []
        if value.name not in binder.gradients:
            gradient = binder.gradient_buffer(value, binder.arrays[value.name])
            binder.set_gradient(value.name, gradient)
            calls.append((touched.begin, gradient))
        return binder.gradients[value.name], [*calls, (touched.add, ids)]

    def give_grad(self, i: int, array: Array) -> None:
        if not self.wants(i):
            return
        value = self._node.inputs[i]
        assert value is not None
        binder = self._binder
        if value.name in binder.gradients:
            total = binder.gradients[value.name]
            self.pending += each_block(np.add, total, array, total)
        elif value.param is not None or value.name in binder.requested:
            target = binder.gradient_buffer(value, binder.arrays[value.name])
            binder.set_gradient(value.name, target)
            self.pending += each_block(np.copyto, target, array)
        else:
            binder.set_gradient(value.name, array)

    def may_overwrite(self, i: int) -> bool:
        value = self._node.inputs[i]
        return value is not None and self._binder.may_overwrite(value, self._node, self.index)

    def all_reduce(self, array: Array) -> Calls:
        return [] if self.group.size == 1 or self.alike else [(self.group.all_reduce, array)]

    def sharded(self, i: int) -> ShardedKernel:
        value = self._node.inputs[i]
        assert value is not None
        return self._binder.shard.matrices[value.name]

    def after_barrier(self, calls: Calls) -> None:
        self._binder.after += calls

    def stream(self, purpose: str) -> Stream:
        return Stream(self._binder.seed, purpose, self._node.name, self._binder.clock)


def ints(shape: Shape) -> tuple[int, ...]:
    """Return a shape as integers; it must not have symbolic dimensions."""
    assert all(isinstance(d, int) for d in shape), shape
    return tuple(int(d) for d in shape)
