"""Bins of numbers: Discretization."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, invalid
from graphspec.graph.ir.ranges import Range, of_dtype
from graphspec.vocabulary.layers.base import LAYERS, Layer, NoEffect, as_float, cast_to
from graphspec.vocabulary.layers.learners import Quantiles
from graphspec.vocabulary.layers.preprocessing import Sparse, encode

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

_MOST_BINS = 1 << 16  # every number is compared with each boundary


def _sorted(value: tuple[float, ...]) -> tuple[float, ...]:
    if not value:
        raise invalid("must contain at least one number", "such as `[0.0, 1.0]`", show_value=True)
    if any(a > b for a, b in pairwise(value)):
        raise invalid("must be sorted in ascending order", f"write {sorted(value)}", show_value=True)
    return value


@LAYERS.add("Discretization")
class Discretization(Layer):
    """The bin of each number: the number of ``bin_boundaries`` ≤ x, as int32 or encoded like CategoryEncoding.

    With ``num_bins`` the boundaries are learnt from the training rows: exact quantiles of all numbers of the input, such as
    the quartiles for 4 bins, interpolated linearly (Keras approximates them). A number that occurs in many rows may be
    several quantiles; the boundary is then repeated, and the bins between equal boundaries stay empty. NaN is skipped.

    Shapes: ``int`` (batch, …) → the same; other modes as for CategoryEncoding, with one more bin than boundaries.
    """

    learnt_arguments: ClassVar[tuple[str, ...]] = ("bin_boundaries",)

    bin_boundaries: Annotated[
        Annotated[tuple[float, ...], AfterValidator(_sorted)] | None,
        FROM_LIST,
        Field(description="The lower boundaries of bins 1, 2, …, in ascending order."),
    ] = None
    num_bins: Annotated[
        Annotated[int, Field(ge=2, le=_MOST_BINS)] | None,
        Field(description="The number of bins, whose boundaries are learnt: about as many training rows in each."),
    ] = None
    epsilon: NoEffect = 0.01
    output_mode: Annotated[
        Literal["int", "one_hot", "multi_hot", "count"],
        Field(description="int: the bin's index; one_hot, multi_hot, count: vectors with one element per bin."),
    ] = "int"
    sparse: Sparse = False

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.bin_boundaries is None and self.num_bins is None:
            hint = "such as `num_bins: 10`, or `bin_boundaries: [0.0, 1.0]`: bins below 0, from 0 to 1, and above"
            raise invalid("needs `num_bins` or `bin_boundaries`", hint, code=Code.MISSING_KEY)
        if self.bin_boundaries is not None and self.num_bins is not None:
            text = "must not be set with `bin_boundaries`, which make the bins"
            raise invalid(text, "leave one of them out", key="num_bins")
        return self

    @property
    def learns(self) -> bool:
        """True if the boundaries are to be learnt."""
        return self.bin_boundaries is None

    def learner(self, X: Value) -> Quantiles:
        """Return the learner of the boundaries between ``num_bins`` bins."""
        bins = self.num_bins or 1
        return Quantiles([k / bins for k in range(1, bins)], "bin_boundaries")

    def with_learnt(self, state: Mapping[str, Any]) -> Self:
        """Return the layer with the boundaries that it has learnt, in place of ``num_bins``."""
        if self.num_bins is None:
            return super().with_learnt(state)
        learnt = self.model_copy(update={"num_bins": None}).with_learnt(state)
        if len(learnt.bin_boundaries or ()) != self.num_bins - 1:
            raise ValueError(f"{self.num_bins} bins need {self.num_bins - 1} boundaries")
        return learnt

    def lower(self, g: Builder, X: Value) -> Value:
        boundaries = self.bin_boundaries
        if boundaries is None:
            g.learnt("statistics")
            boundaries = (0.0,) * ((self.num_bins or 1) - 1)
        reached = g.GreaterOrEqual(g.Unsqueeze(as_float(g, X), g.constant([X.rank])), g.constant(np.array(boundaries)))
        bins = g.ReduceSum(cast_to(g, reached, "int32"), g.constant([-1]), keepdims=0)
        if self.output_mode == "int":
            bins.range = Range(0, sum(b <= of_dtype(X.dtype).high for b in boundaries))
            return bins
        return encode(g, cast_to(g, bins, "int64"), len(boundaries) + 1, self.output_mode)
