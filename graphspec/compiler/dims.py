"""Arithmetic on dimensions: integers, or names such as ``N`` and ``time`` with what has been computed from them.

A symbolic dimension is a string in a canonical form, so that equal computations give equal strings: ``time-2``,
``(time-3)//2+1``, ``N*time``. Sizes are bound when the first batch arrives; before that, strings are only compared.
"""

from __future__ import annotations

import re

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


def mul(d: Dim, k: Dim) -> Dim:
    """``d · k``."""
    if isinstance(d, int) and isinstance(k, int):
        return d * k
    if d == 1:
        return k
    if k == 1:
        return d
    if d == 0 or k == 0:
        return 0
    return "*".join(x if isinstance(x, str) and re.fullmatch(r"[\w.<>*]+", x) else _group(str(x)) for x in (d, k))


def floordiv(d: Dim, k: int) -> Dim:
    """``⌊d / k⌋``."""
    if isinstance(d, int):
        return d // k
    return d if k == 1 else f"{_group(d)}//{k}"


def ceildiv(d: Dim, k: int) -> Dim:
    """``⌈d / k⌉``."""
    if isinstance(d, int):
        return -(-d // k)
    return d if k == 1 else floordiv(add(d, k - 1), k)


def product(shape: Shape) -> Dim:
    total: Dim = 1
    for d in shape:
        total = mul(total, d)
    return total


def show(shape: Shape) -> str:
    """``(N, 28, 28, 64)``."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
