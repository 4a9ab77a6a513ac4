"""Formulas: what an elementwise operator computes, written as an expression of arrays and recorded as calls of NumPy.

``d / sqrt((1 - X) * (1 + X))`` is an :class:`Expression`: a function with operands, which are expressions or numbers. With
leaves that are arrays, :func:`record` returns the calls that write it: operands in the order in which they are written,
each temporary used again as soon as nobody reads it, a part that occurs twice computed once. With leaves that only have
names, :func:`letters` tells what a formula reads.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphspec.graph.ir.graph import Array, Value
from graphspec.graph.kernels.common import as_words, bit_mask, blocks_of, copy_cast, negate, scratch_like
from graphspec.graph.kernels.common import clip as clip_call
from graphspec.graph.kernels.compiled import Twin
from graphspec.graph.kernels.context import Calls, Context

Maker = Callable[[Context, Sequence[Array], Array], Calls]
"""Returns the calls that write a function of arrays to an array, which may be one of them."""

Formula = Callable[..., Any]  # returns an expression of expressions and of attributes by name


class Function:
    """A function of arrays that expressions may use; ``calls`` write it.

    ``node`` emits it as a value: ONNX's operator, or a function of a builder and values; so does a ``formula`` of
    expressions. ``truth``: its results are bools. ``in_place``: it is computed in the memory of its last operand.
    ``zeros``: its zeros are arrays of the operands' size, since NumPy's loops over one number may be slow.
    """

    def __init__(
        self,
        calls: Maker,
        node: str | Callable[..., Value] = "",
        *,
        formula: Formula | None = None,
        truth: bool = False,
        in_place: bool = False,
        zeros: bool = False,
    ) -> None:
        self.calls, self.node, self.formula = calls, node, formula
        self.truth, self.in_place, self.zeros = truth, in_place, zeros

    def __call__(self, *operands: Expression | float) -> Expression:
        return Expression(self, operands)


def _log1p(g: Any, x: Value) -> Value:
    whole = x + 1.0  # what is lost in this sum is lost in `whole - 1`, too: the quotient corrects the logarithm
    return g.Where(g.Equal(whole, g.constant(1.0)), x, g.Log(whole) * (x / (whole - 1.0)))  # type: ignore[no-any-return]


NODES: dict[np.ufunc, str | Callable[..., Value]] = {
    np.add: "Add", np.subtract: "Sub", np.multiply: "Mul", np.divide: "Div", np.negative: "Neg",
    np.sqrt: "Sqrt", np.square: lambda g, x: x * x, np.reciprocal: "Reciprocal", np.absolute: "Abs", np.sign: "Sign",
    np.exp: "Exp", np.log: "Log", np.expm1: lambda g, x: g.Tanh(x * 0.5) * (g.Exp(x) + 1.0), np.log1p: _log1p,
    np.hypot: lambda g, a, b: g.Sqrt(a * a + b * b), np.power: "Pow", np.tanh: "Tanh", np.arctanh: "Atanh",
    np.sin: "Sin", np.cos: "Cos", np.tan: "Tan", np.arcsin: "Asin", np.arccos: "Acos", np.arctan: "Atan",
    np.sinh: "Sinh", np.cosh: "Cosh", np.arcsinh: "Asinh", np.arccosh: "Acosh",
    np.floor: "Floor", np.ceil: "Ceil", np.rint: "Round", np.maximum: "Max", np.minimum: "Min",
    np.greater: "Greater", np.less: "Less", np.less_equal: "LessOrEqual", np.equal: "Equal",
    np.not_equal: lambda g, a, b: g.Not(g.Equal(a, b)), np.logical_not: "Not", np.isnan: "IsNaN", np.isinf: "IsInf",
}  # fmt: skip
"""What a function of NumPy is in ONNX: an operator's name, or a function of a builder and values."""


def ufunc(function: np.ufunc, *, truth: bool = False, zeros: bool = False) -> Function:
    """Return a function of NumPy for expressions."""
    node = NODES.get(function, "")
    if function in (np.maximum, np.minimum):  # these do not accept `out` as a positional argument
        return Function(lambda ctx, operands, out: [(partial(function, out=out), *operands)], node, zeros=zeros)
    return Function(lambda ctx, operands, out: [(function, *operands, out)], node, truth=truth)


add, subtract, multiply, divide = (ufunc(f) for f in (np.add, np.subtract, np.multiply, np.divide))
"""The four operations, also written with signs. A product with 1 is its other factor."""
negative = Function(lambda ctx, operands, out: [negate(operands[0], out)], "Neg")
sqrt, square, reciprocal, absolute, sign = (ufunc(f) for f in (np.sqrt, np.square, np.reciprocal, np.absolute, np.sign))
exp, expm1, log, log1p, hypot = (ufunc(f) for f in (np.exp, np.expm1, np.log, np.log1p, np.hypot))
sin, cos, tan, arcsin, arccos, arctan = (ufunc(f) for f in (np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan))
sinh, cosh, tanh, arcsinh = (ufunc(f) for f in (np.sinh, np.cosh, np.tanh, np.arcsinh))
arccosh, arctanh = ufunc(np.arccosh), ufunc(np.arctanh)
floor, ceil, rint = (ufunc(f) for f in (np.floor, np.ceil, np.rint))
maximum, minimum = ufunc(np.maximum, zeros=True), ufunc(np.minimum, zeros=True)
greater, less, less_equal, equal, not_equal, logical_not, isnan, isinf = (
    ufunc(f, truth=True)
    for f in (np.greater, np.less, np.less_equal, np.equal, np.not_equal, np.logical_not, np.isnan, np.isinf)
)
copysign, logaddexp = ufunc(np.copysign), ufunc(np.logaddexp)
clip = Function(lambda ctx, operands, out: [clip_call(operands[0], operands[1], operands[2], out)], "Clip")
"""``clip(x, low, high)`` with two numbers."""
copy = Function(lambda ctx, operands, out: [(np.copyto, out, operands[0])], "Identity")
# 1 for true, 0 for false
number = Function(lambda ctx, operands, out: [(copy_cast, out, operands[0])], lambda g, x: g.Cast(x, to="float32"))


def _choose(ctx: Context, operands: Sequence[Array], out: Array) -> Calls:
    condition, a, b = operands
    mask, calls = bit_mask(ctx, condition, out.dtype)
    if out is b:
        calls.append((np.invert, mask, mask))
        a, b = b, a
    words = as_words(out)
    return [
        *calls,
        (np.bitwise_xor, as_words(a), as_words(b), words),
        (np.bitwise_and, words, mask, words),
        (np.bitwise_xor, words, as_words(b), words),
    ]


# `choose(condition, a, b)` has the bits of a where the condition holds, else those of b
choose = Function(_choose, "Where")


def _method(function: Function, *, reflected: bool = False) -> Callable[[Expression, Expression | float], Expression]:
    """Return the method of expressions for a function of two operands; ``reflected`` swaps them."""
    return lambda self, other: function(other, self) if reflected else function(self, other)


class Expression:
    """A function of expressions and numbers; a leaf has an array, or None where only its name matters."""

    def __init__(
        self, function: Function | None, operands: Sequence[Expression | float] = (), array: Array | None = None
    ) -> None:
        self.function, self.operands, self.array = function, tuple(operands), array

    def __neg__(self) -> Expression:
        return negative(self)

    def __mul__(self, other: Expression | float) -> Expression:
        return self if isinstance(other, float) and other == 1 else multiply(self, other)

    def __rmul__(self, other: float) -> Expression:
        return self if other == 1 else multiply(other, self)

    __add__, __radd__ = _method(add), _method(add, reflected=True)
    __sub__, __rsub__ = _method(subtract), _method(subtract, reflected=True)
    __truediv__, __rtruediv__ = _method(divide), _method(divide, reflected=True)
    __gt__, __lt__ = _method(greater), _method(less)

    @property
    def single(self) -> bool:
        return not any(part.array is not None and part.array.dtype == np.float64 for part in parts(self))

    @property
    def truth(self) -> bool:
        return self.function is not None and self.function.truth

    def inner(self) -> list[Expression]:
        return [operand for operand in self.operands if isinstance(operand, Expression)]


def inverse_or_zero(x: Expression) -> Expression:
    """Return ``1 / x``, or 0 for 0."""
    is_zero = equal(x, 0)
    return 1 / (x + is_zero) - is_zero


def kernel(*, result: str) -> Callable[[Formula], Function]:
    """Return a decorator that makes a formula a :class:`Twin`, of the compiled kernel of its name.

    The kernel's operands are the formula's parameters, behind which stands its ``result``; if that is the last parameter,
    it is overwritten.
    """

    def register(formula: Formula) -> Function:
        names = tuple(inspect.signature(formula).parameters)
        in_place = names[-1] == result
        count = len(names)

        def numpy(*operands: Array, ctx: Context) -> Calls:
            return record(ctx, (operands[-1], formula(*(leaf(a) for a in operands[:count]))))

        numpy.__name__, numpy.__module__ = formula.__name__, formula.__module__
        twin: Twin[Any] = Twin(numpy, operands=names if in_place else (*names, result))

        def calls(ctx: Context, operands: Sequence[Array], out: Array) -> Calls:
            return twin(*(operands if in_place else (*operands, out)), ctx=ctx)

        return Function(calls, formula=formula, in_place=in_place)

    return register


def emit(g: Any, part: Expression | float, values: dict[int, Value]) -> Value:
    """Return an expression as a value of the builder ``g``; ``values`` are those of its leaves, and of other parts, by id.

    Bools are factors of 0 and 1, as in NumPy.
    """
    if not isinstance(part, Expression):
        return g.constant(float(part))  # type: ignore[no-any-return]
    if id(part) in values:
        return values[id(part)]
    function = part.function
    assert function is not None, "a leaf without a value"
    operands = [emit(g, operand, values) for operand in part.operands]
    if function.formula is not None:
        leaves = [Expression(None) for _ in operands]
        return emit(g, function.formula(*leaves), dict(zip(map(id, leaves), operands, strict=True)))
    if not function.truth and function is not choose and function is not number:
        operands = [g.Cast(v, to="float32") if v.dtype == "bool" else v for v in operands]
    if isinstance(function.node, str):
        result = g.emit(function.node, operands, {})
    else:
        with g:
            result = function.node(g, *operands)
    values[id(part)] = result
    return result  # type: ignore[no-any-return]


def leaf(array: Array) -> Expression:
    """Return an array as an expression."""
    return Expression(None, array=array)


def letters(formula: Formula, names: Sequence[str], attributes: Mapping[str, Any]) -> set[str]:
    """Return those of the ``names`` of a formula's first parameters that it reads."""
    leaves = {name: Expression(None) for name in names}
    read = {id(part) for part in parts(formula(*leaves.values(), **attributes))}
    return {name for name, x in leaves.items() if id(x) in read}


def parts(*expressions: Expression) -> list[Expression]:
    """Return the expressions and all that they are made of, each once."""
    all_parts: dict[int, Expression] = {}
    waiting = [*expressions]
    while waiting:
        part = waiting.pop()
        if id(part) not in all_parts:
            all_parts[id(part)] = part
            waiting += part.inner()
    return [*all_parts.values()]


def write(ctx: Context, array: Array, formula: Formula, *arrays: Array) -> Calls:
    """Return the calls that write a formula of arrays to an array, which may be one of them."""
    return record(ctx, (array, formula(*map(leaf, arrays))))


def record(ctx: Context, *results: tuple[Array, Expression]) -> Calls:
    """Return the calls that write expressions to arrays.

    An array may be that of a leaf, which nothing may read after the array is written: else there is a ValueError.
    """
    return Recorder(ctx, results).calls


def record_blocks(ctx: Context, formulas: Callable[..., Sequence[tuple[Array, Expression]]], *arrays: Array) -> Calls:
    """Return the calls of :func:`record` for each block of the arrays in turn; ``formulas`` returns the results of a block.

    They are recorded for the first block, and repeated for all blocks of its size. All blocks share their scratch buffers.
    """
    calls, first, begin = Calls(), arrays, ctx.mark()
    recorder: Recorder | None = None
    end = begin
    for block in blocks_of(*arrays):
        if recorder is not None and block[0].shape == first[0].shape:
            ctx.reset(end)
            calls += recorder.repeated(dict(zip(map(id, first), block, strict=True)))
        else:
            ctx.reset(begin)
            recorder, first = Recorder(ctx, formulas(*block)), block
            calls, end = calls + recorder.calls, ctx.mark()
    return calls


class Recorder:
    """Calls, and which arrays hold what they have computed.

    The ``steps`` that make the calls are functions with their operands and their result. ``reads`` says how often each part
    is still read, by its identity, ``places`` which array has it. Of the ``own`` temporaries those are ``free`` that nobody
    reads any more.
    """

    def __init__(self, ctx: Context, results: Sequence[tuple[Array, Expression]]) -> None:
        self.ctx, self.like, self.calls = ctx, results[-1][0], Calls()
        self.steps: list[tuple[Function, list[Array], Array]] = []
        self.results = {id(expression): array for array, expression in results}
        everything = parts(*(expression for _, expression in results))
        self.leaves = [part for part in everything if part.function is None]
        self.reads = Counter([*self.results, *(id(inner) for part in everything for inner in part.inner())])
        self.places, self.constants, self.shapes = dict[int, Array](), dict[str, Array](), dict[int, tuple[int, ...]]()
        self.own, self.free = list[Array](), list[Array]()
        for array, expression in results:
            if (place := self.place(expression, array)) is not array:
                self.step(copy, [place], array)

    def step(self, function: Function, operands: list[Array], target: Array) -> None:
        self.steps.append((function, operands, target))
        self.calls += function.calls(self.ctx, operands, target)

    def repeated(self, others: Mapping[int, Array]) -> Calls:
        """Return the same calls with ``others`` in place of some arrays, by their identity."""
        calls: Calls = []
        for function, operands, target in self.steps:
            new = [others.get(id(a), a) for a in operands]
            calls += function.calls(self.ctx, new, others.get(id(target), target))
        return calls

    def place(self, part: Expression | float, target: Array | None) -> Array:
        """Return an array with the part's value: ``target``, if that is given and the part is not read twice."""
        if not isinstance(part, Expression):
            return self.constant(float(part))
        if part.function is None:
            assert part.array is not None, "a leaf without an array"
            return part.array
        if id(part) in self.places:
            return self.places[id(part)]
        if self.reads[id(part)] > 1:
            target = self.results.get(id(part))
        shape, dtype = self.shape(part), np.dtype(np.bool_) if part.truth else self.like.dtype
        if target is not None and (target.shape, target.dtype) != (shape, dtype):
            target = None
        operands: list[Array] = []
        for k, operand in enumerate(part.operands):
            free = self.is_free(target, operands, part.operands[k + 1 :])
            operands.append(self.place(operand, target if free else None))
        if part.function.zeros and shape == self.like.shape:
            zeros = self.ctx.zeros_like(self.like)
            operands = [zeros if x == 0 else a for a, x in zip(operands, part.operands, strict=True)]
        ended = self.read(part)
        if target is None:
            reusable = next((a for a in ended if (a.shape, a.dtype) == (shape, dtype)), None)
            target = self.temporary(shape, dtype) if reusable is None else reusable
        self.free += [a for a in ended if a is not target]
        if part.function.in_place and operands[-1] is not target:
            raise ValueError("the last operand of a function in place must be a temporary, or have the result's memory")
        if any(self.reads[id(x)] and shares(x.array, target) for x in self.leaves):
            raise ValueError("a formula reads an operand that its result has overwritten")
        self.step(part.function, operands, target)
        self.places[id(part)] = target
        return target

    def is_free(self, target: Array | None, done: Sequence[Array], later: Sequence[Expression | float]) -> bool:
        """Return whether an operand may be written to ``target``: no other operand has or reads its memory."""
        if target is None or any(shares(a, target) for a in done):
            return False
        others = parts(*(operand for operand in later if isinstance(operand, Expression)))
        return not any(shares(self.places.get(id(x), x.array), target) for x in others)

    def read(self, part: Expression) -> list[Array]:
        """Note that a part's operands have been read once more; return the temporaries that this was the last time for."""
        ended: list[Array] = []
        for key in map(id, part.inner()):
            self.reads[key] -= 1
            if not self.reads[key] and any(self.places.get(key) is a for a in self.own):
                ended.append(self.places[key])
        return ended

    def temporary(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return a temporary that nobody reads, used before or new."""
        for k, array in enumerate(self.free):
            if (array.shape, array.dtype) == (shape, dtype):
                return self.free.pop(k)
        new = scratch_like(self.ctx, self.like, dtype) if shape == self.like.shape else self.ctx.scratch(shape, dtype)
        self.own.append(new)
        return new

    def constant(self, value: float) -> Array:
        key = repr(value)  # 0 and -0 are equal
        if key not in self.constants:
            self.constants[key] = self.ctx.constant(value)
        return self.constants[key]

    def shape(self, part: Expression) -> tuple[int, ...]:
        if part.array is not None:
            return part.array.shape
        if id(part) not in self.shapes:
            inner = {self.shape(x) for x in part.inner()} - {()}
            self.shapes[id(part)] = (
                inner.pop() if len(inner) == 1 else np.broadcast_shapes(*inner)
            )  # which takes longer
        return self.shapes[id(part)]


def shares(a: Array | None, b: Array) -> bool:
    """Return whether two arrays may have memory in common."""
    return a is not None and (a is b or np.may_share_memory(a, b))
