"""A head that reads sequences: the worst readings, and what is confused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from findings import html_from
from judged import SEQUENCES, judge, network, per_step, plain, rows, sequences, values

from graphspec.show.report import heads as head_sequences
from graphspec.show.report.heads import readings, sequences_head
from graphspec.show.report.kinds import HeadAnswers

LABELS = ["", *"abcdefghijk"]
READ = ["abc", "abd", "ac", "abcc", ""]
"""What is read for ``abc``, row by row."""


def head(read: list[str], true: str = "abc") -> HeadAnswers:
    spec = network(per_step(len(LABELS)), {"loss": "ctc", "labels": LABELS}, SEQUENCES)
    targets = np.tile([LABELS.index(c) for c in true], (len(read), 1))
    _, judged, _ = judge(spec, sequences(len(read), 12), targets)
    answers = np.zeros((len(read), 12, len(LABELS)), np.float32)
    for row, word in enumerate(read):
        steps = [k for c in word for k in (LABELS.index(c), 0)]
        answers[row, np.arange(len(steps)), steps] = 9
    lengths = {"input_length": np.full(len(read), 12)}
    return replace(judged.heads["h"], answers=answers, mask=None, lengths=lengths)


def test_readings_are_decoded_as_the_metric_does() -> None:
    true, read, distances = readings(head(READ))
    assert ["".join(LABELS[k] for k in word) for word in read] == READ
    assert {len(word) for word in true} == {3}
    assert distances.tolist() == [0, 1, 1, 1, 3]


def test_the_worst_come_first_and_edits_are_counted() -> None:
    html = html_from(sequences_head(head(READ), lambda row: f"line {row + 10}"))
    assert values(html)["Rows read without a mistake"] == "0.200"
    assert values(html)["Edits per label"] == "0.4000"
    assert rows(html, "The 4 worst readings")[0] == ["abc", "(nothing)", "3", "1.00", "line 14"]
    found = rows(html, "The edits that occur most often")
    assert found[0][:4] == ["b", "–", "missed", "2"]
    assert ["c", "d", "read as another", "1", "17 %"] in found
    assert ["–", "c", "added", "1", "17 %"] in found
    assert "Of the edits in 4 rows with mistakes: 17 % read as another label, 67 % missed, 17 % added." in plain(html)


def test_all_right() -> None:
    assert "Every row is read without a mistake." in plain(html_from(sequences_head(head(["abc", "abc"]), str)))


def test_of_long_rows_some_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_sequences, "_CELLS", 20)  # of tables of 9 cells
    html = html_from(sequences_head(head(["abd"] * 8), str))
    assert "Of the edits in 2 of 8 rows with mistakes" in plain(html)
    assert rows(html, "The edits that occur most often") == [["c", "d", "read as another", "2", "100 %"]]
