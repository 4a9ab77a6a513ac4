"""Blocks, repeat and share → flat nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from expanding import INPUT, TWO, args, fine, found, wires

from graphspec.base.errors import Diagnostic
from graphspec.language.expand import Expanded, expand
from graphspec.language.read import read


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def expanded(text: str, **more: Any) -> Expanded:
        path = tmp_path / "spec.yaml"
        path.write_text(text)
        return expand(read(path, **more))

    return expanded


# Blocks

INCEPTION = """
blocks:
  inception:
    params: {narrow: 32, wide: "${narrow}", k: "${k}"}
    inputs: [x]
    layers:
      - {name: one, type: Conv2D, filters: "${narrow}", inputs: x}
      - {name: three, type: Conv2D, filters: "${wide}", kernel_size: "${k}", inputs: x}
      - {type: Concatenate, inputs: [one, three]}
    outputs: [concatenate_1, one]
vars: {k: 3}
inputs: {x: {shape: [4]}}
"""


def test_block_instance(run: Any) -> None:
    text = INCEPTION + "layers:\n- {type: Dense}\n- {name: mix, block: inception, params: {wide: 96}}\n"
    text += "- {type: Dense}\n- {type: Add, inputs: ['mix:1', mix/three, 'mix:0']}\n- {block: inception}\n"
    expanded = fine(run(text))
    assert wires(expanded) == {
        "dense_1": ["x"],
        "mix/one": ["dense_1"],
        "mix/three": ["dense_1"],
        "mix/concatenate_1": ["mix/one", "mix/three"],
        "dense_2": ["mix/concatenate_1"],
        "add_1": ["mix/one", "mix/three", "mix/concatenate_1"],
        "inception_1/one": ["add_1"],
        "inception_1/three": ["add_1"],
        "inception_1/concatenate_1": ["inception_1/one", "inception_1/three"],
    }
    assert args(expanded, "mix/three") == {"filters": 96, "kernel_size": 3}
    assert args(expanded, "inception_1/three") == {"filters": 32, "kernel_size": 3}


def test_nested_blocks_see_only_their_own_names(run: Any) -> None:
    text = "vars: {n: 1}\n" + INPUT + "blocks:\n"
    text += "  inner: {params: {m: '${n}'}, inputs: [a], outputs: [d], "
    text += "layers: [{name: d, type: D, m: '${m}', n: '${n}'}]}\n"
    text += "  outer: {params: {n: 2, m: 7}, inputs: [b], outputs: [e/d], "
    text += "layers: [{name: e, block: inner}, {type: D, v: '${n}'}]}\n"
    text += "layers:\n- {name: o, block: outer, params: {n: 5}}\n"
    expanded = fine(run(text))
    assert wires(expanded) == {"o/e/d": ["x"], "o/d_1": ["o/e/d"]}
    assert args(expanded, "o/e/d") == {"m": 1, "n": 1}, (
        "the inner block sees the document's vars, not the outer's params"
    )
    assert args(expanded, "o/d_1") == {"v": 5}


def test_params_are_substituted_where_the_block_is_used(run: Any) -> None:
    text = "vars: {n: 1}\n" + INPUT + "blocks:\n"
    text += "  inner: {params: {m: 0}, inputs: [a], outputs: [d], layers: [{name: d, type: D, m: '${m}'}]}\n"
    text += (
        "  outer: {params: {n: 2}, inputs: [b], outputs: [e], layers: [{name: e, block: inner, params: {m: '${n}'}}]}\n"
    )
    text += "layers: [{name: o, block: outer, params: {n: '${n}'}}, {name: p, block: outer}]\n"
    expanded = fine(run(text))
    assert args(expanded, "o/e/d") == {"m": 1}
    assert args(expanded, "p/e/d") == {"m": 2}


def test_two_inputs_and_pass_through(run: Any) -> None:
    text = TWO + "blocks:\n  swap: {inputs: [a, b], outputs: [b, a], layers: []}\n"
    text += "layers:\n- {name: s, block: swap, inputs: [x, y]}\n- {name: t, block: swap, inputs: [s, 's:1']}\n"
    text += "- {name: d, type: Add, inputs: ['t:0', 't:1', s]}\noutputs: {d: {}, s: {}}\n"
    expanded = run(text)
    assert wires(expanded) == {"d": ["x", "y", "y"]}


def test_a_block_sees_nothing_from_outside(run: Any) -> None:
    text = (
        INPUT + "blocks:\n  b:\n    inputs: [a]\n    outputs: [d]\n    layers: [{name: d, type: D, inputs: [x, a]}]\n"
    )
    expanded = run(
        text + "layers: [{name: n, type: D}, {name: i, block: b}, {name: j, block: b}, {type: D, inputs: i/a}]\n"
    )
    assert found(expanded) == [("GS201", 6, 42), ("GS201", 7, 90)], "once for two instances"
    assert "pass the value" in str(expanded.diagnostics)


def test_an_unused_block_is_checked(run: Any) -> None:
    text = (
        INPUT
        + "blocks:\n  b: {inputs: [a, c], params: {k: 3}, outputs: [e], "
        + "layers: [{name: d, type: D, k: '${k}', u: '${u}'}]}\n"
    )
    expanded = run(text + "layers: [{type: D}]\n")
    assert [d.code for d in sorted(expanded.diagnostics, key=Diagnostic.sort_key)] == ["GS201", "GS203", "GS108"]
    assert wires(expanded) == {"d_1": ["x"]}
    assert [node.tree.value["k"].plain() for node in expanded.unused] == [3]


def test_a_block_that_contains_itself(run: Any) -> None:
    text = INPUT + "blocks:\n  a: {inputs: [x], outputs: [q], layers: [{name: q, block: b}]}\n"
    text += "  b: {inputs: [x], outputs: [q], layers: [{name: q, block: a}]}\n"
    for used in ("layers: [{type: D}]\n", "layers: [{block: a}, {block: b}]\n"):
        (problem,) = run(text + used).diagnostics
        assert problem.code == "GS205"
        assert "a → b → a" in problem.message


@pytest.mark.parametrize(
    ("entry", "code", "words"),
    [
        ("{block: inceptoin}", "GS111", "did you mean 'inception'?"),
        ("{block: 3}", "GS104", "`block`"),
        ("{block: inception, params: {narow: 3}}", "GS102", "did you mean 'narrow'?"),
        ("{block: inception, params: 3}", "GS104", "`params`"),
        ("{block: inception, param: {narrow: 3}}", "GS102", "did you mean 'params'?"),
        ("{block: inception, filters: 3}", "GS102", "`params`"),
        ("{block: inception, inputs: [x, x]}", "GS203", "takes 1 input (x)"),
        ("{block: inception, type: Dense}", "GS105", "`type`"),
        ("{name: m, block: inception, repeat: 2, inputs: 'm_1:2'}", "GS201", "2 outputs"),
    ],
)
def test_bad_instances(entry: str, code: str, words: str, run: Any) -> None:
    expanded = run(INCEPTION + f"layers:\n- {entry}\n- {{type: Dense}}\n")
    (problem,) = expanded.diagnostics
    assert (problem.code, problem.line) == (code, 14)
    assert words in str(problem)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("3", "GS104", "mapping"),
        ("{inputs: [x], layers: []}", "GS103", "`outputs`"),
        ("{inputs: [x], layers: [], output: [x]}", "GS102", "did you mean 'outputs'?"),
        ("{inputs: [x, x], layers: [], outputs: [x]}", "GS107", "two inputs"),
        ("{inputs: [a b], layers: [], outputs: ['a b']}", "GS105", "letters"),
        ("{inputs: [3], layers: [], outputs: [x]}", "GS104", "names"),
        ("{inputs: [x], layers: {a: 1}, outputs: [x]}", "GS104", "list"),
        ("{inputs: [x], layers: [], outputs: {x: 1}}", "GS104", "`outputs`"),
        ("{inputs: [x], layers: [], outputs: [z]}", "GS201", "unknown node 'z'"),
        ("{params: [k], inputs: [x], layers: [], outputs: [x]}", "GS104", "`params`"),
    ],
)
def test_bad_blocks(body: str, code: str, words: str, run: Any) -> None:
    (problem,) = run(INPUT + f"blocks:\n  b: {body}\nlayers: [{{type: D}}]\n").diagnostics
    assert (problem.code, problem.line) == (code, 3)
    assert words in str(problem)


# Repeat


def test_repeat(run: Any) -> None:
    text = (
        INPUT
        + "layers:\n- {name: r, type: D, repeat: 3}\n- {type: E}\n"
        + "- {type: D, repeat: 2, inputs: r_1}\n- {name: s, type: D, repeat: 1}\n"
    )
    expanded = fine(run(text + "- {type: F, inputs: [r, s, r_2]}\n"))
    assert wires(expanded) == {
        "r_1": ["x"],
        "r_2": ["r_1"],
        "r_3": ["r_2"],
        "e_1": ["r_3"],
        "d_1": ["r_1"],
        "d_2": ["d_1"],
        "s_1": ["d_2"],
        "f_1": ["r_3", "s_1", "r_2"],
    }


def test_repeat_of_a_block(run: Any) -> None:
    expanded = fine(
        run(INCEPTION + "layers:\n- {name: m, block: inception, repeat: 2}\n- {type: D, inputs: ['m:1', m_1/one]}\n")
    )
    assert wires(expanded)["m_2/one"] == ["m_1/concatenate_1"]
    assert wires(expanded)["d_1"] == ["m_2/one", "m_1/one"]


def test_copies_read_the_same_further_inputs(run: Any) -> None:
    text = "blocks:\n  b: {inputs: [x, memory], layers: [{name: y, type: D, inputs: [x, memory]}], outputs: [y]}\n"
    text += "layers:\n- {name: m, type: E}\n- {name: d, block: b, repeat: 3, inputs: [x, m]}\n"
    expanded = fine(run(INPUT + text + "- {name: s, type: F, repeat: 2, inputs: [d, m, x]}\n"))
    assert wires(expanded) == {
        "m": ["x"],
        "d_1/y": ["x", "m"],
        "d_2/y": ["d_1/y", "m"],
        "d_3/y": ["d_2/y", "m"],
        "s_1": ["d_3/y", "m", "x"],
        "s_2": ["s_1", "m", "x"],
    }


@pytest.mark.parametrize(
    ("repeat", "code"), [("0", "GS105"), ("-1", "GS105"), ("1.5", "GS104"), ("true", "GS104"), ("x", "GS104")]
)
def test_bad_repeat(repeat: str, code: str, run: Any) -> None:
    expanded = run(INPUT + f"layers:\n- {{name: r, type: D, repeat: {repeat}}}\n- {{type: D, inputs: r}}\n")
    assert found(expanded) == [(code, 3, 30)]


# Share

SHARED = (
    INPUT
    + "layers:\n- {name: a, type: D, units: 3, trainable: false}\n"
    + "- {name: b, share: a}\n- {share: c}\n- {name: c, share: b, inputs: x}\n"
)


def test_share_resolves_to_the_first_owner(run: Any) -> None:
    expanded = fine(run(SHARED))
    assert wires(expanded) == {"a": ["x"], "b": ["a"], "d_1": ["b"], "c": ["x"]}
    assert [node.owner and node.owner.full for node in expanded.nodes] == [None, "a", "a", "a"]
    assert not any(node.trainable for node in expanded.nodes)


def test_share_of_a_block_instance(run: Any) -> None:
    text = (
        INCEPTION
        + "layers:\n- {name: m, block: inception, params: {wide: 9}}\n"
        + "- {name: n, share: m, inputs: x}\n- {name: o, share: n}\n"
    )
    expanded = fine(run(text + "- {name: p, share: o/three, inputs: 'o:1'}\n"))
    owners = {node.full: node.owner and node.owner.full for node in expanded.nodes}
    assert owners["n/three"] == owners["o/three"] == owners["p"] == "m/three"
    assert wires(expanded)["o/one"] == ["n/concatenate_1"]
    assert wires(expanded)["p"] == ["o/one"]
    assert args(expanded, "o/three")["filters"] == 9


def test_share_inside_a_shared_block(run: Any) -> None:
    text = INPUT + "blocks:\n  b: {inputs: [a], outputs: [e], layers: [{name: d, type: D}, {name: e, share: d}]}\n"
    expanded = fine(run(text + "layers: [{name: m, block: b}, {name: n, share: m}]\n"))
    assert {node.full: node.owner and node.owner.full for node in expanded.nodes} == {
        "m/d": None,
        "m/e": "m/d",
        "n/d": "m/d",
        "n/e": "m/d",
    }


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{name: s, share: aa}", "did you mean 'a'?"),
        ("{name: s, share: 'a:0'}", "not one of its outputs"),
        ("{name: s, share: x}", "input"),
        ("{name: s, share: a, units: 3}", "`units` of 's' cannot be used with `share`"),
        ("{name: s, share: a, type: D}", "`type` of 's' cannot be used with `share`"),
        ("{name: s, share: a, repeat: 2}", "`repeat` of 's' cannot be used with `share`"),
        ("{name: s, share: s}", "s → s"),
    ],
)
def test_bad_share(entry: str, words: str, run: Any) -> None:
    expanded = run(INPUT + f"layers:\n- {{name: a, type: D}}\n- {entry}\n- {{type: D}}\n")
    (problem,) = expanded.diagnostics
    assert (problem.code, problem.line) == ("GS206", 4)
    assert words in str(problem)
    assert wires(expanded)["d_1"] == ["s"]


def test_shares_in_a_circle_are_said_once(run: Any) -> None:
    text = (
        INPUT + "layers:\n- {name: a, share: b}\n- {name: b, share: c}\n- {name: c, share: a}\n- {name: d, share: c}\n"
    )
    (problem,) = run(text).diagnostics
    assert problem.code == "GS206"
    assert "a → b → c → a" in problem.message


def test_trainable_reaches_into_blocks(run: Any) -> None:
    expanded = fine(run(INCEPTION + "layers:\n- {name: m, block: inception, trainable: false}\n- {type: D}\n"))
    assert [node.trainable for node in expanded.nodes] == [False, False, False, True]
