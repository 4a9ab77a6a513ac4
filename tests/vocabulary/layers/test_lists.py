"""Layers on lists of texts: the characters at the ends of each token, and the mask of padded ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from preparing import layer_of, texts

import graphspec as gs
from graphspec.base.errors import SpecError, UsageError
from graphspec.vocabulary.layers.text import TextVectorization

TOKENS = texts([["cab", "é", "", ""], ["abcde", "b\U0001f600", "x", ""]])
CHARACTERS = ["a", "b", "c", "é", "\U0001f600"]  # ids from 2; d, e and x are unseen, 1


def spec(**arguments: Any) -> dict[str, Any]:
    ends = {"name": "ends", "type": "TextVectorization", "standardize": None, "split": "character", **arguments}
    cast = {"name": "y", "type": "ops.cast", "dtype": "float32"}
    return {
        "graphspec": 1,
        "name": "ends",
        "inputs": {"tokens": {"shape": [None], "dtype": "string"}},
        "layers": [ends, cast],
        "outputs": {"y": {}},
    }


def ids(**arguments: Any) -> list[Any]:
    model = gs.compile(spec(vocabulary=CHARACTERS, **arguments))
    return model.predict({"tokens": TOKENS}).astype(int).tolist()  # type: ignore[no-any-return]


def test_the_first_characters_of_each_token() -> None:
    assert ids(output_sequence_length=3) == [
        [[4, 2, 3], [5, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[2, 3, 4], [3, 6, 0], [1, 0, 0], [0, 0, 0]],
    ]


def test_the_first_and_the_last_ones() -> None:
    assert ids(output_sequence_length=5, last=3) == [
        [[4, 2, 4, 2, 3], [5, 0, 0, 0, 5], [0] * 5, [0] * 5],
        [[2, 3, 4, 1, 1], [3, 6, 0, 3, 6], [1, 0, 0, 0, 1], [0] * 5],
    ]


def test_the_last_ones_alone() -> None:
    assert ids(output_sequence_length=2, last=2)[1] == [[1, 1], [3, 6], [0, 1], [0, 0]]


def test_characters_are_learnt_from_all_tokens_the_most_frequent_first() -> None:
    layer = layer_of({**spec(output_sequence_length=2)["layers"][0]} | {"name": None})
    assert isinstance(layer, TextVectorization)
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Graph, Type, Value

    graph = Graph("test")
    X = Value("x", Type("string", ("N", "time")), "input")
    with Builder(graph, "node") as g:
        assert layer.learning_input(g, X) is X
    learner = layer.learner(X)
    learner.add(TOKENS)
    learner.add(texts([["bb"]]))
    assert learner.state()["vocabulary"] == ["b", "c", "a", "\U0001f600", "é", "x", "e", "d"]


def test_an_empty_batch_of_padding_has_no_characters() -> None:
    model = gs.compile(spec(vocabulary=CHARACTERS, output_sequence_length=3, last=1))
    assert model.predict({"tokens": texts([["", ""]])}).tolist() == [[[0.0] * 3] * 2]


def test_more_last_characters_than_there_are_ids() -> None:
    with pytest.raises(UsageError, match="must not be larger than `output_sequence_length`"):
        TextVectorization(split="character", output_sequence_length=2, last=3)


MASKED: dict[str, Any] = {
    "graphspec": 1,
    "name": "masked",
    "inputs": {"x": {"shape": ["time", 2]}, "ids": {"shape": ["time"], "dtype": "int64"}},
    "layers": [
        {"name": "known", "type": "Masking", "inputs": ["x", "ids"]},
        {"name": "near", "type": "Conv1D", "filters": 1, "kernel_size": 3, "padding": "same", "inputs": "known"},
        {"name": "mean", "type": "GlobalAveragePooling1D", "inputs": "known"},
    ],
    "outputs": {"near": {}, "mean": {}},
}


def test_steps_whose_id_is_0_are_masked_and_0() -> None:
    checked = gs.compile(MASKED)
    x = np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2)
    found = checked.predict({"x": x, "ids": [[4, 1, 0], [2, 0, 0]]})
    assert found["mean"].tolist() == [[2.0, 3.0], [7.0, 8.0]]
    short = checked.predict({"x": x[:, :2], "ids": [[4, 1], [2, 0]]})
    np.testing.assert_allclose(found["near"][:, :2], short["near"], atol=1e-6)
    assert not [w for w in checked.warnings if w.code == "GS308"]


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ({"type": "Conv1D", "filters": 1, "kernel_size": 3, "padding": "same"}, False),
        ({"type": "Conv1D", "filters": 1, "kernel_size": 3, "padding": "causal"}, False),
        ({"type": "Conv1D", "filters": 1, "kernel_size": 3}, True),
        ({"type": "MaxPooling1D", "padding": "same"}, True),  # beyond the end is nothing, not 0
    ],
    ids=lambda value: value["type"] + value.get("padding", "") if isinstance(value, dict) else "",
)
def test_only_what_pads_with_zeros_may_follow_zeros_without_a_warning(layer: dict[str, Any], told: bool) -> None:
    layers = [MASKED["layers"][0], {"name": "near", **layer}]
    checked = gs.compile(MASKED | {"layers": layers, "outputs": {"near": {}}})
    assert bool([w for w in checked.warnings if w.code == "GS308"]) is told


def test_ids_of_another_shape_are_refused() -> None:
    wrong = MASKED | {"inputs": {"x": {"shape": [4, 2]}, "ids": {"shape": [3], "dtype": "int64"}}}
    with pytest.raises(SpecError, match="needs ids of the shape \\(N, 4\\) as its second input"):
        gs.compile(wrong)
