"""Vocabularies: what is learnt, what files may contain, and spellings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from graphspec.base.arrays.array_files import read_vocabulary
from graphspec.base.errors import ProblemError, ShapeError
from graphspec.vocabulary.layers.vocabularies import VocabularyLearner, lower, spellings


def test_frequent_tokens_come_first_and_then_the_larger_ones() -> None:
    learner = VocabularyLearner()
    learner.add(np.array([["b", "a"], ["é", "b"]], object))
    learner.add(np.array([["z"], ["\U0001f600"], ["é"]], object))
    assert learner.end_pass()
    assert learner.state() == {"vocabulary": ["é", "b", "\U0001f600", "z", "a"]}
    numbers = VocabularyLearner(excluded={-1}, limit=2)
    numbers.add(np.array([[5], [-1], [-1], [-3], [9], [5]]))
    assert numbers.state() == {"vocabulary": [5, 9]}


def test_document_frequencies() -> None:
    learner = VocabularyLearner(documents=True, fold=lower, ngrams=(1, 2))
    learner.add(np.array([["a", "a", "b"], ["A", "", ""]], object))
    learner.add(np.zeros((1, 0), object))
    state = learner.state()
    assert state["vocabulary"] == ["a", "b", "a b", "a a"]
    rows = {"a": 2, "b": 1, "a b": 1, "a a": 1}
    np.testing.assert_allclose(state["idf_weights"], [np.log(1 + 3 / (1 + rows[t])) for t in state["vocabulary"]], 1e-6)


def test_spellings_are_counted_together() -> None:
    learner = VocabularyLearner(fold=lower)
    learner.add(np.array([["Élan", "élan", ""], ["Tea", "tee", "tee"]], object))
    assert learner.state() == {"vocabulary": ["élan", "tee", "tea"]}


def test_nothing_to_learn() -> None:
    with pytest.raises(ShapeError, match="there is no token in the training rows"):
        VocabularyLearner().state()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb\n", ("a", "b")),
        ("é\r\n日本\r\n".encode(), ("é", "日本")),
        (b"\xef\xbb\xbfa\n b ", ("a", " b ")),
        (b"\n[UNK]\na", ("", "[UNK]", "a")),
        ("a\u2028b\x0bc\n".encode(), ("a\u2028b\x0bc",)),
    ],
)
def test_files(tmp_path: Path, content: bytes, expected: tuple[str, ...]) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    assert read_vocabulary(path) == expected


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        (b"", "GS105", "contains no token"),
        (b"\n", "GS105", "contains no token"),
        (b"a\n\nb\n", "GS105", "has an empty line, line 2"),
        (b"a\nb\r\na\n", "GS105", "contains the same token on lines 1 and 3"),
        (b"a\nb\xff\n", "GS501", "is not UTF-8 on line 2"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, code: str, text: str) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(ProblemError) as caught:
        read_vocabulary(path)
    assert (caught.value.problem.code, caught.value.problem.message) == (code, text)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, text in {
        "nothing": "cannot be read: no such file or directory",
        ".": "cannot be read: is a directory",
        "pipe": "is not a file",
    }.items():
        with pytest.raises(ProblemError) as caught:
            read_vocabulary(tmp_path / name)
        assert (caught.value.problem.code, caught.value.problem.message) == ("GS501", text)


def test_lower_case() -> None:
    assert lower("ÉLAN ß ẞ ΣΑΣ İ Ǆ ǅ") == "élan ß ß σασ i ǆ ǆ"
    for code in [*range(0x3000), 0x10400, 0x1E900]:
        assert lower(lower(chr(code))) == lower(chr(code))


def test_no_letter_with_a_case_is_forgotten() -> None:
    assert not [c for c in map(chr, range(0x20000, sys.maxunicode + 1)) if c.lower() != c]


def test_all_spellings_have_the_same_lower_case() -> None:
    cyrillic = "москва"
    for token in ("tea", "élan", "été", "straße", "σας", "ǆ", cyrillic, "日本", "1é" * 5):
        found = spellings(token)
        assert len(found) == len(set(found)) <= 16
        assert {lower(t) for t in found} == {token}
        assert found[0] == token
        assert all(a == b for t in found for a, b in zip(t, token, strict=True) if b.isascii() and b not in "ik")
    assert spellings(cyrillic) == ["москва", "Москва", "МОСКВА"]
    assert "Нижний-Новгород" in spellings("нижний-новгород")
    assert {"istanbul", "İstanbul"} <= set(spellings("istanbul"))  # WebAssembly puts İ and the sign of kelvin
    assert set(spellings("ok")) == {"ok", "o\u212a"}  # into lower case that is ASCII
    assert spellings("kikikiki") == ["kikikiki"]
    assert set(spellings("été")) == {"été", "Été", "étÉ", "ÉtÉ"}
