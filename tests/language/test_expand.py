"""Variables, blocks, repeat, share and default connections → flat nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from counting import assert_linear
from expanding import INPUT, TWO, args, fine, found, wires

from graphspec.language.expand import Expanded, expand
from graphspec.language.names import snake_case
from graphspec.language.read import read


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def expanded(text: str, **more: Any) -> Expanded:
        path = tmp_path / "spec.yaml"
        path.write_text(text)
        return expand(read(path, **more))

    return expanded


# Connections


def test_default_connections_and_forward_references(run: Any) -> None:
    text = INPUT + "layers:\n- {type: Dense}\n- {name: b, type: Dense, inputs: c}\n- {type: Dense}\n"
    text += (
        "- {name: c, type: Add, inputs: [dense_1, 'x:0']}\n- {type: LSTM, inputs: 'dense_2:1'}\noutputs: {lstm_1: {}}\n"
    )
    expanded = fine(run(text))
    assert wires(expanded) == {
        "dense_1": ["x"],
        "b": ["c"],
        "dense_2": ["b"],
        "c": ["dense_1", "x"],
        "lstm_1": ["dense_2:1"],
    }
    assert expanded.heads["lstm_1"] is not None


def test_default_names_skip_what_is_taken(run: Any) -> None:
    text = (
        INPUT.replace("x:", "dense_1:") + "layers:\n- {name: dense_3, type: Dense}\n- {type: Dense}\n- {type: Dense}\n"
    )
    text += "- {type: MaxPooling2D}\n- {type: BatchNormalization}\noutputs: {dense_5: {layer: dense_3}}\n"
    names = list(wires(fine(run(text))))
    assert names == ["dense_3", "dense_2", "dense_4", "max_pooling2d_1", "batch_normalization_1"]


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Conv2D", "conv2d"),
        ("LSTM", "lstm"),
        ("MaxPooling2D", "max_pooling2d"),
        ("ReLU", "re_lu"),
        ("PReLU", "p_re_lu"),
    ],
)
def test_snake_case_is_that_of_keras(name: str, snake: str) -> None:
    assert snake_case(name) == snake


def test_first_node_with_several_inputs(run: Any) -> None:
    expanded = run(TWO + "layers:\n- {name: a, type: Dense}\n- {name: b, type: Dense}\n")
    assert found(expanded) == [("GS203", 3, 4)]
    assert "x, y" in expanded.diagnostics[0].message
    assert wires(expanded) == {"a": [None], "b": ["a"]}


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ("[]", "GS203", "empty"),
        ("3", "GS104", "names"),
        ("[[x]]", "GS104", "names"),
        ("hiden", "GS201", "did you mean 'hidden'?"),
        ("'hidden:'", "GS201", "output"),
        ("'x:1'", "GS201", "1 output"),
        ("hidden/one", "GS201", "unknown node"),
    ],
)
def test_bad_inputs(inputs: str, code: str, words: str, run: Any) -> None:
    text = INPUT + f"layers:\n- {{name: hidden, type: Dense}}\n- {{name: b, type: Dense, inputs: {inputs}}}\n"
    (problem,) = run(text).diagnostics
    assert problem.code == code
    assert problem.line == 4
    assert words in str(problem)
    assert problem.path.startswith("layers.b.inputs")


# Variables


def test_variables_keep_their_type(run: Any) -> None:
    text = "vars: {n: 64, m: '${n}', f: 0.001, t: true, l: [1, '${n}'], z: null, s: a}\n" + INPUT
    text += "layers:\n- {type: D, a: '${m}', b: 'u${n}_${f}_${t}_${z}_${s}', "
    text += "c: '$${n}', d: '${l}', e: '${ n }', f: ['${z}']}\n"
    assert args(fine(run(text)), "d_1") == {
        "a": 64,
        "b": "u64_0.001_true_null_a",
        "c": "${n}",
        "d": [1, 64],
        "e": 64,
        "f": [None],
    }


def test_keys_are_never_substituted(run: Any) -> None:
    assert args(fine(run("vars: {k: units}\n" + INPUT + "layers:\n- {type: D, '${k}': 3}\n")), "d_1") == {"${k}": 3}


def test_variables_reach_every_section_and_names(run: Any) -> None:
    text = "vars: {n: deep, e: 3}\n" + INPUT + "layers:\n- {name: '${n}_1', type: D}\n"
    text += "outputs: {h: {layer: '${n}_1'}}\ntraining: {epochs: '${e}'}\n"
    expanded = fine(run(text))
    assert list(wires(expanded)) == ["deep_1"]
    assert expanded.sections["training"].plain() == {"epochs": 3}
    assert expanded.heads["h"] is not None


def test_overrides_come_before_substitution(run: Any) -> None:
    text = "vars: {n: 1}\n" + INPUT + "layers:\n- {name: d, type: D, units: '${n}'}\n"
    assert args(fine(run(text, sets=["vars.n=7"])), "d") == {"units": 7}


def test_a_value_keeps_the_place_where_it_is_used(run: Any) -> None:
    expanded = fine(run("vars:\n  n: 64\n" + INPUT + "layers:\n- {type: D, units: '${n}'}\n"))
    units = expanded.nodes[0].tree.value["units"]
    assert (units.value, units.mark.line, units.mark.column, units.path) == (64, 5, 20, "layers.0.units")


@pytest.mark.parametrize(
    ("variables", "value", "code", "words"),
    [
        ("{units: 1}", "${unit}", "GS108", "did you mean 'units'?"),
        ("{}", "a ${b} c", "GS108", "unknown variable 'b'"),
        ("{l: [1]}", "a ${l}", "GS104", "part of a text"),
        ("{}", "${open", "GS105", "close"),
    ],
)
def test_bad_variables(variables: str, value: str, code: str, words: str, run: Any) -> None:
    expanded = run(f"vars: {variables}\n{INPUT}layers:\n- {{type: D, units: '{value}'}}\n- {{type: D}}\n")
    assert found(expanded) == [(code, 4, 20)]
    assert words in str(expanded.diagnostics[0])
    assert expanded.nodes[0].tree.value["units"].unknown


def test_variables_in_a_circle(run: Any) -> None:
    expanded = run(
        "vars:\n  a: ${b}\n  b: x${a}\n  c: ${a}\n  d: 1\n" + INPUT + "layers:\n- {type: D, a: '${c}', d: '${d}'}\n"
    )
    (problem,) = expanded.diagnostics
    assert problem.code == "GS105"
    assert "→" in problem.message
    assert args(expanded, "d_1")["d"] == 1


def test_an_unknown_variable_in_inputs_says_nothing_more(run: Any) -> None:
    expanded = run(INPUT + "layers:\n- {type: D, inputs: '${who}'}\n- {type: D, inputs: [x, '${who}']}\n")
    assert found(expanded) == [("GS108", 3, 21), ("GS108", 4, 25)]
    assert wires(expanded) == {"d_1": [None], "d_2": ["x", None]}


# Names


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (INPUT + "layers:\n- {name: a, type: D}\n- {name: a, type: D}\n", (4, 10)),
        (INPUT + "layers:\n- {name: x, type: D}\n", (3, 10)),
        ("layers:\n- {name: x, type: D}\n" + INPUT, (3, 10)),
        (INPUT + "layers:\n- {name: a, type: D, repeat: 2}\n- {name: a_1, type: D}\n", (4, 10)),
        (INPUT + "layers:\n- {name: a, type: D}\noutputs: {x: {layer: a}}\n", (4, 11)),
        (INPUT + "layers:\n- {name: a, type: D}\noutputs: {x: {}}\n", (4, 11)),
        (INPUT + "layers:\n- {name: a, type: D}\n- {name: b, type: D}\noutputs: {a: {layer: b}}\n", (5, 11)),
        (INPUT + "layers:\n- {name: a, type: D}\n- {name: a_label, type: D}\noutputs: {a: {labels: [p, q]}}\n", (5, 11)),
        ("outputs: {a: {loss: mse}}\nlayers:\n- {name: a, type: D}\n- {name: a_sample_weight, type: D}\n" + INPUT, (4, 10)),
        (INPUT + "layers:\n- {name: a, type: D}\noutputs: {a: {loss: ctc}, a_length: {layer: a}}\n", (4, 27)),
        (INPUT + "layers:\n- {name: a, type: D}\n- {name: a_input_length, type: D}\noutputs: {a: {loss: CTC}}\n", (5, 11)),
    ],
)  # fmt: skip
def test_clashes_are_reported_at_the_later_place(text: str, place: tuple[int, int], run: Any) -> None:
    assert found(run(text)) == [("GS107", *place)]


def test_a_head_may_have_the_name_of_its_layer(run: Any) -> None:
    text = INPUT + "layers:\n- {name: a, type: D, repeat: 2}\noutputs: {a: {layer: 'a:1'}, a_2: {}, b: {layer: a_1}}\n"
    expanded = fine(run(text))
    assert {name: ref and (ref.name, ref.output) for name, found in expanded.heads.items() for ref in found.layers} == {
        "a": ("a_2", 1),
        "a_2": ("a_2", 0),
        "b": ("a_1", 0),
    }


@pytest.mark.parametrize("name", ["a b", "a/b", "a:b", "''", "..", "a#1"])
def test_bad_names(name: str, run: Any) -> None:
    expanded = run(INPUT + f'layers:\n- {{name: "{name.strip(chr(39))}", type: D}}\n')
    assert found(expanded) == [("GS105", 3, 10)]


@pytest.mark.parametrize("name", ["a-b", "A.b_1", "größe", "9", "-x"])
def test_good_names(name: str, run: Any) -> None:
    assert list(wires(fine(run(INPUT + f'layers:\n- {{name: "{name}", type: D}}\n')))) == [name]


def test_bad_entries(run: Any) -> None:
    text = (
        INPUT
        + "layers:\n- 3\n- {name: a}\n- {nam: b, typ: Dense}\n- {type: 3}\n"
        + "- {name: 4, type: D}\n- {type: D, params: {}}\n"
    )
    assert found(run(text)) == [
        ("GS104", 3, 3),
        ("GS103", 4, 4),
        ("GS102", 5, 12),
        ("GS104", 6, 10),
        ("GS104", 7, 10),
        ("GS102", 8, 13),
    ]


def test_bad_heads(run: Any) -> None:
    text = (
        INPUT
        + "layers: [{name: topic, type: D}]\noutputs:\n  topik: {}\n  a: {layer: x}\n"
        + "  b: {layer: topi}\n  c: {layer: 3}\n  'd e': {layer: topic}\n"
    )
    assert found(run(text)) == [("GS201", 4, 3), ("GS201", 5, 14), ("GS201", 6, 14), ("GS104", 7, 14), ("GS105", 8, 3)]


def test_blocks_that_only_pass_on_in_a_circle(run: Any) -> None:
    text = INPUT + "blocks: {i: {inputs: [a], outputs: [a], layers: []}}\n"
    expanded = run(text + "layers: [{name: p, block: i, inputs: q}, {name: q, block: i, inputs: p}, {type: D}]\n")
    assert [d.code for d in expanded.diagnostics] == ["GS202"]
    assert wires(expanded) == {"d_1": [None]}


# Limits

BLOCKS = "".join(
    f"  b{i}: {{inputs: [x], outputs: [j0], layers: ["
    + ", ".join(f"{{name: j{j}, block: b{i + 1}}}" for j in range(10))
    + "]}\n"
    for i in range(12)
)
HUGE = {
    "repeat": INPUT + "layers: [{name: r, type: D, repeat: 1000000000}]\n",
    "repeats": INPUT + "layers: [" + ", ".join(["{type: D, repeat: 30000}"] * 50) + "]\n",
    "blocks": f"{INPUT}blocks:\n{BLOCKS}  b12: {{inputs: [x], outputs: [a], layers: [{{name: a, type: D}}]}}\n"
    "layers: [{block: b0}]\n",
    "text": "vars:\n  v0: abcdefgh\n"
    + "".join(f"  v{i + 1}: ${{v{i}}}${{v{i}}}\n" for i in range(60))
    + INPUT
    + "layers: [{type: D}]\n",
    "lists": "vars:\n  v0: [1, 2]\n"
    + "".join(f"  v{i + 1}: ['${{v{i}}}', '${{v{i}}}']\n" for i in range(60))
    + INPUT
    + "layers: [{type: D}]\n",
    "depth": "vars:\n  v0: [1]\n"
    + "".join(f"  v{i + 1}: ['${{v{i}}}']\n" for i in range(3000))
    + INPUT
    + "layers: [{type: D}]\n",
    "nesting": INPUT
    + "blocks:\n"
    + "".join(f"  b{i}: {{inputs: [x], outputs: [j], layers: [{{name: j, block: b{i + 1}}}]}}\n" for i in range(1500))
    + "layers: [{block: b0}]\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_what_grows_without_end_is_refused(name: str, run: Any) -> None:
    expanded = run(HUGE[name])
    assert expanded.diagnostics[0].code in ("GS110", "GS111")
    assert "GS110" in {d.code for d in expanded.diagnostics}


@pytest.mark.slow
def test_long_chains_need_no_recursion(run: Any) -> None:
    rows = "".join(f"- {{name: s{i}, share: s{i + 1}, inputs: p}}\n" for i in range(2000))
    text = INPUT + "blocks: {i: {inputs: [a], outputs: [a], layers: []}}\n"
    text += (
        f"layers:\n- {{name: d, type: D}}\n- {{name: p, block: i, repeat: 2000}}\n{rows}- {{name: s2000, type: D}}\n"
    )
    expanded = fine(run(text))
    assert wires(expanded)["s0"] == ["d"]
    assert {node.owner.full for node in expanded.nodes if node.owner} == {"s2000"}


def test_expanding_is_linear() -> None:
    def make(count: int) -> Any:
        doc = {
            "inputs": {"x": {"shape": [4]}},
            "vars": {"n": 4},
            "layers": [{"name": f"l{i}", "type": "D", "units": "${n}"} for i in range(count)],
        }
        tree = read(doc)
        return lambda: expand(tree)

    assert_linear(make, 200, 1600)
