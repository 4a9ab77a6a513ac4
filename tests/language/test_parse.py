"""Documents → specs, and every diagnostic about the document itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from counting import assert_linear

from graphspec.base.errors import Diagnostic
from graphspec.language.declarations import Spec
from graphspec.language.parse import parse

TOP = "graphspec: 1\nname: s\ninputs: {x: {shape: [4]}}\n"
END = "outputs: {out: {loss: mse}}\n"
LAYERS = "layers:\n- {name: out, type: Dense, units: 1}\n"
FINE = TOP + LAYERS + END


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def parsed(text: str, sets: tuple[str, ...] = ()) -> tuple[Spec | None, list[Diagnostic]]:
        path = tmp_path / "s.yaml"
        path.write_text(text)
        return parse(path, sets)

    return parsed


def node(entry: str) -> str:
    """A spec with one more node, at line 5, before the head."""
    return TOP + f"layers:\n- {entry}\n- {{name: out, type: Dense, units: 1, inputs: x}}\n{END}"


def head(body: str) -> str:
    return TOP + LAYERS + f"outputs:\n  out: {body}\n"


def section(text: str) -> str:
    return FINE + text + "\n"


def search(space: str, more: str = "") -> str:
    return section(f"search: {{space: {{{space}}}{more}}}")


WRONG = "vars: {a: '${zz}'}\n"
BLOCK = "blocks: {{b: {{inputs: {}, layers: [{{name: {}, type: Dense, units: 1, inputs: i}}], outputs: [i]}}}}"


def record(columns: str) -> str:
    return FINE.replace("{shape: [4]}", f"{{columns: {{{columns}}}")


def nested(count: int, name: str) -> str:
    """Blocks that have each other, from line 7 on."""
    inner = [
        f"  b{k}: {{inputs: [i], layers: [{{name: {name}, block: b{k + 1}, inputs: i}}], outputs: [{name}]}}"
        for k in range(count)
    ]
    last = f"  b{count}: {{inputs: [i], layers: [{{name: n, type: Dense, units: 2, inputs: i}}], outputs: [n]}}"
    return section("\n".join(["blocks:", *inner, last]))


def test_a_whole_spec(run: Any, tmp_path: Path) -> None:
    text = """
graphspec: 1
name: newswires
description: Topics.
vars: {units: 64, file: data/n}
inputs:
  words: {shape: [null, 7, time], dtype: int64}
layers:
- {name: hidden, type: Dense, units: "${units}", activation: relu, kernel_regularizer: {type: L2, l2: 0.1}}
- {name: read, type: LSTM, units: 3, initial_state: [hidden, "hidden:1"], trainable: false}
- {name: twin, share: hidden, inputs: words}
- {name: topic, type: Dense, units: 3, activation: softmax, inputs: read}
outputs:
  topic:
    {loss: mse, metrics: [accuracy], weight: 2, class_weight: {b: 2, 2: 0.5}, labels: [a, b, c]}
  twin:
training:
  optimizer: {type: RMSprop, learning_rate: 0.01}
  epochs: 20
  callbacks: [{type: EarlyStopping, patience: 3}]
  workers: auto
data:
  train: {file: "${file}_train.npz", targets: {topic: y}}
  validation: {split: 0.1, stratify: topic}
"""
    spec, found = run(text)
    assert found == []
    assert (spec.name, spec.description, spec.base) == ("newswires", "Topics.", tmp_path)
    words = spec.inputs["words"]
    assert (words.shape, words.dtype, words.mark.line) == (("words_1", 7, "time"), "int64", 7)
    hidden, read, twin, topic = spec.nodes
    assert (hidden.name, hidden.type, hidden.layer.units, hidden.share) == ("hidden", "Dense", 64, None)
    assert hidden.layer.kernel_regularizer.l2 == 0.1
    assert (hidden.mark.line, hidden.mark.column, hidden.mark.length) == (9, 4, len("name: hidden"))
    assert [(ref.name, ref.output) for ref in read.call["initial_state"]] == [("hidden", 0), ("hidden", 1)]
    assert not read.trainable
    assert (twin.share, twin.type, [ref.name for ref in twin.inputs]) == ("hidden", "Dense", ["words"])
    assert twin.layer is hidden.layer
    assert topic.inputs[0].name == "read"
    first, second = spec.heads.values()
    assert (first.layer.name, first.weight, first.class_weight, first.labels) == (
        "topic",
        2.0,
        {1: 2.0, 2: 0.5},
        list("abc"),
    )
    assert len(first.metrics) == 1
    assert not first.wrong
    assert second.loss is None
    training = spec.training
    assert (training.epochs, training.batch_size, training.workers, training.combine) == (20, 32, "auto", "mean")
    assert (type(training.optimizer).__name__, training.optimizer.learning_rate) == ("RMSprop", 0.01)
    assert training.callbacks[0].patience == 3
    assert spec.data["train"].file == tmp_path / "data/n_train.npz"
    assert spec.data["train"].targets == {"topic": "y"}
    assert (spec.data["validation"].split, spec.data["validation"].stratify) == (0.1, "topic")
    assert spec.document["vars"] == {"units": 64, "file": "data/n"}


def test_defaults(run: Any) -> None:
    spec, found = run(FINE)
    assert found == []
    training = spec.training
    assert type(training.optimizer).__name__ == "RMSprop"
    assert (training.epochs, training.batch_size, training.shuffle, training.seed) == (1, 32, True, 0)
    assert (training.workers, training.combine, training.callbacks, spec.data) == (1, "mean", [], {})


def test_a_dict_is_a_spec_too(run: Any) -> None:
    spec, found = parse(
        {
            "graphspec": 1,
            "name": "s",
            "inputs": {"x": {"shape": (None, 4)}},
            "layers": [{"name": "out", "type": "Dense", "units": 0}],
            "outputs": {"out": {}},
        }
    )
    assert spec is not None
    assert spec.base is None
    (problem,) = found
    assert (problem.code, problem.file, problem.line, problem.path) == ("GS105", "<dict>", None, "layers.out.units")


def test_overrides_are_part_of_the_document(run: Any) -> None:
    spec, found = run(FINE, ("layers.out.units=7", "training.epochs=0"))
    assert spec.nodes[0].layer.units == 7
    assert spec.document["layers"][0]["units"] == 7
    (problem,) = found
    assert (problem.code, problem.file, problem.path) == ("GS105", "--set", "training.epochs")


# Every code of the document: text → code, line, column, words of the message or hint

GS1: dict[str, tuple[str, str, int, int, str]] = {
    "101 no yaml": ("a: [", "GS101", 1, 5, "not YAML"),
    "102 document key": (FINE + "trainig: {}\n", "GS102", 7, 1, "did you mean 'training'?"),
    "102 argument": (node("{type: Dense, units: 1, activaton: relu}"), "GS102", 5, 27, "did you mean 'activation'?"),
    "102 misspelt required": (node("{type: Dense, unit: 1}"), "GS102", 5, 17, "did you mean 'units'?"),
    "102 argument of an argument": (
        node("{type: Dense, units: 1, kernel_regularizer: {type: L2, l1: 1}}"),
        "GS102",
        5,
        58,
        "unknown key 'l1' of L2 in Dense 'dense_1'",
    ),
    "102 input key": (FINE.replace("shape: [4]", "shape: [4], dtyp: bool"), "GS102", 3, 26, "did you mean 'dtype'?"),
    "102 head key": (head("{los: mse}"), "GS102", 7, 9, "did you mean 'loss'?"),
    "102 training key": (section("training: {epoch: 3}"), "GS102", 7, 12, "did you mean 'epochs'?"),
    "102 data part": (section("data: {tets: {file: a}}"), "GS102", 7, 8, "did you mean 'test'?"),
    "102 data key": (section("data: {test: {file: a, split: 0.2}}"), "GS102", 7, 24, "unknown key 'split'"),
    "102 data input": (section("data: {test: {file: a, inputs: {xx: a}}}"), "GS102", 7, 33, "did you mean 'x'?"),
    "102 data target": (section("data: {test: {file: a, targets: {outt: a}}}"), "GS102", 7, 34, "did you mean 'out'?"),
    "103 document": ("graphspec: 1\nname: s\n" + LAYERS + END, "GS103", 1, 1, "`inputs`"),
    "103 argument": (node("{name: d, type: Dense}"), "GS103", 5, 4, "Dense 'd' needs `units`"),
    "103 type": (node("{name: d, units: 3}"), "GS103", 5, 4, "`type`"),
    "103 inner type": (node("{type: Dense, units: 1, kernel_regularizer: {l2: 1}}"), "GS103", 5, 47, "regularizer"),
    "103 shape": (FINE.replace("{shape: [4]}", "{dtype: bool}"), "GS103", 3, 14, "`shape`"),
    "103 file": (section("data: {test: {inputs: {x: a}}}"), "GS103", 7, 15, "`file`"),
    "103 file or split": (section("data: {validation: {}}"), "GS103", 7, 20, "`split`"),
    "104 integer": (node("{type: Dense, units: '3'}"), "GS104", 5, 24, "must be an integer, not '3'"),
    "104 no float": (node("{type: Dense, units: 3.0}"), "GS104", 5, 24, "not 3.0"),
    "104 no bool": (node("{type: Dense, units: true}"), "GS104", 5, 24, "not true"),
    "104 null": (node("{type: Dense, units: null}"), "GS104", 5, 24, "not null"),
    "104 bool": (node("{type: Dense, units: 1, use_bias: 1}"), "GS104", 5, 37, "true or false, not 1"),
    "104 layers": (TOP + "layers: {a: 1}\noutputs: {o: {layer: y}}\n", "GS104", 4, 9, "list of nodes"),
    "104 inputs": (FINE.replace("{x: {shape: [4]}}", "[x]"), "GS104", 3, 9, "`inputs`"),
    "104 shape": (FINE.replace("[4]", "4"), "GS104", 3, 21, "must be a list, not 4"),
    "104 dimension": (FINE.replace("[4]", "[1.5]"), "GS104", 3, 22, "not 1.5"),
    "104 outputs": (TOP + LAYERS + "outputs: [out]\n", "GS104", 6, 10, "`outputs`"),
    "104 trainable": (node("{type: Dense, units: 1, trainable: 'no'}"), "GS104", 5, 38, "`trainable`"),
    "104 metrics": (head("{metrics: accuracy}"), "GS104", 7, 18, "must be a list"),
    "104 label": (head("{labels: [a, 1]}"), "GS104", 7, 21, "text, not 1"),
    "104 epochs": (section("training: {epochs: many}"), "GS104", 7, 20, "must be an integer, not 'many'"),
    "104 version": (FINE.replace("graphspec: 1", "graphspec: '1'"), "GS104", 1, 12, "integer"),
    "104 name": (FINE.replace("name: s", "name: 5"), "GS104", 2, 7, "put quotes around it"),
    "104 call argument": (node("{type: LSTM, units: 1, initial_state: [3]}"), "GS104", 5, 42, "initial_state"),
    "105 bound": (node("{type: Dense, units: 0}"), "GS105", 5, 24, "must be >= 1, not 0"),
    "105 nan": (node("{type: Dropout, rate: .nan}"), "GS105", 5, 25, "not .nan"),
    "105 choice": (
        node("{type: Conv2D, filters: 1, kernel_size: 1, padding: smae}"),
        "GS105",
        5,
        55,
        "did you mean 'same'?",
    ),
    "105 three sizes": (node("{type: Conv2D, filters: 1, kernel_size: [1, 2, 3]}"), "GS105", 5, 43, "2 values"),
    "105 one size": (node("{type: Conv2D, filters: 1, kernel_size: [1]}"), "GS105", 5, 43, "not [1]"),
    "105 size": (node("{type: Conv2D, filters: 1, kernel_size: [1, 0]}"), "GS105", 5, 47, ">= 1, not 0"),
    "105 size for both": (node("{type: Conv2D, filters: 1, kernel_size: 0}"), "GS105", 5, 43, ">= 1, not 0"),
    "105 stateful": (node("{type: LSTM, units: 1, stateful: true}"), "GS105", 5, 36, "`stateful` of LSTM"),
    "105 dimension": (FINE.replace("[4]", "[-1]"), "GS105", 3, 22, "at least 1, not -1"),
    "105 batch": (FINE.replace("[4]", "[N, 4]"), "GS105", 3, 22, "do not write the batch axis"),
    "105 dtype": (FINE.replace("[4]", "[4], dtype: float31"), "GS105", 3, 33, "did you mean 'float32'?"),
    "105 spec name": (FINE.replace("name: s", "name: a/b"), "GS105", 2, 7, "a/b"),
    "105 no inputs": (FINE.replace("{x: {shape: [4]}}", "{}"), "GS105", 3, 9, "`inputs` is empty"),
    "105 head weight": (head("{weight: -1}"), "GS105", 7, 17, "not -1"),
    "105 class weight": (head("{class_weight: balancd}"), "GS105", 7, 23, "did you mean 'balanced'?"),
    "105 split": (section("data: {validation: {split: 1}}"), "GS105", 7, 28, "must be < 1, not 1"),
    "105 split and file": (section("data: {validation: {split: 0.1, file: a}}"), "GS105", 7, 28, "cannot be used with"),
    "105 stratify": (section("data: {validation: {file: a, stratify: out}}"), "GS105", 7, 30, "needs `split`"),
    "105 combine": (section("training: {combine: man}"), "GS105", 7, 21, "did you mean 'mean'?"),
    "105 workers": (section("training: {workers: 0}"), "GS105", 7, 21, ">= 1, not 0"),
    "104 data": (section("data: {train: 5}"), "GS104", 7, 15, "for example `train: {file: rows.csv}`"),
    "104 search": (section("search: [a]"), "GS104", 7, 9, "`search` must be a mapping, not ['a']"),
    "104 objective": (search("vars.n: {int: [1, 3]}", ", objective: val_loss"), "GS104", 7, 53, "`{metric: val_loss}`"),
    "104 weights": (section("training: {initial_weights: true}"), "GS104", 7, 29, "weights.safetensors"),
    "105 windows and gaps": (
        section("data: {train: {file: a, drop_missing_targets: true, windows: {length: 4}}}"), "GS105", 7, 47, "fill in",
    ),
    "105 stratify in order": (
        section("data: {train: {file: a.npz}, validation: {split: {last: 0.2}, stratify: out}}"), "GS105", 7, 73, "in order",
    ),
    "105 marks": (section("data: {train: {file: a.csv, decimal: ',', thousands: ','}}"), "GS105", 7, 54, "are both ','"),
    "105 strip": (section("data: {train: {file: a.csv, strip: ['-']}}"), "GS105", 7, 36, "may be a part of a number"),
    "105 no space": (search(""), "GS105", 7, 17, "there is nothing to search"),
    "105 many spaces": (
        search(", ".join(f"vars.a{k}: {{int: [1, 3]}}" for k in range(300))), "GS105", 7, 17, "more than",
    ),
    "105 search of itself": (search("search.trials: {int: [1, 3]}"), "GS105", 7, 18, "is not a setting"),
    "105 step": (search("training.epochs: {int: [1, 30], step: -2}"), "GS105", 7, 56, "must be positive, not -2"),
    "105 dimension's name": (FINE.replace("[4]", "[2x]"), "GS105", 3, 22, "an integer, null or a word"),
    "105 no file": (section("training: {callbacks: [{type: CSVLogger, filename: ''}]}"), "GS105", 7, 52, "not be empty"),
    "106 twice": (FINE + "name: t\n", "GS106", 7, 1, "first at line 2"),
    "107 clash": (node("{name: x, type: Dense, units: 1}"), "GS107", 5, 10, "input at line 3"),
    "108 variable": (node("{type: Dense, units: '${n}'}"), "GS108", 5, 24, "'n'"),
    "107 block input": (section(BLOCK.format("[i]", "i")), "GS107", 7, 43, "has the name of a block input at line 7"),
    "107 crosses": (record("a: category, b: category}, crosses: [[a, b], [a, b]]"), "GS107", 3, 69, "remove one of them"),
    "108 hyphen": (node("{type: Dense, units: '${a-b}'}"), "GS108", 5, 24, "unknown variable 'a-b'"),
    "108 variable of a variable": (node("{type: Dense, units: '${a*2}'}") + WRONG, "GS108", 8, 11, "'zz'"),
    "108 variable of a Formula": (node("{type: Formula, value: x * a}") + WRONG, "GS108", 8, 11, "'zz'"),
    "108 type of a column": (record('a: "${zz}"}'), "GS108", 3, 27, "'zz'"),
    "109 version": (FINE.replace("graphspec: 1", "graphspec: 2"), "GS109", 1, 12, "write `graphspec: 1`"),
    "110 deep": ("a: " + "[" * 101, "GS110", 1, 103, "100 levels"),
    "110 blocks": (nested(45, "n"), "GS110", 47, 48, "nested deeper than 40 levels"),
    "110 names of blocks": (nested(6, "n" * 190), "GS110", 13, 236, "names of nested blocks are longer than 1,000"),
    "111 operation": (node("{type: np.unique}"), "GS111", 5, 10, "a size that depends on values; use StringLookup"),
    "111 layer": (node("{type: Dnse, units: 1}"), "GS111", 5, 10, "did you mean 'Dense'?"),
    "111 layer, case": (node("{type: dense, units: 1}"), "GS111", 5, 10, "did you mean 'Dense'?"),
    "111 activation": (node("{type: Dense, units: 1, activation: rellu}"), "GS111", 5, 39, "did you mean 'relu'?"),
    "111 initializer": (
        node("{type: Dense, units: 1, kernel_initializer: {type: he_norml}}"),
        "GS111",
        5,
        54,
        "did you mean 'he_normal'?",
    ),
    "111 inner layer": (node("{type: Bidirectional, layer: {type: LTSM, units: 1}}"), "GS111", 5, 39, "layer 'LTSM'"),
    "111 loss": (head("{loss: mean_squred_error}"), "GS111", 7, 15, "did you mean 'mean_squared_error'?"),
    "111 metric": (head("{metrics: [acuracy]}"), "GS111", 7, 19, "did you mean 'accuracy'?"),
    "111 optimizer": (section("training: {optimizer: adm}"), "GS111", 7, 23, "unknown optimizer 'adm'"),
    "111 callback": (section("training: {callbacks: [EarlyStoping]}"), "GS111", 7, 24, "did you mean 'EarlyStopping'?"),
    "201 stratify": (section("data: {validation: {split: 0.1, stratify: ot}}"), "GS201", 7, 43, "did you mean 'out'?"),
    "201 call argument": (node("{type: LSTM, units: 1, initial_state: [otu]}"), "GS201", 5, 42, "did you mean 'out'?"),
    "405 class": (head("{class_weight: {a: 1}}"), "GS405", 7, 24, "integer"),
    "405 label": (head("{class_weight: {aple: 1}, labels: [apple, pear]}"), "GS405", 7, 24, "did you mean 'apple'?"),
    "405 twice": (head("{labels: [a, b, a]}"), "GS405", 7, 24, "twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", GS1)
def test_one_mistake_is_one_diagnostic(name: str, run: Any) -> None:
    text, code, line, column, words = GS1[name]
    _, found = run(text)
    assert [(d.code, d.line, d.column) for d in found] == [(code, line, column)], found
    assert words in str(found[0])
    assert found[0].path or code in ("GS101", "GS103")


def test_the_table_has_every_code() -> None:
    assert {name[:3] for name in GS1} >= {str(code) for code in range(101, 112)}


def test_everything_wrong_is_said_in_one_run(run: Any) -> None:
    text = """\
graphspec: 1
nam: s
inputs: {x: {shape: [0]}, y: {shpe: [1]}}
layers:
- {name: a, type: Dense, units: -1, activation: rellu, bias: 3, inputs: z}
- {name: b, type: Dens}
- {name: c, type: Bidirectional, layer: {type: LSTM, units: 0, foo: 1}, merge_mode: concta}
outputs:
  c: {loss: [], metrics: [accuracy, 3], weight: .inf}
  d: {}
training: {epochs: 0, batch_size: '3', callbacks: [{type: EarlyStopping, patience: a}]}
data: {trian: {}, test: {file: 3}}
"""
    _, found = run(text)
    assert [(d.code, d.line, d.column) for d in found] == [
        ("GS102", 2, 1),
        ("GS105", 3, 22),
        ("GS102", 3, 31),
        ("GS105", 5, 33),
        ("GS111", 5, 49),
        ("GS102", 5, 56),
        ("GS201", 5, 73),
        ("GS111", 6, 19),
        ("GS105", 7, 61),
        ("GS102", 7, 64),
        ("GS105", 7, 85),
        ("GS104", 9, 13),
        ("GS104", 9, 37),
        ("GS105", 9, 49),
        ("GS201", 10, 3),
        ("GS105", 11, 20),
        ("GS104", 11, 35),
        ("GS104", 11, 84),
        ("GS102", 12, 8),
        ("GS104", 12, 32),
    ]


def test_a_mistake_in_a_block_is_said_once(run: Any) -> None:
    text = (
        TOP + "blocks:\n  b: {inputs: [a], outputs: [d], layers: [{name: d, type: Dense, units: 0, actvation: relu}]}\n"
    )
    text += "layers:\n- {name: m, block: b, repeat: 5}\n- {name: out, type: Dense, units: 1}\n" + END
    _, found = run(text)
    assert [(d.code, d.line) for d in found] == [("GS105", 5), ("GS102", 5)]


def test_an_unused_block_is_parsed(run: Any) -> None:
    text = (
        TOP + "blocks:\n  b: {inputs: [a], outputs: [d], layers: [{name: d, type: Dense, units: 0}]}\n" + LAYERS + END
    )
    spec, found = run(text)
    assert [(d.code, d.line) for d in found] == [("GS105", 5)]
    assert [n.name for n in spec.nodes] == ["out"]


def test_unknown_variables_hide_nothing_else(run: Any) -> None:
    spec, found = run(node("{type: Dense, units: '${n}', activation: rellu, foo: 1}"))
    assert [d.code for d in found] == ["GS108", "GS111", "GS102"]
    assert spec.nodes[0].layer is None
    spec, found = run(head("{loss: '${l}', weight: -1}"))
    assert [d.code for d in found] == ["GS108", "GS105"]
    assert spec.heads["out"].wrong


def test_copies_of_a_node_are_parsed_once(run: Any) -> None:
    spec, found = run(TOP + "layers: [{name: out, type: Dense, units: 1, repeat: 3}]\n" + END)
    assert found == []
    assert spec.nodes[0].layer is spec.nodes[2].layer
    assert [n.name for n in spec.nodes] == ["out_1", "out_2", "out_3"]


def test_arguments_without_effect_are_accepted(run: Any) -> None:
    text = node(
        "{type: Bidirectional, dtype: float16, layer: {type: LSTM, units: 1, unroll: true, use_cudnn: auto, dtype: x}}"
    )
    assert run(text)[1] == []
    assert run(node("{type: LSTM, units: 1, stateful: false}"))[1] == []


def test_a_spec_that_grows_too_large_is_not_parsed(run: Any) -> None:
    spec, found = run(node("{type: Dense, units: 1, repeat: 1000000}"))
    assert spec is None
    assert [(d.code, d.line, d.column) for d in found] == [("GS110", 5, 35)]


def test_sorted_by_place(run: Any) -> None:
    _, found = run(FINE + "zz: 1\naa: 2\n")
    assert [d.line for d in found] == [7, 8]


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    code = "import sys, graphspec.language.parse; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    names = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"onnx", "onnxruntime", "duckdb", "networkx", "rich", "typer", "scipy"}.isdisjoint(names)


@pytest.mark.slow
def test_parsing_is_linear(run: Any) -> None:
    row = "- {{name: l{}, type: Dense, units: 64, activation: relu, kernel_initializer: he_normal}}\n"

    def make(count: int) -> Any:
        text = TOP + "layers:\n" + "".join(row.format(i) for i in range(count)) + f"outputs: {{l{count - 1}: {{}}}}\n"
        return lambda: run(text)

    assert make(20)()[1] == []
    assert_linear(make, 100, 800)
