"""Values of Python and other frameworks, and how to write them."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.base.synonyms.keys import means_null, number_hint, tuple_items, value_synonym


@pytest.mark.parametrize("value", ["None", "none", "NULL", "nil", "'None'", " None ", "NaN"])
def test_words_for_null(value: str) -> None:
    assert means_null(value)


@pytest.mark.parametrize("value", ["", "time", None, 0, "nones"])
def test_other_values_are_not_null(value: Any) -> None:
    assert not means_null(value)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("(2, 2)", "[2, 2]"),
        ("(None, 4)", "[null, 4]"),
        ("(4,)", "[4]"),
        ("(2", "[2, …]"),
        ("(x)", None),
        ("2, 2", None),
    ],
)
def test_tuples(text: str, items: str | None) -> None:
    assert tuple_items(text) == items


@pytest.mark.parametrize(
    ("text", "integer", "hint"),
    [
        ("64", True, "write `64` without quotes"),
        ("1_000", True, "write `1000`"),
        ("1,000", True, "write `1000`"),
        ("64 ", True, "write `64`"),
        ("3x3", True, "write `[3, 3]`"),
        ("0,5", False, "write `0.5`"),
        ("50%", False, "write `0.5`"),
        ("1/2", False, "write `0.5`"),
        ("1e-3", False, "write `1e-3` without quotes"),
        ("1/0", False, None),
        ("50%", True, None),
        ("sixty", True, None),
        ("", False, None),
    ],
)
def test_numbers(text: str, integer: bool, hint: str | None) -> None:
    assert number_hint(text, integer=integer) == hint


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("padding", 0, "`valid`"),
        ("padding", 1, "`same`"),
        ("padding", "zeros", "`same`"),
        ("data_format", "NCHW", "`channels_first`"),
        ("data_format", "nhwc", "`channels_last`"),
        ("kernel_regularizer", 0.01, "`{type: L2, l2: 0.01}`"),
        ("rate", 20, "`0.2`"),
        ("recurrent_dropout", 50, "`0.5`"),
        ("shape", "None", "`[null, 4]`"),
    ],
)
def test_values_of_a_key(key: str, value: Any, part: str) -> None:
    assert part in str(value_synonym(key, value))


@pytest.mark.parametrize(("key", "value"), [("padding", "same"), ("rate", 0.2), ("rate", 1.5), ("units", 64)])
def test_values_without_a_hint(key: str, value: Any) -> None:
    assert value_synonym(key, value) is None
