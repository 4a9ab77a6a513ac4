"""--set: short forms and defaults become mappings; a path that begins too late is corrected."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec import UsageError
from graphspec.language.read import read


def spec(**more: Any) -> dict[str, Any]:
    layers = [
        {"name": "hidden", "type": "Dense", "units": 4, "activation": "leaky_relu"},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    found = {"graphspec": 1, "name": "s", "inputs": {"x": {"shape": [4]}}, "layers": layers}
    return found | {"outputs": {"y": {"loss": "mse", "metrics": ["mae"]}}} | more


def changed(*sets: str, **more: Any) -> dict[str, Any]:
    plain = read(spec(**more), sets=sets).plain()
    assert isinstance(plain, dict)
    return plain


@pytest.mark.parametrize(
    "training", [{}, {"training": None}, {"training": {"epochs": 2}}, {"training": {"optimizer": "rmsprop"}}]
)
def test_the_default_optimizer_takes_arguments(training: dict[str, Any]) -> None:
    found = changed("training.optimizer.learning_rate=0.1", **training)["training"]["optimizer"]
    assert found == {"type": "rmsprop", "learning_rate": 0.1}


def test_a_name_becomes_a_mapping() -> None:
    found = changed(
        "training.optimizer=sgd",
        "training.optimizer.learning_rate=0.1",
        "layers.hidden.activation.negative_slope=0.3",
        "layers.y.kernel_initializer.seed=3",
        "outputs.y.loss=huber",
        "outputs.y.loss.delta=2",
        "outputs.y.metrics.mae.name=error",
        "layers.y.activation.type=relu",
    )
    assert found["training"]["optimizer"] == {"type": "sgd", "learning_rate": 0.1}
    assert found["layers"][0]["activation"] == {"type": "leaky_relu", "negative_slope": 0.3}
    assert found["layers"][1]["kernel_initializer"] == {"type": "glorot_uniform", "seed": 3}
    assert found["layers"][1]["activation"] == {"type": "relu"}
    assert found["outputs"]["y"] == {
        "loss": {"type": "huber", "delta": 2},
        "metrics": [{"type": "mae", "name": "error"}],
    }


def test_a_callback_is_found_by_its_type() -> None:
    callbacks = {"training": {"callbacks": ["EarlyStopping", {"type": "CSVLogger", "filename": "a.csv"}]}}
    found = changed(
        "training.callbacks.EarlyStopping.patience=3", "training.callbacks.CSVLogger.append=true", **callbacks
    )
    assert found["training"]["callbacks"][0] == {"type": "EarlyStopping", "patience": 3}
    assert found["training"]["callbacks"][1] == {"type": "CSVLogger", "filename": "a.csv", "append": True}


def test_a_column_becomes_a_mapping() -> None:
    inputs = {"inputs": {"row": {"columns": {"age": "number"}}}}
    found = changed("inputs.row.columns.age.missing=mean", **inputs)
    assert found["inputs"]["row"]["columns"]["age"] == {"type": "number", "missing": "mean"}


def test_parts_of_the_data_are_created() -> None:
    found = changed("data.train.file=a.csv", "data.validation.split=0.2")
    assert found["data"] == {"train": {"file": "a.csv"}, "validation": {"split": 0.2}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "learning_rate=0.01",
            "there is no 'learning_rate' in the spec; write --set training.optimizer.learning_rate=0.01",
        ),
        ("lr=0.01", "write --set training.optimizer.learning_rate=0.01"),
        ("training.lr=0.01", "no 'lr' in 'training'; write --set training.optimizer.learning_rate=0.01"),
        ("epochs=3", "write --set training.epochs=3"),
        ("epoch=3", "write --set training.epochs=3"),
        ("epohcs=3", "write --set training.epochs=3"),
        ("lerning_rate=0.1", "write --set training.optimizer.learning_rate=0.1"),
        ("optimizer=sgd", "write --set training.optimizer=sgd"),
        ("optimizer.learning_rate=1", "write --set training.optimizer.learning_rate=1"),
        ("units=3", "write one of --set layers.hidden.units=3, --set layers.y.units=3"),
        ("use_bias=false", "write one of --set layers.hidden.use_bias=false, --set layers.y.use_bias=false"),
        ("y.units=3", "write --set layers.y.units=3"),
        ("y.loss=mae", "write --set outputs.y.loss=mae"),
        ("loss=mae", "write --set outputs.y.loss=mae"),
        ("train.file=a.csv", "write --set data.train.file=a.csv"),
        ("epochs:3", "write --set epochs=3"),
        ("layers.z.units=3", "there is no 'z' in 'layers'; there are hidden, y"),
        ("training.callbacks.0.patience=3", "training.callbacks=[{type: EarlyStopping, patience: 3}]"),
        ("outputs.z.loss=mae", "there is no 'z' in 'outputs'"),
        ("layers.y.units.low=1", "'layers.y.units' is 1, which has no keys"),
        ("layers.y.type.low=1", "'layers.y.type' is 'Dense', which has no keys"),
        ("name.low=1", "'name' is 's', which has no keys"),
    ],
)
def test_a_path_that_leads_nowhere(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        changed(text)
    assert words in str(caught.value)


def test_a_misspelt_key_of_training_is_left_to_the_check() -> None:
    assert changed("training.epoch=3")["training"] == {"epoch": 3}


def test_null_removes_what_may_be_left_out() -> None:
    rows = ("data.train.file=a.csv", "data.validation.split=0.2", "data.train.delimiter=;")
    found = changed(*rows, "data.validation=null", "data.train.delimiter=null")
    assert found["data"] == {"train": {"file": "a.csv"}}
    assert changed("training.epochs=3", "training.seed=4", "training.seed=null")["training"] == {"epochs": 3}
    assert changed("training.seed=null").get("training", {}) == {}
    assert changed(*rows, "data.test=null")["data"].keys() == {"train", "validation"}, "it is not there"
    assert changed("outputs.y.metrics=[mae]", "outputs.y.metrics=null")["outputs"] == {"y": {"loss": "mse"}}


def test_null_stays_a_value_elsewhere() -> None:
    assert changed("layers.hidden.activation=null")["layers"][0]["activation"] is None
    assert changed("training.epoch=null")["training"] == {"epoch": None}, "the check names a misspelt key"
    assert changed("data.train.file=a.csv", "data.vaildation=null")["data"]["vaildation"] is None
