"""Operations: layers that are made from a typed function, which has the signature of Keras's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import create_model

from graphspec.base.config import FROM_LIST, Neutral, described
from graphspec.vocabulary import Builder, Code, ShapeError, Value
from graphspec.vocabulary.layers.layer import LAYERS, NEUTRAL, Layer, Number, as_float, cast_to

Function = Callable[..., Any]

AXIS = "The axis; 0 is the batch, -1 the last one."
Axis = Annotated[int, described(AXIS)]
AxisOrNone = Annotated[int | None, described(f"{AXIS} null: all elements, as one vector.")]
Axes = Annotated[
    int | tuple[int, ...] | None,
    FROM_LIST,
    described("The axis, or a list of axes; 0 is the batch, -1 the last one. null: all axes."),
]
KeepDims = Annotated[bool, described("Whether the axes remain, with size 1.")]


def inputs_of(function: Function) -> list[inspect.Parameter]:
    """Return the parameters of a function that are inputs: those behind ``g`` that are not arguments."""
    _, *parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]


class Operation(Layer, handles_mask=True, takes_numbers=True, takes_absent=True, takes_values_as_they_are=True):
    """Base: ``function(g, *inputs, **arguments)`` emits the operators. As in Keras, an operation drops the mask."""

    neutral: ClassVar[Mapping[str, Neutral]] = {k: v for k, v in NEUTRAL.items() if k != "activity_regularizer"}
    function: ClassVar[Function]
    signed_by: ClassVar[Function | None] = None
    """The function whose parameters behind the first one are the inputs, if it is not ``function``."""
    integers: ClassVar[frozenset[int]] = frozenset()
    """The positions of inputs that are indices: a number there is an integer, whatever the others are."""

    @classmethod
    def input_names(cls) -> list[str]:
        """Return the names of the inputs, ``*xs`` for any number, ``x?`` for one that may be absent."""
        inputs = inputs_of(cls.signed_by or cls.function)
        return [f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name + "?" * (p.default is None) for p in inputs]

    def lower(self, g: Builder, *inputs: Value | None, **calls: Any) -> Value | tuple[Value, ...]:
        needed = inputs if self.arity[1] is None else inputs[: self.arity[0]]
        if None in needed:
            text, hint = f"needs its input {needed.index(None)}, got null", "null stands for an optional input only"
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, hint=hint, key="inputs")
        arguments = {name: getattr(self, name) for name in type(self).model_fields}
        plain = [None if X is None else X.with_mask(None) for X in inputs]
        result: Value | Sequence[Value] = type(self).function(g, *plain, **arguments)
        return tuple(Y.with_mask(None) for Y in result) if isinstance(result, Sequence) else result.with_mask(None)

    def number(self, g: Builder, value: Number, index: int, others: Sequence[Value]) -> Value:
        if index in self.integers:
            return g.constant(value)  # a float is no index: the function refuses it
        return super().number(g, value, index, others)


def operation(function: Function, prefix: str = "ops.") -> type[Operation]:
    """Make a layer from a function and register it under ``ops.<its name>`` (a decorator).

    Parameters behind ``g`` are the inputs: one with a default may be absent, ``*xs`` is any number of inputs, and those
    called ``indices`` or ``segment_ids`` are integers. Keyword-only parameters are the arguments. A ``_`` at the end of
    the name, or of a parameter, only keeps Python's own name free.
    """
    cls = layer_class(prefix + function.__name__.removesuffix("_"), function)
    LAYERS.add(cls.__name__)(cls)
    return cls


def layer_class(name: str, function: Function) -> type[Operation]:
    """Return the class of the layer ``name``, with the signature of ``function``."""
    return made(name, function, function.__doc__, arguments_of(function), module=function.__module__)


def arguments_of(function: Function) -> dict[str, Any]:
    """Return a type and a default, ``...`` without one, of each keyword-only parameter."""
    own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in own}


def add_row(module: str, name: str, function: Function, text: str, arguments: Mapping[str, Any] | None = None) -> None:
    """Register the layer ``ops.<name>`` of a row of a table; its class is made when it is first looked up."""
    LAYERS.row([f"ops.{name}"], partial(made, f"ops.{name}", function, text, arguments, module=module))


def made(
    name: str, function: Function, text: str | None, arguments: Mapping[str, Any] | None = None, *, module: str
) -> type[Operation]:
    """Return the class of the layer ``name``: its function, its docstring, and a type and a default of each argument."""
    cls = create_model(name, __base__=Operation, __module__=module, __doc__=text, **(arguments or {}))
    cls.function = staticmethod(function)
    cls.arity = arity_of(inputs_of(function))
    cls.integers = frozenset(k for k, p in enumerate(inputs_of(function)) if p.name in ("indices", "segment_ids"))
    return cls


def arity_of(inputs: Sequence[inspect.Parameter]) -> tuple[int, int | None]:
    """Return the least and the largest number of inputs."""
    needed = sum(p.kind is not p.VAR_POSITIONAL and p.default is p.empty for p in inputs)
    return max(needed, 1), None if any(p.kind is p.VAR_POSITIONAL for p in inputs) else len(inputs)


# Dtypes: Keras's promotion, with all integers as int64.


def is_integer(X: Value) -> bool:
    """Return whether the elements are integers; bools are not."""
    return X.dtype not in ("float32", "bool")


def number(g: Builder, X: Value) -> Value:
    """Return X as float32 or int64: bools and smaller integers become int64."""
    return X if X.type.is_float else cast_to(g, X, "int64")


def promoted(g: Builder, *inputs: Value) -> list[Value]:
    """Return the inputs in their common dtype: float32 if one is, else int64 if one is an integer, else bool."""
    dtypes = {X.dtype for X in inputs}
    common = "float32" if "float32" in dtypes else "bool" if dtypes == {"bool"} else "int64"
    return [cast_to(g, X, common) for X in inputs]


def numbers(g: Builder, *inputs: Value) -> list[Value]:
    """Return the inputs in their common dtype, with bools as int64."""
    return promoted(g, *(number(g, X) for X in inputs))


def truth(g: Builder, X: Value) -> Value:
    """Return whether each element is not 0."""
    return X if X.dtype == "bool" else g.Not(g.Equal(X, g.constant(0, X.dtype)))


def truths(g: Builder, *inputs: Value) -> list[Value]:
    """Return whether each element of the inputs is not 0."""
    return [truth(g, X) for X in inputs]


def floats(g: Builder, *inputs: Value) -> list[Value]:
    """Return the inputs as float32."""
    return [as_float(g, X) for X in inputs]
