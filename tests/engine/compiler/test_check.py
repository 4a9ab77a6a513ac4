"""Checking any spec ends in diagnostics, soon, with little memory."""

from __future__ import annotations

import copy
import json
import random
import tracemalloc
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from counting import assert_linear
from paths import ROOT

import graphspec as gs
from graphspec.base.errors import render, render_json
from graphspec.language.read import read
from graphspec.vocabulary.layers import LAYERS

SPECS = [*sorted((ROOT / "specs").glob("*.yaml")), *sorted((ROOT / "tests" / "diagnostics").glob("*_*.yaml"))]
NAMES = [
    *LAYERS.names(),
    "relu",
    "mse",
    "same",
    "causal",
    "channels_first",
    "x",
    "${u}",
    "$${",
    "${",
    "a/b",
    "x:1",
    "N",
]
ODD = [
    *(0, -1, 1, 2, 7, 10**6, 10**9, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.5, 1e308, 1e-320),
    *(float("nan"), float("inf"), True, False, None, "", "x" * 10_000, "ü✓\u202e\x00"),
    *([], {}, [1], [2, 2], [0, 0], [10**9] * 2, [None], [None, None, 3], [[1]], [-1, -1], [1] * 100, [[[[[]]]]]),
    *({"type": "x"}, {"type": None}),
]


@cache
def documents() -> list[dict[str, Any]]:
    """The shipped and the broken specs that can be read."""
    specs = []
    for path in SPECS:
        if "110_" in path.name:
            continue
        try:
            plain = read(path).plain()
        except gs.SpecError:
            continue
        specs.append(plain)
    return specs


@cache
def keys() -> list[str]:
    return sorted({key for cls in LAYERS for key in cls.model_fields} | {key for d in documents() for key in d})


def places(value: Any) -> list[Any]:
    """All mappings and lists within ``value``."""
    found = [value]
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            found += places(child)
    return found


def mutate(document: dict[str, Any], rng: random.Random) -> None:
    """Delete, replace, rename, add or repeat one key, value or item."""
    place = rng.choice([p for p in places(document) if p] or [document])
    if not place:
        return
    at = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    value = copy.deepcopy(rng.choice([rng.choice(ODD), rng.choice(NAMES), {"type": rng.choice(LAYERS.names())}]))
    match rng.randrange(5):
        case 0:
            del place[at]
        case 1 | 2:
            place[at] = value
        case 3 if isinstance(place, dict):
            place[rng.choice(keys())] = place.pop(at) if rng.random() < 0.5 else value
        case 4 if isinstance(place, dict) and "type" in place:
            place["type"] = rng.choice(LAYERS.names())
        case _ if isinstance(place, list):
            place.insert(at, copy.deepcopy(place[at]) if rng.random() < 0.5 else value)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_any_document_gets_an_answer(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(150):
        document = copy.deepcopy(rng.choice(documents()))
        for _ in range(rng.choice((1, 1, 2, 4))):
            mutate(document, rng)
        try:
            found = gs.validate(document)
            render(found)
            json.loads(render_json(found))
        except Exception as error:
            error.add_note(json.dumps(document, default=str))
            raise


GIANTS = [
    [{"type": "Dense", "units": 10**9}],
    [{"type": "RepeatVector", "n": 10**9}, {"type": "BatchNormalization", "scale": False}],
    [{"type": "Dense", "units": 10**9}, {"type": "BatchNormalization", "scale": False, "center": False}],
    [{"type": "Reshape", "target_shape": [-1, 1]}, {"type": "GRU", "units": 10**8, "reset_after": False}],
    [{"type": "Reshape", "target_shape": [2, 2, 1]}, {"type": "ZeroPadding2D", "padding": 10**8}],
    [{"type": "Reshape", "target_shape": [2, 2, 1]}, {"type": "UpSampling2D", "size": 10**8}],
    [
        {"type": "RepeatVector", "n": 10**9},
        {"type": "TimeDistributed", "layer": {"type": "BatchNormalization"}},
    ],
]


@pytest.mark.parametrize("layers", GIANTS, ids=lambda layers: layers[-1]["type"])
def test_a_giant_allocates_nothing(layers: list[dict[str, Any]]) -> None:
    document = {
        "graphspec": 1,
        "name": "giant",
        "inputs": {"x": {"shape": [4]}},
        "layers": [*copy.deepcopy(layers), {"name": "y", "type": "Activation", "activation": "relu"}],
        "outputs": {"y": {"loss": "mse"}},
    }
    gs.validate(document)
    tracemalloc.start()
    try:
        found = gs.validate(document)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {d.code for d in found} & {"GS602", "GS110", "GS105"}
    assert peak < 4 * 2**20


def spec(layers: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    head = {"outputs": {"y": {"layer": layers[-1]["name"], "loss": "mse"}}}
    return {"graphspec": 1, "name": "n", "inputs": {"x": {"shape": [8]}}, "layers": layers, **head, **more}


def dense(k: int, **more: Any) -> dict[str, Any]:
    return {"name": f"d{k}", "type": "Dense", "units": 8, **more}


def wide(n: int) -> dict[str, Any]:
    names = [f"d{k}" for k in range(n)]
    return spec([*(dense(k, inputs="x") for k in range(n)), {"name": "all", "type": "Concatenate", "inputs": names}])


def block(n: int) -> dict[str, Any]:
    layers = [dense(0, inputs="x"), {"name": "sum", "type": "Add", "inputs": ["d0", "x"]}]
    blocks = {"b": {"inputs": ["x"], "layers": layers, "outputs": ["sum"]}}
    return spec([{"name": "y", "block": "b", "repeat": n}], blocks=blocks, outputs={"y": {"loss": "mse"}})


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "chain": lambda n: spec([dense(k) for k in range(n)]),
    "wide": wide,
    "repeat": lambda n: spec([dense(0, repeat=n)]),
    "block": block,
    "share": lambda n: spec([dense(0), *({"name": f"d{k}", "share": f"d{k - 1}"} for k in range(1, n))]),
    "unknown key": lambda n: spec([dense(k, unts=8) for k in range(n)]),
    "cycle": lambda n: spec([dense(0, inputs=f"d{n - 1}"), *(dense(k) for k in range(1, n))]),
    "dead ends": lambda n: spec([dense(k, inputs="x") for k in range(n)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_time_grows_with_the_layers(kind: str) -> None:
    assert_linear(lambda n: partial(gs.validate, KINDS[kind](n)), 40, 160)
