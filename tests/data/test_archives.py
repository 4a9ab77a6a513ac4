"""Tests of texts and of missing values in archives."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.data_reading import NUMBER, TEXT, TEXTS, good, problem

from graphspec.graph.ir.graph import Type


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (np.array(["a", "", "日本"]), ["a", "", "日本"]),
        (np.array(["é".encode(), b"", b"007"]), ["é", "", "007"]),
        (np.array([7, -1]), ["7", "-1"]),
        (np.array([True, False]), ["true", "false"]),
        (np.array(["2020-01-02", "NaT"], "datetime64[D]"), ["2020-01-02", ""]),
        (np.array(["2020-01-02T03:04:05.5"], "datetime64[ns]"), ["2020-01-02 03:04:05.5"]),
        (np.array([np.nan, np.nan]), ["", ""]),
    ],
)
def test_arrays_are_texts(tmp_path: Path, array: np.ndarray, texts: list[str]) -> None:
    np.savez(tmp_path / "d.npz", t=array)
    assert good(tmp_path / "d.npz", {"t": TEXT}).inputs["t"][:][:, 0].tolist() == texts


def test_several_texts_a_row(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", t=np.array([["a", "b"], ["c", ""]]), u=np.array(["x", "y"]), v=np.array([1, 2]))
    assert good(tmp_path / "d.npz", {"t": TEXTS}).inputs["t"][:].tolist() == [["a", "b"], ["c", ""]]
    inputs = good(tmp_path / "d.npz", {"t": TEXTS}, mapped={"t": ["u", "v"]}).inputs
    assert inputs["t"][:].tolist() == [["x", "1"], ["y", "2"]]
    found = problem(tmp_path / "d.npz", {"t": TEXTS}, mapped={"t": ["u", "t"]})
    assert (found.code, "single value per row" in found.message) == ("GS503", True)
    assert problem(tmp_path / "d.npz", {"t": TEXT}).code == "GS503"


@pytest.mark.parametrize("array", [np.array([np.nan, 1.5]), np.array([1j, 2]), np.array([b"a", b"\xff"])])
def test_arrays_that_are_no_texts(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "d.npz", t=array)
    assert problem(tmp_path / "d.npz", {"t": TEXT}).code == "GS504"


def test_missing_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([1.5, np.nan]), i=np.array([np.nan, 3]))
    kinds = {"x": NUMBER, "i": Type("int64", ("N",))}
    inputs = good(tmp_path / "d.npz", kinds, gaps=frozenset("xi")).inputs
    np.testing.assert_array_equal(inputs["x"], np.float32([[1.5], [np.nan]]))
    assert inputs["i"].tolist() == [-(2**63), 3]
    assert problem(tmp_path / "d.npz", {"x": NUMBER}).code == "GS505"


def test_targets_of_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros(2), y=np.array(["b", "a"]), z=np.array([1, 0]), b=np.array([True, False]))
    kinds = dict.fromkeys("yzb", Type("int64", ("N",)))
    targets = good(tmp_path / "d.npz", {"x": NUMBER}, kinds, text_labels=frozenset("yzb")).targets
    assert targets["b"][:].tolist() == ["true", "false"]
    assert targets["y"][:].tolist() == ["b", "a"]
    assert targets["z"].tolist() == [1, 0]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


WHOLE = npy(np.arange(500.0))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello world", "is not an array: it does not start like an .npy file"),
        (WHOLE[:6] + b"\x09\x00" + WHOLE[8:], "is damaged: it has an unknown version"),
        (WHOLE[:9] + b"\xff" * 30, "is damaged: EOF: reading array header"),
        (WHOLE[:-4], "is damaged: shape (500,) and dtype float64 need 4000 bytes, it has 3996"),
    ],
)
def test_damaged_arrays(tmp_path: Path, content: bytes, says: str) -> None:
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", content)
    found = problem(tmp_path / "d.npz", {"x": NUMBER})
    assert found.code == "GS501"
    assert found.message.startswith(f"array 'x' of '{tmp_path}/d.npz' {says}")


def test_damaged_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(500.0))
    content = bytearray((tmp_path / "d.npz").read_bytes())
    content[2000] ^= 1
    (tmp_path / "d.npz").write_bytes(content)
    assert "is damaged: Bad CRC-32" in problem(tmp_path / "d.npz", {"x": NUMBER}).message
    (tmp_path / "d.npz").write_bytes(WHOLE)
    found = problem(tmp_path / "d.npz", {"x": NUMBER})
    assert found.message.endswith("is a single array, not an .npz archive")
    assert found.hint == "write it with np.savez"


def test_an_array_called_file(tmp_path: Path) -> None:
    """`np.savez(path, file=x)` fails: `file` is its first parameter, so people look for it in vain."""
    np.savez(tmp_path / "d.npz", arr_0=np.zeros(2))
    found = problem(tmp_path / "d.npz", {"file": NUMBER})
    assert (found.code, found.message.endswith("has no array 'file' for input 'file'")) == ("GS502", True)
    assert str(found.hint).startswith("NumPy's savez takes no array called 'file': save it as 'rows'")


def test_arrays_side_by_side(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(3), y=np.arange(3) / 2, z=np.arange(2))
    both = Type("float32", ("N", 2))
    inputs = good(tmp_path / "d.npz", {"t": both}, mapped={"t": ["x", "y"]}).inputs
    assert inputs["t"].tolist() == [[0, 0], [1, 0.5], [2, 1]]
    found = problem(tmp_path / "d.npz", {"t": both}, mapped={"t": ["x", "z"]})
    assert (found.code, "array 'z'" in found.message) == ("GS507", True)
    assert found.message.endswith("has 2 rows, the first has 3")
