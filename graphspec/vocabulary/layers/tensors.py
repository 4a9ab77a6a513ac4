"""Parameter and Constant: tensors that depend on no input, and thus have no batch axis."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from graphspec.base.arrays.array_files import KINDS, MAX_AXES, Dtype, converted
from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, PositiveInt, invalid
from graphspec.base.errors import ProblemError, ShapeError
from graphspec.base.nested_numbers import Numbers, check_given
from graphspec.vocabulary.layers.base import (
    LAYERS,
    Constraint,
    InitializerField,
    Layer,
    RegularizerField,
    default_initializer,
)

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Array, Value


class Tensor(Layer):
    """Base: a tensor that depends on no input."""

    arity: ClassVar[tuple[int, int | None]] = (0, 0)


@LAYERS.add("Parameter")
class Parameter(Tensor):
    """A trained tensor of any shape. It depends on no input, and has no batch axis.

    Other layers see it as a batch of one row; beside inputs with a batch it is the same for every row. It is the weight
    ``value`` of the node. Its default initial values are those of Keras's ``add_weight``.

    Shapes: no input → ``shape``.
    """

    shape: Annotated[
        tuple[PositiveInt, ...],
        FROM_LIST,
        Field(description="The shape, without a batch axis: `[4, 8]`, or `[]` for one number.", max_length=MAX_AXES),
    ]
    initializer: InitializerField = default_initializer("glorot_uniform")
    regularizer: RegularizerField = Field(default=None, description="Penalty on the tensor.")
    constraint: Constraint = None

    def lower(self, g: Builder) -> Value:
        return self.weight(g, "value", self.shape, prefix="")


@LAYERS.add("Constant")
class Constant(Tensor):
    """A tensor of fixed values, which the spec contains or names a file for. It has no batch axis.

    Other layers see it as a batch of one row; beside inputs with a batch it is the same for every row. A file is in
    the folder of the spec or below it, with at most 16 MiB for all constants of a spec; runs and exported files
    contain its values. Missing values are refused.

    Shapes: no input → the shape of the values.
    """

    value: Numbers = None
    file: Annotated[
        str | None, Field(description="A file .npy, .npz or .safetensors beside the spec, in place of `value`.")
    ] = None
    key: Annotated[str | None, Field(description="The name of the array in a file that has several.")] = None
    dtype: Annotated[
        Dtype | None, Field(description="The dtype; null for that of the values: float32, int64 or bool.")
    ] = None

    _array: tuple[Dtype, tuple[int, ...], bytes] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_given(self.value, self.file, self.key, "value: [1.0, 2.0]")
        if self.value is not None:
            try:
                converted(np.asarray(self.value), self.dtype)
            except ProblemError as error:
                raise invalid(error.problem.message, error.problem.hint, key="value") from None
        return self

    def with_array(self, array: Array) -> Self:
        """Return the constant with the values of its file.

        Raises:
            ProblemError: they are not finite numbers of the dtype.
        """
        values = np.ascontiguousarray(converted(array, self.dtype))
        changed = self.model_copy()
        changed._array = KINDS[values.dtype.kind], array.shape, values.tobytes()
        return changed

    def learnt(self) -> dict[str, Any] | None:
        """Return the values of the file as plain values of JSON, for :meth:`with_learnt`; None without them."""
        if self._array is None:
            return None
        dtype, shape, data = self._array
        return {"array": {"dtype": dtype, "shape": list(shape), "base64": base64.b64encode(data).decode("ascii")}}

    def with_learnt(self, state: Mapping[str, Any]) -> Self:
        found = state.get("array")
        if self.file is None or state.keys() != {"array"} or not isinstance(found, Mapping):
            raise ValueError("a Constant has the array of its file")
        dtype, shape, data = found.get("dtype"), found.get("shape"), found.get("base64")
        if dtype not in KINDS.values() or not isinstance(shape, list) or not isinstance(data, str):
            raise ValueError("an array has 'dtype', 'shape' and 'base64'")
        if not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("'shape' must be a list of sizes")
        content = base64.b64decode(data, validate=True)
        if len(content) != math.prod(shape) * np.dtype(dtype).itemsize:
            raise ValueError("'base64' does not have the values of 'shape'")
        try:
            return self.with_array(np.frombuffer(content, dtype).reshape(shape))
        except ProblemError as error:
            raise ValueError(f"the array {error.problem.message}") from None

    def lower(self, g: Builder) -> Value:
        if self.value is not None:
            array = converted(np.asarray(self.value), self.dtype)
        elif self._array is not None:
            dtype, shape, data = self._array
            array = np.frombuffer(data, dtype).reshape(shape)
        else:
            raise ShapeError(Code.UNREADABLE_FILE, f"needs the values of '{self.file}'", key="file")
        return g.constant(array, KINDS[array.dtype.kind])
