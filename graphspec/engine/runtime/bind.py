"""Bind a graph to a batch shape: allocate buffers for all values, and build one flat list of calls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from graphspec.base.arrays.blas import computing
from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.layout import axis_order, root, view_as
from graphspec.base.arrays.random import Clock
from graphspec.engine.runtime.buffers import Pool, Scratch, reserve
from graphspec.engine.runtime.context import NodeContext, ints
from graphspec.engine.runtime.interleave import Part, interleave_blocks
from graphspec.engine.runtime.liveness import backward_uses, last_uses
from graphspec.engine.runtime.lookups import kept_by_rows
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.graph.analysis import Ranges, id_ranges, infer_shapes, needed_gradients
from graphspec.graph.ir.dims import has_rows
from graphspec.graph.ir.graph import Array, Graph, Node, Type, Value
from graphspec.graph.kernels.compiled import join_two
from graphspec.graph.kernels.context import Backward, Shard
from graphspec.graph.kernels.touched_rows import TouchedRows
from graphspec.graph.ops import OPS, operator
from graphspec.graph.passes.for_program import shared_buffers
from graphspec.graph.target import Target


class Binder:
    """Builds the arrays and calls of one program, node by node."""

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        target: Target,
        gradient: Array | None,
        training: bool,
        seed: int,
        clock: Clock,
        touched: Mapping[str, TouchedRows],
    ) -> None:
        shapes, input_grads = target.shapes, target.input_grads
        self.graph, self.parameters, self.gradient, self.training = graph, parameters, gradient, training
        self.seed, self.clock, self.dtype = seed, clock, parameters.dtype
        self.shard = target.shard or Shard.whole(next((int(s[0]) for s in shapes.values() if s), 1))
        self._shared = shared_buffers(graph, self.shard) if self.shard.matrices else dict[str, Array]()
        self.ranges = Ranges(id_ranges(graph))
        self.fetches, self.loss, self.requested = graph.outputs, graph.loss, set(input_grads)
        roots = graph.roots()
        self.nodes = graph.needed(roots)
        self.shapes = shapes
        self.types = infer_shapes(graph, self.nodes, shapes)
        self.has_rows = any(has_rows(v.shape) for v in graph.inputs.values())
        results = [v for node in self.nodes for v in node.outputs]
        sizes = [self._nbytes(self.types[v.name]) for v in (*graph.inputs.values(), *results) if v.name in self.types]
        largest = max(sizes, default=1)
        self._touched = touched
        self.touched: Mapping[str, TouchedRows] = kept_by_rows(touched, self.nodes, self.types)
        self.pool, self.saved, self.scratch = Pool(sum(sizes)), Pool(largest), Scratch(2 * largest)
        self._chained = False
        self.arrays: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.extra = 0
        self._zeros: dict[Any, Array] = {}
        self.calls: Calls = []
        self.after: Calls = []
        self.spans: list[tuple[str, str, int, int]] = []
        self._parts: list[Part] = []
        self.differentiated = needed_gradients(graph, self.nodes, input_grads)
        self.backward_uses = backward_uses(self.nodes, self.differentiated, roots)
        self.last = last_uses(self.nodes, self.backward_uses)
        self._root_last: dict[int, int] = {}
        self._candidates: list[list[int]] = [[] for _ in self.nodes]
        self._pinned: set[int] = set()
        self._forward: set[int] = set()
        self._gradient_views: dict[int, int] = {}

    def _nbytes(self, value: Value) -> int:
        return math.prod(ints(value.shape)) * self.dtype_of(value.type).itemsize

    def dtype_of(self, value_type: Type) -> np.dtype[Any]:
        """Return the dtype of a value's arrays: floats have the program's dtype."""
        return self.dtype if value_type.is_float else np.dtype(value_type.dtype)

    def zeros(self, X: Array) -> Array:
        """Return zeros with X's shape, dtype and layout; all nodes share them."""
        key = (X.shape, X.dtype.str, axis_order(X))
        if key not in self._zeros:
            order = axis_order(X)
            self._zeros[key] = view_as(reserve(X.nbytes), X.shape, X.dtype, order)
        return self._zeros[key]

    def may_overwrite(self, value: Value, node: Node, index: int) -> bool:
        """Return whether nothing reads the memory of ``value`` after ``node``, the node with this index."""
        if value.kind != "op" or sum(v is not None and v.name == value.name for v in node.inputs) != 1:
            return False
        block = root(self.arrays[value.name])
        aliases = [v for v in node.inputs if v is not None and root(self.arrays[v.name]) == block]
        return len(aliases) == 1 and block in self._root_last and self._root_last[block] <= index

    def gradient_buffer(self, value: Value, like: Array) -> Array:
        """Return the buffer for the gradient of ``value``: a part of the gradient vector, shared memory, or a new one."""
        if value.param is not None and value.param.trainable:
            assert self.gradient is not None
            return self.parameters.view(value.name, self.gradient)
        if value.name in self._shared:
            return self._shared[value.name]
        return self.pool.take(like.shape, like.dtype, axis_order(like))

    def _source(self, value: Value) -> Array:
        if value.name in self.arrays:
            return self.arrays[value.name]
        if value.kind == "constant":
            assert value.data is not None
            array = value.data.astype(self.dtype_of(value.type))
            self.extra += array.nbytes
        elif value.kind == "param":
            array = self.parameters.view(value.name)
        elif value.name in self._shared:
            array = self._shared[value.name]
        else:
            array = self.pool.take(ints(tuple(self.shapes[value.name])), self.dtype_of(value.type))
            array[...] = 0
        self.arrays[value.name] = array
        self._pinned.add(root(array))
        return array

    def _note(self, value: Value, array: Array) -> None:
        """Record a forward array; its memory lives as long as its longest-lived alias."""
        self.arrays[value.name] = array
        block = root(array)
        if block in self._pinned:
            return
        last = max(self._root_last.get(block, -1), self.last.get(value.name, -1))
        self._root_last[block] = last
        if last < len(self.nodes):
            self._candidates[max(last, 0)].append(block)

    def bind(self) -> Program:
        """Bind all nodes forward, then their gradients in reverse order, and return the program."""
        given = {**self.graph.inputs, **self.graph.targets}
        feeds = {n: self._source(v) for n, v in given.items() if n in self.shapes and not v.type.is_string}
        backwards: list[tuple[Node, NodeContext, Backward]] = []
        for index, node in enumerate(self.nodes):
            inputs = [None if v is None else self._source(v) for v in node.inputs]
            self._begin(node)
            context = NodeContext(self, node, index)
            outputs, calls, backward = operator(node).bind(context, *inputs)
            arrays = outputs if isinstance(outputs, tuple) else (outputs,)
            for value, array in zip(node.outputs, arrays, strict=True):
                expected = ints(self.types[value.name].shape)
                assert array.shape == expected, f"{node.name}: bound {array.shape}, inferred {expected}"
                self._note(value, array)
            self._append("forward", node, calls, OPS[node.op].blockwise)
            if backward is not None and any(v is not None and v.name in self.differentiated for v in node.inputs):
                backwards.append((node, context, backward))
            self._release_forward(index)
        self._interleave()
        backward_start = len(self.calls)
        self._bind_backward(backwards)
        self._interleave()
        fetches = {n: self._source(v) for n, v in self.fetches.items()}
        nbytes = self.pool.nbytes + self.saved.nbytes + self.scratch.nbytes + self.extra
        grads = {n: self.gradients[n] for n in self.requested}
        dead = self._dead_after_forward()
        return Program(feeds, fetches, self.calls, self.spans, nbytes, grads, backward_start, dead, self.after)

    def _dead_after_forward(self) -> list[Array]:
        """Return the forward arrays whose memory contains nothing that backward calls or readers of fetches may read."""
        kept = [byte_bounds(a) for n, a in self.arrays.items() if n in self.backward_uses or root(a) in self._pinned]
        low, high = np.array(kept, np.uintp).T
        values = [self.arrays[v.name] for node in self.nodes for v in node.outputs]
        return [a for a in values if not ((low < byte_bounds(a)[1]) & (byte_bounds(a)[0] < high)).any()]

    def _release_forward(self, index: int) -> None:
        # Two values whose last use is this node may view the same block.
        for block in dict.fromkeys(b for b in self._candidates[index] if self._root_last.get(b) == index):
            del self._root_last[block]
            self.pool.release(block)

    def set_gradient(self, name: str, array: Array) -> None:
        """Record a gradient; its memory is reused after the last gradient that views it has been consumed."""
        self.gradients[name] = array
        block = root(array)
        self._gradient_views[block] = self._gradient_views.get(block, 0) + 1

    def _consume_gradient(self, name: str) -> None:
        block = root(self.gradients.pop(name))
        self._gradient_views[block] -= 1
        if self._gradient_views[block] == 0 and block not in self._forward:
            self.pool.release(block)

    def _bind_backward(self, backwards: list[tuple[Node, NodeContext, Backward]]) -> None:
        if self.loss is None:
            return
        free_at = self._free_in_backward()
        self._forward = set(free_at) | self._pinned
        due: list[list[int]] = [[] for _ in self.nodes]
        for block, index in free_at.items():
            if index >= 0:
                due[index].append(block)
        seed = np.ones((), self.dtype)
        self.set_gradient(self.loss.name, seed)
        self.calls += [(rows.touch_all,) for name, rows in self._touched.items() if name not in self.touched]
        self.calls.append((seed.fill, 1.0))  # in every step, since an operator may overwrite its outputs' gradients
        for node, context, backward in reversed(backwards):
            dYs = [self.gradients.get(v.name) for v in node.outputs]
            if all(dY is None for dY in dYs):
                continue
            self._begin(node)
            self._append("backward", node, list(backward(*dYs)), OPS[node.op].blockwise)
            self._append("backward", node, context.pending, True)
            self._chained |= bool(context.pending)
            for v in node.outputs:
                if v.name in self.gradients and v.name not in self.requested:
                    self._consume_gradient(v.name)
            for block in due[context.index]:
                self._forward.discard(block)
                if not self._gradient_views.get(block):
                    self.pool.release(block)
        self._zero_unreached()

    def _free_in_backward(self) -> dict[int, int]:
        """Return, for each block that backward calls read, the index of the last node to read it; -1 if fetches do."""
        free_at: dict[int, int] = {}
        for name, index in self.backward_uses.items():
            if name in self.arrays and (block := root(self.arrays[name])) not in self._pinned:
                free_at[block] = min(index, free_at.get(block, index))
        return free_at

    def _zero_unreached(self) -> None:
        """Write the zero gradients of weights and inputs that the loss does not depend on, once at bind time."""
        if self.gradient is not None:
            for segment in self.parameters.segments["trainable"]:
                name = segment.param.name
                if name not in self.gradients:
                    gradient = self.parameters.view(name, self.gradient)
                    gradient[...] = 0
                    if name in self.touched:
                        self.calls.append((self.touched[name].begin, gradient))
        for name in self.requested:
            if name not in self.gradients:
                self.gradients[name] = np.zeros_like(self.arrays[name])

    def _begin(self, node: Node) -> None:
        """Reset the scratch memory, but not between neighbours whose calls are interleaved: they must not share it."""
        blockwise = OPS[node.op].blockwise
        if not (blockwise and self._chained):
            self.scratch.reset()
        self._chained = blockwise

    def _append(self, phase: str, node: Node, calls: Calls, blockwise: bool) -> None:
        self._parts.append(Part((phase, node.name), calls, blockwise))

    def _interleave(self) -> None:
        first = len(self.calls)
        for label, calls in interleave_blocks(self._parts):
            start = len(self.calls)
            for call in calls:
                if len(self.calls) > first and (joined := join_two(self.calls[-1], call)) is not None:
                    self.calls[-1] = joined
                else:
                    self.calls.append(call)
            self.spans.append((*label, start, len(self.calls)))
        self._parts.clear()


def bind(
    graph: Graph,
    parameters: Parameters,
    target: Target,
    *,
    gradient: Array | None = None,
    training: bool = False,
    seed: int = 0,
    clock: Clock | None = None,
    touched: Mapping[str, TouchedRows] | None = None,
) -> Program:
    """Bind a prepared graph to a program that computes its outputs and, with a loss, all gradients of trainable weights.

    Args:
        target: the target that the graph was prepared for: shapes, inputs that need gradients, the worker's shard.
        gradient: receives the weights' gradients: a vector with the layout of the ``trainable`` one of ``parameters``.
        training: whether dropout is active and batch statistics are used.
        seed, clock: determine the random numbers of dropout and noise.
        touched: by name, the weights whose gradients may be kept by rows.
    """
    with computing():  # the number of BLAS threads decides between kernels
        return Binder(graph, parameters, target, gradient, training, seed, clock or Clock(), touched or {}).bind()
