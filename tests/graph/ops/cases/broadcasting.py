"""Entries of operators that take one element of each input, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from graph.ops.cases.case import Example, OpCase, Strategy, batch, broadcast, normal, without_rows
from graph.ops.cases.draw import Array, Draw

_random = np.random.default_rng(3)


def large(*shape: int) -> Array:
    return np.asarray(_random.standard_normal(shape), np.float32)


X, ROW, COLUMN = large(300, 400), large(400), large(300, 1)
"""More than NumPy buffers, and what it is combined with."""


def one(make: Callable[..., Array] = normal, **attrs: Any) -> list[Example]:
    return [Example([make(*shape)], attrs) for shape in ((3, 4), (2, 3, 4), (5,))]


def two(make: Callable[..., Array] = normal) -> list[Example]:
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3, 4), (3, 4)),
        ((2, 3, 4), (4,)),
        ((3, 4), (4,)),
        ((3, 4), ()),
        ((3, 1), (3, 4)),
        ((3, 4), (3, 1)),
        ((3, 4), (1, 4)),
        ((2, 1, 4), (3, 1)),
        ((2, 3), ()),
        ((2, 3, 4), (2, 1, 4)),
    ]
    return [Example([make(*a), make(*b)]) for a, b in shapes]


def several() -> list[Example]:
    return [*two(), Example([normal(3, 4), normal(4), normal(3, 1)]), Example([normal(2, 3)])]


def of_one(
    make: Callable[..., Array] = normal,
    *,
    between: tuple[float, float] | None = None,
    exported: bool = True,
    **attributes: Sequence[Any],
) -> OpCase:
    """A function of one input.

    Args:
        make: makes the numbers of a shape that have a gradient.
        between: which numbers are drawn, if not all.
        exported: whether files hold it.
        attributes: the values that each attribute is drawn from; the first ones, the second ones … have examples.
    """

    def draw(d: Draw) -> Example:
        X = d.floats(scale=3.0)
        if between is not None:
            X = np.asarray(d.random.uniform(*between, X.shape), np.float32)
        return Example([X], {name: d.choice(options) for name, options in attributes.items()})

    settings = [{}, *(dict(zip(attributes, values, strict=True)) for values in zip(*attributes.values(), strict=True))]
    gradient = [example for setting in settings for example in one(make, **setting)]
    few = [*gradient[:3], *(Example([make(2, 4)], setting) for setting in settings[1:])]
    wide = [Example([X if make is normal else abs(X) + 1], setting) for setting in settings]
    return OpCase(draw if exported else None, gradient, without_rows(few, batch(0)), wide)


def of_two(
    draw: Strategy, gradient: list[Example], *, second: Callable[[Array], Array] = lambda array: array
) -> OpCase:
    """A function of two inputs that broadcast; ``second`` makes large numbers fit for the second one."""
    wide = [Example([X, second(other)]) for other in (X, ROW, COLUMN)]
    return OpCase(draw, gradient, allocates=wide, batched=broadcast)


def stepped(draw: Strategy) -> OpCase:
    """A function of one input that is constant between its steps."""
    return OpCase(draw, "its derivative is 0", without_rows(one(), batch(0)), [Example([X])])


def drawn_pair(*dtypes: str, low: int = -5, high: int = 6, away_from_zero: bool = False) -> Strategy:
    def draw(d: Draw) -> Example:
        dtype = d.choice(dtypes)

        def make(shape: tuple[int, ...]) -> Array:
            X = d.normal(*shape, scale=3.0) if dtype == "float32" else d.ints(shape, low, high, dtype)
            return np.where(X == 0, np.asarray(1, X.dtype), X) if away_from_zero else X

        return Example(d.pair(make))

    return draw


def drawn_few(*dtypes: str) -> Strategy:
    """Two inputs that are often equal."""

    def draw(d: Draw) -> Example:
        dtype = d.choice(dtypes)
        return Example(d.pair(lambda s: d.bools(s) if dtype == "bool" else d.ints(s, -2, 3).astype(dtype)))

    return draw


def drawn_several(d: Draw) -> Example:
    shape = d.shape()
    shapes = [shape, *(d.partner(shape) for _ in range(d.integer(0, 3)))]
    return Example([d.normal(*s) for s in shapes])
