"""What an activation is: arguments, and a lowering to ONNX operators, mostly to one of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphspec.codes import Code
from graphspec.config import Config, Registry, as_tuple
from graphspec.errors import ShapeError
from graphspec.ir.dims import show

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


class Activation(Config):
    """A function of a tensor. A subclass names its operator, or has a :meth:`lower` of its own."""

    op: ClassVar[str] = ""

    def attributes(self) -> dict[str, Any]:
        """The operator's attributes; by default the arguments."""
        return dict(self)

    def lower(self, g: Builder, X: Value) -> Value:
        Y: Value = g.emit(self.op, (X,), self.attributes())
        return Y

    def in_cell(self) -> tuple[str, tuple[float, ...]] | None:
        """The name that ONNX's recurrent operators know it by, and its alpha and beta; None if they have none."""
        from graphspec.kernels.cell_activations import DEFAULTS

        return (self.op, tuple(self.attributes().values())) if self.op in DEFAULTS else None


ACTIVATIONS: Registry[Activation] = Registry("activation", "relu")


def feature_axes(X: Value, axes: int | tuple[int, ...], key: str = "activation") -> list[int]:
    """Axes counted from the front, in order; GS301 as :func:`feature_axis`, and where an axis is there twice."""
    found = [feature_axis(X, axis, key) for axis in as_tuple(axes)]
    if len(set(found)) < len(found):
        text = f"names an axis of {show(X.shape)} twice in {list(as_tuple(axes))}"
        raise ShapeError(Code.WRONG_RANK, text, key=key, hint="negative axes count from the end: -1 is the last")
    return sorted(found)


def feature_axis(X: Value, axis: int, key: str = "activation", hint: str | None = None) -> int:
    """``axis`` counted from the front; GS301, at the node's ``key``, where there is no such axis or it is the batch.

    ``hint`` is for data that has no other axis than the batch.
    """
    if X.rank < 2:
        raise ShapeError(Code.WRONG_RANK, f"needs an axis besides the batch, got {show(X.shape)}", key=key, hint=hint)
    if not -X.rank <= axis < X.rank or axis % X.rank == 0:
        text = f"needs an axis from 1 to {X.rank - 1}, got {axis} for {show(X.shape)}"
        raise ShapeError(Code.WRONG_RANK, text, key=key, hint="axis 0 is the batch; -1 is the last")
    return axis % X.rank
