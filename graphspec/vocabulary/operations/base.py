"""Operations: layers that are made from a typed function, which has the signature of Keras's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, create_model

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, Neutral
from graphspec.base.errors import ShapeError
from graphspec.vocabulary.layers.base import LAYERS, NEUTRAL, Layer, Number

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

Function = Callable[..., Any]

AXIS = "The axis; 0 is the batch, -1 the last one."
Axis = Annotated[int, Field(description=AXIS)]
AxisOrNone = Annotated[int | None, Field(description=f"{AXIS} null: all elements, as one vector.")]
Axes = Annotated[
    int | tuple[int, ...] | None,
    FROM_LIST,
    Field(description="The axis, or a list of axes; 0 is the batch, -1 the last one. null: all axes."),
]
KeepDims = Annotated[bool, Field(description="Whether the axes remain, with size 1.")]


def inputs_of(function: Function) -> list[inspect.Parameter]:
    """Return the parameters of a function that are inputs: those behind ``g`` that are not arguments."""
    _, *parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]


class Operation(Layer):
    """Base: ``function(g, *inputs, **arguments)`` emits the operators. As in Keras, an operation drops the mask."""

    handles_mask = True
    takes_numbers = True
    takes_absent = True
    takes_values_as_they_are = True
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
        if absent := [k for k, X in enumerate(needed) if X is None]:
            hint = "null stands for an optional input only"
            raise ShapeError(Code.WRONG_INPUT_COUNT, f"needs its input {absent[0]}, got null", hint=hint, key="inputs")
        arguments = {name: getattr(self, name) for name in type(self).model_fields}
        plain = [None if X is None else X.with_mask(None) for X in inputs]
        found: Value | Sequence[Value] = type(self).function(g, *plain, **arguments)
        if isinstance(found, Sequence):
            return tuple(Y.with_mask(None) for Y in found)
        return found.with_mask(None)

    def number(self, g: Builder, value: Number, index: int, others: Sequence[Value]) -> Value:
        if index in self.integers:
            return g.constant(value)  # a float is no index: the function refuses it
        return super().number(g, value, index, others)


def operation(function: Function) -> type[Operation]:
    """Make a layer from a function and register it under ``ops.<its name>`` (a decorator).

    Parameters behind ``g`` are the inputs: one with a default may be absent, ``*xs`` is any number of inputs, and those
    called ``indices`` or ``segment_ids`` are integers. Keyword-only parameters are the arguments. A ``_`` at the end of
    the name, or of a parameter, only keeps Python's own name free.
    """
    name = f"ops.{function.__name__.removesuffix('_')}"
    made = layer_class(name, function)
    LAYERS.add(name)(made)
    return made


def operation_of(
    name: str, function: Function, text: str, arguments: Mapping[str, Any] | None = None, *, module: str
) -> None:
    """Register a row of a table as ``ops.<name>``: its ``function``, its docstring, and a type and default an argument."""
    made = _made(f"ops.{name}", function, text, module, arguments or {})
    LAYERS.add(made.__name__)(made)


def layer_class(name: str, function: Function) -> type[Operation]:
    """Return the class of the layer ``name``, with the signature of ``function``."""
    names = {"Value": Any, "Builder": Any} | function.__globals__  # only type checkers import them
    parameters = inspect.signature(function, eval_str=True, globals=names).parameters.values()
    arguments = {
        p.name: (p.annotation, ... if p.default is p.empty else p.default)
        for p in parameters
        if p.kind is p.KEYWORD_ONLY
    }
    return _made(name, function, function.__doc__, function.__module__, arguments)


def _made(
    name: str, function: Function, text: str | None, module: str, arguments: Mapping[str, Any]
) -> type[Operation]:
    made = create_model(name, __base__=Operation, __module__=module, __doc__=text, **arguments)
    made.function = staticmethod(function)
    inputs = inputs_of(function)
    needed = sum(p.kind is not p.VAR_POSITIONAL and p.default is p.empty for p in inputs)
    variadic = any(p.kind is p.VAR_POSITIONAL for p in inputs)
    made.arity = (max(needed, 1), None if variadic else len(inputs))
    made.integers = frozenset(k for k, p in enumerate(inputs) if p.name in ("indices", "segment_ids"))
    return made
