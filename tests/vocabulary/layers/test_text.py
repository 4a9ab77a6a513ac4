"""TextVectorization, in onnxruntime: against values of Keras, another tokenizer, and nasty texts."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS
from preparing import layer_of, learnt, lowered, prepared, texts
from pydantic import ValidationError
from vocabulary.layers.test_lookup import GOLDEN, check_golden

from graphspec.base.errors import ShapeError
from graphspec.vocabulary.layers.text import TextVectorization

PUNCTUATION = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
SPACE = "\t\n\v\f\r "
NASTY = [
    "",
    " \t ",
    "...",
    "Don't stop, it's 3.5 e-mails!",
    "Élan ÉLAN élan",
    "e\u0301te\u0301",
    "日本語 テキスト",
    "\U0001f600\U0001f468\u200d\U0001f469 ok",
    "مرحبا بالعالم",
    "\u202eabc\u202c def",
    "a\x00b \x01 \x7f",
    "x" * 10_000,
    "word " * 2_000,
    "'quoted' -- (x) _y_",
    "ＦＵＬＬ ＷＩＤＴＨ",
]


def tokens_of(text: str, standardize: str | None, split: str) -> list[str]:
    """The tokens, by Python alone: those of Keras, with the punctuation inside of words."""
    strips = standardize is not None and "strip" in standardize
    if standardize is not None and "lower" in standardize:
        text = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    if split == "character":
        return [c for c in text if not (strips and c in PUNCTUATION)]
    words = re.split(f"[{SPACE}]+", text)
    return [w for word in words if (w := word.strip(PUNCTUATION) if strips else word)]


@pytest.mark.parametrize(
    "case",
    [case for case in GOLDEN["cases"] if case["layer"] == "TextVectorization"],
    ids=lambda case: f"{case['arguments']}",
)
def test_vectors_equal_keras(case: dict[str, Any]) -> None:
    check_golden(case)


WAYS = [*product(["lower_and_strip_punctuation", "lower", "strip_punctuation", None], ["whitespace", "character"])]


@pytest.mark.parametrize(("standardize", "split"), WAYS)
def test_nasty_texts(standardize: str | None, split: str) -> None:
    """Learn from nasty texts, and look them up: the ids are those of an independent tokenizer."""
    config = {"type": "TextVectorization", "standardize": standardize, "split": split}
    layer = learnt(config, texts(NASTY[:7])[:, None], texts(NASTY[7:])[:, None])
    rows = [tokens_of(text, standardize, split) for text in NASTY]
    counts = Counter(token for row in rows for token in row)
    expected = sorted(counts, key=lambda t: (counts[t], t), reverse=True)
    assert list(layer.tokens()) == expected
    ids = prepared(layer, texts(NASTY)[:, None])
    numbers = {token: k for k, token in enumerate(expected, 2)}
    for row, found in zip(rows, ids.tolist(), strict=True):
        assert found == [numbers[t] for t in row] + [0] * (ids.shape[1] - len(row))


TEXT = st.text(st.sampled_from("aB'é É.-\t日\U0001f600\u3000\x01"), max_size=30)


@SETTINGS
@given(st.lists(TEXT, min_size=1, max_size=5), st.sampled_from(WAYS))
def test_random_texts(given_texts: list[str], way: tuple[str | None, str]) -> None:
    rows = [tokens_of(text, *way) for text in given_texts]
    vocabulary = [*dict.fromkeys(["zz", *(t for row in rows for t in row[::2])])]
    config = {"type": "TextVectorization", "standardize": way[0], "split": way[1], "vocabulary": vocabulary}
    ids = prepared(config, texts(given_texts))
    numbers = {token: k for k, token in enumerate(vocabulary, 2)}
    assert ids.shape[1] == max(map(len, rows))
    for row, found in zip(rows, ids.tolist(), strict=True):
        assert found == [numbers.get(t, 1) for t in row] + [0] * (ids.shape[1] - len(row))


@SETTINGS
@given(
    st.lists(st.text("abc ", max_size=12), min_size=1, max_size=5),
    st.lists(
        st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map(" ".join), min_size=1, max_size=8, unique=True
    ),
    st.sampled_from([2, 3, (2,), (3, 1), (2, 4)]),
    st.sampled_from(["int", "multi_hot", "count"]),
)
def test_random_ngrams(given_texts: list[str], vocabulary: list[str], ngrams: Any, mode: str) -> None:
    config = {"type": "TextVectorization", "vocabulary": vocabulary, "ngrams": ngrams, "output_mode": mode}
    found = prepared(config, texts(given_texts))
    widths = range(1, ngrams + 1) if isinstance(ngrams, int) else ngrams
    first = 2 if mode == "int" else 1
    numbers = {entry: k for k, entry in enumerate(vocabulary, first)}
    for text, result in zip(given_texts, found.tolist(), strict=True):
        words = text.split()
        grams = [" ".join(words[k : k + n]) for n in widths for k in range(len(words) - n + 1)]
        ids = [numbers.get(gram, first - 1) for gram in grams]
        if mode == "int":
            assert result == ids + [0] * (found.shape[1] - len(ids))
        else:
            counts = np.bincount(ids, minlength=len(vocabulary) + 1)
            assert result == (counts if mode == "count" else counts > 0).astype(float).tolist()


def test_lower_case_beyond_ascii() -> None:
    """Native onnxruntime changes ASCII letters alone, WebAssembly all: both spellings have the id."""
    layer = {"type": "TextVectorization", "vocabulary": ["élan", "москва", "Été"]}
    assert prepared(layer, texts(["Élan ÉLAN élan ELAN", "Москва МОСКВА москва été"])).tolist() == [
        [2, 2, 2, 1],
        [3, 3, 3, 4],
    ]
    double = {"type": "TextVectorization", "vocabulary": ["École", "école", "x"]}
    assert prepared(double, texts(["École école x"])).tolist() == [[2, 2, 4]]
    kept = {"type": "TextVectorization", "vocabulary": ["École", "école"], "standardize": None}
    assert prepared(kept, texts(["École école ÉCOLE"])).tolist() == [[2, 3, 1]]


def test_batches_without_tokens() -> None:
    for ngrams, mode in product([None, 2, (3,)], ["int", "multi_hot", "count"]):
        config = {"type": "TextVectorization", "vocabulary": ["a", "a b"], "ngrams": ngrams, "output_mode": mode}
        for batch in (texts(["", "!"]), texts([[""]])):
            found = prepared(config, batch)
            assert found.shape == (len(batch), 0 if mode == "int" else 3)
            assert not found.any()
    config = {"type": "TextVectorization", "vocabulary": ["a"], "output_sequence_length": 3}
    assert prepared(config, texts(["", "!"])).tolist() == [[0] * 3] * 2
    assert prepared(config, np.zeros((0, 1), object)).shape == (0, 3)


def test_one_text_does_not_depend_on_the_others() -> None:
    config = {"type": "TextVectorization", "vocabulary": ["a", "b", "a b"], "ngrams": 2}
    alone, beside = (prepared(config, texts(rows)) for rows in (["b a b"], ["b a b", "x " * 50]))
    assert beside[0].tolist() == alone[0].tolist() + [0] * (beside.shape[1] - alone.shape[1])


def test_a_vocabulary_that_is_to_be_learnt() -> None:
    for ngrams, mode in product([None, 2], ["int", "multi_hot", "count", "tf_idf"]):
        config = {"type": "TextVectorization", "ngrams": ngrams, "output_mode": mode}
        _, value = lowered(config, texts([["a"]]))
        if mode == "int":
            assert str(value.range.high) == "node.tokens+1"
        else:
            assert str(value.shape[1]) == "node.tokens+1"
    assert layer_of({"type": "TextVectorization"}).learns
    assert not layer_of({"type": "TextVectorization", "vocabulary": ["a"]}).learns


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"split": None}, "must be lower or null for `split: null`"),
        ({"split": None, "standardize": "lower", "ngrams": 2}, "must be null for `split: null`"),
        ({"ngrams": [2, 2]}, "must list each number of tokens once"),
        ({"ngrams": 0}, "greater than or equal to 1"),
        ({"output_mode": "count", "output_sequence_length": 3}, "must be null for `output_mode: count`"),
        ({"ragged": True}, "must be false"),
        ({"sparse": True}, "must be false"),
        ({"output_mode": "one_hot"}, "'int', 'multi_hot', 'count' or 'tf_idf'"),
        ({"vocabulary": ["a", "a"]}, "contains 'a' twice"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TextVectorization.model_validate(arguments)
    assert text in str(caught.value)


def test_inputs_that_are_refused() -> None:
    for arguments, array, code in [
        ({}, np.array([[1]]), "GS306"),
        ({}, texts([["a", "b"]]), "GS301"),
        ({"split": None, "standardize": None}, texts([[["a"]]]), "GS301"),
        ({"split": None, "standardize": None, "output_sequence_length": 2}, texts(["a"]), "GS301"),
    ]:
        with pytest.raises(ShapeError) as caught:
            lowered({"type": "TextVectorization", **arguments}, array)
        assert caught.value.code == code


SKLEARN = json.loads((Path(__file__).parents[2] / "golden/tf_idf.json").read_text(encoding="utf-8"))
HOW = {
    "words": {"ngrams": 2},
    "runs": {"split": "word_characters", "ngrams": [2, 3, 4, 5]},
}


@pytest.mark.parametrize("case", SKLEARN["cases"], ids=lambda c: f"{c['way']}-{c['sublinear_tf']}-{c['norm']}")
def test_weighted_vectors_equal_scikit_learn(case: dict[str, Any]) -> None:
    keys = ("sublinear_tf", "norm", "vocabulary", "idf_weights")
    config = {"type": "TextVectorization", "output_mode": "tf_idf", **HOW[case["way"]], **{k: case[k] for k in keys}}
    found = prepared(layer_of(config), texts(SKLEARN["texts"])[:, None])
    expected = np.array([[row.get(name, 0.0) for name in case["vocabulary"]] for row in case["rows"]])
    np.testing.assert_allclose(found[:, 1:], expected, rtol=2e-6, atol=1e-6)
    assert not found[:, 0].any(), "unseen tokens do not count"


@pytest.mark.parametrize("way", HOW)
def test_the_vocabulary_is_that_of_scikit_learn(way: str) -> None:
    """Its entries, the most frequent first; idf as of Keras, in rows with the entry."""
    config = {"type": "TextVectorization", "output_mode": "tf_idf", "norm": "l2", **HOW[way]}
    layer = learnt(config, texts(SKLEARN["training"][:4])[:, None], texts(SKLEARN["training"][4:])[:, None])
    assert sorted(layer.tokens()) == sorted(next(c["vocabulary"] for c in SKLEARN["cases"] if c["way"] == way))
    rows = {e: sum(e in lists(t, way) for t in SKLEARN["training"]) for e in layer.tokens()}
    expected = [np.log(1 + len(SKLEARN["training"]) / (1 + n)) for n in rows.values()]
    np.testing.assert_allclose(layer.idf_weights, expected, rtol=1e-6)
    often = Counter(e for t in SKLEARN["training"] for e in lists(t, way))
    assert [often[e] for e in layer.tokens()] == sorted(often.values(), reverse=True)


def lists(text: str, way: str) -> list[str]:
    """All entries of a text, by Python alone."""
    if way == "words":
        words = tokens_of(text, "lower_and_strip_punctuation", "whitespace")
        return words + [" ".join(pair) for pair in pairwise(words)]
    padded = [f" {word} " for word in text.lower().split()]
    return [word[k : k + n] for word in padded for n in range(2, 6) for k in range(len(word) - n + 1)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sublinear_tf": True}, "must not be set for `output_mode: int`"),
        ({"norm": "l2", "output_mode": "count"}, "must not be set for `output_mode: count`"),
        ({"split": "word_characters", "output_mode": "tf_idf"}, "needs `ngrams` of 2 characters or more"),
        ({"split": "word_characters", "ngrams": [2, 3]}, "needs `ngrams` of 2 characters or more"),
        ({"split": "word_characters", "ngrams": 3, "output_mode": "count"}, "needs `ngrams` of 2 characters or more"),
    ],
)
def test_weights_and_runs_that_do_not_fit(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        TextVectorization.model_validate(arguments)


@pytest.mark.parametrize("nasty", NASTY)
def test_runs_of_a_nasty_text(nasty: str) -> None:
    """Its own runs are known, and its vector has length 1, if it has any word."""
    config = {"type": "TextVectorization", "output_mode": "tf_idf", "norm": "l2", "ngrams": [2, 3]}
    layer = learnt(config | {"split": "word_characters"}, texts([nasty, "a word"])[:, None])
    [vector] = prepared(layer, texts([nasty])[:, None])
    assert abs((vector**2).sum() - (1.0 if nasty.strip(SPACE) else 0.0)) < 1e-3


@pytest.mark.parametrize("mode", ["count", "multi_hot", "tf_idf"])
def test_an_empty_text_has_no_runs_alone_or_beside_others(mode: str) -> None:
    """The ends of a text are marked only if one of the batch has a character: two marks are no run of a word."""
    config = {"type": "TextVectorization", "output_mode": mode, "split": "word_characters", "ngrams": [2, 3]}
    layer = learnt(config, texts(["a word", "words"])[:, None])
    for others in ([], ["a word"], ["two  b"]):
        assert not prepared(layer, texts(["", *others])[:, None])[0].any()
