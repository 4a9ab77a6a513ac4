"""The record of a model that Keras saved: what it is, and all that keeps it from being imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from trust.hostile_files.hdf5 import file_of
from trust.hostile_files.keras_models import base, dense, functional, keras, layer, start, text, whole_h5

from graphspec.base.errors import SpecError
from graphspec.foreign.inspecting.keras_file import keras_record

FILES = [("net.keras", keras()), ("net.h5", file_of(whole_h5())), ("net.json", text(base()))]


@pytest.mark.parametrize(("name", "data"), FILES)
def test_a_model_that_can_be_imported(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    record = keras_record(tmp_path / name)
    assert (record["kind"], record["container"], record["name"]) == ("keras", name[4:], "net")
    assert [(i["name"], i["dtype"], i["shape"]) for i in record["inputs"]] == [("x", "float32", ["N", 4])]
    assert [(o["name"], o["shape"]) for o in record["outputs"]] == [("dense", ["N", 3])]
    assert record["layers"] == [{"class": "Dense", "count": 1}, {"class": "InputLayer", "count": 1}]
    assert record["parameters"] == 15
    has_weights = name != "net.json"
    assert record["weights"]["elements"] == 15 * has_weights
    assert record["made_by"] == ("Keras 3.15.1" if has_weights else "Keras")
    (use,) = record["uses"]
    assert (use["possible"], use["reasons"], use["how"]) == (True, [], f"graphspec import {name} -o net.yaml")


FUNCTION = {"module": "builtins", "class_name": "function", "config": "mean_squared_error"}
ADAM = {"module": "keras.optimizers", "class_name": "Custom>Adam", "config": {}}


@pytest.mark.parametrize(
    ("compiled", "shown"),
    [
        ({"loss": FUNCTION, "optimizer": ADAM}, {"loss": "mean_squared_error", "optimizer": "Adam"}),
        ({"loss": {"dense": "mse"}, "optimizer_config": ADAM}, {"optimizer": "Adam"}),
        (3, {}),
    ],
)
def test_what_a_model_was_compiled_with(compiled: Any, shown: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "net.json").write_bytes(text(base() | {"compile_config": compiled}))
    assert keras_record(tmp_path / "net.json")["training"] == shown


def test_everything_that_is_unsupported_is_listed_with_its_place(tmp_path: Path) -> None:
    code, custom = layer("Lambda", "l", "x", function="f"), layer("Evil", "e", "l", module="evil")
    model = functional(start(), code, custom, dense("d", "e"))
    (tmp_path / "net.json").write_bytes(text(model))
    record = keras_record(tmp_path / "net.json")
    (use,) = record["uses"]
    assert not use["possible"]
    assert sorted((r["code"], r["place"]) for r in use["reasons"]) == [
        ("GS802", "net.json: layers[1] 'l' (Lambda)"),
        ("GS802", "net.json: layers[2] 'e' (Evil)"),
    ]
    assert record["inputs"][0]["shape"] == [None, 4]
    assert record["parameters"] is None


def test_an_invalid_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_bytes(text(functional(start(), dense("d", "nowhere"))))
    with pytest.raises(SpecError, match="GS801"):
        keras_record(tmp_path / "net.json")
