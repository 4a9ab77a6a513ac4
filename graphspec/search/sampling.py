"""How the values of a trial are chosen without Optuna, and how they are written as ``--set`` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log
from typing import Any

import numpy as np

from graphspec.language.search_space import Choice, Chooser, Range, Search, Space, drawn
from graphspec.language.write import flow

Params = dict[str, int | float]
_STEPS = 2**53  # equally distant numbers from 0 to 1, both included


def seed_of(seed: int, number: int) -> int:
    """Return the seed of the sampler for a trial: it depends on nothing but the spec's seed and the trial's number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def sampled(search: Search, choose: Chooser) -> Params:
    """Return the values of a trial. Spaces inside choices that were not taken have none."""
    params: Params = {}

    def remember(space: Space) -> float:
        params[space.name] = value = choose(space)
        return value

    for setting in search.settings:
        drawn(setting.space, remember)
    return params


def random_chooser(seed: int, number: int) -> Chooser:
    """Return a chooser of uniform values for a trial."""
    rng = np.random.default_rng([seed, number])

    def choose(space: Space) -> float:
        if isinstance(space, Choice):
            return int(rng.integers(len(space.items)))
        if space.count is not None:
            return space.value(int(rng.integers(space.count)))
        share = int(rng.integers(_STEPS, endpoint=True)) / _STEPS
        if not space.log:
            return min(max(space.low + share * (space.high - space.low), space.low), space.high)
        if space.integer:  # each integer has the width from half below to half above it
            low, high = log(space.low - 0.5), log(space.high + 0.5)
            return min(max(round(exp(low + share * (high - low))), int(space.low)), int(space.high))
        low, high = log(space.low), log(space.high)
        return min(max(exp(low + share * (high - low)), space.low), space.high)

    return choose


def grid_size(search: Search) -> int:
    """Return the number of combinations."""
    size = 1
    for setting in search.settings:
        size *= _size(setting.space)
    return size


def grid_point(search: Search, k: int) -> Params:
    """Return the combination ``k`` of a grid, in which the last space changes fastest."""
    params: Params = {}
    for setting in reversed(search.settings):
        k, rest = divmod(k, _size(setting.space))
        params = _point(setting.space, rest) | params
    return params


def _size(space: Space) -> int:
    if isinstance(space, Range):
        assert space.count is not None
        return space.count
    return sum(_item_size(item.inner) for item in space.items)


def _item_size(inner: tuple[tuple[Any, Space], ...]) -> int:
    size = 1
    for _, space in inner:
        size *= _size(space)
    return size


def _point(space: Space, k: int) -> Params:
    if isinstance(space, Range):
        return {space.name: space.value(k)}
    for index, item in enumerate(space.items):
        size = _item_size(item.inner)
        if k < size:
            params: Params = {}
            for _, inner in reversed(item.inner):
                k, rest = divmod(k, _size(inner))
                params = _point(inner, rest) | params
            return {space.name: index} | params
        k -= size
    raise IndexError(k)


def sets_of(search: Search, params: Mapping[str, int | float]) -> list[str]:
    """Return the values of a trial as ``--set`` takes them, in the order of the spec."""
    return [f"{s.path}={flow(drawn(s.space, lambda space: params[space.name]).plain())}" for s in search.settings]
