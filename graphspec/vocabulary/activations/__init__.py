"""Activation functions: Keras's arguments, lowered to ONNX operators, mostly to one of the same name."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from graphspec.base.config import Config, Registry, as_tuple
from graphspec.vocabulary import Builder, Value, show, wrong_rank


class Activation(Config):
    """A function of a tensor. A subclass names its operator in ``op``, or defines :meth:`lower`."""

    op: ClassVar[str] = ""
    """The ONNX operator that computes it."""

    def attributes(self) -> dict[str, Any]:
        """Return the operator's attributes; by default the arguments."""
        return dict(self)

    def lower(self, g: Builder, X: Value) -> Value:
        Y: Value = g.emit(self.op, (X,), self.attributes())
        return Y

    def in_cell(self) -> tuple[str, tuple[float, ...]] | None:
        """Return its name, alpha and beta in ONNX's recurrent operators; None if they do not have it."""
        from graphspec.graph.kernels.recurrence import CELL_ACTIVATIONS

        return (self.op, tuple(self.attributes().values())) if self.op in CELL_ACTIVATIONS else None


ACTIVATIONS: Registry[Activation] = Registry("activation", "relu")
ACTIVATIONS.found_in(
    __name__,
    {
        "functions": """
            linear relu relu6 leaky_relu elu celu selu threshold hard_tanh hard_shrink soft_shrink
            sigmoid hard_sigmoid sparse_sigmoid log_sigmoid tanh tanh_shrink softsign
            gelu silu swish hard_silu hard_swish mish exponential softplus sparse_plus squareplus
            softmax log_softmax sparsemax glu
        """
    },
)


def feature_axes(X: Value, axes: int | tuple[int, ...], key: str = "activation") -> list[int]:
    """Return ``axes`` counted from the front, in order; GS301 as :func:`feature_axis`, and if an axis is listed twice."""
    positive = [feature_axis(X, axis, key) for axis in as_tuple(axes)]
    if len(set(positive)) < len(positive):
        text = f"has an axis of {show(X.shape)} twice in {list(as_tuple(axes))}"
        raise wrong_rank(text, "negative axes count from the end: -1 is the last", key=key)
    return sorted(positive)


def feature_axis(X: Value, axis: int, key: str = "activation", hint: str | None = None) -> int:
    """Return ``axis`` counted from the front; raise GS301 if X lacks it, or if it is the batch.

    ``hint`` is the fix if X has only the batch axis.
    """
    if X.rank < 2:
        raise wrong_rank(f"needs an axis besides the batch, got {show(X.shape)}", hint, key=key)
    if not -X.rank <= axis < X.rank or axis % X.rank == 0:
        text = f"needs an axis from 1 to {X.rank - 1}, got {axis} for {show(X.shape)}"
        raise wrong_rank(text, "axis 0 is the batch; -1 is the last", key=key)
    return axis % X.rank


__all__ = ["ACTIVATIONS", "Activation", "feature_axes", "feature_axis"]
__all__ += ACTIVATIONS.public()
__dir__ = partial(sorted, __all__)


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return ACTIVATIONS.attribute(__name__, name)
