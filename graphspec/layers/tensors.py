"""Parameter and Constant: tensors that depend on no input, and thus have no batch axis."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, PrivateAttr, WithJsonSchema, model_validator

from graphspec.codes import Code
from graphspec.config import FLOAT32_LIMIT, FROM_LIST, PositiveInt, invalid
from graphspec.errors import ProblemError, ShapeError
from graphspec.layers.base import LAYERS, Constraint, InitializerField, Layer, RegularizerField, default_initializer

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Array, Value

Dtype = Literal["float32", "int64", "bool"]
_KINDS: Mapping[str, Dtype] = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}
_MAX_AXES = 32


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
        Field(description="The shape, without a batch axis: `[4, 8]`, or `[]` for one number.", max_length=_MAX_AXES),
    ]
    initializer: InitializerField = default_initializer("glorot_uniform")
    regularizer: RegularizerField = Field(default=None, description="Penalty on the tensor.")
    constraint: Constraint = None

    def lower(self, g: Builder) -> Value:
        return self.weight(g, "value", self.shape, prefix="")


def _nested(value: Any) -> Any:
    """Return nested lists as nested tuples, each level as long as its neighbours; raise GS104 or GS105."""
    shape: list[int] = []
    kinds: set[type] = set()
    depths: set[int] = set()

    def visit(item: Any, depth: int) -> Any:
        if isinstance(item, list | tuple):
            if depth == len(shape):
                shape.append(len(item))
            if depth >= _MAX_AXES or not item or len(item) != shape[depth] or depth in depths:
                raise invalid("must be numbers in lists of equal lengths, none of them empty")
            return tuple(visit(part, depth + 1) for part in item)
        if not isinstance(item, bool | int | float):
            raise invalid("must be a number, true or false, or lists of them", code=Code.WRONG_TYPE)
        depths.add(depth)
        if depth != len(shape):
            raise invalid("must be numbers in lists of equal lengths, none of them empty")
        kinds.add(type(item))
        if isinstance(item, float) and not math.isfinite(item):
            raise invalid("must not contain NaN or infinity", "write finite numbers")
        if isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise invalid("must fit 64 bits", "make the integers smaller")
        return item

    found = visit(value, 0) if value is not None else None
    if bool in kinds and len(kinds) > 1:
        raise invalid("must not mix numbers with true and false", "write 0 and 1, or only true and false")
    return found


Numbers = Annotated[
    Any,
    BeforeValidator(_nested),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "array", "items": {}}]}),
    Field(description="A number, true or false, or nested lists of them."),
]


@LAYERS.add("Constant")
class Constant(Tensor):
    """A tensor of fixed values, which the spec contains or names a file for. It has no batch axis.

    Other layers see it as a batch of one row; beside inputs with a batch it is the same for every row. A file is an array of
    NumPy in the folder of the spec or below it, with at most 16 MiB for all constants of a spec; runs and exported files
    contain its values. Missing values are refused.

    Shapes: no input → the shape of the values.
    """

    value: Numbers = None
    file: Annotated[str | None, Field(description="A file .npy, or .npz, beside the spec, in place of `value`.")] = None
    key: Annotated[str | None, Field(description="The name of the array in a file .npz that has several.")] = None
    dtype: Annotated[
        Dtype | None, Field(description="The dtype; null for that of the values: float32, int64 or bool.")
    ] = None

    _array: tuple[Dtype, tuple[int, ...], bytes] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.value is None) == (self.file is None):
            missing = self.value is None
            text = "needs `value` or `file`" if missing else "cannot have both `value` and `file`"
            code = Code.MISSING_KEY if missing else Code.VALUE_NOT_ALLOWED
            raise invalid(text, "such as `value: [1.0, 2.0]`" if missing else "remove one of them", code=code)
        if self.key is not None and not str(self.file).lower().endswith(".npz"):
            raise invalid("must not be set without a `file` .npz, which has names", "remove it", key="key")
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
        changed._array = _KINDS[values.dtype.kind], array.shape, values.tobytes()
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
        if dtype not in _KINDS.values() or not isinstance(shape, list) or not isinstance(data, str):
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
        return g.constant(array, _KINDS[array.dtype.kind])


def converted(array: Array, dtype: Dtype | None) -> Array:
    """Return an array as float32, int64 or bool; None for the one that is closest to its own dtype.

    Raises:
        ProblemError: GS505, a value is not finite. GS504, it has another kind of values, or does not fit the dtype.
            GS105, it is empty or has too large numbers.
    """
    kind = array.dtype.kind
    if kind not in _KINDS:
        what = "Python objects" if array.dtype.hasobject else f"values of dtype {array.dtype}"
        raise ProblemError(Code.LOSSY_CONVERSION, f"contains {what}", hint="save numbers or booleans")
    if not array.size:
        raise ProblemError(Code.VALUE_NOT_ALLOWED, "is empty", hint="it needs at least one value")
    if array.ndim > _MAX_AXES:
        raise ProblemError(Code.VALUE_NOT_ALLOWED, f"has more than {_MAX_AXES} axes", hint="reshape it")
    if kind == "f" and not np.isfinite(array).all():
        raise ProblemError(Code.MISSING_VALUE, "contains NaN or infinity", hint="replace them by numbers")
    chosen = dtype or _KINDS[kind]
    if chosen == "float32" and kind == "f" and float(np.abs(array).max()) >= FLOAT32_LIMIT:
        raise ProblemError(Code.VALUE_NOT_ALLOWED, "has a number that exceeds float32", hint="scale it")
    result = array.astype(chosen)
    if chosen != "float32" and not np.array_equal(result.astype(array.dtype), array):
        text = f"has values that {chosen} cannot represent"
        raise ProblemError(Code.LOSSY_CONVERSION, text, hint="leave `dtype` out, or convert the values")
    return result
