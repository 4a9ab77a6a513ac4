"""Chains of operations of an imported network as formulas: which are joined, and their brackets."""

from __future__ import annotations

from typing import Any

import pytest

from graphspec.foreign.importing.tidy import with_formulas


def joined(*layers: dict[str, Any], outputs: dict[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
    data = {"layers": [*layers], "outputs": {"y": {}} if outputs is None else outputs, **more}
    found: list[dict[str, Any]] = with_formulas(data)["layers"]
    return found


def op(name: str, kind: str, *inputs: Any, **options: Any) -> dict[str, Any]:
    given = {"inputs": inputs[0] if len(inputs) == 1 else [*inputs]} if inputs else {}
    return {"name": name, "type": kind if kind[0].isupper() else f"ops.{kind}", **options, **given}


SUM = "sum(`p/q` - z:1, axis=1, keepdims=true)"
EINSUM = "einsum(exp(`b-c`), x, subscripts='i,j->ij')"


@pytest.mark.parametrize(
    ("layers", "formula"),
    [
        ([op("a", "subtract", "x", "z"), op("y", "subtract", "w", "a")], "w - (x - z)"),
        ([op("a", "subtract", "x", "z"), op("y", "subtract", "a", "w")], "x - z - w"),
        ([op("a", "add", "x", 1), op("y", "multiply", "a", -0.5)], "(x + 1) * -0.5"),
        ([op("a", "multiply", "x", "z"), op("y", "negative")], "-(x * z)"),
        ([op("a", "negative", "x"), op("y", "power", "a", 2)], "(-x)**2"),
        ([op("a", "power", "x", 2), op("y", "power", "a", 2)], "(x**2)**2"),
        ([op("a", "power", "x", 2), op("y", "negative")], "-x**2"),
        ([op("a", "less", "x", 1), op("y", "equal", "a", "z")], "(x < 1) == z"),
        ([op("a", "Subtract", "p/q", "z:1"), op("y", "sum", axis=1, keepdims=True)], SUM),
        ([op("a", "exp", "b-c"), op("y", "einsum", "a", "x", subscripts="i,j->ij")], EINSUM),
        ([op("a", "exp", "x"), op("b", "log", "z"), op("y", "where", "c", "a", "b")], "where(c, exp(x), log(z))"),
        ([op("a", "maximum", "x", [1, 2]), op("y", "sqrt")], "sqrt(maximum(x, [1, 2]))"),
        ([op("a", "GetItem", "x", key="[:, 0]"), op("y", "exp")], "exp(x[:, 0])"),
        ([op("a", "add", "x", "z"), op("y", "GetItem", "a", key="[..., 1:]")], "(x + z)[..., 1:]"),
        ([op("a", "Rescaling", "x", scale=2.0), op("y", "exp", "a")], "exp(x * 2)"),
        ([op("a", "Rescaling", "x", scale=1.0, offset=-0.5), op("y", "exp", "a")], "exp(x - 0.5)"),
        ([op("a", "exp", "x"), op("y", "Rescaling", "a", scale=-1.0, offset=1.0)], "exp(x) * -1 + 1"),
        ([op("a", "add", "x", "z"), op("y", "Rescaling", "a", scale="${s}")], "(x + z) * ${s}"),
        ([op("a", "Rescaling", "x", scale=[1, 2], offset=[0, 1]), op("y", "exp")], "exp(x * [1, 2] + [0, 1])"),
        ([op("a", "exp", "x"), op("b", "log", "z"), op("y", "Multiply", "a", "b")], "exp(x) * log(z)"),
        ([op("a", "Add", "x", "z"), op("b", "Rescaling", "a", scale=2.0), op("y", "exp", "b")], "exp((x + z) * 2)"),
    ],
)  # fmt: skip
def test_operations_that_are_read_once_are_one_formula(layers: list[dict[str, Any]], formula: str) -> None:
    assert joined(*layers) == [{"name": "y", "type": "Formula", "value": formula}]


@pytest.mark.parametrize(
    "layers",
    [
        [op("a", "exp", "x"), op("y", "add", "a", "a")],  # read twice
        [op("a", "exp", "x"), op("y", "Add", "a", "z")],  # a layer passes its mask on
        [op("a", "Add", "x", "z"), op("y", "Rescaling", "a", scale=2.0)],
        [op("a", "exp", "x"), op("b", "exp", "z"), op("y", "Add", "a", "b", "a")],
        [op("a", "top_k", "x", k=2), op("y", "exp")],
        [op("a", "exp", "x"), op("y", "Attention", "a", "x")],
        [op("a", "exp", "x"), op("b", "log"), op("y", "Dense", units=2, score_mode="a")],
        [op("a", "exp", "x"), op("y", "clip", "a", None)],
        [op("a", "exp", "x"), op("y", "sum", "a:0")],
        [op("a", "exp", "x"), op("y", "multiply", "a", "z" * 100)],
    ],
)
def test_others_stay_nodes(layers: list[dict[str, Any]]) -> None:
    last = [e for e in joined(*layers) if e["name"] in ("a", "y")]
    assert last == [e for e in layers if e["name"] in ("a", "y")]


def test_the_first_node_reads_the_input() -> None:
    layers = [op("a", "Rescaling", scale=2.0), op("y", "exp")]
    assert joined(*layers, inputs={"x": {}}) == [{"name": "y", "type": "Formula", "value": "exp(x * 2)"}]


def test_heads_and_outputs_of_blocks_stay_nodes() -> None:
    layers = [op("a", "exp", "x"), op("y", "log", "a")]
    assert joined(*layers, outputs={"y": {}, "h": {"layer": "a"}}) == layers
    block = {"inputs": ["x"], "layers": layers, "outputs": ["a", "y"]}
    found = with_formulas({"layers": [], "outputs": {}, "blocks": {"b": block}})
    assert found["blocks"]["b"] == block
    found = with_formulas({"layers": [], "outputs": {}, "blocks": {"b": {**block, "outputs": ["y"]}}})
    assert found["blocks"]["b"]["layers"] == [{"name": "y", "type": "Formula", "value": "log(exp(x))"}]
