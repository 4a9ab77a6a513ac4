"""Dense, Embedding, Identity, Masking, Rescaling: layers on single values, vectors and ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from graphspec.codes import Code
from graphspec.config import ANY_VALUE, FloatOrFloats, Neutral, PositiveInt
from graphspec.errors import ShapeError
from graphspec.layers.base import (
    LAYERS,
    NEUTRAL,
    ActivationField,
    Constraint,
    InitializerField,
    Layer,
    RegularizerField,
    Weights,
    as_float,
    cast_to,
    default_initializer,
    need_rank,
    number_of_ids,
)

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


@LAYERS.add("Dense")
class Dense(Layer):
    """An affine map of the last axis: ``activation(x @ kernel + bias)``.

    Shapes: (batch, …, features) → (batch, …, units).
    """

    supports_masking = True

    units: Annotated[PositiveInt, Field(description="The size of the output's last axis.")]
    activation: ActivationField = Field(default=None, description="The activation of the result; null for none.")
    use_bias: bool = Field(default=True, description="Whether a bias is added.")
    kernel_initializer: InitializerField = default_initializer("glorot_uniform")
    bias_initializer: InitializerField = default_initializer("zeros")
    kernel_regularizer: RegularizerField = Field(default=None, description="Penalty on the kernel.")
    bias_regularizer: RegularizerField = Field(default=None, description="Penalty on the bias.")
    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, None, "(batch, …, features)", hint="give the input a shape such as [1]")
        X = as_float(g, X)
        kernel = self.weight(g, "kernel", (X.features, self.units))
        bias = self.weight(g, "bias", (self.units,)) if self.use_bias else None
        if X.rank == 2:
            Y = g.Gemm(X, kernel, bias)
        else:
            Y = g.MatMul(X, kernel)
            Y = Y if bias is None else g.Add(Y, bias)
        return g.activate(self.activation, Y)


@LAYERS.add("Embedding")
class Embedding(Layer):
    """One trained vector per id: row ``x`` of ``embeddings``. With ``mask_zero``, id 0 is padding and masked.

    Without ``input_dim`` there is a vector for each id that the layer before makes.

    Shapes: integers (batch, …) → (batch, …, output_dim).
    """

    handles_mask = True
    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL | {"input_length": ANY_VALUE}  # written by Keras 2

    input_dim: Annotated[
        PositiveInt | None,
        Field(description="The number of ids: the largest id plus 1; null: as many as the layer before makes."),
    ] = None
    output_dim: Annotated[PositiveInt, Field(description="The size of each vector.")]
    embeddings_initializer: InitializerField = default_initializer("uniform")
    embeddings_regularizer: RegularizerField = Field(default=None, description="Penalty on the embeddings.")
    embeddings_constraint: Constraint = None
    mask_zero: bool = Field(default=False, description="Whether id 0 is padding that later layers skip.")
    weights: Weights = None

    def lower(self, g: Builder, ids: Value) -> Value:
        if ids.dtype in ("float32", "bool"):
            is_input = ids.kind == "input"
            hint = f"declare input '{ids.name}' with `dtype: int64`" if is_input else "feed it integers"
            raise ShapeError(Code.WRONG_DTYPE, f"needs integer ids, got {ids.dtype}", hint=hint)
        size = number_of_ids(ids, "input_dim") if self.input_dim is None else self.input_dim
        ids = g.CheckIds(cast_to(g, ids, "int64"), size=size)
        table = self.weight(g, "embeddings", (size, self.output_dim))
        Y = g.Gather(table, ids, axis=0)
        return Y.with_mask(g.Not(g.Equal(ids, g.constant(0)))) if self.mask_zero else Y.with_mask(None)


@LAYERS.add("Identity")
class Identity(Layer):
    """The unchanged input, under another name.

    Shapes: (batch, …) → the same.
    """

    supports_masking = True

    def lower(self, g: Builder, X: Value) -> Value:
        return X


@LAYERS.add("Masking")
class Masking(Layer):
    """The input with a mask: steps whose features all equal ``mask_value`` are masked and set to 0.

    Shapes: (batch, time, features) → the same.
    """

    handles_mask = True

    mask_value: float = Field(default=0.0, description="The value of all features of a masked step.")

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 2, None, "(batch, …, features)", hint="give the input a shape such as [1]")
        X = as_float(g, X)
        differs = g.Not(g.Equal(X, g.constant(self.mask_value, "float32")))
        keep = g.ReduceMax(cast_to(g, differs, "float32"), axes=(-1,), keepdims=1)
        mask = cast_to(g, g.Squeeze(keep, g.constant([X.rank - 1])), "bool")
        return g.Mul(X, keep).with_mask(mask)


@LAYERS.add("Rescaling")
class Rescaling(Layer):
    """``x · scale + offset`` as float32; a list has one value per feature of the last axis.

    Shapes: (batch, …) → the same.
    """

    supports_masking = True

    scale: Annotated[FloatOrFloats, Field(description="The factor, such as 0.00392156862745098 for bytes.")]
    offset: Annotated[FloatOrFloats, Field(description="The value that is added after scaling.")] = 0.0

    def lower(self, g: Builder, X: Value) -> Value:
        Y = as_float(g, X)
        for key, op in (("scale", "Mul"), ("offset", "Add")):
            values = np.asarray(getattr(self, key), np.float64)
            if values.ndim and (X.rank < 2 or values.size not in (1, X.features)):
                text = f"has {values.size} values in `{key}` for {X.shape[-1]} features"
                raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint="use one value, or one per feature", key=key)
            if key == "scale" or np.any(values):
                Y = g.emit(op, (Y, g.constant(values)), {})
        return Y


@LAYERS.add("PositionEmbedding")
class PositionEmbedding(Layer):
    """One trained vector per position: rows 0, 1, 2, … of ``embeddings``, the same for every sample.

    Only the shape of the input counts. Its values do not: add the result to them with Add. The layer is KerasHub's. Its
    formula for sequences longer than ``sequence_length`` is not available.

    Shapes: (batch, …, time, features) → the same.
    """

    supports_masking = True
    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL | {"hierarchical_alpha": ANY_VALUE}  # for longer sequences only

    sequence_length: Annotated[PositiveInt, Field(description="The length of the longest sequence.")]
    initializer: InitializerField = default_initializer("glorot_uniform")

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 3, None, "(batch, time, features)", hint="feed it vectors, such as the output of an Embedding")
        X = as_float(g, X)
        table = self.weight(g, "embeddings", (self.sequence_length, X.features), initializer=self.initializer)
        length = g.size(X, -2)
        if isinstance(length, int):
            if length > self.sequence_length:
                text = f"has {self.sequence_length} positions for sequences of length {length}"
                hint = f"set `sequence_length: {length}`"
                raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint=hint, key="sequence_length")
            if length < self.sequence_length:
                table = g.Slice(table, g.constant([0]), g.constant([length]), g.constant([0]))
        else:
            positions = g.Range(g.constant(0), g.Squeeze(length, g.constant([0])), g.constant(1))
            positions = g.CheckIds(positions, size=self.sequence_length, argument="sequence_length")
            table = g.Gather(table, positions, axis=0)
        Y: Value = g.Expand(table, g.Shape(X))
        return Y
