"""The name that is closest to a wrong one, found within a limit of time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SEARCH = 20_000_000  # pairs of characters that all searches of one check may compare, about two seconds
_LONGEST_NAME = 100  # characters of a name that a search compares; longer names are skipped
_budget: ContextVar[list[int] | None] = ContextVar("_budget", default=None)


@contextmanager
def bounded_search() -> Iterator[None]:
    """Let all searches of :func:`did_you_mean` in this context share one limit. Beyond it they find nothing."""
    token = _budget.set([_SEARCH])
    try:
        yield
    finally:
        _budget.reset(token)


def _may_compare(name: str, known: Collection[str]) -> bool:
    """Return whether the budget allows a search, and charge it."""
    budget = _budget.get() or [_SEARCH]
    if budget[0] <= 0:
        return False
    budget[0] -= len(known)
    cost = sum(200 + len(name) * min(len(k), _LONGEST_NAME) for k in known)
    is_allowed = cost <= budget[0]
    budget[0] -= cost if is_allowed else 0
    return is_allowed


def did_you_mean(name: str, known: Collection[str], *, quote: str = "'") -> str | None:
    """Return ``did you mean 'x'?`` with the name of ``known`` that is closest to ``name``, or None if none is close.

    Case does not count. Very long names are skipped, and so is a search among very many names.
    """
    from difflib import SequenceMatcher, get_close_matches

    if len(name) > _LONGEST_NAME or not _may_compare(name, known):
        return None

    def fold(text: str) -> str:
        return text.lower().replace("_", "")

    def stem(text: str) -> str:
        return fold(text).removesuffix("loss")

    known = [k for k in known if len(k) <= _LONGEST_NAME]
    folded = fold(name)
    close = [fold(k) for k in known if stem(k) == stem(name) != ""]  # MSELoss → mse
    if not close and len(folded) >= 2:  # lr → learning_rate, rmse → RootMeanSquaredError
        close = [fold(k) for k in known if fold(k) != folded == _initials(k)]
    longer = sorted((fold(k) for k in known if fold(k).startswith(folded)), key=len)  # TopK → TopKCategoricalAccuracy
    close = close or (longer if len(folded) >= 4 else [])
    close = close or get_close_matches(folded, {fold(k): None for k in known}, n=1, cutoff=0.61)
    close = close or (longer if len(folded) >= 2 else [])
    if not close:
        return None
    spellings = [k for k in known if fold(k) == close[0]]  # of HeNormal and he_normal, the one spelt like `name`
    best = max(spellings, key=lambda k: SequenceMatcher(None, name, k).ratio())
    return f"did you mean {quote}{best}{quote}?"


def _initials(name: str) -> str:
    """Return the initials of a name: ``rmse`` for ``RootMeanSquaredError`` and ``root_mean_squared_error``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return "".join(word if word.isupper() else word[0] for word in words).lower()
