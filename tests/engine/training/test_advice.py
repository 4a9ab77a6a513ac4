"""Hints about validation values that are far from training values: each needs its evidence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from graphspec.data.batches import Dataset
from graphspec.engine.compiler.check import check
from graphspec.engine.training.advice import Evidence, advice, evidence_of, unscaled_inputs

FALLING = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3]
RISING = [1.0, 0.7, 0.6, 0.65, 0.7, 0.8]


def history(loss: list[float], val_loss: list[float], **more: list[float]) -> dict[str, list[float]]:
    return {"loss": loss, "val_loss": val_loss, **more}


def spec(*layers: dict[str, Any], dtype: str = "float32") -> Any:
    document = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [4], "dtype": dtype}},
        "layers": [*layers, {"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse"}},
    }
    return check(document).require()[0]


def test_nothing_is_said_without_evidence() -> None:
    assert advice(Evidence({})) is None
    assert advice(Evidence({"loss": FALLING})) is None
    assert advice(Evidence(history(FALLING, FALLING), momenta={"bn": 0.99}, updates=10)) is None
    assert advice(Evidence(history([1.0], [9.0]))) is None
    assert advice(Evidence(history([math.nan], [1.0]))) is None


def test_overfitting() -> None:
    text = advice(Evidence(history(FALLING, RISING)))
    assert text is not None
    assert text.startswith("overfitting since epoch 3: val_loss has risen from 0.6000 to 0.8000")
    assert advice(Evidence(history(FALLING, RISING), restored=True)) is None
    assert advice(Evidence(history(RISING, RISING))) is None, "the training loss rises as well"
    assert advice(Evidence(history(FALLING[:5], RISING[:5]))) is None, "it has risen for two epochs only"
    assert advice(Evidence(history(FALLING, [1.0, 0.7, 0.6, 0.62, 0.61, 0.63]))) is None, "noise"


def test_moving_averages_lag() -> None:
    evidence = Evidence(history([1.0, 0.5], [1.5, 1.4]), updates=40, momenta={"bn": 0.99, "quick": 0.5})
    text = advice(evidence)
    assert text is not None
    assert "BatchNormalization 'bn'" in text
    assert "after 40 steps still contain 67 %" in text
    assert "`momentum: 0.9`" in text
    assert advice(Evidence(evidence.history, updates=400, momenta={"bn": 0.99})) is None
    assert advice(Evidence(history([1.0, 0.5], [1.0, 0.5]), updates=40, momenta={"bn": 0.99})) is None


def test_moving_averages_lag_in_one_head() -> None:
    losses = {"loss": [9e9, 8e9], "val_loss": [9e9, 8e9], "kind_loss": [1.0, 0.8], "val_kind_loss": [4.0, 5.0]}
    text = advice(Evidence(losses, updates=20, momenta={"bn": 0.99}))
    assert text is not None
    assert "BatchNormalization 'bn'" in text


def test_a_target_that_is_not_scaled() -> None:
    hardly = history([1.1e10, 1.09e10, 1.08e10], [1.1e10, 1.1e10, 1.1e10])
    text = advice(Evidence(hardly, targets={"price": (143907.0, 37963.0)}))
    assert text == (
        "loss hardly falls, and the target of 'price' has mean 143907, deviation 37963: "
        "set `scale: standard` of head 'price'"
    )
    assert advice(Evidence(hardly, targets={"price": (0.1, 1.0)})) is None
    falls = history([1.1e10, 1e9, 1e8], [1e9, 1e8, 1e8])
    assert advice(Evidence(falls, targets={"price": (143907.0, 37963.0)})) is None


def test_classes_that_no_training_row_has() -> None:
    text = advice(Evidence(history(FALLING, RISING), unseen={"kind": ["a", "b"]}))
    assert text is not None
    assert "classes of 'kind' that no training row has ('a', 'b')" in text
    assert text.endswith("set `stratify: kind` for the split, or add training rows")
    texts = [advice(Evidence(history(FALLING, RISING), unseen={"kind": ["a"]}, split=s)) for s in ("last", None)]
    assert texts[0] is not None
    assert texts[0].endswith(
        "if the order of the rows does not matter, split at random, with `stratify: kind`; else add training rows"
    )
    assert texts[1] is not None
    assert texts[1].endswith("which cannot be learnt: add training rows")


def test_one_class_for_every_row() -> None:
    evidence = Evidence(history(FALLING, FALLING, val_accuracy=[0.3, 0.45, 0.45, 0.45]), largest_share=(0.45, "Adelie"))
    text = advice(evidence)
    assert text is not None
    assert "the share of the class 'Adelie' in the validation rows (45 %)" in text
    learns = Evidence(history(FALLING, FALLING, val_accuracy=[0.45, 0.45, 0.6]), largest_share=(0.45, "Adelie"))
    assert advice(learns) is None
    right = Evidence(history(FALLING, FALLING, val_accuracy=[1.0, 1.0, 1.0]), largest_share=(1.0, "Adelie"))
    assert advice(right) is None


def test_a_few_validation_rows_agree_by_chance() -> None:
    more = {"val_accuracy": [0.75, 0.75, 0.75], "accuracy": [0.7, 0.8, 1.0]}
    assert advice(Evidence(history(FALLING, FALLING, **more), largest_share=(0.75, "a"))) is None
    more["accuracy"] = [0.7, 0.72, 0.74]
    assert advice(Evidence(history(FALLING, FALLING, **more), largest_share=(0.75, "a"))) is not None


def test_inputs_that_are_not_scaled_and_a_loss_of_guessing() -> None:
    named = ["'mass' has mean 4201, deviation 800"]
    text = advice(Evidence(history([90.0, 30.0, 36.0], [80.0, 40.0, 34.0]), unscaled=named, guessing=1.05))
    assert text == (
        "after 3 epochs, loss is 36.000, and guessing has 1.0500; inputs are not scaled: 'mass' has mean 4201, deviation "
        "800; read them through Normalization, or set `scale: standard` for columns"
    )
    learnt = history([1.1, 0.9, 0.8], [1.1, 0.9, 0.8])
    assert advice(Evidence(learnt, unscaled=named, guessing=1.05)) is None
    assert advice(Evidence(history([90.0, 30.0, 36.0], [80.0, 40.0, 34.0]), guessing=1.05)) is None
    assert advice(Evidence(history([90.0, 30.0], [80.0, 40.0]), unscaled=named, guessing=1.05)) is None, "too early"


def test_a_loss_above_the_validation_loss_is_normal_with_dropout() -> None:
    far = history([1.0, 0.9], [0.5, 0.45])
    text = advice(Evidence(far, only_in_training=["drop"]))
    assert text == "the loss is above val_loss since 'drop' changes values in training only: this is normal"
    assert advice(Evidence(far)) is None
    diverged = history([0.9, 1e18], [0.5, 1e11])
    assert advice(Evidence(diverged, only_in_training=["drop"])) is None
    mean_of_the_epoch = history([2.0, 0.9], [1.2, 0.45])
    assert advice(Evidence(mean_of_the_epoch, only_in_training=["drop"])) is None


def test_evidence_of_a_spec() -> None:
    found = spec(
        {"name": "bn", "type": "BatchNormalization", "momentum": 0.9},
        {"name": "fixed", "type": "BatchNormalization", "trainable": False},
        {"name": "drop", "type": "Dropout", "rate": 0.5},
        {"name": "noise", "type": "GaussianNoise", "stddev": 0.5},
    )
    assert evidence_of(found) == ({"bn": 0.9}, ["drop", "noise"])


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ([], True),
        ([{"name": "flat", "type": "Flatten"}], True),
        ([{"name": "filled", "type": "Impute", "fill_value": 0.0}], True),
        ([{"name": "bn", "type": "BatchNormalization"}], False),
        ([{"name": "small", "type": "Rescaling", "scale": 0.01}], False),
    ],
    ids=["dense", "behind a flatten", "behind filled gaps", "normalized", "rescaled"],
)
def test_inputs_that_are_not_scaled(layers: list[dict[str, Any]], named: bool) -> None:
    rows = np.random.default_rng(0).normal(400, 100, (50, 4)).astype(np.float32)
    found = unscaled_inputs(spec(*layers), Dataset({"x": rows}))
    assert bool(found) == named
    if named:
        assert found[0].startswith("'x' has mean 401")
    assert unscaled_inputs(spec(*layers), Dataset({"x": rows / 400})) == []
