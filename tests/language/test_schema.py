"""The JSON Schema: current, valid, and neither stricter nor laxer than the parser where it speaks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from paths import ROOT

from graphspec.base.config import Only
from graphspec.cli.schema import schema_text, stored_schema
from graphspec.language.columns import COLUMNS
from graphspec.language.explain import REGISTRIES
from graphspec.language.parse import parse
from graphspec.language.read import read
from graphspec.vocabulary.callbacks.logging import Refused
from graphspec.vocabulary.layers import LAYERS

SPECS = sorted((ROOT / "specs").glob("*.yaml"))


STORED = stored_schema()
"""Making one takes seconds: the first test makes it, the others read the file."""


def schema() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(STORED)
    return made


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


@pytest.mark.slow
def test_the_file_is_a_schema_and_current() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema_text() == STORED, "run `graphspec schema -o schemas/graphspec.schema.json`"


@pytest.mark.slow
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_shipped_specs(path: Path, validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(read(path).plain())] == []


@pytest.mark.slow
def test_every_reference_leads_somewhere() -> None:
    made = schema()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                target: Any = made
                for step in value["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)

    walk(made)


@pytest.mark.slow
def test_every_class_is_described() -> None:
    definitions = schema()["$defs"]
    for kind, registry in {**REGISTRIES, "column": COLUMNS}.items():
        named = definitions[f"{kind}-name"]["anyOf"]
        texts = {text.get("title", text.get("const")): text for text in named}
        for cls in registry:
            if issubclass(cls, Refused):
                continue
            name = next(n for n in registry.names() if registry.get(n) is cls)
            assert name.startswith("onnx.") or texts[name].get("description") or texts[name]["enumDescriptions"][0], (
                f"{kind} {name} has no docstring"
            )
            if "." in name:
                continue
            definition = definitions.get(f"{kind}.{name}") or definitions[f"cell.{name}"]
            assert definition["title"] == name
            shared = definitions[f"{kind}-arguments"]["then"].get("properties", {})
            assert {*definition["properties"], *shared} >= {f.alias or n for n, f in cls.model_fields.items()}
    for cls in LAYERS:
        if cls.__name__.startswith("onnx."):
            continue  # ONNX describes its attributes
        undescribed = [name for name, field in cls.model_fields.items() if not field.description]
        assert not undescribed, f"{cls.__name__}: {undescribed} need descriptions"


def resolved(value: Any, definitions: dict[str, Any]) -> Any:
    """An argument without references."""
    while "$ref" in value:
        value = {
            **definitions[value["$ref"].removeprefix("#/$defs/")],
            **{k: v for k, v in value.items() if k != "$ref"},
        }
    return value


@pytest.mark.slow
def test_nothing_that_is_refused_is_offered() -> None:
    text = STORED
    definitions = schema()["$defs"]
    for kind, registry in REGISTRIES.items():
        refused = [
            *registry.refused,
            *(name for name in registry.names() if issubclass(registry.get(name) or int, Refused)),
        ]
        offered = {value for entry in definitions[f"{kind}-name"]["anyOf"] for value in [entry.get("title")]}
        assert offered.isdisjoint(refused)
        assert not any(re.fullmatch(definitions[f"{kind}-known"]["pattern"], name) for name in refused)
        assert [name for name in refused if f'"{kind}.{name}"' in text] == []
    assert "LambdaCallback" not in text


@pytest.mark.slow
def test_arguments_with_one_allowed_value_are_constants_and_not_offered() -> None:
    definitions = schema()["$defs"]
    found = 0
    for kind, registry in REGISTRIES.items():
        for cls in registry:
            for key, field in cls.model_fields.items():
                only = [item.func for item in field.metadata if isinstance(getattr(item, "func", None), Only)]
                if not only or issubclass(cls, Refused):
                    continue
                name = next(n for n in registry.names() if registry.get(n) is cls)
                argument = resolved(definitions[f"{kind}.{name}"]["properties"][field.alias or key], definitions)
                assert argument["const"] == only[0].allowed, f"{name}.{key}"
                assert argument["doNotSuggest"] is True
                assert argument["errorMessage"] == only[0].message
                found += 1
    assert found >= 20


@pytest.mark.slow
def test_the_schema_is_small() -> None:
    """An editor reads and resolves all of it before its first answer."""
    assert len(STORED.encode()) < 425_000


FORM = ("102", "103", "104", "105", "109", "111")
"""Codes of mistakes in the form of a spec: keys, types, values, names."""
BEYOND = {
    "105_adamw",
    "105_bidirectional",
    "105_callbacks",
    "105_delimiter",
    "105_float32",
    "105_groups",
    "105_monitor",
}
BEYOND |= {f"105_search_{name}" for name in ("bounds", "goal", "grid", "order", "validation", "values")} | {
    "102_search_paths",
    "105_sparse",
}
"""Mistakes that follow from several values, or from the precision of numbers."""
UNREADABLE = {"104_keys"}
BROKEN = [
    path
    for path in sorted((ROOT / "tests" / "diagnostics").glob("*.yaml"))
    if path.name.startswith(FORM) and path.stem not in UNREADABLE
]


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken_specs(path: Path, validator: Draft202012Validator) -> None:
    assert validator.is_valid(read(path).plain()) is (path.stem in BEYOND)


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "s",
        "inputs": {"x": {"shape": [None, 4, "time"]}},
        "layers": [{"name": "out", "type": "Dense", "units": 1}],
        "outputs": {"out": {}},
        **changes,
    }


GOOD: dict[str, dict[str, Any]] = {
    "least": spec(),
    "head without keys": spec(outputs={"out": None}),
    "head without a loss": spec(outputs={"out": {"loss": None}}),
    "node keys": spec(layers=[{"type": "Dense", "units": 1, "name": "out", "trainable": False, "repeat": 2, "inputs": "x"}]),
    "one size": spec(layers=[{"name": "out", "type": "Conv2D", "filters": 1, "kernel_size": 3, "strides": [1, 2]}]),
    "object arguments": spec(
        layers=[
            {"name": "out", "type": "Dense", "units": 1, "activation": None, "kernel_initializer": "he_normal"},
            {"type": "Dense", "units": 1, "kernel_regularizer": {"type": "L2", "l2": 0.1}, "activation": {"type": "relu"}},
        ]
    ),
    "wrapper": spec(layers=[{"name": "out", "type": "Bidirectional", "layer": {"type": "LSTM", "units": 2, "dtype": "x"}}]),
    "call arguments": spec(layers=[{"name": "out", "type": "LSTM", "units": 2, "initial_state": ["x", "x"]}]),
    "variables": spec(
        vars={"n": 1},
        layers=[
            {"name": "out", "type": "Dense", "units": "${n}", "use_bias": "${n}", "activation": "${n}"},
            {"type": "Conv2D", "filters": "${n}", "kernel_size": ["${n}", 1], "padding": "${n}", "trainable": "${n}"},
            {"type": "${n}", "repeat": "${n}"},
        ],
        training={"epochs": "${n}", "optimizer": {"type": "Adam", "learning_rate": "${n}"}},
    ),
    "variable type with arguments": spec(layers=[{"type": "${n}", "units": 3, "name": "out"}]),
    "keys without effect": spec(
        layers=[
            {"type": "Dense", "units": 1, "dtype": "float32", "lora_rank": None, "autocast": True, "name": "out"},
            {"type": "LSTM", "units": 1, "stateful": False, "unroll": True, "implementation": 2},
        ]
    ),
    "rates": spec(
        training={
            "optimizer": {
                "type": "Adam",
                "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 1, "decay_steps": 9},
            }
        }
    ),
    "blocks": spec(
        blocks={
            "b": {"params": {"n": 1}, "inputs": ["a"], "layers": [{"name": "d", "type": "Flatten"}], "outputs": ["d"]}
        },
        layers=[{"block": "b", "params": {"n": 2}, "repeat": 2}, {"name": "out", "share": "m", "inputs": "x"}],
    ),
    "training": spec(
        training={"optimizer": "adam", "callbacks": [{"type": "EarlyStopping", "patience": 1}], "workers": "auto"}
    ),
    "data": spec(
        data={
            "train": {"file": "a.npz", "targets": {"out": "y"}},
            "validation": {"split": 0.1},
            "test": {"file": "b.csv", "inputs": {"x": ["a", "b"]}},
        }
    ),
    "records": spec(
        inputs={
            "p": {
                "columns": {
                    "a": "number",
                    "b": {"type": "number", "missing": 0.5, "scale": {"bins": 4}, "indicator": True, "column": "B b"},
                    "c": {"type": "category", "embed": 3, "vocabulary": ["x", "y"]},
                    "d": {"type": "date", "parts": ["year"]},
                    "e": {"type": "text", "ngrams": [1, 2], "split": None},
                    "f": {"type": "image", "shape": [8, 8, 3]},
                    "g": "category",
                },
                "crosses": [["c", "g"], {"columns": ["g", "c"], "num_bins": 9}],
            },
            "line": {"dtype": "string", "column": "text"},
        }
    ),
    "variables in records": spec(
        vars={"n": "number", "x": 3},
        inputs={"p": {"columns": {"a": "${n}", "b": {"type": "${n}", "missing": "${x}"}}}},
    ),
    "scale": spec(outputs={"out": {"loss": "mse", "scale": "standard"}}),
    "head": spec(
        outputs={
            "h": {"layer": "out", "loss": "mse", "metrics": ["accuracy"], "class_weight": {"a": 1}, "labels": ["a"]}
        }
    ),
}  # fmt: skip

BAD: dict[str, dict[str, Any]] = {
    "unknown key": spec(nam="x"),
    "missing key": {"graphspec": 1},
    "version": spec(graphspec=2),
    "stateful": spec(layers=[{"name": "out", "type": "LSTM", "units": 1, "stateful": True}]),
    "refused callback": spec(training={"callbacks": [{"type": "LambdaCallback"}]}),
    "refused layer": spec(layers=[{"name": "out", "type": "Lambda"}]),
    "refused value of a key without effect": spec(
        layers=[{"name": "out", "type": "Dense", "units": 1, "lora_rank": 4}]
    ),
    "number for an activation": spec(layers=[{"name": "out", "type": "Dense", "units": 1, "activation": 3}]),
    "activation without type": spec(layers=[{"name": "out", "type": "Dense", "units": 1, "activation": {"alpha": 1}}]),
    "rate of a name": spec(training={"optimizer": {"type": "Adam", "learning_rate": "fast"}}),
    "negative rate": spec(training={"optimizer": {"type": "Adam", "learning_rate": -1}}),
    "schedule": spec(training={"optimizer": {"type": "Adam", "learning_rate": {"type": "CosineDecay"}}}),
    "type beside share": spec(layers=[{"name": "out", "share": "x", "type": "Dense", "units": 1}]),
    "unknown layer": spec(layers=[{"name": "out", "type": "Dnse", "units": 1}]),
    "unknown argument": spec(layers=[{"name": "out", "type": "Dense", "units": 1, "unit": 1}]),
    "missing argument": spec(layers=[{"name": "out", "type": "Dense"}]),
    "bad bound": spec(layers=[{"name": "out", "type": "Dense", "units": 0}]),
    "bad type": spec(layers=[{"name": "out", "type": "Dense", "units": "three"}]),
    "bad choice": spec(layers=[{"name": "out", "type": "Conv2D", "filters": 1, "kernel_size": 1, "padding": "smae"}]),
    "three sizes": spec(layers=[{"name": "out", "type": "Conv2D", "filters": 1, "kernel_size": [1, 2, 3]}]),
    "unknown activation": spec(layers=[{"name": "out", "type": "Dense", "units": 1, "activation": "rellu"}]),
    "bad inner layer": spec(layers=[{"name": "out", "type": "Bidirectional", "layer": {"type": "LSTM"}}]),
    "no type": spec(layers=[{"name": "out", "units": 1}]),
    "type and block": spec(layers=[{"name": "out", "type": "Dense", "units": 1, "block": "b"}]),
    "key beside share": spec(layers=[{"name": "out", "share": "x", "units": 1}]),
    "epochs": spec(training={"epochs": 0}),
    "split": spec(data={"validation": {"split": 1.0}}),
    "dtype": spec(inputs={"x": {"shape": [4], "dtype": "float31"}}),
    "dimension": spec(inputs={"x": {"shape": [0]}}),
    "head": spec(outputs={"out": {"los": "mse"}}),
    "no shape": spec(inputs={"x": {"dtype": "int64"}}),
    "no columns": spec(inputs={"p": {"crosses": [["a", "b"]]}}),
    "shape of a record": spec(inputs={"p": {"columns": {"a": "number"}, "shape": [1]}}),
    "type of a column": spec(inputs={"p": {"columns": {"a": "nmuber"}}}),
    "argument of a column": spec(inputs={"p": {"columns": {"a": {"type": "number", "embed": 3}}}}),
    "missing number": spec(inputs={"p": {"columns": {"a": {"type": "number", "missing": "bfill"}}}}),
    "one bin": spec(inputs={"p": {"columns": {"a": {"type": "number", "scale": {"bins": 1}}}}}),
    "cross of one": spec(inputs={"p": {"columns": {"a": "category"}, "crosses": [["a"]]}}),
    "scale": spec(outputs={"out": {"loss": "mse", "scale": "minmax"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str, validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(GOOD[name])] == []


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str, validator: Draft202012Validator) -> None:
    assert not validator.is_valid(BAD[name])
    assert any(d.is_error for d in parse(BAD[name])[1]), "the parser says so too"
