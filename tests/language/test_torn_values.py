"""Values that the comma ends inside braces."""

from __future__ import annotations

import pytest

from graphspec.language.explain import torn_values
from graphspec.language.read import read_value


def hints(text: str) -> dict[str, str]:
    return torn_values(read_value(text, "test").value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{strides: (2, 2)}", {"strides": "lists have brackets: `[2, 2]`", "2)": ""}),
        ("{size: (2, 3, 4), a: 1}", {"size": "lists have brackets: `[2, 3, 4]`", "3": "", "4)": ""}),
        ("{shape: (4,)}", {"shape": "lists have brackets: `[4]`", ")": ""}),
        ("{epochs: 1,000}", {"000": "a comma ends the value of `epochs`: write `epochs: 1000`"}),
        ("{rate: 0,5}", {"5": "a comma ends the value of `rate`: write `rate: 0.5`"}),
        ("{rate: 0,001}", {"001": "a comma ends the value of `rate`: write `rate: 0.001`"}),
        ("{a: (2, b: 3}", {}),
        ("{a: (2, c}", {}),
        ("{a: 1, b: null}", {}),
        ("{a: text, 5: null}", {}),
    ],
)
def test_torn_values(text: str, found: dict[str, str]) -> None:
    assert hints(text) == found
