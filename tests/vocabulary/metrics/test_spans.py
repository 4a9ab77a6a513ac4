"""SpanF1: worked by hand, and against a plain loop over the rules of CoNLL's script."""

import numpy as np
import pytest

from graphspec.engine.runtime.bind import Compute
from graphspec.graph.ir.graph import Type, Value
from graphspec.vocabulary.losses import SparseCategoricalCrossentropy
from graphspec.vocabulary.metrics import SpanF1

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "L-PER", "U-PER"]


def state(labels=LABELS):
    head = Value("tags", Type("float32", ("N", "time", len(labels))), "input")
    loss = SparseCategoricalCrossentropy()
    metric = SpanF1()
    assert metric.check(head, loss, labels) == []
    return metric.resolve(loss, head, labels).start(head, Compute())


def score(true, said, labels=LABELS):
    found = state(labels)
    found.update(*arrays(true, said, labels))
    return found.result()


def arrays(true, said, labels=LABELS):
    width = max(map(len, true))
    ids = np.array([[labels.index(t) for t in row] + [1] * (width - len(row)) for row in true])
    answers = np.array([[labels.index(t) for t in row] + [2] * (width - len(row)) for row in said])
    mask = np.arange(width) < np.array([[len(row)] for row in true])
    return ids, np.eye(len(labels), dtype=np.float32)[answers], mask


@pytest.mark.parametrize(
    ("true", "said", "expected"),
    [
        ([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]], 1.0),
        ([["B-PER", "I-PER", "O"]], [["B-PER", "O", "O"]], 0.0),  # exact ends
        # the example of seqeval's page: two true spans, two predicted ones, one of them right
        (
            [["O", "O", "O", "B-LOC", "I-LOC", "I-LOC", "O"], ["B-PER", "I-PER", "O"]],
            [["O", "O", "B-LOC", "I-LOC", "I-LOC", "I-LOC", "O"], ["B-PER", "I-PER", "O"]],
            0.5,
        ),
        ([["I-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]], 1.0),  # without a beginning
        ([["B-PER", "B-PER"]], [["B-PER", "I-PER"]], 0.0),
        ([["B-LOC", "E-LOC", "S-LOC"]], [["B-LOC", "I-LOC", "S-LOC"]], 1.0),
        ([["B-PER", "L-PER"], ["U-PER"]], [["B-PER", "I-PER"], ["O"]], 2 / 3),
        ([["B-PER"], ["I-PER"]], [["B-PER"], ["I-PER"]], 1.0),  # rows are apart
        ([["O", "O"]], [["O", "O"]], 0.0),
    ],
)
def test_score(true, said, expected):
    assert score(true, said) == pytest.approx(expected, abs=1e-12)


def spans(tags):
    """The chunks of CoNLL's rules, in a loop."""
    found, begin = set(), 0
    before, was = "O", ""
    for k, tag in enumerate([*tags, "O"]):
        mark, _, kind = tag.partition("-")
        mark = {"L": "E", "U": "S"}.get(mark, mark)
        if before != "O" and (before in "ES" or mark in "OBS" or was != kind):
            found.add((was, begin, k - 1))
        if mark != "O" and (mark in "BS" or before in "ESO" or was != kind):
            begin = k
        before, was = mark, kind
    return found


def test_drawn_rows_against_a_loop():
    rng = np.random.default_rng(3)
    found, right, true_count, said_count = state(), 0, 0, 0
    for _ in range(30):
        sizes = rng.integers(1, 12, 5)
        true, said = ([[LABELS[k] for k in rng.integers(0, len(LABELS), n)] for n in sizes] for _ in range(2))
        said = [
            [t if rng.random() < 0.7 else s for t, s in zip(a, b, strict=True)] for a, b in zip(true, said, strict=True)
        ]
        found.update(*arrays(true, said))
        for a, b in zip(map(spans, true), map(spans, said), strict=True):
            right, true_count, said_count = right + len(a & b), true_count + len(a), said_count + len(b)
    assert right > 100
    assert found.result() == pytest.approx(2 * right / (true_count + said_count), abs=1e-12)


def test_one_hot_targets_count_as_ids():
    ids, answers, mask = arrays([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "B-LOC"]])
    by_id, by_row = state(), state()
    by_id.update(ids, answers, mask)
    by_row.update(np.eye(len(LABELS))[ids], answers, mask)
    assert by_id.result() == by_row.result() == pytest.approx(2 / 3)


def test_labels_of_another_form_are_refused():
    head = Value("tags", Type("float32", ("N", "time", 2)), "input")
    [problem] = SpanF1().check(head, SparseCategoricalCrossentropy(), ["NN", "O"])
    assert problem.code == "GS403"
    assert "'NN'" in problem.message


def test_rows_of_one_class_are_refused():
    head = Value("tags", Type("float32", ("N", 2)), "input")
    [problem] = SpanF1().check(head, SparseCategoricalCrossentropy(), ["B-A", "O"])
    assert "(batch, time, classes)" in problem.message
