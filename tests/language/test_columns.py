"""Records → inputs and nodes, as a person would write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from expanding import args, fine, found, wires

from graphspec.base.errors import Diagnostic, UsageError
from graphspec.engine.compiler.check import check
from graphspec.language import columns as records
from graphspec.language.columns import MAX_PARTS
from graphspec.language.expand import Expanded, expand
from graphspec.language.parse import parse
from graphspec.language.read import read


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def expanded(columns: str, rest: str = "", **more: Any) -> Expanded:
        path = tmp_path / "spec.yaml"
        path.write_text(f"inputs:\n  p:\n    columns: {{{columns}}}\n{rest or 'layers: []'}\n")
        return expand(read(path, **more))

    return expanded


def nodes(expanded: Expanded) -> list[str]:
    """Each node: its name, type, inputs and arguments."""
    taken = wires(expanded)
    return [
        " ".join(
            [f"{n.full}: {n.tree.value['type'].value}({', '.join(map(str, taken[n.full]))})", *said(expanded, n.full)]
        )
        for n in expanded.nodes
    ]


def said(expanded: Expanded, name: str) -> list[str]:
    return [f"{key}={value}" for key, value in args(expanded, name).items()]


CASES: dict[str, tuple[str, list[str]]] = {
    "number": ("a: number", ["p/a/filled: Impute(a) strategy=median", "p/a: Normalization(p/a/filled)"]),
    "a given number": (
        "a: {type: number, missing: -1, scale: minmax}",
        ["p/a/filled: Impute(a) strategy=constant fill_value=-1.0", "p/a: MinMaxScaling(p/a/filled)"],
    ),
    "an indicator": (
        "a: {type: number, missing: mean, indicator: true, scale: log1p}",
        [
            "p/a/filled: Impute(a) strategy=mean indicator=True",
            "p/a/log: Log1p(p/a/filled)",
            "p/a/scaled: Normalization(p/a/log)",
            "p/a: Concatenate(p/a/scaled, p/a/filled:1) axis=-1",
        ],
    ),
    "an indicator beside the number itself": (
        "a: {type: number, missing: zero, indicator: true, scale: none}",
        ["p/a/filled: Impute(a) strategy=zero indicator=True", "p/a: Concatenate(p/a/filled, p/a/filled:1) axis=-1"],
    ),
    "filled alone": ("a: {type: number, scale: none}", ["p/a: Impute(a) strategy=median"]),
    "never missing": ("a: {type: number, missing: error}", ["p/a: Normalization(a)"]),
    "as it is": ("a: {type: number, missing: error, scale: none}", ["p/a: Identity(a)"]),
    "bins": (
        "a: {type: number, missing: error, scale: {bins: 4}}",
        ["p/a: Discretization(a) num_bins=4 output_mode=one_hot"],
    ),
    "robust": (
        "a: {type: number, missing: error, scale: robust, clip: smooth}",
        ["p/a/scaled: RobustScaling(a)", "p/a: SmoothClip(p/a/scaled)"],
    ),
    "clipped as it is": ("a: {type: number, missing: error, scale: none, clip: smooth}", ["p/a: SmoothClip(a)"]),
    "clipped beside an indicator": (
        "a: {type: number, missing: zero, indicator: true, clip: smooth}",
        [
            "p/a/filled: Impute(a) strategy=zero indicator=True",
            "p/a/scaled: Normalization(p/a/filled)",
            "p/a/clipped: SmoothClip(p/a/scaled)",
            "p/a: Concatenate(p/a/clipped, p/a/filled:1) axis=-1",
        ],
    ),
    "category": (
        "a: category",
        [
            "p/a/ids: StringLookup(a) mask_token= output_mode=int min_count=2",
            "p/a: CategoryEncoding(p/a/ids) num_tokens=None output_mode=one_hot",
        ],
    ),
    "integers": (
        "a: {type: category, dtype: int64, min_count: 5, max_tokens: 9, missing_values: [-1]}",
        [
            f"p/a/ids: IntegerLookup(a) mask_token={-(2**63)} output_mode=int min_count=5 max_tokens=9 missing_tokens=[-1]",
            "p/a: CategoryEncoding(p/a/ids) num_tokens=None output_mode=one_hot",
        ],
    ),
    "trained vectors": (
        "a: {type: category, embed: 8, vocabulary: [x, y]}",
        [
            "p/a/ids: StringLookup(a) mask_token= output_mode=int vocabulary=['x', 'y']",
            "p/a/embedded: Embedding(p/a/ids) input_dim=None output_dim=8",
            "p/a: Flatten(p/a/embedded)",
        ],
    ),
    "a file of words": (
        "a: {type: category, vocabulary: words.txt}",
        [
            "p/a/ids: StringLookup(a) mask_token= output_mode=int vocabulary=words.txt",
            "p/a: CategoryEncoding(p/a/ids) num_tokens=None output_mode=one_hot",
        ],
    ),
    "text": ("a: text", ["p/a: TextVectorization(a) max_tokens=5000 output_mode=tf_idf"]),
    "characters": (
        "a: {type: text, max_tokens: null, output_mode: count, split: character, ngrams: [2, 3], standardize: null}",
        [
            "p/a: TextVectorization(a) max_tokens=None output_mode=count ngrams=[2, 3] standardize=None split=character",
        ],
    ),
    "date": (
        "a: date",
        [
            "p/a/parts: DateParts(a) parts=['year', 'month', 'day', 'weekday'] cyclic=True",
            "p/a/filled: Impute(p/a/parts) strategy=median",
            "p/a: Normalization(p/a/filled)",
        ],
    ),
    "a date of a format": (
        'a: {type: date, format: "%d/%m/%Y", parts: [days], cyclic: false, missing: 0, indicator: true}',
        [
            "p/a/parts: DateParts(a) format=%d/%m/%Y parts=['days'] cyclic=False",
            "p/a/filled: Impute(p/a/parts) strategy=constant fill_value=0.0 indicator=True",
            "p/a/scaled: Normalization(p/a/filled)",
            "p/a: Concatenate(p/a/scaled, p/a/filled:1) axis=-1",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_column_becomes_layers(name: str, run: Any) -> None:
    columns, wanted = CASES[name]
    assert nodes(fine(run(columns))) == [*wanted, "p: Identity(p/a)"]


def test_numbers_are_embedded_together(run: Any) -> None:
    """Columns with an equal `embed` have one node, which reads the scaled numbers without indicators."""
    plain = "type: number, missing: error, scale: none"
    columns = (
        f"a: {{{plain}, embed: {{pieces: 8}}}}, b: category, c: {{type: number, indicator: true, embed: {{pieces: 8}}}}"
    )
    rest = f", e: {{{plain}, embed: {{pieces: 2}}}}, f: {{{plain}}}"
    inputs = ["p/b", "p/numbers/pieces_8/joined", "p/numbers/pieces_8", "p/numbers/plain/joined"]
    inputs += ["p/e", "p/numbers/pieces_2"]
    assert nodes(fine(run(columns + rest)))[-5:] == [
        "p/numbers/pieces_8/joined: Concatenate(p/a, p/c) axis=-1",
        "p/numbers/pieces_8: PiecewiseLinear(p/numbers/pieces_8/joined) num_bins=8",
        "p/numbers/plain/joined: Concatenate(p/c/filled:1, p/f) axis=-1",
        "p/numbers/pieces_2: PiecewiseLinear(p/e) num_bins=2",
        f"p: Concatenate({', '.join(inputs)}) axis=-1",
    ]
    filled = nodes(fine(run("a: {type: number, indicator: true, scale: none, embed: {pieces: 8}}")))
    assert filled[-1] == "p: Concatenate(p/a, p/numbers/pieces_8, p/a:1) axis=-1"
    alone = nodes(fine(run(f"a: {{{plain}, embed: {{pieces: 8}}}}")))
    assert alone[-1] == "p: Concatenate(p/a, p/numbers/pieces_8) axis=-1"
    names = f"numbers: {{{plain}, indicator: false, embed: {{pieces: 2}}}}, pieces_2: {{{plain}}}"
    assert len(nodes(fine(run(names)))) == 4


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("embed: 8", "`embed` of column 'a' must be {pieces: n} with n from 2 to 10,000, not 8"),
        ("embed: {pieces: 1}", "not {pieces: 1}"),
        ("embed: {pieces: true}", "not {pieces: true}"),
        ("embed: {pieces: 4, bins: 4}", "must be {pieces: n} with n"),
        ("embed: pieces", "must be {pieces: n} with n"),
        ("scale: {bins: 4}, embed: {pieces: 4}", "`embed` of column 'a' cannot be used with bins"),
        ("scale: {bins: 4}, clip: smooth", "`clip` of column 'a' cannot be used with bins"),
        ("clip: hard", "`clip` of column 'a' must be 'smooth'"),
        ("pieces: 4", "unknown key 'pieces' of column 'a'"),
        ("missing: error, missing_values: [9]", "`missing_values` of column 'a' cannot be used with `missing: error`"),
    ],
)
def test_wrong_arguments_of_numbers(column: str, text: str, run: Any) -> None:
    problems = run(f"a: {{type: number, {column}}}").diagnostics
    assert [text in problem.message for problem in problems] == [True]


def test_letters_of_integers_cannot_be_folded(run: Any) -> None:
    [problem] = run("a: {type: category, dtype: int64, fold_case: true}").diagnostics
    assert (problem.message, problem.hint) == ("`fold_case` of column 'a' needs texts", "set `dtype: string`")


def test_too_many_columns(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PARTS", 3)
    assert fine(run("a: category, b: category}\n    crosses: [[a, b]]\n    numbers: {"))
    [problem] = run("a: category, b: category, c: number}\n    crosses: [[a, b]]\n    numbers: {").diagnostics
    assert problem.code == "GS110"
    assert problem.message == "the records have more than 3 columns and crosses"
    assert "an input with a `shape` takes a list of columns" in str(problem.hint)


def test_columns_of_numbers_share_arguments_that_they_do_not_set(run: Any) -> None:
    shared = "numbers: {missing: zero, scale: minmax, clip: smooth"
    apart = (
        "a: {type: number, missing: zero, scale: minmax, clip: smooth}, b: {type: number, missing: zero, scale: none}"
    )
    joined = f"a: number, b: {{type: number, scale: none, clip: null}}, c: category}}\n    {shared}"
    assert nodes(fine(run(joined))) == nodes(fine(run(f"{apart}, c: category")))


@pytest.mark.parametrize(
    ("shared", "text"),
    [
        ("scale: minmx", "`scale` of `numbers` of record 'p' must be one of"),
        ("pieces: 4", "unknown key 'pieces' of `numbers` of record 'p'"),
        ("column: Age", "`numbers` of record 'p' has `column`"),
        ("description: years", "`numbers` of record 'p' has `description`"),
    ],
)
def test_wrong_shared_arguments_are_reported_once(shared: str, text: str, run: Any) -> None:
    [problem] = run(f"a: number, b: number}}\n    numbers: {{{shared}").diagnostics
    assert text in problem.message
    assert problem.line == 4


def test_an_image_is_no_part_of_the_vector(run: Any) -> None:
    image = "a: {type: image, shape: [4, 6, 3]}"
    layers = [f"p/a/scaled: Rescaling(a) scale={1 / 255}", "p/a: Resizing(p/a/scaled) height=4 width=6"]
    assert nodes(fine(run(image))) == layers
    plain = "{type: number, missing: error, scale: none}"
    both = nodes(fine(run(f"{image}, b: {plain}, c: {plain}")))
    assert both == [*layers, "p/b: Identity(b)", "p/c: Identity(c)", "p: Concatenate(p/b, p/c) axis=-1"]


def test_crosses(run: Any) -> None:
    columns = "a: category, b: {type: category, dtype: int64}, c: category"
    rest = "    crosses: [[a, b], {columns: [c, b, a], num_bins: 7, embed: 2}]\nlayers: []"
    assert nodes(fine(run(columns, rest)))[6:] == [
        "p/a_x_b: HashedCrossing(a, b) num_bins=1000 output_mode=one_hot",
        "p/c_x_b_x_a/ids: HashedCrossing(c, b, a) num_bins=7",
        "p/c_x_b_x_a/embedded: Embedding(p/c_x_b_x_a/ids) input_dim=7 output_dim=2",
        "p/c_x_b_x_a: Flatten(p/c_x_b_x_a/embedded)",
        "p: Concatenate(p/a, p/b, p/c, p/a_x_b, p/c_x_b_x_a) axis=-1",
    ]


SPEC = """graphspec: 1
name: s
vars: {how: zero, kind: number}
inputs:
  person:
    columns:
      age: {type: number, missing: "${how}"}
      wage: {type: "${kind}", column: "Wage ($)"}
      photo: {type: image, shape: [8, 8, 3]}
  x: {shape: [3], column: features}
layers:
  - {name: all, type: Concatenate, inputs: [person, x, person/age/filled]}
  - {name: image, type: GlobalAveragePooling2D, inputs: person/photo}
  - {name: y, type: Concatenate, inputs: [all, image]}
  - {name: same, share: person/age, inputs: wage}
outputs:
  y: {loss: mean_squared_error}
  scaled: {layer: person/wage}
  same: {}
data:
  train: {file: a.csv, inputs: {age: "Age (years)", x: [a, b, c]}, targets: {y: [d, e, f, g, h, i, j, k, l]}}
"""


def test_the_rest_of_a_spec_sees_inputs_and_nodes(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    spec, problems = parse(path)
    assert spec is not None
    assert problems == []
    assert {name: (i.dtype, i.shape, i.column) for name, i in spec.inputs.items()} == {
        "age": ("float32", (1,), None),
        "wage": ("float32", (1,), "Wage ($)"),
        "photo": ("uint8", ("photo_1", "photo_2", 3), None),
        "x": ("float32", (3,), "features"),
    }
    assert spec.document["inputs"]["person"]["columns"]["age"] == {"type": "number", "missing": "${how}"}
    checked = check(path)
    assert [d.message for d in checked.diagnostics] == ["the spec has no trainable weight: there is nothing to train"]
    assert checked.lowered is not None
    outputs = checked.lowered.outputs
    assert {name: outputs[name][0].shape for name in ("person", "person/age", "all", "y")} == {  # type: ignore[index]
        "person": ("N", 2),
        "person/age": ("N", 1),
        "all": ("N", 6),
        "y": ("N", 9),
    }


def test_a_node_of_a_column_is_at_the_line_of_the_column(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    spec, _ = parse(path)
    assert spec is not None
    marks = {n.name: (n.mark.line, n.mark.column, n.mark.length, n.tree.path) for n in spec.nodes}
    assert marks["person/age/filled"] == marks["person/age"] == (7, 7, 3, "inputs.person.columns.age")
    assert marks["person"] == (5, 3, 6, "inputs.person")
    (age,) = [n for n in spec.nodes if n.name == "person/age/filled"]
    strategy = age.tree.value["strategy"]
    assert (strategy.mark.line, strategy.mark.column) == (7, 36)


FIRST = "layers: [{name: y, type: Dense, units: 1}]"


def test_the_first_layer_reads_the_record(run: Any) -> None:
    assert wires(fine(run("a: number, b: number", FIRST)))["y"] == ["p"]
    assert wires(fine(run("a: {type: image, shape: [8, 8, 3]}", FIRST)))["y"] == ["p/a"]
    expanded = run("a: number", "  x: {shape: [3]}\n" + FIRST)
    (problem,) = expanded.diagnostics
    assert problem.message == "'y' is the first node and there are 2 inputs: p, x"


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("p/aeg", "did you mean 'p/age'?"),
        ("p/age/filed", "did you mean 'p/age/filled'?"),
        ("p/zzzzz", "the nodes of 'p' are p/age/filled, p/age"),
        ("p/age:1", None),
    ],
)
def test_names_of_nodes_that_do_not_exist(ref: str, hint: str | None, run: Any) -> None:
    rest = f"layers: [{{name: y, type: Dense, units: 1, inputs: '{ref}'}}]"
    expanded = run("age: number", rest)
    assert [d.hint for d in expanded.diagnostics] == ([] if hint is None else [hint])


def test_nothing_more_is_said_of_a_wrong_column(run: Any) -> None:
    rest = """layers:
  - {name: one, type: Dense, units: 1, inputs: p/age/filled}
  - {name: two, type: Dense, units: 1, inputs: age}
  - {name: three, type: Dense, units: 1, inputs: p}
  - {name: four, type: Dense, units: 1, inputs: p/job}
"""
    assert found(run("age: nmuber, job: {type: number, scale: none}", rest)) == [("GS111", 3, 20)]
    assert found(run("age: {type: number, mising: zero}, job: number", rest)) == [("GS102", 3, 35)]


def test_a_wrong_column_leaves_the_others_checked(run: Any) -> None:
    rest = "layers: [{name: y, type: Dense, units: 1, inputs: p/jbo}]"
    assert [c for c, *_ in found(run("age: nmuber, job: number", rest))] == ["GS111", "GS201"]


def test_blocks_do_not_see_columns(run: Any) -> None:
    rest = """blocks:
  b: {inputs: [x], layers: [{name: d, type: Dense, units: 1, inputs: p/age}], outputs: [d]}
layers: [{name: y, block: b, inputs: p}]
"""
    (problem,) = run("age: number", rest).diagnostics
    assert problem.message == "unknown node 'p/age'"
    rest = "blocks: {b: {inputs: [x], columns: {a: number}, layers: [], outputs: [x]}}\nlayers: []"
    (problem,) = run("age: number", rest).diagnostics
    assert problem.message == "unknown key 'columns' of block 'b'"


def test_an_override_changes_a_column(run: Any) -> None:
    columns = "age: number, wage: {type: number, missing: zero}"
    sets = ["inputs.p.columns.age.scale=none", "inputs.p.columns.wage.missing=5"]
    assert nodes(fine(run(columns, sets=sets)))[:2] == [
        "p/age: Impute(age) strategy=median",
        "p/wage/filled: Impute(wage) strategy=constant fill_value=5.0",
    ]
    (problem,) = run(columns, sets=["inputs.p.columns.age.scale=nnoe"]).diagnostics
    assert problem.file == "--set"
    with pytest.raises(UsageError, match="has no keys"):
        run("age: nmuber", sets=["inputs.p.columns.age.scale=none"])


def test_a_value_of_a_variable_names_its_line(run: Any) -> None:
    rest = "vars: {how: medain}\nlayers: []"
    (problem,) = run('age: {type: number, missing: "${how}"}', rest).diagnostics
    assert problem.hint == "did you mean 'median'?; the value is set at line 4"
    assert found(run('age: {type: number, missing: "${hwo}"}', rest)) == [("GS108", 3, 44)]


def plain(columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "s",
        "inputs": {"p": {"columns": columns, **more}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {}},
    }


@pytest.mark.slow
def test_a_record_of_many_columns() -> None:
    spec, problems = parse(plain(dict.fromkeys(map("c{}".format, range(MAX_PARTS)), "number")))
    assert spec is not None
    assert problems == []
    assert len(spec.nodes) == 2 * MAX_PARTS + 2
    _, problems = parse(plain(dict.fromkeys(map("c{}".format, range(MAX_PARTS + 1)), "number")))
    assert [d.code for d in problems] == ["GS110"]


def test_the_longest_names() -> None:
    long = ["a" * 250, "b" * 3]
    columns = dict.fromkeys(long, "category")
    _, problems = parse(plain(columns, crosses=[long]))
    (found,) = [d for d in problems if d.path.startswith("inputs.p.crosses")]
    assert found.message == "a cross of record 'p' has a name of 256 characters, at most 255"
    _, problems = parse(plain({"a" * 256: "number"}))
    assert [d.hint for d in problems] == ["shorten it"]


def test_marks_of_a_dict_are_paths() -> None:
    columns = {"age": {"type": "number", "missing": "bfill"}, "Job title": "number"}
    _, problems = parse(plain(columns))
    assert [d.path for d in sorted(problems, key=Diagnostic.sort_key)] == [
        "inputs.p.columns.age.missing",
        "inputs.p.columns.Job title",
    ]
