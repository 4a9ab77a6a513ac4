"""The builder, which layers, losses and regularizers use to emit operators; graphs that are rebuilt.

The examples of the passes use ``tests/support/sketching.py``; ``tests/graph/passes/test_docstrings.py`` runs them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from graphspec.base.config import FLOAT32_LIMIT
from graphspec.base.errors import Code, ShapeError
from graphspec.graph.ir import graph as ir
from graphspec.graph.ir.dims import Dim, LearntSize, Shape, show, stand_in
from graphspec.graph.operators import Operators
from graphspec.graph.ops import OPS

_AS_IN_KERAS = ir.Layout()
_MAX_KNOWN = 64  # the elements of int64 vectors up to this length are tracked symbolically (`Value.dims`)
_MAX_AXES = 32  # axes of a tensor
_MAX_SIZE = 2**62  # size of an axis


def _check_sizes(shape: Shape) -> None:
    """Raise :class:`ShapeError` if a tensor has too many axes (GS301) or an axis is too large (GS105)."""
    if len(shape) > _MAX_AXES:
        text = f"would create a tensor with {len(shape)} axes, at most {_MAX_AXES} are supported"
        raise ShapeError(Code.WRONG_RANK, text, hint="join some of them with Reshape")
    if any(isinstance(d, int) and d > _MAX_SIZE for d in shape):
        text = f"would create a tensor of shape {show(shape)}, whose sizes exceed 64 bits"
        raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="make its sizes smaller")


@dataclass
class Builder(Operators):
    """Appends operators to a graph on behalf of one spec node.

    Methods have the ONNX operator's name: ``g.Relu(x)``, ``g.Gemm(a, b, c, transB=1)``, …. Positional arguments are inputs,
    keywords are attributes. Output types are inferred immediately; invalid inputs raise :class:`ShapeError`. Inside
    ``with g:`` formulas of values emit into ``g``: ``a * b`` is ``g.Mul(a, b)``.

    """

    graph: ir.Graph
    owner: str  # the spec node whose name prefixes all names
    weights: str = ""  # the spec node whose weights are used; it differs from `owner` for a node with `share`
    trainable: bool = True  # False freezes the weights that this builder creates
    one_row: bool = False  # the layer's inputs are a batch of one row, which stands for values without a batch axis
    folder: Path | None = None  # of files of initial values; None if the weights exist: the files are not opened then
    means: tuple[str, str, float] | None = None  # how names of weights and of their running means begin; what stays
    _prefix: str = ""
    _names: dict[str, int] = field(default_factory=dict)
    _rewrites: dict[str, Callable[[ir.Value], ir.Value]] = field(default_factory=dict)
    _entered: list[Token[Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._entered.append(ir.BUILDER.set(self))
        return self

    def __exit__(self, *error: object) -> None:
        ir.BUILDER.reset(self._entered.pop())

    def emit(self, name: str, inputs: Sequence[ir.Value | None], attributes: dict[str, Any]) -> Any:
        """Append an operator node. Return its output, or a tuple if the operator has several outputs."""
        op = OPS[name](**attributes)
        if not op.takes_texts and (texts := next((v for v in inputs if v is not None and v.type.is_string), None)):
            hint = "convert the texts to ids first, with StringLookup, TextVectorization or Hashing"
            raise ShapeError(Code.WRONG_DTYPE, f"needs numbers, got {texts.type}", hint=hint)
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        types = op.infer(*inputs)
        several = isinstance(types, tuple)
        output_types = cast("tuple[ir.Type, ...]", types if several else (types,))
        for each in output_types:
            _check_sizes(each.shape)
        unique = self._unique(f"{self.owner}/{self._prefix}{name}")
        outputs = append(self.graph, unique, name, inputs, op.attributes, self.owner, output_types)
        shape = outputs[0].shape
        short = len(shape) <= 1 and all(isinstance(d, int) and d <= _MAX_KNOWN for d in shape)
        if short and outputs[0].dtype in ("int64", "int32"):
            outputs[0].dims = op.dims(*inputs)
        return outputs if several else outputs[0]

    def learnt(self, role: str) -> LearntSize:
        """Return the size ``<node>.<role>``, which the node learns from data; nodes that share weights share it."""
        name, sizes = self._weight_name(role).replace("/", "."), self.graph.learnt
        return sizes.setdefault(name, LearntSize(stand_in(len(sizes)), name))

    def _unique(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    def param(
        self,
        role: str,
        shape: Sequence[int],
        initializer: ir.Initializer,
        *,
        layout: ir.Layout | None = None,
        regularizer: ir.Lowers | None = None,
        constraint: ir.Constraint | None = None,
        state: bool = False,
    ) -> ir.Value:
        """Create the weight ``<node>/<role>``; ``shape`` is in Keras's layout, the returned value in the graph's ``layout``.

        For a node with ``share`` this is the weight of the other node; ``GS307`` if its shape differs.
        """
        name, shape = self._weight_name(role), tuple(shape)
        if state and self.means is not None:  # moving statistics are those of the means' own inputs
            name = name.replace(self.means[0], self.means[1], 1)
        if (existing := self.graph.params.get(name)) is None:
            moves = self.trainable and not state
            param = ir.Param(name, shape, initializer, layout or _AS_IN_KERAS, moves, state, regularizer, constraint)
            self.graph.params[name] = param
            self.graph.values[name] = ir.Value(name, ir.Type("float32", param.stored_shape), "param", param=param)
        elif existing.shape != shape:
            text = f"shares '{name}' of shape {show(existing.shape)}, but its inputs need shape {show(shape)}"
            hint = f"give '{self.owner}' inputs of the same feature sizes as '{self.weights}', or weights of its own"
            raise ShapeError(Code.SHARED_SHAPES_DIFFER, text, hint=hint)
        value = self.graph.values[name]
        return self._rewritten(role, value if state or self.means is None else self._mean(value, self.means))

    def _mean(self, value: ir.Value, means: tuple[str, str, float]) -> ir.Value:
        """Return the running mean of a weight, which is computed once in a step."""
        of, param = means[1] + value.name.removeprefix(means[0]), cast("ir.Param", value.param)
        if of not in self.graph.params:
            self.graph.params[of] = mean = ir.Param(
                of, param.shape, param.initializer, param.layout, False, True, mean_of=value.name
            )
            self.graph.values[of] = ir.Value(of, value.type, "param", param=mean)
        own = self.graph.values[of]
        known = (n.outputs[0] for n in self.graph.nodes if n.op == "RunningMean" and n.inputs[0] is own)
        return next(known, None) or self.RunningMean(own, value, momentum=means[2])

    def mark_looked_up(self, role: str, *, sparse: bool) -> None:
        """Note that a step uses only some rows of the weight ``<node>/<role>``; ``sparse``: and updates only these."""
        param = self.graph.params[self._weight_name(role)]
        param.looked_up, param.sparse = True, sparse

    def _weight_name(self, role: str) -> str:
        return f"{self.weights or self.owner}/{self._prefix}{role}"

    def _rewritten(self, role: str, value: ir.Value) -> ir.Value:
        return self._rewrites[self._prefix + role](value) if self._prefix + role in self._rewrites else value

    def rewriting(self, functions: dict[str, Callable[[ir.Value], ir.Value]]) -> AbstractContextManager[Builder]:
        """Apply a function to each weight with one of these roles that is created inside (spectral normalization)."""
        return self._within("_rewrites", self._rewrites | {self._prefix + role: f for role, f in functions.items()})

    @contextmanager
    def _within(self, name: str, value: Any) -> Iterator[Builder]:
        before = getattr(self, name)
        setattr(self, name, value)
        try:
            yield self
        finally:
            setattr(self, name, before)

    def constant(self, data: Any, dtype: str | None = None) -> ir.Value:
        """Return a constant; ``dtype`` defaults to int64 for integers, float32 for floats and string for texts."""
        array: ir.Array = np.asarray(data)
        if dtype is None:
            dtype = {"i": "int64", "u": "int64", "f": "float32", "b": "bool"}.get(array.dtype.kind, ir.STRING)
        for x in (array.min(), array.max()) if array.dtype == np.float64 and array.size else ():
            if FLOAT32_LIMIT <= abs(x) < np.inf:  # computed from numbers of the spec
                text = f"has the number {x:g}, which exceeds float32"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="scale it")
        stays = array.ndim > 0 and not any(array.strides)  # a broadcast scalar stays a view
        array = array.astype(ir.numpy_dtype(dtype), copy=not stays)
        array.flags.writeable = False
        name = self._unique(f"{self.owner}/{self._prefix}const")
        return ir.Value(name, ir.Type(dtype, array.shape), "constant", data=array)

    def ints(self, values: Sequence[Dim | ir.Value]) -> ir.Value:
        """Return an int64 vector for Reshape, Expand, … from integers and values of shape (1,), see :meth:`size`."""
        if all(isinstance(v, int) for v in values):
            return self.constant(np.array(values, np.int64))
        parts = [v if isinstance(v, ir.Value) else self.constant(np.array([v], np.int64)) for v in values]
        return self.Concat(*parts, axis=0)

    def size(self, X: ir.Value, axis: int) -> int | ir.Value:
        """Return the size of an axis: an integer if it is fixed, else an int64 value of shape (1,)."""
        d = X.shape[axis]
        if isinstance(d, int):
            return d
        axis %= X.rank
        return self.Slice(self.Shape(X), self.constant([axis]), self.constant([axis + 1]), self.constant([0]))

    def reshape(self, X: ir.Value, shape: Sequence[int | ir.Value]) -> ir.Value:
        """Return X reshaped to sizes that are integers or values of shape (1,)."""
        return self.Reshape(X, self.ints(shape))

    def unit(self, X: ir.Value, axes: Sequence[int], least: float = 1e-7) -> ir.Value:
        """Return ``X / max(‖X‖, least)``, with the norm over ``axes``."""
        norm = self.Max(self.ReduceL2(X, axes=tuple(axes), keepdims=1), self.constant(least, "float32"))
        return self.Div(X, norm)

    def activate(self, activation: ir.Lowers | None, X: ir.Value) -> ir.Value:
        """Return ``activation(X)``, or X if there is no activation."""
        return X if activation is None else activation.lower(self, X)

    def penalize(self, regularizer: ir.Lowers | None, *outputs: ir.Value) -> None:
        """Add the penalty on a layer's outputs to the loss, averaged over the batch; as in Keras, masks are ignored."""
        if regularizer is not None:
            share = self.RowShare if self.one_row else self.PerRow
            with self.part("activity"):
                self.graph.penalties += [share(regularizer.lower(self, Y)) for Y in outputs]

    def part(self, name: str) -> AbstractContextManager[Builder]:
        """Name weights and operators that are created inside ``<node>/<name>/…`` (wrappers: ``forward``, ``backward``)."""
        return self._within("_prefix", f"{self._prefix}{name}/")

    def again(self, Y: ir.Value, X: ir.Value, other: ir.Value) -> ir.Value:
        """Emit what computes Y from X once more, with the same weights, from ``other``, which has X's type."""
        new = {X.name: other}
        for node in self.graph.needed([Y]):
            if X.name not in {v.name for v in node.outputs} and any(v.name in new for v in node.sources):
                inputs = [None if v is None else new.get(v.name, v) for v in node.inputs]
                name, types = self._unique(f"{self.owner}/{node.name}"), [v.type for v in node.outputs]
                copies = append(self.graph, name, node.op, inputs, node.attrs, self.owner, types)
                for copy, old in zip(copies, node.outputs, strict=True):
                    copy.dims = old.dims
                new |= {old.name: copy for old, copy in zip(node.outputs, copies, strict=True)}
        return new.get(Y.name, Y)

    def transpose(self, X: ir.Value, perm: Sequence[int]) -> ir.Value:
        """Return X with permuted axes, or X itself if the permutation is the identity."""
        return X if list(perm) == list(range(X.rank)) else self.Transpose(X, perm=tuple(perm))


def append(
    graph: ir.Graph,
    name: str,
    op: str,
    inputs: Sequence[ir.Value | None],
    attrs: dict[str, Any],
    owner: str,
    types: Sequence[ir.Type],
    names: Sequence[str] | None = None,
) -> tuple[ir.Value, ...]:
    """Append an operator to a graph; by default its outputs have its name."""
    node = ir.Node(name, op, tuple(inputs), attrs, owner)
    names = names or [name if k == 0 else f"{name}:{k}" for k in range(len(types))]
    node.outputs = tuple(ir.Value(n, t, "op", node, k) for k, (n, t) in enumerate(zip(names, types, strict=True)))
    graph.nodes.append(node)
    return node.outputs


Visit = Callable[["Rebuild", ir.Node, tuple[ir.Value | None, ...]], Sequence[ir.Value] | None]


class Rebuild:
    """The graph under construction; a pass's ``visit`` emits into it and returns the replacements of a node's outputs."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = ir.Graph(
            graph.name, dict(graph.inputs), dict(graph.targets), dict(graph.params), dict(graph.values)
        )

    def copy(self, node: ir.Node, inputs: Sequence[ir.Value | None], **attrs: Any) -> tuple[ir.Value, ...]:
        """Append a copy of the node with other inputs of the same types, and with some attributes changed."""
        outputs = self._copy(node, inputs, node.attrs | attrs, [v.type for v in node.outputs])
        for new, old in zip(outputs, node.outputs, strict=True):
            new.dims = old.dims
        return outputs

    def copy_inferred(self, node: ir.Node, inputs: Sequence[ir.Value | None], **attrs: Any) -> tuple[ir.Value, ...]:
        """Append a copy of the node with inputs of other shapes; the types of its outputs are inferred again."""
        types = OPS[node.op](**node.attrs | attrs).infer(*inputs)
        return self._copy(node, inputs, node.attrs | attrs, types if isinstance(types, tuple) else (types,))

    def _copy(
        self, node: ir.Node, inputs: Sequence[ir.Value | None], attrs: dict[str, Any], types: Sequence[ir.Type]
    ) -> tuple[ir.Value, ...]:
        names = [v.name for v in node.outputs]
        return append(self.graph, node.name, node.op, inputs, attrs, node.owner, types, names)

    def builder(self, node: ir.Node) -> Builder:
        """Return a builder for the replacement of ``node``. Names begin with the node's name, so they are unique."""
        return Builder(self.graph, node.owner, _prefix=f"{node.name.removeprefix(f'{node.owner}/')}/")


def rebuild(graph: ir.Graph, visit: Visit) -> ir.Graph:
    """Return a new graph: for each node the result of ``visit``, or a copy of the node if this is None.

    Nodes on which neither an output nor the loss depends are omitted.
    """
    state = Rebuild(graph)
    replacements: dict[str, ir.Value] = {}

    def current(value: ir.Value | None) -> ir.Value | None:
        return value if value is None else replacements.get(value.name, value)

    for node in graph.needed(graph.roots()):
        inputs = tuple(current(v) for v in node.inputs)
        outputs = visit(state, node, inputs)
        if outputs is None:
            outputs = state.copy(node, inputs)
        replacements |= {old.name: new for old, new in zip(node.outputs, outputs, strict=False)}
    state.graph.outputs = {name: replacements.get(v.name, v) for name, v in graph.outputs.items()}
    state.graph.updates |= {name: replacements.get(v.name, v) for name, v in graph.updates.items()}
    state.graph.loss = current(graph.loss)
    state.graph.nodes = state.graph.needed(state.graph.roots())
    return state.graph


def readers(graph: ir.Graph) -> Counter[str]:
    """Return the number of readers of each value, by name: nodes, and the graph for an output or the loss."""
    read = [v for node in graph.needed(graph.roots()) for v in node.sources]
    return Counter(v.name for v in (*read, *graph.roots()))
