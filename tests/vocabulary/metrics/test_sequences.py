"""Metrics of label sequences, against the textbook's edit distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from heads import result, value

from graphspec.engine.runtime.bind import Compute
from graphspec.vocabulary.metrics import METRICS
from graphspec.vocabulary.metrics.sequences import edits, greedy_decode

rng = np.random.default_rng(0)


def distance(a: list[int], b: list[int]) -> int:
    """Return the Levenshtein distance by its definition."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, old = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(old[j] + 1, row[-1] + 1, old[j - 1] + (x != y)))
    return row[-1]


def test_edits_are_levenshteins() -> None:
    a, b = rng.integers(1, 4, (200, 7)), rng.integers(1, 4, (200, 5))
    n, m = rng.integers(0, 8, 200), rng.integers(0, 6, 200)
    expected = [distance(list(x[:i]), list(y[:j])) for x, i, y, j in zip(a, n, b, m, strict=True)]
    assert edits(a, n, b, m).tolist() == expected


def test_greedy_decoding_collapses_then_removes_blanks() -> None:
    best = np.array([[1, 1, 0, 1, 2, 2, 0, 3], [0, 0, 0, 0, 0, 0, 0, 0], [2, 0, 2, 2, 1, 1, 3, 3]])
    answers, lengths = greedy_decode(np.eye(4)[best], np.array([8, 8, 6]))
    assert [list(row[:k]) for row, k in zip(answers, lengths, strict=True)] == [[1, 1, 2, 3], [], [2, 2, 1]]


def test_edit_distance_takes_lengths_from_data_mask_or_padding() -> None:
    y_pred = np.eye(4)[np.array([[1, 2, 3, 3], [1, 1, 2, 0]])]
    y_true = np.array([[1, 2, 0], [1, 2, 3]])
    state = METRICS.parse("edit_distance").start(value("N", 4, 4), Compute())
    state.update(y_true, y_pred)
    assert state.result() == (1 + 1) / 5
    state.reset()
    state.update(y_true, y_pred, mask=np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool))
    assert state.result() == (0 + 1) / 5
    state.reset()
    state.update(y_true, y_pred, lengths={"length": np.array([2, 2]), "input_length": np.array([2, 4])})
    assert state.result() == 0


SPOKEN = "ab|c|ba"


WANTED = ["ab|c|bb", "a|c"]


LABELS = ["blank", "a", "b", "c", "|"]


def spoken(text: str) -> Any:
    """Return values with the greedy decoding ``text``, a blank after each label."""
    return np.eye(5)[[k for letter in text for k in (LABELS.index(letter), 0)]]


def padded(texts: list[str]) -> Any:
    return np.array(
        [[LABELS.index(c) for c in text.ljust(7, "~").replace("~", "")] + [0] * (7 - len(text)) for text in texts]
    )


@pytest.mark.parametrize("separator", [4, "|"])
def test_word_error_rate_counts_words(separator: int | str) -> None:
    y_pred = np.stack([spoken(SPOKEN), spoken("|a||b|a")])
    metric = {"type": "WordErrorRate", "separator": separator}
    # ab c ba for ab c bb: one wrong word; a b a for a c: one wrong and one extra word; 5 reference words.
    assert result(metric, padded(WANTED), y_pred, "ctc", labels=LABELS) == 3 / 5
    assert result("wer", padded(WANTED), y_pred, "ctc", labels=[*LABELS[:4], " "]) == 3 / 5


def test_character_error_rate_is_the_edit_distance() -> None:
    y_pred = np.stack([spoken(SPOKEN), spoken("|a||b|a")])
    rates = [result(name, padded(WANTED), y_pred, "ctc") for name in ("cer", "edit_distance", "wer")]
    assert rates == [(1 + 5) / 10] * 3  # without a separator every label is a word
    assert result("wer", padded(["", "|"]), np.stack([spoken("|||")] * 2), "ctc", labels=[*LABELS[:4], " "]) == 0
