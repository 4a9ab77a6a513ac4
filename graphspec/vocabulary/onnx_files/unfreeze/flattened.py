"""Products of rows that a file flattens in another order than ours: (time, batch, …) → (time · batch, …) → (time, batch, …).

What works on each row of a matrix does the same to the array before it was flattened. There the batch is an axis of its own.

::

    x (T, N, C);  Reshape → (T·N, C);  Gemm → (T·N, K);  Reshape → (T, N, K)      in the file
    x (T, N, C);  MatMul, Add → (T, N, K)                                         here
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphspec.graph.ir.dims import has_rows, product
from graphspec.graph.ir.graph import Node, Value
from graphspec.graph.ops import OPS

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder


class Flattened:
    """The arrays of more axes that matrices of rows stand for, by the matrix's name."""

    def __init__(self, g: Builder) -> None:
        self.g = g
        self.whole: dict[str, Value] = {}

    def of(self, X: Value | None) -> Value | None:
        """Return the array that a matrix stands for; None if it stands for itself."""
        if X is None:
            return None
        if X.name not in self.whole and (found := self._before_flattening(X)) is not None:
            self.whole[X.name] = found
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
        found: Value = self.g.Reshape(first, self.g.constant([*(0,) * at, -1, X.fixed(1)]))
        return found

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
            found = self._product(node.op, X, others, node.attrs) if at == 0 else None
        elif all(v is None or _by_column(v) for v in others) and made.rank == 2:
            found = self._by_element(node, at, X)
        else:
            found = None
        if found is not None:
            self.whole[made.name] = found
        return made

    def _by_element(self, node: Node, at: int, X: Value) -> Value | None:
        inputs = [X if k == at else v for k, v in enumerate(node.inputs)]
        if OPS[node.op].elementwise:
            return self._emit(node.op, inputs, node.attrs)
        if OPS[node.op].rows == "along_axis" and len(node.outputs) == 1 and node.attrs["axis"] in (1, -1):
            return self._emit(node.op, inputs, node.attrs | {"axis": -1})
        return None

    def _emit(self, op: str, inputs: Sequence[Value | None], attributes: dict[str, Any]) -> Value:
        found: Value = self.g.emit(op, inputs, attributes)
        return found

    def _product(self, op: str, X: Value, others: Sequence[Value | None], attributes: dict[str, Any]) -> Value | None:
        """Return the product of the array with a matrix that is the same for all rows; None for what it does not know."""
        g, W = self.g, others[0]
        if W is None or W.kind not in ("param", "constant") or W.rank != 2:
            return None
        if op == "MatMul":
            return g.MatMul(X, W)
        bias = others[1] if len(others) > 1 else None
        if attributes["transA"] or (attributes["alpha"], attributes["beta"]) != (1.0, 1.0):
            return None
        if bias is not None and not _by_column(bias):
            return None
        Y = g.MatMul(X, g.Transpose(W, perm=(1, 0)) if attributes["transB"] else W)
        return Y if bias is None else g.Add(Y, bias)


def _by_column(X: Value) -> bool:
    """Return whether a weight or constant is the same for all rows of a matrix."""
    return X.kind in ("param", "constant") and (X.rank <= 1 or (X.rank == 2 and X.shape[0] == 1))
