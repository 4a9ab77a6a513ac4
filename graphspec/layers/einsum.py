"""EinsumDense: an affine map between axes that an equation names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from graphspec.codes import Code
from graphspec.config import FROM_LIST, PositiveInt, invalid
from graphspec.errors import ShapeError
from graphspec.initializers import Fans, Initializer
from graphspec.ir.dims import Dim, show
from graphspec.layers.base import (
    LAYERS,
    ActivationField,
    Constraint,
    InitializerField,
    Layer,
    RegularizerField,
    as_float,
    starts,
)

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

_FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<x>[A-Za-z]+),(?P<w>[A-Za-z]+)->(?P<y>[A-Za-z]+)",
        r"(?P<left>\.\.\.)(?P<x>[A-Za-z]+),(?P<w>[A-Za-z]+)->\.\.\.(?P<y>[A-Za-z]+)",
        r"(?P<x>[A-Za-z]{2,})(?P<right>\.\.\.),(?P<w>[A-Za-z]+)->(?P<y>[A-Za-z]+)\.\.\.",
    )
)


def _equation(value: str) -> str:
    """Refuse an equation that is wrong whatever the input is."""
    hint = "write [input],[kernel]->[output], such as 'abc,cd->abd', '...x,xy->...y' or 'abx...,xy->aby...'"
    match = next((m for form in _FORMS if (m := form.fullmatch(value))), None)
    text = None
    if match is None:
        text = f"is not an equation of an input and a kernel: '{value}'"
    elif lost := [c for c in match["w"] if c not in match["x"] + match["y"]]:
        text = f"has '{lost[0]}' in the kernel, which neither the input nor the output has: '{value}'"
        hint = "the sizes of the kernel come from the input and the output"
    elif lost := [c for c in match["y"] if c not in match["x"] + match["w"]]:
        text = f"has '{lost[0]}' in the output, which neither the input nor the kernel has: '{value}'"
        hint = "put it into the kernel"
    elif twice := [c for c in match["y"] if match["y"].count(c) > 1]:
        text, hint = f"has '{twice[0]}' twice in the output: '{value}'", "give every axis a letter of its own"
    if text is not None:
        raise invalid(text, hint)
    return value


OutputShape = Annotated[PositiveInt | tuple[PositiveInt | None, ...], FROM_LIST]


def oriented(start: Initializer, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Initializer:
    """The initializer of a kernel whose axes are inputs and outputs of a product, where it does not say so itself."""
    if isinstance(start, Fans) and (start.input_axes is None or start.output_axes is None):
        return start.model_copy(update={"input_axes": inputs, "output_axes": outputs})
    return start


@LAYERS.add("EinsumDense")
class EinsumDense(Layer):
    """``activation(einsum(equation, x, kernel) + bias)``.

    Shapes: as the equation says; ``...`` stands for axes that are left alone.
    """

    equation: Annotated[
        str,
        AfterValidator(_equation),
        Field(description="Letters of the input's axes, of the kernel's and of the output's: `abc,cd->abd`."),
    ]
    output_shape: Annotated[
        OutputShape,
        Field(
            description="Sizes of the output without the batch and what `...` stands for; null where it is the input's."
        ),
    ]
    activation: ActivationField = Field(default=None, description="Applied to the result; null for none.")
    bias_axes: str | None = Field(default=None, description="Letters of the output's axes that the bias has.")
    kernel_initializer: InitializerField = starts("glorot_uniform")
    bias_initializer: InitializerField = starts("zeros")
    kernel_regularizer: RegularizerField = Field(default=None, description="Penalty on the kernel.")
    bias_regularizer: RegularizerField = Field(default=None, description="Penalty on the bias.")
    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    def lower(self, g: Builder, X: Value) -> Value:
        X = as_float(g, X)
        match = next(m for form in _FORMS if (m := form.fullmatch(self.equation)))
        parts = match.groupdict()
        x, w, y, left = parts["x"], parts["w"], parts["y"], bool(parts.get("left"))
        elided = X.rank - len(x)
        if elided < 0 or (elided and not left and not parts.get("right")):
            text = f"has an equation whose input '{x}' has {len(x)} axes, got {show(X.shape)}"
            hint = f"write one letter for each of the {X.rank} axes, the batch included"
            raise ShapeError(Code.WRONG_RANK, text, hint=hint, key="equation")
        read = dict(zip(x, X.shape[elided if left else 0 :], strict=False))
        written = self._written(X, y, elided, left)
        for c in x:
            if written.get(c) not in (None, read[c]):
                text = f"has {written[c]} in `output_shape` for axis '{c}', which is {read[c]} in {show(X.shape)}"
                raise ShapeError(Code.SIZES_DO_NOT_FIT, text, hint="write null: it is the input's", key="output_shape")
        shape = tuple(self._kernel_size(c, read, written) for c in w)
        inputs = tuple(k for k, c in enumerate(w) if c not in y)
        outputs = tuple(k for k, c in enumerate(w) if c in y)
        kernel = self.weight(g, "kernel", shape, initializer=oriented(self.kernel_initializer, inputs, outputs))
        Y = g.Einsum(X, kernel, equation=self.equation)
        if self.bias_axes is not None:
            sizes = {c: read[c] if d is None else d for c, d in written.items()}
            bias = self._bias_shape(self.bias_axes, y, sizes, 0 if left else elided)
            Y = g.Add(Y, self.weight(g, "bias", bias))
        return g.activate(self.activation, Y)

    def _written(self, X: Value, y: str, elided: int, left: bool) -> dict[str, Dim | None]:
        """The sizes of the output's letters as the spec has them."""
        given = (self.output_shape,) if isinstance(self.output_shape, int) else self.output_shape
        before = X.shape[1:elided] if left else ()
        after = X.shape[X.rank - elided :] if elided and not left else ()
        full: tuple[Dim | None, ...] = (X.shape[0], *before, *given, *after)
        if len(full) != len(y) + elided:
            needed = len(given) + len(y) + elided - len(full)
            sizes = f"{needed} size{'' if needed == 1 else 's'}"
            text = f"needs {sizes} in `output_shape`, one for each letter of '{y}', got {len(given)}"
            hint = "the batch and the axes of '...' are not written; null for a size of the input"
            raise ShapeError(Code.WRONG_RANK, text, hint=hint, key="output_shape")
        return dict(zip(y, full[elided if left else 0 :], strict=False))

    def _kernel_size(self, c: str, read: dict[str, Dim], written: dict[str, Dim | None]) -> int:
        size = written[c] if c in written else read[c]
        if size is None:
            text = f"has null in `output_shape` for axis '{c}', which the kernel has too"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="write its size", key="output_shape")
        if not isinstance(size, int):
            text = f"has axis '{c}' in its kernel, whose size '{size}' varies"
            raise ShapeError(
                Code.SIZE_NOT_FIXED, text, hint="leave it out of the kernel, or give it a number", key="equation"
            )
        return size

    def _bias_shape(self, axes: str, y: str, sizes: dict[str, Dim], elided: int) -> list[int]:
        """From the first of ``axes`` on; 1 along the axes that are not in it."""
        if not axes or (lost := [c for c in axes if c not in y]):
            text = f"has the bias axis '{lost[0]}'" if axes else "has no letter in `bias_axes`"
            hint = f"letters of the output '{y}', or null for no bias"
            raise ShapeError(
                Code.VALUE_NOT_ALLOWED, f"{text}, but its output has the axes '{y}'", hint=hint, key="bias_axes"
            )
        shape = [sizes[c] if c in axes else 1 for c in y[min(y.index(c) for c in axes) :]] + [1] * elided
        for c, d in zip(y[len(y) + elided - len(shape) :], shape, strict=False):
            if not isinstance(d, int):
                text = f"has the bias axis '{c}', whose size '{d}' varies"
                raise ShapeError(Code.SIZE_NOT_FIXED, text, hint="leave it out of `bias_axes`", key="bias_axes")
        return [int(d) for d in shape]
