"""Callbacks that `fit` takes: objects, names and mappings; everything else gets a sentence."""

from __future__ import annotations

from typing import Any

import pytest

import graphspec as gs
from graphspec.engine.training.trainer import given_callbacks
from graphspec.vocabulary.callbacks import EarlyStopping, TerminateOnNaN
from specs import blobs, dense_spec


def test_objects_names_and_mappings() -> None:
    stop = EarlyStopping(patience=3)
    found = given_callbacks([stop, "TerminateOnNaN", {"type": "EarlyStopping", "patience": 3}])
    assert found == [stop, TerminateOnNaN(), stop]
    assert given_callbacks(stop) == given_callbacks((stop,)) == [stop]
    assert given_callbacks([]) == []


def test_fit_takes_them() -> None:
    x, y = blobs()
    model = gs.compile(dense_spec())
    stop = {"type": "EarlyStopping", "monitor": "loss", "min_delta": 100.0}
    assert model.fit(x, y, epochs=9, verbose=0, callbacks=[stop]).epochs < 9


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (3, "`callbacks` must be a list of callbacks, got a value of type int; write `callbacks=[EarlyStopping("),
        (
            [print],
            "the function `print`, which is no callback; derive a class from `graphspec.callbacks.Callback`",
        ),
        ([{}], "needs `type`, the name of a callback"),
        ([{"EarlyStopping": {"patience": 3}}], "write the name as the value of `type`: `{type: EarlyStopping, …}`"),
        ([EarlyStopping], "the class EarlyStopping; create the object: `EarlyStopping()`"),
        (["EarlyStoping"], "names an unknown callback 'EarlyStoping'; did you mean 'EarlyStopping'?"),
        (
            [{"type": "EarlyStopping", "patience": "3"}],
            "`patience` of EarlyStopping in `fit` must be an integer, not '3'",
        ),
        ([None], "a value of type NoneType, which is no callback; write `callbacks=["),
        ([{"type": object()}], "a spec cannot contain a object"),
    ],
)
def test_others_get_a_sentence(value: Any, says: str) -> None:
    with pytest.raises(gs.UsageError) as caught:
        given_callbacks(value)
    assert says in str(caught.value)


def test_callbacks_of_keras_have_namesakes() -> None:
    theirs = type("EarlyStopping", (), {"__module__": "keras.src.callbacks.early_stopping"})()
    with pytest.raises(gs.UsageError, match=r"use `graphspec\.callbacks\.EarlyStopping`"):
        given_callbacks([theirs])


def test_a_misspelt_monitor_gets_its_name() -> None:
    x, y = blobs()
    model = gs.compile(dense_spec())
    for callback in (EarlyStopping(monitor="val_los"), {"type": "ReduceLROnPlateau", "monitor": "val_los"}):
        with pytest.raises(gs.SpecError, match="monitors 'val_los'") as found:
            model.fit(x, y, epochs=1, verbose=0, callbacks=[callback])
        assert [each.hint for each in found.value.diagnostics] == ["did you mean 'val_loss'?"]
