"""Quick fixes: after each of them, the diagnostic is gone, and only what it names has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from editor.documents import BRANCHES
from paths import TESTS

from graphspec.base.errors import GivenText
from graphspec.editor.analysis import Analysis
from graphspec.editor.document import Node, Text, applied, parse
from graphspec.editor.fixes import fixes
from graphspec.engine.compiler.check import check

CASES = sorted(path for path in (TESTS / "diagnostics").iterdir() if path.suffix in (".yaml", ".json"))
LEAST = 540
"""Diagnostics of these specs for which a fix is offered, at least."""
offered: dict[str, tuple[int, int]] = {}


def leaves(node: Node) -> dict[str, str]:
    """The scalars of a tree by their paths. A path that occurs twice has both."""
    found: dict[str, str] = {}
    for value in node.walk():
        if not value.entries:
            text = f"{value.kind} {value.text}"
            found[value.path] = f"{found[value.path]}; {text}" if value.path in found else text
    return found


def changed(before: str, after: str) -> set[str]:
    """The paths whose values differ."""
    old, new = leaves(parse(Text(before))), leaves(parse(Text(after)))
    return {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_every_fix_solves_its_problem_and_changes_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.engine.compiler.training_checks.available", lambda: 16 * 2**30)
    text = read(path)
    if text is None:
        return
    analysis = Analysis(text, str(path))
    count = 0
    for diagnostic in analysis.diagnostics:
        found = fixes(analysis, diagnostic)
        count += bool(found)
        for fix in found:
            after = applied(text, fix.edits)
            left = check(GivenText(str(path), after)).diagnostics
            same = [
                d for d in left if (d.code, d.path, d.message) == (diagnostic.code, diagnostic.path, diagnostic.message)
            ]
            before = [
                d
                for d in analysis.diagnostics
                if (d.code, d.path, d.message) == (diagnostic.code, diagnostic.path, diagnostic.message)
            ]
            assert len(same) < len(before), fix
            allowed = [path for path in fix.paths if path]
            others = {p for p in changed(text, after) if not any(_within(p, at) for at in allowed)}
            assert not others or diagnostic.code == "GS101", (fix, others)
            if path.suffix == ".json":
                json.loads(after)
    offered[path.name] = (count, len(analysis.diagnostics))


def _within(path: str, above: str) -> bool:
    """Whether a value is another, or is in it or around it: an empty mapping becomes one with a key."""
    return path == above or path.startswith(f"{above}.") or above.startswith(f"{path}.")


def test_most_problems_have_a_fix() -> None:
    if len(offered) < len(CASES) - 2:
        pytest.skip("needs the results of the other tests")
    assert sum(count for count, _ in offered.values()) >= LEAST


def titles(text: str, code: str, name: str = "spec.yaml") -> dict[str, str]:
    """The titles of the fixes of the first diagnostic of a code, and the text after each."""
    analysis = Analysis(text, name)
    diagnostic = next(d for d in analysis.diagnostics if d.code == code)
    return {fix.title: applied(text, fix.edits) for fix in fixes(analysis, diagnostic)}


def test_the_hints_of_the_readme() -> None:
    padded = BRANCHES.replace("kernel_size: 3, inputs", "kernel_size: 3, inputs: image, padding: same}\n").replace(
        "}\n: image}", "}"
    )
    assert titles(BRANCHES, "GS302") == {"set `padding: same` on 'b2'": padded}
    assert titles(BRANCHES, "GS111") == {"replace it by 'Flatten'": BRANCHES.replace("Flaten", "Flatten")}


def spec(layer: str) -> str:
    return BRANCHES.replace("  - {name: flat, type: Flaten}", layer).replace(
        "kernel_size: 3, inputs", "kernel_size: 3, padding: same, inputs"
    )


@pytest.mark.parametrize(
    ("layer", "code", "title", "after"),
    [
        ("  - {name: flat, type: Flatten, axis: 1}", "GS102", "remove `axis`", "  - {name: flat, type: Flatten}"),
        (
            "  - name: flat\n    axis: 1\n    type: Flatten",
            "GS102",
            "remove `axis`",
            "  - name: flat\n    type: Flatten",
        ),
        ("  - axis: 1\n    type: Flatten", "GS102", "remove `axis`", "  - type: Flatten"),
        ("  - {type: Dense, unit: 3}", "GS102", "replace it by 'units'", "  - {type: Dense, units: 3}"),
        ("  - {type: Dense}", "GS103", "add `units: 1`", "  - {type: Dense, units: 1}"),
        ("  - type: Dense  # small", "GS103", "add `units: 1`", "  - type: Dense  # small\n    units: 1"),
        ('  - {type: Dense, units: "3"}', "GS104", "write `3`", "  - {type: Dense, units: 3}"),
        (
            "  - {type: Dense, units: 3, use_bias: yes}",
            "GS104",
            "write `true`",
            "  - {type: Dense, units: 3, use_bias: true}",
        ),
        ("  - {type: Dense, units: 0}", "GS105", "write `1`", "  - {type: Dense, units: 1}"),
        (
            "  - {type: Conv2D, filters: 1, kernel_size: (3, 3)}",
            "GS104",
            "write `[3, 3]`",
            "  - {type: Conv2D, filters: 1, kernel_size: [3, 3]}",
        ),
        ("  - {type: Flatten, inputs: mx}", "GS201", "replace it by 'mix'", "  - {type: Flatten, inputs: mix}"),
        ("  - {name: 😀 a, type: 😀Flaten}", "GS111", "replace it by 'Flatten'", "  - {name: 😀 a, type: Flatten}"),
    ],
)
def test_forms(layer: str, code: str, title: str, after: str) -> None:
    text = spec(layer)
    assert titles(text, code)[title] == spec(after)


GOOD = spec("  - {name: flat, type: Flatten}")
IMAGES = """\
graphspec: 1
name: n
inputs: {x: {shape: [28, 28]}}
layers: [{name: y, type: Conv2D, filters: 1, kernel_size: 3}]
outputs: {y: {loss: mse}}
"""
CONV = "  - {name: y, type: Conv2D, filters: 1, kernel_size: 3, inputs: "
RESHAPE = "  - {name: reshaped, type: Reshape, target_shape: [28, 28, 1], inputs: x}\n"


@pytest.mark.parametrize(
    ("where", "message", "title", "before", "after"),
    [
        # files of tests/diagnostics
        ("101_json.json", "expected ','", "insert a comma", "[13]}}", "[13]}},"),
        ("101_syntax.yaml", "expected ','", "close the bracket with '}'", "units: 64\n", "units: 64}\n"),
        ("101_tag.yaml", "'!!python/name", "remove the tag", "!!python/name:os.sep 1", "1"),
        ("102_synonyms.yaml", "'lr' of the document", "remove `lr`", "lr: 0.001\n", ""),
        ("103_column.yaml", "input 'number'", "add `shape: [1]`", "{dtype: int64}", "{dtype: int64, shape: [1]}"),
        (
            "103_layer.yaml",
            "`type`, the name",
            "add `type: binary_crossentropy`",
            "2.0}",
            "2.0, type: binary_crossentropy}",
        ),
        ("104_columns.yaml", "'third'", "remove `third`", "  third: {columns: {age_2: number}, crosses: age_2}\n", ""),
        ("104_groups.yaml", "`groups[5].lr`", "remove `lr`", "y/bias, lr: 0.1", "y/bias"),
        ("104_keys.yaml", "not true", "put quotes around it", "  true:", '  "true":'),
        ("104_python.yaml", "'5' of Dropout", "write `rate: 0.5`", "0,5", "0.5"),
        ("104_types.yaml", "input 'y'", "write `y: {shape: [13]}`", "y: [4]", "y: {shape: [13]}"),
        ("104_types.yaml", "`use_bias`", "write `false`", "yes", "false"),
        ("105_callbacks_refused.yaml", "SwapEMA", "set `use_ema: true`", "10}}", "10}, use_ema: true}"),
        (
            "105_monitor.yaml",
            "'confusion_matrix'",
            "write `val_mean`",
            "monitor: confusion_matrix",
            "monitor: val_mean",
        ),
        ("105_scale.yaml", "'minmax'", "write `standard`", "minmax", "standard"),
        ("105_scale.yaml", "head 'g'", "remove `scale`", "scale: standard, labels: [low", "labels: [low"),
        ("105_schedule.yaml", "needs `decay_steps`", "add `decay_steps: 0.5`", "high}", "high, decay_steps: 0.5}"),
        ("105_values.yaml", "not 0", "write `null`", "[0, -1", "[null, -1"),
        ("107_clash.yaml", "head 'price'", "rename it to 'price_2'", "price: {layer", "price_2: {layer"),
        ("107_columns.yaml", "node 'visit'", "rename it to 'visit_2'", "name: visit,", "name: visit_2,"),
        ("108_variable.yaml", "'widht' in", "replace it by '${width}'", "${widht}", "${width}"),
        ("301_volume.yaml", "'line'", "replace it by 'SeparableConv2D'", "SeparableConv1D", "SeparableConv2D"),
        ("403_numbers.yaml", "'accuracy' of head 'sparse'", "remove 'accuracy'", ", {type: acc, name: accuracy}", ""),
        # the syntax
        (
            GOOD.replace("name: branches", "description: C:\\new: 1  # c\nname: n"),
            "mapping values",
            "put quotes around the text",
            "C:\\new: 1",
            '"C:\\\\new: 1"',
        ),
        (GOOD.replace("Flatten", "@Flatten"), "'@'", "put quotes around it", "@Flatten", '"@Flatten"'),
        (GOOD.replace("  - {name: flat", "\t- {name: flat"), "'\\t'", "indent with spaces", "\t", "  "),
        (GOOD.replace("softmax}", "softmax"), "got ':'", "close the bracket with '}'", "softmax", "softmax}"),
        (GOOD.replace("Dense, units", "Dense\n     units"), "got ':'", "insert a comma", "Dense\n", "Dense,\n"),
        (
            GOOD.replace("28, 1]}", "28, 1]}\n  a: &one {shape: [1]}\n  b: *on"),
            "'&on'",
            "replace it by '*one'",
            "*on\n",
            "*one\n",
        ),
        # values and keys
        (GOOD.replace("Flatten", "Flatten, inputs: mx:0"), "'mx'", "replace it by 'mix:0'", "mx:0", "mix:0"),
        (
            GOOD.replace(" {loss: sparse_categorical_crossentropy}", ""),
            "no head",
            "set `loss: mean_squared_error`",
            "digit:\n",
            "digit: {loss: sparse_categorical_crossentropy}\n",
        ),
        (
            GOOD.replace("entropy}", "entropy, metrics: [MeanIoU]}"),
            "MeanIoU",
            "add `num_classes: 1`",
            "[MeanIoU]",
            "[{type: MeanIoU, num_classes: 1}]",
        ),
        (GOOD + "training:\n  epochs: 1\n  epoch: 3", "'epoch'", "remove `epoch`", "\n  epoch: 3", ""),
        (
            IMAGES,
            "rank-4",
            "insert a Reshape to [28, 28, 1]",
            "[{name",
            "[{type: Reshape, target_shape: [28, 28, 1]}, {name",
        ),
        (
            IMAGES.replace("layers: [{", "layers:\n  - {").replace("3}]", "3, inputs: [x]}"),
            "rank-4",
            "insert a Reshape to [28, 28, 1]",
            f"{CONV}[x]",
            f"{RESHAPE}{CONV}[reshaped]",
        ),
    ],
)
def test_what_a_fix_changes(where: str, message: str, title: str, before: str, after: str) -> None:
    text = (TESTS / "diagnostics" / where).read_text("utf-8") if where.endswith((".yaml", ".json")) else where
    analysis = Analysis(text, "spec.json" if where.endswith(".json") else "spec.yaml")
    diagnostic = next(d for d in analysis.diagnostics if message in d.message)
    found = {fix.title: applied(text, fix.edits) for fix in reversed(fixes(analysis, diagnostic))}
    assert text.count(before) == 1
    assert found[title] == text.replace(before, after)


def test_a_word_becomes_a_mapping() -> None:
    text = (
        spec("  - {type: Flatten}").replace("activation: softmax}", "name: digit}").replace("name: digit, type", "type")
    )
    found = titles(text, "GS401")
    assert "{loss: {type: sparse_categorical_crossentropy, from_logits: true}}" in found["set `from_logits: true`"]
    assert "units: 10, name: digit, activation: softmax}" in found["set `activation: softmax`"]


def test_json_stays_json() -> None:
    document: dict[str, Any] = {
        "graphspec": 1,
        "name": "n",
        "inputs": {"x": {"shape": [4]}},
        "layers": [{"name": "y", "type": "Dense"}],
        "outputs": {"y": {"loss": "mse"}},
    }
    found = titles(json.dumps(document, indent=2), "GS103", "spec.json")
    document["layers"][0]["units"] = 1
    assert json.loads(found["add `units: 1`"]) == document


def test_the_syntax_of_a_variable_in_braces() -> None:
    text = BRANCHES.replace("units: 10", "units: ${wide}").replace("inputs:\n", "vars: {wide: 10}\ninputs:\n", 1)
    assert titles(text, "GS101") == {"put quotes around the variable": text.replace("${wide}", '"${wide}"')}


def test_a_problem_of_another_file_has_no_fix() -> None:
    analysis = Analysis(BRANCHES, "spec.yaml")
    other = check(GivenText("other.yaml", BRANCHES)).diagnostics[0]
    assert fixes(analysis, other) == []
