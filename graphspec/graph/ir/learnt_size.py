"""Sizes that are learnt from data, such as the number of words of a vocabulary."""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import Self

from graphspec.graph.ir.dims import Dim, add, floordiv, mul


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

    def __radd__(self, other: int) -> int:
        return self + other

    def __sub__(self, other: int) -> int:
        if isinstance(other, LearntSize):
            return int(self) - int(other)
        return LearntSize(int(self) - other, add(self.name, -other))

    def __mul__(self, other: int) -> int:
        return LearntSize(int(self) * int(other), mul(self.name, name_of(other)))

    def __rmul__(self, other: int) -> int:
        return self * other

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
    while len(found := _primes(limit)) <= index:
        limit *= 2
    return found[index]


@cache
def _primes(limit: int) -> list[int]:
    """Return the prime numbers between 1000 and ``limit``, by the sieve of Eratosthenes."""
    prime = bytearray([1]) * limit
    for k in range(2, isqrt(limit) + 1):
        if prime[k]:
            prime[k * k :: k] = bytes(len(range(k * k, limit, k)))
    return [number for number in range(1000, limit) if prime[number]]
