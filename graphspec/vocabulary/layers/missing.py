"""Missing numbers: Impute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, FloatOrFloats, invalid
from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.vocabulary.layers.base import LAYERS, Layer, as_float, cast_to
from graphspec.vocabulary.layers.learners import Learner, Moments, Quantiles
from graphspec.vocabulary.layers.scaling import last_axis, spread

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


@LAYERS.add("Impute")
class Impute(Layer):
    """The input with a number in each place where one is missing, as by scikit-learn's SimpleImputer.

    Missing is NaN, in int64 the smallest integer, and each number of ``missing_values``; data files may also have its
    texts. ``median`` and ``mean`` are learnt from the numbers that are there in
    the training rows, for each index of the last axis, exactly; set ``fill_value`` to learn nothing.

    Shapes: (batch, …) → the same, as float32. With ``indicator`` output 1, of the same shape, is 1 where a number was
        missing, else 0.
    """

    supports_masking = True
    takes_missing = True
    learnt_arguments: ClassVar[tuple[str, ...]] = ("fill_value",)

    strategy: Annotated[
        Literal["median", "mean", "zero", "constant"],
        Field(description="What stands for a missing number: the median, the mean, 0, or `fill_value`."),
    ] = "median"
    fill_value: Annotated[
        FloatOrFloats | None,
        Field(description="The number of `constant`; median and mean, which are else learnt: one, or a list."),
    ] = None
    missing_values: Annotated[
        tuple[float | int | str, ...],
        FROM_LIST,
        Field(description="Numbers, and texts of data files, that count as missing, such as `[-1, unknown]`."),
    ] = ()
    indicator: Annotated[bool, Field(description="Whether output 1 says where numbers are missing.")] = False

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.strategy == "constant" and self.fill_value is None:
            raise invalid("needs `fill_value`", "such as `fill_value: -1.0`", code=Code.MISSING_KEY)
        if self.strategy == "zero" and self.fill_value is not None:
            raise invalid("must not be set with `strategy: zero`", "use `strategy: constant`", key="fill_value")
        return self

    @property
    def learns(self) -> bool:
        """True if the median or the mean is to be learnt."""
        return self.strategy in ("median", "mean") and self.fill_value is None

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """The texts of data files that count as missing."""
        return tuple(value for value in self.missing_values if isinstance(value, str))

    def _missing(self, g: Builder, X: Value, numbers: Value) -> Value:
        """Emit where numbers are missing."""
        missing: Value = g.Equal(X, g.constant(MISSING_INTEGER)) if X.dtype == "int64" else g.IsNaN(numbers)
        for value in self.missing_values:
            if not isinstance(value, str):
                missing = g.Or(missing, g.Equal(numbers, g.constant(float(value))))
        return missing

    def learning_input(self, g: Builder, X: Value) -> Value:
        """Emit the numbers, NaN where one is missing."""
        if len(self.missing_texts) == len(self.missing_values):
            return super().learning_input(g, X)
        numbers = as_float(g, X)
        return g.Where(self._missing(g, X, numbers), g.constant(float("nan")), numbers)

    def learner(self, X: Value) -> Learner:
        """Return the learner of the median or the mean."""
        axes = last_axis(X)
        sizes = [X.fixed(axis) for axis in axes]
        if self.strategy == "mean":
            return Moments(axes, sizes, mean="fill_value", variance=None, skip_missing=True)
        return Quantiles(0.5, "fill_value", columns=sizes[0] if sizes else None)

    def lower(self, g: Builder, X: Value) -> Value | tuple[Value, ...]:
        axes = last_axis(X)
        if self.learns:
            g.learnt("statistics")
            for axis in axes:
                X.fixed(axis)
        fill = g.constant(spread(X, axes, 0.0 if self.fill_value is None else self.fill_value, "fill_value"))
        numbers = as_float(g, X)
        missing = self._missing(g, X, numbers)
        filled = g.Where(missing, fill, numbers)
        return (filled, cast_to(g, missing, "float32")) if self.indicator else filled
