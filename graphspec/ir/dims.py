"""Arithmetic on dimensions: integers, or names such as ``N`` and ``time`` with what has been computed from them.

A symbolic dimension is a string in a canonical form, so that equal computations give equal strings: ``time-2``,
``(time-3)//2+1``, ``N*time``. Sizes are bound when the first batch arrives; before that, strings are only compared.
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

Dim = int | str
Shape = tuple[Dim, ...]

_OFFSET = re.compile(r"^(?P<head>.*[^-+*/])(?P<offset>[-+]\d+)$")


def _split(d: str) -> tuple[str, int]:
    """``"time-2"`` → ``("time", -2)``; offsets inside parentheses are left alone."""
    match = _OFFSET.match(d)
    if match and match["head"].count("(") == match["head"].count(")"):
        return match["head"], int(match["offset"])
    return d, 0


def _group(d: str) -> str:
    return d if re.fullmatch(r"[\w.<>]+|\([^()]*\)", d) else f"({d})"


def add(d: Dim, k: Dim) -> Dim:
    """``d + k``."""
    if isinstance(d, int) and isinstance(k, int):
        return d + k
    if isinstance(d, int):
        return add(k, d)
    head, offset = _split(d)
    if isinstance(k, int):
        offset += k
        return head if offset == 0 else f"{head}{offset:+d}"
    other, more = _split(k)
    return add(f"{head}+{other}", offset + more)


def subtract(d: Dim, k: Dim) -> Dim | None:
    """``d - k`` where that is an integer or ``d`` with another offset, else None."""
    if isinstance(k, int):
        return add(d, -k)
    head, offset = _split(k)
    if isinstance(d, int) or _split(d)[0] != head:
        return None
    return _split(d)[1] - offset


def factors(d: Dim) -> tuple[int, list[str]]:
    """``"N*time*4"`` → ``(4, ["N", "time"])``: the integer factor and the symbolic ones, sorted."""
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
    whole, names = 1, []
    for part in parts:
        if part.isdigit():
            whole *= int(part)
        else:
            names.append(part[1:-1] if part.startswith("(") else part)
    return whole, sorted(names)


def _join(whole: int, names: Iterable[str]) -> Dim:
    names = sorted(names)
    if whole == 0 or not names:
        return whole
    if whole == 1 and len(names) == 1:
        return names[0]
    return "*".join([*map(_group, names), *([str(whole)] if whole != 1 else [])])


def mul(d: Dim, k: Dim) -> Dim:
    """``d · k``."""
    whole, names = factors(d)
    more, others = factors(k)
    return _join(whole * more, names + others)


def quotient(d: Dim, k: Dim) -> Dim | None:
    """``d / k`` where ``k`` divides ``d`` whatever the sizes are, else None."""
    whole, names = factors(d)
    part, others = factors(k)
    if part == 0 or whole % part or Counter(others) - Counter(names):
        return None
    return _join(whole // part, (Counter(names) - Counter(others)).elements())


def floordiv(d: Dim, k: int) -> Dim:
    """``⌊d / k⌋``."""
    if isinstance(d, int):
        return d // k
    exact = quotient(d, k)
    return exact if exact is not None else f"{_group(d)}//{k}"


def ceildiv(d: Dim, k: int) -> Dim:
    """``⌈d / k⌉``."""
    if isinstance(d, int):
        return -(-d // k)
    return d if k == 1 else exact if (exact := quotient(d, k)) is not None else floordiv(add(d, k - 1), k)


def product(shape: Shape) -> Dim:
    total: Dim = 1
    for d in shape:
        total = mul(total, d)
    return total


def evaluate(d: Dim, sizes: Mapping[str, int]) -> int | None:
    """The number that a dimension stands for, given the sizes of names.

    None if a name in it is not known, or if it divides by 0. Deep nesting needs no recursion.
    """
    if isinstance(d, int) or d in sizes:
        return d if isinstance(d, int) else sizes[d]
    numbers: list[int] = []
    pending: list[str] = []
    operand = True  # whether one comes next: then "-" is a sign

    def reduce(order: int) -> None:
        """Apply the pending operators that bind at least so tightly."""
        while pending and _ORDER[pending[-1]] >= order:
            name, last = pending.pop(), numbers.pop()
            numbers.append(-last if name == _SIGN else _OPERATORS[name](numbers.pop(), last))

    try:
        for token in _tokens(d, sizes):
            if isinstance(token, int):
                numbers.append(token)
            elif token == "(" or (token == "-" and operand):
                pending.append("(" if token == "(" else _SIGN)
            elif token == ")":
                reduce(1)
                pending.pop()
            else:
                reduce(_ORDER[token])
                pending.append(token)
            operand = not isinstance(token, int) and token != ")"
        reduce(1)
    except (LookupError, ZeroDivisionError):
        return None
    return numbers[0] if len(numbers) == 1 and not pending else None


_SIGN = "sign"
_ORDER = {"(": 0, "+": 1, "-": 1, "*": 2, "//": 2, _SIGN: 3}
_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv}


def _tokens(d: str, sizes: Mapping[str, int]) -> Iterator[int | str]:
    """Numbers, operators and parentheses; names become numbers. KeyError for a name that is not in ``sizes``."""
    known = "|".join(
        map(re.escape, sorted(sizes, key=len, reverse=True))
    )  # "my-input_1" is one name, where it is known
    token = re.compile(rf"(?:(?P<name>{known or '(?!)'})|(?P<number>\d+))(?![\w.])|(?P<operator>//|[-+*()])")
    place = 0
    while place < len(d):
        match = token.match(d, place)
        if match is None:
            raise KeyError(d[place:])
        place = match.end()
        if match["name"] is not None:
            yield sizes[match["name"]]
        else:
            yield match["operator"] or int(match["number"])


def free(d: str) -> str:
    """The names that a dimension is computed from, as a message lists them: ``'time'``."""
    return " and ".join(f"'{name}'" for name in dict.fromkeys(re.findall(r"[^\W\d][\w.]*", d)))


def fixed_size(shape: Shape) -> int:
    """The number of elements of a shape whose dimensions are all integers."""
    return math.prod(int(d) for d in shape)


def show(shape: Shape) -> str:
    """``(N, 28, 28, 64)``."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
