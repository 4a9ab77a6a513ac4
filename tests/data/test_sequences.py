"""Texts as label sequences, and the time steps of pictures of several widths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data.sources import diagnostics, rows, written

from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import SpecError
from graphspec.data.check import check_arrays
from graphspec.data.source import DataError, DataSignature
from graphspec.data.targets import encode_texts, learn_alphabet, steps_of_rows, with_class_ids
from graphspec.graph.ir.graph import Type

LABELS = ["", "a", "b", "é", "\N{GRINNING FACE}"]
WANTED = DataSignature(
    {"x": Type("float32", ("N", 1))},
    {"y": Type("int64", ("N", "labels"))},
    classes={"y": 5},
    ctc=frozenset("y"),
    steps=lambda shapes: {"y": 4},
)


def texts(*values: str) -> Strings:
    return Strings.of(np.array(values, object))


def test_an_alphabet_is_the_blank_and_the_characters_of_the_rows() -> None:
    words = texts("ba", "\N{GRINNING FACE}é", "zz")
    assert learn_alphabet(words) == ["", "a", "b", "z", "é", "\N{GRINNING FACE}"]
    assert learn_alphabet(words, np.array([0, 1])) == LABELS


def test_texts_become_ids_padded_with_the_blank() -> None:
    words = texts("ab", "", "\N{GRINNING FACE}bé", "b")
    ids = encode_texts(words, LABELS, learnt=True)
    assert ids.tolist() == [[1, 2, 0], [0, 0, 0], [4, 2, 3], [2, 0, 0]]
    assert encode_texts(words.select(np.array([3, 0])), LABELS, learnt=True).tolist() == [[2, 0], [1, 2]]


def test_labels_need_not_be_sorted() -> None:
    assert encode_texts(texts("abc"), ["", "c", "a", "b"], learnt=False).tolist() == [[2, 3, 1]]


def test_many_texts_are_encoded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.data.targets._SEQUENCE_ROWS", 2)
    words = texts("a", "ab", "b", "baa", "a")
    assert learn_alphabet(words) == ["", "a", "b"]
    assert encode_texts(words, LABELS, learnt=True).tolist() == [[1, 0, 0], [1, 2, 0], [2, 0, 0], [2, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(("learnt", "code"), [(True, "GS511"), (False, "GS506")])
def test_a_character_that_is_no_label(learnt: bool, code: str) -> None:
    with pytest.raises(DataError, match="has the character 'c' in the row at index 1") as caught:
        encode_texts(texts("a", "bc", "b"), LABELS, learnt=learnt)
    assert str(caught.value.problem.code) == code
    assert "abé" in str(caught.value.problem.hint)


def test_without_labels_each_character_is_unknown() -> None:
    with pytest.raises(DataError, match="has the character 'a' in the row at index 0"):
        encode_texts(texts("a"), [""], learnt=True)


def test_labels_of_several_characters_do_not_fit_texts() -> None:
    with pytest.raises(DataError, match="the head has the label 'sh'"):
        encode_texts(texts("a"), ["", "a", "sh"], learnt=False)


def test_a_column_of_texts_waits_for_its_labels(tmp_path: Path) -> None:
    """Words of digits, and words such as `NA` and `true`, are words."""
    (tmp_path / "rows.csv").write_text("x,y\n1,007\n2,NA\n3,true\n")
    data = rows(written(tmp_path, "file: rows.csv"), WANTED)
    assert data.targets["y"][:].tolist() == ["007", "NA", "true"]
    found = with_class_ids(data, {"y": learn_alphabet(data.targets["y"])}, WANTED.targets, WANTED.ctc)
    assert found.targets["y"].tolist() == [[1, 1, 2, 0], [4, 3, 0, 0], [7, 6, 8, 5]]
    with pytest.raises(SpecError, match="has the character 't' in the row at index 2"):
        with_class_ids(data, {"y": ["", "0", "7", "N", "A"]}, WANTED.targets, WANTED.ctc)


def test_lines_of_json_have_texts_or_ids(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"x": 1, "y": "ab"}\n{"x": 2, "y": "b"}\n')
    assert rows(written(tmp_path, "file: rows.jsonl"), WANTED).targets["y"][:].tolist() == ["ab", "b"]
    (tmp_path / "rows.jsonl").write_text('{"x": 1, "y": [1, 2]}\n{"x": 2, "y": [2, 0]}\n')
    assert rows(written(tmp_path, "file: rows.jsonl"), WANTED).targets["y"].tolist() == [[1, 2], [2, 0]]


def test_known_labels_are_ids_at_once(tmp_path: Path) -> None:
    known = DataSignature(**{**vars(WANTED), "labels": {"y": LABELS}})
    (tmp_path / "rows.csv").write_text("x,y\n1,ab\n2,é\n")
    assert rows(written(tmp_path, "file: rows.csv"), known).targets["y"].tolist() == [[1, 2], [3, 0]]
    (tmp_path / "rows.csv").write_text("x,y\n1,ab\n2,x\n")
    [found] = diagnostics(written(tmp_path, "file: rows.csv"), known)
    assert found.code == "GS506"
    assert "column 'y' of" in found.message
    assert "has the character 'x' in line 3, which is not a label" in found.message


def test_an_empty_text_is_a_missing_target(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,y\n1,ab\n2,\n3,b\n")
    [found] = diagnostics(written(tmp_path, "file: rows.csv"), WANTED)
    assert found.code == "GS505"
    assert "has no target in 1 of 3 rows; first: line 3" in found.message
    left = rows(written(tmp_path, "file: rows.csv\ndrop_missing_targets: true"), WANTED)
    assert left.targets["y"][:].tolist() == ["ab", "b"]


def test_a_text_that_is_too_long_for_its_steps(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,y\n1,abab\n2,aab\n3,aaba\n")
    [found] = diagnostics(written(tmp_path, "file: rows.csv"), WANTED)
    assert found.code == "GS509"
    assert "does not fit: line 4 has 4 labels with 1 repeats in 4 time steps" in found.message


def test_arrays_of_texts_are_checked_like_columns() -> None:
    x = np.zeros((2, 1), np.float32)
    data, found = check_arrays({"x": x}, {"y": np.array(["ab", "b"])}, WANTED)
    assert not found
    assert data.targets["y"][:].tolist() == ["ab", "b"]
    _, found = check_arrays({"x": x}, {"y": ["ab", "aaaa"]}, WANTED)
    assert [d.code for d in found] == ["GS509"]


def test_steps_follow_from_the_size_of_each_rows_picture() -> None:
    asked = []

    def steps(shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
        asked.append(shapes)
        return {"y": shapes["a"][2] // 2 + shapes["b"][1]}

    shapes = {"a": (4, 8, 6, 1), "b": (4, 3, 8, 1), "c": (4, 2)}
    sizes = {"a": (2, np.array([6, 4, 6, 2])), "b": (1, np.array([3, 1, 3, 1]))}
    assert steps_of_rows(["y"], shapes, sizes, steps)["y"].tolist() == [6, 3, 6, 2]
    assert len(asked) == 3, "once for each size"
    assert asked[0] == {"a": (1, 8, 2, 1), "b": (1, 1, 8, 1), "c": (1, 2)}


def test_labels_are_kept_as_json() -> None:
    assert json.loads(json.dumps(learn_alphabet(texts("\N{GRINNING FACE}")))) == ["", "\N{GRINNING FACE}"]
