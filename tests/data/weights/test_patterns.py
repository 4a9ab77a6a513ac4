"""Patterns of names."""

from __future__ import annotations

import re

import numpy as np
import pytest

from graphspec.data.weights.ways import filled, stars


@pytest.mark.parametrize(
    ("pattern", "name", "texts"),
    [
        ("a", "a", ()),
        ("a", "ab", None),
        ("*", "a/b.c", ("a/b.c",)),
        ("*/*", "a/b/c", ("a", "b/c")),  # the first is as short as possible
        ("a*a", "a", None),
        ("a*a", "aa", ("",)),
        ("layer_*/norm/*", "layer_12/norm/gamma", ("12", "gamma")),
        ("*a**b", "xaya.b", ("x", "ya.")),
    ],
)
def test_stars(pattern: str, name: str, texts: tuple[str, ...] | None) -> None:
    assert stars(pattern, name) == texts


def test_a_name_matches_if_a_regular_expression_does() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(3000):
        name = "".join(random.choice(list("ab/"), random.integers(0, 7)))
        pattern = "".join(random.choice(list("ab/**"), random.integers(0, 6)))
        texts = stars(pattern, name)
        expected = re.fullmatch(".*".join(re.escape(part) for part in re.split(r"\*+", pattern)), name)
        assert (texts is None) == (expected is None), (pattern, name)
        if texts is not None:
            hits += 1
            assert filled(pattern, texts) == name
    assert hits > 100


def test_a_replacement_with_fewer_stars_takes_the_last_texts() -> None:
    assert filled("bert.*", ("3", "kernel")) == "bert.kernel"
    assert filled("fc", ("3",)) == "fc"


def test_many_stars_end() -> None:
    assert stars("*a" * 200 + "*b*", "a" * 5000) is None  # a regular expression would not come back
