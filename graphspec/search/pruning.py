"""Which trials end early. Both rules compare values of the objective after the same number of epochs, and use no clock."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isnan, log
from statistics import median

from graphspec.search.records import Trial

_STARTUP = 5
"""Trials that are trained to their end before ``median`` prunes others."""
_WARM_UP = 0.1
"""The share of the epochs in which ``median`` prunes nothing."""
_FACTOR = 3
"""Of the trials that reach a rung of ``hyperband``, one of so many goes on."""


def pruned(rule: str, goal: str, number: int, values: Sequence[float], epochs: int, others: Sequence[Trial]) -> bool:
    """Return whether a trial ends after the epoch of its last value.

    Args:
        rule: ``none``, ``median`` or ``hyperband``.
        goal: ``max`` or ``min``.
        number: the trial's.
        values: its values of the objective, one per epoch.
        epochs: the number of epochs that it would be trained.
    """
    epoch = len(values)
    if rule == "none" or epoch >= epochs:
        return False
    sign = -1.0 if goal == "max" else 1.0
    own = [sign * value for value in values]
    if rule == "median":
        complete = [t.values for t in others if t.number != number and t.state == "complete" and len(t.values) >= epoch]
        known = [sign * v[epoch - 1] for v in complete if not isnan(v[epoch - 1])]
        if len(known) < _STARTUP or epoch <= ceil(epochs * _WARM_UP):
            return False
        best = min((v for v in own if not isnan(v)), default=float("inf"))
        return best > median(known)
    bracket = bracket_of(number, epochs)
    if epoch not in rungs(bracket, epochs):
        return False
    there = [t for t in others if t.number != number and bracket_of(t.number, epochs) == bracket]
    known = [sign * t.values[epoch - 1] for t in there if len(t.values) >= epoch and not isnan(t.values[epoch - 1])]
    better = sum(v < own[-1] for v in known) if not isnan(own[-1]) else len(known) + 1
    return better >= max(1, (len(known) + 1) // _FACTOR)


def brackets(epochs: int) -> int:
    """Return the number of brackets: they differ in the epoch at which they first compare trials."""
    return max(1, floor(log(max(epochs, 1), _FACTOR) + 1e-9))


def bracket_of(number: int, epochs: int) -> int:
    """Return the bracket of a trial: all in turn."""
    return (number - 1) % brackets(epochs)


def rungs(bracket: int, epochs: int) -> list[int]:
    """Return the epochs after which trials of a bracket are compared."""
    found = []
    epoch = _FACTOR**bracket
    while epoch < epochs:
        found.append(epoch)
        epoch *= _FACTOR
    return found
