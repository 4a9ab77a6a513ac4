"""Lookups, in onnxruntime: against values of Keras, and what no other layer does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_cases import load_texts
from preparing import layer_of, learnt, lowered, prepared, texts
from pydantic import ValidationError

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import LearntSize
from graphspec.graph.ir.graph import Graph, Type, Value

GOLDEN = load_texts()
LOOKUPS = [case for case in GOLDEN["cases"] if case["layer"].endswith("Lookup")]


def check_golden(case: dict[str, Any]) -> None:
    """Learn from Keras's data in batches, and compare the vocabulary and the output."""
    make = texts if case["layer"] != "IntegerLookup" else np.array
    layer = layer_of({"type": case["layer"], **case["arguments"]})
    if case["learnt"] is not None:
        rows = make(GOLDEN["data"][case["learnt"]])
        layer = learnt(layer, rows[:2], rows[2:5], rows[5:])
    output = prepared(layer, make(case["given"]))
    assert list(layer.tokens()) == case["vocabulary"]
    assert list(output.shape) == case["shape"]
    np.testing.assert_allclose(output.reshape(-1), case["output"], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("case", LOOKUPS, ids=lambda case: f"{case['layer']}-{case['arguments']}")
def test_lookups_equal_keras(case: dict[str, Any]) -> None:
    check_golden(case)


def test_missing_is_not_unseen() -> None:
    layer = {"type": "StringLookup", "vocabulary": ["a", "b"], "mask_token": "", "missing_tokens": ["NA", "?"]}
    assert prepared(layer, texts([["b"], [""], ["q"], ["NA"], ["?"], ["a"]])).ravel().tolist() == [3, 0, 1, 0, 0, 2]
    hot = prepared({**layer, "output_mode": "one_hot"}, texts([["b"], [""], ["q"], ["NA"]]))
    assert hot.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    lowest = -(2**63)
    numbers = {"type": "IntegerLookup", "vocabulary": [7, 5], "mask_token": lowest, "missing_tokens": [-1]}
    assert prepared(numbers, np.array([[5], [lowest], [9], [-1], [7]])).ravel().tolist() == [3, 0, 1, 0, 2]
    assert prepared(numbers, np.array([[5], [7]], np.int32)).ravel().tolist() == [3, 2]


def test_rare_tokens_are_unseen() -> None:
    config = {"type": "StringLookup", "min_count": 2, "mask_token": "", "missing_tokens": ["NA"]}
    layer = learnt(config, texts([["a"], ["b"], [""], ["a"]]), texts([["c"], [""], ["NA"], ["NA"], ["b"]]))
    assert layer.tokens() == ("b", "a")
    assert prepared(layer, texts([["a"], ["c"], ["b"]])).ravel().tolist() == [3, 1, 2]


def test_nothing_to_learn_from_is_said() -> None:
    config = {"type": "StringLookup", "min_count": 2, "mask_token": ""}
    with pytest.raises(ShapeError, match="there is no token that occurs at least 2 times") as caught:
        learnt(config, texts([["a"], [""], [""]]))
    assert caught.value.code == "GS508"


def test_several_ids_for_unseen_texts() -> None:
    mmh3 = {"zz": 3651995416, "q": 4286712296, "日本": 3302619458}  # hashes of mmh3, another implementation
    layer = {"type": "StringLookup", "vocabulary": ["a"], "mask_token": "", "num_oov_indices": 4}
    found = prepared(layer, texts([*mmh3, "a", ""])[:, None]).ravel()
    assert found.tolist() == [*(1 + h % 4 for h in mmh3.values()), 5, 0]
    seeded = prepared({**layer, "salt": 7, "num_oov_indices": 1000}, texts([*mmh3])[:, None]).ravel()
    assert seeded.tolist() == [1 + h % 1000 for h in (2733004815, 1574606562, 1653305809)]


def test_nasty_texts() -> None:
    nasty = [
        "",
        " ",
        "é",
        "e\u0301",
        "日本語",
        "\U0001f600",
        "مرحبا",
        "\x01",
        "\t\n",
        "x" * 10_000,
        "ＡＢ",
        "\u202eabc",
    ]
    layer = {"type": "StringLookup", "vocabulary": nasty}
    assert prepared(layer, texts(nasty)).tolist() == [*range(1, len(nasty) + 1)]
    assert prepared(layer, texts([[t + "x"] for t in nasty[1:-3]])).ravel().tolist() == [0] * 8
    learnt_layer = learnt({"type": "StringLookup"}, texts(nasty))
    assert set(learnt_layer.tokens()) == set(nasty)


def test_a_size_that_is_to_be_learnt() -> None:
    graph, ids = lowered({"type": "StringLookup", "mask_token": ""}, texts([["a"]]))
    assert isinstance(ids.range.high, LearntSize)
    assert str(ids.range.high) == "node.tokens+1"
    g = Builder(graph, "next")
    hot = layer_of({"type": "CategoryEncoding", "output_mode": "one_hot"}).lower(g, ids)
    assert str(hot.shape[1]) == "node.tokens+2"
    vectors = layer_of({"type": "Embedding", "output_dim": 3}).lower(g, ids)
    assert vectors.shape == ("N", 1, 3)
    assert str(graph.params["next/embeddings"].shape[0]) == "node.tokens+2"
    for mode in ("one_hot", "multi_hot", "count", "tf_idf"):
        _, vector = lowered({"type": "StringLookup", "output_mode": mode}, texts([["a"]]))
        assert str(vector.shape[1]) == "node.tokens+1"
    padded = {"type": "StringLookup", "pad_to_max_tokens": True, "max_tokens": 9}
    assert lowered(padded, texts([["a"]]))[1].range == (0, 8)


def test_ids_without_a_number_of_them() -> None:
    def number(config: dict[str, Any], *arrays: Any) -> Any:
        graph, ids = lowered(config, *arrays)
        return (
            layer_of({"type": "CategoryEncoding", "output_mode": "one_hot"}).lower(Builder(graph, "next"), ids).shape[1]
        )

    assert number({"type": "StringLookup", "vocabulary": ["a", "b"]}, texts([["a"]])) == 3
    assert number({"type": "Hashing", "num_bins": 7}, texts([["a"]])) == 7
    assert number({"type": "Discretization", "bin_boundaries": [0.0, 1.0]}, np.zeros((1, 1), np.float32)) == 3
    g = Builder(Graph("test"), "node")
    raw = Value("raw", Type("int64", ("N", 1)), "input")
    for name, key in (("CategoryEncoding", "num_tokens"), ("Embedding", "input_dim")):
        layer = layer_of({"type": name, **({"output_dim": 2} if name == "Embedding" else {})})
        with pytest.raises(ShapeError, match=f"needs `{key}`") as caught:
            layer.lower(g, raw)
        assert caught.value.code == "GS305"
    both = g.Concat(*(layer_of({"type": "Hashing", "num_bins": n}).lower(g, raw) for n in (5, 9)), axis=1)
    assert layer_of({"type": "CategoryEncoding"}).lower(g, both).shape == ("N", 9)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"vocabulary": ["a", "a"]}, "contains 'a' twice"),
        ({"vocabulary": []}, "at least 1 item"),
        ({"vocabulary": ["a", ""], "mask_token": ""}, "contains the mask token '' at a wrong place"),
        ({"vocabulary": ["[UNK]"]}, "must contain at least one token"),
        ({"vocabulary": ["a", "b"], "max_tokens": 2}, "needs 3 ids, more than the 2 of `max_tokens`"),
        ({"max_tokens": 2, "mask_token": ""}, "must be larger than 2"),
        ({"max_tokens": 1}, "greater than or equal to 2"),
        ({"pad_to_max_tokens": True}, "needs `max_tokens`"),
        ({"num_oov_indices": 0}, "must be at least 1, since the exported graph cannot stop"),
        ({"missing_tokens": ["NA"]}, "needs `mask_token` for `missing_tokens`"),
        ({"invert": True}, "must be false"),
        ({"sparse": True}, "must be false"),
        ({"encoding": "latin-1"}, 'must be "utf-8"'),
        ({"idf_weights": [1.0], "vocabulary": ["a"]}, "must not be set for `output_mode: int`"),
        ({"output_mode": "tf_idf", "vocabulary": ["a"]}, "needs `idf_weights`"),
        ({"output_mode": "tf_idf", "idf_weights": [1.0]}, "needs `vocabulary`"),
        ({"output_mode": "tf_idf", "vocabulary": ["a"], "idf_weights": [1.0, 2.0]}, "one weight per entry"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], text: str) -> None:
    from graphspec.vocabulary.layers.vocabularies import StringLookup

    with pytest.raises(ValidationError) as caught:
        StringLookup.model_validate(arguments)
    assert text in str(caught.value)


def test_a_file_with_a_token_that_is_no_integer(tmp_path: Path) -> None:
    (tmp_path / "years.txt").write_text("2001\nlast year\n", encoding="utf-8")
    layers = [{"name": "w", "type": "IntegerLookup", "vocabulary": str(tmp_path / "years.txt")}]
    spec = {"graphspec": 1, "name": "n", "inputs": {"x": {"shape": [2], "dtype": "int64"}}, "layers": layers}
    (found,) = (d for d in gs.validate(spec | {"outputs": {"w": {}}}) if d.is_error)
    assert "contains tokens that are not allowed" in found.message
    assert found.hint == "write one token per line, and for IntegerLookup an integer"


def test_a_vocabulary_in_a_file() -> None:
    layer = layer_of({"type": "StringLookup", "vocabulary": "towns.txt"})
    assert (layer.vocabulary_file, layer.learns) == ("towns.txt", False)
    with pytest.raises(ShapeError, match=r"has a vocabulary in 'towns\.txt', which has not been read"):
        lowered(layer, texts([["a"]]))
    full = layer.with_vocabulary(["Rome", "Oslo"])
    assert (full.vocabulary_file, full.tokens()) == (None, ("Rome", "Oslo"))
    numbers = layer_of({"type": "IntegerLookup", "vocabulary": "years.txt"})
    assert numbers.with_vocabulary(["7", "-3"]).tokens() == (7, -3)
    with pytest.raises(ValueError, match="contains 'x' at place 2"):
        numbers.with_vocabulary(["7", "x"])


def test_inputs_of_another_dtype() -> None:
    for config, array, text in [
        ({"type": "StringLookup"}, np.array([[1]]), "needs texts, got int64"),
        ({"type": "IntegerLookup"}, texts([["a"]]), "needs integers, got string"),
        ({"type": "IntegerLookup"}, np.zeros((1, 1), np.float32), "needs integers, got float32"),
        ({"type": "Dense", "units": 2}, texts([["a"]]), "needs numbers, got string"),
        ({"type": "Embedding", "output_dim": 2, "input_dim": 2}, texts([["a"]]), "needs numbers, got string"),
        ({"type": "Flatten"}, texts([["a"]]), None),
    ]:
        if text is None:
            assert lowered(config, array)[1].type.is_string
            continue
        with pytest.raises(ShapeError, match=text) as caught:
            lowered(config, array)
        assert caught.value.code == "GS306"


def test_case_is_folded_in_the_file_as_in_the_runtime(tmp_path: Path) -> None:
    """Letters beyond ASCII, too: onnxruntime folds them in browsers alone, so the graph's table has both."""
    column = {"type": "category", "fold_case": True, "min_count": 1, "missing_values": ["N/A"]}
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "folded",
            "inputs": {"row": {"columns": {"town": column}}},
            "layers": [{"name": "y", "type": "Dense", "units": 1}],
            "outputs": {"y": {"loss": "mse"}},
            "training": {"optimizer": "adam", "epochs": 1},
        }
    )
    towns = texts([["Köln"], ["KÖLN"], ["köln"], ["Ulm"], ["ulm"], ["n/a"], [""], ["ÉLAN"]])
    model.fit({"town": towns}, np.arange(8, dtype=np.float32)[:, None], verbose=0)
    layer = next(node.layer for node in model.spec.nodes if node.type == "StringLookup")
    assert layer is not None
    assert layer.tokens() == ("köln", "ulm", "élan")
    model.export(tmp_path / "m.onnx")  # equal to onnxruntime
    new = texts([["kÖLN"], ["köln"], ["ULM"], ["ulm"], ["N/a"], [""], ["élan"], ["Élan"], ["Bonn"], ["x"]])
    answers = model.predict({"town": new})[:, 0].tolist()
    assert answers[::2] == answers[1::2]
    assert len(set(answers)) == 5


def test_folded_ids_are_not_hashed() -> None:
    layer = {"name": "ids", "type": "StringLookup", "fold_case": True, "num_oov_indices": 2}
    inputs, outputs = {"x": {"shape": [1], "dtype": "string"}}, {"ids": {}}
    found = gs.validate({"graphspec": 1, "name": "a", "inputs": inputs, "layers": [layer], "outputs": outputs})
    assert "`fold_case` of StringLookup 'ids' cannot be used with several `num_oov_indices`" in str(found[0])
