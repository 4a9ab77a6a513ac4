"""How much each setting matters: how far groups of trials with neighbouring values differ in the objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphspec.language.search_space import Choice, Search, Space
from graphspec.search.records import Trial

FEWEST = 10
"""Trials below which nothing is said about a setting."""
_GROUPS = 4
METHOD = (
    f"The share of the variation in the objective's ranks that lies between groups of trials: one group per choice, and "
    f"{_GROUPS} groups of neighbouring numbers, less what chance alone explains. It sees each setting alone, not what two "
    "settings do together."
)


@dataclass(frozen=True)
class Importance:
    """The importance of a space: from 0 to 1, over a number of trials."""

    name: str
    share: float
    trials: int


def importances(search: Search, trials: Sequence[Trial]) -> list[Importance]:
    """Return the importance of each space that enough trials have, the largest first."""
    found = []
    for space in search.spaces():
        having = [t for t in trials if t.judged and space.name in t.params]
        if len(having) >= FEWEST and (share := _share(space, having)) is not None:
            found.append(Importance(space.name, share, len(having)))
    return sorted(found, key=lambda each: -each.share)


def _share(space: Space, trials: Sequence[Trial]) -> float | None:
    ranks = ranked([t.value or 0.0 for t in trials])
    values = [t.params[space.name] for t in trials]
    if isinstance(space, Choice):
        groups = {k: [r for r, v in zip(ranks, values, strict=True) if v == k] for k in set(values)}
    else:
        place = ranked(values)
        size = len(values) / _GROUPS
        groups = {}
        for rank, at in zip(ranks, place, strict=True):  # equal values are in one group
            groups.setdefault(min(int(at / size), _GROUPS - 1), []).append(rank)
    count = len(trials)
    if not 1 < len(groups) < count:
        return None
    mean = sum(ranks) / count
    total = sum((r - mean) ** 2 for r in ranks)
    if total == 0:
        return None
    within = sum((r - sum(g) / len(g)) ** 2 for g in groups.values() for r in g)
    return max(0.0, 1 - within / (count - len(groups)) / (total / (count - 1)))


def ranked(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, from 0; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=lambda k: values[k])
    ranks = [0.0] * len(values)
    k = 0
    while k < len(order):
        end = k
        while end + 1 < len(order) and values[order[end + 1]] == values[order[k]]:
            end += 1
        for at in order[k : end + 1]:
            ranks[at] = (k + end) / 2
        k = end + 1
    return ranks
