"""Rows of unusual values, and what networks answer for them in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from sketching import sketch

import graphspec as gs
from graphspec.export.prove import UNUSUAL_TEXTS, Keys, drawn, keys_of, scaled_down, unusual_rows
from graphspec.graph.ir.graph import MISSING_INTEGER, Type
from specs import dense_spec

TEXT = Type("string", ("N", 1))


def test_the_unusual_texts() -> None:
    assert "" in UNUSUAL_TEXTS
    assert max(map(len, UNUSUAL_TEXTS)) == 5000
    assert any(not text.isascii() for text in UNUSUAL_TEXTS)
    assert any("\n" in text and "\x07" in text for text in UNUSUAL_TEXTS)
    assert len(set(UNUSUAL_TEXTS)) == len(UNUSUAL_TEXTS)
    for text in UNUSUAL_TEXTS:
        assert text.encode().decode() == text


def test_what_the_lookups_of_an_input_know() -> None:
    g, a, b, c, _ = sketch({"a": TEXT, "b": TEXT, "c": Type("int64", ("N", 1)), "d": TEXT})
    tokens = g.Tokenizer(g.Identity(a), mark=0, mincharnum=1, pad_value="", separators=(" ",))
    ids = g.LabelEncoder(tokens, keys_strings=("", "one", "two"), values_int64s=(0, 2, 3))
    g.LabelEncoder(ids, keys_int64s=(2, 3), values_int64s=(0, 1))  # its keys are ids of the first one
    g.LabelEncoder(b, keys_strings=("x", "y"), values_int64s=(1, 2))
    g.LabelEncoder(c, keys_int64s=(90210, 7), values_int64s=(1, 2))
    assert keys_of(g.graph, "a") == Keys(["one", "two"], words=True)
    assert keys_of(g.graph, "b") == Keys(["x", "y"])
    assert keys_of(g.graph, "c") == Keys([90210, 7])
    assert keys_of(g.graph, "d") is None


def test_drawn_elements_are_known_ones() -> None:
    single = drawn("a", Keys(["x", "y"]), (20, 3))
    assert (single.dtype, single.shape, set(single.flat)) == (object, (20, 3), {"x", "y"})
    several = drawn("a", Keys(["x", "y"], words=True), (20, 1))
    assert {word for text in several.flat for word in text.split(" ")} == {"x", "y"}
    assert len({len(text) for text in several.flat}) > 3
    numbers = drawn("a", Keys([90210, 7]), (20, 1))
    assert (numbers.dtype, set(numbers.flat.__iter__())) == (np.int64, {90210, 7})
    np.testing.assert_array_equal(single, drawn("a", Keys(["x", "y"]), (20, 3)))


def gaps_spec(**more: Any) -> dict[str, Any]:
    layers = [
        {"name": "full", "type": "Impute", "strategy": "zero", "inputs": "x"},
        {"name": "kind", "type": "Dense", "units": 3},
    ]
    return dense_spec(layers=layers, outputs={"kind": {}}, **more)


def test_rows_of_numbers_with_gaps() -> None:
    model = gs.compile(gaps_spec())
    found = unusual_rows(model, {"x": np.ones((2, 4), np.float32)})
    assert found is not None
    missing = np.isnan(found["x"]).all(1)
    assert missing[0]
    assert 0 < missing.sum() < len(missing)
    integers = gs.compile(gaps_spec(inputs={"x": {"shape": [4], "dtype": "int64"}}))
    found = unusual_rows(integers, {"x": np.ones((1, 4), np.int64)})
    assert found is not None
    assert (found["x"][0] == MISSING_INTEGER).all()


def test_a_network_without_texts_and_gaps_has_none() -> None:
    assert unusual_rows(gs.compile(dense_spec()), {"x": np.ones((1, 4), np.float32)}) is None


def test_texts_are_not_scaled_down() -> None:
    texts = np.array([["a"], [""]], object)
    feeds = scaled_down({"t": texts, "x": np.array([[1.5], [np.nan]], np.float32)}, 0.5)
    assert feeds is not None
    assert feeds["t"] is texts
    np.testing.assert_array_equal(feeds["x"], [[0.75], [np.nan]])
    assert scaled_down({"t": texts}, 0.5) is None
