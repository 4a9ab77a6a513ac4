"""Spaces of a search: the values that trials may take, which the section ``search`` of a spec declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import floor
from typing import Literal, TypeAlias

from graphspec.base.errors import Mark
from graphspec.language.tree import Tree

EXACT = 1e-9  # the part of a step by which bounds may miss a multiple of it: decimal numbers are not exact


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included, a ``step`` apart if there is one.

    ``log``: equal ratios are equally likely, not equal differences. The name is unique in a search; ``tree`` declares it.
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
    """A value of a choice, its label, and the spaces in it, each with its place: the keys and indices that lead to it."""

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
    """The section ``search``. Without ``goal`` the metric decides."""

    settings: tuple[Setting, ...]
    trials: int | None
    metric: str
    goal: Literal["min", "max"] | None
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


# The values of spaces: what a trial puts into the spec, and what tells whether a space is possible.
Chooser: TypeAlias = Callable[[Space], float]  # chooses a number of a range, or the index of a value of a choice


def drawn(space: Space, choose: Chooser) -> Tree:
    """Return a value of a space, with the places of its parts in the section ``search``."""
    if isinstance(space, Range):
        value = choose(space)
        return Tree(int(value) if space.integer else float(value), space.tree.mark, path=space.tree.path)
    item = space.items[int(choose(space))]
    return _filled(item.tree, {loc: drawn(inner, choose) for loc, inner in item.inner})


def _filled(tree: Tree, parts: dict[tuple[str | int, ...], Tree]) -> Tree:
    if not parts:
        return tree
    if () in parts:
        return parts[()]
    below: dict[str | int, dict[tuple[str | int, ...], Tree]] = {}
    for loc, part in parts.items():
        below.setdefault(loc[0], {})[loc[1:]] = part
    if isinstance(tree.value, dict):
        children = {key: _filled(child, below.get(key, {})) for key, child in tree.value.items()}
        return Tree(children, tree.mark, tree.key_marks, tree.path)
    return Tree([_filled(child, below.get(k, {})) for k, child in enumerate(tree.value)], tree.mark, None, tree.path)


def probes(space: Space) -> Iterator[tuple[Tree, Tree]]:
    """Yield values that tell whether a space is possible: each bound and each choice, one at a time.

    Each is the place in the section ``search`` and the whole value; other spaces in it have their first value.
    """
    if isinstance(space, Range):
        kind = "int" if space.integer else "float"
        for bound, number in zip(space.tree.value[kind].value, (space.low, space.high), strict=True):
            yield bound, Tree(number, bound.mark, path=bound.path)
        return
    for item in space.items:
        lowest = {loc: drawn(inner, lambda one: getattr(one, "low", 0)) for loc, inner in item.inner}
        if not item.inner:
            yield item.tree, item.tree
        for loc, inner in item.inner:
            for place, value in probes(inner):
                yield place, _filled(item.tree, lowest | {loc: value})
