"""Arguments of the Python API that cannot be used: each is named, and nothing has happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from specs import blobs, dense_spec

X, Y = blobs(16)
KERNEL = np.ones((4, 8), np.float32)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.fit(X, Y, batch_size="3"), "`batch_size` must be a positive integer, got '3'"),
        (lambda m: m.fit(X, Y, epochs=1.5), "`epochs` must be a positive integer, got 1.5"),
        (lambda m: m.fit(X, Y, epochs=True), "`epochs` must be a positive integer, got True"),
        (lambda m: m.fit(X, Y, shuffle="yes"), "`shuffle` must be true or false, got 'yes'"),
        (lambda m: m.fit(X, Y, verbose="loud"), "`verbose` must be a number or 'auto', got 'loud'"),
        (lambda m: m.fit(X, Y, callbacks=3), "`callbacks` must be a list of callbacks"),
        (
            lambda m: m.fit(X, Y, validation_data=X),
            "`validation_data` must be `(x, y)`, `(x, y, sample_weight)` or rows with targets",
        ),
        (lambda m: m.fit(X, Y, validation_split="0.5"), "`validation_split` must be a number between 0 and 1"),
        (lambda m: m.fit({3: X}, Y), "`inputs` must be a dict of arrays, by names, got 3"),
        (lambda m: m.fit(X, Y, class_weight=np.ones(3)), "`class_weight` must be a mapping such as"),
        (lambda m: m.evaluate(X, Y, batch_size=0), "`batch_size` must be at least 1, got 0"),
        (lambda m: m.predict(X, batch_size=0), "`batch_size` must be at least 1, got 0"),
        (lambda m: m.predict(X, batch_size=[1]), "`batch_size` must be a positive integer, got a value of type list"),
        (lambda m: m.set_weights(None), "`weights` must be a dict of arrays, got None"),
        (lambda m: m.set_weights({None: KERNEL}), "`weights` must be a dict of arrays, by names, got None"),
        (lambda m: m.set_weights({"hidden/kernel": KERNEL.astype(str)}), "must be an array of numbers"),
        (lambda m: m.set_weights({"hidden/kernel": KERNEL.astype(complex)}), "must be an array of numbers"),
        (lambda m: m.set_weights({"hidden/kernel": KERNEL.astype(float) * 1e300}), "that float32 cannot represent"),
        (lambda m: m.save(3), "`path` must be a path, got 3"),
        (lambda m: m.save(""), "`path` must be a path that the file system can have, got ''"),
        (lambda m: m.export("a\0b"), "`path` must be a path that the file system can have"),
        (lambda m: m.export("\ud800"), "`path` must be a path that the file system can have"),
        (lambda m: m.export(Path()), ". is a folder; name a file"),
        (lambda m: m.export("a.onnx", opset=17.0), "`opset` must be an integer, got 17.0"),
        (lambda m: m.export("a.onnx", target=["ort-1.20"]), "unknown target"),
        (lambda m: gs.load(None), "`path` must be a path, got None"),
        (lambda m: gs.compile(3), "`source` must be a path, got 3"),
        (lambda m: gs.compile(dense_spec(), "a=b"), "`sets` must be a list of overrides"),
        (lambda m: gs.compile(dense_spec(), [None]), "`sets` must be a list of overrides"),
        (lambda m: gs.validate(2.5), "`source` must be a path, got 2.5"),
        (lambda m: gs.validate(dense_spec(), data="x"), "`data` must be true or false"),
    ],
)
def test_arguments_are_named(call: Callable[[gs.Model], Any], says: str) -> None:
    model = gs.compile(dense_spec())
    before = model.weights
    with pytest.raises(gs.UsageError) as caught:
        call(model)
    assert says in str(caught.value)
    assert all(np.array_equal(a, before[name]) for name, a in model.weights.items())
    assert len(model.fit(X, Y, epochs=1, verbose=0).history["loss"]) == 1


@pytest.mark.parametrize("weight", [float("nan"), -1.0, "a", None, float("inf"), 1e300])
def test_class_weights_are_numbers_from_0_on(weight: Any) -> None:
    model = gs.compile(dense_spec())
    with pytest.raises(gs.SpecError, match=r"GS405.*weight of class 0 must be a number from 0 on"):
        model.fit(X, Y, class_weight={0: weight}, verbose=0)


def test_numbers_of_numpy_are_numbers() -> None:
    model = gs.compile(dense_spec())
    history = model.fit(X, Y, epochs=np.int64(2), batch_size=np.int32(8), shuffle=np.bool_(False), verbose=0).history
    assert len(history["loss"]) == 2
    assert model.predict(X, batch_size=np.int64(4)).shape == (16, 3)
