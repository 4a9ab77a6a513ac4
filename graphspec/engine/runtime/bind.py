"""Bind a graph to a batch shape: allocate buffers for all values, and build one flat list of calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from graphspec.base.arrays.blas import computing
from graphspec.base.arrays.calls import Call, Calls
from graphspec.base.arrays.layout import axis_order, root, view_as
from graphspec.base.arrays.random import Clock, Stream
from graphspec.base.gc_pause import gc_paused
from graphspec.engine.runtime.buffers import Pool, Scratch, backward_uses, ints, kept_by_rows, last_uses, reserve
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program, ProgramCache
from graphspec.graph.analysis import Ranges, id_ranges, infer_shapes, needed_gradients
from graphspec.graph.builder import Builder, Target
from graphspec.graph.ir.dims import Shape, has_rows
from graphspec.graph.ir.graph import ANY, Array, Graph, Node, Range, Type, Value
from graphspec.graph.kernels.common import each_block
from graphspec.graph.kernels.compiled import join_two
from graphspec.graph.kernels.context import Backward, Shard, ShardedKernel
from graphspec.graph.kernels.touched_rows import TouchedRows
from graphspec.graph.ops import OPS, operator
from graphspec.graph.passes import FOR_PROGRAM, prepare
from graphspec.graph.passes.for_program import shared_buffers


class NodeContext:
    """What a binder passes to a node's operator, a :class:`Context`: memory for arrays and gradients, and settings."""

    def __init__(self, binder: Binder, node: Node, index: int) -> None:
        self._binder, self._node, self.index, self.owner = binder, node, index, node.owner
        self.training, self.dtype, self.group = binder.training, binder.dtype, binder.shard.group
        self.rows, self.total, self.outputs = binder.shard.rows, binder.shard.total, len(node.outputs)
        self.alike = binder.has_rows and not any(has_rows(v.shape) for v in node.sources)
        self.mark, self.reset, self.zeros_like = binder.scratch.mark, binder.scratch.reset, binder.zeros
        self.pending: Calls = []

    def _output(self, k: int) -> Value:
        return self._binder.types[self._node.outputs[k].name]

    def _input(self, i: int) -> Value | None:
        return self._node.inputs[i] if i < len(self._node.inputs) else None

    def _differentiated(self, i: int) -> Value | None:
        """Return an input whose gradient is computed, else None."""
        value = self._input(i)
        return value if value is not None and value.name in self._binder.differentiated else None

    def out(self, k: int = 0, *, like: Array | None = None, order: Sequence[int] | None = None) -> Array:
        value_type = self._output(k).type
        if like is not None and like.ndim == len(value_type.shape):
            order = axis_order(like)
        return self._binder.pool.take(ints(value_type.shape), self._binder.dtype_of(value_type), order)

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return self._binder.scratch.take(shape, self.dtype if dtype is None else dtype)

    def save_for_backward(self, shape: Sequence[int], dtype: Any = None) -> Array:
        return self._binder.saved.take(shape, self.dtype if dtype is None else dtype)

    def constant(self, value: Any, dtype: Any = None) -> Array:
        array = np.array(value, self.dtype if dtype is None else dtype)
        self._binder.extra += array.nbytes
        return array

    def shape(self, k: int = 0) -> tuple[int, ...]:
        return ints(self._output(k).shape)

    def known(self, i: int) -> Array | None:
        value = self._input(i)
        if value is None:
            return None
        if value.data is not None:
            return value.data
        known = self._binder.types[value.name]
        return None if known.dims is None else np.array(known.dims, np.int64).reshape(ints(known.shape))

    def range(self, i: int) -> Range:
        value = self._node.inputs[i]
        return ANY if value is None else self._binder.ranges.of(value)

    def wants(self, i: int) -> bool:
        return self._differentiated(i) is not None

    def grad(self, i: int) -> Array | None:
        value, binder = self._differentiated(i), self._binder
        if value is None:
            return None
        if (total := binder.gradients.get(value.name)) is None:
            return binder.new_gradient(value)
        like = binder.arrays[value.name]
        term = binder.scratch.take(like.shape, like.dtype, axis_order(like))
        self.pending += each_block(np.add, total, term, total)
        return term

    def row_grad(self, i: int, ids: Array) -> tuple[Array, Calls] | None:
        value, binder = self._differentiated(i), self._binder
        if value is None or (touched := binder.touched.get(value.name)) is None:
            return None
        if (total := binder.gradients.get(value.name)) is not None:
            return total, [(touched.add, ids)]
        gradient = binder.new_gradient(value)
        return gradient, [(touched.begin, gradient), (touched.add, ids)]

    def give_grad(self, i: int, array: Array) -> None:
        value, binder = self._differentiated(i), self._binder
        if value is None:
            return
        if (total := binder.gradients.get(value.name)) is not None:
            self.pending += each_block(np.add, total, array, total)
        elif value.param is not None or value.name in binder.requested:
            self.pending += each_block(np.copyto, binder.new_gradient(value), array)
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

    def program(self, graph: Graph, shapes: Mapping[str, Shape], grads: Sequence[str] = ()) -> Program:
        binder = self._binder
        if grads:
            given = {f"{name}/slope": v for name, v in graph.outputs.items() if f"{name}/slope" in shapes}
            slopes = {name: Value(name, v.type, "input") for name, v in given.items()}
            graph = replace(graph, inputs=graph.inputs | slopes, nodes=list(graph.nodes), outputs={})
            with Builder(graph, f"{self._node.name}/slopes") as g:
                terms = [g.ReduceSum(v * slopes[name], keepdims=0) for name, v in given.items()]
                graph.loss = g.Sum(*terms) if terms else g.constant(0.0)
        shard = replace(binder.shard, matrices={})  # products of the workers together stand outside
        target = replace(binder.target, shapes=shapes, input_grads=tuple(grads), shard=shard)
        options: dict[str, Any] = {"training": self.training, "seed": binder.seed, "clock": binder.clock}
        found = build_program(graph, Parameters(graph, self.dtype), target, **options)
        binder.extra += found.nbytes
        return found

    def after_barrier(self, calls: Calls) -> None:
        self._binder.after += calls

    def stream(self, purpose: str) -> Stream:
        return Stream(self._binder.seed, purpose, self._node.name, self._binder.clock)


# Interleave the calls of neighbouring operators block by block, to use each block while it is in the cache.
_LARGE = 1 << 15  # elements of an operand from which moving a call pays
_MAX_USES = 1 << 11  # each call is compared with at most this many earlier uses of memory
Label = tuple[str, str]
Position = tuple[int, ...]
Use = tuple[int, int, bool]  # of memory by a call: the first address, the end, and whether the call writes there


@dataclass(frozen=True)
class NodeCalls:
    """The calls of one node, labelled with phase and name. ``blockwise`` calls may move between those of earlier parts."""

    label: Label
    calls: Calls
    blockwise: bool


def interleave_blocks(parts: Sequence[NodeCalls]) -> Iterator[tuple[Label, Calls]]:
    """Yield all calls in the order in which to make them: runs of calls of one part, each with the part's label."""
    if not any(part.blockwise and any(map(_large, part.calls)) for part in parts):
        yield from ((part.label, part.calls) for part in parts)
        return
    ordered = sorted(_positions(parts), key=lambda entry: entry[0])
    for k, run in groupby(ordered, lambda entry: entry[1]):
        yield parts[k].label, [call for _, _, call in run]


def _positions(parts: Sequence[NodeCalls]) -> Iterator[tuple[Position, int, Call]]:
    """Yield the position of every call, the index of its part, and the call; positions sort calls into their final order.

    Positions are compared lexicographically. A call that follows a call of an earlier part extends that call's position,
    so it comes right after that call, before all calls that followed it until now. Calls of one part that follow the same
    call keep their order.
    """
    table, number = _Table(), 0
    for k, part in enumerate(parts):
        for call in part.calls:
            number += 1
            position: Position = (k, number)
            uses = _uses(call) if part.blockwise else None
            if part.blockwise:
                after = table.latest if uses is None else max(map(table.before, uses), default=table.floor)
                position = (*after[:-1], number) if after[-2:-1] == (k,) else (*after, *position)
            table.add(position, uses)
            yield position, k, call


class _Table:
    """The ranges of memory that the calls so far use, and the positions of these calls."""

    def __init__(self) -> None:
        self.floor: Position = (-1,)  # that of a call that all later calls must follow
        self.latest: Position = self.floor
        self._positions: list[Position] = []
        self._uses = np.zeros((3, _MAX_USES), np.int64)

    def add(self, position: Position, uses: list[Use] | None) -> None:
        """Add a call. Every later call must follow it if ``uses`` is None."""
        self.latest = max(self.latest, position)
        if uses is None or len(self._positions) + len(uses) > _MAX_USES:
            self.floor = self.latest
            self._positions.clear()
        for use in uses or ():
            self._uses[:, len(self._positions)] = use
            self._positions.append(position)

    def before(self, use: Use) -> Position:
        """Return the last position among the calls that a call with this use must follow."""
        first, last, writes = use
        start, stop, written = self._uses[:, : len(self._positions)]
        conflicts = (start < last) & (stop > first)
        if not writes:
            conflicts &= written != 0
        return max((self._positions[k] for k in np.flatnonzero(conflicts).tolist()), default=self.floor)


def _uses(call: Call) -> list[Use] | None:
    """Return the memory that a call uses; None if it is not known which operands the function reads and writes."""
    f, *operands = call
    if (uses := getattr(f, "uses", None)) is not None:  # a compiled kernel knows
        return list(uses())
    named: dict[str, Any] = {}
    if isinstance(f, partial):
        operands, named = [*f.args, *operands], f.keywords
        f = f.func
    results = [named["out"]] if "out" in named else []
    owner = getattr(f, "__self__", None)
    if isinstance(f, np.ufunc):
        results += operands[f.nin :]
    elif f is np.copyto:
        results += operands[:1]
    elif f is np.dot:
        results += operands[2:]
    elif isinstance(owner, np.ufunc) and f.__name__ == "reduce":
        results += operands[3:]
    elif isinstance(owner, np.ndarray) and f.__name__ == "fill":
        results.append(owner)
    elif isinstance(owner, np.ndarray) and f.__name__ == "clip":
        results += operands[2:]
        operands.insert(0, owner)
    elif f is not np.einsum:
        return None
    if any(isinstance(x, tuple | list) for x in (*operands, *named.values())):
        return None
    written = {id(x) for x in results}
    arrays = {id(x): x for x in (*operands, *named.values(), *results) if isinstance(x, np.ndarray)}
    return [(*byte_bounds(x), key in written) for key, x in arrays.items()]


def _large(call: Call) -> bool:
    operands = getattr(call[0], "operands", call[1:])
    return any(isinstance(x, np.ndarray) and x.size >= _LARGE for x in operands)


@dataclass
class Binder:
    """Builds the arrays and calls of one program, node by node; its arguments are those of :func:`build_program`."""

    # What it builds, for nodes n0, n1, n2 and a loss:
    #
    #   calls     n0 ─▶ n1 ─▶ n2 ─▶ loss ┐                  `spans` says which calls belong to which node
    #             g0 ◀─ g1 ◀─ g2 ◀─── 1 ◀┘                  from `backward_start` on; only for values in `differentiated`
    #   after     statistics                                once all workers have their gradients
    #
    #   arrays     a value of the forward pass, by name     from `pool`, given back after `last` use; what `backward_uses`
    #                                                       names stays until the gradient that reads it is bound
    #   gradients  of a value, by name                      from `pool`, given back when consumed; of a weight: its part
    #                                                       of `gradient`, one vector for the optimizer
    #   saved      what operators keep for their gradients
    #   scratch    one block for each node in turn: reset between nodes, unless they run block by block (`_chained`)
    #   _pinned    blocks that are never given back: inputs, constants, weights, memory that workers share

    graph: Graph
    parameters: Parameters
    target: Target
    gradient: Array | None = None
    training: bool = False
    seed: int = 0
    clock: Clock = field(default_factory=Clock)
    may_touch: Mapping[str, TouchedRows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph, self.shapes, roots = self.graph, self.target.shapes, self.graph.roots()
        self.dtype = self.parameters.dtype
        self.shard = self.target.shard or Shard.whole(next((int(s[0]) for s in self.shapes.values() if s), 1))
        self._shared = shared_buffers(graph, self.shard) if self.shard.matrices else dict[str, Array]()
        self.ranges, self.requested = Ranges(id_ranges(graph)), set(self.target.input_grads)
        self.nodes = graph.needed(roots)
        self.types = infer_shapes(graph, self.nodes, self.shapes, total=self.shard.total)
        self.has_rows = any(has_rows(v.shape) for v in graph.inputs.values())  # the batch axis of inputs has its name
        results = [v for node in self.nodes for v in node.outputs]
        values = [self.types[v.name] for v in (*graph.inputs.values(), *results) if v.name in self.types]
        sizes = [math.prod(ints(v.shape)) * self.dtype_of(v.type).itemsize for v in values]
        largest = max(sizes, default=1)
        self.touched = kept_by_rows(self.may_touch, self.nodes, self.types)  # weights with gradients by rows
        self.pool, self.saved, self.scratch, self.extra = Pool(sum(sizes)), Pool(largest), Scratch(2 * largest), 0
        self.arrays, self.gradients, self._zeros = dict[str, Array](), dict[str, Array](), dict[Any, Array]()
        self.calls, self.after, self._parts, self._chained = Calls(), Calls(), list[NodeCalls](), False
        self.spans: list[tuple[str, str, int, int]] = []
        # The names of values whose gradients are computed; those of inputs that the caller wants are `requested`.
        self.differentiated = needed_gradients(graph, self.nodes, self.target.input_grads)
        self.backward_uses = backward_uses(self.nodes, self.differentiated, roots)
        self.last = last_uses(self.nodes, self.backward_uses)
        self._root_last, self._gradient_views = dict[int, int](), dict[int, int]()
        self._candidates: list[list[int]] = [[] for _ in self.nodes]
        self._pinned, self._forward = set[int](), set[int]()

    def dtype_of(self, value_type: Type) -> np.dtype[Any]:
        """Return the dtype of a value's arrays: floats have the program's dtype."""
        return self.dtype if value_type.is_float else np.dtype(value_type.dtype)

    def zeros(self, X: Array) -> Array:
        """Return zeros with X's shape, dtype and layout; all nodes share them."""
        order = axis_order(X)
        key = (X.shape, X.dtype.str, order)
        if key not in self._zeros:
            self._zeros[key] = view_as(reserve(X.nbytes), X.shape, X.dtype, order)
        return self._zeros[key]

    def may_overwrite(self, value: Value, node: Node, index: int) -> bool:
        """Return whether nothing reads the memory of ``value`` after ``node``, the node with this index."""
        if value.kind != "op" or sum(v.name == value.name for v in node.sources) != 1:
            return False
        block = root(self.arrays[value.name])
        aliases = [v for v in node.sources if root(self.arrays[v.name]) == block]
        return len(aliases) == 1 and block in self._root_last and self._root_last[block] <= index

    def new_gradient(self, value: Value) -> Array:
        """Return the new gradient of ``value``: a part of the gradient vector, shared memory, or a buffer."""
        if value.param is not None and value.param.trainable:
            assert self.gradient is not None
            gradient = self.parameters.view(value.name, self.gradient)
        elif value.name in self._shared:
            gradient = self._shared[value.name]
        else:
            like = self.arrays[value.name]
            gradient = self.pool.take(like.shape, like.dtype, axis_order(like))
        return self.set_gradient(value.name, gradient)

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

    @computing()  # the number of BLAS threads decides between kernels
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
            self._parts.append(NodeCalls(("forward", node.name), calls, OPS[node.op].blockwise))
            if backward is not None and any(v.name in self.differentiated for v in node.sources):
                backwards.append((node, context, backward))
            # Two values whose last use is this node may view the same block.
            for block in dict.fromkeys(b for b in self._candidates[index] if self._root_last.get(b) == index):
                del self._root_last[block]
                self.pool.release(block)
        self._interleave()
        backward_start = len(self.calls)
        self._bind_backward(backwards)
        self._interleave()
        fetches = {n: self._source(v) for n, v in self.graph.outputs.items()}
        nbytes = self.pool.nbytes + self.saved.nbytes + self.scratch.nbytes + self.extra
        grads = {n: self.gradients[n] for n in self.requested}
        kept = [a for n, a in self.arrays.items() if n in self.backward_uses or root(a) in self._pinned]
        made = [self.arrays[v.name] for node in self.nodes for v in node.outputs]
        return Program(feeds, fetches, self.calls, self.spans, nbytes, grads, backward_start, (made, kept), self.after)

    def set_gradient(self, name: str, array: Array) -> Array:
        """Record a gradient, and return it; its memory is reused after the last gradient that views it was consumed."""
        self.gradients[name] = array
        block = root(array)
        self._gradient_views[block] = self._gradient_views.get(block, 0) + 1
        return array

    def _bind_backward(self, backwards: list[tuple[Node, NodeContext, Backward]]) -> None:
        if self.graph.loss is None:
            return
        free_at: dict[int, int] = {}  # the last node to read each block that backward calls read; -1: fetches do
        for name, index in self.backward_uses.items():
            if name in self.arrays and (block := root(self.arrays[name])) not in self._pinned:
                free_at[block] = min(index, free_at.get(block, index))
        self._forward = set(free_at) | self._pinned
        due: list[list[int]] = [[] for _ in self.nodes]
        for block, index in free_at.items():
            if index >= 0:
                due[index].append(block)
        seed = self.set_gradient(self.graph.loss.name, np.ones((), self.dtype))
        self.calls += [(rows.touch_all,) for name, rows in self.may_touch.items() if name not in self.touched]
        self.calls.append((seed.fill, 1.0))  # in every step, since an operator may overwrite its outputs' gradients
        for node, context, backward in reversed(backwards):
            dYs = [self.gradients.get(v.name) for v in node.outputs]
            if all(dY is None for dY in dYs):
                continue
            self._begin(node)
            label = "backward", node.name
            self._parts.append(NodeCalls(label, list(backward(*dYs)), OPS[node.op].blockwise))
            self._parts.append(NodeCalls(label, context.pending, True))
            self._chained |= bool(context.pending)
            for v in node.outputs:
                if v.name in self.gradients and v.name not in self.requested:
                    block = root(self.gradients.pop(v.name))
                    self._gradient_views[block] -= 1
                    if not self._gradient_views[block] and block not in self._forward:
                        self.pool.release(block)
            for block in due[context.index]:
                self._forward.discard(block)
                if not self._gradient_views.get(block):
                    self.pool.release(block)
        self._zero_unreached()

    def _zero_unreached(self) -> None:
        """Write the zero gradients of weights and inputs that the loss does not depend on, once at bind time."""
        for segment in self.parameters.segments["trainable"] if self.gradient is not None else ():
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


@gc_paused()
def build_program(
    graph: Graph,
    parameters: Parameters,
    target: Target,
    *,
    gradient: Array | None = None,
    training: bool = False,  # whether dropout is active and batch statistics are used
    seed: int = 0,  # seed, clock: determine the random numbers of dropout and noise
    clock: Clock | None = None,
    touched: Mapping[str, TouchedRows] | None = None,  # by name, the weights whose gradients may be kept by rows
) -> Program:
    """Build a program that computes the outputs of a graph and, if it has a loss, the gradient of every trainable weight.

    :meth:`Graph.with_outputs` sets the outputs and the loss of a graph.

    ``target``: the shapes, and the worker's shard of the batch. An input (N, width) may instead receive the column
    indices of its ones, which its shape shows; see :func:`sparsify_bool_inputs`. ``gradient``: receives the weights'
    gradients: a vector with the layout of the ``trainable`` one of ``parameters``.
    """
    prepared = prepare(graph, FOR_PROGRAM, replace(target, training=training))
    return Binder(prepared, parameters, target, gradient, training, seed, clock or Clock(), touched or {}).bind()


class Compute:
    """Computes graphs without weights in float64, such as metrics' formulas; binds one once for each shape of arrays."""

    def __init__(self) -> None:
        self._programs = ProgramCache(max_bytes=1 << 24)

    def __call__(self, make: Callable[[], Graph], feeds: Mapping[str, Array]) -> dict[str, Array]:
        shapes = {name: array.shape for name, array in feeds.items()}

        def bound() -> Program:
            graph = make()
            return build_program(graph, Parameters(graph, np.float64), Target(shapes))

        with self._programs.borrow((*shapes.items(),), bound) as program, computing():
            return program.results(feeds, program.run)
