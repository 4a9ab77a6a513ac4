"""Tests of labels that are learnt from the texts of a target."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import SpecError
from graphspec.data.batches import Dataset
from graphspec.data.source import DataError
from graphspec.data.targets import encode_labels, learn_labels, small_classes, with_class_ids
from graphspec.graph.ir.graph import Type

TEXTS = Strings.of(["no", "yes", "é", "no", "", "Zoo"])


def test_labels_are_sorted_and_unique() -> None:
    assert learn_labels(TEXTS) == ["Zoo", "no", "yes", "é"]
    assert learn_labels(TEXTS, np.array([3, 1, 0])) == ["no", "yes"]
    assert learn_labels(TEXTS, np.empty(0, np.int64)) == []


def test_texts_become_class_ids() -> None:
    ids = encode_labels(TEXTS.select(np.array([2, 0, 1, 3])), ["no", "yes", "é"])
    assert (ids.tolist(), ids.dtype) == ([2, 0, 1, 0], np.int64)
    assert encode_labels(Strings.of(["b", "a"]), ["a", "b"]).tolist() == [1, 0]


def test_many_rows_are_encoded_in_blocks() -> None:
    texts = [f"c{k % 7}" for k in range(150_000)]
    packed = Strings.of(texts)
    assert learn_labels(packed) == [f"c{k}" for k in range(7)]
    assert encode_labels(packed, learn_labels(packed)).tolist() == [k % 7 for k in range(150_000)]


def test_a_text_that_is_no_label() -> None:
    with pytest.raises(DataError) as error:
        encode_labels(Strings.of(["cat", "dgo", "cat"]), ["cat", "dog"])
    assert error.value.code == "GS511"
    assert error.value.problem.message == (
        "has labels that no training row has in 1 of 3 rows; first: 'dgo' in the row at index 1"
    )
    assert error.value.problem.hint == "did you mean 'dog'?"


def test_a_text_that_is_like_no_label() -> None:
    with pytest.raises(DataError) as error:
        encode_labels(Strings.of(["?"]), [f"label {k}" for k in range(20)])
    assert (error.value.problem.hint or "").endswith("label 11, …")


def test_class_ids_in_place_of_texts() -> None:
    x, ids = np.zeros((3, 1)), Type("int64", ("N",))
    texts = Strings.of(["b", "a", "b"])
    data = Dataset({"x": x}, {"y": texts, "z": np.arange(3), "h": texts})  # type: ignore[dict-item]
    kinds = {"y": ids, "z": ids, "h": Type("float32", ("N", 1))}
    found = with_class_ids(data, {"y": ["a", "b"], "h": ["a", "b"]}, kinds).targets
    assert found["y"].tolist() == [1, 0, 1]
    assert found["h"].tolist() == [[1], [0], [1]]
    assert found["z"] is data.targets["z"]
    one_hot = with_class_ids(data, {"y": ["a", "b"], "h": ["a", "b"]}, {**kinds, "y": Type("float32", ("N", 2))})
    assert one_hot.targets["y"].tolist() == [[0, 1], [1, 0], [0, 1]]
    with pytest.raises(
        SpecError,
        match="target 'y' has labels that no training row has in 2 of 3 rows; first: 'b' in the row at index 0",
    ):
        with_class_ids(data, {"y": ["a", "c"], "h": ["a", "b"]}, kinds)
    with pytest.raises(SpecError, match=r"target 'y' has shape \(3,\), not \(N, 8, 1\)"):
        with_class_ids(data, {"y": ["a", "b"], "h": ["a", "b"]}, {**kinds, "y": Type("float32", ("N", 8, 1))})


def test_classes_of_few_rows() -> None:
    assert small_classes({"a": 5, "b": 1000}) is None
    text = small_classes({"a": 4, "b": 2, "c": 3000}, "picture")
    assert text is not None
    assert text.startswith("2 of 3 classes have fewer than 5 pictures ('b' has 2): too few to learn")
    assert (small_classes({f"{k}": 1 for k in range(3000)}) or "").startswith("3,000 of 3,000 classes have fewer than")
