"""Settings as plain values, and their differences key by key."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.engine.compiler.differences import Change, changes, plain, short
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers.core import Dense


def test_short_forms_and_defaults_are_the_same() -> None:
    a = OPTIMIZERS.parse("adam")
    b = OPTIMIZERS.parse({"type": "Adam", "learning_rate": 0.001})
    assert plain(a) == plain(b)
    assert plain(a)["type"] == "Adam"
    assert plain(a)["beta_1"] == 0.9
    assert plain(ACTIVATIONS.parse("relu"))["type"] == "relu"


def test_an_argument_in_an_object_has_a_dotted_key() -> None:
    a, b = (Dense.model_validate({"units": 3, "kernel_regularizer": {"type": "L2", "l2": v}}) for v in (0.1, 0.2))
    assert changes(plain(a), plain(b)) == [Change("kernel_regularizer.l2", 0.1, 0.2)]
    c = Dense.model_validate({"units": 3, "activation": "relu"})
    (regularizer, activation) = sorted(changes(plain(a), plain(c)), key=lambda change: change.key, reverse=True)
    assert (activation.key, activation.old["type"], activation.new["type"]) == ("activation", "linear", "relu")
    assert (regularizer.key, regularizer.new) == ("kernel_regularizer", None)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (1, 1.0, []),
        (1, True, [("k", 1, True)]),
        ([1, 2], [1, 2], []),
        ([1, 2], [1, 3], [("k", [1, 2], [1, 3])]),
        ({"a": 1}, {"a": 2, "b": 3}, [("k.a", 1, 2), ("k.b", None, 3)]),
        ([{"type": "A", "x": 1}], [{"type": "A", "x": 2}], [("k.A.x", 1, 2)]),
        ([{"type": "A"}, {"type": "B"}], [{"type": "B"}], [("k.A", {"type": "A"}, None)]),
        ([{"type": "A", "x": 1}] * 2, [{"type": "A", "x": 1}, {"type": "A", "x": 5}], [("k.A.1.x", 1, 5)]),
        ([{"type": "A"}, {"type": "B"}], [{"type": "B"}, {"type": "A"}], [("k", ["A", "B"], ["B", "A"])]),
        ({"type": "A", "x": 1}, {"type": "B", "x": 1}, [("k", {"type": "A", "x": 1}, {"type": "B", "x": 1})]),
    ],
)
def test_changes(old: Any, new: Any, found: list[tuple[str, Any, Any]]) -> None:
    assert [(c.key, c.old, c.new) for c in changes(old, new, "k")] == found
    assert [(c.key, c.new, c.old) for c in changes(new, old, "k")] == found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (0.1 + 0.2, "0.3"),
        ([1, "a"], "[1, a]"),
        ({"type": "relu"}, "relu"),
        ({"type": "L2", "l2": 0.01, "x": None}, "{type: L2, l2: 0.01}"),
        ({}, "{}"),
    ],
)
def test_short(value: Any, text: str) -> None:
    assert short(value) == text


def test_a_text_names_what_is_not_the_default() -> None:
    assert (
        short(plain(OPTIMIZERS.parse({"type": "Adam", "learning_rate": 0.01}))) == "{type: Adam, learning_rate: 0.01}"
    )
    assert short(plain(OPTIMIZERS.parse({"type": "Adam", "learning_rate": 0.001}))) == "Adam"
    dense = Dense.model_validate({"units": 3, "activation": "relu"})
    assert short(plain(dense)) == "{type: Dense, units: 3, activation: relu}"
