"""Names of nodes: what several have in common, and what they are called if they have no names of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from graphspec.foreign.importing.steps import Step
from graphspec.language.names import snake_case

_BREAK = re.compile(r"[_./-]+")


def leaves(step: Step) -> Iterator[Step]:
    """Yield the plain steps that a step stands for."""
    if step.part is None:
        yield step
        return
    for copy in step.copies:
        yield from leaves(copy)
    for member in () if step.copies else step.part.members or step.part.block.steps:
        yield from leaves(member)


def is_automatic(step: Step) -> bool:
    """Return whether a step has the name that Keras gives: its type in snake case, with a number."""
    return _automatic(step.name, step.kind)


@lru_cache(maxsize=10_000)
def _automatic(name: str, kind: str) -> bool:
    return re.sub(r"_\d+$", "", name) in (snake_case(kind), kind.rpartition(".")[2].lower())


@lru_cache(maxsize=10_000)
def words(name: str) -> tuple[str, ...]:
    """Return the parts of a name."""
    return tuple(_BREAK.split(name))


def common(names: Iterable[str]) -> tuple[str, ...]:
    """Return the words that all names begin with."""
    found: tuple[str, ...] | None = None
    for name in names:
        parts = words(name)
        if found is None:
            found = parts
        while found and parts[: len(found)] != found:
            found = found[:-1]
        if not found:
            return ()
    return found or ()


def named(step: Step) -> list[str]:
    """Return the names of the nodes that a step stands for; none if Keras has given most of them."""
    plain = list(leaves(step))
    own = [leaf.name for leaf in plain if not is_automatic(leaf)]
    return own if 2 * len(own) > len(plain) else []


def is_within(steps: Sequence[Step]) -> bool:
    """Return whether names do not say that steps are of different units."""
    return bool(common(names)) if (names := [name for step in steps for name in named(step)]) else True


def belongs_together(steps: Sequence[Step], around: Iterable[Step]) -> bool:
    """Return whether names say that steps are one unit: they begin with words that those around them lack.

    ``stage1_block1_conv`` and ``stage1_block2_conv`` are two units.
    """
    names = [name for step in steps for name in named(step)]
    prefix = common(names)
    if not prefix or len(names) < len(steps) / 2:
        return False
    if any(words(name)[: len(prefix)] == prefix for step in around for name in named(step)):
        return False
    following = {words(name)[len(prefix)] for name in names if len(words(name)) > len(prefix)}
    units = {re.sub(r"\d+[a-z]?$", "", word) for word in following}
    return not (len(following) > 1 and len(units) == 1 and "" not in units)
