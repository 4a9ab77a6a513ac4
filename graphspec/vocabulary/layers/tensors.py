"""Weights and constants as nodes, and sums of products."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
from pydantic import AfterValidator, PrivateAttr

from graphspec.base.arrays.array_files import KINDS, MAX_AXES, Dtype, converted
from graphspec.base.arrays.layout import little_endian
from graphspec.base.config import FROM_LIST, PositiveInt, described, invalid, setting
from graphspec.base.errors import Code, ProblemError, ShapeError
from graphspec.base.nested_numbers import Numbers, check_given
from graphspec.graph.initializers import oriented
from graphspec.graph.ir.dims import Dim, show
from graphspec.vocabulary import Array, Builder, Value, not_allowed, not_fixed, shapes_differ, wrong_rank, wrong_size
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers.layer import Layer


# Parameter and Constant: tensors that depend on no input, and thus have no batch axis.
class Parameter(Layer, arity=(0, 0)):
    """A trained tensor of any shape. It depends on no input, and has no batch axis.

    Other layers see it as a batch of one row; beside inputs with a batch it is the same for every row. It is the weight
    ``value`` of the node. Its default initial values are those of Keras's ``add_weight``.

    Shapes: no input → ``shape``.
    """

    shape: Annotated[
        tuple[PositiveInt, ...],
        FROM_LIST,
        described("The shape, without a batch axis: `[4, 8]`, or `[]` for one number.", max_length=MAX_AXES),
    ]
    initializer: base.InitializerField = base.default_initializer("glorot_uniform")
    regularizer: base.RegularizerField = setting(None, "Penalty on the tensor.")
    constraint: base.Constraint = None

    def lower(self, g: Builder) -> Value:
        return self.weight(g, "value", self.shape, prefix="")


class Constant(Layer, arity=(0, 0)):
    """A tensor of fixed values, which the spec contains or names a file for. It has no batch axis.

    Other layers see it as a batch of one row; beside inputs with a batch it is the same for every row. A file is in
    the folder of the spec or below it, with at most 16 MiB for all constants of a spec; runs and exported files
    contain its values. Missing values are refused.

    Shapes: no input → the shape of the values.
    """

    value: Numbers = None
    file: str | None = setting(None, "A file .npy, .npz or .safetensors beside the spec, in place of `value`.")
    key: str | None = setting(None, "The name of the array in a file that has several.")
    dtype: Dtype | None = setting(None, "The dtype; null for that of the values: float32, int64 or bool.")

    _array: tuple[Dtype, tuple[int, ...], bytes] | None = PrivateAttr(default=None)

    def check_arguments(self) -> None:
        check_given(self.value, self.file, self.key, "value: [1.0, 2.0]")
        if self.value is not None:
            try:
                converted(np.asarray(self.value), self.dtype)
            except ProblemError as error:
                raise invalid(error.problem.message, error.problem.hint, key="value") from None

    def with_array(self, array: Array) -> Self:
        """Return the constant with the values of its file; ProblemError unless they are finite numbers of the dtype."""
        values = np.ascontiguousarray(converted(array, self.dtype))
        changed = self.model_copy()
        changed._array = KINDS[values.dtype.kind], array.shape, little_endian(values).tobytes()
        return changed

    def learnt(self) -> dict[str, Any] | None:
        """Return the values of the file as plain values of JSON, for :meth:`with_learnt`; None without them."""
        if self._array is None:
            return None
        dtype, shape, data = self._array
        return {"array": {"dtype": dtype, "shape": list(shape), "base64": base64.b64encode(data).decode("ascii")}}

    def with_learnt(self, state: Mapping[str, Any]) -> Self:
        array = state.get("array")
        if self.file is None or state.keys() != {"array"} or not isinstance(array, Mapping):
            raise ValueError("a Constant has the array of its file")
        dtype, shape, data = (array.get(key) for key in ("dtype", "shape", "base64"))
        if dtype not in KINDS.values() or not isinstance(shape, list) or not isinstance(data, str):
            raise ValueError("an array has 'dtype', 'shape' and 'base64'")
        if not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("'shape' must be a list of sizes")
        content = base64.b64decode(data, validate=True)
        if len(content) != math.prod(shape) * np.dtype(dtype).itemsize:
            raise ValueError("'base64' does not have the values of 'shape'")
        try:
            return self.with_array(_from_bytes(content, str(dtype), shape))
        except ProblemError as error:
            raise ValueError(f"the array {error.problem.message}") from None

    def lower(self, g: Builder) -> Value:
        if self.value is not None:
            array = converted(np.asarray(self.value), self.dtype)
        elif self._array is not None:
            dtype, shape, data = self._array
            array = _from_bytes(data, dtype, shape).astype(dtype, copy=False)
        else:
            raise ShapeError(Code.UNREADABLE_FILE, f"needs the values of '{self.file}'", key="file")
        return g.constant(array, KINDS[array.dtype.kind])


def _from_bytes(data: bytes, dtype: str, shape: Sequence[int]) -> Array:
    """Return the array of bytes that have the order of files."""
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)


# EinsumDense: an affine map between axes, defined by an equation; the products of all pairs of vectors.
_FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<x>[A-Za-z]+),(?P<w>[A-Za-z]+)->(?P<y>[A-Za-z]+)",
        r"(?P<left>\.\.\.)(?P<x>[A-Za-z]+),(?P<w>[A-Za-z]+)->\.\.\.(?P<y>[A-Za-z]+)",
        r"(?P<x>[A-Za-z]{2,})(?P<right>\.\.\.),(?P<w>[A-Za-z]+)->(?P<y>[A-Za-z]+)\.\.\.",
    )
)


def _equation(value: str) -> str:
    """Refuse an equation that is wrong for every input."""
    hint = "write [input],[kernel]->[output], such as 'abc,cd->abd', '...x,xy->...y' or 'abx...,xy->aby...'"
    match = next((m for form in _FORMS if (m := form.fullmatch(value))), None)
    text = None
    if match is None:
        text = f"must be an equation with an input and a kernel, not '{value}'"
    elif unknown := [c for c in match["w"] if c not in match["x"] + match["y"]]:
        text = f"has '{unknown[0]}' in the kernel, but neither in the input nor in the output: '{value}'"
        hint = "use letters of the input and the output: they define the sizes of the kernel"
    elif unknown := [c for c in match["y"] if c not in match["x"] + match["w"]]:
        text = f"has '{unknown[0]}' in the output, but neither in the input nor in the kernel: '{value}'"
        hint = "add it to the kernel"
    elif repeated := [c for c in match["y"] if match["y"].count(c) > 1]:
        text, hint = f"has '{repeated[0]}' twice in the output: '{value}'", "use a different letter for every axis"
    if text is not None:
        raise invalid(text, hint)
    return value


class EinsumDense(Layer):
    """``activation(einsum(equation, x, kernel) + bias)``.

    Shapes: defined by the equation; ``...`` stands for axes that remain unchanged.
    """

    equation: Annotated[str, AfterValidator(_equation)] = setting(..., "Input, kernel and output: `abc,cd->abd`.")
    output_shape: Annotated[PositiveInt | tuple[PositiveInt | None, ...], FROM_LIST] = setting(
        ..., "The sizes of the output, without the batch and the axes of `...`; null for the input's size."
    )
    activation: base.ActivationField = setting(None, "The activation of the result; null for none.")
    bias_axes: str | None = setting(None, "The letters of the bias's axes; null for no bias.")
    kernel_initializer: base.InitializerField = base.default_initializer("glorot_uniform")
    bias_initializer: base.InitializerField = base.default_initializer("zeros")
    kernel_regularizer: base.RegularizerField = setting(None, "Penalty on the kernel.")
    bias_regularizer: base.RegularizerField = setting(None, "Penalty on the bias.")
    activity_regularizer: base.RegularizerField = setting(None, "Penalty on the output.")
    kernel_constraint: base.Constraint = None
    bias_constraint: base.Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = base.as_float(g, X)
        parts = next(m for form in _FORMS if (m := form.fullmatch(self.equation))).groupdict()
        x, w, y, left = parts["x"], parts["w"], parts["y"], bool(parts.get("left"))
        elided = X.rank - len(x)
        if elided < 0 or (elided and not left and not parts.get("right")):
            text = f"has an equation with {len(x)} input axes, '{x}', got {show(X.shape)}"
            raise wrong_rank(text, f"write one letter per axis: {X.rank}, with the batch", key="equation")
        input_sizes = dict(zip(x, X.shape[elided if left else 0 :], strict=False))
        output_sizes = self._output_sizes(X, y, elided, left)
        for c in x:
            if output_sizes.get(c) not in (None, input_sizes[c]):
                text = (
                    f"has {output_sizes[c]} in `output_shape` for axis '{c}', but {input_sizes[c]} in {show(X.shape)}"
                )
                raise wrong_size(text, hint="write null for the input's size", key="output_shape")
        shape = tuple(self._kernel_size(c, input_sizes, output_sizes) for c in w)
        inputs = tuple(k for k, c in enumerate(w) if c not in y)
        outputs = tuple(k for k, c in enumerate(w) if c in y)
        kernel = self.weight(g, "kernel", shape, initializer=oriented(self.kernel_initializer, inputs, outputs))
        Y = g.Einsum(X, kernel, equation=self.equation)
        if self.bias_axes is not None:
            sizes = {c: input_sizes[c] if d is None else d for c, d in output_sizes.items()}
            bias = self._bias_shape(self.bias_axes, y, sizes, 0 if left else elided)
            Y = g.Add(Y, self.weight(g, "bias", bias))
        return g.activate(self.activation, Y)

    def _output_sizes(self, X: Value, y: str, elided: int, left: bool) -> dict[str, Dim | None]:
        """Return the sizes of the output's letters in the spec; None for the input's size."""
        declared = (self.output_shape,) if isinstance(self.output_shape, int) else self.output_shape
        before = X.shape[1:elided] if left else ()
        after = X.shape[X.rank - elided :] if elided and not left else ()
        full: tuple[Dim | None, ...] = (X.shape[0], *before, *declared, *after)
        if len(full) != len(y) + elided:
            needed = len(declared) + len(y) + elided - len(full)
            sizes = f"{needed} size{'' if needed == 1 else 's'}"
            text = f"needs {sizes} in `output_shape`, one per letter of '{y}', got {len(declared)}"
            hint = "leave out the batch and the axes of '...'; write null for a size of the input"
            raise wrong_rank(text, hint, key="output_shape")
        return dict(zip(y, full[elided if left else 0 :], strict=False))

    def _kernel_size(self, c: str, input_sizes: dict[str, Dim], output_sizes: dict[str, Dim | None]) -> int:
        size = output_sizes[c] if c in output_sizes else input_sizes[c]
        if size is None:
            text = f"has null in `output_shape` for axis '{c}', which is also an axis of the kernel"
            raise not_allowed(text, "write its size", key="output_shape")
        if not isinstance(size, int):
            text = f"has axis '{c}' in its kernel, but its size '{size}' varies"
            raise not_fixed(text, "remove it from the kernel, or give it a number", key="equation")
        return size

    def _bias_shape(self, axes: str, y: str, sizes: dict[str, Dim], elided: int) -> list[int]:
        """Return the bias's shape, from the first of ``axes`` to the last axis; 1 along axes that are not in ``axes``."""
        if not axes or (unknown := [c for c in axes if c not in y]):
            text = f"has the bias axis '{unknown[0]}'" if axes else "has no letters in `bias_axes`"
            text = f"{text}, but the output has the axes '{y}'"
            raise not_allowed(text, f"use letters of the output '{y}', or null for no bias", key="bias_axes")
        shape = [sizes[c] if c in axes else 1 for c in y[min(y.index(c) for c in axes) :]] + [1] * elided
        for c, d in zip(y[len(y) + elided - len(shape) :], shape, strict=False):
            if not isinstance(d, int):
                text = f"has the bias axis '{c}', but its size '{d}' varies"
                raise not_fixed(text, "remove it from `bias_axes`", key="bias_axes")
        return [int(d) for d in shape]


class DotInteraction(Layer, arity=(1, None)):
    """The dot products of all pairs of vectors: ``x[b, i] · x[b, j]`` for j < i, in the order of i, then j.

    As in KerasRS, whose inputs are vectors; here an input may also have several vectors for each row.

    Shapes: any number of (batch, features) and (batch, vectors, features) → (batch, pairs); k vectors in all have
        k · (k − 1) / 2 pairs, k more with ``self_interaction``, and k² numbers with ``skip_gather``.
    Naumov et al., *Deep Learning Recommendation Model for Personalization and Recommendation Systems*, 2019.
    """

    self_interaction: bool = setting(False, "Whether a vector's product with itself counts, too.")
    skip_gather: bool = setting(False, "Whether the whole square is returned, row by row, with 0 for what is no pair.")

    def lower(self, g: Builder, *inputs: Value) -> Value:
        for X in inputs:
            if X.rank not in (2, 3):
                text = f"takes vectors (batch, features) or (batch, vectors, features), got {show(X.shape)}"
                raise wrong_rank(text, "put Flatten or Reshape before it")
        if len({X.shape[-1] for X in inputs}) > 1:
            text = f"multiplies vectors of one size, got {', '.join(show(X.shape) for X in inputs)}"
            raise shapes_differ(text, "project them to the same number of units with Dense layers")
        several = [base.as_float(g, X) for X in inputs]
        rows = [X if X.rank == 3 else g.Unsqueeze(X, g.constant([1])) for X in several]
        vectors = g.Concat(*rows, axis=1) if len(rows) > 1 else rows[0]
        count = vectors.fixed(1)
        chosen = np.tril(np.ones((count, count), np.float32), 0 if self.self_interaction else -1).reshape(-1)
        if not chosen.any() and not self.skip_gather:
            raise shapes_differ("needs two vectors", "list more `inputs`")
        products = g.reshape(g.MatMul(vectors, g.transpose(vectors, (0, 2, 1))), (0, count * count))
        if self.skip_gather:
            return g.Mul(products, g.constant(chosen)).with_mask(None)
        return g.Gather(products, g.constant(np.flatnonzero(chosen)), axis=1).with_mask(None)
