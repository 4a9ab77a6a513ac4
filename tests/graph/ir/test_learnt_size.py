"""Learnt sizes: integers with a stand-in value that keep the name of the size."""

from __future__ import annotations

import copy
import math
import pickle

import pytest

from graphspec.graph.ir.dims import LearntSize, name_of, show, stand_in

WORDS = LearntSize(1009, "words")


@pytest.mark.parametrize(
    ("size", "value", "name"),
    [
        (WORDS + 2, 1011, "words+2"),
        (2 + WORDS, 1011, "words+2"),
        (WORDS - 1, 1008, "words-1"),
        (WORDS * 3, 3027, "words*3"),
        (3 * WORDS, 3027, "words*3"),
        (WORDS // 2, 504, "words//2"),
        (WORDS + LearntSize(1013, "places"), 2022, "words+places"),
        (math.prod((WORDS, 64)), 1009 * 64, "words*64"),
        (sum([WORDS, 5, 3]), 1017, "words+8"),
    ],
)
def test_arithmetic_keeps_the_name(size: int, value: int, name: str) -> None:
    assert int(size) == value
    assert name_of(size) == name
    assert str(size) == f"{size}" == name


def test_a_difference_or_a_ratio_of_two_sizes_is_a_plain_number() -> None:
    assert type(WORDS - LearntSize(1009, "words")) is int
    assert WORDS // LearntSize(1009, "words") == 1


def test_shapes_show_the_name() -> None:
    assert show(("N", WORDS + 1)) == "(N, words+1)"


def test_two_learnt_sizes_are_equal_only_if_they_are_the_same() -> None:
    values = [stand_in(k) for k in range(50)]
    assert len(set(values)) == 50
    assert all(v > 1000 and all(v % k for k in range(2, 40)) for v in values)


@pytest.mark.parametrize("again", [copy.deepcopy(WORDS), copy.copy(WORDS), pickle.loads(pickle.dumps(WORDS))])
def test_copies_keep_value_and_name(again: LearntSize) -> None:
    assert (int(again), again.name) == (1009, "words")


def test_stand_ins_are_the_prime_numbers_after_1000() -> None:
    def is_prime(number: int) -> bool:
        return all(number % k for k in range(2, math.isqrt(number) + 1))

    first = [number for number in range(1000, 20_000) if is_prime(number)]
    assert [stand_in(k) for k in range(len(first))] == first
