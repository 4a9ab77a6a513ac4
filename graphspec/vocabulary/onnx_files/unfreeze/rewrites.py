"""What files spell by parts, or flattened, as fewer operators: the same functions with fewer passes over memory.

Rows that a file flattens in another order than ours stay apart: (time, batch, …) → (time · batch, …) → (time, batch, …).
What works on each row of a matrix does the same to the array before it was flattened. There the batch is an axis of its own.

::

    x (T, N, C);  Reshape → (T·N, C);  Gemm → (T·N, K);  Reshape → (T, N, K)      in the file
    x (T, N, C);  MatMul, Add → (T, N, K)                                         here

An activation that is spelled by parts becomes one operator:

::

    Mul(x, Sigmoid(x))                              Swish(x)
    Mul(x, HardSigmoid(x, 1/6, 1/2))                HardSwish(x)
    Div(Mul(x, Clip(Add(x, 3), 0, 6)), 6)           HardSwish(x)
    Mul(Mul(x, Add(Erf(Div(x, √2)), 1)), 1/2)       Gelu(x)

The parts stay in the graph only if something else reads them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import has_rows, product
from graphspec.graph.ir.graph import Node, Value
from graphspec.graph.ops import OPS


class Flattened:
    """The arrays of more axes that matrices of rows stand for, by the matrix's name."""

    def __init__(self, g: Builder) -> None:
        self.g = g
        self.whole: dict[str, Value] = {}

    def of(self, X: Value | None) -> Value | None:
        """Return the array that a matrix stands for; None if it stands for itself."""
        if X is None:
            return None
        if X.name not in self.whole and (whole := self._before_flattening(X)) is not None:
            self.whole[X.name] = whole
        return self.whole.get(X.name)

    def _before_flattening(self, X: Value) -> Value | None:
        """Return the array of which X is the matrix of rows, if the batch is not its first axis; None for other values."""
        node = X.node
        first = node.inputs[0] if node is not None and node.op == "Reshape" and X.rank == 2 else None
        at = next((k for k, d in enumerate(() if first is None else first.shape) if has_rows((d,))), 0)
        if first is None or not at or X.shape[0] != product((*first.shape[:at], "N")):
            return None
        if first.shape[at:] == ("N", X.shape[1]):
            return first
        unrolled: Value = self.g.Reshape(first, self.g.constant([*(0,) * at, -1, X.fixed(1)]))
        return unrolled

    def follow(self, made: Value) -> Value:
        """Note what a matrix that was made stands for. Return the array that a reshaped one is, else the value itself."""
        node = made.node
        at, X = next(((k, X) for k, v in enumerate(node.inputs) if (X := self.of(v))), (0, None)) if node else (0, None)
        if node is None or X is None:
            return made
        if node.op == "Reshape":
            return X if X.shape == made.shape else made
        others = [v for k, v in enumerate(node.inputs) if k != at]
        if node.op in ("MatMul", "Gemm"):
            same = self._product(node.op, X, others, node.attrs) if at == 0 else None
        elif all(v is None or _by_column(v) for v in others) and made.rank == 2:
            same = self._by_element(node, at, X)
        else:
            same = None
        if same is not None:
            self.whole[made.name] = same
        return made

    def _by_element(self, node: Node, at: int, X: Value) -> Value | None:
        rows = OPS[node.op].rows == "along_axis"
        if not OPS[node.op].elementwise and not (rows and len(node.outputs) == 1 and node.attrs["axis"] in (1, -1)):
            return None
        inputs = [X if k == at else v for k, v in enumerate(node.inputs)]
        same: Value = self.g.emit(node.op, inputs, node.attrs | ({"axis": -1} if rows else {}))
        return same

    def _product(self, op: str, X: Value, others: Sequence[Value | None], attributes: dict[str, Any]) -> Value | None:
        """Return the product of the array with a matrix that is the same for all rows; None for what it does not know."""
        g, W = self.g, others[0]
        if W is None or W.kind not in ("param", "constant") or W.rank != 2:
            return None
        if op == "MatMul":
            return g.MatMul(X, W)
        bias = others[1] if len(others) > 1 else None
        scaled = attributes["transA"] or (attributes["alpha"], attributes["beta"]) != (1.0, 1.0)
        if scaled or (bias is not None and not _by_column(bias)):
            return None
        Y = g.MatMul(X, g.Transpose(W, perm=(1, 0)) if attributes["transB"] else W)
        return Y if bias is None else g.Add(Y, bias)


def _by_column(X: Value) -> bool:
    """Return whether a weight or constant is the same for all rows of a matrix."""
    return X.kind in ("param", "constant") and (X.rank <= 1 or (X.rank == 2 and X.shape[0] == 1))


_is = partial(math.isclose, rel_tol=1e-6)  # constants of files are rounded to float32, some written with six digits


def whole_activation(g: Builder, made: Value) -> Value:
    """Return the activation that a value is the last part of, else the value."""
    node = made.node
    if node is None or not made.type.is_float:
        return made
    for X, gate in _factors(made, made):
        if gate.inputs and gate.inputs[0] is not None and gate.inputs[0].name == X.name:
            if gate.op == "Sigmoid":
                return g.Swish(X)
            if gate.op == "HardSigmoid" and _is(gate.attrs["alpha"], 1 / 6) and _is(gate.attrs["beta"], 0.5):
                return g.HardSwish(X)
    inner, scale = _parted(made, "Mul") or _parted(made, "Div") or (None, 0.0)
    scale = 1 / scale if node.op == "Div" and scale else scale
    for X, other in _factors(inner, made):
        if _is(scale, 1 / 6) and _is_relu6(X, other):
            return g.HardSwish(X)
        if _is(scale, 0.5) and _is_erf(X, other):
            return g.Gelu(X)
    return made


def _factors(value: Value | None, like: Value) -> Iterator[tuple[Value, Node]]:
    """Yield each factor of a product, if it has the shape of ``like``, with the node of the other one."""
    node = None if value is None else value.node
    if node is not None and node.op == "Mul":
        for X, other in (node.inputs, node.inputs[::-1]):
            if X is not None and other is not None and other.node is not None and X.shape == like.shape:
                yield X, other.node


def _is_relu6(X: Value, node: Node) -> bool:
    if node.op != "Clip" or len(node.inputs) != 3 or (_number(node.inputs[1]), _number(node.inputs[2])) != (0.0, 6.0):
        return False
    value, number = _parted(node.inputs[0], "Add") or (None, 0.0)
    return value is not None and value.name == X.name and number == 3.0


def _is_erf(X: Value, node: Node) -> bool:
    value, one = _parted(node.outputs[0], "Add") or (None, 0.0)
    erf = None if value is None else value.node
    if erf is None or erf.op != "Erf" or one != 1.0:
        return False
    forms = [(_parted(erf.inputs[0], op), number) for op, number in (("Div", math.sqrt(2.0)), ("Mul", math.sqrt(0.5)))]
    return any(parts is not None and parts[0].name == X.name and _is(parts[1], number) for parts, number in forms)


def _parted(value: Value | None, op: str) -> tuple[Value, float] | None:
    """Return the value and the number that an operator with a constant joins, in any order if that is the same."""
    node = None if value is None else value.node
    if node is None or node.op != op or len(node.inputs) != 2:
        return None
    a, b = node.inputs
    if _number(b) is None and OPS[op].commutes:
        a, b = b, a
    number = _number(b)
    return None if a is None or number is None else (a, number)


def _number(value: Value | None) -> float | None:
    """Return the only element of a constant; None for other values."""
    if value is None or value.kind != "constant" or value.data is None or value.data.size != 1:
        return None
    return float(value.data.reshape(()))
