"""The values of spaces: what a trial puts into the spec, and what tells whether a space is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from graphspec.language.search_space import Range, Space
from graphspec.language.tree import Tree

Chooser: TypeAlias = Callable[[Space], float]
"""Chooses a number of a range, or the index of a value of a choice."""


def drawn(space: Space, choose: Chooser) -> Tree:
    """Return a value of a space, with the places of its parts in the section ``search``."""
    if isinstance(space, Range):
        value = choose(space)
        return Tree(int(value) if space.integer else float(value), space.tree.mark, path=space.tree.path)
    item = space.items[int(choose(space))]
    return _filled(item.tree, {loc: drawn(inner, choose) for loc, inner in item.inner})


def _filled(tree: Tree, parts: dict[tuple[str | int, ...], Tree]) -> Tree:
    """Return ``tree`` with parts replaced, which are at the given places."""
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
        first = {loc: drawn(inner, _first) for loc, inner in item.inner}
        if not item.inner:
            yield item.tree, item.tree
        for loc, inner in item.inner:
            for place, value in probes(inner):
                yield place, _filled(item.tree, first | {loc: value})


def _first(space: Space) -> float:
    return space.low if isinstance(space, Range) else 0
