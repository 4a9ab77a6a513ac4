"""Definitions, references and new names."""

from __future__ import annotations

import pytest

from graphspec.base.errors import GivenText
from graphspec.editor.analysis import Analysis
from graphspec.editor.document import applied
from graphspec.editor.hover import hover
from graphspec.editor.names import Rejected, definition, occurrences, references, rename
from graphspec.engine.compiler.check import check

TEXT = """\
graphspec: 1
name: n  # 😀
vars: {wide: 4}
inputs:
  x: {shape: [8]}
  person: {columns: {age: number, job: category}}
blocks:
  two:
    params: {n: "${wide}"}
    inputs: i
    layers:
      - {name: one, type: Dense, units: "${n}", inputs: i}
      - {name: sum, type: Dense, units: "${wide}", inputs: one}
    outputs: [sum]
layers:
  - {name: one, type: Dense, units: 3, inputs: x}
  - {name: mix, block: two, inputs: one, params: {n: 2}}
  - {name: deep, type: Dense, units: 3, repeat: 3}
  - {type: Flatten, inputs: person}
  - {name: all, type: Concatenate, inputs: [deep_2, "mix:0", mix/one, flatten_1]}
  - {name: again, share: one, inputs: x}
  - {name: y, type: Dense, units: 2, activation: softmax, inputs: all}
outputs:
  y: {loss: sparse_categorical_crossentropy}
  sure: {layer: again, loss: mse}
data:
  train: {file: a.npz, targets: {y: b, sure: c}}
  validation: {split: 0.1, stratify: y}
"""


def lines_of(word: str, *, declaration: bool = True) -> list[int]:
    """The lines, from 1, of the references of the name in ``word``, which has a cursor ``▮`` at its place."""
    analysis = Analysis(TEXT, "spec.yaml")
    offset = TEXT.index(word.replace("▮", "")) + word.index("▮")
    found = references(analysis, offset, declaration=declaration)
    return [analysis.text.line_of(span.start) + 1 for span in found]


def test_the_spec_is_right() -> None:
    assert [d for d in check(GivenText("spec.yaml", TEXT)).diagnostics if d.is_error] == []


@pytest.mark.parametrize(
    ("word", "lines"),
    [
        ("▮one, type: Dense, units: 3", [16, 17, 21]),  # not that of the block
        ('on▮e, type: Dense, units: "', [12, 13, 20]),
        ("mix▮, block", [17, 20, 20]),
        ("deep▮, type", [18, 20]),
        ("▮x: {shape", [5, 16, 21]),
        ("▮person: {col", [6, 19]),
        ("▮two:", [8, 17]),
        ("▮wide: 4", [3, 9, 13]),
        ('${n▮}"', [9, 12, 17]),
        ("name: y▮", [22, 24, 27, 28]),
        ("▮sure: {layer", [25, 27]),
        ("inputs: i▮\n", [10, 12]),
    ],
)
def test_references(word: str, lines: list[int]) -> None:
    assert lines_of(word) == lines


def test_references_without_the_declaration() -> None:
    assert lines_of("name: y▮", declaration=False) == [24, 27, 28]


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("deep_▮2", 18),
        ("mix/on▮e", 12),
        ("mi▮x/one", 17),
        ("share: on▮e", 16),
        ("layer: agai▮n", 21),
        ("flatten▮_1", 19),
        ("[su▮m]", 13),
        ("block: tw▮o", 8),
    ],
)
def test_definitions(word: str, line: int) -> None:
    analysis = Analysis(TEXT, "spec.yaml")
    span = definition(analysis, TEXT.index(word.replace("▮", "")) + word.index("▮"))
    assert span is not None
    assert analysis.text.line_of(span.start) + 1 == line


def test_a_value_has_no_definition() -> None:
    assert definition(Analysis(TEXT, "spec.yaml"), TEXT.index("softmax")) is None


RENAMED = ("name: ▮one, type: Dense, units: 3", "name: mi▮x", "name: ▮deep", "▮x: {sh", "▮two:", "▮wide: 4", '"${▮n}"')


@pytest.mark.parametrize("word", [*RENAMED, "name: ▮y"])
def test_a_new_name_changes_nothing_else(word: str) -> None:
    analysis = Analysis(TEXT, "spec.yaml")
    offset = TEXT.index(word.replace("▮", "")) + word.index("▮")
    text = applied(TEXT, rename(analysis, offset, "other"))
    before, after = check(GivenText("spec.yaml", TEXT)), check(GivenText("spec.yaml", text))
    assert [d.code for d in after.diagnostics] == [d.code for d in before.diagnostics]
    assert len(text.splitlines()) == len(TEXT.splitlines())
    assert text.count("other") == len(references(analysis, offset))


@pytest.mark.parametrize(("name", "reason"), [("a b", "no name"), ("mix", "already"), ("sure", "already")])
def test_a_name_that_cannot_be(name: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        rename(Analysis(TEXT, "spec.yaml"), TEXT.index("name: y") + 6, name)


def test_no_name_here() -> None:
    with pytest.raises(Rejected, match="no name"):
        rename(Analysis(TEXT, "spec.yaml"), TEXT.index("units: 3"), "other")


FORECAST = """graphspec: 1
name: forecast
inputs: {past: {shape: [4]}, ahead: {shape: [2]}, about: {shape: [1]}}
layers:
  - {name: scaled, type: WindowScaling, inputs: past}
  - {name: next, type: Dense, units: 2}
outputs: {next: {loss: mae, scale: {window: scaled}}}
data: {train: {file: a.csv, windows: {length: 4, horizon: 2, future: [ahead], static: about}}}
"""


COPIES = """graphspec: 1
name: copies
inputs: {x: {shape: [4]}}
blocks: {two: {inputs: i, layers: [{name: d, type: Dense, units: 4}], outputs: d}}
layers:
  - {name: part, block: two, repeat: 2}
  - {name: again, share: part_1}
  - {name: deep, type: Dense, units: 2, activation: softmax, repeat: 3}
outputs: {deep_3: {loss: sparse_categorical_crossentropy}}
data:
  train: {file: a.npz, targets: {deep_3: b}}
  validation: {split: 0.1, stratify: deep_3}
"""


@pytest.mark.parametrize("name", ["part", "deep"])
def test_a_node_is_renamed_where_its_copies_are_named(name: str) -> None:
    analysis = Analysis(COPIES, "spec.yaml")
    text = applied(COPIES, rename(analysis, COPIES.index(f"{name}, "), "other"))
    assert text == COPIES.replace(name, "other")
    before, after = ([d.code for d in check(GivenText("spec.yaml", t)).diagnostics] for t in (COPIES, text))
    assert after == before == []


def test_what_shares_a_copy_of_a_block_has_its_outputs() -> None:
    found = hover(Analysis(COPIES, "spec.yaml"), COPIES.index("again"))
    assert found is not None
    assert found.text == "**the weights of part_1** `again`\n\noutput `(N, 4)` float32"


@pytest.mark.parametrize(
    "part",
    [
        'inputs: {"\\u0078": {shape: [4]}}',
        'vars: {"\\u0078": 1}',
        'blocks: {"\\u0078": {inputs: i, layers: [{name: d, type: Dense, units: 4}], outputs: d}}',
        'layers: [{name: "\\u0078", type: Identity}]',
    ],
)
def test_a_name_with_escapes_is_left_alone(part: str) -> None:
    """Its text in the file is not the name."""
    analysis = Analysis(part, "a.graphspec.yaml")
    assert [o.symbol.name for o in occurrences(analysis) if o.symbol.name == "x"] == []


def test_shares_in_a_circle_end() -> None:
    text = "layers:\n  - {name: a, share: b}\n  - {name: b, share: a}\n  - {type: Add, inputs: [a/c, b]}\n"
    analysis = Analysis(text, "a.graphspec.yaml")
    assert [analysis.text.line_of(span.start) for span in references(analysis, text.index("a, share"))] == [1, 2, 3]


@pytest.mark.parametrize("word", ["name: scaled", "past: {sh", "ahead: {", "about: {"])
def test_windows_and_scales_name_inputs_and_nodes(word: str) -> None:
    offset = FORECAST.index(word) + len("name: ") * word.startswith("name")
    name = word.removeprefix("name: ").partition(":")[0]
    text = applied(FORECAST, rename(Analysis(FORECAST, "spec.yaml"), offset, "other"))
    assert text == FORECAST.replace(name, "other")


FORMULAS = """\
graphspec: 1
name: n
vars: {gamma: 2}
inputs:
  x: {shape: [8]}
layers:
  - {name: p, type: Dense, units: 8}
  - {name: b-c, type: Identity, repeat: "${ gamma // 2 }"}
  - {name: f, type: Formula, value: "-log(p) * (1 - p)**gamma + `b-c` * x + log(p:0)"}
outputs:
  f: {}
"""


@pytest.mark.parametrize(
    ("word", "name", "changed"),
    [
        ("name: ▮p,", "q", "-log(q) * (1 - q)**gamma + `b-c` * x + log(q:0)"),
        ("(1 - ▮p)", "q", "-log(q) * (1 - q)**gamma + `b-c` * x + log(q:0)"),
        ("`b-▮c`", "b-d", "-log(p) * (1 - p)**gamma + `b-d` * x + log(p:0)"),
        ("▮gamma: 2", "g", "-log(p) * (1 - p)**g + `b-c` * x + log(p:0)"),
        ("* ▮x", "z", "-log(p) * (1 - p)**gamma + `b-c` * z + log(p:0)"),
    ],
)
def test_names_in_formulas_are_renamed(word: str, name: str, changed: str) -> None:
    analysis = Analysis(FORMULAS, "spec.yaml")
    offset = FORMULAS.index(word.replace("▮", "")) + word.index("▮")
    renamed = applied(FORMULAS, rename(analysis, offset, name))
    assert f'"{changed}"' in renamed
    assert f'"${{ {name} // 2 }}"' in renamed or "gamma" not in word
    assert check(GivenText("spec.yaml", renamed)).errors == []


def test_the_shape_of_a_name_in_a_formula_is_shown() -> None:
    found = hover(Analysis(FORMULAS, "spec.yaml"), FORMULAS.index("(1 - p)") + 5)
    assert found is not None
    assert "(N, 8)" in found.text
