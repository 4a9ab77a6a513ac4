"""The builder that layers, losses and regularizers emit operators with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from graphspec.codes import Code
from graphspec.config import FLOAT32
from graphspec.errors import ShapeError
from graphspec.graph.operators import Operators
from graphspec.ir.dims import Dim, show
from graphspec.ir.graph import Array, Constraint, Graph, Initializer, Layout, Lowers, Node, Param, Type, Value
from graphspec.ops import OPS

_AS_IN_KERAS = Layout()
_KEEP_WHOLE = 64  # integer vectors up to this length are followed symbolically


_MOST_AXES = 32
_LARGEST = 2**62


def _check_sizes(types: Type | tuple[Type, ...]) -> None:
    for kind in types if isinstance(types, tuple) else (types,):
        if len(kind.shape) > _MOST_AXES:
            text = f"would make data of {len(kind.shape)} axes, at most {_MOST_AXES}"
            raise ShapeError(Code.WRONG_RANK, text, hint="join some of them with Reshape")
        for d in kind.shape:
            if isinstance(d, int) and d > _LARGEST:
                text = f"would make data of {show(kind.shape)}, sizes beyond 64 bits"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="make its sizes smaller")


def _check_numbers(array: Array) -> None:
    """Numbers that are computed from those of a spec must fit float32."""
    if array.dtype != np.float64 or not array.size:
        return
    for x in (array.min(), array.max()):
        if FLOAT32 <= abs(x) < np.inf:
            raise ShapeError(
                Code.VALUE_NOT_ALLOWED, f"has the number {x:g}, which float32 cannot hold", hint="scale it"
            )


@dataclass
class Builder(Operators):
    """Appends operators to a graph on behalf of one spec node.

    ``g.Relu(x)``, ``g.Gemm(a, b, c, transB=1)``, … have the ONNX operator's name; positional arguments are its inputs,
    keywords its attributes. Output types are inferred at once; what cannot work raises :class:`ShapeError`.

    Args:
        graph: the graph to extend.
        owner: the spec node whose name prefixes everything that is emitted.
        weights: the spec node whose weights are used; another than ``owner`` for a node with ``share``.
        trainable: False freezes the weights that are made here.
    """

    graph: Graph
    owner: str
    weights: str = ""
    trainable: bool = True
    _prefix: str = ""
    _names: dict[str, int] = field(default_factory=dict)
    _rewrites: dict[str, Callable[[Value], Value]] = field(default_factory=dict)

    def emit(self, name: str, inputs: Sequence[Value | None], attributes: dict[str, Any]) -> Any:
        """One operator node. Returns its output, or a tuple of outputs where the operator has several."""
        op = OPS[name](**attributes)
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        types = op.infer(*inputs)
        _check_sizes(types)
        node = Node(self._unique(f"{self.owner}/{self._prefix}{name}"), name, tuple(inputs), op.attributes, self.owner)
        several = isinstance(types, tuple)
        kinds = cast("tuple[Type, ...]", types if several else (types,))
        names = [node.name if k == 0 else f"{node.name}:{k}" for k in range(len(kinds))]
        node.outputs = tuple(Value(n, t, "op", node, k) for k, (n, t) in enumerate(zip(names, kinds, strict=True)))
        first = node.outputs[0]
        if (
            first.dtype == "int64"
            and first.rank <= 1
            and all(isinstance(d, int) and d <= _KEEP_WHOLE for d in first.shape)
        ):
            first.dims = op.dims(*inputs)
        self.graph.nodes.append(node)
        return node.outputs if several else first

    def _unique(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    def param(
        self,
        role: str,
        shape: Sequence[int],
        initializer: Initializer,
        *,
        layout: Layout | None = None,
        regularizer: Lowers | None = None,
        constraint: Constraint | None = None,
        trainable: bool = True,
        state: bool = False,
    ) -> Value:
        """The weight ``<node>/<role>`` of ``shape`` in Keras's layout; the value has the graph's ``layout``.

        A node with ``share`` gets the weight of the node it shares; ``GS307`` if that has another shape.
        """
        name = f"{self.weights or self.owner}/{self._prefix}{role}"
        shape = tuple(shape)
        if known := self.graph.params.get(name):
            if known.shape != shape:
                raise ShapeError(
                    Code.SHARED_SHAPES_DIFFER,
                    f"shares '{name}' of shape {show(known.shape)}, but its inputs need shape {show(shape)}",
                    hint=f"give '{self.owner}' inputs of the same feature sizes as '{self.weights}', or weights of its own",
                )
            return self._rewritten(role, self.graph.values[name])
        param = Param(
            name,
            shape,
            initializer,
            layout or _AS_IN_KERAS,
            trainable=trainable and self.trainable and not state,
            state=state,
            regularizer=regularizer,
            constraint=constraint,
        )
        value = Value(name, Type("float32", param.stored_shape), "param", param=param)
        self.graph.params[name] = param
        self.graph.values[name] = value
        return self._rewritten(role, value)

    def _rewritten(self, role: str, value: Value) -> Value:
        return self._rewrites[self._prefix + role](value) if self._prefix + role in self._rewrites else value

    @contextmanager
    def rewriting(self, functions: dict[str, Callable[[Value], Value]]) -> Iterator[Builder]:
        """Weights of these roles that are made inside go through their function first (spectral normalization)."""
        before = self._rewrites
        self._rewrites = before | {self._prefix + role: function for role, function in functions.items()}
        try:
            yield self
        finally:
            self._rewrites = before

    def constant(self, data: Any, dtype: str | None = None) -> Value:
        """A constant tensor; ``dtype`` defaults to int64 for integers and float32 for floats."""
        array: Array = np.asarray(data)
        if dtype is None:
            dtype = {"i": "int64", "u": "int64", "f": "float32", "b": "bool"}[array.dtype.kind]
        _check_numbers(array)
        array = array.astype(dtype, copy=any(array.strides) or not array.ndim)  # a broadcast number takes no memory
        array.flags.writeable = False
        name = self._unique(f"{self.owner}/{self._prefix}const")
        return Value(name, Type(dtype, array.shape), "constant", data=array)

    def ints(self, values: Sequence[Dim | Value]) -> Value:
        """An int64 vector for Reshape, Expand, …: integers, or values of shape (1,) such as a ``size`` of another tensor."""
        if all(isinstance(v, int) for v in values):
            return self.constant(np.array(values, np.int64))
        parts = [v if isinstance(v, Value) else self.constant(np.array([v], np.int64)) for v in values]
        return self.Concat(*parts, axis=0)

    def size(self, X: Value, axis: int) -> int | Value:
        """The size of an axis: an integer where it is fixed, else an int64 value of shape (1,)."""
        d = X.shape[axis]
        if isinstance(d, int):
            return d
        axis %= X.rank
        return self.Slice(self.Shape(X), self.constant([axis]), self.constant([axis + 1]), self.constant([0]))

    def reshape(self, X: Value, shape: Sequence[int | Value]) -> Value:
        """Reshape to sizes that are integers or values of shape (1,)."""
        return self.Reshape(X, self.ints(shape))

    def unit(self, X: Value, axes: Sequence[int], least: float = 1e-7) -> Value:
        """``X / max(‖X‖, least)``, the length taken over ``axes``."""
        length = self.Max(self.ReduceL2(X, axes=tuple(axes), keepdims=1), self.constant(least, "float32"))
        return self.Div(X, length)

    def activate(self, activation: Lowers | None, X: Value) -> Value:
        """``activation(X)``, X itself for none."""
        return X if activation is None else activation.lower(self, X)

    def penalize(self, regularizer: Lowers | None, *outputs: Value) -> None:
        """Add the penalty on a layer's outputs to the loss, as Keras does: averaged over the batch, masked or not."""
        if regularizer is not None:
            with self.part("activity"):
                self.graph.penalties += [self.PerRow(regularizer.lower(self, Y)) for Y in outputs]

    @contextmanager
    def part(self, name: str) -> Iterator[Builder]:
        """Weights and operators made inside are called ``<node>/<name>/…`` (wrappers: ``forward``, ``backward``)."""
        before = self._prefix
        self._prefix = f"{before}{name}/"
        try:
            yield self
        finally:
            self._prefix = before

    def transpose(self, X: Value, perm: Sequence[int]) -> Value:
        """X with permuted axes; X itself where the permutation is the identity."""
        return X if list(perm) == list(range(X.rank)) else self.Transpose(X, perm=tuple(perm))
