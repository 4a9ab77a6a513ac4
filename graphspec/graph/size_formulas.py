"""Sizes that a spec writes as formulas of varying sizes: ``time``, ``time * 2``, ``height / 7``.

A size is a monomial, ``coefficient · atom · atom · …``. An atom is a size that varies: a name, or a sum such as
``time-2``. A coefficient that is not an integer is a division without remainder, of which only a batch shows whether it
works out: its size is rounded up, so that the product of all sizes is too large if it does not
(:func:`graphspec.graph.ir.dims.divide`).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce

import numpy as np

from graphspec.base.config import invalid
from graphspec.base.errors import Code, ShapeError, did_you_mean
from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import Dim, add, divide, divided_exactly, factors, mul
from graphspec.graph.ir.graph import Value

_MAX_LENGTH = 200  # characters of a formula


def parse(text: str) -> ast.expr:
    """Return a formula of names, integers of at least 1, ``+ - * /`` (or ``//``) and parentheses; refuse any other text."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body if len(text) <= _MAX_LENGTH else None
    except (SyntaxError, ValueError, RecursionError):
        tree = None
    if tree is None or not _is_formula(tree):
        hint = "such as `time`, `time * 2` or `height / 4`, with the names of sizes that vary"
        raise invalid(f"must be a size or a formula of sizes, got '{text[:40]}'", hint)
    return tree


def _is_formula(tree: ast.expr) -> bool:
    if isinstance(tree, ast.BinOp):
        return isinstance(tree.op, _OPERATORS) and _is_formula(tree.left) and _is_formula(tree.right)
    return isinstance(tree, ast.Name) or (isinstance(tree, ast.Constant) and type(tree.value) is int and tree.value > 0)


_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv)


@dataclass(frozen=True)
class Size:
    """``coefficient · atoms``, above 0."""

    coefficient: Fraction = Fraction(1)
    atoms: Mapping[str, int] = field(default_factory=dict)

    def times(self, other: Size, sign: int = 1) -> Size:
        """Return the product; with ``sign`` -1 the quotient."""
        powers = Counter(self.atoms)
        for atom, power in other.atoms.items():
            powers[atom] += sign * power
        return Size(self.coefficient * other.coefficient**sign, {a: p for a, p in powers.items() if p})

    @property
    def is_integer(self) -> bool:
        return self.coefficient.denominator == 1

    @property
    def divides(self) -> bool:
        return all(power > 0 for power in self.atoms.values())

    @property
    def dim(self) -> Dim:
        """The dimension; one that is divided is rounded up."""
        product: Dim = self.coefficient.numerator
        for atom in Counter(self.atoms).elements():
            product = mul(product, atom)
        return divide(product, self.coefficient.denominator)

    @classmethod
    def of(cls, d: Dim) -> Size:
        number, names = factors(d)
        size = cls(Fraction(number))
        for name in names:
            if divided := divided_exactly(name):
                size = size.times(cls.of(divided[0])).times(cls(Fraction(1, divided[1])))
            else:
                size = size.times(cls(atoms={name: 1}))
        return size


def product(sizes: Iterable[Size]) -> Size:
    """Return the product of all sizes."""
    return reduce(Size.times, sizes, Size())


class Formulas:
    """The formulas of a layer: as sizes, and as values that its operators read. A name is a size of X, or of an input."""

    def __init__(self, g: Builder, X: Value, key: str) -> None:
        self._g, self._key = g, key
        self._axes: dict[str, tuple[Value, int]] = {}
        for value in (X, *g.graph.inputs.values()):
            for axis, d in enumerate(value.shape[1:], 1):
                if isinstance(d, str):
                    self._axes.setdefault(d, (value, axis))
        self._atoms: dict[str, Value] = {}

    def size(self, tree: ast.expr) -> Size:
        """Return the size that a formula describes; raise ShapeError (GS105) for an unknown name."""
        if isinstance(tree, ast.Constant):
            return Size(Fraction(int(str(tree.value))))
        if isinstance(tree, ast.Name):
            return Size.of(self._varying(tree.id))
        assert isinstance(tree, ast.BinOp)
        left, right = self.size(tree.left), self.size(tree.right)
        if isinstance(tree.op, ast.Mult):
            return left.times(right)
        if isinstance(tree.op, ast.Div | ast.FloorDiv):
            if right.atoms:
                raise self._wrong("divides by a size that varies", "divide by a number, or use -1 for this size")
            return left.times(right, -1)
        return self._sum(left, right, 1 if isinstance(tree.op, ast.Add) else -1)

    def _varying(self, name: str) -> str:
        if name not in self._axes:
            names = [each for each in self._axes if each.isidentifier()]
            listed = f"use one of {', '.join(names)}" if names else "no size varies here: write numbers, or -1"
            raise self._wrong(f"names '{name}', which is no size that varies", did_you_mean(name, names) or listed)
        return name

    def _wrong(self, text: str, hint: str) -> ShapeError:
        return ShapeError(Code.VALUE_NOT_ALLOWED, text, hint=hint, key=self._key)

    def _sum(self, left: Size, right: Size, sign: int) -> Size:
        """Return a sum: like terms as one, others as an atom, with its value."""
        other = right.times(Size(Fraction(sign)))
        if left.atoms == other.atoms:
            number = left.coefficient + other.coefficient
            if number <= 0:
                raise self._wrong(f"has a size of {Size(number, left.atoms).dim}", "sizes are at least 1")
            return Size(number, left.atoms)
        d = str(add(left.dim, other.dim))
        if d not in self._axes:
            self._atoms[d] = self._g.Add(self.value(left), self.value(other))
        return Size(atoms={d: 1})

    def value(self, size: Size) -> Value:
        """Return a size as an int64 value of shape (1,), rounded up."""
        parts = [self._atom(atom) for atom in Counter(size.atoms).elements()]
        if not parts or abs(size.coefficient.numerator) != 1 or size.coefficient < 0:
            parts.append(self._number(size.coefficient.numerator))
        total = reduce(self._g.Mul, parts)
        if (k := size.coefficient.denominator) > 1:  # as `divide`
            total = self._g.Add(self._g.Mul(total, self._number(k)), self._number(k * (k - 1)))
            total = self._g.Div(total, self._number(k * k))
        return total

    def _number(self, number: int) -> Value:
        return self._g.constant(np.array([number], np.int64))

    def _atom(self, atom: str) -> Value:
        if atom in self._atoms:
            return self._atoms[atom]
        if atom in self._axes:
            size = self._g.size(*self._axes[atom])
            value = self._number(size) if isinstance(size, int) else size
        else:
            try:
                tree = ast.parse(atom, mode="eval").body
            except SyntaxError:  # names of columns may have other letters
                tree = None
            value = self._computed(tree, atom)
        self._atoms[atom] = value
        return value

    def _computed(self, tree: ast.expr | None, atom: str) -> Value:
        """Return the value of a dimension that no axis has, from those of its names."""
        if isinstance(tree, ast.Name) and tree.id in self._axes:
            return self._atom(tree.id)
        if isinstance(tree, ast.Constant):
            return self._number(int(str(tree.value)))
        if isinstance(tree, ast.UnaryOp):
            return self._g.Mul(self._computed(tree.operand, atom), self._number(-1))
        if not isinstance(tree, ast.BinOp):
            hint = "write 0 for a size that stays at its place"
            raise self._wrong(f"needs the size '{atom}', which no axis has", hint)
        left, right = self._computed(tree.left, atom), self._computed(tree.right, atom)
        operators = {ast.Add: self._g.Add, ast.Sub: self._g.Sub, ast.Mult: self._g.Mul, ast.FloorDiv: self._g.Div}
        result: Value = operators[type(tree.op)](left, right)
        return result
