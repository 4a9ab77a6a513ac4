"""Formulas of nodes: what they become, where their mistakes are, and that they are edges like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.errors import Diagnostic
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import cost
from graphspec.show.drawing.outline import outline
from graphspec.show.drawing.svg import mermaid

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
HEAT = (X[:, :3] > 0).astype(np.float32)
OUTER = X[:, :, None] * HEAT[:, None]


def spec(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    inputs = {"x": {"shape": [4]}, "heat": {"shape": [3]}, "ids": {"shape": [3], "dtype": "int64"}}
    return {"graphspec": 1, "name": "s", "inputs": inputs, "layers": [*layers], "outputs": {"y": {}}, **more}


def value(formula: str, *before: dict[str, Any], **more: Any) -> Any:
    document = spec(*before, {"name": "y", "type": "Formula", "value": formula}, **more)
    inputs = {"x": X, "heat": HEAT, "ids": np.array([[0, 1, 5]] * 6)}
    return gs.compile(document).predict({name: inputs[name] for name in document["inputs"]})


def found(formula: str, *before: dict[str, Any], **more: Any) -> list[Diagnostic]:
    return list(check(spec(*before, {"name": "y", "type": "Formula", "value": formula}, **more)).diagnostics)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("x * 2 - 1", X * 2 - 1),
        ("-x**2 / (1 + abs(x))", -(X**2) / (1 + abs(X))),
        ("(heat == 1) * sum(x, axis=-1, keepdims=true)", (HEAT == 1) * X.sum(-1, keepdims=True)),
        ("where(x > 0, x, 0.5)", np.where(X > 0, X, 0.5)),
        ("(x > 0) + (x > 0.5)", (X > 0) * 1.0 + (X > 0.5)),
        ("-(x > 0)", -1.0 * (X > 0)),
        ("x > 0 and not x > 1 or x < -1", ((X > 0) & ~(X > 1)) | (X < -1)),
        ("ids // 2 + (ids > 0)", np.array([[0, 1, 3]] * 6)),
        ("ids / 2", np.array([[0, 0.5, 2.5]] * 6)),
        ("ids % 2 == 1", np.array([[False, True, True]] * 6)),
        ("x[:, 1:3] - x[:, 0:1]", X[:, 1:3] - X[:, :1]),
        ("x * [1, -2, 0.5, 0]", X * np.array([1, -2, 0.5, 0])),
        ("ops.maximum(x, -0.25)", np.maximum(X, -0.25)),
        ("concatenate(x, heat, axis=-1)", np.concatenate([X, HEAT], -1)),
        ("einsum(x, heat, subscripts='ni,nj->nij') @ expand_dims(heat, axis=-1)", OUTER @ HEAT[:, :, None]),
        ("clip(x, x_min=-1, x_max=0.5)", np.clip(X, -1, 0.5)),
        ("x * gamma + shift", X * 2 + np.array([1, 2, 3, 4])),
        ("x * (2 * 3 - 4) ** -1", X / 2),
        ("0.5 * log(2 * 3.141592653589793) + x", 0.5 * np.log(2 * np.pi) + X),
    ],
)  # fmt: skip
def test_a_formula_is_what_numpy_computes(formula: str, expected: Any) -> None:
    got = value(formula, vars={"gamma": 2, "shift": [1, 2, 3, 4]})
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6)
    assert (got.dtype.kind == "b") == (np.asarray(expected).dtype.kind == "b")
    assert (got.dtype.kind == "i") == (np.asarray(expected).dtype.kind == "i")


NODES: list[dict[str, Any]] = [
    {"name": "a", "type": "ops.log", "inputs": "p"},
    {"name": "b", "type": "ops.negative"},
    {"name": "c", "type": "ops.subtract", "inputs": [1, "p"]},
    {"name": "d", "type": "ops.power", "inputs": ["c", 2]},
    {"name": "e", "type": "ops.multiply", "inputs": ["b", "d"]},
    {"name": "f", "type": "ops.equal", "inputs": ["heat", 1]},
    {"name": "g", "type": "ops.cast", "dtype": "float32"},
    {"name": "h", "type": "ops.multiply", "inputs": ["e", "g"]},
    {"name": "i", "type": "ops.add", "inputs": ["h", "w"]},
    {"name": "focal", "type": "ops.sum", "axis": -1, "keepdims": True},
]
FOCAL = {
    "name": "focal",
    "type": "Formula",
    "value": "sum(-log(p) * (1 - p)**2 * (heat == 1) + w, axis=-1, keepdims=true)",
}


def test_training_and_file_are_those_of_a_node_for_each_operation(tmp_path: Path) -> None:
    before = [
        {"name": "w", "type": "Parameter", "shape": [3]},
        {"name": "p", "type": "Dense", "units": 3, "activation": "sigmoid", "inputs": "x"},
    ]
    outputs = {"loss": {"layer": "focal", "loss": "value"}, "focal_of": {"layer": "focal"}}
    weights, answers, files = [], [], []
    for layers in ([FOCAL], NODES):
        document = spec(*before, *layers, training={"optimizer": "Adam", "epochs": 3, "batch_size": 4})
        del document["inputs"]["ids"]
        model = gs.compile(document | {"outputs": outputs})
        model.fit({"x": X, "heat": HEAT}, verbose=0)
        model.export(tmp_path / "m.onnx")
        weights.append({name: array.copy() for name, array in model.weights.items()})
        answers.append(model.predict({"x": X, "heat": HEAT}))
        files.append(check(document | {"outputs": outputs}).require()[1].graph)
    assert weights[0].keys() == weights[1].keys()
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    np.testing.assert_array_equal(*answers)
    ops = [sorted(node.op for node in graph.needed(graph.roots())) for graph in files]
    assert ops[0] == ops[1]
    assert {node.owner for node in files[0].nodes} == {"p", "focal"}
    names = {node.name for node in files[0].nodes}
    assert {"focal/log/Log", "focal/multiply/Mul", "focal/multiply/Mul_2", "focal/sum/ReduceSum"} <= names


def test_a_formula_is_one_node() -> None:
    document = spec(
        {"name": "h", "type": "Dense", "units": 4, "inputs": "x"},
        {"name": "y", "type": "Formula", "value": "h * x + 1"},
    )
    declaration, lowered = check(document).require()
    assert [ref.name for ref in declaration.nodes[1].inputs if ref] == ["h", "x"]
    assert list(cost(declaration, lowered, 1).nodes) == ["h", "y"]
    assert "y<br/>Formula · h * x + 1<br/>" in mermaid(outline(declaration, lowered, cost(declaration, lowered, 1)))


@pytest.mark.parametrize(
    ("formula", "code", "text", "place"),
    [
        ("p * 2", "GS201", "unknown node 'p'", "p"),
        ("lgo(x)", "GS111", "unknown operation 'lgo'", "lgo"),
        ("x(2)", "GS111", "unknown operation 'x'", "x"),
        ("Dense(x)", "GS111", "unknown operation 'Dense'", "Dense"),
        ("svd(x)", "GS111", "has `svd`, which is refused", "svd"),
        ("x + heat", "GS302", "`x` is (N, 4), `heat` is (N, 3)", "+"),
        ("x * (1 - heat)", "GS302", "`x` is (N, 4), `(1 - heat)` is (N, 3)", "*"),
        ("maximum(x)", "GS203", "gives `maximum` 1 input, but it takes 2", "maximum"),
        ("sum(x, -1)", "GS203", "gives `sum` 2 inputs, but it takes 1", "sum"),
        ("sum(x, axes=1)", "GS102", "unknown key 'axes' of `sum` in Formula 'y'", "axes=1"),
        ("sum(x, axis=a)", "GS104", "`axis` of `sum` in Formula 'y' must be", "axis=a"),
        ("cast(x, dtype=int)", "GS105", "`dtype` of `cast` in Formula 'y'", "dtype=int"),
        ("clip(x, x_min=0)", "GS103", "`clip` in Formula 'y' needs `x_max`", "x_min=0"),
        ("sum(x, axis=5)", "GS301", "has axis 5", "sum"),
        ("x[0, 1, 2]", "GS301", "has 3 parts", "x[0, 1, 2]"),
        ("x[a]", "GS105", "has the part 'a'", "x[a]"),
        ("x and heat > 0", "GS306", "needs true or false beside `and`", "and"),
        ("top_k(x, k=2)", "GS105", "has `top_k` with 2 results", "top_k"),
        ("x ^ 2", "GS105", "has `^`, which is no operator here", "^"),
        ("2 * 3", "GS203", "Formula 'y' names no node", ""),
        ("2 * size", "GS203", "Formula 'y' names no node", ""),
        ("x * name", "GS104", "variable 'name' in Formula 'y' is no number", "name"),
    ],
)
def test_a_mistake_has_code_place_and_fix(formula: str, code: str, text: str, place: str) -> None:
    problems = [d for d in found(formula, vars={"name": "abc", "size": 3}) if d.is_error]
    assert [str(d.code) for d in problems] == [code], problems
    assert text in problems[0].message
    assert problems[0].hint
    if place:
        start = (problems[0].column or 0) - 1
        assert formula[start : start + problems[0].length] == place


WRONG = [
    '  - {name: y, type: Formula, value: "x + 2q"}',
    "  - {name: y, type: Formula, value: 'x + 2q'}",
    "  - {name: y, type: Formula, value: x + 2q}",
    "  - name: y\n    type: Formula\n    value: >-\n      x\n      + 2q\n",
    "  - name: y\n    type: Formula\n    value: |\n      x +\n\n        2q\n",
    "  - name: y\n    type: Formula\n    value: x\n      + 2q\n",
    '  - {name: y, type: Formula, value: "x +\n      2q"}',
]


@pytest.mark.parametrize("text", WRONG)
def test_the_caret_stands_in_the_formula_however_it_is_written(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "graphspec: 1\nname: s\ninputs:\n  x: {shape: [4]}\nlayers:\n" + text + "\noutputs: {y: {}}\n", "utf-8"
    )
    (problem,) = check(str(path)).errors
    line = path.read_text("utf-8").splitlines()[(problem.line or 0) - 1]
    assert line[(problem.column or 0) - 1 :].startswith("q")
    assert problem.length == 1


def test_mistakes_are_told_at_once() -> None:
    problems = found("lgo(p) + sum(x, axs=1) + q * maximum(x)")
    assert [str(d.code) for d in problems if d.is_error] == ["GS111", "GS201", "GS102", "GS201", "GS203"]


@pytest.mark.parametrize(
    ("formula", "hint"),
    [
        ("haet", "did you mean 'heat'?"),
        ("gama * x", "did you mean 'gamma'?"),
        ("x(2)", "write `*` between `x` and `(`"),
        ("Dense(x)", "Dense is a layer: make it a node, and write its name here"),
        ("sum(x, -1)", "write arguments with their names: `sum(…, axis=-1)`"),
        ("clip(x, 0, 1)", "write arguments with their names: `clip(…, x_min=0, x_max=1)`"),
        ("max(x, heat)", "write `maximum(a, b)`"),
        ("a-b * x", "this name stands in backticks: `` `a-b` ``"),
        ("x and x > 0", "compare it: `x > 0`"),
        ("top_k(x, k=2)", "make a node of type ops.top_k, and name `node:0` here"),
    ],
)
def test_a_hint_says_what_to_write(formula: str, hint: str) -> None:
    before = {"name": "a-b", "type": "Dense", "units": 4, "inputs": "x"}
    problems = found(formula, before, vars={"gamma": 2})
    assert any(hint in (d.hint or "") for d in problems), problems


def test_names_with_other_characters_stand_in_backticks() -> None:
    block = {"inputs": ["x"], "layers": [{"name": "a", "type": "Dense", "units": 4}], "outputs": ["a", "x"]}
    before = [{"name": "mix", "block": "b", "inputs": "x"}, {"name": "b-c", "type": "Identity", "inputs": "x"}]
    same = value("`mix/a` - mix + mix:1 - `mix:1` + `b-c`", *before, blocks={"b": block})
    np.testing.assert_allclose(same, X, rtol=1e-6)


def test_a_block_sees_its_own_names_and_params() -> None:
    block = {
        "params": {"rate": 1, "form": "a"},
        "inputs": ["a", "b"],
        "layers": [{"name": "f", "type": "Formula", "value": "${form} * rate + offset * b[:, 0:1] + hidden"},
                   {"name": "hidden", "type": "Formula", "value": "b[:, 0:1] * 0"}],
        "outputs": ["f"],
    }  # fmt: skip
    before = [
        {"name": "one", "block": "step", "inputs": ["x", "heat"]},
        {"name": "two", "block": "step", "inputs": ["one", "heat"], "params": {"rate": 3, "form": "2 * a"}},
    ]
    got = value("two", *before, blocks={"step": block}, vars={"offset": 10})
    expected = 2 * (X + 10 * HEAT[:, :1]) * 3 + 10 * HEAT[:, :1]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    outside = dict(block, layers=[{"name": "f", "type": "Formula", "value": "a + x"}])
    (problem,) = [d for d in found("two", *before, blocks={"step": outside}) if d.is_error]
    assert (str(problem.code), problem.column) == ("GS201", 5)


def test_repeat_share_and_later_nodes() -> None:
    step = {"name": "euler", "type": "Formula", "value": "z + 0.1 * (x - z)", "repeat": 3}
    start = {"name": "z", "type": "Formula", "value": "x * 0"}
    z = np.zeros_like(X)
    for _ in range(3):
        z = z + 0.1 * (X - z)
    np.testing.assert_allclose(
        value("later * 1", step, start, {"name": "later", "type": "Identity", "inputs": "euler"}), z, rtol=1e-5
    )
    shared = [{"name": "d", "type": "Formula", "value": "a - 2 * x"}, {"name": "a", "type": "Identity", "inputs": "x"},
              {"name": "e", "share": "d", "inputs": ["x", "a"]}]  # fmt: skip
    np.testing.assert_allclose(value("e + d", *shared), -2 * X, rtol=1e-6)
    (wrong,) = [d for d in found("e + d", *shared[:2], {"name": "e", "share": "d", "inputs": "x"}) if d.is_error]
    assert "takes 2 inputs, got 1" in wrong.message
    assert wrong.hint == "its inputs are a, x, in this order"


def test_cycles_and_nodes_that_reach_no_head_are_found() -> None:
    problems = found("a + x", {"name": "a", "type": "Formula", "value": "y * 2"})
    assert "GS202" in [str(d.code) for d in problems]
    problems = found("x + 1", {"name": "dead", "type": "Formula", "value": "x * 2"})
    assert "GS204" in [str(d.code) for d in problems]


def test_inputs_are_the_names_alone() -> None:
    document = spec({"name": "y", "type": "Formula", "value": "x * 2", "inputs": "heat"})
    (problem,) = check(document).errors
    assert problem.hint == "remove `inputs`"
    for wrong in ({}, {"value": 3}, {"value": "x", "factor": 2}, {"value": "${none} + x"}):
        assert len(check(spec({"name": "y", "type": "Formula", **wrong})).errors) == 1


def test_parameters_have_no_batch_axis() -> None:
    before = [{"name": "log_r", "type": "Parameter", "shape": [4], "initializer": "ones"},
              {"name": "r", "type": "Formula", "value": "exp(log_r)"}]  # fmt: skip
    np.testing.assert_allclose(value("x * r", *before), X * np.e, rtol=1e-6)
    assert check(spec(*before, {"name": "y", "type": "Formula", "value": "x * r"})).lowered.outputs["r"][0].shape == (
        4,
    )  # type: ignore[union-attr,index]


@pytest.mark.parametrize(
    "text", ["(" * 3000 + "x", "x" + "+x" * 4000, "-" * 2000 + "x", "x[" * 500, "`" * 999, "x @ \u202e ſ"]
)
def test_hostile_formulas_are_answered(text: str) -> None:
    assert any(d.is_error for d in found(text))


@pytest.mark.parametrize("value", ['""', "''", '"  "', '" x + "', '"x \\u002b 2q"', "'x + ''a'''"])
def test_a_place_that_is_unclear_is_the_value(value: str, tmp_path: Path) -> None:
    path, layer = tmp_path / "s.yaml", f"  - {{name: y, type: Formula, value: {value}}}"
    lines = ["graphspec: 1", "name: s", "inputs: {x: {shape: [4]}}", "layers:", layer, "outputs: {y: {}}"]
    path.write_text("\n".join(lines), "utf-8")
    (problem,) = check(str(path)).errors
    assert problem.line == 5
    assert layer.index(value) < (problem.column or 0) <= len(layer)


def test_a_wrong_formula_of_two_instances_is_told_once() -> None:
    layers = [{"name": "f", "type": "Formula", "value": "lgo(a) + ${k} + sum(a, axs=1)"}]
    block = {"params": {"k": 1}, "inputs": ["a"], "layers": layers, "outputs": ["f"]}
    before = [{"name": "one", "block": "b", "inputs": "x"}, {"name": "two", "block": "b", "params": {"k": 2}}]
    problems = [d for d in found("two + 0", *before, blocks={"b": block}) if d.is_error]
    assert [str(d.code) for d in problems] == ["GS111", "GS102"]
