"""Arithmetic on dimensions: integers, names such as ``N`` and ``time``, and expressions of names.

A symbolic dimension is a string in canonical form: ``time-2``, ``(time-3)//2+1``, ``N*time``. Equal computations have
equal strings. Names are bound to sizes when the first batch arrives; before that, strings are only compared. Sizes that
are learnt from data, such as the number of words of a vocabulary, are integers with a name (:class:`LearntSize`).
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import isqrt
from typing import Self

Dim = int | str
Shape = tuple[Dim, ...]

_OFFSET = re.compile(r"^(?P<head>.*[^-+*/])(?P<offset>[-+]\d+)$")


def _split(d: str) -> tuple[str, int]:
    """Split off the offset: ``"time-2"`` → ``("time", -2)``. Offsets inside parentheses stay."""
    match = _OFFSET.match(d)
    if match and match["head"].count("(") == match["head"].count(")"):
        return match["head"], int(match["offset"])
    return d, 0


def _group(d: str) -> str:
    """Return ``d`` in parentheses unless it is a single name or already in parentheses."""
    return d if re.fullmatch(r"[\w.<>]+|\([^()]*\)", d) else f"({d})"


def add(d: Dim, k: Dim) -> Dim:
    """Return ``d + k``."""
    if isinstance(d, int) and isinstance(k, int):
        return d + k
    if isinstance(d, int):
        return add(k, d)
    head, offset = _split(d)
    if isinstance(k, int):
        offset += k
        return head if offset == 0 else f"{head}{offset:+d}"
    other, other_offset = _split(k)
    return add(f"{head}+{other}", offset + other_offset)


def subtract(d: Dim, k: Dim) -> Dim | None:
    """Return ``d - k`` if this is an integer or ``d`` with another offset, else None."""
    if isinstance(k, int):
        return add(d, -k)
    head, offset = _split(k)
    if isinstance(d, int) or _split(d)[0] != head:
        return None
    return _split(d)[1] - offset


def factors(d: Dim) -> tuple[int, list[str]]:
    """Return the integer factor and the sorted symbolic factors: ``"N*time*4"`` → ``(4, ["N", "time"])``."""
    if isinstance(d, int):
        return d, []
    parts, depth, start = [], 0, 0
    for k, c in enumerate(d):
        depth += (c == "(") - (c == ")")
        if depth == 0 and c in "+-/":
            return 1, [d]
        if depth == 0 and c == "*":
            parts.append(d[start:k])
            start = k + 1
    parts.append(d[start:])
    number, names = 1, []
    for part in parts:
        if part.isdigit():
            number *= int(part)
        else:
            names.append(part[1:-1] if part.startswith("(") else part)
    return number, sorted(names)


def _join(number: int, names: Iterable[str]) -> Dim:
    names = sorted(names)
    if number == 0 or not names:
        return number
    if number == 1 and len(names) == 1:
        return names[0]
    return "*".join([*map(_group, names), *([str(number)] if number != 1 else [])])


def mul(d: Dim, k: Dim) -> Dim:
    """Return ``d · k``."""
    number, names = factors(d)
    other_number, others = factors(k)
    return _join(number * other_number, names + others)


def quotient(d: Dim, k: Dim) -> Dim | None:
    """Return ``d / k`` if ``k`` divides ``d`` for all sizes, else None."""
    number, names = factors(d)
    divisor, others = factors(k)
    if divisor == 0 or number % divisor or Counter(others) - Counter(names):
        return None
    return _join(number // divisor, (Counter(names) - Counter(others)).elements())


def floordiv(d: Dim, k: int) -> Dim:
    """Return ``⌊d / k⌋``."""
    if isinstance(d, int):
        return d // k
    exact = quotient(d, k)
    return exact if exact is not None else f"{_group(d)}//{k}"


def ceildiv(d: Dim, k: int) -> Dim:
    """Return ``⌈d / k⌉``."""
    if isinstance(d, int):
        return -(-d // k)
    return d if k == 1 else exact if (exact := quotient(d, k)) is not None else floordiv(add(d, k - 1), k)


def divide(d: Dim, k: int) -> Dim:
    """Return ``d / k``, which works out for the sizes that are allowed; for others it is rounded up.

    The form ``⌊(k·d + k(k − 1)) / k²⌋`` is one that no layer computes by chance.
    """
    exact = quotient(d, k)
    return exact if exact is not None else floordiv(add(mul(d, k), k * (k - 1)), k * k)


_EXACT = re.compile(r"^\((?P<times>.+)\+(?P<more>\d+)\)//(?P<square>\d+)$")


def divided_exactly(d: str) -> tuple[Dim, int] | None:
    """Return the dimension and the divisor of a result of :func:`divide`, else None."""
    match = _EXACT.match(d)
    k = math.isqrt(int(match["square"])) if match else 0
    if match is None or k < 2 or k * k != int(match["square"]) or int(match["more"]) != k * (k - 1):
        return None
    dividend = quotient(match["times"], k)
    return None if dividend is None else (dividend, k)


def product(shape: Shape) -> Dim:
    """Return the product of all dimensions."""
    total: Dim = 1
    for d in shape:
        total = mul(total, d)
    return total


def evaluate(d: Dim, sizes: Mapping[str, int]) -> int | None:
    """Return the size of a dimension for given sizes of its names, or None for an unknown name or a division by 0.

    The parser keeps its own stacks, so deep nesting cannot exceed the recursion limit.
    """
    if isinstance(d, int) or d in sizes:
        return d if isinstance(d, int) else sizes[d]
    operands: list[int] = []
    pending: list[str] = []
    expects_operand = True  # then "-" is a sign

    def reduce(precedence: int) -> None:
        """Apply the pending operators with at least this precedence."""
        while pending and _PRECEDENCE[pending[-1]] >= precedence:
            name, last = pending.pop(), operands.pop()
            operands.append(-last if name == _SIGN else _OPERATORS[name](operands.pop(), last))

    try:
        for token in _tokens(d, sizes):
            if isinstance(token, int):
                operands.append(token)
            elif token == "(" or (token == "-" and expects_operand):
                pending.append("(" if token == "(" else _SIGN)
            elif token == ")":
                reduce(1)
                pending.pop()
            else:
                reduce(_PRECEDENCE[token])
                pending.append(token)
            expects_operand = not isinstance(token, int) and token != ")"
        reduce(1)
    except (LookupError, ZeroDivisionError):
        return None
    return operands[0] if len(operands) == 1 and not pending else None


_SIGN = "sign"
_PRECEDENCE = {"(": 0, "+": 1, "-": 1, "*": 2, "//": 2, _SIGN: 3}
_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv}


def _tokens(d: str, sizes: Mapping[str, int]) -> Iterator[int | str]:
    """Yield integers, operators and parentheses; names are replaced by their sizes, KeyError for an unknown name."""
    # The longest names come first: "my-input_1" is one name if it is in `sizes`, else a difference.
    by_length = "|".join(map(re.escape, sorted(sizes, key=len, reverse=True)))
    token = re.compile(rf"(?:(?P<name>{by_length or '(?!)'})|(?P<number>\d+))(?![\w.])|(?P<operator>//|[-+*()])")
    position = 0
    while position < len(d):
        match = token.match(d, position)
        if match is None:
            raise KeyError(d[position:])
        position = match.end()
        if match["name"] is not None:
            yield sizes[match["name"]]
        else:
            yield match["operator"] or int(match["number"])


def names_in(d: str) -> str:
    """Return the names in a symbolic dimension as text for a message: ``'time'``, ``'height' and 'width'``."""
    return " and ".join(f"'{name}'" for name in dict.fromkeys(re.findall(r"[^\W\d][\w.]*", d)))


def fixed_size(shape: Shape) -> int:
    """Return the number of elements of a shape without symbolic dimensions."""
    return math.prod(int(d) for d in shape)


_ROWS = re.compile(r"(?<![\w.])N(?![\w.])")


def has_rows(shape: Shape) -> bool:
    """Return whether the batch axis ``N`` is in a dimension of a shape.

    >>> [has_rows(shape) for shape in (("N", 4), ("N*time", 4), ("N_1", 4), (3,))]
    [True, True, False, False]
    """
    return any(isinstance(d, str) and (d == "N" or _ROWS.search(d) is not None) for d in shape)


def show_dim(d: Dim) -> str:
    """Return a dimension as text, with ``height/8`` for what :func:`divide` divides."""
    if isinstance(d, int) or "//" not in d:
        return str(d)
    number, names = factors(d)
    parts = [f"{_group(show_dim(pair[0]))}/{pair[1]}" if (pair := divided_exactly(n)) else _group(n) for n in names]
    return "*".join([*parts, *([str(number)] if number != 1 else [])]) if len(names) > 1 or number != 1 else parts[0]


_SHOWN = 60  # characters of a dimension in a message


def show(shape: Shape) -> str:
    """Return a shape as text: ``(N, 28, 28, 64)``. A sum of many sizes is cut."""
    dims = [text if len(text := show_dim(d)) <= _SHOWN else f"{text[:_SHOWN]}…" for d in shape]
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"


class LearntSize(int):
    """A size that is not known before a layer has learnt from the training rows.

    It is an integer with a stand-in value, so shapes can be checked and weights declared before there are data. Sums and
    products keep its name, which messages show in place of the value. Two learnt sizes are equal only if they are the same:
    their stand-ins differ. A graph with learnt sizes is never run.

    >>> tokens = LearntSize(1009, "words")
    >>> print(tokens + 2, tokens * 64, tokens == LearntSize(1013, "places"))
    words+2 words*64 False
    """

    name: Dim

    def __new__(cls, value: int, name: Dim) -> Self:
        self = super().__new__(cls, value)
        self.name = name
        return self

    def __getnewargs__(self) -> tuple[int, Dim]:  # type: ignore[override]
        return int(self), self.name

    def __add__(self, other: int) -> int:
        return LearntSize(int(self) + int(other), add(self.name, name_of(other)))

    __radd__ = __add__

    def __sub__(self, other: int) -> int:
        if isinstance(other, LearntSize):
            return int(self) - int(other)
        return LearntSize(int(self) - other, add(self.name, -other))

    def __mul__(self, other: int) -> int:
        return LearntSize(int(self) * int(other), mul(self.name, name_of(other)))

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> int:
        if isinstance(other, LearntSize):
            return int(self) // int(other)
        return LearntSize(int(self) // other, floordiv(self.name, other))

    def __str__(self) -> str:
        return str(self.name)

    def __repr__(self) -> str:
        return f"LearntSize({int(self)}, {self.name!r})"


def name_of(size: int) -> Dim:
    """Return the name of a learnt size, or the number itself."""
    return size.name if isinstance(size, LearntSize) else size


def stand_in(index: int) -> int:
    """Return the stand-in value of the learnt size with this index in its graph: the prime number after 1000 with it."""
    limit = 2**14
    while len(primes := _primes(limit)) <= index:
        limit *= 2
    return primes[index]


@cache
def _primes(limit: int) -> list[int]:
    """Return the prime numbers between 1000 and ``limit``, by the sieve of Eratosthenes."""
    prime = bytearray([1]) * limit
    for k in range(2, isqrt(limit) + 1):
        if prime[k]:
            prime[k * k :: k] = bytes(len(range(k * k, limit, k)))
    return [number for number in range(1000, limit) if prime[number]]
