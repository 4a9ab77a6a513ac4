"""Formulas of nodes: a text that becomes the same operators as a node for each of its operations."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field, ValidationError

from graphspec.base.config import invalid
from graphspec.base.errors import Code, ShapeError, did_you_mean, shorten
from graphspec.base.formula import MAX_LENGTH, Parsed, Term, Wrong, parse
from graphspec.vocabulary import Builder, Value, show, wrong_dtype
from graphspec.vocabulary.layers.layer import LAYERS, Layer, Number, cast_to

_SIGNS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "//": "floor_divide", "%": "mod", "**": "power"}
_SIGNS |= {"@": "matmul", "negative": "negative"}
_LOGICAL = {"and": "logical_and", "or": "logical_or", "not": "logical_not"}
_OTHERS = {"==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
_NAMES = {sign: f"ops.{name}" for sign, name in (_SIGNS | _LOGICAL | _OTHERS).items()}
_PAIRS = {"max": "maximum", "min": "minimum"}


def class_name(term: Term) -> str:
    """Return the ``type`` that a call or a part stands for: ``ops.add`` for ``+``."""
    name = str(term.value)
    return "GetItem" if term.kind == "part" else _NAMES.get(name) or f"ops.{name.removeprefix('ops.')}"


def class_of(term: Term) -> type[Layer] | None:
    """Return the layer that a call or a part stands for; None if there is no such operation."""
    name = class_name(term)
    return None if name in LAYERS.refused else LAYERS.get(name)


def options_of(term: Term) -> dict[str, Any]:
    """Return the arguments of a call or a part."""
    return {"key": term.value} if term.kind == "part" else {key: value for key, (value, *_) in term.options.items()}


def check(parsed: Parsed, text: str, names: Collection[str] = ()) -> list[tuple[Code, Wrong]]:
    """Return what is wrong with a formula, but for the arguments of its calls. ``names``: the known names of nodes."""
    found = [(Code.VALUE_NOT_ALLOWED, wrong) for wrong in parsed.wrong]
    for term in (term for term in parsed.terms if term.kind == "call"):
        name, cls, given = str(term.value), class_of(term), len(term.args)
        least, most = (0, None) if cls is None else cls.arity
        if cls is None:
            reason, hint = LAYERS.refused.get(f"ops.{name}", ("", None))
            said = f"has `{name}`, which is refused: {reason}" if reason else f"has an unknown operation '{name}'"
            if name in names:
                hint = f"write `*` between `{name}` and `(`"
            elif not reason and LAYERS.get(name) is not None:
                hint = f"{name} is a layer: make it a node, and write its name here"
            hint = hint or did_you_mean(name, {known[4:] for known in LAYERS.names() if known[:4] == "ops."})
            hint = hint or "docs/vocabulary/operations.md lists them: `log(x)` is `ops.log`"
            found.append((Code.UNKNOWN_CLASS, Wrong(*term.place, said, hint)))
        elif given < least or (most is not None and given > most):
            some = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
            said = f"gives `{name}` {given} input{'s' if given != 1 else ''}, but it takes {some}"
            keys = [key for key in cls.model_fields if key not in term.options]
            named = [f"{key}={text[x.start : x.end]}" for key, x in zip(keys, term.args[most:], strict=False)]
            hint = f"write arguments with their names: `{name}(…, {', '.join(named)})`" if named and most else None
            hint = (
                f"write `{_PAIRS[name]}(a, b)`" if name in _PAIRS else hint or f"its inputs are those of `ops.{name}`"
            )
            found.append((Code.WRONG_INPUT_COUNT, Wrong(*term.place, said, hint)))
    return found


class Formula(Layer, arity=(1, None), handles_mask=True, takes_numbers=True, takes_values_as_they_are=True):
    """A formula of nodes, such as ``-log(p) * (1 - p)**2``: the names in it are its inputs.

    ``+ - * / // % ** @``, comparisons, ``and or not`` and calls are the operations ``ops.add``, … of the same name. In
    arithmetic a comparison is 1 or 0. An operation drops the mask.

    Shapes: the inputs → what the operations make of them.
    """

    value: Annotated[str, Field(description="The formula: `(a - b)**2 * (c > 0)`.", max_length=MAX_LENGTH)]

    def check_arguments(self) -> None:
        parsed = parse(self.value)
        for code, wrong in check(parsed, self.value):
            raise invalid(wrong.message, wrong.hint, code=code, key="value")
        for term in (term for term in parsed.terms if term.kind in ("call", "part")):
            try:
                self._operation(term)
            except ValidationError:
                raise invalid(f"has wrong arguments of `{term.value}`", key="value") from None

    @staticmethod
    def _operation(term: Term) -> Layer:
        cls = class_of(term)
        assert cls is not None
        return cls.model_validate(options_of(term))

    def number(self, g: Builder, value: Number, *_: Any) -> Value:
        return g.constant(value)

    def lower(self, g: Builder, *inputs: Value) -> Value:
        parsed = parse(self.value)
        names = list(parsed.names())
        if len(inputs) != len(names):
            text, listed = f"takes {len(names)} inputs, got {len(inputs)}", ", ".join(names)
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, f"its inputs are {listed}, in this order", key="inputs")
        known: dict[Term, Value | Number] = {}
        for term in parsed.terms:
            if term.kind in ("number", "name"):
                known[term] = term.value if term.kind == "number" else inputs[names.index(term.value)]
                continue
            try:
                known[term] = self._emit(g, term, [known[arg] for arg in term.args])
            except ShapeError as error:
                sides = [(self._text(arg), known[arg]) for arg in term.args]
                shapes = ", ".join(f"`{text}` is {show(X.shape)}" for text, X in sides if isinstance(X, Value))
                told = f"{error.problem.message}: {shapes}"
                raise error.changed(message=told, key="value", span=term.place) from None
        result = known[parsed.terms[-1]]
        return result if isinstance(result, Value) else g.constant(result, "float32")

    def _text(self, term: Term) -> str:
        return shorten(self.value[term.start : term.end], 40)

    def _emit(self, g: Builder, term: Term, args: list[Value | Number]) -> Value:
        sign, layer = term.value, self._operation(term)
        values = [arg for arg in args if isinstance(arg, Value)]
        if sign in _SIGNS:  # a comparison in arithmetic is a number
            dtype = "int64" if any(X.dtype not in ("bool", "float32") for X in values) else "float32"
            with g.part("cast"):
                args = [cast_to(g, X, dtype) if isinstance(X, Value) and X.dtype == "bool" else X for X in args]
        elif sign in _LOGICAL and (wrong := [X for X in args if not isinstance(X, Value) or X.dtype != "bool"]):
            text = self._text(term.args[args.index(wrong[0])])
            raise wrong_dtype(f"needs true or false beside `{sign}`", f"compare it: `{text} > 0`")
        values = [arg for arg in args if isinstance(arg, Value)]
        with g.part(type(layer).__name__.removeprefix("ops.")):
            given = [X if isinstance(X, Value) else layer.number(g, X, k, values) for k, X in enumerate(args)]
            result = layer.lower(g, *given)
        if isinstance(result, tuple):
            text = f"has `{sign}` with {len(result)} results, and a formula needs one"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, f"make a node of type ops.{sign}, and name `node:0` here")
        return result
