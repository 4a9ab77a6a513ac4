"""The spaces of a search: the values that trials may take. They are declared in the section ``search`` of a spec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import floor
from typing import Literal, TypeAlias

from graphspec.base.errors import Mark
from graphspec.language.tree import Tree

EXACT = 1e-9
"""The part of a step by which bounds may miss a multiple of it: decimal numbers are not exact."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Attributes:
        name: unique among the spaces of a search.
        log: whether equal ratios are equally likely, not equal differences.
        step: the distance of neighbours; None for all numbers.
        tree: the mapping that declares it.
    """

    name: str
    low: float
    high: float
    integer: bool
    log: bool
    step: float | None
    tree: Tree = field(repr=False, compare=False)

    @property
    def count(self) -> int | None:
        """The number of values in a grid; None for a continuous or logarithmic range."""
        if self.log or (self.step is None and not self.integer):
            return None
        return floor((self.high - self.low) / (self.step or 1) + EXACT) + 1

    def value(self, k: int) -> float:
        """Return the value ``k`` of those that a step separates."""
        if self.integer:
            return int(self.low) + k * int(self.step or 1)
        assert self.step is not None
        return min(float(f"{self.low + k * self.step:.12g}"), self.high)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    name: str
    items: tuple[Item, ...]
    tree: Tree = field(repr=False, compare=False)


Space: TypeAlias = Range | Choice


@dataclass(frozen=True, slots=True)
class Item:
    """A value of a choice.

    Attributes:
        label: tells it from the other values.
        inner: the spaces in it, each with its place: the keys and indices that lead to it.
    """

    label: str
    tree: Tree = field(repr=False, compare=False)
    inner: tuple[tuple[tuple[str | int, ...], Space], ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """A part of the spec that a search changes: its path, as in ``--set``."""

    path: str
    mark: Mark
    space: Space


@dataclass(frozen=True, slots=True)
class Search:
    """The section ``search``.

    Attributes:
        goal: None if the metric decides.
    """

    settings: tuple[Setting, ...]
    trials: int | None
    metric: str
    goal: Literal["max", "min"] | None
    sampler: str
    prune: str
    tree: Tree = field(repr=False, compare=False)

    def spaces(self) -> Iterator[Space]:
        """Yield all spaces, those inside choices after their choice."""
        for setting in self.settings:
            yield from _all(setting.space)


def _all(space: Space) -> Iterator[Space]:
    yield space
    for item in space.items if isinstance(space, Choice) else ():
        for _, inner in item.inner:
            yield from _all(inner)


def endless(search: Search) -> list[tuple[Tree, str, str]]:
    """Return the ranges that have no grid: the tree, a message and a hint."""
    found = []
    for space in search.spaces():
        if isinstance(space, Range) and space.count is None:
            hint = "give it a `step`, or a `choice` of values" if not space.log else "write a `choice` of values"
            found.append((space.tree, f"a grid cannot list the values of '{space.name}'", hint))
    return found
