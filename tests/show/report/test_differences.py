"""The keys in which specs differ."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import graphspec as gs
from graphspec.show.report.comparison import differences, flattened

SPEC: dict[str, Any] = {
    "graphspec": 1,
    "name": "net",
    "inputs": {"x": {"shape": [2]}},
    "layers": [
        {"name": "hidden", "type": "Dense", "units": 3, "activation": "relu"},
        {"name": "y", "type": "Dense", "units": 1},
    ],
    "outputs": {"y": {"loss": "mse"}},
    "training": {"optimizer": "adam"},
    "data": {"train": {"file": "a.npz"}, "validation": {"split": 0.2}},
}


def changed(**paths: Any) -> dict[str, Any]:
    spec = deepcopy(SPEC)
    for path, value in paths.items():
        *above, last = path.split("__")
        place: Any = spec
        for key in above:
            place = place[int(key) if isinstance(place, list) else key]
        place[int(last) if isinstance(place, list) else last] = value
    return spec


def diff(*specs: dict[str, Any]) -> dict[str, list[str | None]]:
    return differences([flattened(gs.compile(spec).spec) for spec in specs])


def test_defaults_are_included_and_places_are_not() -> None:
    assert diff(SPEC, changed(training__optimizer={"type": "Adam", "learning_rate": 0.001}, name="other")) == {}
    assert diff(SPEC, changed(data__train__file="elsewhere/b.npz")) == {}
    assert diff(SPEC, changed(training__epochs=5)) == {"training.epochs": ["1", "5"]}
    rate = {"type": "Adam", "learning_rate": 0.01}
    assert diff(SPEC, changed(training__optimizer=rate))["training.optimizer.learning_rate"] == ["0.001", "0.01"]
    assert diff(SPEC, changed(data__validation__split=0.3)) == {"data.validation.split": ["0.2", "0.3"]}


def test_layers_and_what_they_are_made_of() -> None:
    found = diff(SPEC, changed(layers__0__activation="tanh"), changed(layers__0__units=9))
    assert found["layers.hidden.units"] == ["3", "3", "9"]
    assert found["layers.hidden.activation"] == ["Relu", "Tanh", "Relu"]
    assert set(diff(SPEC, changed(layers__0__kernel_regularizer="l2"))) >= {"layers.hidden.kernel_regularizer"}
    assert "outputs.y.loss" in diff(SPEC, changed(outputs__y__loss="mae"))


def test_a_layer_that_a_spec_lacks_is_one_key() -> None:
    without = changed(layers=SPEC["layers"][1:])
    found = diff(SPEC, without)
    assert found == {"layers.hidden": ["Dense", None], "layers.y.inputs": ["hidden", "x"]}


def test_the_content_of_data_counts() -> None:
    spec = gs.compile(SPEC).spec
    assert differences([flattened(spec, {"train": "a" * 64}), flattened(spec, {"train": "b" * 64})]) == {
        "data.train (content)": ["sha256 aaaaaaaaaaaa…", "sha256 bbbbbbbbbbbb…"]
    }
