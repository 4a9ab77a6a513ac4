"""Checks of arguments: unknown keywords, and data of the wrong kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphspec.base.arguments import advising, folders, rows
from graphspec.base.errors import UsageError


@advising({"lr": "write `rate`"})
def train(x: int, *, rate: float = 1.0) -> tuple[int, float]:
    """Docstring."""
    return x, rate


def test_calls_are_passed_on() -> None:
    assert train(1, rate=2.0) == (1, 2.0)
    assert train(x=3) == (3, 1.0)
    assert (train.__name__, train.__doc__) == ("train", "Docstring.")


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((1,), {"lr": 1}, "`train` has no argument `lr`: write `rate`"),
        ((1,), {"ratee": 1}, "`train` has no argument `ratee`: did you mean `rate`?"),
        ((1,), {"q": 1}, "`train` has no argument `q`: its arguments are `x`, `rate`"),
        ((1, 2), {}, "`train` takes 1 argument without a name; name the others: `rate=`"),
    ],
)
def test_wrong_calls_are_explained(args: tuple[Any, ...], kwargs: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        train(*args, **kwargs)
    assert str(caught.value) == says


class Loader:
    def __iter__(self) -> Any:
        return iter(())


class Sparse:
    def toarray(self) -> Any:
        return np.zeros(1)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("data.csv", "read a file first"),
        (Path("data.csv"), "read a file first"),
        ((k for k in range(3)), "numpy.stack(list(rows))"),
        (Loader(), "numpy.concatenate([x for x, y in batches])"),
        ({1, 2}, "numpy.concatenate"),
        (Sparse(), "pass `x.toarray()`"),
        (type("LazyFrame", (), {"columns": ["a"]})(), "pass `x.collect()`"),  # of Polars
    ],
)
def test_what_is_surely_no_array_is_refused(value: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        rows("x", value)
    assert says in str(caught.value)


@pytest.mark.parametrize("value", [None, 3.0, [1], (1,), range(3), {"x": 1}, np.zeros(2)])
def test_other_data_are_checked_later(value: Any) -> None:
    assert rows("x", value) is value


def test_one_folder_is_no_list_of_folders() -> None:
    assert folders(("a", Path("b"))) == [Path("a"), Path("b")]
    with pytest.raises(UsageError, match="`allow` must be a list of folders, got 'a'"):
        folders("a")
