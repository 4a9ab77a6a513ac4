"""Keras's keywords and attributes are explained, unless they exist."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest

import graphspec as gs
from graphspec.api import from_keras
from specs import blobs, dense_spec


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (gs.Model.fit, from_keras.FIT),
        (gs.Model.evaluate, from_keras.EVALUATE),
        (gs.Model.predict, from_keras.PREDICT),
        (gs.Model.explain, from_keras.EXPLAIN),
        (gs.compile, from_keras.COMPILE),
        (gs.load, from_keras.LOAD),
    ],
)
def test_only_what_there_is_not_is_explained(call: Any, advice: Mapping[str, str]) -> None:
    assert advice.keys().isdisjoint(inspect.signature(call).parameters)
    assert not any(text.endswith(".") for text in advice.values())


def test_keywords_of_keras() -> None:
    model = gs.compile(dense_spec())
    x, y = blobs(8)
    calls = {
        "the spec has it: `training: {optimizer: …}`": lambda: gs.compile(dense_spec(), optimizer="adam"),  # type: ignore[call-arg]
        "an epoch passes over all rows": lambda: model.fit(x, y, steps_per_epoch=3),  # type: ignore[call-arg]
        "did you mean `epochs`?": lambda: model.fit(x, y, epoch=3),  # type: ignore[call-arg]
        "the result is always a dict": lambda: model.evaluate(x, y, return_dict=True),  # type: ignore[call-arg]
        "its arguments are `path`, `allow`": lambda: gs.load("runs/x", nonsense=1),  # type: ignore[call-arg]
        "name the others: `epochs=`": lambda: model.fit(x, y, 32),  # type: ignore[misc]
    }
    for says, call in calls.items():
        with pytest.raises(gs.UsageError) as caught:
            call()
        assert says in str(caught.value)
    assert model.evaluate(x, y, verbose=0) == model.evaluate(x, y)
    assert model.predict(x, verbose=1).shape == (8, 3)


def test_attributes_of_keras() -> None:
    model = gs.compile(dense_spec())
    assert [name for name in from_keras.ATTRIBUTES if hasattr(model, name)] == []
    with pytest.raises(AttributeError, match=r"no attribute 'get_weights': `model\.weights` is a dict"):
        model.get_weights()
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        model.nonsense  # noqa: B018
