"""What differs between two networks: exactly what was changed, and what follows from it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT
from ruamel.yaml import YAML

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.differences import NetworkDifferences, Side, network_differences

SPECS = sorted((ROOT / "specs").glob("*.yaml"))
ARCHITECTURES = sorted((ROOT / "specs" / "architectures").glob("*.yaml"))


def network(source: Any, sets: tuple[str, ...] = ()) -> Side:
    return Side(*check(source, sets, allow_outside=True).require())


def between(old: Any, new: Any) -> NetworkDifferences:
    return network_differences(network(old), network(new))


def base() -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "t",
        "inputs": {"x": {"shape": [8]}},
        "layers": [
            {"name": "one", "type": "Dense", "units": 6, "activation": "relu"},
            {"name": "two", "type": "Dense", "units": 5},
            {"name": "sum", "type": "Concatenate", "inputs": ["one", "two"]},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mse"}},
    }


@pytest.mark.parametrize(
    "path", [*SPECS, *(pytest.param(p, marks=pytest.mark.slow) for p in ARCHITECTURES)], ids=lambda path: path.stem
)
def test_the_order_of_keys_makes_no_difference(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))

    def turned(value: Any, *, keep: bool = False) -> Any:
        if isinstance(value, dict):
            items = list(value.items())
            ordered = items if keep else items[::-1]
            return {k: turned(v, keep=k in ("inputs", "columns", "blocks", "outputs")) for k, v in ordered}
        return [turned(v) for v in value] if isinstance(value, list) else value

    assert not between(document, turned(document))


SETS = [
    ("penguins", "layers.hidden.units=7", {"hidden": ["units"]}, {"dropout"}),
    ("penguins", "layers.hidden.activation=gelu", {"hidden": ["activation"]}, set()),
    ("penguins", "layers.dropout.rate=0.35", {"dropout": ["rate"]}, set()),
    ("reviews_lstm", "layers.read.units=7", {"read": ["units"]}, {"dropout"}),
    ("reviews_lstm", "layers.read.recurrent_dropout=0.1", {"read": ["recurrent_dropout"]}, set()),
    ("reviews_lstm", "layers.embed.mask_zero=false", {"embed": ["mask_zero"]}, set()),
    ("reviews_lstm", "layers.words.max_tokens=50", {"words": ["max_tokens"]}, set()),
]


@pytest.mark.parametrize(("spec", "change", "nodes", "shapes"), SETS)
def test_exactly_what_is_set_is_found(spec: str, change: str, nodes: dict[str, list[str]], shapes: set[str]) -> None:
    path = str(ROOT / "specs" / f"{spec}.yaml")
    found = network_differences(network(path), network(path, (change,)))
    assert {d.name: [c.key.split(".")[0] for c in d.changes] for d in found.nodes} == nodes
    assert {d.change for d in found.nodes} == {"changed"}
    assert set(found.shapes) == shapes
    assert (found.inputs, found.heads) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("path", [*SPECS, *ARCHITECTURES], ids=lambda path: path.stem)
def test_every_node_that_may_be_frozen_is_found_alone(path: Path) -> None:
    """Property: one setting of one node at a time, in the middle of every shipped spec."""
    document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    named = [e["name"] for e in document["layers"] if "type" in e and "name" in e and "share" not in e]
    before = network(str(path))
    for name in named[:: max(1, len(named) // 2)]:
        found = network_differences(before, network(str(path), (f"layers.{name}.trainable=false",)))
        assert [(d.name, [c.key for c in d.changes]) for d in found.nodes] == [(name, ["trainable"])]
        assert (found.inputs, found.heads, found.shapes) == ([], [], {})


def test_defaults_short_forms_and_blocks_make_no_difference() -> None:
    told = base()
    told["layers"][0] |= {"use_bias": True, "kernel_initializer": {"type": "GlorotUniform"}, "inputs": "x"}
    told["layers"][1] |= {"inputs": ["one"], "activation": "linear"}
    told["outputs"]["y"] = {"loss": {"type": "MeanSquaredError"}, "weight": 1.0, "metrics": []}
    told["vars"] = {"width": 6}
    told["layers"][0]["units"] = "${width}"
    assert not between(base(), told)
    blocks = base()
    blocks["blocks"] = {
        "part": {
            "params": {"n": 6},
            "inputs": ["z"],
            "layers": [{"name": "in", "type": "Dense", "units": "${n}"}],
            "outputs": ["in"],
        }
    }
    blocks["layers"][0] = {"name": "b", "block": "part", "inputs": "x"}
    blocks["layers"][2]["inputs"] = ["b", "two"]
    flat = copy.deepcopy(blocks)
    del flat["blocks"]
    flat["layers"][0] = {"name": "b_in", "type": "Dense", "units": 6, "inputs": "x"}
    flat["layers"][2]["inputs"] = ["b_in", "two"]
    (renamed,) = between(blocks, flat).nodes
    assert (renamed.change, renamed.old_name, renamed.name, renamed.changes) == ("renamed", "b/in", "b_in", [])


def test_added_and_removed_nodes() -> None:
    more = base()
    more["layers"].insert(2, {"name": "drop", "type": "Dropout", "rate": 0.25})
    more["layers"][3]["inputs"] = ["one", "drop"]
    found = between(base(), more)
    added, changed = sorted(found.nodes, key=lambda d: d.change)
    assert (added.change, added.name, added.type, added.settings) == ("added", "drop", "Dropout", {"rate": 0.25})
    assert [(c.key, c.old, c.new) for c in changed.changes] == [("inputs", ["one", "two"], ["one", "drop"])]
    back = between(more, base())
    assert sorted(d.change for d in back.nodes) == ["changed", "removed"]


def test_a_renamed_node_is_renamed_with_all_that_read_it() -> None:
    other = base()
    other["layers"][0]["name"] = "first"
    other["layers"][1]["name"] = "second"
    other["layers"][2]["inputs"] = ["first", "second"]
    found = between(base(), other)
    assert [(d.change, d.old_name, d.name, d.changes) for d in found.nodes] == [
        ("renamed", "one", "first", []),
        ("renamed", "two", "second", []),
    ]
    assert (found.heads, found.shapes, found.costs) == ([], {}, [])
    other["layers"][1]["units"] = 4  # no longer the same node
    assert sorted(d.change for d in between(base(), other).nodes) == ["added", "changed", "removed", "renamed"]


def test_renamed_inputs_and_heads() -> None:
    other = base()
    other["inputs"] = {"features": {"shape": [8]}}
    other["layers"][-1]["name"] = "price"
    other["outputs"] = {"price": {"loss": "mae"}}
    found = between(base(), other)
    assert [(d.change, d.old_name, d.name) for d in found.inputs] == [("renamed", "x", "features")]
    assert [(d.change, d.old_name, d.name) for d in found.nodes] == [("renamed", "y", "price")]
    (head,) = found.heads
    assert (head.change, head.old_name, head.name) == ("changed", "y", "price")
    assert [(c.key, c.old["type"], c.new["type"]) for c in head.changes] == [
        ("loss", "mean_squared_error", "mean_absolute_error")
    ]


def test_another_type_is_one_change() -> None:
    other = base()
    other["layers"][1] = {"name": "two", "type": "Dropout", "rate": 0.5}
    found = between(base(), other)
    (node,) = [d for d in found.nodes if d.name == "two"]
    (change,) = node.changes
    assert (change.key, change.old, change.new) == (
        "type",
        {"type": "Dense", "units": 5},
        {"type": "Dropout", "rate": 0.5},
    )
    assert node.shape == ("(N, 5)", "(N, 6)")
    assert found.shapes == {"sum": ("(N, 11)", "(N, 12)")}


def test_costs() -> None:
    other = base()
    other["layers"][1]["units"] = 6
    costs = {c.key: (c.old, c.new) for c in between(base(), other).costs}
    assert costs["parameters"] == (8 * 6 + 6 + 6 * 5 + 5 + 11 + 1, 8 * 6 + 6 + 6 * 6 + 6 + 12 + 1)
    assert costs["multiply_adds"] == (8 * 6 + 6 * 5 + 11, 8 * 6 + 6 * 6 + 12)


def test_shares() -> None:
    twins = base()
    twins["layers"].insert(1, {"name": "again", "share": "one", "inputs": "x"})
    twins["layers"][3]["inputs"] = ["again", "two"]
    twins["layers"][2]["inputs"] = "one"
    other = copy.deepcopy(twins)
    other["layers"][0]["name"] = "first"
    other["layers"][1]["share"] = "first"
    other["layers"][2]["inputs"] = "first"
    assert [(d.change, d.name) for d in between(twins, other).nodes] == [("renamed", "first")]
    other["layers"][0]["units"] = 7
    found = {d.name: d.change for d in between(twins, other).nodes}
    assert found["one"] == "removed"
    assert found["first"] == "added"


def test_json() -> None:
    other = base()
    other["layers"][1]["units"] = 6
    record = between(base(), other).to_json()
    assert list(record) == ["inputs", "nodes", "heads", "shapes", "costs"]
    assert record["nodes"] == [
        {
            "change": "changed",
            "name": "two",
            "old_name": "two",
            "type": "Dense",
            "settings": {},
            "changes": [{"key": "units", "old": 5, "new": 6}],
            "shape": {"old": "(N, 5)", "new": "(N, 6)"},
        }
    ]
    assert record["shapes"] == [{"name": "sum", "old": "(N, 11)", "new": "(N, 12)"}]
