"""Tests of texts and of missing values in tables of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.data_reading import ID, NUMBER, TEXT, TEXTS, good, problem

from graphspec.arrays.strings import Strings
from graphspec.ir.graph import Type

LABEL, FLAG = Type("int64", ("N",)), Type("float32", ("N", 1))


def written(folder: Path, content: str) -> Path:
    path = folder / "d.csv"
    path.write_bytes(content.encode())
    return path


def test_cells_are_texts_as_they_are_written(tmp_path: Path) -> None:
    cells = ["007", "1.0", " x ", '"a ""q"", b"', '""', "", "NA", "null", "日本🙂", '"l1\nl2"', "1e5", "True"]
    path = written(tmp_path, "t,n\n" + "".join(f"{cell},1\n" for cell in cells))
    data = good(path, {"t": TEXT, "n": TEXT})
    texts = data.inputs["t"]
    assert isinstance(texts, Strings)
    assert texts.shape == (12, 1)
    assert texts[:][:, 0].tolist() == [
        "007", "1.0", " x ", 'a "q", b', "", "", "NA", "null", "日本🙂", "l1\nl2", "1e5", "True",
    ]  # fmt: skip
    assert data.inputs["n"][:].tolist() == [["1"]] * 12


def test_a_column_is_text_and_number_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "a\n007\n2.50\n")
    data = good(path, {"t": TEXT, "x": NUMBER}, mapped={"t": "a", "x": "a"})
    assert data.inputs["t"][:].tolist() == [["007"], ["2.50"]]
    assert data.inputs["x"].tolist() == [[7.0], [2.5]]


def test_several_columns_are_one_input(tmp_path: Path) -> None:
    rows = [("é" * (k % 5), f"b{k}") for k in range(5000)]
    path = written(tmp_path, "a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    data = good(path, {"t": TEXTS}, mapped={"t": ["b", "a"]})
    assert data.inputs["t"].shape == (5000, 2)
    assert data.inputs["t"][:].tolist() == [[b, a] for a, b in rows]


def test_the_default_column_of_an_input(tmp_path: Path) -> None:
    path = written(tmp_path, "Marital Status,other\nx,y\n")
    columns = {"status": "Marital Status"}
    assert good(path, {"status": TEXT}, columns=columns).inputs["status"][:].tolist() == [["x"]]
    data = good(path, {"status": TEXT}, columns=columns, mapped={"status": "other"})
    assert data.inputs["status"][:].tolist() == [["y"]]
    found = problem(path, {"status": TEXT}, columns={"status": "marital status"})
    assert found.code == "GS502"
    assert "has no column 'marital status'" in found.message
    assert good(written(tmp_path, "status\nz\n"), {"status": TEXT}, columns=columns).inputs["status"][:][0, 0] == "z"


MISSING = ["1.5", "", "NA", " n/a ", "NaN", "null", "None", "?", '""', "-2", "\u00a0"]


def test_missing_numbers_are_nan(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "".join(f"{cell},1\n" for cell in MISSING))
    found = good(path, {"x": NUMBER}, gaps=frozenset("x")).inputs["x"][:, 0]
    np.testing.assert_array_equal(found, np.float32([1.5, *[np.nan] * 8, -2, np.nan]))
    assert problem(path, {"x": NUMBER}).code == "GS505"


def test_missing_numbers_after_the_sample(tmp_path: Path) -> None:
    cells = [str(k) for k in range(5000)] + ["", "NA", "7", "?"]
    path = written(tmp_path, "x,u\n" + "".join(f"{cell},_\n" for cell in cells))
    found = good(path, {"x": NUMBER}, gaps=frozenset("x")).inputs["x"][:, 0]
    np.testing.assert_array_equal(found, np.float32([*range(5000), np.nan, np.nan, 7, np.nan]))


def test_missing_integers_are_the_smallest(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "".join(f"{cell},1\n" for cell in ["3", "", "NA", "-1"]))
    assert good(path, {"x": ID}, gaps=frozenset("x")).inputs["x"].tolist() == [[3], [-(2**63)], [-(2**63)], [-1]]
    path = written(tmp_path, "x,y\n9007199254740993,1\n,1\nNA,1\n")
    found = good(path, {"x": ID}, gaps=frozenset("x"))
    assert found.inputs["x"].tolist() == [[2**53 + 1], [-(2**63)], [-(2**63)]]


@pytest.mark.parametrize(
    ("cell", "code", "message"),
    [
        ("abc", "GS504", "contains text: row 2 has 'abc'"),
        ("1_0", "GS504", "contains text: row 2 has '1_0'"),
        ("inf", "GS505", "has inf in row 2"),
        ("1e300", "GS504", "is too large for float32: row 2 has 1e+300"),
    ],
)
@pytest.mark.parametrize("before", [0, 3000])
def test_broken_numbers_are_refused_where_numbers_may_be_missing(
    tmp_path: Path, cell: str, code: str, message: str, before: int
) -> None:
    path = written(tmp_path, "x,y\n" + "4,1\n" * before + f"1,1\nNA,1\n{cell},1\n")
    found = problem(path, {"x": NUMBER}, gaps=frozenset("x"))
    assert found.code == code
    assert message.replace("row 2", f"row {before + 2}") in found.message


def test_a_part_is_not_an_integer(tmp_path: Path) -> None:
    found = problem(written(tmp_path, "x,y\n,1\n1.5,1\n"), {"x": ID}, gaps=frozenset("x"))
    assert (found.code, "row 1 has 1.5" in found.message) == ("GS504", True)


def test_targets_of_text_from_which_labels_are_learnt(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y,z\n1,no,0\n2,NA,1\n3, yes,1\n")
    wanted = {"y": LABEL, "z": LABEL}
    data = good(path, {"x": NUMBER}, wanted, text_labels=frozenset(wanted))
    texts = data.targets["y"]
    assert isinstance(texts, Strings)
    assert (texts.shape, texts[:].tolist()) == ((3,), ["no", "NA", " yes"])
    assert data.targets["z"].tolist() == [0, 1, 1]


def test_targets_become_text_after_the_sample(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "1,0\n" * 2500 + "1,many\n1,none\n")
    data = good(path, {"x": NUMBER}, {"y": FLAG}, text_labels=frozenset("y"))
    assert data.targets["y"][2499:].tolist() == ["0", "many", "none"]


def test_true_and_false_are_labels_if_labels_are_learnt(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n1,true\n2,false\n")
    assert good(path, {"x": NUMBER}, {"y": FLAG}).targets["y"].tolist() == [[True], [False]]
    data = good(path, {"x": NUMBER}, {"y": FLAG}, text_labels=frozenset("y"))
    assert data.targets["y"][:].tolist() == ["true", "false"]


def test_given_labels_may_look_like_missing_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "1,none\n" * 2100 + "1,1\n")
    data = good(path, {"x": NUMBER}, {"y": LABEL}, labels={"y": ["none", "1"]})
    assert data.targets["y"].tolist() == [0] * 2100 + [1]
