"""Classes of the vocabulary, called from Python: wrong arguments get a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import graphspec as gs
from graphspec.vocabulary.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from graphspec.vocabulary.layers import Dense


def test_required_arguments_need_no_name() -> None:
    assert ModelCheckpoint("best.safetensors") == ModelCheckpoint(filepath="best.safetensors")  # type: ignore[misc]
    assert Dense(3, activation="relu").units == 3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: EarlyStopping(patience="3"), "`patience` of EarlyStopping must be an integer, not '3'"),
        (
            lambda: EarlyStopping("val_loss"),
            "give the arguments of EarlyStopping by name, such as `EarlyStopping(monitor=",
        ),
        (lambda: EarlyStopping(patince=3), "EarlyStopping has no argument 'patince'; did you mean 'patience'?"),
        (lambda: ModelCheckpoint(), "ModelCheckpoint needs `filepath`"),
        (lambda: ModelCheckpoint("best.keras"), "write for example `best.safetensors`"),
        (lambda: Dense(3, units=4), "`units` of Dense is given twice"),
        (lambda: Dense(0), "`units` of Dense must be greater than or equal to 1, not 0"),
        (lambda: LambdaCallback(), "LambdaCallback is refused: a spec contains no functions"),
        (lambda: EarlyStopping(mode="up", patience=-1), "; `patience` of EarlyStopping must be greater than"),
    ],
)
def test_wrong_arguments_get_a_sentence(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(gs.UsageError) as caught:
        call()
    assert says in str(caught.value)
