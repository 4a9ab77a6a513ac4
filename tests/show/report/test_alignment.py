"""Alignments have as few edits as the metric counts."""

from __future__ import annotations

import numpy as np

from graphspec.show.report.scores import align
from graphspec.vocabulary.metrics.sequences import edits


def kinds(true: str, read: str) -> list[str]:
    return [edit.kind for edit in align([ord(c) for c in true], [ord(c) for c in read])]


def test_every_kind_of_edit() -> None:
    assert kinds("cat", "cat") == ["same"] * 3
    assert kinds("cat", "cut") == ["same", "other", "same"]
    assert kinds("cat", "ct") == ["same", "missed", "same"]
    assert kinds("ct", "cat") == ["same", "added", "same"]
    assert kinds("", "ab") == ["added"] * 2
    assert kinds("ab", "") == ["missed"] * 2
    assert kinds("", "") == []


def test_there_are_as_many_edits_as_the_distance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = (rng.integers(1, 4, (1, n)) for n in rng.integers(0, 9, 2))
        distance = edits(a, np.array([a.shape[1]]), b, np.array([b.shape[1]]))[0]
        found = align(b[0].tolist(), a[0].tolist())
        assert sum(edit.kind != "same" for edit in found) == distance
        assert [e.true for e in found if e.true is not None] == b[0].tolist()
        assert [e.read for e in found if e.read is not None] == a[0].tolist()
