"""Products of all pairs of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from graphspec.codes import Code
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import LAYERS, Layer, as_float

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


@LAYERS.add("DotInteraction")
class DotInteraction(Layer):
    """The dot products of all pairs of vectors: ``x[b, i] · x[b, j]`` for j < i, in the order of i, then j.

    As in KerasRS, whose inputs are vectors; here an input may also have several vectors for each row.

    Shapes: any number of (batch, features) and (batch, vectors, features) → (batch, pairs); k vectors in all have
        k · (k − 1) / 2 pairs, k more with ``self_interaction``, and k² numbers with ``skip_gather``.
    Naumov et al., *Deep Learning Recommendation Model for Personalization and Recommendation Systems*, 2019.
    """

    arity: ClassVar[tuple[int, int | None]] = (1, None)

    self_interaction: Annotated[bool, Field(description="Whether a vector's product with itself counts, too.")] = False
    skip_gather: Annotated[
        bool, Field(description="Whether the whole square is returned, row by row, with 0 for what is no pair.")
    ] = False

    def lower(self, g: Builder, *inputs: Value) -> Value:
        for X in inputs:
            if X.rank not in (2, 3):
                text = f"takes vectors (batch, features) or (batch, vectors, features), got {show(X.shape)}"
                raise ShapeError(Code.WRONG_RANK, text, hint="put Flatten or Reshape before it")
        if len({X.shape[-1] for X in inputs}) > 1:
            text = f"multiplies vectors of one size, got {', '.join(show(X.shape) for X in inputs)}"
            raise ShapeError(Code.SHAPES_DIFFER, text, hint="project them to the same number of units with Dense layers")
        several = [as_float(g, X) for X in inputs]
        rows = [X if X.rank == 3 else g.Unsqueeze(X, g.constant([1])) for X in several]
        vectors = g.Concat(*rows, axis=1) if len(rows) > 1 else rows[0]
        count = vectors.fixed(1)
        chosen = np.tril(np.ones((count, count), np.float32), 0 if self.self_interaction else -1).reshape(-1)
        if not chosen.any() and not self.skip_gather:
            raise ShapeError(Code.SHAPES_DIFFER, "needs two vectors", hint="list more `inputs`")
        products = g.reshape(g.MatMul(vectors, g.transpose(vectors, (0, 2, 1))), (0, count * count))
        if self.skip_gather:
            return g.Mul(products, g.constant(chosen)).with_mask(None)
        return g.Gather(products, g.constant(np.flatnonzero(chosen)), axis=1).with_mask(None)
