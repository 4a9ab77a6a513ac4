"""What is offered at the cursor: at least what yaml-language-server offers, and in one-line mappings, too."""

from __future__ import annotations

import pytest
from editor.documents import BRANCHES, at_cursor
from editor.positions import COMPLETIONS, EVERY_LAYER, Completion

from graphspec.editor.analysis import Analysis
from graphspec.editor.completion import Item, complete
from graphspec.editor.document import applied

NODES = "layers:\n  - {name: a, type: Dense, units: 2}\n"
HERE = (
    # one-line mappings, where yaml-language-server offers nothing without a first letter
    Completion(
        "layers:\n  - {name: a, type: Dense, ▮}", ("units", "activation", "inputs"), ("name", "type", "filters")
    ),
    Completion("layers:\n  - {name: a, type: Dense, units: 3, ▮}", ("activation",), ("units", "name")),
    Completion("layers: [{name: a, type: Conv2D, ▮}]", ("filters", "kernel_size"), ("units",)),
    Completion("layers:\n  - {name: a, type: Dense, ▮, units: 3}", ("activation",), ("units",)),
    Completion("training: {optimizer: {type: SGD, ▮}}", ("learning_rate", "momentum"), ("beta_1", "type")),
    Completion("inputs: {p: {columns: {age: {type: number, ▮}}}}", ("missing", "scale"), ("vocabulary",)),
    Completion("outputs: {y: {▮}}", ("loss", "metrics"), ("learning_rate",)),
    Completion("outputs: {y: {loss: {type: huber, ▮}}}", ("delta",), ("from_logits",)),
    Completion("outputs: {y: {metrics: [accuracy, ▮]}}", ("AUC",), ("Metric",)),
    Completion("outputs: {y: {metrics: [{type: AUC, ▮}]}}", ("curve", "num_thresholds"), ()),
    Completion("training: {callbacks: [{type: EarlyStopping, ▮}]}", ("patience", "monitor"), ("filepath",)),
    Completion("data: {train: {▮}}", ("file", "query"), ("split",)),
    # half-written lines, with more lines after them
    Completion(
        "layers:\n  - {name: a, type: Dense, u▮\n  - {name: b, type: Flatten}\n", ("units", "use_bias"), ("filters",)
    ),
    Completion("layers:\n  - {name: a, type: ▮\n  - {name: b, type: Flatten}\n", ("Dense",), (), EVERY_LAYER),
    Completion("layers:\n  - {name: a, type: Dense, activation: re▮\n  - {name: b}\n", ("relu",), ()),
    Completion(
        "layers:\n  - name: a\n    type: Dense\n    u▮\n  - {name: b, type: Flatten}\n", ("units",), ("filters",)
    ),
    Completion("layers:\n  - name: a\n    type: Dense\n    ▮\n    units: 2\n", ("activation",), ("units",)),
    Completion('layers:\n  - {name: a, type: "De▮"}', ("Dense",), (), EVERY_LAYER),
    # an unknown type: the arguments of the one that it is like
    Completion("layers:\n  - {name: a, type: Dnse, ▮}", ("units", "activation"), ("filters",)),
    Completion("layers:\n  - {name: a, type: Linear, ▮}", ("units",), ("filters",)),
    # formulas
    Completion(
        f'{NODES}  - {{name: b, type: Formula, value: "2 * (a + ▮)"}}',
        ("x", "a", "sqrt", "where"),
        ("b", "Dense"),
        EVERY_LAYER,
    ),
    Completion(f'{NODES}  - {{name: b, type: Formula, value: "ab▮"}}', ("a", "abs"), ("b",), EVERY_LAYER),
    # names
    Completion(f"{NODES}  - {{name: b, type: Add, inputs: [a, ▮]}}", ("x", "a"), ("b",)),
    Completion(f"{NODES}  - {{name: b, type: Add, inputs: ▮}}", ("x", "a"), ("b",)),
    Completion(f"{NODES}  - {{name: b, share: ▮}}", ("a",), ("b", "x")),
    Completion(f"{NODES}  - {{name: b, type: LSTM, units: 1, initial_state: ▮}}", ("a",), ()),
    Completion("blocks: {two: {inputs: x, layers: [], outputs: x}}\nlayers:\n  - {name: b, block: ▮}", ("two",), ()),
    Completion(
        "blocks:\n  two: {params: {n: 1}, inputs: x, layers: [], outputs: x}\nlayers:\n  - {block: two, params: {▮}}",
        ("n",),
    ),
    Completion(
        "blocks:\n  two:\n    inputs: [p, q]\n    layers: [{name: m, type: Add, inputs: [▮]}]\n", ("p", "q"), ("x", "m")
    ),
    Completion("outputs: {▮}", ("y",), ()),
    Completion("outputs:\n  ▮", ("y",), ()),
    Completion("outputs: {head: {layer: ▮}}", ("y",), ()),
    Completion("data: {validation: {split: 0.1, stratify: ▮}}", ("y",), ()),
    Completion("data: {train: {inputs: {▮}}}", ("x",), ("y",), 1),
    Completion("data: {train: {targets: {▮}}}", ("y",), ("x",), 1),
    Completion("data: {train: {windows: {length: 4, future: [▮]}}}", ("x",), ("y",), 1),
    Completion("data: {train: {windows: {length: 4, static: ▮}}}", ("x",), ("y",)),
    Completion(
        "layers: [{name: a, type: WindowScaling}, {name: b, type: ReLU}]\noutputs: {b: {scale: {window: ▮}}}",
        ("a",),
        ("b", "x"),
        1,
    ),
    Completion("vars: {wide: 3}\nlayers: [{name: y, type: Dense, units: $▮}]", ("${wide}",), ()),
)


def labels(items: list[Item]) -> list[str]:
    return [item.label for item in items]


@pytest.mark.parametrize("wanted", [*COMPLETIONS, *HERE], ids=lambda wanted: wanted.text)
def test_offered(wanted: Completion) -> None:
    found = labels(complete(*at_cursor(wanted.text)))
    assert [label for label in wanted.offered if label not in found] == [], found[:50]
    assert [label for label in wanted.absent if label in found] == []
    assert len(found) <= wanted.at_most
    assert len({*found}) == len(found)


@pytest.mark.parametrize(
    "text",
    [
        "# ▮",
        "layers:\n  - {name: a, type: Dense} # ▮",
        "description: >\n  a long te▮xt",
        "layers: [{name: a, type: Dense} ▮]",
        "layers:\n  - name: a\n    type: # ▮",
    ],
)
def test_nothing_is_offered_in_comments_and_texts(text: str) -> None:
    assert complete(*at_cursor(text)) == []


@pytest.mark.parametrize("text", ["▮", "gra▮", "{▮}", "# ours\n▮"])
def test_a_document_that_begins_may_become_a_spec(text: str) -> None:
    assert {"graphspec", "inputs", "layers"} <= {*labels(complete(*at_cursor(text, whole=True)))}


def test_nothing_is_offered_in_other_documents() -> None:
    assert complete(Analysis("version: 2\njobs: {}\n", "ci.yaml"), 11) == []


@pytest.mark.parametrize(
    ("text", "label", "after"),
    [
        ("layers:\n  - {name: a, type: Dense, ▮}", "units", "{name: a, type: Dense, units: }"),
        ("layers:\n  - {name: a, type: Dense, un▮: 3}", "units", "{name: a, type: Dense, units: 3}"),
        ("layers:\n  - {name: a, type: De▮nse}", "Dense", "{name: a, type: Dense}"),
        ("layers:\n  - {name: a, type:▮}", "Dense", "{name: a, type: Dense}"),
        ('layers:\n  - {name: a, type: "De▮"}', "Dense", '{name: a, type: "Dense"}'),
        ("layers:\n  - {name: 😀é, type: De▮}", "Dense", "{name: 😀é, type: Dense}"),
    ],
)
def test_what_is_written(text: str, label: str, after: str) -> None:
    analysis, offset = at_cursor(text)
    items = {item.label: item for item in complete(analysis, offset)}
    assert applied(analysis.text.text, [items[label].edit]).rpartition("- ")[2] == after


def test_json_has_quotes() -> None:
    text = '{"graphspec": 1, "layers": [{"name": "a", "type": ▮, }]}'
    analysis, offset = at_cursor(text, "spec.json", whole=True)
    (dense,) = [item for item in complete(analysis, offset) if item.label == "Dense"]
    assert dense.edit.text == '"Dense"'
    analysis, offset = at_cursor(text.replace("▮, ", '"Dense", ▮'), "spec.json", whole=True)
    found = {item.label: item.edit.text for item in complete(analysis, offset)}
    assert (found["units"], found["use_bias"]) == ('"units": ', '"use_bias": ')
    text = '{"graphspec": 1, "layers": [{"name": "a", "type": "Dense", "un▮": 1}]}'
    analysis, offset = at_cursor(text, "spec.json", whole=True)
    (units,) = [item for item in complete(analysis, offset) if item.label == "units"]
    assert applied(analysis.text.text, [units.edit]) == text.replace("un▮", "units")


def test_required_keys_come_first_and_are_explained() -> None:
    items = complete(*at_cursor("layers:\n  - {name: a, type: Conv2D, ▮}"))
    first = sorted(items, key=lambda item: item.rank)[:2]
    assert labels(first) == ["filters", "kernel_size"]
    assert first[0].detail == "integer ≥ 1, required"
    assert "number of output channels" in first[0].text


def test_classes_have_their_first_sentence() -> None:
    items = {item.label: item for item in complete(*at_cursor("layers:\n  - {name: a, type: ▮}"))}
    assert items["Dense"].text.startswith("An affine map")


def test_losses_that_fit_come_first() -> None:
    text = BRANCHES.replace("Flaten", "Flatten").replace(
        "kernel_size: 3, inputs", "kernel_size: 3, padding: same, inputs"
    )
    text = text.replace("loss: sparse_categorical_crossentropy", "loss: ")
    items = {item.label: item for item in complete(Analysis(text, "spec.yaml"), text.index("loss: ") + 6)}
    assert items["sparse_categorical_crossentropy"].rank < items["binary_crossentropy"].rank
    assert "softmax" in items["binary_crossentropy"].detail


def test_names_have_their_shapes() -> None:
    text = BRANCHES.replace("inputs: [b1, b2]", "inputs: [b1, ]")
    items = {item.label: item for item in complete(Analysis(text, "spec.yaml"), text.index("[b1, ]") + 5)}
    assert (items["b2"].detail, items["image"].detail) == ("(N, 26, 26, 64)", "(N, 28, 28, 1)")
