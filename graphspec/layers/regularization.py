"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BeforeValidator, Field

from graphspec.compiler.dims import show
from graphspec.config import PositiveInt
from graphspec.errors import ShapeError
from graphspec.layers.base import LAYERS, Layer, Seed, as_float

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value


Share = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A share to drop: never everything."""


def drop(g: Builder, X: Value, rate: float, seed: int | None) -> Value:
    """``X`` with elements zeroed at ``rate`` and the others scaled by 1 / (1 − rate) in training."""
    attributes: dict[str, Any] = {} if seed is None else {"seed": seed}
    return cast("Value", g.Dropout(X, g.constant(rate, "float32"), g.constant(True), **attributes))


def drop_shared(g: Builder, X: Value, rate: float, seed: int | None, sizes: Sequence[int | Value]) -> Value:
    """As :func:`drop`, with one decision for all elements along the axes whose size in ``sizes`` is 1."""
    ones = g.Expand(g.constant(1.0), g.ints(sizes))
    return cast("Value", g.Mul(X, drop(g, ones, rate, seed)))


def _sizes(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


NoiseShape = Annotated[tuple[PositiveInt | None, ...], BeforeValidator(_sizes)]


@LAYERS.add("Dropout")
class Dropout(Layer):
    """In training zeroes elements at random and scales the others by 1 / (1 − rate); else the input itself.

    Shapes: (batch, …) → the same.
    """

    supports_masking = True

    rate: Annotated[Share, Field(description="The share of elements that are dropped.")]
    noise_shape: Annotated[
        NoiseShape | None,
        Field(
            description="Shape of the decisions, batch included: 1 shares one along that axis, null is the input's size."
        ),
    ] = None
    seed: Seed = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = as_float(g, X)
        if self.rate == 0.0:
            return X
        if self.noise_shape is None:
            return drop(g, X, self.rate, self.seed)
        noise = self.noise_shape
        if len(noise) != X.rank or any(n not in (None, 1, d) for n, d in zip(noise, X.shape, strict=True)):
            text = f"needs a noise_shape that broadcasts to {show(X.shape)}, got {list(noise)}"
            hint = "one entry for each axis, the batch included: 1 or null"
            raise ShapeError("GS301", text, hint=hint, key="noise_shape")
        sizes = [g.size(X, k) if n is None else n for k, n in enumerate(noise)]
        return drop_shared(g, X, self.rate, self.seed, sizes)
