"""Specs with very many mistakes, or a few that multiply: work in proportion to their size, answers that are short."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from counting import assert_linear, calls

import graphspec as gs
from graphspec.base.errors import bounded_search, did_you_mean
from specs import dense_spec

MOST = 4000
"""Nodes that a spec may have here."""
Make = Callable[[int], dict[str, Any]]


def layers(make: Callable[[int], dict[str, Any]], **more: Any) -> Make:
    """The usual spec with ``n`` more nodes in front."""
    return lambda n: dense_spec(layers=[*(make(k) for k in range(n)), *dense_spec()["layers"]], **more)


def circle_of(n: int) -> dict[str, Any]:
    return dense_spec(vars={f"v{k}": f"${{v{(k + 1) % n}}}" for k in range(n)})


MANY: dict[str, Make] = {
    "unknown keys": lambda n: dense_spec(**{f"key_{k}": k for k in range(n)}),
    "unknown arguments": lambda n: dense_spec(training={f"epoch_{k}": k for k in range(n)}),
    "unknown layers": layers(lambda k: {"name": f"n{k}", "type": f"Dens{k}"}),
    "unknown nodes": layers(lambda k: {"name": f"n{k}", "type": "ReLU", "inputs": f"m{k}"}),
    "unknown shares": layers(lambda k: {"name": f"n{k}", "share": f"m{k}"}),
    "unknown blocks": layers(lambda k: {"name": f"n{k}", "block": f"m{k}"}),
    "unknown variables": lambda n: dense_spec(vars={f"v{k}": f"${{w{k}}}" for k in range(n)}),
    "unknown labels": lambda n: dense_spec(
        outputs={
            "kind": {
                "loss": "mse",
                "labels": [f"l{k}" for k in range(n)],
                "class_weight": {f"m{k}": 1.0 for k in range(n)},
            }
        }
    ),
    "unknown arrays": lambda n: dense_spec(
        data={"train": {"file": "a.npz", "inputs": {f"y{k}": "a" for k in range(n)}}}
    ),
    "one name": layers(lambda k: {"name": "n", "type": "ReLU"}),
    "shares of shares": lambda n: dense_spec(
        layers=[
            *({"share": f"s{k + 1}"} for k in range(n)),
            *({"name": f"s{k}", "share": f"s{k + 1}"} for k in range(n)),
        ]
    ),
    "no type": layers(lambda k: {"name": f"n{k}"}),
    "cycles": layers(lambda k: {"name": f"n{k}", "type": "ReLU", "inputs": f"n{k}"}),
    "one circle of variables": circle_of,
    "circles of variables": lambda n: dense_spec(vars={f"v{k}": f"${{v{k}}}" for k in range(n)}),
    "a chain of variables": lambda n: dense_spec(vars={f"v{k}": f"${{v{k - 1}}}" for k in range(n)}),
    "labels": lambda n: dense_spec(outputs={"kind": {"loss": "mse", "labels": ["same"] * n}}),
    "metrics": lambda n: dense_spec(outputs={"kind": {"loss": "mse", "metrics": ["mae"] * n}}),
    "heads": lambda n: dense_spec(outputs={f"h{k}": {"loss": "mse"} for k in range(n)}),
    "inputs of a node": layers(lambda k: {"name": "c", "type": "Dense", "units": 1, "inputs": ["x"] * 3}),
    "wrong names": layers(lambda k: {"name": [k], "type": "ReLU"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY)
def test_many_mistakes_take_time_in_proportion(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.base.errors._SEARCH", 20_000)  # so that few mistakes reach the limit too
    assert gs.validate(MANY[name](50))
    assert_linear(lambda n: lambda: gs.validate(MANY[name](n)), 100, 500)


def test_searches_for_similar_names_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [f"name_{k}" for k in range(1000)]
    monkeypatch.setattr("graphspec.base.errors._SEARCH", 2_000_000)
    with bounded_search():
        found = [did_you_mean(f"nam_{k}", known) for k in range(100)]
    assert found[0] == "did you mean 'name_0'?"
    assert found[-1] is None
    assert did_you_mean("nam_7", known) == "did you mean 'name_7'?", "outside, each search is for itself"
    assert did_you_mean("x" * 10_000, known) is None
    assert did_you_mean("nam", ["n" * 10_000, "name"]) == "did you mean 'name'?"


# What multiplies


def nested(depth: int, width: int, **entry: Any) -> dict[str, Any]:
    """Blocks of blocks, ``width ** depth`` nodes."""
    block = {"inputs": ["x"], "outputs": ["n"]}
    blocks = {"b0": {**block, "layers": [{"name": "n", "type": "ReLU"}]}}
    for k in range(1, depth + 1):
        inner = [{"name": f"m{j}", "block": f"b{k - 1}", **entry} for j in range(width - 1)]
        blocks[f"b{k}"] = {**block, "layers": [*inner, {"name": "n", "block": f"b{k - 1}", **entry}]}
    entries = [{"name": "top", "block": f"b{depth}"}, *dense_spec()["layers"]]
    return dense_spec(blocks=blocks, layers=entries)


LARGE: dict[str, dict[str, Any]] = {
    "repeat": layers(lambda k: {"name": "n", "type": "ReLU", "repeat": 10**9})(1),
    "repeat beyond": layers(lambda k: {"name": "n", "type": "ReLU", "repeat": 10**500})(1),
    "repeats": layers(lambda k: {"name": f"n{k}", "type": "ReLU", "repeat": MOST - 9})(1000),
    "blocks": nested(30, 10),
    "repeated blocks": nested(10, 2, repeat=MOST - 9),
    "empty blocks": dense_spec(
        blocks={
            f"b{k}": {
                "inputs": ["x"],
                "layers": [{"name": "n", "block": f"b{k - 1}", "repeat": 9}] if k else [],
                "outputs": ["x"],
            }
            for k in range(30)
        },
        layers=[{"name": "top", "block": "b29"}, *dense_spec()["layers"]],
    ),
    "values": dense_spec(
        blocks={"b": {"inputs": ["x"], "layers": [{"name": "n", "type": "ReLU", "what": [1] * 200}], "outputs": ["n"]}},
        layers=[{"name": f"n{k}", "block": "b"} for k in range(1100)] + dense_spec()["layers"],
    ),
    "params": dense_spec(
        blocks={
            "b": {
                "params": {f"p{k}": k for k in range(20_000)},
                "inputs": ["x"],
                "layers": [{"name": "n", "type": "ReLU"}],
                "outputs": ["n"],
            }
        },
        layers=[{"name": "n", "block": "b", "repeat": 1000}, *dense_spec()["layers"]],
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_multiplies_is_refused_before_it_is_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.language.expand.MAX_NODES", MOST)
    monkeypatch.setattr("graphspec.language.expand.MAX_EXPANDED", 100_000)
    found = gs.validate(LARGE[name])
    assert [d.code for d in found if d.code == "GS110"] == ["GS110"], "it is said once"
    assert "expands to more than" in next(d.message for d in found if d.code == "GS110")
    if name in ("repeat", "repeat beyond", "repeats"):
        assert calls(lambda: gs.validate(LARGE[name])) < 200_000, "not one copy is made"


def test_variables_that_double_are_refused() -> None:
    for start, again in (("xx", "${{v{k}}}${{v{k}}}"), ([1, 1], ["${{v{k}}}", "${{v{k}}}"])):
        doubled = {"v0": start}
        for k in range(40):
            doubled[f"v{k + 1}"] = (
                [text.format(k=k) for text in again] if isinstance(again, list) else again.format(k=k)
            )
        found = gs.validate(dense_spec(vars=doubled))
        assert {d.code for d in found} == {"GS110"}


def test_texts_of_variables_are_limited_together() -> None:
    long = {"v": "x" * 60_000} | {f"w{k}": "${v}!" for k in range(1000)}
    found = gs.validate(dense_spec(vars=long))
    assert {d.code for d in found} == {"GS110"}


# Names


@pytest.mark.slow
def test_long_names_are_refused_and_not_copied() -> None:
    long = "n" * 60_000
    document = dense_spec(layers=[{"name": long, "type": "ReLU", "repeat": 2000}, *dense_spec()["layers"]])
    found = gs.validate(document)
    assert [d.code for d in found] == ["GS105"]
    tracemalloc.start()
    try:
        gs.validate(document)
        assert tracemalloc.get_traced_memory()[1] < 60 * 2**20, "a copy for each node would be 120 MB"
    finally:
        tracemalloc.stop()
    assert "60,000 characters, at most 255" in found[0].message
    block = {"inputs": ["x"], "outputs": ["n"]}
    blocks = {"b0": {**block, "layers": [{"name": "n", "type": "ReLU"}]}}
    for k in range(1, 9):
        blocks[f"b{k}"] = {
            **block,
            "layers": [{"name": "m" * 250, "block": f"b{k - 1}"}, {"name": "n", "type": "ReLU"}],
        }
    found = gs.validate(dense_spec(blocks=blocks, layers=[{"name": "t", "block": "b8"}, *dense_spec()["layers"]]))
    assert [d.code for d in found if d.is_error] == ["GS110"]


def test_a_path_below_long_keys_is_short() -> None:
    value: Any = {f"x{k}": k for k in range(50)}
    for k in range(20):
        value = {f"{k}" * 500: value}
    assert max(len(d.path) for d in gs.validate(dense_spec(training={"optimizer": value}))) < 2000


def test_circles_are_told_the_same_way_every_time() -> None:
    found = gs.validate(dense_spec(vars={"b": "${c}${a}", "a": "${b}", "c": "${b}"}))
    assert [d.message for d in found] == ["variables depend on each other in a cycle: b → c → b"]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("f1_score", "would log one result for each of 2,147,483,647 units"),
        ({"type": "R2Score", "class_aggregation": None}, "would log one result for each of 2,147,483,647 units"),
        ("confusion_matrix", "counters, at most 134,217,728"),
        ({"type": "AUC", "multi_label": True, "num_thresholds": 1000}, "counters, at most 134,217,728"),
        ({"type": "AUC", "num_thresholds": 2**31 - 1}, "must be <= 1e+06"),
    ],
)
def test_what_a_metric_counts_is_limited(metric: Any, said: str) -> None:
    head = {"name": "kind", "type": "Dense", "units": 2**31 - 1}
    found = gs.validate(dense_spec(layers=[head], outputs={"kind": {"loss": "mse", "metrics": [metric]}}))
    assert any(said in d.message for d in found), found
    small = dense_spec(outputs={"kind": {"loss": "mse", "metrics": [metric]}})
    assert metric == {"type": "AUC", "num_thresholds": 2**31 - 1} or not any(d.is_error for d in gs.validate(small))


def test_numbers_that_no_float_holds_are_refused() -> None:
    layers = [{"name": "n", "type": "Normalization", "mean": 10**599, "variance": 1.0}, *dense_spec()["layers"]]
    assert [d.code for d in gs.validate(dense_spec(layers=layers))] == ["GS104"]
