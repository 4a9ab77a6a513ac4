"""Formulas in `${…}`, and copies with values of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.errors import Diagnostic
from graphspec.engine.compiler.check import check


def spec(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    inputs = {"x": {"shape": [4]}}
    last = {"name": "y", "type": "Dense", "units": 1}
    return {"graphspec": 1, "name": "s", "inputs": inputs, "layers": [*layers, last], "outputs": {"y": {}}, **more}


def shapes(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    lowered = check(spec(*layers, **more)).require()[1]
    return {name: values[0].shape[-1] for name, values in lowered.outputs.items() if values and name not in ("x", "y")}


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("${width * 2}", 32),
        ("${ (a + b) // 2 }", 4),
        ("${min(width, 10)}", 10),
        ("${max(a, b, 9)}", 9),
        ("${width / 4}", 4),
        ("${2**a}", 8),
        ("${round(width * 0.4)}", 6),
        ("${where(deep, 3, 1)}", 3),
        ("${where(a > b, 3, 1)}", 1),
        ("${twice}", 32),
        ("${ceil(sqrt(width * a))}", 7),
        ("${-a + 5}", 2),
        ("${hy-phen}", 11),
        ("${a-1}", 2),
    ],
)
def test_a_formula_of_variables_is_a_number(text: str, units: int) -> None:
    variables = {
        "width": 16,
        "a": 3,
        "b": 6,
        "deep": True,
        "twice": "${half * 4}",
        "half": "${width // 2}",
        "hy-phen": 11,
    }
    assert shapes({"name": "d", "type": "Dense", "units": text}, vars=variables) == {"d": units}


def test_a_number_in_a_text_is_written_out() -> None:
    found = shapes({"name": "d${width + 1}", "type": "Dense", "units": 2}, vars={"width": 3})
    assert found == {"d4": 2}


@pytest.mark.parametrize(
    ("text", "code", "message", "place"),
    [
        ("${width / 3}", "GS105", "divides 16 by 3, which leaves a rest: `//` rounds down", "/"),
        ("${widht * 2}", "GS108", "has an unknown variable 'widht'", "widht"),
        ("${width +}", "GS105", "ends where a value is expected", "+"),
        ("${width ^ 2}", "GS105", "has `^`, which is no operator here", "^"),
        ("${2 width}", "GS105", "has no operator between `2` and `width`", "width"),
        ("${name * 2}", "GS105", "needs numbers, and `name` is none", "name"),
        ("${log(width)}", "GS105", "has `log`, which no numbers have", "log"),
        ("${min(width, key=1)}", "GS105", "has `min` of numbers that it does not take", "min"),
        ("${width // 0}", "GS105", "divides by 0", "//"),
        ("${width ** 999}", "GS105", "has a number that is too large, or is none", "**"),
        ("${[1, 2]}", "GS105", "needs numbers, and `[1, 2]` is none", "[1, 2]"),
        ("${width[0]}", "GS105", "needs numbers, and `width[0]` is none", "width[0]"),
    ],
)
def test_a_wrong_formula_has_its_place(text: str, code: str, message: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    lines = ["graphspec: 1", "name: s", "vars: {width: 16, name: abc}", "inputs: {x: {shape: [4]}}", "layers:"]
    lines += [f'  - {{name: y, type: Dense, units: "{text}"}}', "outputs: {y: {}}"]
    path.write_text("\n".join(lines), "utf-8")
    (found,) = check(str(path)).errors
    assert (str(found.code), found.message) == (code, f"`{text}` {message}")
    assert found.hint
    start = (found.column or 0) - 1
    assert lines[5][start : start + found.length] == place


def test_cycles_through_formulas_are_found() -> None:
    variables = {"a": "${b + 1}", "b": "${a * 2}"}
    (found,) = check(spec({"name": "d", "type": "Dense", "units": "${a}"}, vars=variables)).errors
    assert "cycle: a → b → a" in found.message


def test_lists_in_repeat_are_values_of_the_copies() -> None:
    dense = {"name": "d", "type": "Dense", "units": "${n}", "repeat": {"n": [8, 6, 2]}}
    assert shapes(dense) == {"d_1": 8, "d_2": 6, "d_3": 2}
    many = {
        "name": "d",
        "type": "Dense",
        "units": "${n}",
        "activation": "${how}",
        "repeat": {"n": [8, 6], "how": ["relu", None]},
    }
    nodes = check(spec(many)).require()[0].nodes
    assert [getattr(node.layer, "units", 0) for node in nodes] == [8, 6, 1]
    assert [getattr(node.layer, "activation", None) is None for node in nodes] == [False, True, True]


def test_the_index_counts_copies_from_0() -> None:
    assert shapes({"name": "d", "type": "Dense", "units": "${2**index + 1}", "repeat": 3}) == {
        "d_1": 2,
        "d_2": 3,
        "d_3": 5,
    }
    named = [{"name": f"skip_{k}", "type": "Dense", "units": 4, "inputs": "x"} for k in range(2)]
    added = {"name": "a", "type": "Add", "inputs": ["x", "skip_${index}"], "repeat": 2}
    assert [
        [r.name for r in n.inputs if r] for n in check(spec(*named, added)).require()[0].nodes if n.name[:2] == "a_"
    ] == [
        ["x", "skip_0"],
        ["a_1", "skip_1"],
    ]
    steps = {"name": "f", "type": "Formula", "value": "x + ${index} * 0.5", "repeat": "${n}"}
    assert shapes(steps, vars={"n": 3}) == {"f_1": 4, "f_2": 4, "f_3": 4}


def test_blocks_take_values_of_copies() -> None:
    block = {
        "params": {"width": 1},
        "inputs": ["i"],
        "layers": [{"name": "d", "type": "Dense", "units": "${width}"}],
        "outputs": ["d"],
    }
    one = {"name": "s", "block": "b", "params": {"width": "${w + index}"}, "repeat": {"w": [4, 8]}}
    assert shapes(one, blocks={"b": block}) == {"s_1/d": 4, "s_2/d": 9}
    inner = dict(block, layers=[{"name": "d", "type": "Dense", "units": "${width * n}", "repeat": {"n": [1, 2]}}])
    assert shapes(one, blocks={"b": inner}) == {"s_1/d_1": 4, "s_1/d_2": 8, "s_2/d_1": 9, "s_2/d_2": 18}


def errors(*layers: dict[str, Any], **more: Any) -> list[Diagnostic]:
    return list(check(spec(*layers, **more)).errors)


def test_wrong_copies_are_refused() -> None:
    dense = {"name": "d", "type": "Dense", "units": "${n}"}
    (found,) = errors({**dense, "repeat": {"n": [8, 6], "k": [1]}})
    assert "`k` of `repeat` must be a list of a value for each copy" in found.message
    assert [str(d.code) for d in errors({**dense, "repeat": {"n": 3}})] == ["GS104"]
    assert [str(d.code) for d in errors({**dense, "repeat": {}})] == ["GS103"]
    assert [str(d.code) for d in errors({**dense, "units": "${index}", "repeat": 0})] == ["GS105", "GS108"]
    assert [str(d.code) for d in errors({**dense, "units": "${index}"})] == ["GS108"]
    assert "GS110" in [str(d.code) for d in errors({**dense, "units": "${index + 1}", "repeat": 10**7})]
    (found,) = errors({**dense, "repeat": {"n": [8, "6"]}})
    assert "`units` of Dense 'd' must be" in found.message


STEP = {
    "params": {"t": 0},
    "inputs": ["h", "c", "series"],
    "layers": [
        {"name": "both", "type": "Formula", "value": "concatenate(h, series[:, ${t}], axis=-1)"},
        {"name": "gate", "type": "Dense", "units": 2, "activation": "sigmoid", "inputs": "both"},
        {"name": "new", "type": "Dense", "units": 2, "activation": "tanh", "inputs": "both"},
        {"name": "state", "type": "Formula", "value": "gate * c + (1 - gate) * new"},
        {"name": "out", "type": "Formula", "value": "tanh(state)"},
    ],
    "outputs": ["out", "state"],
}


def loop(repeat: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "s",
        "inputs": {"x": {"shape": [3, 4]}},
        "blocks": {"step": STEP},
        "layers": [
            {"name": "z", "type": "Formula", "value": "x[:, 0, 0:2] * 0"},
            {"name": "steps", "block": "step", "params": {"t": "${index}"}, "inputs": [*"zzx"], "repeat": repeat},
            {"name": "all", "type": "ops.stack", "axis": 1, "inputs": ["steps_*"]},
            {"name": "sums", "type": "Add", "inputs": ["steps_*:1"]},
            {"name": "y", "type": "Concatenate", "inputs": ["sums", "steps", "steps:1"]},
        ],
        "outputs": {"y": {}, "all": {}},
        **more,
    }


@pytest.mark.parametrize("shared", [True, False])
def test_a_loop_carries_values_and_collects_them(shared: bool, tmp_path: Path) -> None:
    repeat = {"times": 3, "carry": 2, **({"shared": True} if shared else {})}
    model = gs.compile(loop(repeat))
    weights = model.weights
    assert len(weights) == (4 if shared else 12)
    x = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    h = c = np.zeros((5, 2))
    outs, states = [], []
    for t in range(3):
        step = f"steps_{1 if shared else t + 1}/"
        own = {key.removeprefix(step): weight for key, weight in weights.items() if key.startswith(step)}
        both = np.concatenate([h, x[:, t]], -1)
        gate = 1 / (1 + np.exp(-(both @ own["gate/kernel"] + own["gate/bias"])))
        c = gate * c + (1 - gate) * np.tanh(both @ own["new/kernel"] + own["new/bias"])
        h = np.tanh(c)
        outs.append(h)
        states.append(c)
    found = model.predict({"x": x})
    np.testing.assert_allclose(found["all"], np.stack(outs, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["y"], np.concatenate([sum(states), h, c], -1), rtol=1e-5, atol=1e-6)
    assert "equal to the runtime" in str(model.export(tmp_path / "m.onnx"))


def test_a_node_repeated_with_one_weight() -> None:
    dense = {"name": "d", "type": "Dense", "units": 4, "repeat": {"times": 3, "shared": True}}
    nodes = check(spec(dense)).require()[0].nodes
    assert [node.share for node in nodes] == [None, "d_1", "d_1", None]


@pytest.mark.parametrize(
    ("repeat", "code", "text"),
    [
        ({"times": 3, "carry": 3}, "GS203", "`carry` of 'steps_1' names output 2, but it has 2 outputs"),
        ({"times": 0}, "GS105", "`times` of `repeat` must be >= 1, not 0"),
        ({"times": 2, "carry": "a"}, "GS104", "`carry` of `repeat` must be an integer, not 'a'"),
        ({"carry": 2}, "GS103", "`repeat` needs `times`"),
        ({"times": 2, "shared": 1}, "GS104", "`shared` of `repeat` must be true or false"),
        ({"times": 2, "k": [1, 2, 3]}, "GS104", "`k` of `repeat` must be a list of a value for each copy"),
    ],
)
def test_a_wrong_loop_is_refused(repeat: dict[str, Any], code: str, text: str) -> None:
    (found,) = check(loop(repeat)).errors
    assert str(found.code) == code
    assert text in found.message
    assert found.hint


def test_all_copies_of_an_unknown_name_are_refused() -> None:
    (found,) = errors({"name": "d", "type": "Dense", "units": 1}, {"name": "a", "type": "Add", "inputs": ["d_*", "x"]})
    assert (str(found.code), found.message) == ("GS201", "unknown node 'd_*'")
